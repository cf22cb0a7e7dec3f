//! Webhooks. Of those that come in: how a delivery proves itself, and what is made of it; the door is `http/hooks.rs`. Of those that go out:
//! who is told what, and how a message is signed; `deliverer.rs` delivers. Pure.

pub mod mapping;
pub mod outgoing;
pub mod proof;

pub use mapping::{Delivery, Mapping, Target};
pub use proof::{Proof, ProofFault, Proven};
