//! Servers that somebody else runs.

use valet_stack::{Pids, Provide, Server, Stack, StackConfig, StackError};

use super::probe;

#[tokio::test]
async fn external_servers_are_used_and_left_alone() {
    let theirs = Stack::temporary(false).await.expect("the stack starts");
    let dir = probe::open_dir();
    let ours = Stack::start(StackConfig {
        postgres: Provide::External(theirs.database_url().to_owned()),
        redis: Provide::External(theirs.redis_url().to_owned()),
        ..probe::config(dir.path())
    })
    .await
    .expect("the stack starts");
    assert_eq!(ours.versions(), theirs.versions());
    assert_eq!(ours.pids(), Pids { postgres: None, redis: None });
    let own = ours.create_database("own").await.expect("made");
    assert_eq!(probe::text(&own, "SELECT current_database()::text").await, "own");
    assert!(matches!(ours.restart_redis().await, Err(StackError::NotOurs { server: Server::Redis })));
    assert!(matches!(ours.stop_postgres().await, Err(StackError::NotOurs { server: Server::Postgres })));
    ours.stop().await.expect("the stack stops");
    drop(ours);
    assert!(!dir.path().join("valet").exists(), "nothing private, no directory");
    assert_eq!(probe::redis::<String>(theirs.redis_url(), &["PING"]).await.expect("answers"), "PONG");
    assert_eq!(probe::text(theirs.database_url(), "SELECT 'yes'").await, "yes");
    theirs.stop().await.expect("the stack stops");
}

#[tokio::test]
async fn an_external_server_beside_a_private_one() {
    let theirs = Stack::temporary(false).await.expect("the stack starts");
    let dir = probe::open_dir();
    let ours = Stack::start(StackConfig {
        redis: Provide::External(theirs.redis_url().to_owned()),
        ..probe::config(dir.path())
    })
    .await
    .expect("the stack starts");
    assert!(ours.pids().postgres.is_some() && ours.pids().redis.is_none());
    ours.stop().await.expect("the stack stops");
    theirs.stop().await.expect("the stack stops");
}

#[tokio::test]
async fn an_external_server_that_is_silent_is_named_without_its_password() {
    let dir = probe::open_dir();
    let refused = Stack::start(StackConfig {
        postgres: Provide::External(String::from("postgres://valet:hush@127.0.0.1:1/valet")),
        ..probe::config(dir.path())
    })
    .await
    .expect_err("nothing listens there");
    assert!(matches!(refused, StackError::ExternalSilent { server: Server::Postgres, .. }));
    let text = refused.to_string();
    assert!(text.contains("VALET_DATABASE_URL") && !text.contains("hush"), "{text}");
}
