//! The contracts of the workflows that Valet ships.

mod bench;
mod job_application;
