//! What a subject keeps, who gets it, and how it is forgotten: also from a back-up.

use std::time::Duration;

use axum::http::Method;
use serde_json::{Value, json};
use sqlx::Row as _;
use valet_engine::codec::{MasterKey, MasterKeys};
use valet_engine::housekeeping::Housekeeper;
use valet_engine::store::postgres::PgStore;

use super::app::{SECRET, TestApp};
use super::calls::{Answer, Call};
use super::worker::{Hold, Worker};

const WORD: &str = "zwetschgendatschi";

fn put(subject: &str, kind: &str, name: &str, value: &Value) -> Call {
    let body = json!({ "kind": kind, "name": name, "value": value });
    Call::new(Method::PUT, format!("/api/v1/subjects/{subject}/items")).json(&body)
}

async fn wanted(worker: &Worker<'_>, hold: &Hold, kind: &str, name: &str) -> Value {
    let body = json!({
        "session": worker.session_uuid(), "run": hold.run, "seq": hold.seq, "attempt": hold.attempt,
        "lease": hold.lease, "kind": kind, "name": name,
    });
    worker.post("items", &body).await.expect(200).json()
}

impl TestApp {
    async fn start_for(&self, workflow: &str, subject: &str, input: &Value) -> Answer {
        let call = Call::post(format!("/api/v1/workflows/{workflow}/runs"));
        self.send(call.json(&json!({ "input": input, "subject": subject }))).await
    }

    async fn run_of(&self, workflow: &str, subject: &str, input: &Value) -> String {
        let started = self.start_for(workflow, subject, input).await.expect(201).json();
        started["id"].as_str().expect("an id").to_owned()
    }

    async fn erase(&self, subject: &str) -> Value {
        self.send(Call::post(format!("/api/v1/subjects/{subject}/erase"))).await.expect(202).json()
    }

    fn housekeeper(&self) -> Housekeeper {
        let (engine, blobs) = (self.engine.clone(), self.app.blobs.clone());
        Housekeeper { engine, blobs, grace: Duration::ZERO, wake: self.app.erasures.clone() }
    }
}

#[tokio::test]
async fn a_secret_is_written_and_given_only_to_the_step_that_holds_its_subject() {
    let app = TestApp::start().await;
    let worker = Worker::open(&app).await;
    let name = "jobs.example.com/password";
    app.send(put("ada", "secret", name, &json!("first"))).await.expect(201);
    let second = app.send(put("ada", "secret", name, &json!(WORD))).await.expect(201).json();
    assert_eq!(second["version"], 2);
    let show = format!("/api/v1/subjects/ada/item?kind=secret&name={name}");
    app.send(Call::get(&show)).await.problem(403, "write_only");
    for path in ["", "/items", "/uses"] {
        let told = app.send(Call::get(format!("/api/v1/subjects/ada{path}"))).await.expect(200);
        assert!(!String::from_utf8_lossy(&told.bytes).contains(WORD), "{path}");
    }

    let (adas, eves) = (
        app.run_of("echo", "ada", &json!({ "text": "x" })).await,
        app.run_of("echo", "eve", &json!({ "text": "x" })).await,
    );
    let (hold, other) = (worker.take(&adas, 1, 1).await, worker.take(&eves, 1, 1).await);
    let given = wanted(&worker, &hold, "secret", name).await;
    assert_eq!(given, json!({ "item": { "version": 2, "value": WORD } }));
    assert_eq!(wanted(&worker, &other, "secret", name).await, "missing", "another subject's step");
    let forged = Hold { lease: uuid::Uuid::now_v7().to_string(), ..hold.clone() };
    assert_eq!(wanted(&worker, &forged, "secret", name).await, "stale", "no lease");
    let mixed = Hold { run: other.run.clone(), ..hold.clone() };
    assert_eq!(wanted(&worker, &mixed, "secret", name).await, "stale", "the lease of another step");
    worker.finish(&hold, &json!({ "done": { "output": "x" } })).await;
    assert_eq!(wanted(&worker, &hold, "secret", name).await, "stale", "the step is over");

    let uses = app.send(Call::get("/api/v1/subjects/ada/uses")).await.expect(200).json();
    assert_eq!(uses["uses"].as_array().map(Vec::len), Some(1), "{uses}");
    assert_eq!((&uses["uses"][0]["run"], &uses["uses"][0]["version"]), (&json!(adas), &json!(2)));
}

