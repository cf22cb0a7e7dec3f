//! What a killed owner leaves, and owners that live.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use valet_stack::{Stack, StackConfig, StackError};

use super::owner::{self, Owner};
use super::probe;

#[tokio::test]
async fn a_second_start_is_refused_and_names_the_owner() {
    owner::stand_in().await;
    let dir = probe::open_dir();
    let owner = Owner::of(dir.path(), "it::leftovers::a_second_start_is_refused_and_names_the_owner").await;
    let refused = Stack::start(probe::config(dir.path())).await.expect_err("refused");
    assert!(matches!(refused, StackError::Held { pid, .. } if pid == owner.pid()), "{refused}");
    assert!(probe::runs(owner.pids.postgres.expect("told")));
    clear_after(owner, dir.path()).await;
}

#[tokio::test]
async fn the_servers_of_a_killed_owner_are_adopted() {
    owner::stand_in().await;
    let dir = probe::open_dir();
    let mut owner = Owner::of(dir.path(), "it::leftovers::the_servers_of_a_killed_owner_are_adopted").await;
    owner.kill();
    let stack = probe::start(dir.path()).await;
    assert!(stack.adopted().postgres && stack.adopted().redis);
    assert_eq!(stack.pids(), owner.pids);
    assert_eq!(probe::text(stack.database_url(), "SELECT 'yes'").await, "yes");
    stack.restart_redis().await.expect("an adopted server can be restarted");
    let pids = stack.pids();
    stack.stop().await.expect("the stack stops");
    assert!(!probe::runs(pids.postgres.expect("it ran")) && !probe::runs(pids.redis.expect("it ran")));
}

#[tokio::test]
async fn leftovers_that_hang_are_replaced() {
    owner::stand_in().await;
    let dir = probe::open_dir();
    let mut owner = Owner::of(dir.path(), "it::leftovers::leftovers_that_hang_are_replaced").await;
    owner.kill();
    let hanging = [owner.pids.postgres.expect("told"), owner.pids.redis.expect("told")];
    // The kernel still accepts connections for a stopped process, which then never answers.
    for pid in hanging {
        kill(Pid::from_raw(pid as i32), Signal::SIGSTOP).expect("stopped");
    }
    let stack = probe::start(dir.path()).await;
    assert!(!stack.adopted().redis && !stack.adopted().postgres);
    assert!(hanging.iter().all(|&pid| !probe::runs(pid)));
    assert_eq!(probe::redis::<String>(stack.redis_url(), &["PING"]).await.expect("answers"), "PONG");
    assert_eq!(probe::text(stack.database_url(), "SELECT 'yes'").await, "yes");
    stack.stop().await.expect("the stack stops");
}

#[tokio::test]
async fn leftovers_are_found_without_the_state_file() {
    owner::stand_in().await;
    let dir = probe::open_dir();
    let mut owner = Owner::of(dir.path(), "it::leftovers::leftovers_are_found_without_the_state_file").await;
    owner.kill();
    std::fs::remove_file(probe::home(dir.path()).join("stack.json")).expect("removed");
    let stack = probe::start(dir.path()).await;
    assert!(!stack.adopted().postgres && !stack.adopted().redis);
    assert!(!probe::runs(owner.pids.postgres.expect("told")));
    assert!(!probe::runs(owner.pids.redis.expect("told")));
    assert_eq!(probe::text(stack.database_url(), "SELECT 'yes'").await, "yes");
    stack.stop().await.expect("the stack stops");
}

#[tokio::test]
async fn leftovers_with_other_settings_are_replaced() {
    owner::stand_in().await;
    let dir = probe::open_dir();
    let mut owner = Owner::of(dir.path(), "it::leftovers::leftovers_with_other_settings_are_replaced").await;
    owner.kill();
    let stack = Stack::start(StackConfig { shared_buffers_mb: 48, ..probe::config(dir.path()) })
        .await
        .expect("the stack starts");
    assert!(!stack.adopted().postgres && stack.adopted().redis);
    assert_eq!(probe::text(stack.database_url(), "SHOW shared_buffers").await, "48MB");
    stack.stop().await.expect("the stack stops");
}

#[tokio::test]
async fn a_lock_file_that_names_an_unrelated_process_does_not_stop_postgres() {
    let dir = probe::open_dir();
    probe::start(dir.path()).await.stop().await.expect("the stack stops");
    // Postgres looks whether the pid in this file runs, and this test does.
    let data = probe::home(dir.path()).join("postgres");
    let text = format!("{}\n{}\n1\n5432\n", std::process::id(), data.display());
    std::fs::write(data.join("postmaster.pid"), text).expect("written");
    let stack = probe::start(dir.path()).await;
    assert_eq!(probe::text(stack.database_url(), "SELECT 'yes'").await, "yes");
    stack.stop().await.expect("the stack stops");
}

/// Ends an owner and what it leaves.
async fn clear_after(mut owner: Owner, dir: &std::path::Path) {
    owner.kill();
    probe::start(dir).await.stop().await.expect("the stack stops");
}
