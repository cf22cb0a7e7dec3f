//! Queue names, checked once at the door so that they can be built into Redis keys without care.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};

/// The name of a queue: `[a-z0-9][a-z0-9._-]{0,127}`.
///
/// There is no colon in it: colons separate the parts of the Redis keys that are built from it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct QueueName(Arc<str>);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name:?} is not a queue name: use 1 to 128 of a-z, 0-9, '.', '_' and '-', beginning with a letter or a digit")]
pub struct QueueNameError {
    name: String,
}

impl QueueName {
    pub fn new(name: &str) -> Result<Self, QueueNameError> {
        if is_valid(name) {
            return Ok(Self(Arc::from(name)));
        }
        // The name came from outside: what is repeated to the caller is bounded.
        Err(QueueNameError { name: name.chars().take(80).collect() })
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The queue is pulled by one worker alone (`<queue>.of.<session>`), and is of no use once that has ended.
    pub fn is_passing(&self) -> bool {
        self.0.contains(OF_WORKER)
    }

    /// What figures are kept by: without the one worker, since such queues come and go with processes.
    pub fn family(&self) -> &str {
        self.0.split_once(OF_WORKER).map_or(&self.0, |(queue, _)| queue)
    }
}

const OF_WORKER: &str = ".of.";

fn is_valid(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let mut bytes = name.bytes();
    name.len() <= 128 && bytes.next().is_some_and(plain) && bytes.all(|b| plain(b) || matches!(b, b'.' | b'_' | b'-'))
}

impl fmt::Display for QueueName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for QueueName {
    type Err = QueueNameError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::new(name)
    }
}

impl TryFrom<String> for QueueName {
    type Error = QueueNameError;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        Self::new(&name)
    }
}

impl From<QueueName> for String {
    fn from(name: QueueName) -> Self {
        name.0.as_ref().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_names_are_taken() {
        let longest = "a".repeat(128);
        for good in ["a", "0", "browser.local-1_x", longest.as_str()] {
            assert_eq!(QueueName::new(good).unwrap().as_str(), good);
        }
        let too_long = "a".repeat(129);
        for bad in ["", "-a", ".a", "A", "a:b", "a b", "a/b", "ä", "a\n", too_long.as_str()] {
            assert!(QueueName::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_name_that_arrives_as_json_is_checked_too() {
        assert!(serde_json::from_str::<QueueName>("\"ok\"").is_ok());
        assert!(serde_json::from_str::<QueueName>("\"not:ok\"").is_err());
    }
}
