//! Workflows under test: some in order, some each with one defect.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use valet_core::journal::{HumanOutcome, HumanSpec};
use valet_core::{Context, Failure, Payload, Step, StepFailure, StepPolicy, Stop, Workflow};

pub const DAY: Duration = Duration::from_hours(24);

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Order {
    #[schemars(range(min = 1))]
    pub cents: u32,
}

macro_rules! step {
    ($step:ident, $name:literal, $output:ty, $policy:expr) => {
        #[derive(Clone, Debug, Serialize, Deserialize)]
        pub struct $step {
            pub cents: u32,
        }

        impl Step for $step {
            const NAME: &'static str = $name;
            type Output = $output;

            fn policy() -> StepPolicy {
                $policy
            }
        }
    };
}

step!(Reserve, "reserve", String, StepPolicy::default().schedule_timeout(Duration::from_mins(5)));
step!(Charge, "charge", String, StepPolicy::default().effect_once());
step!(Release, "release", (), StepPolicy::default());
step!(Paint, "paint", String, StepPolicy::default().attempts(2).park_when_exhausted());

/// Reserves, sleeps a night, asks, waits for a word, has a child ship it, charges; releases whatever happens.
pub struct Buy;

impl Workflow for Buy {
    const NAME: &'static str = "buy";
    type Input = Order;
    type Output = String;

    async fn run(ctx: Context, Order { cents }: Order) -> Result<String, Stop> {
        let release = ctx.finally(Release { cents });
        ctx.set_status("reserving");
        let reserved = ctx.step(Reserve { cents }).await?;
        ctx.sleep(DAY).await;
        approve(&ctx).await?;
        let word = ctx.wait_for::<String>("word", Some(DAY)).await;
        let Some(Ok(word)) = word else { return Err(Stop::timed_out("no_word", "nobody said a word")) };
        let shipped: String = ctx.child(Ship::NAME, &Order { cents }).await.map_err(Stop::Failed)?;
        let charged = match ctx.step(Charge { cents }).await {
            Err(StepFailure::InDoubt(_)) => "perhaps charged".to_owned(),
            other => other?,
        };
        ctx.log(format!("{shipped} on {word}"));
        ctx.emit("order.shipped", &shipped);
        release.now().await?;
        Ok(format!("{reserved}, {charged}"))
    }
}

async fn approve(ctx: &Context) -> Result<(), Stop> {
    let form = Payload::of(&serde_json::json!({ "type": "object", "required": ["yes"] })).unwrap_or_default();
    let task = HumanSpec {
        reason: "review".to_owned(),
        title: "Fine?".to_owned(),
        form,
        context: Payload::null(),
        deadline: ctx.now() + chrono::TimeDelta::days(2),
    };
    match ctx.human(task).await {
        HumanOutcome::Answered { .. } => Ok(()),
        HumanOutcome::Rejected { reason, .. } => Err(Stop::failed("rejected", reason)),
        HumanOutcome::TimedOut => Err(Stop::timed_out("nobody", "nobody answered")),
    }
}

step!(Post, "post", String, StepPolicy::default());

/// The child of [`Buy`].
pub struct Ship;

impl Workflow for Ship {
    const NAME: &'static str = "ship";
    type Input = Order;
    type Output = String;

    async fn run(ctx: Context, Order { cents }: Order) -> Result<String, Stop> {
        let _at_the_end = ctx.finally(Release { cents });
        Ok(ctx.step(Post { cents }).await?)
    }
}

macro_rules! defective {
    ($(#[$doc:meta])* $workflow:ident, $name:literal, |$ctx:ident| $run:expr) => {
        $(#[$doc])*
        pub struct $workflow;

        impl Workflow for $workflow {
            const NAME: &'static str = $name;
            type Input = Order;
            type Output = String;

            async fn run($ctx: Context, _: Order) -> Result<String, Stop> {
                $run
            }
        }
    };
}

static CALLS: AtomicU32 = AtomicU32::new(0);

defective!(
    /// Counts outside of its context: no two runs are the same.
    Counts,
    "counts",
    |ctx| {
        if CALLS.fetch_add(1, Ordering::Relaxed).is_multiple_of(2) {
            ctx.sleep(DAY).await;
        }
        Ok(ctx.step(Reserve { cents: 1 }).await?)
    }
);

defective!(
    /// Takes it for granted that a step succeeds.
    Trusts,
    "trusts",
    |ctx| match ctx.step(Reserve { cents: 1 }).await {
        Ok(reserved) => Ok(reserved),
        Err(failure) => panic!("never fails: {failure}"),
    }
);

defective!(
    /// Waits for somebody to mend what failed, who never comes.
    Hopes,
    "hopes",
    |ctx| {
        let reserved = ctx.step(Reserve { cents: 1 }).await;
        if reserved.is_err() {
            ctx.wait_for::<String>("mended", None).await;
        }
        Ok(reserved?)
    }
);

defective!(
    /// Tries again for ever.
    Insists,
    "insists",
    |ctx| loop {
        if let Ok(reserved) = ctx.step(Reserve { cents: 1 }).await {
            return Ok(reserved);
        }
        ctx.sleep(DAY).await;
    }
);

defective!(
    /// Charges again when it does not know whether it has.
    Repeats,
    "repeats",
    |ctx| match ctx.step(Charge { cents: 1 }).await {
        Err(StepFailure::InDoubt(_)) => Ok(ctx.step(Charge { cents: 1 }).await?),
        other => Ok(other?),
    }
);

defective!(
    /// Asks a person with a form that is none.
    Mumbles,
    "mumbles",
    |ctx| {
        let task = HumanSpec {
            reason: "review".to_owned(),
            title: "Fine?".to_owned(),
            form: Payload::null(),
            context: Payload::null(),
            deadline: ctx.now() + chrono::TimeDelta::days(2),
        };
        ctx.human(task).await;
        Ok(String::new())
    }
);

/// A failure as a child's handler says it.
pub fn out_of_stock() -> Failure {
    Failure::new("out_of_stock", "nothing is left")
}
