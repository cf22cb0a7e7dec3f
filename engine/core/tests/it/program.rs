//! A workflow whose code is its input: a list of operations, carried out one after another.

use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use valet_core::journal::ClosePolicy;
use valet_core::journal::{HumanOutcome, HumanSpec};
use valet_core::{
    Backoff, ChildOptions, Context, EventPattern, FanOptions, Payload, Registry, Step, StepFailure, StepOptions,
    StepPolicy, Stop, Workflow,
};

/// One operation. What it came to is one line of the run's output.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Do {
    /// Three attempts, back-off 100 ms doubling to 300 ms, then the code gets the failure.
    Work,
    /// One attempt, then it waits for an operator.
    Parking,
    /// An outward effect.
    Once,
    /// Each attempt must be taken within 200 ms.
    Hurried,
    /// Bound to the host `h`.
    OnHost,
    /// Requires the labels `gpu` = `yes` and `zone` = `eu`.
    Labelled,
    /// Would rather have some workers than others.
    Preferring,
    /// With a weight that cannot be.
    Mispreferring,
    /// Requires what can be no label.
    Mislabelled,
    /// Whose worker the next of [`Do::Stick`] wants.
    Remembered,
    /// Wants the worker of the last remembered step, or prefers it; perhaps with the label `gpu` = `yes`.
    Stick {
        hard: bool,
        labelled: bool,
    },
    /// Demands the worker of the last remembered step, and waits for an operator after one attempt.
    StickParking,
    /// Registers a clean-up.
    Guard,
    /// Registers a clean-up that is bound to the host `h`.
    GuardHost,
    /// Runs the last registered clean-up.
    CleanNow,
    /// The same, and lets go of it after so long.
    CleanWithin {
        ms: u64,
    },
    Sleep {
        ms: u64,
    },
    Wait {
        name: String,
        ms: Option<u64>,
    },
    /// Takes the first message of `go` for which the filter holds.
    WaitWhere {
        filter: String,
    },
    /// Waits for a published event whose key begins with `order:`, perhaps one for which the filter holds.
    Event {
        filter: Option<String>,
        ms: Option<u64>,
    },
    Ask {
        ms: u64,
    },
    Child,
    /// Shares its child with every call of this key.
    Keyed {
        key: String,
    },
    /// Its child goes on without the run.
    Abandoned,
    /// So many children of one call, whose results are added up.
    FanOut {
        count: u32,
        at_once: Option<u32>,
        abandon: bool,
    },
    /// Waits for somebody outside.
    Complete {
        ms: u64,
    },
    /// A number that differs from call to call.
    Value,
    Version {
        change: String,
        latest: u32,
    },
    Progress {
        fraction: f64,
    },
    Memo {
        text: String,
    },
    Mark {
        name: String,
        value: Value,
    },
    Cost {
        micros: u64,
    },
    /// Registers what undoes something if the run does not succeed.
    Undo,
    /// Goes on with another script.
    Continue(Vec<Do>),
    Race(Vec<Do>),
    All(Vec<Do>),
    Status {
        text: String,
    },
    Fail {
        code: String,
    },
    /// Ends the run as timed out.
    GiveUp {
        code: String,
    },
    Panic,
    /// Awaits something that is no operation.
    Stray,
    /// Asks without end, and wakes itself after each.
    Storm,
    Now,
}

