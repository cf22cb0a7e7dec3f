//! Carries a plan out: once in the life of a process.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use nix::sys::signal::{Signal, raise};

use crate::{CrashPoint, Harm, Plan};

static PLAN: OnceLock<Plan> = OnceLock::new();
static PASSINGS: AtomicU32 = AtomicU32::new(0);

/// A process has one plan.
#[derive(Debug, thiserror::Error)]
#[error("this process has a plan already")]
pub struct AlreadyArmed;

/// From here on this process obeys the plan.
pub fn arm(plan: Plan) -> Result<(), AlreadyArmed> {
    PLAN.set(plan).map_err(|_| AlreadyArmed)
}

/// Passes a place; see [`crate::crash_point!`].
pub fn pass(point: CrashPoint) {
    let Some(plan) = PLAN.get().filter(|plan| plan.point == point) else { return };
    // Counted on after the harm as well, so that a process that was stopped passes unharmed from then on.
    if PASSINGS.fetch_add(1, Ordering::SeqCst) + 1 != plan.passing {
        return;
    }
    eprintln!("crash point: {plan}");
    match plan.harm {
        Harm::Kill => harm(Signal::SIGKILL),
        Harm::Stop => harm(Signal::SIGSTOP),
        Harm::KillAfter(delay) => {
            // A thread of its own: the runtime's timers may be held up by what goes on.
            let killer = move || {
                std::thread::sleep(delay);
                harm(Signal::SIGKILL);
            };
            if let Err(error) = std::thread::Builder::new().spawn(killer) {
                eprintln!("crash point: no thread for {plan}: {error}");
            }
        }
    }
}

/// To this very thread, which does not go on before the signal has come.
fn harm(signal: Signal) {
    if let Err(error) = raise(signal) {
        eprintln!("crash point: {signal}: {error}");
    }
}
