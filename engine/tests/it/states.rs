//! The schema's checks repeat the core's states: neither can name a state that the other does not know.

use std::collections::BTreeSet;

use valet_core::Timestamp;
use valet_core::run::Status;
use valet_core::transition::StepState;

use super::database;

/// Every status. The match makes a new one a compile error here.
fn statuses() -> Vec<Status> {
    let all = [
        Status::Queued,
        Status::Running,
        Status::Waiting,
        Status::Closing,
        Status::Stuck,
        Status::Succeeded,
        Status::Failed,
        Status::Cancelled,
        Status::TimedOut,
    ];
    for status in all {
        match status {
            Status::Queued
            | Status::Running
            | Status::Waiting
            | Status::Closing
            | Status::Stuck
            | Status::Succeeded
            | Status::Failed
            | Status::Cancelled
            | Status::TimedOut => {}
        }
    }
    all.to_vec()
}

fn step_states() -> Vec<StepState> {
    let all = [
        StepState::Ready,
        StepState::Blocked,
        StepState::Running,
        StepState::Stopping,
        StepState::BackingOff(Timestamp::MIN_UTC),
        StepState::Parked,
    ];
    for state in all {
        match state {
            StepState::Ready
            | StepState::Blocked
            | StepState::Running
            | StepState::Stopping
            | StepState::BackingOff(_)
            | StepState::Parked => {}
        }
    }
    all.to_vec()
}

/// The words that a table's check on one column allows.
async fn allowed(url: &str, table: &str, column: &str) -> BTreeSet<String> {
    let find = "SELECT pg_get_constraintdef(c.oid) FROM pg_constraint c \
                WHERE c.conrelid = $1::regclass AND c.contype = 'c' AND c.conname = $2";
    let definition: String = sqlx::query_scalar(find)
        .bind(table)
        .bind(format!("{table}_{column}_check"))
        .fetch_one(&mut database::connect(url).await)
        .await
        .expect("a check");
    definition.split('\'').skip(1).step_by(2).map(ToOwned::to_owned).collect()
}

fn words<T>(all: impl IntoIterator<Item = T>, word: impl Fn(T) -> &'static str) -> BTreeSet<String> {
    all.into_iter().map(|one| word(one).to_owned()).collect()
}

#[tokio::test]
async fn live_and_finished_runs_take_just_the_cores_statuses() {
    let url = database::migrated().await;
    let (ended, live): (Vec<_>, Vec<_>) = statuses().into_iter().partition(|status| status.is_terminal());
    assert_eq!(allowed(&url, "runs", "status").await, words(live, Status::as_str));
    assert_eq!(allowed(&url, "finished_runs", "status").await, words(ended, Status::as_str));
}

#[tokio::test]
async fn steps_take_just_the_cores_states() {
    let url = database::migrated().await;
    assert_eq!(allowed(&url, "steps", "state").await, words(step_states(), StepState::as_str));
}

/// What no state may be without: the checks beside the words.
#[tokio::test]
async fn a_state_carries_the_data_that_only_it_has() {
    let url = database::migrated().await;
    let step = |state: &str, lease: &str, session: &str| {
        format!(
            "INSERT INTO steps (run_id, seq, shard, tenant, subject, workflow, name, queue, priority, state, attempt, \
             revision, gated, effect_once, timeout_ms, available_at, lease_id, session_id) VALUES (gen_random_uuid(), \
             1, 0, 't', 's', 'w', 'n', 'q', 0, '{state}', 1, 1, false, false, 1, now(), {lease}, {session})"
        )
    };
    let task = |state: &str, claimed_by: &str, ended_at: &str| {
        format!(
            "INSERT INTO human_tasks (id, run_id, seq, tenant, subject, workflow, state, reason, body, deadline, \
             opened_at, claimed_by, ended_at) VALUES (gen_random_uuid(), gen_random_uuid(), 1, 't', 's', 'w', \
             '{state}', 'r', '', now(), now(), {claimed_by}, {ended_at})"
        )
    };
    let id = "gen_random_uuid()";
    let cases = [
        (step("ready", "NULL", "NULL"), true),
        (step("ready", id, id), false),
        (step("running", "NULL", "NULL"), false),
        (step("running", id, "NULL"), false),
        (step("running", id, id), true),
        (step("stopping", "NULL", "NULL"), false),
        (step("stopping", id, id), true),
        (step("backing_off", id, id), false),
        (step("parked", id, id), false),
        (step("succeeded", "NULL", "NULL"), false),
        (task("open", "NULL", "NULL"), true),
        (task("open", "NULL", "now()"), false),
        (task("claimed", "NULL", "NULL"), false),
        (task("claimed", "'ada'", "NULL"), true),
        (task("answered", "NULL", "NULL"), false),
        (task("answered", "NULL", "now()"), true),
        (task("done", "NULL", "now()"), false),
    ];
    let mut connection = database::connect(&url).await;
    for (statement, fits) in cases {
        let told = sqlx::query(sqlx::AssertSqlSafe(statement.clone())).execute(&mut connection).await;
        assert_eq!(told.is_ok(), fits, "{statement}: {told:?}");
    }
}

#[tokio::test]
async fn human_tasks_take_just_the_documented_states() {
    let url = database::migrated().await;
    let documented = ["open", "claimed", "answered", "rejected", "timed_out", "cancelled"];
    assert_eq!(allowed(&url, "human_tasks", "state").await, words(documented, |word| word));
}
