//! The way out: requests that an engine or a worker sends to somebody else's server, such as webhooks.
//!
//! Whom they go to is chosen by others, so that they must not reach what only this machine can: every name is resolved
//! here, an address that is not public is refused unless its place was opened by name, and the address that was checked is
//! the one that is dialled. No proxy is asked: it would resolve anew. Redirects are followed here, each with the check
//! anew. Body, time and hops are bounded.
//!
//! It is no browser's way (that is the gate of `workers/`), and not the way between Valet's own parts.
//!
//! Reading order: [`client`] (a call and its hops), `connector` (names, checks, connections), [`ports`].

mod bounds;
pub mod client;
mod connector;
mod error;
pub mod ports;

pub use client::{Answer, Call, Outward, OutwardConfig};
pub use error::OutwardError;
pub use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
pub use hyper::{Method, StatusCode};
pub use ports::{Dial, MachineDialer, MachineResolver, Resolve};