#[tokio::test]
async fn items_have_versions_and_are_removed_with_all_of_them() {
    let app = TestApp::start().await;
    let question = "Do you need a visa?";
    for value in ["yes", "no"] {
        app.send(put("ada", "answer", question, &json!(value))).await.expect(201);
    }
    let item = |version: &str| {
        let name = question.replace(' ', "%20");
        Call::get(format!("/api/v1/subjects/ada/item?kind=answer&name={name}{version}"))
    };
    assert_eq!(app.send(item("")).await.expect(200).json()["value"], "no");
    assert_eq!(app.send(item("&version=1")).await.expect(200).json()["value"], "yes");
    app.send(item("&version=3")).await.problem(404, "item_not_found");

    let file = super::files::upload(&app, super::calls::PEOPLE, "ada").await;
    let foreign = super::files::upload(&app, super::calls::PEOPLE, "eve").await;
    app.send(put("ada", "document", "resume", &json!({ "file": foreign })))
        .await
        .problem(422, "invalid_input")
        .at("/value/file");
    app.send(put("ada", "document", "resume", &json!({ "file": file }))).await.expect(201);
    let listed = app.send(Call::get("/api/v1/subjects/ada/items?limit=1")).await.expect(200).json();
    assert_eq!(listed["items"][0]["name"], question);
    let next = listed["next_cursor"].as_str().expect("there is more");
    let rest = app.send(Call::get(format!("/api/v1/subjects/ada/items?cursor={next}"))).await.expect(200).json();
    assert_eq!((&rest["items"][0]["kind"], rest["items"].as_array().map(Vec::len)), (&json!("document"), Some(1)));
    let files = app.send(Call::get("/api/v1/subjects/ada/files")).await.expect(200).json();
    assert_eq!(files["artifacts"][0]["id"], file);

    let restore = |version: &str| {
        let name = question.replace(' ', "%20");
        Call::post(format!("/api/v1/subjects/ada/item/restore?kind=answer&name={name}{version}"))
    };
    app.send(restore("")).await.problem(400, "invalid_version").at("version");
    app.send(restore("&version=9")).await.problem(404, "item_not_found").at("version");
    assert_eq!(app.send(restore("&version=1")).await.expect(201).json()["version"], 3);
    assert_eq!(app.send(item("")).await.expect(200).json()["value"], "yes", "as it was");

    let remove = Call::new(Method::DELETE, item("").path);
    app.send(remove.clone()).await.expect(204);
    app.send(remove).await.problem(404, "item_not_found");
    app.send(item("&version=1")).await.problem(404, "item_not_found");
    app.send(put("ada", "answer", question, &json!("perhaps"))).await.expect(201);
    assert_eq!(app.send(item("")).await.expect(200).json()["version"], 4, "versions are never used again");
}

#[tokio::test]
async fn what_is_no_item_is_refused_at_its_place() {
    let app = TestApp::start().await;
    for (kind, name, field, code) in [
        ("shoe", "x", "/kind", "invalid_kind"),
        ("browser_state", "x", "/kind", "invalid_kind"),
        ("answer", "", "/name", "invalid_name"),
        ("answer", "a\nb", "/name", "invalid_name"),
    ] {
        app.send(put("ada", kind, name, &json!(1))).await.problem(400, code).at(field);
    }
    let large = json!("x".repeat(600_000));
    app.send(put("ada", "answer", "x", &large)).await.problem(413, "too_large").at("/value");
    app.send(Call::get("/api/v1/subjects/nobody")).await.problem(404, "subject_not_found");
    app.send(Call::post("/api/v1/subjects/nobody/erase")).await.problem(404, "subject_not_found");
}

async fn names(worker: &Worker<'_>, hold: &Hold, kind: &str) -> Answer {
    let body = json!({
        "session": worker.session_uuid(), "run": hold.run, "seq": hold.seq, "attempt": hold.attempt,
        "lease": hold.lease, "kind": kind,
    });
    worker.post("items/names", &body).await
}

