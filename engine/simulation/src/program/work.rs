//! The steps that programs ask for: one contract a policy, all with the same input.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use valet_core::context::Operation;
use valet_core::step::{Backoff, StepFailure, queue_of_host};
use valet_core::{Context, Step, StepPolicy};

/// Queues of the simulation.
pub(crate) const QUEUES: [&str; 2] = ["fast", "slow"];

/// The host whose workers pull [`queue_of_home`]; it is the first worker's alone.
const HOME: &str = "home";

/// The label of the first worker alone, and that of the others.
pub(crate) const LABEL: [(&str, &str); 1] = [("gpu", "yes")];
pub(crate) const OTHER_LABEL: [(&str, &str); 1] = [("gpu", "no")];

pub(crate) fn queue_of_home() -> String {
    queue_of_host("slow", HOME)
}

/// Short, so that a seed's simulated time stays short.
const BACKOFF: Backoff = Backoff { initial_ms: 150, factor: 2.0, max_ms: 1_000, jitter: 0.3 };

const HOME_GONE: std::time::Duration = std::time::Duration::from_secs(2);

/// What the world holds ready for a step, whoever runs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Fate {
    Good,
    /// The first attempts end in a retry.
    FailFirst(u32),
    /// The first attempts are blocked; a clean-up is tried again all the same.
    BlockFirst(u32),
    AlwaysRetry,
    Fail,
    /// Fails with a code that a database's text cannot hold.
    FailOddly,
    Block,
}

/// A step's input, as workers read it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Job {
    pub at: String,
    pub fate: Fate,
}

/// Which contract, and so which policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    Quick,
    Patient,
    Once,
    Parking,
    Submit,
    Timed,
    Hurried,
    Unserved,
    Bound,
    Labelled,
    Preferring,
}

impl Kind {
    pub const ALL: [Self; 11] = [
        Self::Quick,
        Self::Patient,
        Self::Once,
        Self::Parking,
        Self::Submit,
        Self::Timed,
        Self::Hurried,
        Self::Unserved,
        Self::Bound,
        Self::Labelled,
        Self::Preferring,
    ];

    pub fn policy(self) -> StepPolicy {
        match self {
            Self::Quick => Quick::policy(),
            Self::Patient => Patient::policy(),
            Self::Once => Once::policy(),
            Self::Parking => Parking::policy(),
            Self::Submit => Submit::policy(),
            Self::Timed => Timed::policy(),
            Self::Hurried => Hurried::policy(),
            Self::Unserved => Unserved::policy(),
            Self::Bound => Bound::policy(),
            Self::Labelled => Labelled::policy(),
            Self::Preferring => Preferring::policy(),
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Quick => Quick::NAME,
            Self::Patient => Patient::NAME,
            Self::Once => Once::NAME,
            Self::Parking => Parking::NAME,
            Self::Submit => Submit::NAME,
            Self::Timed => Timed::NAME,
            Self::Hurried => Hurried::NAME,
            Self::Unserved => Unserved::NAME,
            Self::Bound => Bound::NAME,
            Self::Labelled => Labelled::NAME,
            Self::Preferring => Preferring::NAME,
        }
    }

    pub fn ask(self, ctx: &Context, at: String, fate: Fate) -> Operation<Result<u64, StepFailure>> {
        match self {
            Self::Quick => ctx.step(Quick { at, fate }),
            Self::Patient => ctx.step(Patient { at, fate }),
            Self::Once => ctx.step(Once { at, fate }),
            Self::Parking => ctx.step(Parking { at, fate }),
            Self::Submit => ctx.step(Submit { at, fate }),
            Self::Timed => ctx.step(Timed { at, fate }),
            Self::Hurried => ctx.step(Hurried { at, fate }),
            Self::Unserved => ctx.step(Unserved { at, fate }),
            Self::Bound => ctx.step(Bound { at, fate }),
            Self::Labelled => ctx.step(Labelled { at, fate }),
            Self::Preferring => ctx.step(Preferring { at, fate }),
        }
    }
}

macro_rules! contract {
    ($(#[$doc:meta])* $type:ident, $name:literal, $output:ty, $policy:expr $(, $host:expr)?) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Serialize, Deserialize)]
        pub(crate) struct $type {
            pub at: String,
            pub fate: Fate,
        }

        impl Step for $type {
            const NAME: &'static str = $name;
            type Output = $output;

            fn policy() -> StepPolicy {
                $policy
            }

            $(fn host(&self) -> Option<&str> {
                Some($host)
            })?
        }
    };
}

contract!(
    /// The ordinary step.
    Quick, "quick", u64, StepPolicy::queue("fast").attempts(3).backoff(BACKOFF)
);
contract!(
    /// Survives many lost workers.
    Patient, "patient", u64, StepPolicy::queue("slow").attempts(8).backoff(BACKOFF)
);
contract!(
    /// One attempt only.
    Once, "once", u64, StepPolicy::queue("slow").attempts(1).backoff(BACKOFF)
);
contract!(
    /// Waits for an operator when its attempts ran out.
    Parking, "parking", u64, StepPolicy::queue("fast").attempts(2).backoff(BACKOFF).park_when_exhausted()
);
contract!(
    /// Has an outward effect that must not happen twice.
    Submit, "submit", u64, StepPolicy::queue("fast").attempts(3).backoff(BACKOFF).effect_once()
);
contract!(
    /// Its attempts must end within a second.
    Timed, "timed", u64,
    StepPolicy::queue("slow").attempts(4).backoff(BACKOFF).timeout(std::time::Duration::from_secs(1))
);
contract!(
    /// Each attempt must be taken soon.
    Hurried, "hurried", u64,
    StepPolicy::queue("slow").attempts(4).backoff(BACKOFF).schedule_timeout(std::time::Duration::from_millis(400))
);
contract!(
    /// No worker pulls its queue.
    Unserved, "unserved", u64,
    StepPolicy::queue("nobody").attempts(2).schedule_timeout(std::time::Duration::from_secs(1))
);
contract!(
    /// Its host may be gone for two seconds; its worker dies and returns.
    Bound, "bound", u64,
    StepPolicy::queue("slow").attempts(3).backoff(BACKOFF).schedule_timeout(HOME_GONE), HOME
);
contract!(
    /// Only the first worker has its label.
    Labelled, "labelled", u64,
    StepPolicy::queue("slow").attempts(8).backoff(BACKOFF).require_label(LABEL[0].0, LABEL[0].1)
);
contract!(
    /// Would rather go to the first worker than to another, and to any rather than wait.
    Preferring, "preferring", u64,
    StepPolicy::queue("slow").attempts(8).backoff(BACKOFF)
        .prefer_label(LABEL[0].0, LABEL[0].1, 10)
        .prefer_label(OTHER_LABEL[0].0, OTHER_LABEL[0].1, 5)
);
contract!(
    /// A clean-up.
    Clean, "clean", (), StepPolicy::queue("fast").attempts(2).backoff(BACKOFF)
);
contract!(
    /// A clean-up of something on one host: given up with it.
    CleanHome, "clean", (),
    StepPolicy::queue("slow").attempts(2).backoff(BACKOFF).schedule_timeout(HOME_GONE), HOME
);
