//! Which tier a browser of a run is made of: rules that operators change live, and the one pure function that reads them.
//!
//! An engine keeps rules, tallies and sites without knowing what they mean ([`valet_core::tiers`]); workers ask for them and decide with
//! [`decide`]. The decision goes into the run's journal with all its reasons.

mod hours;
mod reading;
mod router;
mod rules;
mod site;
mod visits;

pub use hours::Hours;
pub use router::{Considered, Decision, Offer, Question, Slot, Verdict, Waiting, Want, decide};
pub use rules::{OverrideRule, SiteRule, TierRule, register};
pub use site::{Site, ats_of};
