//! The stream of a run's events: whole, in order, resumed without a gap, ended with the run.

use std::time::Duration;

use axum::body::BodyDataStream;
use futures::StreamExt as _;
use serde_json::{Value, json};
use valet_core::id::RunId;
use valet_engine::bounds::EVENT_STREAMS_MAX;

use super::app::TestApp;
use super::calls::Call;
use super::worker::Worker;

/// An open stream, read event by event.
pub struct Reader {
    body: BodyDataStream,
    text: String,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    pub id: String,
    pub data: Value,
}

impl Reader {
    pub async fn open(app: &TestApp, run: &str, after: Option<&str>) -> Self {
        let mut call = Call::get(format!("/api/v1/runs/{run}/events"));
        if let Some(id) = after {
            call = call.header("last-event-id", id);
        }
        let response = app.open(call.into_request()).await;
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { body: response.into_body().into_data_stream(), text: String::new() }
    }

    /// The next event; `None` once the stream ended.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let (event, rest) = (event.to_owned(), rest.to_owned());
                self.text = rest;
                if let Some(event) = parse(&event) {
                    return Some(event);
                }
                continue;
            }
            let waited = tokio::time::timeout(Duration::from_secs(20), self.body.next()).await;
            let bytes = waited.expect("an event in time")?.expect("a whole body");
            self.text.push_str(std::str::from_utf8(&bytes).expect("UTF-8"));
        }
    }

    pub async fn rest(mut self) -> Vec<Event> {
        let mut events = Vec::new();
        while let Some(event) = self.next().await {
            events.push(event);
        }
        events
    }
}

/// `None`: a comment, which only keeps the connection alive.
fn parse(text: &str) -> Option<Event> {
    let line = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let data: Value = serde_json::from_str(line("data:")?).expect("JSON");
    assert_eq!(line("event:"), Some("journal"));
    let id = line("id:").expect("an id").to_owned();
    assert_eq!(id, format!("{}.{}", data["revision"], data["index"]));
    Some(Event { id, data })
}

fn kind(event: &Event) -> String {
    match &event.data["entry"] {
        Value::String(word) => word.clone(),
        entry => entry.as_object().and_then(|o| o.keys().next()).expect("a kind").clone(),
    }
}

/// Revisions follow one another, and so do the entries of each.
#[track_caller]
fn assert_gapless(events: &[Event]) {
    let at = |event: &Event| (event.data["revision"].as_u64().expect("n"), event.data["index"].as_u64().expect("n"));
    assert_eq!(at(&events[0]), (1, 1));
    for pair in events.windows(2) {
        let ((revision, index), next) = (at(&pair[0]), at(&pair[1]));
        assert!(next == (revision, index + 1) || next == (revision + 1, 1), "{next:?} after {:?}", (revision, index));
    }
}

async fn signal(app: &TestApp, run: &str, payload: u32) {
    let call = Call::post(format!("/api/v1/runs/{run}/signals/go")).json(&json!({ "payload": payload }));
    app.send(call).await.expect(204);
}

#[tokio::test]
async fn an_ended_run_tells_its_whole_story_and_the_stream_ends() {
    let app = TestApp::start().await;
    let worker = Worker::open(&app).await;
    let run = app.start_run("echo", &json!({ "text": "x" })).await;
    worker.carry_out(&run, 1, json!("out")).await;
    app.until_status(&run, "succeeded").await;
    let events = Reader::open(&app, &run, None).await.rest().await;
    assert_gapless(&events);
    let kinds: Vec<String> = events.iter().map(kind).collect();
    assert_eq!(kinds, ["started", "op", "resolved", "closing", "ended"]);
    for (at, event) in events.iter().enumerate() {
        let rest = Reader::open(&app, &run, Some(&event.id)).await.rest().await;
        assert_eq!(rest, events[at + 1..], "resumed after {}", event.id);
    }
}

