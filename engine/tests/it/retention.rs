//! What is old goes, as whole trees; what a live run needs stays, however old.

use std::time::Duration;

use futures::future::join_all;
use serde_json::json;
use valet_engine::retention::{Removed, Retention};

use super::app::TestApp;
use super::calls::{Call, WORKER};
use super::database::{self, until, until_within};
use super::worker::{Worker, bare};

const KEPT: Duration = Duration::from_hours(24 * 30);
/// A week long ago.
const OLD_WEEK: u16 = 2_000;

impl TestApp {
    fn retention(&self) -> Retention {
        Retention { engine: self.engine.clone(), blobs: self.app.blobs.clone(), kept: KEPT }
    }

    async fn look(&self) -> Removed {
        self.retention().look().await.expect("a look")
    }

    async fn sql(&self, text: &str) {
        sqlx::raw_sql(sqlx::AssertSqlSafe(text.to_owned())).execute(self.pool()).await.expect("a statement");
    }

    /// As if so many days had passed for what is stored.
    async fn age(&self, days: u32) {
        for (table, columns) in [("runs", ["created_at", "updated_at"]), ("finished_runs", ["created_at", "ended_at"])]
        {
            let [one, other] = columns;
            self.sql(&format!(
                "UPDATE {table} SET {one} = {one} - interval '{days} days', {other} = {other} - interval '{days} days'"
            ))
            .await;
        }
    }

    /// As if all finished runs had begun in [`OLD_WEEK`].
    async fn move_to_old_week(&self) {
        let moved = |column: &str| format!("('{OLD_WEEK:04x}' || substr({column}::text, 5))::uuid");
        self.sql(&format!("SELECT ensure_week({OLD_WEEK})")).await;
        let columns = [
            ("finished_runs", "id"),
            ("finished_runs", "parent_run"),
            ("finished_runs", "root"),
            ("journal", "run_id"),
            ("human_tasks", "run_id"),
            ("blobs", "run_id"),
        ];
        for (table, column) in columns {
            let value = moved(column);
            self.sql(&format!("UPDATE {table} SET {column} = {value} WHERE {column} IS NOT NULL")).await;
        }
    }

    async fn rows(&self, table: &str) -> i64 {
        let count = format!("SELECT count(*) FROM {table}");
        sqlx::query_scalar(sqlx::AssertSqlSafe(count)).fetch_one(self.pool()).await.expect("a count")
    }

    /// Rows of what is kept for runs.
    async fn history(&self) -> Vec<(&'static str, i64)> {
        let mut rows = Vec::new();
        for table in ["finished_runs", "journal", "human_tasks", "blobs"] {
            rows.push((table, self.rows(table).await));
        }
        rows
    }

    /// The one child that listens.
    async fn listener(&self) -> String {
        let find = "SELECT 'run_' || replace(id::text, '-', '') FROM runs WHERE workflow = 'listen'";
        until("the child listens", async || {
            sqlx::query_scalar::<_, String>(find).fetch_optional(self.pool()).await.expect("rows")
        })
        .await
    }

    async fn say_go(&self, run: &str) {
        let signal = Call::post(format!("/api/v1/runs/{run}/signals/go")).json(&json!({ "payload": 1 }));
        self.send(signal).await.expect(204);
    }

    /// A run that asked a person and left an artifact, and has ended.
    async fn run_with_everything(&self) -> String {
        let worker = Worker::open(self).await;
        let run = self.start_run("echo", &json!({ "text": "x" })).await;
        let hold = worker.take(&run, 1, 1).await;
        let blob = format!("/worker/v1/blobs?run={}&seq=1&name=page.txt", bare(&run));
        self.send(Call::post(blob).token(WORKER).body(b"an artifact".as_slice())).await.expect(201);
        worker.finish(&hold, &json!({ "done": { "output": "x" } })).await;
        self.until_status(&run, "succeeded").await;
        let asks = self.start_run("ask", &json!({})).await;
        let asked = self.run(&asks).await;
        let task = asked["tasks"][0]["id"].as_str().expect("a task").to_owned();
        let answer = Call::post(format!("/api/v1/human-tasks/{task}/answer")).json(&json!({ "answer": { "age": 3 } }));
        self.send(answer).await.expect(200);
        self.until_status(&asks, "succeeded").await;
        run
    }
}

