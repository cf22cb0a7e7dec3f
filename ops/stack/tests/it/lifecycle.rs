//! Start, stop, start again.

use std::collections::BTreeMap;

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getpgid};
use valet_stack::{Pids, Stack, StackConfig};

use super::probe;

#[tokio::test]
async fn a_started_stack_answers_with_the_settings_it_promises() {
    let dir = probe::open_dir();
    let stack =
        Stack::start(StackConfig { durable: true, ..probe::config(dir.path()) }).await.expect("the stack starts");
    let url = stack.database_url();
    for (setting, wanted) in [
        ("fsync", "on"),
        ("synchronous_commit", "on"),
        ("full_page_writes", "on"),
        ("data_checksums", "on"),
        ("server_encoding", "UTF8"),
        ("lc_collate", "C.UTF-8"),
        ("listen_addresses", ""),
        ("shared_buffers", "32MB"),
        ("max_connections", "200"),
        ("jit", "off"),
        ("TimeZone", "UTC"),
    ] {
        let sql = match setting {
            "lc_collate" => String::from("SELECT datcollate FROM pg_database WHERE datname = current_database()"),
            _ => format!("SHOW {setting}"),
        };
        assert_eq!(probe::text(url, &sql).await, wanted, "{setting}");
    }
    let rights = "SELECT rolsuper::text || rolcreatedb::text FROM pg_roles WHERE rolname = current_user";
    assert_eq!(probe::text(url, rights).await, "falsetrue");
    for (setting, wanted) in [
        ("save", ""),
        ("appendonly", "no"),
        ("maxmemory-policy", "noeviction"),
        ("maxmemory", "536870912"),
        ("bind", "127.0.0.1"),
    ] {
        let found: BTreeMap<String, String> =
            probe::redis(stack.redis_url(), &["CONFIG", "GET", setting]).await.expect("Redis answers");
        assert_eq!(found[setting], wanted, "{setting}");
    }
    let versions = stack.versions();
    assert!(probe::text(url, "SHOW server_version").await.starts_with(&versions.postgres));
    assert!(versions.redis.split('.').count() == 3, "{}", versions.redis);
    stack.stop().await.expect("the stack stops");
}

#[tokio::test]
async fn data_survive_a_stop_and_the_addresses_stay() {
    let dir = probe::open_dir();
    let first = probe::start(dir.path()).await;
    let (database, redis) = (first.database_url().to_owned(), first.redis_url().to_owned());
    probe::run(&database, "CREATE TABLE kept AS SELECT 'still here' AS what").await;
    first.stop().await.expect("the stack stops");
    drop(first);

    let second = probe::start(dir.path()).await;
    assert!(!second.adopted().postgres && !second.adopted().redis);
    assert_eq!(second.database_url(), database);
    assert_eq!(second.redis_url(), redis);
    assert_eq!(probe::text(&database, "SELECT what FROM kept").await, "still here");
    second.stop().await.expect("the stack stops");
}

#[tokio::test]
async fn stopping_ends_both_servers_and_frees_the_directory() {
    let dir = probe::open_dir();
    let stack = probe::start(dir.path()).await;
    let pids = both(stack.pids());
    stack.stop().await.expect("the stack stops");
    assert!(pids.iter().all(|&pid| !probe::runs(pid)));
    assert_eq!(stack.pids(), Pids { postgres: None, redis: None });
    stack.stop().await.expect("a second stop does nothing");
    // The stopped stack still exists, and yet another may take its place.
    probe::start(dir.path()).await.stop().await.expect("the stack stops");
}

#[tokio::test]
async fn dropping_ends_both_servers() {
    let dir = probe::open_dir();
    let stack = probe::start(dir.path()).await;
    let pids = both(stack.pids());
    drop(stack);
    assert!(pids.iter().all(|&pid| !probe::runs(pid)));
}

