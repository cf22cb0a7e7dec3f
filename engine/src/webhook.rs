//! Webhooks of other people's services: how a delivery proves itself, and what is made of it. Pure; the door is `http/hooks.rs`, rows are
//! kept by `store/postgres/incoming.rs`.

pub mod mapping;
pub mod proof;

pub use mapping::{Delivery, Mapping, Target};
pub use proof::{Proof, ProofFault, Proven};
