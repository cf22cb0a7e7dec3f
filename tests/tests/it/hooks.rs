//! Notices outside: signed, delivered at least once under one id, whoever is killed or answers badly.

mod receiver;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use valet::roles::engine;
use valet::settings::Settings;
use valet::{Context, HumanOutcome, HumanSpec, Stop, Workflow};
use valet_core::Payload;
use valet_stack::Stack;
use valet_tests::bounds::{LOAD_MAX, SOON};
use valet_tests::wait::until;
use valet_tests::{Api, Cluster, Shape};

use self::receiver::{Delivery, Receiver, Reply};
use super::PROGRAM;

const SECRET: &str = "a key that only the two sides know";
/// A notice that was refused comes again after 10 s, then 20 s.
const AGAIN_MAX: Duration = Duration::from_mins(1);

fn told(receiver: &Receiver, run: &str) -> Vec<Delivery> {
    receiver.deliveries().into_iter().filter(|delivery| delivery.body["run"] == run).collect()
}

fn kinds(deliveries: &[Delivery]) -> BTreeSet<&str> {
    deliveries.iter().map(|delivery| delivery.body["kind"].as_str().expect("a kind")).collect()
}

/// The notice itself, without what differs between its attempts.
fn notice(delivery: &Delivery) -> (String, Value) {
    let mut body = delivery.body.clone();
    body.as_object_mut().expect("an object").remove("attempt");
    (body["id"].as_str().expect("an id").to_owned(), body)
}

