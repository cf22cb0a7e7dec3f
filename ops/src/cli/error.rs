//! What ends a verb early: one sentence for a person, and the exit code.

use std::io;
use std::path::PathBuf;

use super::client::ClientError;
use super::exit::Exit;

/// Why a verb did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// The command line fits its grammar but not its meaning.
    #[error("{0}")]
    Usage(String),
    /// What was asked makes no sense any more.
    #[error("{0}")]
    TooLate(String),
    #[error("cannot {what} {path}: {source}")]
    File { what: &'static str, path: PathBuf, source: io::Error },
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error("cannot write the output: {0}")]
    Output(#[source] io::Error),
    /// Some of several things failed; each was told when it happened.
    #[error("{failed} of {of} failed")]
    Some { failed: usize, of: usize, exit: Exit },
}

impl CliError {
    pub fn usage(message: impl Into<String>) -> Self {
        Self::Usage(message.into())
    }

    pub fn exit(&self) -> Exit {
        match self {
            Self::Usage(_) | Self::File { .. } => Exit::Usage,
            Self::Client(error) => error.exit(),
            Self::Output(_) | Self::TooLate(_) => Exit::Failed,
            Self::Some { exit, .. } => *exit,
        }
    }

    /// The reader of our output has seen enough (`valet runs | head -1`): the end, but no error.
    pub fn is_closed_pipe(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}

/// For `map_err` at a file.
pub fn at_file(what: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> CliError {
    let path = path.into();
    move |source| CliError::File { what, path, source }
}