const NOTHING: [(&str, i64); 4] = [("finished_runs", 0), ("journal", 0), ("human_tasks", 0), ("blobs", 0)];

#[tokio::test]
async fn what_ended_long_ago_goes_with_all_that_was_kept_for_it() {
    let app = TestApp::start().await;
    let run = app.run_with_everything().await;
    let shown = app.send(Call::get(format!("/api/v1/runs/{run}/artifacts"))).await.expect(200).json();
    let artifact = shown["artifacts"][0]["id"].as_str().expect("an artifact").to_owned();
    app.age(29).await;
    let before = app.history().await;
    assert_eq!((app.look().await, app.history().await), (Removed::default(), before), "a day is left");
    app.age(2).await;
    assert_eq!(app.look().await, Removed { runs: 2, weeks: 0 });
    assert_eq!(app.history().await, NOTHING);
    app.send(Call::get(format!("/api/v1/runs/{run}"))).await.problem(404, "run_not_found");
    app.send(Call::get(format!("/api/v1/files/{artifact}"))).await.problem(404, "file_not_found");
    let bytes = app.app.blobs.get(uuid::Uuid::parse_str(&bare(&artifact)).expect("an id")).await;
    assert!(bytes.is_err(), "its bytes are gone too");
    assert_eq!(app.look().await, Removed::default(), "once");
}

#[tokio::test]
async fn a_tree_stays_while_one_of_it_lives_or_has_ended_of_late() {
    let app = TestApp::start().await;
    let parent = app.start_run("leave", &json!({ "waits": false })).await;
    let child = app.listener().await;
    app.until_status(&parent, "succeeded").await;
    app.age(100).await;
    let journals = app.rows("journal").await;
    assert_eq!(app.look().await, Removed::default(), "its child lives");
    assert_eq!(app.rows("journal").await, journals, "every row is kept");
    app.say_go(&child).await;
    app.until_status(&child, "succeeded").await;
    assert_eq!(app.look().await, Removed::default(), "its child has just ended");
    assert_eq!(app.run(&parent).await["status"], "succeeded");
    app.age(31).await;
    assert_eq!(app.look().await, Removed { runs: 2, weeks: 0 });
    assert_eq!((app.rows("journal").await, app.rows("finished_runs").await), (0, 0));
}

#[tokio::test]
async fn an_old_run_that_lives_keeps_every_row_and_goes_on() {
    let app = TestApp::start().await;
    let parent = app.start_run("leave", &json!({ "waits": true })).await;
    let child = app.listener().await;
    app.age(1_000).await;
    let rows = app.rows("journal").await;
    assert_eq!((app.look().await, app.rows("journal").await), (Removed::default(), rows));
    // Another engine knows only what is stored.
    let after = TestApp::on(&app.url).await;
    after.say_go(&child).await;
    after.until_status(&parent, "succeeded").await;
}

#[tokio::test]
async fn a_fork_keeps_what_it_was_taken_from() {
    let app = TestApp::start().await;
    let worker = Worker::open(&app).await;
    let source = app.start_run("echo", &json!({ "text": "x" })).await;
    worker.carry_out(&source, 1, json!("x")).await;
    app.until_status(&source, "succeeded").await;
    let fork = Call::post(format!("/api/v1/runs/{source}/fork")).json(&json!({ "entry": 1 }));
    let fork = app.send(fork).await.expect(201).json()["id"].as_str().expect("an id").to_owned();
    app.age(100).await;
    assert_eq!(app.look().await, Removed::default(), "the fork lives");
    worker.carry_out(&fork, 1, json!("y")).await;
    app.until_status(&fork, "succeeded").await;
    app.age(31).await;
    assert_eq!(app.look().await, Removed { runs: 2, weeks: 0 });
}

