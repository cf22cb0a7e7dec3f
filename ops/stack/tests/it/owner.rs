//! Another process that owns a stack: the test program itself, run again for one test.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use valet_stack::{Pids, Stack};

use super::probe;

const DIR: &str = "STACK_TEST_OWNS";
const TEMPORARY: &str = "temporary";

pub struct Owner {
    child: Child,
    pub pids: Pids,
}

/// Called first thing in a test that needs an owner: in the owner's process it never returns.
pub async fn stand_in() {
    let Ok(dir) = std::env::var(DIR) else {
        return;
    };
    let dir = PathBuf::from(dir);
    let stack =
        if dir.ends_with(TEMPORARY) { Stack::temporary(false).await } else { Stack::start(probe::config(&dir)).await };
    let stack = stack.expect("the stack starts");
    let Pids { postgres, redis } = stack.pids();
    let line = format!("{} {}", postgres.expect("it runs"), redis.expect("it runs"));
    std::fs::write(dir.join("owner.new"), line).expect("written");
    std::fs::rename(dir.join("owner.new"), dir.join("owner")).expect("renamed");
    std::future::pending::<()>().await;
}

impl Owner {
    /// Runs `test`, named as the test program lists it, as the owner of a stack in `dir`.
    pub async fn of(dir: &Path, test: &str) -> Self {
        let mut child = Command::new(std::env::current_exe().expect("this program"))
            .args(["--exact", test, "--nocapture"])
            .env(DIR, dir)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("the owner runs");
        let told = dir.join("owner");
        let mut ended = || child.try_wait().expect("it can be asked").is_some();
        probe::until("the owner has started its servers", || told.exists() || ended()).await;
        let line = std::fs::read_to_string(told).expect("the owner runs; see its error above");
        let (postgres, redis) = line.split_once(' ').expect("two pids");
        Self { child, pids: Pids { postgres: postgres.parse().ok(), redis: redis.parse().ok() } }
    }

    pub async fn of_temporary(dir: &Path, test: &str) -> Self {
        let dir = dir.join(TEMPORARY);
        std::fs::create_dir(&dir).expect("made");
        Self::of(&dir, test).await
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// SIGKILL: it cannot stop its servers.
    pub fn kill(&mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("reaped");
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
