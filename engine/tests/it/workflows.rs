//! Small workflows that each need one thing of the engine.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use valet_core::journal::{HumanOutcome, HumanSpec};
use valet_core::{
    ChildOptions, Context, Failure, FanOptions, Payload, Registry, Step, StepFailure, StepOptions, StepPolicy, Stop,
    Timestamp, Workflow,
};

/// What ships, and what the tests need besides.
pub fn registry() -> Registry {
    valet_workflows::registry()
        .with::<Anything>()
        .with::<Echo>()
        .with::<Pair>()
        .with::<Ask>()
        .with::<Guarded>()
        .with::<Listen>()
        .with::<Callback>()
        .with::<Marathon>()
        .with::<Fan>()
        .with::<Bound>()
        .with::<Leave>()
        .with::<Nap>()
        .with::<Foster>()
        .with::<Placed>()
        .with::<Regret>()
        .with::<Hearing>()
}

/// Any JSON at all.
#[derive(Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Any(#[expect(dead_code, reason = "taken, and never looked at")] Value);

/// Takes anything and ends at once.
pub struct Anything;

impl Workflow for Anything {
    const NAME: &'static str = "anything";
    type Input = Any;
    type Output = ();

    async fn run(_ctx: Context, _input: Any) -> Result<(), Stop> {
        Ok(())
    }
}

/// One step.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Say {
    #[schemars(extend("x-personal" = true))]
    pub text: String,
}

impl Step for Say {
    const NAME: &'static str = "say";
    type Output = String;

    fn policy() -> StepPolicy {
        StepPolicy::default().park_when_exhausted().attempts(1)
    }
}

pub struct Echo;

impl Workflow for Echo {
    const NAME: &'static str = "echo";
    type Input = Say;
    type Output = String;

    async fn run(ctx: Context, say: Say) -> Result<String, Stop> {
        Ok(ctx.step(say).await?)
    }
}

/// Two steps, one after the other.
pub struct Pair;

impl Workflow for Pair {
    const NAME: &'static str = "pair";
    type Input = Say;
    type Output = String;

    async fn run(ctx: Context, say: Say) -> Result<String, Stop> {
        let first = ctx.step(say).await?;
        Ok(ctx.step(Say { text: first }).await?)
    }
}

/// A task for a person.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Question {
    #[serde(default = "one_hour_ms")]
    pub deadline_ms: u64,
}

const fn one_hour_ms() -> u64 {
    3_600_000
}

pub struct Ask;

impl Workflow for Ask {
    const NAME: &'static str = "ask";
    type Input = Question;
    type Output = Value;

    async fn run(ctx: Context, question: Question) -> Result<Value, Stop> {
        let form = json!({
            "type": "object",
            "required": ["age"],
            "additionalProperties": false,
            "properties": { "age": { "type": "integer" } },
        });
        let task = HumanSpec {
            reason: "age".to_owned(),
            title: "How old?".to_owned(),
            form: Payload::of(&form).unwrap_or_default(),
            context: Payload::null(),
            deadline: ctx.now() + Duration::from_millis(question.deadline_ms),
        };
        Ok(match ctx.human(task).await {
            HumanOutcome::Answered { answer, .. } => answer.read().unwrap_or_default(),
            HumanOutcome::Rejected { reason, .. } => json!({ "rejected": reason }),
            HumanOutcome::TimedOut => json!("timed out"),
        })
    }
}

/// Cleans up after a step.
#[derive(Serialize, Deserialize)]
pub struct Sweep {}

impl Step for Sweep {
    const NAME: &'static str = "sweep";
    type Output = ();
}

pub struct Guarded;

impl Workflow for Guarded {
    const NAME: &'static str = "guarded";
    type Input = Say;
    type Output = String;

    async fn run(ctx: Context, say: Say) -> Result<String, Stop> {
        let _cleanup = ctx.finally(Sweep {});
        Ok(ctx.step(say).await?)
    }
}

/// Waits for somebody outside, and tells in its memo how to reach it.
#[derive(Deserialize, JsonSchema)]
pub struct Nothing {}

pub struct Callback;

impl Workflow for Callback {
    const NAME: &'static str = "callback";
    type Input = Nothing;
    type Output = Value;

    async fn run(ctx: Context, _: Nothing) -> Result<Value, Stop> {
        let invoice = ctx.completion::<Value>("invoice", Duration::from_hours(1));
        ctx.set_memo(&json!({ "token": invoice.token(), "url": invoice.url() }));
        invoice.await.map_err(Stop::Failed)
    }
}

/// So many children that end at once, or that wait for ever.
#[derive(Deserialize, JsonSchema)]
pub struct Crowd {
    pub count: u32,
    pub waits: bool,
}

pub struct Fan;

impl Workflow for Fan {
    const NAME: &'static str = "fan";
    type Input = Crowd;
    type Output = usize;