async fn webhook_cluster(receiver: &Receiver, folder: &Path) -> Cluster {
    let secret = folder.join("webhook-secret");
    std::fs::write(&secret, SECRET).expect("the secret is written");
    let environment = vec![
        ("VALET_WEBHOOK_URL", receiver.url()),
        ("VALET_HOOK_ALLOW_HOSTS", receiver.place()),
        ("VALET_WEBHOOK_SECRET_FILE", secret.display().to_string()),
    ];
    Cluster::start(PROGRAM, Shape { environment, ..Shape::default() }).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notice_is_signed_and_one_that_was_refused_comes_again_under_its_id() {
    // The first attempt of each `run.started` is refused.
    let decide = |body: &Value| {
        let is_refused = body["kind"] == "run.started" && body["attempt"] == 1;
        if is_refused { Reply::Refused } else { Reply::Taken }
    };
    let (receiver, folder) = (Receiver::start(decide).await, tempfile::tempdir().expect("a folder"));
    let cluster = webhook_cluster(&receiver, folder.path()).await;
    let run = cluster.api().start("bench", &json!({ "steps": 1 }), "a").await.expect("a run starts").body.id;
    let deliveries = until("the refused notice to come again", AGAIN_MAX, async || {
        let told = told(&receiver, &run);
        let all = told.len() == 3 && kinds(&told) == BTreeSet::from(["run.started", "run.succeeded"]);
        if all { Ok(told) } else { Err(format!("{told:?}")) }
    })
    .await;
    for delivery in &deliveries {
        assert!(delivery.is_signed_with(SECRET), "{delivery:?}");
        assert!(!delivery.is_signed_with("another key"));
        assert_eq!(delivery.event, delivery.body["kind"].as_str().expect("a kind"));
        assert_eq!(delivery.body["workflow"], "bench");
    }
    let started: Vec<&Delivery> = deliveries.iter().filter(|d| d.body["kind"] == "run.started").collect();
    let attempts: Vec<&Value> = started.iter().map(|d| &d.body["attempt"]).collect();
    assert_eq!(attempts, [&json!(1), &json!(2)]);
    assert_eq!(notice(started[0]), notice(started[1]), "the same notice, with the same id");
    assert!(!cluster.engines[0].said().contains(&receiver.url()), "an address may hold a secret: no log names it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_engine_loses_no_notice() {
    const RUNS: usize = 60;
    // Until the kill nothing is answered: the engine dies with what it had begun to deliver.
    let killed = Arc::new(AtomicBool::new(false));
    let decide = {
        let killed = Arc::clone(&killed);
        move |_: &Value| if killed.load(Ordering::Acquire) { Reply::Taken } else { Reply::Never }
    };
    let (receiver, folder) = (Receiver::start(decide).await, tempfile::tempdir().expect("a folder"));
    let mut cluster = webhook_cluster(&receiver, folder.path()).await;
    let api = cluster.api();
    let mut runs = BTreeSet::new();
    for n in 0..RUNS {
        let started = api.start("bench", &json!({ "steps": 2 }), &format!("k{n}")).await.expect("a run starts");
        runs.insert(started.body.id);
        if n == RUNS / 2 {
            until("some notices to be on their way", SOON, async || {
                let begun = receiver.deliveries().len();
                if begun >= 4 { Ok(()) } else { Err(format!("{begun} so far")) }
            })
            .await;
            cluster.engines[0].kill().await;
            killed.store(true, Ordering::Release);
            cluster.restart_engine(0).await;
        }
    }
    cluster.oracle().await.ended("bench", RUNS as u32, LOAD_MAX).await;
    until("every notice to arrive", AGAIN_MAX, async || {
        let deliveries = receiver.deliveries();
        let mut seen: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for delivery in deliveries.iter().filter(|delivery| delivery.reply == Reply::Taken) {
            let text = |name: &str| delivery.body[name].as_str().expect("a text");
            seen.entry(text("run")).or_default().insert(text("kind"));
        }
        let whole = |run: &String| seen.get(run.as_str()).is_some_and(|kinds| kinds.len() == 2);
        let missing = runs.iter().filter(|run| !whole(run)).count();
        if missing == 0 { Ok(()) } else { Err(format!("{missing} of {RUNS} runs are not told in full")) }
    })
    .await;
    // Repeats are told by their id: one notice, one id, one content.
    let mut notices: BTreeMap<String, Value> = BTreeMap::new();
    let mut repeated = BTreeSet::new();
    for delivery in receiver.deliveries() {
        assert!(delivery.is_signed_with(SECRET));
        let (id, body) = notice(&delivery);
        if delivery.body["attempt"] != 1 {
            repeated.insert(id.clone());
        }
        assert_eq!(notices.entry(id).or_insert_with(|| body.clone()), &body);
    }
    assert_eq!(notices.len(), RUNS * 2, "as many ids as notices");
    assert!(repeated.len() >= 4, "what was on its way came again: {repeated:?}");
}

/// The one engine dies with messages on their way; the other delivers them, and what happens from then on.
#[tokio::test(flavor = "multi_thread")]
async fn a_killed_engine_loses_no_message_of_a_webhook() {
    const RUNS: usize = 12;
    let (answering, killed) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicBool::new(false)));
    let decide = {
        let answering = Arc::clone(&answering);
        move |_: &Value| if answering.load(Ordering::Acquire) { Reply::Taken } else { Reply::Never }
    };
    let receiver = Receiver::start(decide).await;
    let environment = vec![("VALET_HOOK_ALLOW_HOSTS", receiver.place())];
    let mut cluster = Cluster::start(PROGRAM, Shape { engines: 2, environment, ..Shape::default() }).await;
    let (one, other) = (cluster.api_of(0), cluster.api_of(1));
    let webhook = json!({ "url": receiver.url(), "kinds": ["run.started", "run.succeeded"] });
    let made = one.put("/api/v1/webhooks/outgoing/status", &webhook).await.expect("an answer");
    assert_eq!(made.status, 201, "{}", made.body);
    let run_of = |delivery: &Delivery| delivery.body["data"]["run"].as_str().expect("a run").to_owned();
    let mut probes = 0;
    until("the other engine to know of the webhook", AGAIN_MAX, async || {
        probes += 1;
        let probe = other.start("bench", &json!({ "steps": 1 }), &format!("probe {probes}")).await;
        probe.map_err(|error| error.to_string())?;
        // Which engine ends a run is the worker's choice; the one that was asked begins it.
        let is_told = receiver.deliveries().iter().any(|delivery| delivery.body["type"] == "run.started");
        if is_told { Ok(()) } else { Err(format!("{probes} probes")) }
    })
    .await;
    let oracle = cluster.oracle().await;
    oracle.ended("bench", probes, LOAD_MAX).await;
    until("all that probes told to be delivered", SOON, async || {
        let waiting = sqlx::query_scalar::<_, i64>("SELECT count(*) FROM notices WHERE delivered_at IS NULL");
        let waiting = waiting.fetch_one(oracle.pool()).await.expect("a count");
        if waiting == 0 { Ok(()) } else { Err(format!("{waiting} are not")) }
    })
    .await;

    answering.store(false, Ordering::Release);
    let before = receiver.deliveries().len();
    let mut runs = BTreeSet::new();
    for n in 0..RUNS {
        let api = if killed.load(Ordering::Acquire) || n % 2 == 1 { &other } else { &one };
        let started = api.start("bench", &json!({ "steps": 1 }), &format!("k{n}")).await.expect("a run starts");
        runs.insert(started.body.id);
        if n == RUNS / 2 {
            until("some messages to be on their way", SOON, async || {
                let begun = receiver.deliveries().len() - before;
                if begun >= 4 { Ok(()) } else { Err(format!("{begun} so far")) }
            })
            .await;
            cluster.engines[0].kill().await;
            killed.store(true, Ordering::Release);
            answering.store(true, Ordering::Release);
        }
    }
    cluster.oracle().await.ended("bench", probes + RUNS as u32, LOAD_MAX).await;
    let taken = until("every message to arrive", AGAIN_MAX, async || {
        let deliveries = receiver.deliveries().into_iter().filter(|delivery| delivery.reply == Reply::Taken);
        let mut seen: BTreeMap<String, BTreeMap<String, BTreeSet<String>>> = BTreeMap::new();
        for delivery in deliveries.filter(|delivery| runs.contains(&run_of(delivery))) {
            let kind = delivery.body["type"].as_str().expect("a kind").to_owned();
            seen.entry(run_of(&delivery)).or_default().entry(kind).or_default().insert(delivery.message.clone());
        }
        let whole = seen.values().filter(|kinds| kinds.len() == 2).count();
        if whole == RUNS { Ok(seen) } else { Err(format!("{whole} of {RUNS} runs are told in full")) }
    })
    .await;
    assert!(taken.values().flat_map(BTreeMap::values).all(|ids| ids.len() == 1), "one message, one id: {taken:?}");
    let unanswered = receiver.deliveries().into_iter().filter(|delivery| delivery.reply == Reply::Never);
    let unanswered: BTreeSet<String> = unanswered.map(|delivery| delivery.message).collect();
    let ids: BTreeSet<&String> = taken.values().flat_map(BTreeMap::values).flatten().collect();
    assert!(
        unanswered.len() >= 4 && unanswered.iter().all(|id| ids.contains(id)),
        "under the same ids: {unanswered:?}"
    );
}

