//! One attempt of a step: work that takes time and goes wrong, an effect, a finish.

use std::time::Duration;

use tokio::time::Instant;
use valet_core::Payload;
use valet_core::bounds::HAND_OVERS_IN_A_ROW_MAX;
use valet_core::command::GrantedStep;
use valet_core::step::{Failure, Outcome};

use super::Worker;
use super::requests::Finish;
use crate::outside::ledger::{Acting, SaidEnd};
use crate::program::{Fate, Job, StepEnd};

/// How an attempt went, from its worker's side.
enum Went {
    Say(Outcome, SaidEnd),
    /// Nothing is said: the worker lost it.
    Silent,
}

impl Worker {
    /// Runs a granted step, and whatever is handed over after it.
    pub(super) async fn work(&self, first: GrantedStep) {
        let mut step = first;
        // The engine bounds the row of hand-overs; one more would be its fault.
        for handed_over in 0..=HAND_OVERS_IN_A_ROW_MAX + 1 {
            if handed_over > HAND_OVERS_IN_A_ROW_MAX {
                self.violated(step.run, "too many hand-overs in a row".to_owned());
            }
            let lease = step.lease;
            let next = self.attempt(&step).await;
            self.state.lock().held.remove(&lease);
            match next {
                Some(next) => step = next,
                None => return,
            }
        }
    }

    async fn attempt(&self, step: &GrantedStep) -> Option<GrantedStep> {
        let Ok(job) = step.input.read::<Job>() else {
            self.violated(step.run, format!("step {}: its input is not what was asked for", step.seq));
            return None;
        };
        let now = Instant::now();
        let until = now + Duration::from_millis(step.policy.execution_timeout_ms);
        let acting = Acting { process: self.process, lease: step.lease, until };
        let other = self.world.ledger.lock().act((step.run, step.seq), acting, now);
        if let Some(other) = other.filter(|_| self.believes()) {
            let text = format!("step {}: workers {} and {other} both hold it", step.seq, self.process);
            self.violated(step.run, text);
        }
        let went = self.perform(step, &job, until).await;
        self.world.ledger.lock().rest((step.run, step.seq), step.lease);
        let Went::Say(outcome, end) = went else { return None };
        self.world.note(
            "worker_finishes process seq attempt",
            Some(step.run),
            [self.process, step.seq.0.into(), step.attempt.0.into(), 0],
        );
        let offers = self.believes() && self.world.draw(|dice| dice.chance(self.world.knobs.worker.hand_over));
        let place = self.world.place(step.run, &job.at);
        self.finish(Finish { step, place: &place, outcome, end, offers }).await
    }

    async fn perform(&self, step: &GrantedStep, job: &Job, until: Instant) -> Went {
        let knobs = &self.world.knobs.worker;
        let pieces = self.world.draw(|dice| dice.between(1, 2));
        for _ in 0..pieces {
            let ms =
                self.world.draw(|dice| if dice.chance(0.1) { dice.between(300, 1_500) } else { dice.between(0, 120) });
            tokio::time::sleep(Duration::from_millis(ms)).await;
            self.thaw().await;
            self.mishap().await;
            self.thaw().await;
            if let Some(went) = self.interrupted(step, until).await {
                return went;
            }
        }
        if self.world.strikes(knobs.forget) {
            return Went::Silent;
        }
        if self.world.strikes(knobs.hand_back) {
            return Went::Say(Outcome::HandedBack, SaidEnd::Again);
        }
        match job.fate {
            Fate::AlwaysRetry => return retry("always"),
            // Some codes are such that a database's text cannot hold them.
            Fate::FailFirst(n) if step.attempt.0 <= n => return retry(if n > 2 { "not yet\0" } else { "not yet" }),
            Fate::Fail => return failed("fated"),
            Fate::FailOddly => return failed("fated\0"),
            Fate::BlockFirst(n) if step.attempt.0 <= n => return blocked(),
            Fate::Block => return blocked(),
            Fate::Good | Fate::FailFirst(_) | Fate::BlockFirst(_) => {}
        }
        if step.policy.effect_once
            && let Some(went) = self.effect(step, job, until).await
        {
            return went;
        }
        Self::done(step)
    }

    fn done(step: &GrantedStep) -> Went {
        // Different for every attempt, so that results of two attempts are told apart.
        let value = step.lease.0.as_u64_pair().1 >> 12;
        let output = if step.name == "clean" { Payload::null() } else { Payload::of(&value).unwrap_or_default() };
        Went::Say(Outcome::Done { output }, SaidEnd::Done(value))
    }

    /// The outward effect, after the engine said that it may begin. `None`: it happened.
    async fn effect(&self, step: &GrantedStep, job: &Job, until: Instant) -> Option<Went> {
        match self.begin(step, &self.world.place(step.run, &job.at)).await {
            Some(true) => {}
            Some(false) => return Some(Went::Say(Outcome::HandedBack, SaidEnd::Again)),
            // Whether it was noted is not known, but nothing was done.
            None => return Some(retry("begin")),
        }
        if let Some(went) = self.interrupted(step, until).await {
            return Some(went);
        }
        let place = self.world.place(step.run, &job.at);
        let count = self.world.ledger.lock().effect(&place);
        self.world.note("effect process seq count", Some(step.run), [self.process, step.seq.0.into(), count.into(), 0]);
        if count > 1 {
            self.violated(step.run, format!("step {}: its effect happened {count} times", step.seq));
        }
        self.mishap().await;
        self.thaw().await;
        self.world.strikes(self.world.knobs.worker.forget * 2.0).then_some(Went::Silent)
    }

    /// The process freezes or dies.
    async fn mishap(&self) {
        if self.world.strikes(self.world.knobs.worker.freeze) {
            self.freeze();
        }
        if self.world.strikes(self.world.knobs.worker.die) {
            self.die().await;
        }
    }

    fn believes(&self) -> bool {
        Instant::now() < self.state.lock().believed_until
    }

    /// Whether the worker must not go on. Without contact it suspends, and goes on only when told that all is its own.
    async fn interrupted(&self, step: &GrantedStep, until: Instant) -> Option<Went> {
        loop {
            let held = self.state.lock().held.get(&step.lease).copied();
            let Some(held) = held else {
                // The session ended. Some come back from the dead and still say something.
                let speaks = self.world.strikes(0.5);
                return Some(if speaks { Self::done_late(step) } else { Went::Silent });
            };
            if held.stop {
                return Some(Went::Say(Outcome::Cancelled, SaidEnd::Again));
            }
            if Instant::now() >= until {
                return Some(retry("timeout"));
            }
            if self.believes() {
                return None;
            }
            // The work may have been done before contact was lost: saying so is no outward action.
            if self.world.strikes(0.2) {
                return Some(Self::done_late(step));
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
            self.thaw().await;
        }
    }

    fn done_late(step: &GrantedStep) -> Went {
        // A step with an effect that was not made is not called done.
        if step.policy.effect_once { retry("late") } else { Self::done(step) }
    }
}

fn failed(code: &str) -> Went {
    let error = Failure::new(code, "it fails");
    Went::Say(Outcome::Fail { error }, SaidEnd::Ended(StepEnd::Failed))
}

fn blocked() -> Went {
    let reason = Failure::new("fated", "it is blocked");
    Went::Say(Outcome::Blocked { reason }, SaidEnd::Ended(StepEnd::Blocked))
}

fn retry(code: &str) -> Went {
    let error = Failure::new(code, "try again");
    Went::Say(Outcome::Retry { error, after_ms: None }, SaidEnd::Again)
}
