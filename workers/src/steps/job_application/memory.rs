//! What sites' forms have taught, kept on this machine: a small file a site. It holds no value and nobody's name; losing it costs time only.

use std::path::PathBuf;

use crate::form::Learned;

/// A file of more was not written by us.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

#[derive(Clone, Debug)]
pub struct Memory {
    pub folder: PathBuf,
}

impl Memory {
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
            let fresh = file.with_extension(format!("{}.new", uuid::Uuid::new_v4().simple()));
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

#[cfg(test)]
mod tests {
    use super::Memory;
    use crate::form::{FieldKind, Learned, Lesson};

    #[tokio::test]
    async fn what_was_learned_of_one_site_is_there_again_and_of_no_other() {
        let folder = tempfile::tempdir().expect("a folder");
        let memory = Memory { folder: folder.path().join("learned") };
        let (mut learned, file) = memory.of("https://jobs.example.test/7?x=1").await;
        learned.note("f", &[Lesson { key: "phone".into(), kind: FieldKind::Phone, way: Some(1) }]);
        memory.keep(file, &learned).await;
        assert_eq!(memory.of("https://jobs.example.test/8").await.0, learned);
        assert_eq!(memory.of("https://jobs.example.test:8443/7").await.0, Learned::default());
        let file = memory.of("https://jobs.example.test/7").await.1.expect("a file");
        assert!(file.starts_with(&memory.folder), "{file:?}");
        std::fs::write(&file, "{").expect("written");
        assert_eq!(memory.of("https://jobs.example.test/7").await.0, Learned::default(), "damaged is nothing");
        assert_eq!(memory.of("about:blank").await.1, None);
    }
}