#[tokio::test]
async fn redis_comes_back_empty_at_its_address_while_postgres_stays() {
    let dir = probe::open_dir();
    let stack = probe::start(dir.path()).await;
    let before = stack.pids();
    let url = stack.redis_url();
    let _: () = probe::redis(url, &["SET", "ticket", "1"]).await.expect("set");
    stack.restart_redis().await.expect("Redis restarts");
    let left: Option<String> = probe::redis(url, &["GET", "ticket"]).await.expect("got");
    assert_eq!(left, None);
    let after = stack.pids();
    assert_eq!(after.postgres, before.postgres);
    assert_ne!(after.redis, before.redis);

    stack.stop_redis().await.expect("Redis stops");
    assert!(probe::redis::<String>(url, &["PING"]).await.is_err());
    stack.start_redis().await.expect("Redis starts");
    stack.start_redis().await.expect("a second start does nothing");
    assert_eq!(probe::redis::<String>(url, &["PING"]).await.expect("answers"), "PONG");
    stack.stop().await.expect("the stack stops");
}

#[tokio::test]
async fn postgres_comes_back_with_its_data_after_a_stop_and_after_a_kill() {
    let dir = probe::open_dir();
    let stack = probe::start(dir.path()).await;
    let url = stack.database_url();
    probe::run(url, "CREATE TABLE kept AS SELECT 'still here' AS what").await;
    stack.stop_postgres().await.expect("Postgres stops");
    assert!(stack.pids().postgres.is_none());
    stack.start_postgres().await.expect("Postgres starts");
    assert_eq!(probe::text(url, "SELECT what FROM kept").await, "still here");

    let pid = stack.pids().postgres.expect("it runs");
    kill(Pid::from_raw(pid as i32), Signal::SIGKILL).expect("killed");
    probe::until("the killed server is missed", || stack.pids().postgres.is_none()).await;
    stack.start_postgres().await.expect("Postgres starts");
    assert_eq!(probe::text(url, "SELECT what FROM kept").await, "still here");
    stack.stop().await.expect("the stack stops");
}

#[tokio::test]
async fn tcp_is_there_when_asked_for_and_asks_for_the_password() {
    let dir = probe::open_dir();
    let stack =
        Stack::start(StackConfig { postgres_tcp: true, ..probe::config(dir.path()) }).await.expect("the stack starts");
    let tcp = stack.database_url_tcp().expect("asked for");
    let ask = "SELECT host(inet_server_addr())";
    assert_eq!(probe::text(tcp, ask).await, "127.0.0.1");
    assert_eq!(
        probe::text(stack.database_url(), "SELECT coalesce(host(inet_server_addr()), 'socket')").await,
        "socket"
    );
    let password = tcp.split([':', '@']).nth(2).expect("a password");
    for url in [tcp, stack.database_url()] {
        let wrong = url.replace(password, "guess");
        assert_ne!(wrong, url);
        let refused = <sqlx::PgConnection as sqlx::Connection>::connect(&wrong).await;
        let error = refused.expect_err("refused").to_string();
        assert!(error.contains("password authentication failed"), "{error}");
    }
    let without = stack.redis_url().replace(stack.redis_url().split([':', '@']).nth(2).expect("a password"), "");
    assert!(probe::redis::<String>(&without, &["PING"]).await.is_err());
    stack.stop().await.expect("the stack stops");
}

#[tokio::test]
async fn a_ctrl_c_in_the_terminal_does_not_reach_the_servers() {
    let dir = probe::open_dir();
    let stack = probe::start(dir.path()).await;
    let own = getpgid(None).expect("a group");
    for pid in both(stack.pids()) {
        assert_ne!(getpgid(Some(Pid::from_raw(pid as i32))).expect("a group"), own);
    }
    stack.stop().await.expect("the stack stops");
}

fn both(pids: Pids) -> [u32; 2] {
    [pids.postgres.expect("it runs"), pids.redis.expect("it runs")]
}