macro_rules! step {
    ($name:ident, $text:literal, $output:ty, $policy:expr $(, $host:literal)?) => {
        #[derive(Serialize, Deserialize)]
        pub struct $name {}

        impl Step for $name {
            const NAME: &'static str = $text;
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

const BACKOFF: Backoff = Backoff { initial_ms: 100, factor: 2.0, max_ms: 300, jitter: 0.0 };

step!(Work, "work", Value, StepPolicy::default().backoff(BACKOFF).non_retryable(&["hopeless"]));
step!(Parking, "parking", Value, StepPolicy::default().attempts(1).park_when_exhausted());
step!(Once, "once", Value, StepPolicy::default().effect_once().backoff(Backoff { jitter: 0.5, ..Backoff::default() }));
step!(Hurried, "hurried", Value, StepPolicy::default().schedule_timeout(Duration::from_millis(200)).backoff(BACKOFF));
step!(OnHost, "on-host", Value, StepPolicy::default().backoff(BACKOFF), "h");
step!(CleanHost, "clean-host", (), StepPolicy::default().attempts(2).backoff(BACKOFF), "h");
step!(
    Labelled,
    "labelled",
    Value,
    StepPolicy::default().require_label("zone", "eu").require_label("gpu", "yes").backoff(BACKOFF)
);
step!(
    Preferring,
    "preferring",
    Value,
    StepPolicy::default().require_label("zone", "eu").prefer_label("gpu", "yes", 10).prefer_label("disk", "big", 4)
);
step!(Mispreferring, "mispreferring", Value, StepPolicy::default().prefer_label("gpu", "yes", 0));
step!(Mislabelled, "mislabelled", Value, StepPolicy::default().require_label("GPU", "yes"));
step!(Undo, "undo", (), StepPolicy::default().attempts(2).backoff(BACKOFF));
step!(Clean, "clean", (), StepPolicy::default().attempts(2).backoff(BACKOFF));

pub struct Script;

impl Workflow for Script {
    const NAME: &'static str = "script";
    type Input = Vec<Do>;
    type Output = Vec<String>;

    async fn run(ctx: Context, script: Vec<Do>) -> Result<Vec<String>, Stop> {
        let mut guards = Vec::new();
        let mut lines = Vec::new();
        let mut remembered = None;
        for operation in script {
            match operation {
                Do::Remembered => {
                    let step = ctx.step_with(Work {}, StepOptions::default().remember_worker());
                    remembered = Some(step.place());
                    lines.push(told("remembered", step.await));
                }
                Do::StickParking => {
                    let options = remembered.map(|place| StepOptions::default().sticky_to(place)).unwrap_or_default();
                    lines.push(told("stuck to", ctx.step_with(Parking {}, options).await));
                }
                Do::Stick { hard, labelled } => {
                    let place = match remembered {
                        Some(place) => place,
                        None => ctx.step(Work {}).place(),
                    };
                    let options = StepOptions::default();
                    let options = if hard { options.sticky_to(place) } else { options.prefer_worker_of(place) };
                    let options = if labelled { options.require_label("gpu", "yes") } else { options };
                    lines.push(told("stuck to", ctx.step_with(Work {}, options).await));
                }
                Do::Undo => guards.push(ctx.compensate(Undo {})),
                Do::Continue(script) => return Err(ctx.continue_as(&script)),
                Do::Guard => guards.push(ctx.finally(Clean {})),
                Do::GuardHost => guards.push(ctx.finally(CleanHost {})),
                Do::CleanNow => {
                    if let Some(guard) = guards.pop() {
                        lines.push(told("clean", guard.now().await));
                    }
                }
                Do::CleanWithin { ms } => {
                    if let Some(guard) = guards.pop() {
                        let clean: Pin<Box<dyn Future<Output = String> + Send>> =
                            Box::pin(async { told("clean", guard.now().await) });
                        let (_, line) = ctx.race(vec![clean, carry_out(&ctx, Do::Sleep { ms })]).await;
                        lines.push(line);
                    }
                }
                Do::Fail { code } => return Err(Stop::failed(code, "as the script says")),
                Do::GiveUp { code } => return Err(Stop::timed_out(code, "as the script says")),
                other => lines.push(carry_out(&ctx, other).await),
            }
        }
        Ok(lines)
    }
}

fn told<T: Serialize>(what: &str, result: Result<T, StepFailure>) -> String {
    match result {
        Ok(output) => format!("{what}: {}", serde_json::to_value(output).unwrap_or_default()),
        Err(failure) => format!("{what} failed: {failure}"),
    }
}

fn carry_out<'a>(ctx: &'a Context, operation: Do) -> Pin<Box<dyn Future<Output = String> + Send + 'a>> {
    Box::pin(async move {
        match operation {
            Do::Work => told("work", ctx.step(Work {}).await),
            Do::Hurried => told("hurried", ctx.step(Hurried {}).await),
            Do::OnHost => told("on-host", ctx.step(OnHost {}).await),
            Do::Labelled => told("labelled", ctx.step(Labelled {}).await),
            Do::Preferring => told("preferring", ctx.step(Preferring {}).await),
            Do::Mispreferring => told("mispreferring", ctx.step(Mispreferring {}).await),
            Do::Mislabelled => told("mislabelled", ctx.step(Mislabelled {}).await),
            Do::Parking => told("parking", ctx.step(Parking {}).await),
            Do::Once => told("once", ctx.step(Once {}).await),
            Do::Sleep { ms } => {
                ctx.sleep(Duration::from_millis(ms)).await;
                "slept".to_owned()
            }
            Do::Wait { name, ms } => match ctx.wait_for::<Value>(&name, ms.map(Duration::from_millis)).await {
                Some(Ok(message)) => format!("heard {message}"),
                Some(Err(failure)) => format!("misheard: {failure}"),
                None => "heard nothing".to_owned(),
            },
            Do::WaitWhere { filter } => match ctx.wait_for_where::<Value>("go", &filter, None) {
                Ok(waiting) => format!("heard {}", waiting.await.and_then(Result::ok).unwrap_or_default()),
                Err(error) => format!("no filter: {error}"),
            },
            Do::Event { filter, ms } => {
                let (event, ms) = (EventPattern::key("order:*"), ms.map(Duration::from_millis));
                let waiting = match filter {
                    Some(filter) => ctx.wait_for_event_where::<Value>(event, &filter, ms),
                    None => Ok(ctx.wait_for_event::<Value>(event, ms)),
                };
                match waiting {
                    Ok(waiting) => match waiting.await {
                        Some(Ok(event)) => format!("{}: {}", event.key, event.payload),
                        Some(Err(failure)) => format!("misheard: {failure}"),
                        None => "nothing happened".to_owned(),
                    },
                    Err(error) => format!("no filter: {error}"),
                }
            }
            Do::Ask { ms } => {
                let task = HumanSpec {
                    reason: "age".to_owned(),
                    title: "How old?".to_owned(),
                    form: Payload::null(),
                    context: Payload::null(),
                    deadline: ctx.now() + Duration::from_millis(ms),
                };
                match ctx.human(task).await {
                    HumanOutcome::Answered { by, answer, .. } => format!("{by} answered {}", answer.as_str()),
                    HumanOutcome::Rejected { by, reason, .. } => format!("{by} rejected: {reason}"),
                    HumanOutcome::TimedOut => "nobody answered".to_owned(),
                }
            }
            Do::Child => child(ctx, ChildOptions::default()).await,
            Do::Keyed { key } => child(ctx, ChildOptions::key(key)).await,
            Do::Abandoned => child(ctx, ChildOptions::default().abandon()).await,
            Do::FanOut { count, at_once, abandon } => {
                let on_close = if abandon { ClosePolicy::Abandon } else { ClosePolicy::Cancel };
                let inputs: Vec<u32> = (0..count).collect();
                match ctx.children::<_, u64>("script", &inputs, FanOptions { at_once, on_close }) {
                    Ok(mut children) => {
                        let (mut sum, mut failed) = (0, 0);
                        while let Some((_, result)) = children.next().await {
                            result.map_or_else(|_| failed += 1, |value| sum += value);
                        }
                        format!("{sum}, {failed} failed")
                    }
                    Err(failure) => failure.to_string(),
                }
            }
            Do::Complete { ms } => match ctx.completion::<Value>("invoice", Duration::from_millis(ms)).await {
                Ok(value) => format!("completed {value}"),
                Err(failure) => format!("not completed: {failure}"),
            },
            Do::Value => {
                static CALLS: AtomicU64 = AtomicU64::new(0);
                let value = ctx.value("number", || CALLS.fetch_add(1, Ordering::Relaxed));
                value.map_or_else(|failure| failure.to_string(), |number| format!("value {number}"))
            }
            Do::Version { change, latest } => format!("{change} {}", ctx.version(&change, latest)),
            Do::Progress { fraction } => {
                ctx.set_progress(fraction);
                "progress".to_owned()
            }
            Do::Memo { text } => {
                ctx.set_memo(&text);
                "memo".to_owned()
            }
            Do::Mark { name, value } => match ctx.set_attributes([(name, value)].into_iter().collect()) {
                Ok(()) => "marked".to_owned(),
                Err(problems) => {
                    let told: Vec<_> = problems.into_iter().map(|p| format!("{}: {}", p.field, p.message)).collect();
                    told.join("; ")
                }
            },
            Do::Cost { micros } => {
                ctx.cost("tokens", micros);
                "paid".to_owned()
            }
            Do::Race(all) => {
                let racing = all.into_iter().map(|one| carry_out(ctx, one)).collect();
                let (index, line) = ctx.race(racing).await;
                format!("{index} won: {line}")
            }
            Do::All(all) => {
                let waiting = all.into_iter().map(|one| carry_out(ctx, one)).collect();
                format!("all: {}", ctx.all(waiting).await.join(", "))
            }
            Do::Status { text } => {
                ctx.set_status(text);
                "status".to_owned()
            }
            Do::Panic => panic!("as the script says"),
            Do::Stray => std::future::pending().await,
            Do::Storm => loop {
                ctx.log("again");
                let mut woken = false;
                std::future::poll_fn(|cx| {
                    if std::mem::replace(&mut woken, true) {
                        return Poll::Ready(());
                    }
                    cx.waker().wake_by_ref();
                    Poll::Pending
                })
                .await;
            },
            Do::Now => ctx.now().timestamp_millis().to_string(),
            Do::Remembered
            | Do::Stick { .. }
            | Do::StickParking
            | Do::Guard
            | Do::GuardHost
            | Do::CleanNow
            | Do::CleanWithin { .. }
            | Do::Undo
            | Do::Continue(_)
            | Do::Fail { .. }
            | Do::GiveUp { .. } => "only at the top".to_owned(),
        }
    })
}

async fn child(ctx: &Context, options: ChildOptions) -> String {
    match ctx.child_with::<_, Value>("script", &Vec::<Do>::new(), options).await {
        Ok(output) => format!("child: {output}"),
        Err(failure) => format!("child failed: {failure}"),
    }
}

pub fn registry() -> Registry {
    Registry::new(1).with::<Script>()
}
