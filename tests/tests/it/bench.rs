//! `valet bench`: every scenario in a small size, with processes of its own, adds up in the database; and a history that was filled
//! is one that an engine goes on in.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::process::Command;
use tokio::time::timeout;

use super::PROGRAM;

/// A small round, on a machine that does much else.
const ONE_MAX: Duration = Duration::from_mins(2);

async fn bench(folder: &Path, arguments: &[&str]) -> Value {
    let mut command = Command::new(PROGRAM);
    command.args(["bench", "--json"]).args(arguments).current_dir(folder).stdin(Stdio::null()).kill_on_drop(true);
    for name in ["VALET_URL", "VALET_CONFIG", "VALET_DATABASE_URL", "VALET_REDIS_URL"] {
        command.env_remove(name);
    }
    let ended = timeout(ONE_MAX, command.output()).await.unwrap_or_else(|_| panic!("{arguments:?} hangs"));
    let output = ended.expect("the program starts");
    let (told, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{arguments:?}: {}: {told}{errors}", output.status);
    let last = told.lines().last().unwrap_or_default();
    let found: Value = serde_json::from_str(last).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {told}"));
    assert_eq!((&found["scenario"], &found["db_check"]), (&Value::from(arguments[0]), &Value::from("ok")));
    assert_eq!(found["settings"]["fsync"], "on", "nothing is traded for speed");
    found
}

fn figure(found: &Value, name: &str) -> f64 {
    found[name].as_f64().unwrap_or_else(|| panic!("{name} is missing: {found}"))
}

#[tokio::test]
async fn a_filled_history_is_one_that_an_engine_goes_on_in() {
    let folder = tempfile::tempdir().expect("a folder");
    let kept = folder.path().join("kept");
    let kept = kept.to_str().expect("UTF-8");
    let seeded = bench(folder.path(), &["seed", "--finished", "12000", "--weeks", "3", "--keep", kept]).await;
    assert!(figure(&seeded, "bytes_per_run") > 300.0, "{seeded}");
    assert!(figure(&seeded["latency_ms"], "p99") > 0.0, "pages of the list were read");
    let measured = bench(folder.path(), &["steps", "--runs", "100", "--rounds", "1", "--dir", kept]).await;
    assert!(figure(&measured, "claimed") >= 100.0, "each run's first step is claimed: {measured}");
}

#[tokio::test]
async fn a_step_is_handed_over_unless_that_is_left_out() {
    let folder = tempfile::tempdir().expect("a folder");
    let small = ["steps", "--runs", "100", "--rounds", "1"];
    let with = bench(folder.path(), &small).await;
    // A claim that was refused counts too.
    assert!((100.0..200.0).contains(&figure(&with, "claimed")) && figure(&with, "handed_over") > 300.0, "{with}");
    let without = bench(folder.path(), &[&small[..], &["--no-hand-over"]].concat()).await;
    assert!(figure(&without, "claimed") >= 500.0 && figure(&without, "handed_over") <= 0.0, "{without}");
    assert!(figure(&with, "statements_per_step") > 0.0 && figure(&with, "wal_bytes_per_step") > 0.0, "{with}");
}

#[tokio::test]
async fn crowds_keys_and_triggers_add_up() {
    let folder = tempfile::tempdir().expect("a folder");
    let crowd = bench(folder.path(), &["fanout", "--runs", "300"]).await;
    assert!(figure(&crowd, "start_s") > 0.0);
    let keyed = bench(folder.path(), &["keyed", "--runs", "200", "--keys", "50", "--rounds", "1"]).await;
    assert!(figure(&keyed, "children") > 50.0, "{keyed}");
    let api = bench(folder.path(), &["api", "--runs", "200", "--conns", "4", "--rounds", "1"]).await;
    assert!(figure(&api["latency_ms"], "p50") > 0.0);
    let limits = bench(folder.path(), &["limits", "--runs", "200", "--keys", "10", "--rounds", "1"]).await;
    assert!(figure(&limits, "runs_per_s_of_one_key") > 0.0 && figure(&limits["latency_ms"], "p99") > 0.0, "{limits}");
}

#[tokio::test]
async fn waiting_runs_and_a_backlog_survive_what_is_done_to_them() {
    let folder = tempfile::tempdir().expect("a folder");
    let parked = bench(folder.path(), &["parked", "--runs", "200"]).await;
    assert!(figure(&parked, "recover_s") > 0.0 && figure(&parked, "release_s") > 0.0);
    let backlog = bench(folder.path(), &["backlog", "--runs", "5000"]).await;
    assert!(figure(&backlog, "pause_s") <= 0.0, "nothing is granted after a pause was answered: {backlog}");
}

#[tokio::test]
async fn work_goes_on_after_a_worker_and_an_engine_are_killed() {
    let folder = tempfile::tempdir().expect("a folder");
    let found = bench(folder.path(), &["recovery", "--runs", "10", "--rounds", "1"]).await;
    // A lease is 8 s; more than that is the machine.
    assert!(figure(&found, "worker_recover_s") <= 20.0, "a successor begins when the lease has ended: {found}");
}

#[tokio::test]
async fn what_cannot_be_measured_is_refused_with_the_way_out() {
    let output = Command::new(PROGRAM)
        .args(["bench", "parked", "--runs", "1"])
        .env("VALET_URL", "http://127.0.0.1:9")
        .output()
        .await
        .expect("the program starts");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(told.contains("unset VALET_URL"), "{told}");
}
