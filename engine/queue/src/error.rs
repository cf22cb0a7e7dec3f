//! What can go wrong when tickets are pushed or asked about.

use std::time::Duration;

/// A failed call on the pushing side. The caller keeps its tickets and pushes again later; a push that failed may
/// still have arrived, which is harmless: tickets may be doubled.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    #[error("the ticket queue cannot be reached")]
    Unreachable(#[source] redis::RedisError),

    #[error("the ticket queue did not answer within {} ms", .limit.as_millis())]
    TimedOut { limit: Duration },

    #[error("the ticket queue refused a command")]
    Refused(#[source] redis::RedisError),

    #[error("the address of the ticket queue cannot be used")]
    Address(#[source] redis::RedisError),

    #[error("the key prefix of the ticket queue cannot be used")]
    Prefix(#[source] crate::QueueNameError),
}

impl From<redis::RedisError> for QueueError {
    fn from(error: redis::RedisError) -> Self {
        if error.is_io_error() || error.is_connection_dropped() {
            Self::Unreachable(error)
        } else {
            Self::Refused(error)
        }
    }
}