    async fn run(ctx: Context, crowd: Crowd) -> Result<usize, Stop> {
        let children = if crowd.waits {
            let inputs: Vec<Value> = (0..crowd.count).map(|_| json!({ "count": 1 })).collect();
            ctx.children::<_, Value>(Listen::NAME, &inputs, FanOptions::default())
        } else {
            let inputs: Vec<u32> = (0..crowd.count).collect();
            ctx.children::<_, Value>(Anything::NAME, &inputs, FanOptions::default())
        };
        let mut children = children.map_err(Stop::Failed)?;
        let mut ended = 0;
        while let Some((_, result)) = children.next().await {
            ended += usize::from(result.is_ok());
        }
        Ok(ended)
    }
}

/// Which workflow to run as a child, twice under one key and so many times besides.
#[derive(Deserialize, JsonSchema)]
pub struct Wards {
    pub workflow: String,
    pub count: u32,
}

pub struct Foster;

impl Workflow for Foster {
    const NAME: &'static str = "foster";
    type Input = Wards;
    type Output = Value;

    async fn run(ctx: Context, wards: Wards) -> Result<Value, Stop> {
        let inputs: Vec<Value> = (0..wards.count).map(|n| json!({ "n": n })).collect();
        let fanned = ctx.children::<_, Value>(&wards.workflow, &inputs, FanOptions::default()).map_err(Stop::Failed)?;
        let keyed = |_| ctx.child_with::<_, Value>(&wards.workflow, &json!({ "n": 100 }), ChildOptions::key("one"));
        let keyed = ctx.all((0..2).map(keyed).collect()).await;
        let fanned = fanned.all().await;
        let read =
            |all: Vec<Result<Value, Failure>>| all.into_iter().collect::<Result<Vec<_>, _>>().map_err(Stop::Failed);
        Ok(json!({ "keyed": read(keyed)?, "fanned": read(fanned)? }))
    }
}

/// Says a text so many times, each in a journal of its own; shows how far it is and what it paid.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Laps {
    pub text: String,
    pub left: u32,
    pub usd_micros: u64,
}

pub struct Marathon;

impl Workflow for Marathon {
    const NAME: &'static str = "marathon";
    type Input = Laps;
    type Output = String;

    async fn run(ctx: Context, laps: Laps) -> Result<String, Stop> {
        ctx.set_progress(1.0 / f64::from(laps.left + 1));
        let lap = [("lap".to_owned(), json!(laps.left)), ("first".to_owned(), Value::Null)];
        ctx.set_attributes(lap.into_iter().collect()).map_err(|_| Stop::failed("bad_attributes", "bad attributes"))?;
        ctx.cost("laps", laps.usd_micros);
        let said = ctx.step(Say { text: laps.text.clone() }).await?;
        if laps.left == 0 {
            return Ok(said);
        }
        Err(ctx.continue_as(&Laps { left: laps.left - 1, ..laps }))
    }
}

/// Undoes a step.
#[derive(Serialize, Deserialize)]
pub struct Unsay {
    pub text: String,
}

impl Step for Unsay {
    const NAME: &'static str = "unsay";
    type Output = ();
}

/// Goes on in a second journal and fails there, with something to undo from either.
pub struct Regret;

impl Workflow for Regret {
    const NAME: &'static str = "regret";
    type Input = Say;
    type Output = ();

    async fn run(ctx: Context, say: Say) -> Result<(), Stop> {
        let _undo = ctx.compensate(Unsay { text: say.text.clone() });
        if say.text == "second" {
            return Err(Stop::failed("regret", "nothing of it should have been said"));
        }
        Err(ctx.continue_as(&Say { text: "second".to_owned() }))
    }
}

/// How many messages to wait for.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Messages {
    pub count: u32,
}

/// Collects the messages of the channel `go`.
pub struct Listen;

impl Workflow for Listen {
    const NAME: &'static str = "listen";
    type Input = Messages;
    type Output = Vec<Value>;

    async fn run(ctx: Context, messages: Messages) -> Result<Vec<Value>, Stop> {
        let mut heard = Vec::new();
        for _ in 0..messages.count {
            if let Some(Ok(message)) = ctx.wait_for::<Value>("go", None).await {
                heard.push(message);
            }
        }
        Ok(heard)
    }
}

/// Hears its sandbox until that has said its last word.
pub struct Hearing;

impl Workflow for Hearing {
    const NAME: &'static str = "hearing";
    type Input = Any;
    type Output = Vec<Value>;

    async fn run(ctx: Context, _: Any) -> Result<Vec<Value>, Stop> {
        let mut heard = Vec::new();
        while !heard.iter().any(|event| event == "completed") {
            if let Some(Ok(mut said)) = ctx.wait_for::<Value>("sandbox", None).await {
                heard.push(said["event"]["event"].take());
            }
        }
        Ok(heard)
    }
}

/// Works on a machine that may be gone for three seconds.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct OnHost {}

