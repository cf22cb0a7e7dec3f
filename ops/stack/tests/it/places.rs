//! Awkward directories, and the user that the servers run as.

use std::os::unix::fs::{MetadataExt, PermissionsExt};

use nix::unistd::geteuid;
use valet_stack::{Stack, StackConfig};

use super::probe;

#[tokio::test]
async fn a_path_with_spaces_quotes_and_commas_works() {
    let dir = probe::open_dir();
    let odd = dir.path().join("it's a \"checkout\", 100% ü\\x");
    std::fs::create_dir(&odd).expect("made");
    let stack = probe::start(&odd).await;
    assert_eq!(probe::text(stack.database_url(), "SELECT 'yes'").await, "yes");
    assert_eq!(probe::redis::<String>(stack.redis_url(), &["PING"]).await.expect("answers"), "PONG");
    stack.stop().await.expect("the stack stops");
    probe::start(&odd).await.stop().await.expect("the stack stops");
}

#[tokio::test]
async fn a_path_too_long_for_a_socket_gets_a_short_directory_that_is_private_and_removed() {
    let dir = probe::open_dir();
    let deep = dir.path().join("d".repeat(120));
    std::fs::create_dir(&deep).expect("made");
    let stack = probe::start(&deep).await;
    let url = stack.database_url();
    assert_eq!(probe::text(url, "SELECT 'yes'").await, "yes");
    let socket = url.split("host=").nth(1).and_then(|rest| rest.split('&').next()).expect("a socket");
    assert!(!socket.starts_with(deep.to_str().expect("UTF-8")));
    let found = std::fs::symlink_metadata(socket).expect("it is there");
    assert_eq!(found.permissions().mode() & 0o777, 0o700);
    assert_eq!(found.uid().to_string(), uid_of(stack.pids().postgres.expect("it runs")));
    let socket = socket.to_owned();
    stack.stop().await.expect("the stack stops");
    assert!(!std::path::Path::new(&socket).exists());
}

#[tokio::test]
async fn the_servers_never_run_as_root_and_hold_no_groups_of_it() {
    let dir = probe::open_dir();
    let stack = probe::start(dir.path()).await;
    let pids = stack.pids();
    for pid in [pids.postgres.expect("it runs"), pids.redis.expect("it runs")] {
        let uid = uid_of(pid);
        if geteuid().is_root() {
            assert_ne!(uid, "0");
            assert_eq!(probe::status(pid, "Groups").expect("it runs"), "");
            assert_eq!(probe::status(pid, "CapEff").expect("it runs"), "0000000000000000");
        } else {
            assert_eq!(uid, geteuid().to_string());
        }
    }
    stack.stop().await.expect("the stack stops");
}

#[tokio::test]
async fn the_passwords_are_readable_by_their_owner_only() {
    let dir = probe::open_dir();
    let stack = probe::start(dir.path()).await;
    let home = probe::home(dir.path());
    for name in ["secrets.json", "redis.conf", "stack.lock", "stack.json"] {
        let mode = std::fs::metadata(home.join(name)).expect(name).permissions().mode();
        assert_eq!(mode & 0o077, 0, "{name}");
    }
    for name in ["postgres", "redis", "run", "log"] {
        let mode = std::fs::metadata(home.join(name)).expect(name).permissions().mode();
        assert_eq!(mode & 0o077, 0, "{name}");
    }
    assert!(!home.join("initdb-password").exists());
    assert!(!format!("{stack:?}").contains(stack.redis_url()));
    stack.stop().await.expect("the stack stops");
}

#[tokio::test]
async fn a_closed_home_folder_is_left_for_a_place_the_servers_can_reach() {
    let closed = probe::dir_of_mode(0o700);
    let reachable = probe::open_dir();
    let config = || StackConfig { closed_home_root: reachable.path().join("valet"), ..probe::config(closed.path()) };
    let stack = Stack::start(config()).await.expect("the stack starts");
    probe::run(stack.database_url(), "CREATE TABLE kept AS SELECT 'still here' AS what").await;
    stack.stop().await.expect("the stack stops");

    let entry = closed.path().join("valet/data");
    let is_link = std::fs::symlink_metadata(&entry).expect("there").is_symlink();
    // Its owner can reach it when the servers run as that owner.
    assert_eq!(is_link, geteuid().is_root());
    if is_link {
        let place = std::fs::canonicalize(&entry).expect("it leads somewhere");
        assert!(place.starts_with(reachable.path().canonicalize().expect("there")));
    }
    let again = Stack::start(config()).await.expect("the stack starts");
    assert_eq!(probe::text(again.database_url(), "SELECT what FROM kept").await, "still here");
    again.stop().await.expect("the stack stops");
}

fn uid_of(pid: u32) -> String {
    let line = probe::status(pid, "Uid").expect("it runs");
    line.split_whitespace().next().expect("a uid").to_owned()
}
