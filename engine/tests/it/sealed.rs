//! What people wrote lies sealed in the database, and opens with its master key only.

use serde_json::json;
use sqlx::Row as _;
use valet_core::id::RunId;
use valet_engine::codec::MasterKey;
use valet_engine::store::RunStore as _;
use valet_engine::store::postgres::PgStore;

use super::app::TestApp;
use super::calls::Call;
use super::database;
use super::worker::Worker;

/// As hexadecimal it is no part of any id.
const SECRET_WORD: &str = "zwetschgendatschi";

/// Every value of every table as text, byte columns too.
async fn everything(url: &str) -> String {
    let pool = database::pool(url).await;
    let tables = "SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
                  WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p')";
    let mut all = String::new();
    for table in sqlx::query_scalar::<_, String>(tables).fetch_all(&pool).await.expect("tables") {
        let rows = sqlx::query(sqlx::AssertSqlSafe(format!("SELECT to_jsonb(t)::text FROM {table} t")));
        for row in rows.fetch_all(&pool).await.expect("rows") {
            all.push_str(&row.get::<String, _>(0));
        }
    }
    // A byte column shows as hexadecimal.
    all
}

fn as_hex(text: &str) -> String {
    text.bytes().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"))
}

#[tokio::test]
async fn no_column_holds_what_a_person_or_a_worker_wrote() {
    let app = TestApp::start().await;
    let worker = Worker::open(&app).await;
    let run = app.start_run("echo", &json!({ "text": format!("input {SECRET_WORD}") })).await;
    let hold = worker.take(&run, 1, 1).await;
    let held = json!([{ "run": hold.run, "seq": 1, "attempt": 1, "lease": hold.lease,
                        "progress": { "note": SECRET_WORD } }]);
    worker
        .post("heartbeats", &json!({ "session": worker.session_uuid(), "free_slots": 0, "held": held }))
        .await
        .expect(200);
    let waiting = app.start_run("listen", &json!({ "count": 2 })).await;
    let signal = Call::post(format!("/api/v1/runs/{waiting}/signals/go")).json(&json!({ "payload": SECRET_WORD }));
    app.send(signal).await.expect(204);
    let asked = app.start_run("ask", &json!({})).await;
    let task = app.run(&asked).await["tasks"][0]["id"].as_str().expect("a task").to_owned();
    let reject = Call::post(format!("/api/v1/human-tasks/{task}/reject")).json(&json!({ "reason": SECRET_WORD }));
    app.send(reject).await.expect(200);
    let form = super::files::form(&[("file", Some(&format!("{SECRET_WORD}.txt")), SECRET_WORD.as_bytes())]);
    app.send(form.clone()).await.expect(201);

    let stored = everything(&app.url).await;
    assert!(stored.contains("listen") && stored.contains(&as_hex("\u{1}")), "the tables were read");
    assert!(!stored.contains(SECRET_WORD), "as text");
    assert!(!stored.contains(&as_hex(SECRET_WORD)), "as bytes");

    // It is there all the same: what is sealed opens.
    assert_eq!(app.run(&run).await["input"]["text"], format!("input {SECRET_WORD}"));
    let again = worker.finish(&hold, &json!({ "done": { "output": SECRET_WORD } })).await;
    assert!(again.get("accepted").is_some(), "{again}");
    assert_eq!(app.until_status(&run, "succeeded").await["output"], SECRET_WORD);
    assert!(!everything(&app.url).await.contains(&as_hex(SECRET_WORD)), "the output neither");
}

#[tokio::test]
async fn another_master_key_is_told_by_name_and_by_the_setting_that_holds_it() {
    let app = TestApp::start().await;
    let run: RunId = app.start_run("echo", &json!({ "text": "x" })).await.parse().expect("an id");
    let other = MasterKey::new(&[8; 32]);
    let (right, wrong) = (MasterKey::new(&super::app::SECRET).name, other.name.clone());
    let store = PgStore::connect(&app.url, other, 1).await.expect("a store");
    let error = store.load(&[run]).await.err().expect("nothing is opened").to_string();
    assert!(error.contains("VALET_SECRET_KEY_FILE"), "{error}");
    assert!(error.contains(&right) && error.contains(&wrong), "{error}");
}