#[tokio::test]
async fn a_word_that_is_still_on_its_way_keeps_its_senders_tree() {
    let app = TestApp::start().await;
    let run = app.start_run("anything", &json!(1)).await;
    app.until_status(&run, "succeeded").await;
    app.age(100).await;
    // As if the child that it left behind had not begun yet: no engine of now takes this row.
    app.sql(
        "INSERT INTO inbox (to_run, from_run, number, shard, tenant, subject, body, sent_at)
         SELECT gen_random_uuid(), id, 1, 64, tenant, subject, '', now() + interval '1 day' FROM finished_runs",
    )
    .await;
    assert_eq!(app.look().await, Removed::default());
    app.sql("DELETE FROM inbox").await;
    assert_eq!(app.look().await, Removed { runs: 1, weeks: 0 });
}

#[tokio::test(flavor = "multi_thread")]
async fn large_trees_and_many_runs_go_in_bites_beside_new_ones() {
    let app = TestApp::start().await;
    let fan = app.start_run("fan", &json!({ "count": 1_200, "waits": false })).await;
    until_within(Duration::from_mins(1), "the crowd ends", async || {
        (app.run(&fan).await["status"] == "succeeded").then_some(())
    })
    .await;
    let input = json!(1);
    join_all((0..600).map(|_| app.start_run("anything", &input))).await;
    until("all have ended", async || (app.rows("runs").await == 0).then_some(())).await;
    app.age(100).await;
    let new = app.start_run("anything", &json!("new")).await;
    app.until_status(&new, "succeeded").await;
    let (one, two) = (app.retention(), TestApp::on(&app.url).await);
    let (one, two) = futures::join!(one.look(), two.look());
    assert_eq!(one.expect("a look").runs + two.runs, 1_801, "each once, whoever did it");
    assert_eq!((app.rows("finished_runs").await, app.run(&new).await["status"].as_str()), (1, Some("succeeded")));
}

#[tokio::test]
async fn a_week_that_is_over_goes_as_files() {
    let app = TestApp::start().await;
    app.run_with_everything().await;
    app.move_to_old_week().await;
    assert_eq!(app.look().await, Removed::default(), "they ended today, whatever their ids say");
    app.age(100).await;
    assert_eq!(app.look().await, Removed { runs: 0, weeks: 1 });
    assert_eq!(app.history().await, NOTHING);
    let left = format!(
        "SELECT to_regclass('journal_w{OLD_WEEK}') IS NULL AND to_regclass('finished_runs_w{OLD_WEEK}') IS NULL"
    );
    assert!(sqlx::query_scalar::<_, bool>(sqlx::AssertSqlSafe(left)).fetch_one(app.pool()).await.expect("a row"));
    let run = app.start_run("anything", &json!(1)).await;
    app.until_status(&run, "succeeded").await;
}

#[tokio::test]
async fn a_week_with_a_live_child_or_another_trees_run_is_not_dropped() {
    let app = TestApp::start().await;
    let worker = Worker::open(&app).await;
    let source = app.start_run("echo", &json!({ "text": "x" })).await;
    worker.carry_out(&source, 1, json!("x")).await;
    app.until_status(&source, "succeeded").await;
    app.move_to_old_week().await;
    let source = format!("run_{OLD_WEEK:04x}{}", &source[8..]);
    let fork = Call::post(format!("/api/v1/runs/{source}/fork")).json(&json!({ "entry": 1 }));
    let fork = app.send(fork).await.expect(201).json()["id"].as_str().expect("an id").to_owned();
    app.age(100).await;
    assert_eq!(app.look().await, Removed::default(), "a fork of a later week lives");
    worker.carry_out(&fork, 1, json!("y")).await;
    app.until_status(&fork, "succeeded").await;
    assert_eq!(app.look().await, Removed::default(), "it has just ended");
    assert_eq!(app.run(&source).await["status"], "succeeded");
    app.age(31).await;
    assert_eq!(app.look().await, Removed { runs: 1, weeks: 1 }, "the fork lies in a week that goes on");
}

