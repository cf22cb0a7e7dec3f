//! What travels over HTTP: the worker protocol ([`worker`]), the API for people and producers ([`api`]) and its errors
//! ([`problem`]). Types only; both sides build on them, so that neither can drift.

pub mod api;
pub mod filename;
pub mod problem;
pub mod worker;
