//! What people do with the console, and that everybody can.

mod bulk;
mod limits;
mod pages;
mod targets;
mod webhooks;

use std::path::Path;

use serde_json::{Value, json};
use valet_tests::bounds::SOON;
use valet_tests::wait::until;
use valet_tests::{Api, Cluster, Shape};

use super::browser::{Browser, DESK, PHONE};
use crate::it::PROGRAM;

/// A Valet with a browser on its console.
struct Scene {
    cluster: Cluster,
    browser: Browser,
}

impl Scene {
    /// Signed in with all there is.
    async fn start() -> Self {
        let cluster = Cluster::start(PROGRAM, Shape::default()).await;
        let browser = Browser::open(&cluster.urls()[0], cluster.folder()).await;
        let built = cluster.api().get("/console/").await.expect("an answer");
        assert_eq!(
            built.status, 200,
            "the console is not built in: ./ops/test builds it first, or see ops/console/README.md"
        );
        browser.sign_in(cluster.token()).await;
        Self { cluster, browser }
    }

    fn api(&self) -> Api {
        self.cluster.api()
    }

    /// A run that asks a person, once it does.
    async fn asking(&self, question: &str) -> (String, String) {
        let run =
            self.api().start("asks", &json!({ "question": question }), question).await.expect("a run starts").body.id;
        let api = self.api();
        let task = until("a task", SOON, async || {
            let tasks = api.run(&run).await.map_err(|error| error.to_string())?.tasks;
            tasks.first().map(|task| task.id.clone()).ok_or_else(|| "none yet".to_owned())
        })
        .await;
        (run, task)
    }

    async fn token(&self, name: &str, role: &str) -> String {
        let made =
            self.api().post("/api/v1/tokens", &json!({ "name": name, "role": role }), None).await.expect("an answer");
        made.body["secret"].as_str().expect("a secret").to_owned()
    }

    async fn answer(&self, token: &str, task: &str, answer: Value) {
        let api = Api::new(self.cluster.urls().to_vec(), token);
        let body = json!({ "answer": answer });
        let told = api.post(&format!("/api/v1/human-tasks/{task}/answer"), &body, None).await.expect("an answer");
        assert_eq!(told.status, 200, "{:?}", told.body);
    }

