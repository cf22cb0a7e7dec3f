//! The contracts of the workflows that Valet ships.

mod bench;
mod direct;
mod job_application;
mod multi_scrape;