async fn keep(worker: &Worker<'_>, hold: &Hold, kind: &str, name: &str, value: &Value) -> Answer {
    let body = json!({
        "session": worker.session_uuid(), "run": hold.run, "seq": hold.seq, "attempt": hold.attempt,
        "lease": hold.lease, "kind": kind, "name": name, "value": value,
    });
    worker.post("items/keep", &body).await
}

#[tokio::test]
async fn a_step_keeps_what_it_learned_once_and_only_while_it_is_held() {
    let app = TestApp::start().await;
    let (worker, other) = (Worker::open(&app).await, Worker::open(&app).await);
    let (first, eves) = (
        app.run_of("echo", "ada", &json!({ "text": "x" })).await,
        app.run_of("echo", "eve", &json!({ "text": "x" })).await,
    );
    let (hold, held_by_eve) = (worker.take(&first, 1, 1).await, worker.take(&eves, 1, 1).await);
    let question = "Do you drive?";
    for _ in 0..2 {
        let kept = keep(&worker, &hold, "answer", question, &json!(WORD)).await.expect(200).json();
        assert_eq!(kept, json!({ "kept": { "version": 1 } }), "the same again changes nothing");
    }
    let kept = keep(&worker, &hold, "answer", question, &json!("no")).await.expect(200).json();
    assert_eq!(kept["kept"]["version"], 2);

    assert_eq!(names(&worker, &hold, "answer").await.expect(200).json(), json!({ "names": [question] }));
    assert_eq!(names(&worker, &held_by_eve, "answer").await.expect(200).json(), json!({ "names": [] }));
    assert_eq!(keep(&other, &hold, "answer", "q", &json!(1)).await.expect(200).json(), "stale", "another's lease");
    assert_eq!(names(&other, &hold, "answer").await.expect(200).json(), "stale");

    app.send(put("ada", "secret", "jobs.example.com/password", &json!(WORD))).await.expect(201);
    names(&worker, &hold, "secret").await.problem(400, "invalid_kind");
    for kind in ["secret", "document"] {
        keep(&worker, &hold, kind, "jobs.example.com/password", &json!("x")).await.problem(400, "invalid_kind");
    }
    keep(&worker, &hold, "answer", "a\nb", &json!("x")).await.problem(400, "invalid_name").at("/name");

    let listed = app.send(Call::get("/api/v1/subjects/ada/items?kind=answer")).await.expect(200).json();
    assert_eq!(listed["items"][0]["created_by"], json!(first), "{listed}");
    let audit = app.send(Call::get("/api/v1/audit?target=ada/answer/Do%20you%20drive?")).await.expect(200).json();
    let deeds: Vec<_> = audit["entries"].as_array().expect("entries").iter().map(|one| &one["action"]).collect();
    assert_eq!(deeds, ["subject.keep", "subject.keep"], "{audit}");
    assert!(!audit.to_string().contains(WORD));

    worker.finish(&hold, &json!({ "done": { "output": "x" } })).await;
    assert_eq!(keep(&worker, &hold, "answer", "q", &json!(1)).await.expect(200).json(), "stale", "the step is over");
}

/// It changes with every visit, and one may go back to one of the last.
#[tokio::test]
async fn of_the_state_of_a_browser_the_last_versions_are_kept_and_shown_to_nobody() {
    let app = TestApp::start().await;
    let worker = Worker::open(&app).await;
    let run = app.run_of("echo", "ada", &json!({ "text": "x" })).await;
    let hold = worker.take(&run, 1, 1).await;
    for visit in 1..=7 {
        let kept = keep(&worker, &hold, "browser_state", "jobs.example.com", &json!({ "visit": visit })).await;
        assert_eq!(kept.expect(200).json(), json!({ "kept": { "version": visit } }));
    }
    let item = "/api/v1/subjects/ada/item";
    let of = "kind=browser_state&name=jobs.example.com";
    app.send(Call::get(format!("{item}?{of}"))).await.problem(403, "write_only");
    app.send(Call::post(format!("{item}/restore?{of}&version=2"))).await.problem(404, "item_not_found").at("version");
    assert_eq!(app.send(Call::post(format!("{item}/restore?{of}&version=3"))).await.expect(201).json()["version"], 8);
    let given = wanted(&worker, &hold, "browser_state", "jobs.example.com").await;
    assert_eq!(given, json!({ "item": { "version": 8, "value": { "visit": 3 } } }));
}

