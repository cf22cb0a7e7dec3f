//! Named places at which a process of a test kills or stops itself: so tests reach an exact instant and not a likely one.
//!
//! The engine and the worker name their places with [`crash_point!`]. Without the feature `armed` a place is nothing at
//! all; with it a process still passes every place unharmed until its `main` has called `arm`, which only the program
//! under test does. Nothing here reads the environment, and no shipped program turns the feature on.

mod plan;
mod point;

#[cfg(feature = "armed")]
mod armed;

#[cfg(feature = "armed")]
pub use armed::{AlreadyArmed, arm, pass};
pub use plan::{Harm, Plan, PlanError};
pub use point::CrashPoint;

/// Whether places are looked at in this build.
pub const ARMED: bool = cfg!(feature = "armed");

/// What a place is in a build without the feature.
#[cfg(not(feature = "armed"))]
#[inline]
pub fn pass(_point: CrashPoint) {}

/// Names the place where it stands: `crash_point!(EngineCommitBefore)`. A condition says whether it is this place at
/// all, and is asked in armed builds only: `crash_point!(WorkerClickAfter if sends)`.
#[macro_export]
macro_rules! crash_point {
    ($point:ident) => {
        $crate::crash_point!($point if true)
    };
    ($point:ident if $condition:expr) => {
        if $crate::ARMED && $condition {
            $crate::pass($crate::CrashPoint::$point);
        }
    };
}
