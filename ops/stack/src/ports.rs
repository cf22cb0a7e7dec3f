//! Choosing a port of 127.0.0.1 for a server that is about to start.

use std::net::{Ipv4Addr, TcpListener};

use crate::bounds::{PORT_DRAWS, PORTS};
use crate::error::StackError;

/// The preferred port when it is free, so that addresses stay the same from start to start, or another one.
/// Free now is not free for good: whoever starts a server on it checks that the server got it.
pub(crate) fn free(preferred: Option<u16>) -> Result<u16, StackError> {
    preferred
        .into_iter()
        .chain((0..PORT_DRAWS).map(|_| rand::random_range(PORTS)))
        .find(|&port| is_free(port))
        .ok_or(StackError::NoPort)
}

pub(crate) fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}
