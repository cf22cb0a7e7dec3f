//! Time and randomness at the engine's edge: the only places that may ask the machine for them.

use std::time::SystemTime;

use uuid::Uuid;
use valet_core::Timestamp;

/// What time it is.
pub trait Clock: Send + Sync + 'static {
    fn now(&self) -> Timestamp;
}

/// Fresh identifiers.
pub trait Entropy: Send + Sync + 'static {
    fn bytes(&self) -> [u8; 16];

    fn uuid(&self) -> Uuid {
        uuid::Builder::from_random_bytes(self.bytes()).into_uuid()
    }
}

/// The machine's own clock and random source.
pub struct Machine;

impl Clock for Machine {
    fn now(&self) -> Timestamp {
        #[expect(clippy::disallowed_methods, reason = "this is the port")]
        let now = SystemTime::now();
        // Postgres keeps microseconds; what is stored and what is held must be equal.
        let now: Timestamp = now.into();
        chrono::DateTime::from_timestamp_micros(now.timestamp_micros()).unwrap_or(now)
    }
}

impl Entropy for Machine {
    fn bytes(&self) -> [u8; 16] {
        rand::random()
    }
}