/// Killed between any two of the statements that give a week back.
#[tokio::test]
async fn a_removal_that_was_cut_off_is_ended_by_the_next() {
    let detached = format!("ALTER TABLE finished_runs DETACH PARTITION finished_runs_w{OLD_WEEK}");
    let dropped = format!("{detached}; DROP TABLE finished_runs_w{OLD_WEEK}");
    let journal = format!("{dropped}; ALTER TABLE journal DETACH PARTITION journal_w{OLD_WEEK}");
    for cut in [detached, dropped, journal] {
        let app = TestApp::start().await;
        app.sql(&format!("SELECT ensure_week({OLD_WEEK})")).await;
        app.sql(&cut).await;
        app.look().await;
        let tables = format!("SELECT count(*) FROM pg_class WHERE relkind = 'r' AND relname LIKE '%_w{OLD_WEEK}'");
        let left: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(tables)).fetch_one(app.pool()).await.expect("a count");
        assert_eq!(left, 0, "{cut}");
        let run = app.start_run("anything", &json!(1)).await;
        app.until_status(&run, "succeeded").await;
    }
}

/// Detaching has two phases; whoever is killed between them leaves a partition that is on its way out.
#[tokio::test]
async fn a_partition_half_detached_is_finalized() {
    let app = TestApp::start().await;
    app.sql(&format!("SELECT ensure_week({OLD_WEEK})")).await;
    // A reader that stays keeps the second phase waiting, and its ending kills it.
    let mut reader = database::connect(&app.url).await;
    sqlx::raw_sql("BEGIN; SELECT count(*) FROM finished_runs").execute(&mut reader).await.expect("a reader");
    let mut detacher = database::connect(&app.url).await;
    let detach = format!("ALTER TABLE finished_runs DETACH PARTITION finished_runs_w{OLD_WEEK} CONCURRENTLY");
    sqlx::raw_sql("SET statement_timeout = '2s'").execute(&mut detacher).await.expect("a limit");
    let cut = sqlx::raw_sql(sqlx::AssertSqlSafe(detach)).execute(&mut detacher).await;
    assert!(cut.is_err(), "cut off while it waits for the reader");
    let pending = "SELECT count(*) FROM pg_inherits WHERE inhdetachpending";
    let count = async || sqlx::query_scalar::<_, i64>(pending).fetch_one(app.pool()).await.expect("a count");
    assert_eq!(count().await, 1);
    drop(reader);
    app.look().await;
    assert_eq!((count().await, app.rows("finished_runs").await), (0, 0));
}

/// A key holds for its week, whatever became of its run; and for as long as its run lives.
#[tokio::test]
async fn a_key_starts_nothing_twice_though_its_run_is_gone_or_lives_for_long() {
    let app = TestApp::start().await;
    let start = |workflow: &str, input: &serde_json::Value| {
        Call::post(format!("/api/v1/workflows/{workflow}/runs")).json(&json!({ "input": input })).key("k")
    };
    let input = json!(1);
    let first = app.send(start("anything", &input)).await.expect(201).json();
    app.until_status(first["id"].as_str().expect("an id"), "succeeded").await;
    let waits = json!({ "count": 1 });
    let lives = app.send(start("listen", &waits)).await.expect(201).json();
    app.age(100).await;
    assert_eq!(app.look().await, Removed { runs: 1, weeks: 0 });
    let again = join_all((0..8).map(|_| app.send(start("anything", &input)))).await;
    assert!(again.iter().all(|answer| answer.status == 200 && answer.json()["id"] == first["id"]), "{again:?}");

    app.sql("UPDATE idempotency SET expires_at = now() - interval '1 day'").await;
    // An engine tidies up when it starts.
    let other = TestApp::on(&app.url).await;
    assert_eq!(other.send(start("listen", &waits)).await.expect(200).json()["id"], lives["id"], "its run lives");
    assert_ne!(other.send(start("anything", &input)).await.expect(201).json()["id"], first["id"], "its week is over");
}
