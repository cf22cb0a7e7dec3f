//! A run's event stream, read to its end over any number of engines, resumed where it broke off.

use serde_json::Value;
use tokio::time::timeout;

use crate::api::{Api, ApiError};
use crate::bounds::{LOOK_EVERY, STREAM_MAX};

/// One event.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    pub revision: u32,
    pub index: u32,
    pub entry: Value,
}

/// Reads a run's events until it ended. A broken stream is resumed at the next engine with `Last-Event-ID`.
///
/// # Panics
/// When the stream does not come to its end in time, or is refused for good.
pub async fn read_to_end(api: &Api, run: &str) -> Vec<Event> {
    let mut events = Vec::new();
    let read = async {
        loop {
            match read_once(api, run, &mut events).await {
                Ok(()) if events.last().is_some_and(is_end) => return,
                Ok(()) => {}
                Err(error) if error.is_retryable() => {}
                Err(error) => panic!("the events of {run}: {error}"),
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    let ended = timeout(STREAM_MAX, read).await.is_ok();
    assert!(ended, "the events of {run} did not end within {STREAM_MAX:?}; the last is {:?}", events.last());
    events
}

/// Reads one stream until it ends or breaks.
async fn read_once(api: &Api, run: &str, events: &mut Vec<Event>) -> Result<(), ApiError> {
    let after = events.last().map(|event| format!("{}.{}", event.revision, event.index));
    let mut response = api.open_events(run, after.as_deref()).await?;
    let mut text = Vec::new();
    while let Some(bytes) = response.chunk().await.map_err(ApiError::Silent)? {
        text.extend_from_slice(&bytes);
        while let Some(end) = text.windows(2).position(|two| two == b"\n\n") {
            let message: Vec<u8> = text.drain(..end + 2).collect();
            if let Some(event) = parse(&String::from_utf8_lossy(&message)) {
                events.push(event);
            }
        }
    }
    Ok(())
}

/// A message without data is a keep-alive.
fn parse(message: &str) -> Option<Event> {
    let field = |name: &str| message.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let body: Value = serde_json::from_str(field("data:")?).expect("an event's data are JSON");
    let number = |name: &str| body[name].as_u64().expect("an event has its number") as u32;
    let (revision, index) = (number("revision"), number("index"));
    assert_eq!(field("id:"), Some(format!("{revision}.{index}").as_str()), "the id names the event: {message}");
    Some(Event { revision, index, entry: body["entry"].clone() })
}

/// Whether it is a run's last event.
pub fn is_end(event: &Event) -> bool {
    event.entry == Value::String("ended".to_owned())
}

/// Panics unless the events are the whole story: from the first revision to the end, no revision or index left out or
/// told twice.
#[track_caller]
pub fn assert_gapless(run: &str, events: &[Event]) {
    let mut expected = (1, 1);
    for event in events {
        let here = (event.revision, event.index);
        let next_revision = (expected.0 + 1, 1);
        assert!(here == expected || here == next_revision, "{run}: {here:?} follows, {expected:?} was to come");
        expected = (here.0, here.1 + 1);
    }
    assert!(events.last().is_some_and(is_end), "{run}: the last event is {:?}", events.last());
}

/// Kinds of entries, such as `started`, in order.
pub fn kinds(events: &[Event]) -> Vec<String> {
    let kind = |event: &Event| match &event.entry {
        Value::String(kind) => kind.clone(),
        Value::Object(fields) => fields.keys().next().cloned().unwrap_or_default(),
        other => other.to_string(),
    };
    events.iter().map(kind).collect()
}
