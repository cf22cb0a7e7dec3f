//! Identifiers. A run's id says in which week its tree began, so that a tree lies in one partition.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::Timestamp;

/// Seconds in a week: the grain of the partitions of history.
const WEEK_S: i64 = 7 * 24 * 3600;

/// Number of shards over which timers and sweeps are spread.
pub const SHARDS: i16 = 64;

/// A run's id: UUIDv8, the first 16 bits are the week of the *root's* start since the Unix epoch, the rest is random.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RunId(pub Uuid);

impl RunId {
    /// The id of a root run that starts at `now`; `entropy` is 16 random bytes of the caller's source.
    pub fn root(now: Timestamp, entropy: [u8; 16]) -> Self {
        Self::in_week((now.timestamp() / WEEK_S) as u16, entropy)
    }

    /// The id of the child that operation `seq` of `self` starts: the same week, and the same id on every replay.
    pub fn child(self, seq: Seq) -> Self {
        let derived = Uuid::new_v5(&self.0, &seq.0.to_be_bytes());
        Self::in_week(self.week(), *derived.as_bytes())
    }

    fn in_week(week: u16, mut bytes: [u8; 16]) -> Self {
        bytes[0..2].copy_from_slice(&week.to_be_bytes());
        Self(uuid::Builder::from_custom_bytes(bytes).into_uuid())
    }

    /// Week of the root's start, counted from the Unix epoch.
    pub fn week(self) -> u16 {
        u16::from_be_bytes([self.0.as_bytes()[0], self.0.as_bytes()[1]])
    }

    /// The shard that fires this run's timers and sweeps its steps.
    pub fn shard(self) -> i16 {
        i16::from(self.0.as_bytes()[15]) % SHARDS
    }

    /// An id made by the run itself: the same on every replay, unlike any other id of this or another run.
    pub fn derive(self, seq: Seq, purpose: &str) -> Uuid {
        Uuid::new_v5(&self.0, format!("{purpose}/{seq}").as_bytes())
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "run_{}", self.0.simple())
    }
}

impl fmt::Debug for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What is wrong with the text of an id.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("not a {expected} id: `{found}` (an id looks like {expected}_0123456789abcdef0123456789abcdef)")]
pub struct IdError {
    pub expected: &'static str,
    pub found: String,
}

/// Reads `prefix_<hex>` or a bare UUID.
pub fn parse_prefixed(prefix: &'static str, text: &str) -> Result<Uuid, IdError> {
    let bare = text.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('_')).unwrap_or(text);
    Uuid::parse_str(bare).map_err(|_| IdError { expected: prefix, found: text.chars().take(80).collect() })
}

impl FromStr for RunId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        parse_prefixed("run", text).map(Self)
    }
}

/// Position of an operation in its run: taken when the operation is called, starting at 1.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Seq(pub u32);

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Number of an attempt of a step, starting at 1.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Attempt(pub u32);

impl Attempt {
    pub const FIRST: Self = Self(1);

    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}_{}", $prefix, self.0.simple())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                parse_prefixed($prefix, text).map(Self)
            }
        }
    };
}

uuid_id!(
    /// A grant of one attempt to one worker: chosen by the worker, so that a repeated claim finds its first answer.
    LeaseId, "lease"
);
uuid_id!(
    /// One process of a worker or an engine, from its start to its end.
    SessionId, "sess"
);
uuid_id!(
    /// A task for a person.
    TaskId, "task"
);

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeZone;

    fn at(s: i64) -> Timestamp {
        chrono::Utc.timestamp_opt(s, 0).unwrap()
    }

    #[test]
    fn a_child_lies_in_its_roots_week_and_keeps_its_id_on_replay() {
        let root = RunId::root(at(1_800_000_000), [7; 16]);
        let child = root.child(Seq(3));
        assert_eq!(root.week(), (1_800_000_000 / WEEK_S) as u16);
        assert_eq!(child.week(), root.week());
        assert_eq!(child, root.child(Seq(3)));
        assert_ne!(child, root.child(Seq(4)));
        assert_eq!(root.0.get_version_num(), 8);
    }

    #[test]
    fn an_id_reads_back_from_its_text_and_from_a_bare_uuid() {
        let id = RunId::root(at(0), [9; 16]);
        assert_eq!(id.to_string().parse::<RunId>(), Ok(id));
        assert_eq!(id.0.to_string().parse::<RunId>(), Ok(id));
        assert!("run_zzz".parse::<RunId>().unwrap_err().to_string().contains("not a run id"));
    }
}
