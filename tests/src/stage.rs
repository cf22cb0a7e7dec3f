//! A folder through which a test holds steps, lets them go, and reads what really happened in workers.
//!
//! The ledger is written by the steps themselves: it tells how often a step was carried out, whatever the database says.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// Where one test's steps wait.
#[derive(Clone, Debug)]
pub struct Stage {
    folder: PathBuf,
}

/// A line of the ledger.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Note {
    /// `began`, `ended` or `stopped`.
    pub what: String,
    pub run: String,
    pub seq: u32,
    pub attempt: u32,
    /// Of the worker.
    pub pid: u32,
}

impl Stage {
    /// A stage that is there, as steps see it.
    pub fn at(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// A new one, closed.
    pub fn create(folder: PathBuf) -> Self {
        std::fs::create_dir_all(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        Self { folder }
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Lets all steps go, from now on.
    pub fn open(&self) {
        self.touch("open");
    }

    /// Lets the steps of one run go.
    pub fn open_for(&self, run: &str) {
        self.touch(run);
    }

    fn touch(&self, name: &str) {
        let path = self.folder.join(name);
        std::fs::write(&path, "").unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }

    pub fn lets_go(&self, run: &str) -> bool {
        self.folder.join("open").exists() || self.folder.join(run).exists()
    }

    /// Appends a line; short appends of several processes do not mix.
    pub fn note(&self, what: &str, run: &str, seq: u32, attempt: u32) -> std::io::Result<()> {
        let line = format!("{what} {run} {seq} {attempt} {}\n", std::process::id());
        OpenOptions::new().create(true).append(true).open(self.ledger())?.write_all(line.as_bytes())
    }

    fn ledger(&self) -> PathBuf {
        self.folder.join("ledger")
    }

    /// All lines so far, in the order in which they were written.
    pub fn notes(&self) -> Vec<Note> {
        let text = std::fs::read_to_string(self.ledger()).unwrap_or_default();
        text.lines().map(|line| read(line).unwrap_or_else(|| panic!("a line of the ledger: `{line}`"))).collect()
    }

    pub fn count(&self, what: &str) -> usize {
        self.notes().iter().filter(|note| note.what == what).count()
    }
}

fn read(line: &str) -> Option<Note> {
    let mut words = line.split(' ');
    let (what, run) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut number = || words.next()?.parse().ok();
    Some(Note { what, run, seq: number()?, attempt: number()?, pid: number()? })
}
