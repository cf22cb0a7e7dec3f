//! The verbs as a person types them, against a small server that answers as an engine would.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use clap::{CommandFactory, Parser};
use serde_json::{Value, json};

use super::client::tests::serve;
use super::output::captured::Captured;
use super::*;

#[derive(Parser)]
#[command(name = "valet")]
struct Program {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    verb: Verb,
}

const RUN: &str = "run_0b9a0000000080008000000000000001";

/// What a verb said and how it ended.
struct Ended {
    exit: Exit,
    out: String,
    err: String,
}

impl Ended {
    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("{e}: {}", self.out))
    }
}

async fn valet(url: &str, words: &[&str]) -> Ended {
    let program_name = ["valet", "--url", url, "--token", "secret"];
    let words = program_name.iter().chain(words);
    let program = Program::try_parse_from(words).unwrap_or_else(|e| panic!("{e}"));
    let captured = Captured::new(program.global.json);
    let exit = perform(program.verb, &program.global, &captured.output).await;
    Ended { exit, out: captured.out(), err: captured.err() }
}

/// A request that came.
#[derive(Clone)]
struct Asked {
    body: String,
    key: Option<String>,
}

/// An engine that has one answer for each `METHOD /path`, and keeps what it was asked.
#[derive(Clone, Default)]
struct Engine {
    answers: Vec<(&'static str, Value)>,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Engine {
    fn answers(mut self, route: &'static str, answer: Value) -> Self {
        self.answers.push((route, answer));
        self
    }

    async fn serve(&self) -> String {
        let engine = self.clone();
        serve(Router::new().fallback(move |request: Request| {
            let engine = engine.clone();
            async move { engine.answer(request).await }
        }))
        .await
    }

    async fn answer(&self, request: Request) -> Response {
        let route = format!("{} {}", request.method(), request.uri());
        let key = request.headers().get("idempotency-key").map(|v| v.to_str().unwrap().to_owned());
        let body = axum::body::to_bytes(request.into_body(), 1024 * 1024).await.unwrap();
        let body = String::from_utf8_lossy(&body).into_owned();
        self.asked.lock().unwrap().push(Asked { body, key });
        match self.answers.iter().find(|(of, _)| *of == route) {
            Some((_, Value::String(stream))) => {
                ([("content-type", "text/event-stream")], stream.clone()).into_response()
            }
            Some((_, answer)) => axum::Json(answer.clone()).into_response(),
            None => {
                let problem =
                    json!({ "code": "run_not_found", "status": 404, "title": "t", "detail": "there is none" });
                (StatusCode::NOT_FOUND, axum::Json(problem)).into_response()
            }
        }
    }

    fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    fn body(&self, index: usize) -> Value {
        serde_json::from_str(&self.asked()[index].body).unwrap()
    }
}

fn summary(status: &str) -> Value {
    json!({ "id": RUN, "workflow": "w", "subject": "s", "plan": "free", "attributes": {}, "status": status,
            "paused": false, "revision": 3, "created_at": "2026-11-21T06:00:00Z",
            "updated_at": "2026-11-21T06:00:02Z", "ended_at": "2026-11-21T06:00:02Z" })
}

fn detail(status: &str, output: &Value) -> Value {
    let mut run = summary(status);
    let more = json!({ "input": {}, "output": output, "steps": [], "tasks": [] });
    run.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    run
}

fn journal(entries: &[Value]) -> Value {
    let event = |(revision, entry): (usize, &Value)| {
        let data = json!({ "revision": revision + 1, "index": 1, "at": "2026-11-21T06:00:00Z", "entry": entry });
        format!("id: {}.1\nevent: journal\ndata: {data}\n\n", revision + 1)
    };
    Value::String(entries.iter().enumerate().map(event).collect())
}

fn ended_run(status: &str, output: &Value) -> Engine {
    let entries = [
        json!({ "started": { "input": {} } }),
        json!({ "op": { "seq": 1, "op": { "log": { "message": "hi" } } } }),
        json!("ended"),
    ];
    Engine::default()
        .answers("POST /api/v1/workflows/w/runs", json!({ "id": RUN, "created": true }))
        .answers("GET /api/v1/runs/run_0b9a0000000080008000000000000001/events", journal(&entries))
        .answers("GET /api/v1/runs/run_0b9a0000000080008000000000000001", detail(status, output))
}

#[test]
fn the_grammar_is_sound_and_every_verb_has_its_place() {
    Program::command().debug_assert();
    let fits = [
        "run w",
        "run w --input - --no-follow",
        "run w -i f --file resume=a.pdf --file other=b -a k=v --plan pro",
        "runs",
        "runs --status failed --limit 5",
        "runs list --all",
        "runs --json list",
        "runs show x --json",
        "runs watch x",
        "runs follow x",
        "runs pause x y",
        "runs cancel x --reason why",
        "runs signal x go --payload 1",
        "runs events x --after 3.1 -f",
        "runs artifacts x --save d",
        "human",
        "human list --run x",
        "human show x",
        "human claim x",
        "human release x",
        "human answer x --set a=b --set c=d",
        "human answer x --answer {}",
        "human reject x --reason no",
        "queues",
        "workers --json",
        "pause workflow w --reason quiet --all-tenants",
        "pause engine",
        "resume worker sess_1",
        "pauses --json",
        "limits",
        "limits keys sites --key a --json",
        "limits set sites {}",
        "limits unset sites",
        "limits cool sites a --until 2026-11-22T06:00:00Z",
        "limits cool sites",
        "tiers",
        "tiers rules site --json",
        "tiers set tier local {}",
        "tiers set tier local {} --expected-version 0",
        "tiers unset tier local --expected-version 7",
        "tiers set site *.example.com --file -",
        "tiers unset tier local",
        "sandboxes",
        "sandboxes list --all --json",
        "sandboxes kill x --reason why",
        "workflows",
        "workflows show w",
        "workflows show w --version 2",
        "workflows apply f --dry-run",
        "workflows apply - --name w",
        "files upload p --subject s",
        "files get x -o -",
        "doctor",
        "--json queues",
        "--url http://a,http://b queues",
        "queues --token-file f",
    ];
    for words in fits {
        let parsed = Program::try_parse_from(["valet"].into_iter().chain(words.split(' ')));
        assert!(parsed.is_ok(), "{words}: {}", parsed.err().unwrap());
    }
    let wrong = [
        "run",
        "run w --input f --json-input {}",
        "run w --file noequals",
        "runs --limit 0",
        "runs --limit 5 --all",
        "runs pause",
        "pause",
        "pause workflow",
        "resume queue q --reason r",
        "runs events x --after 3",
        "human reject x",
        "human answer x --answer {} --set a=b",
        "files",
        "queues --token a --token-file b",
        "nothing",
        "tiers set tier local",
        "sandboxes kill",
        "tiers set tier local {} --file -",
        "workflows apply",
        "workflows show w --version x",
    ];
    for words in wrong {
        let error = Program::try_parse_from(["valet"].into_iter().chain(words.split(' '))).err();
        assert_eq!(error.map(|e| e.exit_code()), Some(i32::from(Exit::Usage.code())), "{words}");
    }
}

#[test]
fn help_documents_the_exit_codes() {
    let mut command = Program::command();
    let run = command.find_subcommand_mut("run").unwrap();
    let help = run.render_long_help().to_string();
    assert!(help.contains("130  Ctrl-C stopped following"), "{help}");
}

#[tokio::test]
async fn a_run_is_started_followed_and_ends_with_its_exit_code() {
    for (status, exit) in [("succeeded", Exit::Done), ("failed", Exit::Failed), ("cancelled", Exit::NotCompleted)] {
        let engine = ended_run(status, &json!({ "confirmation": "Thank you", "people_asked": 0 }));
        let url = engine.serve().await;
        let ended =
            valet(&url, &["run", "w", "--json-input", r#"{"a":1}"#, "-a", "n=3", "--subject", "ada", "--key", "k"])
                .await;
        assert_eq!(ended.exit, exit, "{}", ended.err);
        let began = format!("       0 ms  → {RUN} began\n       0 ms  · hi\n{status} in 2.0 s  {RUN}\nThank you\n{{");
        assert!(ended.out.starts_with(&began), "{}", ended.out);
        assert_eq!(engine.body(0), json!({ "input": { "a": 1 }, "subject": "ada", "attributes": { "n": 3 } }));
        assert_eq!(engine.asked()[0].key.as_deref(), Some("k"));
    }
}

#[tokio::test]
async fn with_json_the_result_is_all_of_standard_output_and_progress_goes_to_the_other() {
    let url = ended_run("succeeded", &json!({ "ok": true })).serve().await;
    let ended = valet(&url, &["--json", "run", "w"]).await;
    assert_eq!(ended.json()["output"], json!({ "ok": true }));
    assert!(ended.err.contains("· hi"), "{}", ended.err);
    let ended = valet(&url, &["run", "w", "--json", "--no-follow"]).await;
    assert_eq!(ended.json(), json!({ "id": RUN, "created": true }));
    assert_eq!(ended.err, "");
    let ended = valet(&url, &["runs", "follow", RUN, "--json"]).await;
    let lines: Vec<Value> = ended.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((lines.len(), &lines[2]["entry"], ended.exit), (3, &json!("ended"), Exit::Done));
}

#[tokio::test]
async fn many_runs_are_started_from_a_file_and_the_refused_are_named_by_their_lines() {
    let problem = json!({ "code": "invalid_input", "status": 422, "title": "t", "detail": "not a number", "field": "/runs/1/input/n" });
    let results = json!([{ "id": RUN, "created": true }, { "error": problem }, { "id": "run_2", "created": false }]);
    let engine =
        Engine::default().answers("POST /api/v1/workflows/w/runs/bulk", json!({ "results": results, "refused": 1 }));
    let url = engine.serve().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("runs.jsonl");
    std::fs::write(&file, "{\"input\":{\"n\":1}}\n\n{\"input\":{\"n\":\"x\"}}\n{\"input\":{},\"subject\":\"ada\"}")
        .unwrap();
    let path = file.to_str().unwrap();
    let ended = valet(&url, &["runs", "start-many", "w", path, "--key", "import"]).await;
    assert_eq!((ended.exit, ended.out), (Exit::Failed, format!("{RUN}\nrun_2 (started before with this key)\n")));
    assert!(ended.err.starts_with("error: line 3: not a number (invalid_input at /runs/1/input/n)\n"), "{}", ended.err);
    assert!(ended.err.ends_with("error: 1 of 3 failed\n"), "{}", ended.err);
    assert_eq!(engine.asked()[0].key.as_deref(), Some("import/1"));
    let runs = json!([{ "input": { "n": 1 } }, { "input": { "n": "x" } }, { "input": {}, "subject": "ada" }]);
    assert_eq!(engine.body(0), json!({ "runs": runs }));
    let ended = valet(&url, &["--json", "runs", "start-many", "w", path]).await;
    assert_eq!((&ended.json()["runs"][1]["line"], &ended.json()["runs"][2]["id"]), (&json!(3), &json!("run_2")));

    std::fs::write(&file, "{}\n{").unwrap();
    let ended = valet(&url, &["runs", "start-many", "w", path]).await;
    assert_eq!(ended.exit, Exit::Usage);
    assert!(ended.err.contains("line 2 is not JSON"), "{}", ended.err);
}

const BULK: &str = "bulk_0b9a0000000080008000000000000002";

fn bulk_view(state: &str, failed: u64) -> Value {
    let ended = matches!(state, "completed" | "cancelled").then_some("2026-11-21T06:00:09Z");
    let failures = if failed > 0 { json!([{ "run": RUN, "reason": "build_too_old" }]) } else { json!([]) };
    json!({ "id": BULK, "action": "pause", "state": state, "filter": { "workflow": "w", "status": ["waiting"] }, "rate": 50,
            "total": 10, "collected": true, "limited": false, "done": 7, "skipped": 1, "failed": failed, "failures": failures,
            "can_undo": true, "created_at": "2026-11-21T06:00:00Z", "created_by": "ada", "ended_at": ended })
}

#[tokio::test]
async fn a_bulk_operation_is_made_of_filters_and_asks_before_it_destroys() {
    let url = Engine::default().serve().await;
    let ended = valet(&url, &["bulk", "start", "cancel"]).await;
    assert_eq!(ended.exit, Exit::Usage);
    assert!(ended.err.contains("at least one filter"), "{}", ended.err);

    let preview = json!({ "action": "cancel", "count": 12, "at_least": false });
    let engine = Engine::default().answers("POST /api/v1/bulk-operations", preview.clone());
    let url = engine.serve().await;
    let ended = valet(&url, &["bulk", "start", "cancel", "--workflow", "w"]).await;
    assert_eq!((ended.exit, ended.out.as_str()), (Exit::Usage, ""));
    assert_eq!(ended.err, "error: this would cancel 12 runs: say --yes to do it\n");
    let ended = valet(&url, &["bulk", "start", "delete", "--workflow", "w", "--preview", "--json"]).await;
    assert_eq!((ended.exit, ended.json()), (Exit::Done, preview));
    assert!(engine.asked().iter().all(|asked| asked.body.contains("\"preview\":true")), "nothing was made");

    let engine = Engine::default().answers("POST /api/v1/bulk-operations", bulk_view("collecting", 0));
    let url = engine.serve().await;
    let words =
        ["bulk", "start", "cancel", "--yes", "--workflow", "w", "--status", "queued, waiting", "--attribute", "n=3"];
    let more = ["--until", "2026-11-21T06:00:00Z", "--rate", "9", "--reason", "why", "--key", "k"];
    let ended = valet(&url, &[&words[..], &more[..]].concat()).await;
    assert_eq!((ended.exit, ended.out), (Exit::Done, format!("{BULK}\n")));
    let filter = json!({ "workflow": "w", "status": ["queued", "waiting"], "attributes": { "n": 3 },
                         "created_before": "2026-11-21T06:00:00Z" });
    assert_eq!(engine.body(0), json!({ "action": "cancel", "filter": filter, "rate": 9, "reason": "why" }));
    assert_eq!(engine.asked()[0].key.as_deref(), Some("k"));
    let ended = valet(&url, &["bulk", "start", "fork", "--error-code", "c", "--entry", "4", "--repeat-effects"]).await;
    assert_eq!(ended.exit, Exit::Done);
    let fork =
        json!({ "action": "fork", "filter": { "error_code": "c" }, "fork": { "entry": 4, "repeat_effects": true } });
    assert_eq!(engine.body(1), fork);
}

#[tokio::test]
async fn a_bulk_operation_is_followed_to_its_end_which_decides_the_exit_code() {
    for (state, failed, exit) in
        [("completed", 0, Exit::Done), ("completed", 2, Exit::Failed), ("cancelled", 0, Exit::NotCompleted)]
    {
        let one = "GET /api/v1/bulk-operations/bulk_0b9a0000000080008000000000000002";
        let undo = "POST /api/v1/bulk-operations/bulk_0b9a0000000080008000000000000002/undo";
        let engine = Engine::default().answers(one, bulk_view(state, failed)).answers(undo, bulk_view("running", 0));
        let url = engine.serve().await;
        let ended = valet(&url, &["bulk", "show", BULK, "--follow"]).await;
        assert_eq!(ended.exit, exit, "{state} {failed}");
        assert!(ended.out.contains("workflow=w status=waiting"), "{}", ended.out);
        assert_eq!(ended.out.contains("build_too_old"), failed > 0, "{}", ended.out);
        let ended = valet(&url, &["bulk", "undo", BULK, "--follow", "--json"]).await;
        assert_eq!((ended.exit, &ended.json()["state"]), (exit, &json!(state)));
        assert_eq!(valet(&url, &["bulk", "undo", BULK]).await.exit, Exit::Done, "it is not waited for");
    }
}

#[tokio::test]
async fn bulk_operations_are_listed_and_changed() {
    let of = |verb: &str| -> &'static str {
        match verb {
            "pause" => "POST /api/v1/bulk-operations/bulk_0b9a0000000080008000000000000002/pause",
            "resume" => "POST /api/v1/bulk-operations/bulk_0b9a0000000080008000000000000002/resume",
            "cancel" => "POST /api/v1/bulk-operations/bulk_0b9a0000000080008000000000000002/cancel",
            _ => "PUT /api/v1/bulk-operations/bulk_0b9a0000000080008000000000000002/rate",
        }
    };
    let list = json!({ "operations": [bulk_view("paused", 2)] });
    let mut engine = Engine::default().answers("GET /api/v1/bulk-operations?limit=50", list);
    for verb in ["pause", "resume", "cancel", "rate"] {
        engine = engine.answers(of(verb), bulk_view("paused", 0));
    }
    let url = engine.serve().await;
    let ended = valet(&url, &["bulk"]).await;
    let line = ended.out.lines().nth(1).expect("a row").split_whitespace().collect::<Vec<_>>();
    assert_eq!(line[..7], [BULK, "pause", "paused", "7", "10", "1", "2"]);
    for verb in ["pause", "resume", "cancel"] {
        assert_eq!(valet(&url, &["bulk", verb, BULK, "--json"]).await.json()["id"], BULK);
    }
    let ended = valet(&url, &["bulk", "rate", BULK, "70"]).await;
    assert!(ended.out.contains("50 runs a second"), "{}", ended.out);
    assert_eq!(engine.body(4), json!({ "rate": 70 }));
    assert_eq!(valet(&url, &["bulk", "show", "bulk_unknown"]).await.exit, Exit::Failed);
}

#[tokio::test]
async fn a_schedule_is_put_triggered_and_filled_in() {
    let view = json!({
        "name": "nightly", "workflow": "w", "subject": "ada", "cron": "30 2 * * *", "zone": "Europe/Berlin", "overlap": "queue",
        "catch_up_seconds": 5400, "paused": false, "next": ["2026-11-22T02:30:00+01:00"],
    });
    let fire = json!({ "at": "2026-11-21T06:00:00Z", "origin": "manual", "overlap": "queue", "state": "started", "run": RUN,
                       "moved_at": "2026-11-21T06:00:00Z" });
    let engine = Engine::default()
        .answers("PUT /api/v1/schedules/nightly", view)
        .answers("POST /api/v1/schedules/nightly/trigger", fire)
        .answers("POST /api/v1/schedules/nightly/backfill", json!({ "added": 2, "known": 1 }));
    let url = engine.serve().await;
    let put = ["schedules", "put", "nightly", "--workflow", "w", "--cron", "30 2 * * *", "--zone", "Europe/Berlin"];
    let more = ["--overlap", "queue", "--catch-up", "90m", "--json-input", "{}", "--subject", "ada"];
    let ended = valet(&url, &[put.as_slice(), more.as_slice()].concat()).await;
    assert_eq!(ended.exit, Exit::Done, "{}", ended.err);
    assert!(ended.out.contains("2026-11-22T02:30:00+01:00"), "{}", ended.out);
    let run = json!({ "input": {}, "subject": "ada" });
    let request = json!({ "workflow": "w", "cron": "30 2 * * *", "zone": "Europe/Berlin", "overlap": "queue",
                          "catch_up_seconds": 5400, "run": run });
    assert_eq!(engine.body(0), request);
    let ended = valet(&url, &["schedules", "trigger", "nightly", "--key", "k"]).await;
    assert_eq!((ended.out, engine.asked()[1].key.as_deref()), (format!("started  {RUN}\n"), Some("k")));
    let from =
        ["schedules", "backfill", "nightly", "--from", "2026-11-20T00:00:00Z", "--until", "2026-11-21T00:00:00Z"];
    let ended = valet(&url, &from).await;
    assert_eq!(ended.out, "2 to start, 1 known before\n", "{}", ended.err);
}

#[tokio::test]
async fn an_event_is_pushed_and_tells_what_it_started_and_what_not() {
    let run = |trigger: &str, state: &str, reason: Value| json!({ "trigger": trigger, "workflow": "w", "state": state, "run": RUN, "reason": reason });
    let runs = [run("all", "started", Value::Null), run("other", "refused", json!("invalid_input at /run/input"))];
    let event = json!({ "id": "event_1", "key": "user:new", "subject": "ada", "at": "2026-11-21T06:00:00Z", "created_by": "ada", "runs": runs });
    let trigger = json!({ "name": "all", "key": "user:*", "workflow": "w", "run": {}, "paused": false,
                          "created_at": "2026-11-21T06:00:00Z", "created_by": "ada" });
    let engine =
        Engine::default().answers("POST /api/v1/events", event).answers("PUT /api/v1/event-triggers/all", trigger);
    let url = engine.serve().await;
    let push = ["events", "push", "user:new", "--payload", r#"{"n":1}"#, "--subject", "ada", "--key", "k"];
    let ended = valet(&url, &push).await;
    assert_eq!(ended.exit, Exit::Failed, "one was refused: {}", ended.err);
    assert!(ended.out.contains(&format!("all: w started {RUN}\n")), "{}", ended.out);
    assert!(ended.out.contains("other: w refused invalid_input at /run/input\n"), "{}", ended.out);
    assert_eq!(engine.body(0), json!({ "key": "user:new", "subject": "ada", "payload": { "n": 1 } }));
    assert_eq!(engine.asked()[0].key.as_deref(), Some("k"));
    let put = ["events", "put-trigger", "all", "--on", "user:*", "--workflow", "w", "--filter", "payload.n > 0"];
    let ended = valet(&url, &put).await;
    assert_eq!((ended.exit, ended.out.lines().count()), (Exit::Done, 2), "{}", ended.err);
    assert_eq!(engine.body(1), json!({ "key": "user:*", "workflow": "w", "filter": "payload.n > 0" }));
}

#[tokio::test]
async fn an_incoming_webhook_is_put_with_secrets_from_a_file_and_tells_what_it_refused() {
    let view = json!({ "name": "shop", "path": "/api/v1/hooks/acme/shop", "proof": { "kind": "stripe" }, "paused": false,
                       "start": { "workflow": "w", "run": { "input": { "$cel": "payload" } } },
                       "created_at": "2026-11-21T06:00:00Z", "created_by": "ada" });
    let failure = json!({ "at": "2026-11-21T06:00:00Z", "reason": "wrong_signature", "address": "203.0.113.7" });
    let engine = Engine::default()
        .answers("PUT /api/v1/webhooks/incoming/shop", view)
        .answers("GET /api/v1/webhooks/incoming/shop/failures", json!({ "failures": [failure] }));
    let url = engine.serve().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secrets");
    std::fs::write(&file, "new\n\nold \n").unwrap();
    let put = ["webhooks", "incoming", "put", "shop", "--proof", "stripe", "--secrets", file.to_str().unwrap()];
    let more = ["--tolerance", "2m", "--delivery-id", "payload.id", "--start", "w"];
    let ended = valet(&url, &[put.as_slice(), more.as_slice()].concat()).await;
    assert_eq!(ended.exit, Exit::Done, "{}", ended.err);
    assert!(ended.out.contains("deliver to  /api/v1/hooks/acme/shop\n"), "{}", ended.out);
    let proof = json!({ "kind": "stripe", "secrets": ["new", "old"], "tolerance_seconds": 120 });
    assert_eq!(engine.body(0), json!({ "proof": proof, "delivery_id": "payload.id", "start": { "workflow": "w" } }));
    let ended = valet(&url, &["webhooks", "incoming", "failures", "shop"]).await;
    assert!(ended.out.contains("wrong_signature  203.0.113.7\n"), "{}", ended.out);
    let both = [&["valet"], put.as_slice(), &["--start", "w", "--publish", "{}"]].concat();
    let refused = Program::try_parse_from(both).err().map(|error| error.to_string()).unwrap_or_default();
    assert!(refused.contains("'--start <WORKFLOW>' cannot be used with '--publish <JSON>'"), "{refused}");
}

#[tokio::test]
async fn an_outgoing_webhook_shows_its_secret_once_and_what_became_of_its_messages() {
    let view = json!({ "name": "status", "origin": "https://hooks.example", "kinds": ["run.*"], "paused": false,
                       "secret": "whsec_AAAA", "created_at": "2026-11-21T06:00:00Z", "created_by": "ada" });
    let message = json!({ "id": "msg_1", "kind": "run.failed", "run": RUN, "at": "2026-11-21T06:00:00Z", "state": "failed",
                          "attempts": 20, "status": 503, "error": "the receiver answered 503" });
    let engine = Engine::default()
        .answers("PUT /api/v1/webhooks/outgoing/status", view)
        .answers(
            "GET /api/v1/webhooks/outgoing/status/deliveries?state=failed&limit=7",
            json!({ "deliveries": [message] }),
        )
        .answers("POST /api/v1/webhooks/outgoing/status/deliveries/msg_1/redeliver", json!({}));
    let url = engine.serve().await;
    let put = [
        "webhooks",
        "outgoing",
        "put",
        "status",
        "--to",
        "https://hooks.example/x",
        "--on",
        "run.*",
        "--on",
        "mail.sent",
    ];
    let ended = valet(&url, &put).await;
    assert_eq!(ended.exit, Exit::Done, "{}", ended.err);
    assert!(ended.out.contains("whsec_AAAA (shown once)"), "{}", ended.out);
    assert_eq!(engine.body(0), json!({ "url": "https://hooks.example/x", "kinds": ["run.*", "mail.sent"] }));
    let failed = ["webhooks", "outgoing", "deliveries", "status", "--state", "failed", "--limit", "7"];
    let ended = valet(&url, &failed).await;
    assert!(ended.out.contains("the receiver answered 503\n"), "{}", ended.out);
    let ended = valet(&url, &["webhooks", "outgoing", "redeliver", "status", "msg_1"]).await;
    assert_eq!((ended.exit, ended.out.as_str()), (Exit::Done, "msg_1  on its way\n"), "{}", ended.err);
}

#[tokio::test]
async fn a_declared_workflow_is_applied_under_its_own_name_or_the_given_one() {
    let registered = |version: u32, created: bool| json!({ "name": "w", "version": version, "created": created });
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("w.json");
    let path = file.to_str().unwrap();
    std::fs::write(&file, json!({ "name": "w", "tasks": { "a": { "step": "s" } } }).to_string()).unwrap();
    let engine = Engine::default().answers("PUT /api/v1/workflows/w", registered(2, true));
    let ended = valet(&engine.serve().await, &["workflows", "apply", path]).await;
    assert_eq!((ended.exit, ended.out.as_str()), (Exit::Done, "w  version 2\n"), "{}", ended.err);
    assert_eq!(engine.body(0)["tasks"]["a"]["step"], "s");
    let url = Engine::default().answers("PUT /api/v1/workflows/w", registered(2, false)).serve().await;
    assert_eq!(valet(&url, &["workflows", "apply", path]).await.out, "w  version 2, as it was\n");
    std::fs::write(&file, "{}").unwrap();
    let ended = valet(&url, &["workflows", "apply", path]).await;
    assert_eq!(ended.exit, Exit::Usage);
    assert!(ended.err.contains("--name"), "{}", ended.err);
    assert_eq!(valet(&url, &["workflows", "apply", path, "--name", "w"]).await.exit, Exit::Done);
}

#[tokio::test]
async fn a_rule_is_set_and_removed_and_its_faults_are_told_with_their_fields() {
    let rule = json!({ "kind": "site", "name": "*.example.com", "version": 4, "value": { "pace_s": 30 }, "changed_by": "ada",
                       "changed_at": "2026-11-22T06:00:00Z" });
    let engine = Engine::default()
        .answers("PUT /api/v1/rules/site/*.example.com", rule)
        .answers("DELETE /api/v1/rules/site/*.example.com", json!({}));
    let url = engine.serve().await;
    let ended = valet(&url, &["tiers", "set", "site", "*.example.com", r#"{"pace_s":30}"#]).await;
    assert_eq!((ended.exit, ended.out.as_str()), (Exit::Done, "site *.example.com  version 4\n"), "{}", ended.err);
    assert_eq!(engine.body(0), json!({ "pace_s": 30 }));
    let ended = valet(&url, &["tiers", "unset", "site", "*.example.com"]).await;
    assert_eq!((ended.exit, ended.out.as_str()), (Exit::Done, "site *.example.com  removed\n"), "{}", ended.err);
    let ended = valet(&url, &["tiers", "set", "tier", "local", "{"]).await;
    assert_eq!(ended.exit, Exit::Usage);
    assert!(ended.err.starts_with("error: RULE is not JSON"), "{}", ended.err);
}

#[tokio::test]
async fn files_are_uploaded_first_and_named_in_the_input() {
    let file = json!({ "id": "file_1", "filename": "cv.pdf", "content_type": "application/pdf", "size_bytes": 3, "sha256": "0" });
    let engine = ended_run("succeeded", &json!(null)).answers("POST /api/v1/files", file);
    let url = engine.serve().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cv.pdf");
    std::fs::write(&path, "PDF").unwrap();
    let kind = format!("cover-letter={}", path.display());
    let input = r#"{"subject":"ada","documents":[{"kind":"other","file":"file_0"}]}"#;
    let ended = valet(&url, &["run", "w", "--json-input", input, "--file", &kind, "--no-follow"]).await;
    assert_eq!((ended.exit, ended.out.trim()), (Exit::Done, RUN), "{}", ended.err);
    let upload = &engine.asked()[0].body;
    for part in ["name=\"subject\"\r\n\r\nada\r\n", "name=\"file\"; filename=\"cv.pdf\"", "\r\n\r\nPDF\r\n"] {
        assert!(upload.contains(part), "{part:?} is not in {upload:?}");
    }
    let documents = json!([{ "kind": "other", "file": "file_0" }, { "kind": "cover_letter", "file": "file_1" }]);
    assert_eq!(engine.body(1)["input"]["documents"], documents);
}

#[tokio::test]
async fn what_cannot_be_used_is_refused_before_the_engine_is_asked() {
    let engine = Engine::default();
    let url = engine.serve().await;
    let cases: [(&[&str], &str); 6] = [
        (&["run", "w", "--json-input", "{"], "error: --json-input is not JSON: "),
        (&["run", "w", "--input", "/there/is/none"], "error: cannot read /there/is/none: "),
        (
            &["run", "w", "--json-input", "[]", "--file", "resume=cv.pdf"],
            "error: --file needs an input that is an object",
        ),
        (&["runs", "signal", "x", "go", "--payload", "hi"], "error: --payload is not JSON: "),
        (&["runs", "--status", "failed", "show", "x"], "error: filters belong behind `list`"),
        (&["files", "get", "x", "-o", "-", "--json"], "error: --output - and --json"),
    ];
    for (words, error) in cases {
        let ended = valet(&url, words).await;
        assert_eq!((ended.exit, ended.out.as_str()), (Exit::Usage, ""), "{words:?}");
        assert!(ended.err.starts_with(error), "{words:?}: {}", ended.err);
    }
    assert!(engine.asked().is_empty());
    let ended = valet("ftp://a", &["queues"]).await;
    assert_eq!(ended.exit, Exit::Usage);
}

#[tokio::test]
async fn several_runs_are_operated_one_by_one_and_one_refusal_does_not_hide_the_others() {
    let engine = Engine::default().answers("POST /api/v1/runs/a/cancel", summary("closing"));
    let url = engine.serve().await;
    let ended = valet(&url, &["runs", "cancel", "b", "a", "--reason", "moved"]).await;
    assert_eq!(ended.exit, Exit::Failed);
    assert_eq!(ended.out, format!("{RUN}  closing\n"));
    assert_eq!(ended.err, "error: b: there is none (run_not_found)\nerror: 1 of 2 failed\n");
    assert_eq!(engine.body(1), json!({ "reason": "moved" }));
    let ended = valet(&url, &["--json", "runs", "cancel", "a"]).await;
    assert_eq!(ended.json()["runs"][0]["status"], "closing");
}

#[tokio::test]
async fn a_task_is_answered_by_its_questions_names() {
    let task = json!({
        "id": "task_1", "run": RUN, "workflow": "w", "state": "open", "reason": "unknown_question", "title": "Two questions",
        "form": { "required": ["q1", "q2"], "properties": {
            "q1": { "type": "boolean", "title": "Visa?" }, "q2": { "enum": ["Day", "Night"], "title": "Shift?" } } },
        "context": {}, "deadline": "2026-11-21T06:00:00Z", "opened_at": "2026-11-21T05:00:00Z",
    });
    let mut answered = task.clone();
    answered["state"] = json!("answered");
    let engine = Engine::default()
        .answers("GET /api/v1/human-tasks/task_1", task)
        .answers("POST /api/v1/human-tasks/task_1/answer", answered);
    let url = engine.serve().await;
    let ended = valet(&url, &["human", "answer", "task_1", "--set", "q1=no", "--set", "q2=night"]).await;
    assert_eq!((ended.exit, ended.out.as_str()), (Exit::Done, "task_1  answered\n"), "{}", ended.err);
    assert_eq!(engine.body(1), json!({ "answer": { "q1": false, "q2": "Night" } }));
    assert!(engine.asked()[1].key.is_some(), "an answer carries a key, so that it may be repeated");

    let ended = valet(&url, &["human", "answer", "task_1", "--set", "q3=x"]).await;
    assert_eq!(ended.exit, Exit::Usage);
    assert!(ended.err.contains("--set the form has no `q3`; it has: q1, q2"), "{}", ended.err);
    let ended = valet(&url, &["human", "answer", "task_1"]).await;
    assert!(ended.err.contains("--set NAME=VALUE or --answer JSON"), "{}", ended.err);
}

#[tokio::test]
async fn the_journal_of_a_run_that_goes_on_ends_with_what_is_there() {
    let entries = [
        json!({ "started": { "input": {} } }),
        json!({ "paused": { "by": "a" } }),
        json!({ "unpaused": { "by": "a" } }),
    ];
    let engine = Engine::default()
        .answers("GET /api/v1/runs/x", detail("running", &json!(null)))
        .answers("GET /api/v1/runs/x/events", journal(&entries));
    let url = engine.serve().await;
    let ended = valet(&url, &["runs", "events", "x"]).await;
    assert_eq!((ended.exit, ended.out.lines().count()), (Exit::Done, 3), "{}", ended.err);
    assert!(ended.out.lines().nth(1).unwrap().contains("paused            {\"by\":\"a\"}"), "{}", ended.out);
}

#[tokio::test]
async fn artifacts_are_saved_under_their_names_and_not_over_each_other() {
    let artifact = |id: &str| {
        json!({ "id": id, "filename": "page.png", "step": 3, "content_type": "image/png", "size_bytes": 9, "sha256": "0",
                "created_at": "2026-11-21T06:00:00Z" })
    };
    let engine = Engine::default()
        .answers("GET /api/v1/runs/x/artifacts", json!({ "artifacts": [artifact("file_1"), artifact("file_2")] }))
        .answers("GET /api/v1/files/file_1", json!({ "a": 1 }))
        .answers("GET /api/v1/files/file_2", json!({ "b": 2 }));
    let url = engine.serve().await;
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("new");
    let ended = valet(&url, &["runs", "artifacts", "x", "--save", to.to_str().unwrap()]).await;
    assert_eq!(ended.exit, Exit::Done, "{}", ended.err);
    assert_eq!(std::fs::read_to_string(to.join("page.png")).unwrap(), r#"{"a":1}"#);
    assert_eq!(std::fs::read_to_string(to.join("page-2.png")).unwrap(), r#"{"b":2}"#);
}

#[tokio::test]
async fn a_run_is_written_as_one_file_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let artifact = |id: &str, content_type: &str| {
        json!({ "id": id, "filename": id, "step": 3, "content_type": content_type, "size_bytes": 9, "sha256": "0",
                "created_at": "2026-11-21T06:00:00Z" })
    };
    let left = json!({ "artifacts": [artifact("file_1", "image/png"), artifact("file_2", "application/json")] });
    let engine = Engine::default()
        .answers("GET /api/v1/runs/x", detail("running", &json!(null)))
        .answers("GET /api/v1/runs/x/events", journal(&[json!({ "paused": { "by": "a" } }), json!("ended")]))
        .answers("GET /api/v1/runs/x/artifacts", left)
        .answers("GET /api/v1/files/file_1", json!({ "a": 1 }));
    let url = engine.serve().await;
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("run.html");
    let report = ["runs", "report", "x", "--to", to.to_str().unwrap()];
    let ended = valet(&url, &report).await;
    assert_eq!(ended.exit, Exit::Done, "{}", ended.err);
    assert!(ended.out.contains(", pictures: 1\n"), "{}", ended.out);
    let html = std::fs::read_to_string(&to).unwrap();
    assert!(
        html.contains("data:image/png;base64,eyJhIjoxfQ==") && html.contains("<summary>2 entries</summary>"),
        "{html}"
    );
    assert_eq!(std::fs::metadata(&to).unwrap().permissions().mode() & 0o777, 0o600, "it may be personal");
    let ended = valet(&url, &[&report[..], &["--without-pictures"]].concat()).await;
    assert_eq!(ended.exit, Exit::Done, "{}", ended.err);
    let html = std::fs::read_to_string(&to).unwrap();
    assert!(!html.contains("base64") && html.contains("<td>file_1</td>"), "{html}");
}

#[tokio::test]
async fn the_doctor_says_what_is_wrong_and_its_exit_code_says_which() {
    let ready = json!({ "ready": true, "postgres": "ok", "redis": "ok" });
    let engine = Engine::default()
        .answers("GET /readyz", ready)
        .answers("GET /api/v1/workers", json!({ "workers": [] }))
        .answers(
            "GET /api/v1/queues",
            json!({ "queues": [
            { "name": "browser", "ready": 4, "running": 0, "backing_off": 0, "workers": 0, "free_slots": 0 }] }),
        );
    let ended = valet(&engine.serve().await, &["doctor", "--json"]).await;
    let report = ended.json();
    let found = |name: &str| report["checks"].as_array().unwrap().iter().find(|c| c["name"] == name).cloned();
    assert_eq!(found("token").unwrap()["verdict"], "ok");
    assert_eq!(found("workers").unwrap()["verdict"], "warn");
    assert_eq!(found("queue browser").unwrap()["found"], "4 steps are ready and no worker pulls it");
    assert!(found("chromedriver").is_some() && found("postgres").is_some());
    assert_eq!(ended.exit, Exit::Done, "what may be missed later is no failure");

    let ended = valet("http://127.0.0.1:1", &["doctor"]).await;
    assert_eq!(ended.exit, Exit::Unreachable);
    assert!(ended.out.contains("connection refused"), "{}", ended.out);
}

#[tokio::test]
async fn what_is_paused_and_resumed_is_said() {
    let pause = json!({ "scope": "queue", "tenant": "default", "name": "mail", "version": 3, "paused_by": "operator",
                        "reason": "quiet", "at": "2026-11-21T06:00:00Z" });
    let engine = Engine::default()
        .answers("POST /api/v1/queues/mail/pause", pause.clone())
        .answers("POST /api/v1/engine/resume", json!({ "pauses": [pause] }));
    let url = engine.serve().await;
    let ended = valet(&url, &["pause", "queue", "mail", "--reason", "quiet"]).await;
    assert_eq!((ended.exit, ended.out.as_str()), (Exit::Done, "queue mail  paused\n"), "{}", ended.err);
    assert_eq!(engine.body(0), json!({ "reason": "quiet", "all_tenants": false }));
    let ended = valet(&url, &["resume", "engine"]).await;
    assert_eq!((ended.exit, ended.out.as_str()), (Exit::Done, "engine  resumed\n"), "{}", ended.err);
    assert!(ended.err.contains("`valet pauses`"), "{}", ended.err);
}
