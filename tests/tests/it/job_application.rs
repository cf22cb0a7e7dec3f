//! Real applications: the practice job board's forms through the engine, with a real headless Chromium. What arrived is asked of the board's
//! own record and compared with the profile; what the agent says about itself counts for nothing.

pub(super) mod applicant;
mod artifacts;
mod bank;
mod capacity;
mod crash;
mod deadline;
mod direct;
mod escalation;
mod every_kind;
mod every_seed;
mod files;
pub(super) mod house;
mod known;
mod machines;
mod planted;
mod random_kills;
mod refused;
mod sandboxes;
mod secrets;
mod takeover;
mod ten_at_once;
mod tiers;
mod unknown_board;
