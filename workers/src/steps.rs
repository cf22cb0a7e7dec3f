//! The handlers of the steps that Valet's workflows ask for.

pub mod job_application;
pub mod multi_scrape;
