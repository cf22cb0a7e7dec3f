//! What sites' forms have taught, kept on this machine: a small file a site. It holds no value and nobody's name; losing it costs time only.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::form::Learned;

/// A file of more was not written by us.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// What a file is called while it is written.
const UNFINISHED: &str = "new";
/// A file that is unfinished for longer is nobody's any more: its worker died while it wrote.
const WRITING_MAX: Duration = Duration::from_mins(1);

#[derive(Clone, Debug)]
pub struct Memory {
    folder: PathBuf,
}

impl Memory {
    /// What this machine's workers keep there; what dead ones left half written is removed.
    pub fn at(folder: PathBuf) -> Self {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            let left = path.extension().is_some_and(|extension| extension == UNFINISHED)
                && age(&path).is_some_and(|age| age > WRITING_MAX);
            if left && let Err(error) = std::fs::remove_file(&path) {
                tracing::info!(path = %path.display(), %error, "an unfinished file stays");
            }
        }
        Self { folder }
    }

    pub(super) async fn of(&self, url: &str) -> (Learned, Option<PathBuf>) {
        let Some(file) = self.file(url) else { return (Learned::default(), None) };
        let size = tokio::fs::metadata(&file).await.map_or(0, |meta| meta.len());
        let known = if size > FILE_BYTES_MAX { None } else { tokio::fs::read(&file).await.ok() };
        // One that cannot be understood is as good as none.
        let learned = known.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
        (learned, Some(file))
    }

    /// Whole or not at all; of two workers that learn at once the later one's stands.
    pub(super) async fn keep(&self, file: Option<PathBuf>, learned: &Learned) {
        let Some(file) = file else { return };
        let kept = async {
            tokio::fs::create_dir_all(&self.folder).await?;
            let fresh = file.with_extension(format!("{}.{UNFINISHED}", uuid::Uuid::new_v4().simple()));
            tokio::fs::write(&fresh, serde_json::to_vec(learned).unwrap_or_default()).await?;
            tokio::fs::rename(&fresh, &file).await
        };
        if let Err(error) = kept.await {
            tracing::info!(%error, "what a site taught is not kept");
        }
    }

    fn file(&self, url: &str) -> Option<PathBuf> {
        let url = url::Url::parse(url).ok()?;
        let host: String = url
            .host_str()?
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() || c == '.' || c == '-' { c } else { '_' })
            .collect();
        let port = url.port().map(|port| format!("_{port}")).unwrap_or_default();
        Some(self.folder.join(format!("{host}{port}.json")))
    }
}

fn age(path: &Path) -> Option<Duration> {
    std::fs::metadata(path).ok()?.modified().ok()?.elapsed().ok()
}

#[cfg(test)]
mod tests {
    use std::fs::{File, FileTimes};

    use super::{Memory, WRITING_MAX};
    use crate::form::{FieldKind, Learned, Lesson};

    #[tokio::test]
    async fn what_was_learned_of_one_site_is_there_again_and_of_no_other() {
        let folder = tempfile::tempdir().expect("a folder");
        let memory = Memory::at(folder.path().join("learned"));
        let (mut learned, file) = memory.of("https://jobs.example.test/7?x=1").await;
        learned.note("f", &[Lesson { key: "phone".into(), kind: FieldKind::Phone, way: Some(1), action: None }]);
        memory.keep(file, &learned).await;
        assert_eq!(memory.of("https://jobs.example.test/8").await.0, learned);
        assert_eq!(memory.of("https://jobs.example.test:8443/7").await.0, Learned::default());
        let file = memory.of("https://jobs.example.test/7").await.1.expect("a file");
        assert!(file.starts_with(&memory.folder), "{file:?}");
        std::fs::write(&file, "{").expect("written");
        assert_eq!(memory.of("https://jobs.example.test/7").await.0, Learned::default(), "damaged is nothing");
        assert_eq!(memory.of("about:blank").await.1, None);
    }

    #[tokio::test]
    async fn what_a_dead_worker_left_half_written_is_removed_and_nothing_else() {
        let folder = tempfile::tempdir().expect("a folder");
        let memory = Memory::at(folder.path().to_owned());
        let (learned, file) = memory.of("https://jobs.example.test/7").await;
        memory.keep(file, &learned).await;
        let old = folder.path().join("jobs.example.test.1f.new");
        let written = File::create(&old).expect("a file");
        let modified = written.metadata().expect("its times").modified().expect("a time") - 2 * WRITING_MAX;
        written.set_times(FileTimes::new().set_modified(modified)).expect("made older");
        File::create(folder.path().join("jobs.example.test.2f.new")).expect("one that is being written");
        Memory::at(folder.path().to_owned());
        let mut left: Vec<String> = std::fs::read_dir(folder.path())
            .expect("the folder")
            .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
            .collect();
        left.sort();
        assert_eq!(left, ["jobs.example.test.2f.new", "jobs.example.test.json"]);
    }
}