    async fn status(&self, run: &str, expected: &str) {
        let api = self.api();
        until(&format!("{run} to be {expected}"), SOON, async || {
            let status = api.run(run).await.map_err(|error| error.to_string())?.run.status;
            if status == expected { Ok(()) } else { Err(status) }
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_started_watched_paused_resumed_and_answered() {
    let scene = Scene::start().await;
    let browser = &scene.browser;

    // Watched live: nothing is reloaded.
    let stage = scene.cluster.stage("watched");
    let input = json!({ "steps": 2, "stage": stage.folder() });
    let watched = scene.api().start("staged", &input, "watched").await.expect("a run starts").body.id;
    browser.go(&format!("/runs/{watched}")).await;
    browser.sees("hold").await;
    browser.run("window.neverReloaded = true", Vec::new()).await;
    stage.open();
    browser.sees("succeeded").await;
    assert_eq!(browser.run("return window.neverReloaded", Vec::new()).await, json!(true));

    // Started from a form of the schema, which says what is missing first.
    browser.go("/workflows/asks/start").await;
    browser.sees("Question").await;
    browser.click("Start").await;
    browser.sees("this is missing").await;
    browser.fill("Question", "May it go out?").await;
    browser.click("Start").await;
    browser.sees("Waits for a person: question").await;
    let run = browser.url().await.rsplit('/').next().expect("an id").to_owned();

    browser.click("Pause").await;
    browser.sees("paused by operator").await;
    assert!(scene.api().run(&run).await.expect("a run shows").run.paused);
    browser.click("Resume").await;
    browser.sees("Waits for a person: question").await;

    browser.click("Open the task").await;
    browser.sees("May it go out?").await;
    browser.press("c").await;
    browser.sees("yours").await;
    browser.click("Hand back").await;
    browser.sees_no("yours").await;
    browser.press("c").await;
    browser.sees("yours").await;
    browser.fill("Answer", "It may.").await;
    browser.click("Done").await;
    browser.sees("Nobody is needed.").await;
    scene.status(&run, "succeeded").await;
    browser.go(&format!("/runs/{run}?view=data")).await;
    browser.sees("It may.").await;
    browser.go(&format!("/runs/{run}?view=journal")).await;
    browser.sees("answered by operator").await;

    // A fork from its journal is a run of its own.
    browser.click("fork from entry 1").await;
    browser.click("Start the fork").await;
    browser.sees("forked from").await;
    assert!(!browser.url().await.contains(&run));
    scene.browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_faster_is_told_and_nothing_typed_is_lost() {
    let mut scene = Scene::start().await;
    let (_, taken) = scene.asking("Who is first?").await;
    let ada = scene.token("ada", "reviewer").await;
    scene.browser.go(&format!("/inbox/{taken}")).await;
    scene.browser.fill("Answer", "I was slower.").await;
    scene.answer(&ada, &taken, json!({ "answer": "I was first." })).await;
    scene.browser.sees("The task is over: answered by ada").await;
    scene.browser.sees("I was slower.").await;

    // The engine goes away while somebody types, and comes back.
    let (run, task) = scene.asking("Still there?").await;
    scene.browser.go(&format!("/inbox/{task}")).await;
    scene.browser.fill("Answer", "All of it").await;
    scene.cluster.engines[0].kill().await;
    scene.browser.sees("The engine does not answer").await;
    scene.browser.click("Done").await;
    scene.browser.sees("What you typed stays here").await;
    scene.cluster.restart_engine(0).await;
    scene.browser.sees_no("The engine does not answer").await;

    // So does a session that ends.
    scene.browser.run_async(END_SESSION).await;
    scene.browser.sees("Your session has ended").await;
    scene.browser.fill("Token", scene.cluster.token()).await;
    scene.browser.click("Sign in").await;
    scene.browser.sees_no("Your session has ended").await;
    assert_eq!(scene.browser.typed("Answer").await, "All of it");
    scene.browser.click("Done").await;
    scene.status(&run, "succeeded").await;
    scene.browser.close().await;
}

/// As if another tab had signed out.
const END_SESSION: &str = "const done = arguments[arguments.length - 1]; \
    fetch('/api/v1/session').then(answer => answer.json()) \
        .then(({ csrf }) => fetch('/api/v1/session', { method: 'DELETE', headers: { 'X-Valet-Csrf': csrf } })) \
        .then(() => done())";

#[tokio::test(flavor = "multi_thread")]
async fn many_runs_are_cancelled_and_a_viewer_is_offered_nothing_of_it() {
    let scene = Scene::start().await;
    let stage = scene.cluster.stage("closed");
    let input = json!({ "steps": 1, "stage": stage.folder() });
    let starts = (0..120).map(|n| {
        let (api, input) = (scene.api(), input.clone());
        async move { api.start("staged", &input, &format!("many-{n}")).await.expect("a run starts") }
    });
    futures::future::join_all(starts).await;
    let browser = &scene.browser;
    browser.go("/runs?status=running&workflow=staged").await;
    browser.sees("All that fit the filters").await;
    browser.click("Cancel").await;
    browser.sees("It applies to 120 runs now.").await;
    browser.fill("Reason", "the stage is closed").await;
    browser.click("Cancel 120 runs").await;
    browser.sees("120 of 120 runs cancelled").await;
    browser.sees("the stage is closed").await;
    browser.go("/runs?status=running&workflow=staged").await;
    browser.sees("No run fits these filters.").await;

    let vera = scene.token("vera", "viewer").await;
    let (run, task) = scene.asking("May a viewer?").await;
    browser.click("sign out").await;
    browser.sign_in(&vera).await;
    browser.go(&format!("/runs/{run}")).await;
    browser.sees("Waits for a person").await;
    let page = browser.page().await;
    for word in ["Pause", "Kill", "Fork", "Tokens", "Audit"] {
        assert!(!page.contains(word), "a viewer is offered {word}:\n{page}");
    }
    browser.go(&format!("/inbox/{task}")).await;
    browser.sees("To answer this, sign in").await;
    browser.go("/tokens").await;
    browser.sees("Sign in with another token to do this").await;
    scene.browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_page_has_a_serious_fault_or_is_wider_than_a_phone() {
    let scene = Scene::start().await;
    let (run, task) = scene.asking("Can everybody read this?").await;
    scene.api().put("/api/v1/workflows/orders", &orders()).await.expect("a workflow is declared");
    let daily = json!({ "workflow": "asks", "cron": "30 9 * * *", "run": { "input": { "question": "All well?" } } });
    scene.api().put("/api/v1/schedules/daily", &daily).await.expect("a schedule is made");
    let paid = json!({ "key": "order:*", "workflow": "asks", "filter": "payload.total > 5" });
    scene.api().put("/api/v1/event-triggers/paid", &paid).await.expect("a trigger is made");
    scene.api().post("/api/v1/events", &json!({ "key": "order:paid" }), None).await.expect("an event is taken");
    let policy = json!({ "pace_s": 30, "note": "as agreed" });
    scene.api().put("/api/v1/rules/site/*.example.com", &policy).await.expect("a rule is set");
    let held = json!({ "action": "pause", "filter": { "workflow": "staged" } });
    let bulk = scene.api().post("/api/v1/bulk-operations", &held, None).await.expect("an operation is made");
    let bulk = bulk.body["id"].as_str().expect("an id").to_owned();
    let shop = json!({ "proof": { "kind": "api_key", "secrets": ["open sesame"] }, "start": { "workflow": "asks" } });
    scene.api().put("/api/v1/webhooks/incoming/shop", &shop).await.expect("a webhook is made");
    let limit = json!({ "workflow": "staged", "key": "input.stage", "most": 2 });
    scene.api().put("/api/v1/limits/per-stage", &limit).await.expect("a limit is set");
    let item = json!({ "kind": "answer", "name": "Visa?", "value": "no" });
    scene.api().put("/api/v1/subjects/tests/items", &item).await.expect("an item is kept");
    let axe = Path::new(env!("CARGO_MANIFEST_DIR")).join("../ops/console/node_modules/axe-core/axe.min.js");
    let axe = std::fs::read_to_string(&axe).unwrap_or_else(|error| panic!("{}: {error}: npm ci", axe.display()));
    let pages = [
        ("/".to_owned(), "Ended runs"),
        ("/runs".to_owned(), "and no more"),
        ("/bulk-operations".to_owned(), "no run fitted it"),
        (format!("/bulk-operations/{bulk}"), "no run fitted it"),
        (format!("/runs/{run}"), "person question"),
        (format!("/runs/{run}?view=graph"), "What led to what"),
        (format!("/runs/{run}?view=data"), "Input"),
        (format!("/runs/{run}?view=logs"), "It has said nothing yet"),
        (format!("/runs/{run}?view=journal"), "the run began"),
        (format!("/runs/{run}?view=files"), "no files"),
        (format!("/runs/{run}?view=commands"), "valet runs show"),
        (format!("/inbox/{task}"), "Can everybody read this?"),
        ("/workflows".to_owned(), "orders"),
        ("/workflows/orders".to_owned(), "Definition"),
        ("/workflows/asks/start".to_owned(), "Question"),
        ("/schedules".to_owned(), "daily"),
        ("/schedules/daily".to_owned(), "It has not fired yet"),
        ("/new-schedule".to_owned(), "Next ten fires"),
        ("/events".to_owned(), "order:paid"),
        ("/events?view=triggers".to_owned(), "edit paid"),
        ("/webhooks".to_owned(), "pause shop"),
        ("/webhooks/incoming/shop".to_owned(), "None was refused in 30 days."),
        ("/tiers".to_owned(), "edit *.example.com"),
        ("/queues".to_owned(), "edit per-stage"),
        ("/limits/per-stage".to_owned(), "Nothing is at work under this limit"),
        ("/sandboxes".to_owned(), "No run has a sandbox now."),
        ("/workers".to_owned(), "worker-0"),
        ("/subjects?subject=tests".to_owned(), "Visa?"),
        ("/tokens".to_owned(), "No token but"),
        ("/audit".to_owned(), "run.start"),
        ("/nowhere".to_owned(), "no such page"),
    ];
    let mut faults = Vec::new();
    for (theme, size) in [("light", DESK), ("dark", PHONE)] {
        scene.browser.resize(size).await;
        scene.browser.run("localStorage.setItem('valet.theme', arguments[0])", vec![json!(theme)]).await;
        for (path, settled) in &pages {
            scene.browser.go(path).await;
            scene.browser.sees(settled).await;
            scene.browser.run(&axe, Vec::new()).await;
            let found = scene.browser.run_async(SERIOUS).await;
            faults.extend(found.as_array().expect("a list").iter().map(|fault| format!("{path}, {theme}: {fault}")));
            let over = scene.browser.run("return document.documentElement.scrollWidth - innerWidth", Vec::new()).await;
            if over.as_i64().is_some_and(|over| over > 0) {
                faults.push(format!("{path}, {theme}: {over} px wider than the window"));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    scene.browser.close().await;
}

const SERIOUS: &str = "const done = arguments[arguments.length - 1]; \
    axe.run(document, { resultTypes: ['violations'] }).then(({ violations }) => done(violations \
        .filter(one => ['serious', 'critical'].includes(one.impact)) \
        .map(one => one.id + ': ' + one.nodes.map(node => node.html.slice(0, 160)).join(' | '))))";

fn orders() -> Value {
    json!({ "name": "orders", "tasks": {
        "pay": { "step": "pay", "queue": "shop" },
        "ship": { "step": "ship", "queue": "shop", "parents": ["pay"], "skip_if": "input.digital" },
    } })
}
