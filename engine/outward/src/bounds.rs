//! Every bound of the way out.

use std::time::Duration;

/// A server that does not take a connection for so long is as good as none; the next address is tried.
pub const DIAL_WITHIN: Duration = Duration::from_secs(5);
/// Addresses of one name that are tried; large services answer with about so many.
pub const ADDRESSES_MAX: usize = 8;
/// The head of an answer. Servers send some hundreds of bytes; proxies commonly stop at 8 to 32 KiB.
pub const HEAD_BYTES_MAX: usize = 64 * 1024;
/// Kept connections to one server.
pub const IDLE_CONNECTIONS_MAX: usize = 4;
/// An address is checked when it is dialled; a kept connection is not used for ever.
pub const IDLE_CONNECTION: Duration = Duration::from_secs(30);