impl Step for OnHost {
    const NAME: &'static str = "on-host";
    type Output = ();

    fn policy() -> StepPolicy {
        StepPolicy::default().schedule_timeout(Duration::from_secs(3))
    }

    fn host(&self) -> Option<&str> {
        Some("h")
    }
}

/// Says with which code its bound step failed.
pub struct Bound;

impl Workflow for Bound {
    const NAME: &'static str = "bound";
    type Input = OnHost;
    type Output = String;

    async fn run(ctx: Context, step: OnHost) -> Result<String, Stop> {
        let cleanup = ctx.finally(OnHost {});
        let result = ctx.step(step).await;
        let cleaned = cleanup.now().await;
        let code = |end: Result<(), StepFailure>| {
            end.map_or_else(|failure| failure.failure().code.clone(), |()| "done".to_owned())
        };
        Ok(format!("{}, {}", code(result), code(cleaned)))
    }
}

/// Leaves a child behind that listens, or waits for it.
#[derive(Deserialize, JsonSchema)]
pub struct Behind {
    pub waits: bool,
}

pub struct Leave;

impl Workflow for Leave {
    const NAME: &'static str = "leave";
    type Input = Behind;
    type Output = ();

    async fn run(ctx: Context, behind: Behind) -> Result<(), Stop> {
        let options = if behind.waits { ChildOptions::default() } else { ChildOptions::default().abandon() };
        let child = ctx.child_with::<_, Value>(Listen::NAME, &json!({ "count": 1 }), options);
        if behind.waits {
            child.await.map_err(Stop::Failed)?;
        }
        Ok(())
    }
}

/// One step of [`Placed`], by where it may be done.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Placing {
    Plain,
    /// Whose worker the sticky ones want.
    Remembered,
    Sticky {
        hard: bool,
        #[serde(default)]
        labelled: bool,
    },
    Labelled,
    /// Would rather go to workers with `gpu` = `yes`.
    Preferring,
    /// Something must be heard of it every second.
    Spoken,
}

macro_rules! placed {
    ($type:ident, $name:literal, $policy:expr) => {
        #[derive(Serialize, Deserialize)]
        pub struct $type {}

        impl Step for $type {
            const NAME: &'static str = $name;
            type Output = ();

            fn policy() -> StepPolicy {
                $policy
            }
        }
    };
}

placed!(PlacedPlain, "placed-plain", StepPolicy::default());
placed!(PlacedLabelled, "placed-labelled", StepPolicy::default().require_label("gpu", "yes"));
placed!(PlacedPreferring, "placed-preferring", StepPolicy::default().prefer_label("gpu", "yes", 10));
placed!(PlacedSpoken, "placed-spoken", StepPolicy::default().heartbeat_timeout(Duration::from_secs(1)));

/// Says of each of its steps that it was done, or with which code it failed.
pub struct Placed;

impl Workflow for Placed {
    const NAME: &'static str = "placed";
    type Input = Vec<Placing>;
    type Output = Vec<String>;

    async fn run(ctx: Context, steps: Vec<Placing>) -> Result<Vec<String>, Stop> {
        let mut ends = Vec::new();
        let mut remembered = None;
        for step in steps {
            let asked = match step {
                Placing::Plain => ctx.step(PlacedPlain {}),
                Placing::Labelled => ctx.step(PlacedLabelled {}),
                Placing::Preferring => ctx.step(PlacedPreferring {}),
                Placing::Spoken => ctx.step(PlacedSpoken {}),
                Placing::Remembered => {
                    let asked = ctx.step_with(PlacedPlain {}, StepOptions::default().remember_worker());
                    remembered = Some(asked.place());
                    asked
                }
                Placing::Sticky { hard, labelled } => {
                    let Some(place) = remembered else { return Err(Stop::failed("nobody", "nothing to stick to")) };
                    let options = StepOptions::default();
                    let options = if hard { options.sticky_to(place) } else { options.prefer_worker_of(place) };
                    let options = if labelled { options.require_label("gpu", "yes") } else { options };
                    ctx.step_with(PlacedPlain {}, options)
                }
            };
            let end = asked.await;
            ends.push(end.map_or_else(|failure| failure.failure().code.clone(), |()| "done".to_owned()));
        }
        Ok(ends)
    }
}

/// Sleeps until an instant, in milliseconds since 1970.
#[derive(Deserialize, JsonSchema)]
pub struct Until {
    pub ms: i64,
}

pub struct Nap;

impl Workflow for Nap {
    const NAME: &'static str = "nap";
    type Input = Until;
    type Output = ();

    async fn run(ctx: Context, until: Until) -> Result<(), Stop> {
        let at = Timestamp::from_timestamp_millis(until.ms).ok_or_else(|| Stop::failed("no_instant", "no instant"))?;
        ctx.sleep_until(at).await;
        Ok(())
    }
}
