//! Migrations may run again, and several processes may run them at once.

use futures::future::join_all;
use valet_engine::store::postgres::{migrate, schema_state};

use super::database;

async fn applied(url: &str) -> i64 {
    let count = "SELECT count(*) FROM _sqlx_migrations WHERE success";
    sqlx::query_scalar(count).fetch_one(&mut database::connect(url).await).await.expect("a count")
}

async fn shards(url: &str) -> i64 {
    let count = "SELECT count(*) FROM shards";
    sqlx::query_scalar(count).fetch_one(&mut database::connect(url).await).await.expect("a count")
}

#[tokio::test]
async fn migrating_twice_changes_nothing() {
    let url = database::empty().await;
    migrate(&url).await.expect("the first");
    let (before, rows) = (applied(&url).await, shards(&url).await);
    migrate(&url).await.expect("the second");
    assert_eq!((applied(&url).await, shards(&url).await), (before, rows));
    assert_eq!(rows, i64::from(valet_core::id::SHARDS));
}

#[tokio::test]
async fn what_is_to_be_applied_is_told_without_applying_it() {
    let url = database::empty().await;
    let all = schema_state(&url).await.expect("an empty one").pending;
    assert_eq!(schema_state(&url).await.expect("still empty").pending, all, "looking changes nothing");
    migrate(&url).await.expect("migrated");
    let state = schema_state(&url).await.expect("a state");
    assert_eq!((state.pending, state.unknown), (0, 0));
    assert_eq!(i64::try_from(all).expect("few"), applied(&url).await);
    assert!(state.server_major >= 15 && state.server_version.starts_with(&state.server_major.to_string()), "{state:?}");

    let newer = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) VALUES (99999999999999, 'later', true, '', 0)";
    sqlx::query(newer).execute(&mut database::connect(&url).await).await.expect("a later build's");
    sqlx::query("DELETE FROM _sqlx_migrations WHERE version = (SELECT min(version) FROM _sqlx_migrations)")
        .execute(&mut database::connect(&url).await)
        .await
        .expect("one less");
    let state = schema_state(&url).await.expect("a state");
    assert_eq!((state.pending, state.unknown), (1, 1));
}

#[tokio::test]
async fn eight_processes_may_migrate_at_once() {
    let url = database::empty().await;
    for done in join_all((0..8).map(|_| migrate(&url))).await {
        done.expect("none of them fails");
    }
    assert_eq!(shards(&url).await, i64::from(valet_core::id::SHARDS));
}

/// Two engines that start at once both want the partitions of this week.
#[tokio::test]
async fn a_weeks_partitions_are_made_once_by_many() {
    let url = database::migrated().await;
    let made = join_all((0..8).map(|_| async {
        let mut connection = database::connect(&url).await;
        sqlx::query("SELECT ensure_week(2000), ensure_week(2001)").execute(&mut connection).await
    }));
    for done in made.await {
        done.expect("none of them fails");
    }
    let count = "SELECT count(*) FROM pg_inherits WHERE inhparent IN ('journal'::regclass, 'finished_runs'::regclass)";
    let partitions: i64 = sqlx::query_scalar(count).fetch_one(&mut database::connect(&url).await).await.expect("count");
    assert_eq!(partitions, 4);
}
