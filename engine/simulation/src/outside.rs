//! The world outside the engine: worker processes, people, producers, operators; what they did, and what follows from it.

pub(crate) mod facts;
pub(crate) mod fleet;
pub(crate) mod ledger;
pub(crate) mod limits;
pub(crate) mod operators;
pub(crate) mod people;
pub(crate) mod starts;
pub(crate) mod worker;