/// Asks one person.
struct Ask;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Question {
    deadline_s: u64,
}

impl Workflow for Ask {
    const NAME: &'static str = "ask";
    type Input = Question;
    type Output = Value;

    async fn run(ctx: Context, question: Question) -> Result<Value, Stop> {
        let task = HumanSpec {
            reason: "age".to_owned(),
            title: "How old?".to_owned(),
            form: Payload::of(&json!({ "type": "integer" })).unwrap_or_default(),
            context: Payload::null(),
            deadline: ctx.now() + Duration::from_secs(question.deadline_s),
        };
        Ok(match ctx.human(task).await {
            HumanOutcome::Answered { answer, .. } => answer.read().unwrap_or_default(),
            HumanOutcome::Rejected { .. } | HumanOutcome::TimedOut => Value::Null,
        })
    }
}

/// A program that keeps each notice in a file of its own, named by kind.
pub fn hook_program(folder: &Path) -> (std::path::PathBuf, std::path::PathBuf) {
    let (program, kept) = (folder.join("hook"), folder.join("kept"));
    std::fs::create_dir(&kept).expect("a folder");
    let script = format!("#!/bin/sh\ncat > '{0}'/.$$ && mv '{0}'/.$$ '{0}'/\"$1\".$$\n", kept.display());
    std::fs::write(&program, script).expect("the program is written");
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).expect("it may be run");
    (program, kept)
}

/// What the program was given of a run, by kind.
pub fn kept(folder: &Path, run: &str) -> BTreeMap<String, Value> {
    let files = std::fs::read_dir(folder).expect("the folder").map(|entry| entry.expect("an entry"));
    let named = files.filter(|file| !file.file_name().to_string_lossy().starts_with('.'));
    let read = named.map(|file| {
        let name = file.file_name().to_string_lossy().into_owned();
        let kind = name.rsplit_once('.').expect("kind and number").0.to_owned();
        let text = std::fs::read_to_string(file.path()).expect("a notice");
        (kind, serde_json::from_str::<Value>(&text).expect("the input is JSON"))
    });
    read.filter(|(_, document)| document["run"] == run).collect()
}