#[tokio::test]
async fn nothing_is_kept_of_a_subject_that_is_being_erased() {
    let app = TestApp::start().await;
    let worker = Worker::open(&app).await;
    let run = app.run_of("echo", "ada", &json!({ "text": "x" })).await;
    let hold = worker.take(&run, 1, 1).await;
    keep(&worker, &hold, "answer", "q", &json!("first")).await.expect(200);
    app.erase("ada").await;
    assert_eq!(keep(&worker, &hold, "answer", "q", &json!("second")).await.expect(200).json(), "stale");
}

/// Two at once: each becomes a version of its own.
#[tokio::test]
async fn of_puts_at_once_each_becomes_a_version() {
    let app = TestApp::start().await;
    let answers = futures::future::join_all((0..4).map(|n| app.send(put("ada", "answer", "q", &json!(n))))).await;
    let mut versions: Vec<u64> =
        answers.into_iter().map(|answer| answer.expect(201).json()["version"].as_u64().expect("a number")).collect();
    versions.sort_unstable();
    assert_eq!(versions, [1, 2, 3, 4]);
}

struct Kept {
    ended: String,
    waiting: String,
    file: String,
}

/// A subject with something of everything.
async fn a_life(app: &TestApp, worker: &Worker<'_>) -> Kept {
    let ended = app.run_of("echo", "ada", &json!({ "text": WORD })).await;
    worker.carry_out(&ended, 1, json!(WORD)).await;
    app.until_status(&ended, "succeeded").await;
    let waiting = app.run_of("ask", "ada", &json!({})).await;
    let file = super::files::upload(app, super::calls::PEOPLE, "ada").await;
    app.send(put("ada", "secret", "example.com/password", &json!(WORD))).await.expect(201);
    app.send(put("ada", "answer", "q", &json!(WORD))).await.expect(201);
    Kept { ended, waiting, file }
}

async fn is_forgotten(app: &TestApp, kept: &Kept) {
    for run in [&kept.ended, &kept.waiting] {
        app.send(Call::get(format!("/api/v1/runs/{run}"))).await.problem(410, "erased");
    }
    app.send(Call::get(format!("/api/v1/files/{}", kept.file))).await.problem(404, "file_not_found");
    app.send(Call::get("/api/v1/subjects/ada/item?kind=answer&name=q")).await.problem(404, "item_not_found");
    let items: i64 = sqlx::query_scalar("SELECT count(*) FROM subject_items WHERE subject = 'ada'")
        .fetch_one(app.pool())
        .await
        .expect("a count");
    assert_eq!(items, 0);
}

#[tokio::test]
async fn an_erased_subject_is_forgotten_and_ids_and_states_stay() {
    let app = TestApp::start().await;
    let worker = Worker::open(&app).await;
    let kept = a_life(&app, &worker).await;
    let others = app.run_of("ask", "eve", &json!({})).await;

    let begun = app.erase("ada").await;
    assert!(begun["erasing_since"].is_string(), "{begun}");
    app.start_for("ask", "ada", &json!({})).await.problem(409, "subject_erasing").at("/subject");
    app.send(put("ada", "answer", "q", &json!(1))).await.problem(409, "subject_erasing");
    let form = super::files::form(&[("file", Some("a.txt"), b"a"), ("subject", None, b"ada")]);
    app.send(form).await.problem(409, "subject_erasing");

    // The first round ends the runs, the second finds them ended.
    app.housekeeper().look().await.expect("a look");
    app.housekeeper().look().await.expect("a look");
    is_forgotten(&app, &kept).await;
    let after = app.send(Call::get("/api/v1/subjects/ada")).await.expect(200).json();
    assert!(after["erased_at"].is_string() && after.get("known_since").is_none(), "{after}");
    assert_eq!(app.erase("ada").await["erased_at"], after["erased_at"], "once");
    let listed = app.send(Call::get("/api/v1/runs?subject=ada")).await.expect(200).json();
    let states: Vec<&Value> = listed["runs"].as_array().expect("runs").iter().map(|run| &run["status"]).collect();
    assert_eq!(states, ["cancelled", "succeeded"], "what is no secret stays");
    assert_eq!(app.run(&others).await["status"], "waiting", "others are left alone");
    let audit = app.send(Call::get(format!("/api/v1/audit?target={}", kept.ended))).await.expect(200).json();
    assert_eq!(audit["entries"][0]["action"], "run.start");

    // Whoever comes back begins anew, under a new key.
    let again = app.run_of("ask", "ada", &json!({})).await;
    app.housekeeper().look().await.expect("a look");
    app.housekeeper().keep_erased().await.expect("a look");
    assert_eq!(app.run(&again).await["status"], "waiting");
}

