//! A run's events, from whichever engine is there: a stream that breaks is opened again after its last event.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use reqwest::Response;
use tokio::time::Instant;
use valet_protocol::api::RunEvent;

use super::sse::{SseEvent, SseParser};
use super::{Call, Client, ClientError, body, failure};
use crate::cli::bounds::{
    EVENT_BYTES_MAX, EVENT_SILENCE_MAX, RECONNECT_PAUSE_MAX, RECONNECT_PAUSE_MIN, RECONNECTS_MAX, REQUEST_WAIT_MAX,
    STREAM_HEALTHY_AFTER,
};

/// `revision.index`: an event's place in its run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct EventId {
    pub revision: u32,
    pub index: u32,
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.revision, self.index)
    }
}

impl FromStr for EventId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let read = || {
            let (revision, index) = text.split_once('.')?;
            Some(Self { revision: revision.parse().ok()?, index: index.parse().ok()? })
        };
        read().ok_or_else(|| format!("`{text}` is no event's id (an id looks like 12.3)"))
    }
}

/// The events of a run, each once and in order, until the run ends.
pub struct EventStream<'a> {
    client: &'a Client,
    run: String,
    last: Option<EventId>,
    open: Option<Open>,
    waiting: std::collections::VecDeque<RunEvent>,
    /// Broken streams in a row.
    broken: u32,
    why: String,
    ended: bool,
    pub(super) patience: Patience,
}

/// How long a stream that broke is tried again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    pub attempts_max: u32,
    pub pause_min: Duration,
    pub pause_max: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { attempts_max: RECONNECTS_MAX, pause_min: RECONNECT_PAUSE_MIN, pause_max: RECONNECT_PAUSE_MAX }
    }
}

struct Open {
    response: Response,
    parser: SseParser,
    since: Instant,
}

impl Client {
    /// Events after `after`, or from the beginning.
    pub fn events(&self, run: &str, after: Option<EventId>) -> EventStream<'_> {
        EventStream {
            client: self,
            run: run.to_owned(),
            last: after,
            open: None,
            waiting: std::collections::VecDeque::new(),
            broken: 0,
            why: String::new(),
            ended: false,
            patience: Patience::default(),
        }
    }
}

impl EventStream<'_> {
    /// The next event; none once the run has ended.
    pub async fn next(&mut self) -> Result<Option<RunEvent>, ClientError> {
        loop {
            if let Some(event) = self.waiting.pop_front() {
                self.last = Some(EventId { revision: event.revision, index: event.index });
                self.ended = is_end(&event);
                self.broken = 0;
                return Ok(Some(event));
            }
            if self.ended {
                return Ok(None);
            }
            match self.open.take() {
                None => self.connect().await?,
                Some(open) => self.read(open).await?,
            }
        }
    }

    async fn connect(&mut self) -> Result<(), ClientError> {
        if self.broken > self.patience.attempts_max {
            return Err(ClientError::StreamLost(std::mem::take(&mut self.why)));
        }
        tokio::time::sleep(self.patience.pause(self.broken)).await;
        let mut call = Call { wait_max: None, ..Call::get(["api", "v1", "runs", &self.run, "events"]) };
        call.headers.extend(self.last.map(|last| ("last-event-id", last.to_string())));
        match tokio::time::timeout(REQUEST_WAIT_MAX, self.client.send(&call)).await {
            Ok(Ok(response)) => {
                self.open = Some(Open { response, parser: SseParser::default(), since: Instant::now() });
            }
            // Waiting helps only where an engine may come back.
            Ok(Err(error @ (ClientError::Unreachable(_) | ClientError::Away(_)))) => {
                if self.last.is_none() && self.broken == 0 {
                    return Err(error);
                }
                self.failed(error.to_string());
            }
            Ok(Err(error)) => return Err(error),
            Err(_) => self.failed("no answer in time".to_owned()),
        }
        Ok(())
    }

    async fn read(&mut self, mut open: Open) -> Result<(), ClientError> {
        let why = match tokio::time::timeout(EVENT_SILENCE_MAX, open.response.chunk()).await {
            Ok(Ok(Some(bytes))) => {
                let events =
                    open.parser.push(&bytes).map_err(|_| ClientError::TooLarge { bytes_max: EVENT_BYTES_MAX })?;
                for event in events {
                    self.keep(&event, &open.response)?;
                }
                self.open = Some(open);
                return Ok(());
            }
            Ok(Ok(None)) => "the engine closed it".to_owned(),
            Ok(Err(error)) => failure::why(&error),
            Err(_) => "no sign of life".to_owned(),
        };
        if open.since.elapsed() >= STREAM_HEALTHY_AFTER {
            self.broken = 0;
        }
        self.client.prefer_next();
        self.failed(why);
        Ok(())
    }

    /// An event that was seen before the stream broke is passed over.
    fn keep(&mut self, event: &SseEvent, response: &Response) -> Result<(), ClientError> {
        if event.event.as_deref() != Some("journal") {
            return Ok(());
        }
        let event: RunEvent = serde_json::from_str(&event.data).map_err(|error| ClientError::NotAnEngine {
            url: body::origin(response.url()),
            why: format!("its event {} cannot be read ({error})", event.id.as_deref().unwrap_or_default()),
        })?;
        let id = EventId { revision: event.revision, index: event.index };
        if self.last.is_none_or(|last| id > last) {
            self.waiting.push_back(event);
        }
        Ok(())
    }

    fn failed(&mut self, why: String) {
        self.broken += 1;
        self.why = why;
    }
}

/// The run's last journal entry.
pub(crate) fn is_end(event: &RunEvent) -> bool {
    event.entry.as_str() == Some("ended")
}

impl Patience {
    /// Doubling, with a little chance in it: many followers of one engine should not come back at once.
    fn pause(self, broken: u32) -> Duration {
        let Some(doublings) = broken.checked_sub(1) else { return Duration::ZERO };
        let pause = self.pause_min.saturating_mul(1 << doublings.min(10)).min(self.pause_max);
        pause.mul_f64(rand::random_range(0.75..=1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_grows_to_its_bound_and_the_first_attempt_waits_for_nothing() {
        let pause = |broken| Patience::default().pause(broken);
        assert_eq!(pause(0), Duration::ZERO);
        assert!(pause(1) <= RECONNECT_PAUSE_MIN && pause(1) > RECONNECT_PAUSE_MIN / 2);
        assert!((4..100).all(|broken| pause(broken) <= RECONNECT_PAUSE_MAX));
        assert!(pause(99) > RECONNECT_PAUSE_MAX / 2);
    }

    #[test]
    fn ids_are_ordered_by_revision_then_index() {
        let id = |text: &str| text.parse::<EventId>().unwrap();
        assert!(id("2.1") > id("1.9") && id("2.10") > id("2.9"));
        assert_eq!(id("12.3").to_string(), "12.3");
        assert!("12".parse::<EventId>().is_err() && "a.b".parse::<EventId>().is_err());
    }
}