/// An engine inside this process, with a workflow that asks a person.
async fn asking_engine(stack: &Stack, receiver: &Receiver, folder: &Path, hook: &Path) -> (engine::RunningEngine, Api) {
    valet::cli::install_tls();
    let file = |name: &str| folder.join(name).display().to_string();
    for (name, prefix) in [("secret.key", ""), ("token", "vt_"), ("worker-token", "vw_")] {
        valet::secrets::ensure(&folder.join(name), prefix).expect("a secret is written");
    }
    std::fs::write(folder.join("webhook-secret"), SECRET).expect("the secret is written");
    let mut settings = Settings::from_parts(None, |_| None).expect("defaults");
    for (key, value) in [
        ("database.url", stack.database_url().to_owned()),
        ("redis.url", stack.redis_url().to_owned()),
        ("secrets.key_file", file("secret.key")),
        ("tokens.api_file", file("token")),
        ("tokens.worker_file", file("worker-token")),
        ("files.dir", file("files")),
        ("hooks.webhook_url", receiver.url()),
        ("hooks.allow_hosts", receiver.place()),
        ("hooks.webhook_secret_file", file("webhook-secret")),
        ("hooks.command", hook.display().to_string()),
        ("hooks.due_soon_s", "60".to_owned()),
    ] {
        settings.set(key, value);
    }
    engine::migrate_database(&settings).await.expect("the schema");
    let registry = valet_core::Registry::new(0).with::<Ask>();
    let engine = engine::start(&settings, registry, SocketAddr::from(([127, 0, 0, 1], 0))).await.expect("an engine");
    let token = std::fs::read_to_string(folder.join("token")).expect("the token");
    let api = Api::new(vec![engine.url()], token.trim());
    (engine, api)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_is_told_when_it_opens_when_it_is_due_soon_and_when_it_closes() {
    let (receiver, folder) = (Receiver::start(|_| Reply::Taken).await, tempfile::tempdir().expect("a folder"));
    let stack = Stack::temporary(false).await.expect("the private servers start");
    let (hook, kept_in) = hook_program(folder.path());
    let (engine, api) = asking_engine(&stack, &receiver, folder.path(), &hook).await;
    let run = api.start("ask", &json!({ "deadline_s": 40 }), "a").await.expect("a run starts").body.id;
    let not_soon = api.start("ask", &json!({ "deadline_s": 4_000 }), "b").await.expect("a run starts").body.id;
    let opened = until("both notices of the open task", SOON, async || {
        let told = told(&receiver, &run);
        let all = kinds(&told) == BTreeSet::from(["run.started", "human_task.opened", "human_task.due_soon"]);
        if all { Ok(told) } else { Err(format!("{:?}", kinds(&told))) }
    })
    .await;
    let link = |kind: &str| {
        let notice = opened.iter().find(|delivery| delivery.body["kind"] == kind).expect("a notice");
        (notice.body["task"].as_str().expect("a task"), notice.body["link"].as_str().expect("a link"))
    };
    assert_eq!(link("human_task.opened"), link("human_task.due_soon"));
    assert!(opened.iter().all(|delivery| delivery.is_signed_with(SECRET)));

    // Whoever got the link may answer, and nothing else.
    let (task, token) = link("human_task.opened");
    let visitor = Api::new(vec![engine.url()], token);
    assert_eq!(visitor.get(&format!("/api/v1/runs/{run}")).await.expect("an answer").status, 403);
    let answered = visitor.post(&format!("/api/v1/human-tasks/{task}/answer"), &json!({ "answer": 41 }), None).await;
    assert_eq!(answered.expect("an answer").status, 200);

    let told = until("the end of the task and of the run", SOON, async || {
        let told = told(&receiver, &run);
        if kinds(&told).len() == 5 { Ok(told) } else { Err(format!("{:?}", kinds(&told))) }
    })
    .await;
    assert!(kinds(&told).is_superset(&BTreeSet::from(["human_task.closed", "run.succeeded"])));
    let closed = told.iter().find(|delivery| delivery.body["kind"] == "human_task.closed").expect("its end");
    assert_eq!((&closed.body["task"], closed.body.get("link")), (&json!(task), None));
    assert_eq!(kinds(&self::told(&receiver, &not_soon)), BTreeSet::from(["run.started", "human_task.opened"]));

    // The program was given the same documents.
    let by_hand = until("the program to have run for each", SOON, async || {
        let kept = kept(&kept_in, &run);
        if kept.len() == 5 { Ok(kept) } else { Err(format!("{:?}", kept.keys())) }
    })
    .await;
    for delivery in &told {
        let mut sent = delivery.body.clone();
        let mut given = by_hand[&delivery.event].clone();
        // Each listener has notices of its own.
        for document in [&mut sent, &mut given] {
            document.as_object_mut().expect("an object").retain(|name, _| name != "id" && name != "attempt");
        }
        assert_eq!(given, sent);
    }
    engine.stop().await;
    stack.stop().await.expect("the servers stop");
}