#[tokio::test]
async fn a_restored_back_up_does_not_bring_an_erased_subject_back() {
    let app = TestApp::start().await;
    let worker = Worker::open(&app).await;
    let kept = a_life(&app, &worker).await;
    let keys: String =
        sqlx::query_scalar("SELECT json_agg(k)::text FROM data_keys k").fetch_one(app.pool()).await.expect("keys");
    let items: String =
        sqlx::query_scalar("SELECT json_agg(i)::text FROM subject_items i").fetch_one(app.pool()).await.expect("items");
    app.erase("ada").await;
    app.housekeeper().look().await.expect("a look");
    app.housekeeper().look().await.expect("a look");
    is_forgotten(&app, &kept).await;

    let restore = async |table: &str, rows: &str| {
        let statement = format!(
            "INSERT INTO {table} OVERRIDING SYSTEM VALUE SELECT * FROM json_populate_recordset(NULL::{table}, $1::json) \
             ON CONFLICT DO NOTHING"
        );
        let restored = sqlx::query(sqlx::AssertSqlSafe(statement)).bind(rows).execute(app.pool()).await.expect("rows");
        assert!(restored.rows_affected() > 0, "{table}");
    };
    restore("data_keys", &keys).await;
    restore("subject_items", &items).await;
    sqlx::query("DELETE FROM erasures").execute(app.pool()).await.expect("as before it was asked for");
    // The back-up is worth something: it opens with the key.
    app.send(Call::get("/api/v1/subjects/ada/item?kind=answer&name=q")).await.expect(200);

    app.housekeeper().keep_erased().await.expect("as at an engine's start");
    is_forgotten(&app, &kept).await;
}

#[tokio::test]
async fn the_master_key_is_changed_while_runs_go_on() {
    let app = TestApp::start().await;
    let before = app.run_of("ask", "ada", &json!({})).await;
    let link = app.run(&before).await["tasks"][0]["id"].as_str().expect("a task").to_owned();
    let link = app.send(Call::get(format!("/api/v1/human-tasks/{link}"))).await.expect(200).json();
    let (task, token) = (link["id"].as_str().expect("an id"), link["link"].as_str().expect("a link"));

    let rotated = || MasterKeys { current: MasterKey::new(&[8; 32]), older: vec![MasterKey::new(&SECRET)] };
    let rotating = async {
        app.store.set_masters(rotated());
        app.housekeeper().look().await.expect("a look");
    };
    let starting = async {
        for n in 0..20 {
            app.run_of("ask", &format!("subject-{n}"), &json!({})).await;
        }
    };
    tokio::join!(rotating, starting);
    app.housekeeper().look().await.expect("a look");

    let names: Vec<String> = sqlx::query("SELECT DISTINCT master_key FROM data_keys")
        .fetch_all(app.pool())
        .await
        .expect("names")
        .iter()
        .map(|row| row.get(0))
        .collect();
    assert_eq!(names, [MasterKey::new(&[8; 32]).name]);
    assert_eq!(app.run(&before).await["status"], "waiting");
    app.send(Call::get(format!("/api/v1/human-tasks/{task}")).token(token)).await.expect(200);

    // The old key is not needed any more.
    let store = PgStore::connect(&app.url, MasterKey::new(&[8; 32]), 1).await.expect("a store");
    let id = valet_core::id::parse_prefixed("task", task).expect("an id");
    assert!(store.find_task("acme", id).await.expect("it opens").is_some());
}
