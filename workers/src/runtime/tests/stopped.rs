//! A process that is stopped by the system for longer than its lease notices before it acts.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::engine::Engine;
use super::rig::{Door, Work, config, start_with, work};
use crate::runtime::{Handlers, StepContext};

/// Half of a lease this short is how far the worker may go after a heartbeat.
const LEASE: Duration = Duration::from_secs(2);
const CHILD: &str = "runtime::tests::stopped::the_process_that_is_stopped";

#[test]
fn a_process_that_was_stopped_for_longer_than_its_lease_notices_before_it_acts() {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([CHILD, "--exact", "--ignored", "--nocapture"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let pid = Pid::from_raw(child.id() as i32);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.any(|line| line.ends_with("acting")), "the step never began");
    kill(pid, Signal::SIGSTOP).unwrap();
    // The stop itself is what is tested: it lasts longer than the lease.
    std::thread::sleep(LEASE);
    kill(pid, Signal::SIGCONT).unwrap();
    let said: Vec<String> = lines.filter(|line| line.starts_with("halted") || line.starts_with("late")).collect();
    assert!(child.wait().unwrap().success());
    assert_eq!(said, ["halted"]);
}

/// Acts all the time without ever yielding to the runtime, so that no timer could tell it anything.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the other test runs it in a process of its own"]
async fn the_process_that_is_stopped() {
    let engine = Engine::new();
    {
        let mut state = engine.state.lock();
        (state.lease_ms, state.heartbeat_ms) = (LEASE.as_millis() as u64, 200);
    }
    let door = Door::new("http://one", &engine);
    let cut = Arc::clone(&door);
    let (say, mut hear) = tokio::sync::watch::channel("");
    let handlers = Handlers::new().on(move |ctx: StepContext, step: Work| {
        // From here on no heartbeat is answered.
        cut.set_away(true);
        let say = say.clone();
        async move {
            let began = Instant::now();
            println!("\nacting");
            let end = loop {
                let now = Instant::now();
                match ctx.check() {
                    Ok(()) if now - began > LEASE / 2 => break "late",
                    Ok(()) => std::thread::sleep(Duration::from_millis(1)),
                    Err(_) => break "halted",
                }
            };
            say.send_replace(end);
            Ok(step.n)
        }
    });
    engine.start([work(1)]).await;
    let worker = start_with(config(1), handlers, &engine, std::slice::from_ref(&door));
    println!("{}", *hear.wait_for(|end| !end.is_empty()).await.unwrap());
    worker.task.abort();
}
