//! What runs: workflow code and the contracts of its steps. Workers implement the steps; nothing here does IO.
//!
//! Code in here must be deterministic: it awaits operations of its [`valet_core::Context`] and nothing else. `select!`,
//! `join!` and `FuturesUnordered` poll in an order of their own and are banned; use `ctx.all` and `ctx.race`.

pub mod ats;
pub mod bench;
pub mod job_application;
pub mod job_url;
pub mod multi_scrape;
pub mod sandboxes;
pub mod tiers;

use valet_core::{Registry, workflows};

/// Number of this build of the workflows: grows with every change of their code.
pub const BUILD: i64 = 9;

/// The workflows that Valet ships.
pub fn registry() -> Registry {
    workflows!(
        sandboxes::register(tiers::register(Registry::new(BUILD))),
        with::<
            job_application::JobApplicationWorkflow,
            multi_scrape::MultiScrapeWorkflow,
            multi_scrape::ScrapePartWorkflow,
            bench::BenchWorkflow,
        >
    )
}

#[cfg(test)]
mod contracts;
