//! Machines that are processes of this machine: a program of whoever starts the server stands for what an image runs.

use std::io;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use parking_lot::Mutex;
use serde_json::Value;

use super::Boot;

/// A machine that is stopped is asked, and killed so much later.
const STOP_WITHIN: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(5);

type Program = dyn Fn(&Path, Ipv4Addr, &Value) -> io::Result<Command> + Send + Sync;

pub struct Processes {
    root: PathBuf,
    program: Box<Program>,
    running: Mutex<Vec<Running>>,
    /// Configuration and folder of each machine that ever started.
    started: Mutex<Vec<(Value, PathBuf)>>,
}

struct Running {
    machine: String,
    folder: PathBuf,
    process: Child,
}

impl Processes {
    /// `program` says what a machine runs, by its folder below `root`, its address and its configuration.
    pub fn new(
        root: &Path,
        program: impl Fn(&Path, Ipv4Addr, &Value) -> io::Result<Command> + Send + Sync + 'static,
    ) -> Self {
        Self { root: root.to_owned(), program: Box::new(program), running: Mutex::default(), started: Mutex::default() }
    }

    /// The folders that machines of this mark have or had; that of a machine that ended is gone.
    pub fn folders(&self, key: &str, value: &str) -> Vec<PathBuf> {
        let started = self.started.lock();
        let marked = started.iter().filter(|(config, _)| config["metadata"][key] == value);
        marked.map(|(_, folder)| folder.clone()).collect()
    }
}

impl Boot for Processes {
    fn start(&self, id: &str, address: Ipv4Addr, config: &Value) -> io::Result<()> {
        let folder = self.root.join(id);
        std::fs::create_dir_all(&folder)?;
        let process = (self.program)(&folder, address, config)?.spawn()?;
        self.started.lock().push((config.clone(), folder.clone()));
        self.running.lock().push(Running { machine: id.to_owned(), folder, process });
        Ok(())
    }

    fn has_ended(&self, id: &str) -> bool {
        let mut running = self.running.lock();
        running.iter_mut().find(|one| one.machine == id).is_some_and(Running::has_ended)
    }

    fn end(&self, id: &str) {
        self.running.lock().extract_if(.., |one| one.machine == id).for_each(Running::end);
    }
}

impl Running {
    fn has_ended(&mut self) -> bool {
        matches!(self.process.try_wait(), Ok(Some(_)))
    }

    fn end(mut self) {
        let pid = i32::try_from(self.process.id()).map(Pid::from_raw);
        // One that ended has no pid any more.
        if !self.has_ended()
            && let Ok(pid) = pid
        {
            let _ = kill(pid, Signal::SIGTERM);
        }
        let until = Instant::now() + STOP_WITHIN;
        while !self.has_ended() && Instant::now() < until {
            std::thread::sleep(LOOK_EVERY);
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        self.running.lock().drain(..).for_each(Running::end);
    }
}
