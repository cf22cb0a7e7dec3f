//! The state of a run as labelled lines, and what an entry changed of them.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use valet_core::id::Seq;
use valet_core::run::{LiveStep, Reason, Run, StepPhase};

use crate::cli::style::Style;
use crate::cli::{reason, text};

/// Order, place and name of a line.
type Label = (u8, u32, String);

/// All that can be said of a run between two entries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State(BTreeMap<Label, String>);

/// A line that an entry changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    pub what: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub was: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is: Option<String>,
}

impl State {
    /// `is_committed`: the run is between two transitions, not inside one.
    pub fn of(run: &Run, is_committed: bool) -> Self {
        let mut lines = BTreeMap::new();
        let mut line = |order: u8, seq: Seq, what: &str, is: String| {
            let name = if seq == Seq(0) { what.to_owned() } else { format!("{what} {seq}") };
            lines.insert((order, seq.0, name), text::line(&is));
        };
        line(0, Seq(0), "status", run.status().as_str().to_owned());
        // Inside a transition something has always come in that the code is told next.
        let is_passing = |why: &Reason| !is_committed && matches!(why, Reason::NewerBuild { .. });
        if let Some(why) = run.reason().filter(|why| !is_passing(why)) {
            let why = serde_json::to_value(why).unwrap_or_default();
            line(1, Seq(0), "waits for", reason::short(&why, run.last_at));
        }
        if let Some(by) = &run.paused_by {
            line(2, Seq(0), "paused", format!("by {by}"));
        }
        for (seq, step) in &run.steps {
            line(3, *seq, "step", stands(step));
        }
        for (seq, task) in &run.tasks {
            line(4, *seq, "task", task.reason.clone());
        }
        for (seq, wait) in &run.waits {
            let what = match &wait.event {
                Some(event) => format!("event `{}`", text::line(&event.key)),
                None => format!("signal `{}`", wait.name),
            };
            line(5, *seq, "wait", what);
        }
        for (seq, completion) in &run.completions {
            line(5, *seq, "completion", completion.name.clone());
        }
        for (seq, fan) in &run.fans {
            let (started, live) = (fan.started, fan.live());
            line(6, *seq, "children", format!("{}, {started} of {} started, {live} live", fan.workflow, fan.count));
        }
        for (seq, child) in &run.children {
            line(6, *seq, "child", child.workflow.clone());
        }
        for (seq, at) in &run.timers {
            let what = if *seq == Seq(0) { "deadline" } else { "timer" };
            line(7, *seq, what, at.format("%Y-%m-%d %H:%M:%S%.3f UTC").to_string());
        }
        for (seq, finalizer) in &run.finalizers {
            let stands = if finalizer.done { "done" } else { "to do" };
            line(8, *seq, "clean-up", format!("{}, {stands}", finalizer.op.name));
        }
        for (name, channel) in run.channels.iter().filter(|(_, channel)| !channel.kept.is_empty()) {
            lines.insert((9, 0, format!("unread `{}`", text::line(name))), channel.kept.len().to_string());
        }
        if !run.held.is_empty() {
            lines.insert((10, 0, "kept results".to_owned()), run.held.len().to_string());
        }
        Self(lines)
    }

    /// From `before` to this.
    pub fn since(&self, before: &Self) -> Vec<Change> {
        let labels: BTreeSet<&Label> = self.0.keys().chain(before.0.keys()).collect();
        let changes = labels.into_iter().filter_map(|label| {
            let (was, is) = (before.0.get(label), self.0.get(label));
            (was != is).then(|| Change { what: label.2.clone(), was: was.cloned(), is: is.cloned() })
        });
        changes.collect()
    }

    pub fn render(&self) -> String {
        let lines: Vec<String> = self.0.iter().map(|((.., what), is)| format!("      {what}: {is}")).collect();
        lines.join("\n")
    }
}

impl Change {
    pub fn render(&self, style: Style) -> String {
        let what = &self.what;
        match (&self.was, &self.is) {
            (None, Some(is)) => format!("      {} {what}: {is}", style.good("+")),
            (Some(was), None) => format!("      {} {what}: {was}", style.bad("-")),
            (was, is) => {
                let (was, is) = (was.as_deref().unwrap_or_default(), is.as_deref().unwrap_or_default());
                format!("      {} {what}: {was} → {is}", style.warn("~"))
            }
        }
    }
}

fn stands(step: &LiveStep) -> String {
    let stands = match &step.phase {
        StepPhase::Queued => "ready or at work".to_owned(),
        StepPhase::BackingOff { until } => format!("backs off until {}", until.format("%H:%M:%S%.3f")),
        StepPhase::Parked { failure } => format!("waits for an operator: {}", failure.code),
        StepPhase::Stopping => "told to stop".to_owned(),
    };
    format!("{}, attempt {}, {stands}", step.op.name, step.attempt)
}
