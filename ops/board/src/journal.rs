//! The optional file behind the received list: one JSON line per application, appended before the applicant is told.
//! File contents are never written, only their hashes.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use thiserror::Error;
use tokio::fs::File;
use tokio::io::AsyncWriteExt;

use crate::bounds;
use crate::oracle::Application;

#[derive(Debug, Error)]
pub enum JournalError {
    #[error("cannot read the state file {path}")]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot write the state file {path}")]
    Write {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot encode an application")]
    Encode(#[source] serde_json::Error),
}

pub struct Journal {
    path: PathBuf,
    file: File,
    /// The last write failed and may have left half a line.
    torn: bool,
}

impl Journal {
    /// Opens the file, which need not exist, and gives what it held. Lines that cannot be read are skipped, as a
    /// crash may have cut the last one; a file that outgrew the list is rewritten with what the list keeps.
    pub async fn open(path: &Path) -> Result<(Self, Vec<Application>), JournalError> {
        let owned = path.to_owned();
        let loaded = tokio::task::spawn_blocking(move || load_and_tidy(&owned)).await.map_err(io::Error::other);
        let applications = match loaded {
            Ok(Ok(applications)) => applications,
            Ok(Err(source)) | Err(source) => {
                return Err(JournalError::Read { path: path.to_owned(), source });
            }
        };
        let file = File::options()
            .append(true)
            .create(true)
            .open(path)
            .await
            .map_err(|source| JournalError::Write { path: path.to_owned(), source })?;
        let journal = Self { path: path.to_owned(), file, torn: false };
        Ok((journal, applications))
    }

    pub async fn append(&mut self, application: &Application) -> Result<(), JournalError> {
        let mut line = Vec::new();
        if self.torn {
            line.push(b'\n');
        }
        serde_json::to_writer(&mut line, application).map_err(JournalError::Encode)?;
        line.push(b'\n');
        self.torn = true;
        self.write(&line).await.map_err(|source| JournalError::Write { path: self.path.clone(), source })?;
        self.torn = false;
        Ok(())
    }

    async fn write(&mut self, line: &[u8]) -> io::Result<()> {
        self.file.write_all(line).await?;
        self.file.flush().await
    }
}

/// What the file holds, after rewriting it if it has more than that.
fn load_and_tidy(path: &Path) -> io::Result<Vec<Application>> {
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut applications = std::collections::VecDeque::new();
    let mut untidy = false;
    let mut reader = BufReader::new(file);
    loop {
        let mut line = Vec::new();
        let read = reader.by_ref().take(bounds::MAX_JOURNAL_LINE_BYTES as u64).read_until(b'\n', &mut line)?;
        if read == 0 {
            break;
        }
        match serde_json::from_slice::<Application>(&line) {
            Ok(application) if line.ends_with(b"\n") => applications.push_back(application),
            _ => untidy = true,
        }
        if applications.len() > bounds::MAX_APPLICATIONS {
            applications.pop_front();
            untidy = true;
        }
    }
    let applications = Vec::from(applications);
    if untidy {
        tracing::warn!(path = %path.display(), kept = applications.len(), "rewriting the board's state file");
        rewrite(path, &applications)?;
    }
    Ok(applications)
}

fn rewrite(path: &Path, applications: &[Application]) -> io::Result<()> {
    let beside = path.with_extension("rewriting");
    let mut file = io::BufWriter::new(std::fs::File::create(&beside)?);
    for application in applications {
        serde_json::to_writer(&mut file, application)?;
        file.write_all(b"\n")?;
    }
    file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
    std::fs::rename(&beside, path)
}
