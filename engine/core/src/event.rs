//! Published events that runs wait for: which ones, and what the run is told of one. Who publishes them the core does not know.

use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::bounds::EVENT_KEY_BYTES_MAX;
use crate::id::Seq;
use crate::step::Failure;
use crate::transition::column_text;

/// Which events a wait is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventPattern {
    /// Of their keys; `*` stands for any characters: `order:*`.
    pub key: String,
    /// Only those of this scope; `None`: of any, and of none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
}

impl EventPattern {
    pub fn key(key: impl Into<String>) -> Self {
        Self { key: key.into(), scope: None }
    }

    /// Only events of this scope.
    #[must_use]
    pub fn in_scope(self, scope: impl Into<String>) -> Self {
        Self { scope: Some(scope.into()), ..self }
    }

    /// As columns take it.
    pub(crate) fn tidied(self) -> Self {
        let text = |text: String| column_text(text, EVENT_KEY_BYTES_MAX);
        Self { key: text(self.key), scope: self.scope.map(text) }
    }
}

impl From<&str> for EventPattern {
    fn from(key: &str) -> Self {
        Self::key(key)
    }
}

impl From<String> for EventPattern {
    fn from(key: String) -> Self {
        Self::key(key)
    }
}

/// What is wrong with a text that [cannot be an event's key](is_event_key).
pub const EVENT_KEY_RULE: &str = "1 to 255 bytes, and no control characters";

/// Whether this can be an event's key, a pattern of keys, or a scope.
pub fn is_event_key(text: &str) -> bool {
    (1..=EVENT_KEY_BYTES_MAX).contains(&text.len()) && !text.chars().any(char::is_control)
}

/// An event as a run that waited for it is told: the `message` of its filter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishedEvent<T> {
    /// `event_…`
    pub id: String,
    pub key: String,
    /// `null`, not left out: filters may ask for it.
    pub scope: Option<String>,
    /// Whom it is about.
    pub subject: String,
    pub payload: T,
    /// When it was taken in.
    pub at: Timestamp,
}

/// What a wait for an event comes to: `None` after its timeout; a failure if the payload is another than the code reads.
pub type AwaitedEvent<T> = Option<Result<PublishedEvent<T>, Failure>>;

/// Begins the names of channels that events come by, which nobody may send signals to.
const CHANNELS: &str = "event #";

/// The channel of the wait at this place for events of this key.
pub(crate) fn channel_of(seq: Seq, key: &str) -> String {
    format!("{CHANNELS}{seq} {key}")
}

/// Whether the channel of this name is one that only events come by.
pub fn is_channel(name: &str) -> bool {
    let seq = name.strip_prefix(CHANNELS).and_then(|rest| rest.split_once(' '));
    seq.is_some_and(|(seq, _)| seq.parse::<u32>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_events_come_by_is_no_channel_of_signals() {
        assert!(is_channel(&channel_of(Seq(7), "order:*")));
        assert!(is_channel("event #7 "));
        for name in ["event", "event #", "event #7", "event #x y", "order:*"] {
            assert!(!is_channel(name), "{name}");
        }
    }

    #[test]
    fn a_pattern_of_code_is_as_columns_take_it() {
        let wild = EventPattern::key("a\0b".to_owned() + &"é".repeat(300)).in_scope("\0").tidied();
        assert!(wild.key.len() <= EVENT_KEY_BYTES_MAX && wild.key.starts_with("a\u{fffd}b"));
        assert_eq!(wild.scope.as_deref(), Some("\u{fffd}"));
    }
}
