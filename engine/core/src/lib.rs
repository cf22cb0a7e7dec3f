//! What a run is and how it may change.
//!
//! This crate is pure: no async runtime, clock, random source, SQL or network. Time, entropy and stored state come in
//! as arguments; what should happen comes out as data (a [`transition::Transition`]), and one place elsewhere performs it.
//!
//! Reading order: [`journal`] (what is recorded), [`context`] (what workflow code may ask for), [`replay`] (how code is
//! polled against its journal), [`run`] (the state that the journal folds into), [`decide`] (command → transition).

pub mod address;
pub mod attributes;
pub mod bounds;
pub mod callbacks;
pub mod command;
pub mod context;
pub mod decide;
pub mod declared;
pub mod event;
pub mod expression;
pub mod fan;
pub mod id;
pub mod journal;
pub mod limits;
pub mod payload;
pub mod placement;
pub mod replay;
pub mod resources;
pub mod run;
pub mod step;
pub mod tiers;
pub mod transition;
pub mod workflow;

pub use context::{ChildOptions, Children, Context, FanOptions};
pub use event::{EventPattern, PublishedEvent};
pub use id::{Attempt, LeaseId, RunId, Seq, SessionId};
pub use payload::Payload;
pub use placement::PreferredLabels;
pub use step::{Backoff, Failure, Outcome, Step, StepFailure, StepOptions, StepPlace, StepPolicy};
pub use workflow::{Registry, Stop, Workflow};

/// An instant with a zone. Core never reads one from a clock.
pub type Timestamp = chrono::DateTime<chrono::Utc>;
