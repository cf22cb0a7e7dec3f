//! A process of the program under test: started, signalled, restarted with the same settings, watched through /proc.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use valet_crash_points::Plan;

use crate::bounds::{END_MAX, KILLED_MAX};
use crate::program::CRASH_AT;
use crate::wait::until;

/// Clock ticks a second in /proc (`sysconf(_SC_CLK_TCK)`): 100 on every Linux that Valet runs on.
const TICKS_PER_S: f64 = 100.0;

/// How to start a process, again and again.
#[derive(Clone, Debug)]
pub struct Launch {
    pub name: String,
    pub program: PathBuf,
    pub arguments: Vec<String>,
    pub environment: Vec<(&'static str, String)>,
    pub folder: PathBuf,
}

/// A process that this test owns. Dropped, it is killed.
#[derive(Debug)]
pub struct Process {
    launch: Launch,
    child: Option<Child>,
}

impl Process {
    /// Not running yet.
    pub fn new(launch: Launch) -> Self {
        Self { launch, child: None }
    }

    /// Starts it; its output is appended to its log.
    pub fn start(&mut self) {
        self.start_with(&[]);
    }

    /// Starts it so that it crashes by a plan; its next start is without one again.
    pub fn start_armed(&mut self, plan: Plan) {
        self.start_with(&[(CRASH_AT, plan.to_string())]);
    }

    fn start_with(&mut self, more: &[(&'static str, String)]) {
        assert!(!self.is_running(), "{} runs already", self.launch.name);
        let log = self.open_log();
        let errors = log.try_clone().expect("the log's handle is copied");
        let mut command = Command::new(&self.launch.program);
        let environment = self.launch.environment.iter().chain(more);
        command.args(&self.launch.arguments).envs(environment.map(|(name, value)| (name, value)));
        command.current_dir(&self.launch.folder).stdin(Stdio::null()).stdout(log).stderr(errors);
        let program = self.launch.program.display();
        self.child = Some(command.spawn().unwrap_or_else(|error| panic!("{program} cannot be started: {error}")));
    }

    pub fn name(&self) -> &str {
        &self.launch.name
    }

    /// # Panics
    /// If it does not run.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().unwrap_or_else(|| panic!("{} was not started", self.launch.name)).id()
    }

    pub fn is_running(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    /// SIGSTOP took effect.
    pub fn is_stopped(&self) -> bool {
        self.stat().starts_with('T')
    }

    /// kill -9, and waits until it is gone.
    pub async fn kill(&mut self) {
        self.signal(Signal::SIGKILL);
        self.ended(KILLED_MAX).await;
    }

    /// SIGTERM only; [`Process::ended`] waits for its end.
    pub fn terminate(&self) {
        self.signal(Signal::SIGTERM);
    }

    /// SIGTERM, and waits for an orderly end.
    pub async fn stop(&mut self) -> ExitStatus {
        self.terminate();
        self.ended(END_MAX).await
    }

    /// SIGSTOP: it keeps all it has and does nothing.
    pub fn freeze(&self) {
        self.signal(Signal::SIGSTOP);
    }

    /// SIGCONT
    pub fn thaw(&self) {
        self.signal(Signal::SIGCONT);
    }

    /// Waits until it has ended.
    pub async fn ended(&mut self, limit: Duration) -> ExitStatus {
        let name = self.launch.name.clone();
        let status = until(&format!("{name} to end"), limit, async || {
            let child = self.child.as_mut().ok_or_else(|| "it was never started".to_owned())?;
            child.try_wait().map_err(|error| error.to_string())?.ok_or_else(|| "it runs".to_owned())
        })
        .await;
        self.child = None;
        status
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.pid() as i32);
        kill(pid, signal).unwrap_or_else(|error| panic!("{signal} to {}: {error}", self.launch.name));
    }

    /// CPU seconds since its start.
    pub fn cpu_s(&self) -> f64 {
        let stat = self.stat();
        let fields: Vec<&str> = stat.split(' ').collect();
        let ticks = |index: usize| fields.get(index).and_then(|field| field.parse::<f64>().ok());
        (ticks(11).expect("utime in /proc") + ticks(12).expect("stime in /proc")) / TICKS_PER_S
    }

    /// What stands in /proc behind its name, from the state on.
    fn stat(&self) -> String {
        let text = self.proc("stat");
        // The program's name stands in parentheses and may hold spaces.
        text.rsplit_once(") ").map(|(_, rest)| rest.to_owned()).unwrap_or_default()
    }

    /// Resident memory.
    pub fn rss_mb(&self) -> f64 {
        self.status_mb("VmRSS:")
    }

    /// Resident memory that no file backs.
    pub fn rss_anonymous_mb(&self) -> f64 {
        self.status_mb("RssAnon:")
    }

    fn status_mb(&self, field: &str) -> f64 {
        let text = self.proc("status");
        let line = text.lines().find_map(|line| line.strip_prefix(field)).expect("the field is in /proc/PID/status");
        let kb: f64 = line.trim().trim_end_matches(" kB").parse().expect("a number of kB");
        kb / 1024.0
    }

    fn proc(&self, file: &str) -> String {
        let path = format!("/proc/{}/{file}", self.pid());
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path} of {}: {error}", self.launch.name))
    }

    fn log(&self) -> PathBuf {
        self.launch.folder.join(format!("{}.log", self.launch.name))
    }

    fn open_log(&self) -> File {
        let path = self.log();
        let opened = OpenOptions::new().create(true).append(true).open(&path);
        opened.unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// All it said, over all its starts.
    pub fn said(&self) -> String {
        std::fs::read_to_string(self.log()).unwrap_or_default()
    }

    /// The last lines of its log.
    pub fn log_tail(&self, lines: usize) -> String {
        let text = self.said();
        let skipped = text.lines().count().saturating_sub(lines);
        text.lines().skip(skipped).collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // Also ends a frozen process.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// The proportional set size of any process: what it shares is divided among those that share it. `None` when it is gone.
pub fn pss_mb(pid: i32) -> Option<f64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    let kb: f64 = line.trim().trim_end_matches(" kB").parse().ok()?;
    Some(kb / 1024.0)
}

/// Processes whose environment or arguments contain a text, such as a folder's path with its last slash.
pub fn naming(text: &str) -> Vec<i32> {
    let says = |pid: i32, file: &str| {
        let bytes = std::fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
        bytes.windows(text.len()).any(|window| window == text.as_bytes())
    };
    let all = std::fs::read_dir("/proc").expect("/proc is there").flatten();
    let pids = all.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| says(*pid, "environ") || says(*pid, "cmdline")).collect()
}

/// Whether a program is there to be started.
pub fn require(program: &Path) {
    assert!(program.is_file(), "{} is missing; cargo builds it with this package's tests", program.display());
}