#[tokio::test]
async fn a_live_stream_follows_the_run_to_its_end() {
    let app = TestApp::start().await;
    let run = app.start_run("listen", &json!({ "count": 20 })).await;
    let reader = tokio::spawn(Reader::open(&app, &run, None).await.rest());
    for n in 0..20 {
        signal(&app, &run, n).await;
    }
    let live = reader.await.expect("no panic");
    assert_gapless(&live);
    assert_eq!(live.last().map(kind).as_deref(), Some("ended"));
    assert_eq!(live, Reader::open(&app, &run, None).await.rest().await, "live and later tell the same");
}

/// A client that loses its connection after every event misses none and sees none twice.
#[tokio::test]
async fn resuming_after_each_event_is_gapless() {
    let app = TestApp::start().await;
    let run = app.start_run("listen", &json!({ "count": 12 })).await;
    for n in 0..12 {
        signal(&app, &run, n).await;
    }
    app.until_status(&run, "succeeded").await;
    let (mut seen, mut after) = (Vec::new(), None);
    while let Some(event) = Reader::open(&app, &run, after.as_deref()).await.next().await {
        after = Some(event.id.clone());
        seen.push(event);
    }
    assert_eq!(seen, Reader::open(&app, &run, None).await.rest().await);
}

/// Many more changes told than the stream waits for, and more entries than it reads at once, while nobody reads.
#[tokio::test]
async fn a_slow_reader_misses_nothing() {
    let app = TestApp::start().await;
    let count = 250;
    let run = app.start_run("listen", &json!({ "count": count })).await;
    let mut slow = Reader::open(&app, &run, None).await;
    let first = slow.next().await.expect("the first event");
    for n in 0..count {
        signal(&app, &run, n).await;
    }
    let told: RunId = run.parse().expect("an id");
    (0..10_000).for_each(|_| app.engine.routes.changed(told, false));
    let mut events = vec![first];
    events.extend(slow.rest().await);
    assert_gapless(&events);
    assert_eq!(events.last().map(kind).as_deref(), Some("ended"));
    assert!(events.len() > 2 * count as usize);
}

#[tokio::test]
async fn a_stream_sees_what_another_engine_commits() {
    let one = TestApp::start().await;
    let two = TestApp::on(&one.url).await;
    let run = one.start_run("listen", &json!({ "count": 3 })).await;
    let mut reader = Reader::open(&two, &run, None).await;
    reader.next().await.expect("the first event");
    for n in 0..3 {
        signal(&one, &run, n).await;
    }
    assert_eq!(reader.rest().await.last().map(kind).as_deref(), Some("ended"));
}

#[tokio::test]
async fn an_event_id_that_cannot_be_is_refused() {
    let app = TestApp::start().await;
    let run = app.start_run("anything", &json!(1)).await;
    app.until_status(&run, "succeeded").await;
    // No such event was ever sent: a stream that waits for what follows it would never end.
    for id in ["", "1", "1.2.3", "a.b", "-1.1", "99.1", "4294967295.1", "99999999999.1"] {
        let call = Call::get(format!("/api/v1/runs/{run}/events")).header("last-event-id", id);
        app.send(call).await.problem(400, "invalid_event_id").at("Last-Event-ID");
    }
}

#[tokio::test]
async fn streams_of_one_engine_are_bounded_and_a_closed_one_makes_room() {
    let app = TestApp::start().await;
    let run = app.start_run("ask", &json!({})).await;
    let call = || Call::get(format!("/api/v1/runs/{run}/events"));
    let mut open = Vec::new();
    for _ in 0..EVENT_STREAMS_MAX {
        let response = app.open(call().into_request()).await;
        assert_eq!(response.status(), 200);
        open.push(response);
    }
    let refused = app.send(call()).await.problem(429, "too_many_streams");
    assert!(refused.header("retry-after").is_some());
    open.pop();
    assert_eq!(app.open(call().into_request()).await.status(), 200);
}
