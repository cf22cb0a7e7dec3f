//! What is asked of the console under load, and of two people at once.

use std::time::Duration;

use futures::{StreamExt as _, stream};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};
use valet_tests::bounds::{LOAD_MAX, SOON};
use valet_tests::wait::until;

use super::Scene;
use crate::it::console::browser::Browser;

/// For this long a run's journal grows by so many entries a second.
const BUSY: Duration = Duration::from_secs(30);
const EVENTS_PER_SECOND: u32 = 60;
/// A channel keeps 1,000 messages that nobody took.
const CHANNELS: u32 = 4;
const LONG_TASK_MS_MAX: f64 = 100.0;
const LAYOUT_SHIFT_MAX: f64 = 0.02;

/// Watches the page from now on: the browser's own measures.
const WATCH: &str = "window.longTasks = []; window.shifted = 0; \
    new PerformanceObserver(list => longTasks.push(...list.getEntries().map(one => one.duration))) \
        .observe({ type: 'longtask' }); \
    new PerformanceObserver(list => list.getEntries().filter(one => !one.hadRecentInput) \
        .forEach(one => { window.shifted += one.value; })).observe({ type: 'layout-shift' });";

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_that_grows_by_sixty_a_second_leaves_the_page_quick_and_still() {
    let scene = Scene::start().await;
    let (run, _) = scene.asking("Is it busy?").await;
    let browser = &scene.browser;
    browser.go(&format!("/runs/{run}?view=journal")).await;
    browser.sees("a person is needed").await;
    browser.run(WATCH, Vec::new()).await;

    let count = EVENTS_PER_SECOND * BUSY.as_secs() as u32;
    let mut clock = interval(Duration::from_secs(1) / EVENTS_PER_SECOND);
    clock.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut sent = JoinSet::new();
    for n in 0..count {
        clock.tick().await;
        let (api, run) = (scene.api(), run.clone());
        sent.spawn(async move { api.signal(&run, &format!("busy-{}", n % CHANNELS), &format!("busy-{n}")).await });
    }
    while let Some(told) = sent.join_next().await {
        told.expect("a task ends").expect("the signal is kept");
    }
    until("every entry on the page", SOON, async || {
        let rows = browser.run("return Number(document.querySelector('table').ariaRowCount)", Vec::new()).await;
        if rows.as_u64() >= Some(u64::from(count)) { Ok(()) } else { Err(rows.to_string()) }
    })
    .await;

    let measured = browser.run("return { longTasks, shifted }", Vec::new()).await;
    let numbers =
        |value: &Value| value.as_array().expect("a list").iter().filter_map(Value::as_f64).collect::<Vec<_>>();
    let longest = numbers(&measured["longTasks"]).into_iter().fold(0.0, f64::max);
    let shifted = measured["shifted"].as_f64().expect("a number");
    assert!(longest <= LONG_TASK_MS_MAX, "the page stood still for {longest} ms");
    assert!(shifted < LAYOUT_SHIFT_MAX, "the page moved by {shifted}");
    scene.browser.close().await;
}

const MANY: usize = 1_000;
/// Starts under way at once.
const AT_ONCE: usize = 32;
/// Reads on until the whole list is there, as somebody does who scrolls.
const SCROLL: &str = "const frame = document.querySelector('.table-frame'); frame.scrollTop = frame.scrollHeight";
const CHOOSE_ALL: &str = "document.querySelector('input[aria-label^=\"choose all\"]').click()";

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_runs_chosen_in_the_list_are_cancelled_with_progress() {
    let scene = Scene::start().await;
    let stage = scene.cluster.stage("never-opened");
    let input = json!({ "steps": 1, "stage": stage.folder() });
    stream::iter(0..MANY)
        .map(|n| {
            let (api, input) = (scene.api(), input.clone());
            async move { api.start("staged", &input, &format!("many-{n}")).await.expect("a run starts") }
        })
        .buffer_unordered(AT_ONCE)
        .collect::<Vec<_>>()
        .await;
    let browser = &scene.browser;
    browser.go("/runs?workflow=staged").await;
    browser.sees("so far").await;
    until("the whole list", LOAD_MAX, async || {
        browser.run(SCROLL, Vec::new()).await;
        let page = browser.page().await;
        if page.contains("1,000 runs, and no more") { Ok(()) } else { Err(page) }
    })
    .await;
    browser.run(CHOOSE_ALL, Vec::new()).await;
    browser.sees("1,000 runs chosen").await;
    browser.click("Cancel").await;
    browser.sees("Cancel 1,000 runs").await;
    browser.click("Cancel").await;
    browser.sees(" of 1,000 runs done").await;
    until("all of them cancelled", LOAD_MAX, async || {
        let page = browser.page().await;
        if page.contains("1000 of 1,000 runs done") { Ok(()) } else { Err(page) }
    })
    .await;
    let api = scene.api();
    until("no run to live", LOAD_MAX, async || {
        let counts = api.get("/api/v1/runs/counts?workflow=staged").await.map_err(|error| error.to_string())?.body;
        if counts["ended"]["cancelled"] == json!(MANY) { Ok(()) } else { Err(counts.to_string()) }
    })
    .await;
    scene.browser.close().await;
}

/// The page reads nothing of tasks any more: it cannot know that somebody was faster.
const READ_NO_MORE: &str = "const real = window.fetch; window.fetch = request => \
    request.method === 'GET' && request.url.includes('/human-tasks') ? new Promise(() => {}) : real(request)";

#[tokio::test(flavor = "multi_thread")]
async fn of_two_who_answer_one_task_the_slower_is_told_who_was_first_and_keeps_what_they_typed() {
    let scene = Scene::start().await;
    let (run, task) = scene.asking("Who is first?").await;
    let (ada, ben) = (scene.token("ada", "reviewer").await, scene.token("ben", "reviewer").await);
    let slower = Browser::open(&scene.cluster.urls()[0], &scene.cluster.folder().join("slower")).await;
    let faster = &scene.browser;
    faster.click("sign out").await;
    for (browser, token, answer) in [(faster, &ada, "Ada was."), (&slower, &ben, "Ben was.")] {
        browser.sign_in(token).await;
        browser.go(&format!("/inbox/{task}")).await;
        browser.fill("Answer", answer).await;
    }
    slower.run(READ_NO_MORE, Vec::new()).await;
    faster.click("Done").await;
    scene.status(&run, "succeeded").await;
    slower.click("Done").await;
    slower.sees("This task was answered by ada").await;
    slower.sees("What you typed is still here").await;
    assert_eq!(slower.typed("Answer").await, "Ben was.");
    slower.close().await;

    // Who only looked is led on once the run goes on without them.
    let (_, task) = scene.asking("Who answers?").await;
    faster.go(&format!("/inbox/{task}")).await;
    faster.sees("Who answers?").await;
    scene.answer(&ben, &task, json!({ "answer": "Ben did." })).await;
    faster.sees("The task is over: answered by ben").await;
    faster.sees("Nobody is needed.").await;
    scene.browser.close().await;
}
