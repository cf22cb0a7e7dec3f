//! When schedules start runs. Pure: what is due and what follows from it; the store is asked and told elsewhere.
//!
//! The loop is `http/scheduler.rs`, the statements are in `store/postgres/schedules.rs`.

use valet_core::Timestamp;

pub mod cron;
pub mod plan;

pub use cron::{Cron, CronFault};
pub use plan::{Plan, Planned, Standing, plan};

/// The instants of a schedule.
#[derive(Clone, Debug)]
pub enum When {
    Cron(Box<Cron>),
    Once(Timestamp),
}

impl When {
    /// The first instant after this one.
    pub fn after(&self, at: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Cron(cron) => cron.after(at),
            Self::Once(once) => Some(*once).filter(|once| *once > at),
        }
    }
}

/// What becomes of an instant while a run of the same schedule is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overlap {
    /// It is passed over.
    Skip,
    /// It starts once that run has ended.
    Queue,
    /// That run is cancelled; it starts once the run has ended, clean-ups and all.
    CancelOld,
    /// It starts beside it.
    Allow,
}

impl Overlap {
    pub const ALL: [Self; 4] = [Self::Skip, Self::Queue, Self::CancelOld, Self::Allow];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Skip => "skip",
            Self::Queue => "queue",
            Self::CancelOld => "cancel_old",
            Self::Allow => "allow",
        }
    }

    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|overlap| overlap.as_str() == word)
    }
}
