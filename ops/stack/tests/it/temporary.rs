//! Stacks that live as long as a test.

use std::fs::File;
use std::path::PathBuf;
use std::time::Duration;

use valet_stack::Stack;

use super::owner::{self, Owner};
use super::probe;

#[tokio::test]
async fn a_temporary_stack_leaves_nothing() {
    // On another task, as harnesses do.
    let started = tokio::spawn(Stack::temporary(false)).await.expect("no panic");
    let stack = started.expect("the stack starts");
    assert_eq!(probe::text(stack.database_url(), "SHOW fsync").await, "off");
    let pids = stack.pids();
    let dir = place_of(pids.redis.expect("it runs"));
    assert!(dir.exists());
    drop(stack);
    assert!(!probe::runs(pids.postgres.expect("it ran")) && !probe::runs(pids.redis.expect("it ran")));
    assert!(!dir.exists());
}

/// They begin with the same data, which were made once, and go ways of their own.
#[tokio::test]
async fn temporary_stacks_are_copies_that_know_nothing_of_each_other() {
    let one = Stack::temporary(false).await.expect("the stack starts");
    let other = Stack::temporary(false).await.expect("the stack starts");
    let made = async |stack: &Stack| {
        probe::text(
            stack.admin_url().expect("it is private"),
            "SELECT system_identifier::text FROM pg_control_system()",
        )
        .await
    };
    assert_eq!(made(&one).await, made(&other).await, "both are copies of one template");
    probe::run(one.database_url(), "CREATE TABLE mine (id int)").await;
    let sees = "SELECT count(*)::text FROM pg_tables WHERE tablename = 'mine'";
    assert_eq!(probe::text(other.database_url(), sees).await, "0");
    let password = |stack: &Stack| stack.redis_url().split_once('@').expect("a password").0.to_owned();
    assert_ne!(password(&one), password(&other), "a port that changes hands leads nobody to another's Redis");
    let durable = Stack::temporary(true).await.expect("the stack starts");
    assert_ne!(made(&one).await, made(&durable).await, "what is to last is made by itself");
    for stack in [one, other, durable] {
        stack.stop().await.expect("the stack stops");
    }
}

#[tokio::test]
async fn what_a_killed_test_left_is_cleared_by_a_later_one() {
    owner::stand_in().await;
    let dir = probe::open_dir();
    let mut owner =
        Owner::of_temporary(dir.path(), "it::temporary::what_a_killed_test_left_is_cleared_by_a_later_one").await;
    let place = place_of(owner.pids.redis.expect("told"));
    age(&place);
    let while_it_lives = Stack::temporary(false).await.expect("the stack starts");
    assert!(probe::runs(owner.pids.postgres.expect("told")), "its owner lives");
    while_it_lives.stop().await.expect("the stack stops");

    owner.kill();
    let later = Stack::temporary(false).await.expect("the stack starts");
    assert!(!probe::runs(owner.pids.postgres.expect("told")));
    assert!(!probe::runs(owner.pids.redis.expect("told")));
    assert!(!place.exists());
    later.stop().await.expect("the stack stops");
}

/// The temporary directory of a server: it works in DIR/data/redis.
fn place_of(redis: u32) -> PathBuf {
    let cwd = std::fs::read_link(format!("/proc/{redis}/cwd")).expect("it runs");
    cwd.ancestors().nth(2).expect("deep enough").to_owned()
}

/// Makes the lock look two minutes old.
fn age(place: &std::path::Path) {
    File::options()
        .write(true)
        .open(place.join("data/stack.lock"))
        .and_then(|lock| lock.set_modified(lock.metadata()?.modified()? - Duration::from_mins(2)))
        .expect("aged");
}
