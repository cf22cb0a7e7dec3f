//! Carries plans out in the page until nothing is left to write. Never goes on by itself: going on is the caller's step.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::applicant::Applicant;
use super::field_kind::FieldKind;
use super::learned::{KeptAction, Learned, Lesson, signature, way_at};
use super::plan::{FieldPlan, Plan, plan};
use super::reading::read_page;
use super::snapshot::Snapshot;
use crate::browser::{Action, ActionKind, BrowserAgent, BrowserError};

/// What is written may show further questions, which may show further ones; then it is a machine that plays with us.
const ROUNDS_MAX: usize = 8;
/// A page may put new elements in the place of those that were read; after this many readings in vain it does nothing else.
const LOSSES_MAX: usize = 8;
/// A field that was read this often and never found does not stay long enough for anybody.
const MISSES_MAX: usize = 3;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FieldFailure {
    pub key: String,
    pub label: String,
    pub kind: FieldKind,
    pub required: bool,
    /// Says what went wrong, never the value.
    pub reason: String,
}

/// What was written.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Applied {
    /// Keys of the fields written and read back.
    pub filled: Vec<String>,
    pub failed: Vec<FieldFailure>,
}

/// A page that was filled as far as it can be.
#[derive(Clone, Debug)]
pub struct FilledPage {
    pub snapshot: Snapshot,
    /// The plan as it stands after filling: `pending` lists what did not take.
    pub plan: Plan,
    pub applied: Applied,
}

impl FilledPage {
    /// Nothing required is missing: the page may be left.
    pub fn is_ready(&self) -> bool {
        self.plan.unknown.is_empty()
            && self.plan.next.is_some()
            && !self.applied.failed.iter().any(|failure| failure.required)
    }
}

/// Writes what the plan has pending, each field verified. One field's failure does not stop the others; a dead browser does.
pub async fn apply_plan(agent: &dyn BrowserAgent, plan: &Plan) -> Result<Applied, BrowserError> {
    let pass = pass(agent, plan.pending().collect()).await?;
    let mut applied = Applied { filled: pass.filled, failed: pass.failed };
    for fill in plan.pending() {
        let seen = applied.filled.contains(&fill.key) || applied.failed.iter().any(|failure| failure.key == fill.key);
        if !seen {
            applied.failed.push(failure(fill, "the page has changed since it was read".into()));
        }
    }
    Ok(applied)
}

/// What one walk over the fields did. It ends where the page is not the one that was read any more.
#[derive(Default)]
struct Pass {
    filled: Vec<String>,
    lessons: Vec<Lesson>,
    failed: Vec<FieldFailure>,
    /// Fields that were not there.
    lost: Vec<String>,
    /// Frames that were not there.
    frames_gone: Vec<Vec<String>>,
    /// When something was chosen last that may bring further questions.
    chose: Option<Instant>,
}

async fn pass(agent: &dyn BrowserAgent, fills: Vec<&FieldPlan>) -> Result<Pass, BrowserError> {
    let mut pass = Pass::default();
    for fill in fills {
        match write(agent, fill).await {
            Ok(way) => {
                pass.filled.push(fill.key.clone());
                pass.lessons.push(lesson(fill, Some(way)));
                pass.chose = if chooses(fill) { Some(Instant::now()) } else { pass.chose };
            }
            // The page is not the one that was read, or what it said stands between: it is to be read again.
            Err(BrowserError::NotFound { .. } | BrowserError::Dialog { .. }) => {
                pass.lost.push(fill.key.clone());
                break;
            }
            Err(BrowserError::FrameGone { .. }) => {
                pass.lost.push(fill.key.clone());
                pass.frames_gone.extend(fill.actions.first().map(|action| action.target.frame.clone()));
                break;
            }
            // A page that does not answer for one field does not for the next: each would cost the whole bound.
            Err(error @ BrowserError::Timeout { .. }) => return Err(error),
            Err(error) if !error.leaves_the_browser_usable() => return Err(error),
            Err(error) => {
                pass.failed.push(failure(fill, error.to_string()));
                pass.lessons.push(lesson(fill, None));
            }
        }
    }
    Ok(pass)
}

fn chooses(fill: &FieldPlan) -> bool {
    fill.actions.iter().any(|action| matches!(action.kind, ActionKind::Select | ActionKind::Check))
}

fn lesson(fill: &FieldPlan, way: Option<usize>) -> Lesson {
    Lesson { key: fill.key.clone(), kind: fill.kind, way, action: KeptAction::of(fill) }
}

fn failure(fill: &FieldPlan, reason: String) -> FieldFailure {
    FieldFailure { key: fill.key.clone(), label: fill.label.clone(), kind: fill.kind, required: fill.required, reason }
}

/// All actions of one field; where the page complains about the way something is written, the other ways in turn. Answers which one it took.
async fn write(agent: &dyn BrowserAgent, fill: &FieldPlan) -> Result<usize, BrowserError> {
    let first = act_all(agent, &fill.actions).await;
    let (Some(action), false) = (fill.actions.first(), fill.other_ways.is_empty()) else {
        return first.map(|_| fill.first_way);
    };
    let mut last = match first {
        Ok(complaint) if complaint.is_empty() => return Ok(fill.first_way),
        Err(error @ BrowserError::VerifyFailed { .. }) => Err(error),
        Err(error) => return Err(error),
        Ok(complaint) => Err(BrowserError::NotInteractable { target: fill.label.clone(), reason: complaint }),
    };
    for (place, way) in fill.other_ways.iter().enumerate() {
        let action = Action { value: Some(way.clone()), ..action.clone() };
        match act_all(agent, &[action]).await {
            Ok(complaint) if complaint.is_empty() => return Ok(way_at(place + 1, fill.first_way)),
            Ok(complaint) => {
                last = Err(BrowserError::NotInteractable { target: fill.label.clone(), reason: complaint });
            }
            Err(error @ BrowserError::VerifyFailed { .. }) => last = Err(error),
            Err(error) => return Err(error),
        }
    }
    last
}

/// The page's complaint, empty when it has none.
async fn act_all(agent: &dyn BrowserAgent, actions: &[Action]) -> Result<String, BrowserError> {
    let mut complaint = String::new();
    for action in actions {
        complaint = agent.act(&action.clone().into()).await?.complaint;
    }
    Ok(complaint)
}

/// Reads, plans and writes until nothing new is asked: what is written may show further fields, a moment later too. Fields that are hidden
/// are left alone; those whose elements were replaced are found again.
///
/// [`BrowserError::FrameGone`]: the frame that was written into went away for good.
pub async fn fill_page(agent: &dyn BrowserAgent, applicant: &Applicant) -> Result<FilledPage, BrowserError> {
    fill_page_knowing(agent, applicant, &mut Learned::default()).await
}

/// [`fill_page`] with what the site has taught, which learns from this filling too.
pub async fn fill_page_knowing(
    agent: &dyn BrowserAgent,
    applicant: &Applicant,
    learned: &mut Learned,
) -> Result<FilledPage, BrowserError> {
    let mut work = Work::default();
    loop {
        let looked = Instant::now();
        let snapshot = read_page(agent).await?;
        if let Some(gone) = work.frames_gone.drain(..).find(|path| snapshot.frame(path).is_none()) {
            return Err(BrowserError::FrameGone { frame: gone.join(" > ") });
        }
        let form = signature(&snapshot);
        let mut plan = plan(&snapshot, applicant);
        if let Some(form) = &form {
            learned.advise(form, &mut plan);
        }
        let mut open: Vec<&FieldPlan> = plan.pending().filter(|fill| !work.has_given_up(&fill.key)).collect();
        if agent.limits().pace.is_none() {
            // While the rest is written, the page has time to ask its server what follows from a choice.
            open.sort_by_key(|fill| !chooses(fill));
        }
        if open.is_empty()
            && let Some(chose) = work.chose.take()
            && looked < chose + agent.limits().revealed
            && !snapshot.inert
        {
            tokio::time::sleep_until((chose + agent.limits().revealed).into()).await;
            continue;
        }
        if open.is_empty() || work.rounds == ROUNDS_MAX || work.losses == LOSSES_MAX {
            let open = open.into_iter().map(|fill| failure(fill, "the page does not keep the value".into())).collect();
            return Ok(FilledPage { snapshot, plan, applied: work.applied(open) });
        }
        let mut now = pass(agent, open.clone()).await?;
        if let Some(form) = form {
            learned.note(&form, &std::mem::take(&mut now.lessons));
        }
        work.add(now, &open);
    }
}

/// What was done to a page so far.
#[derive(Default)]
struct Work {
    applied: Applied,
    rounds: usize,
    losses: usize,
    misses: BTreeMap<String, usize>,
    frames_gone: Vec<Vec<String>>,
    chose: Option<Instant>,
}

impl Work {
    fn has_given_up(&self, key: &str) -> bool {
        self.applied.failed.iter().any(|failure| failure.key == key)
    }

    fn add(&mut self, pass: Pass, open: &[&FieldPlan]) {
        let known: BTreeSet<String> = self.applied.filled.iter().cloned().collect();
        self.applied.filled.extend(pass.filled.into_iter().filter(|key| !known.contains(key)));
        self.applied.failed.extend(pass.failed);
        self.frames_gone.extend(pass.frames_gone);
        self.chose = pass.chose.or(self.chose);
        if pass.lost.is_empty() {
            self.rounds += 1;
        } else {
            self.losses += 1;
        }
        for key in pass.lost {
            let misses = self.misses.entry(key.clone()).or_default();
            *misses += 1;
            if *misses == MISSES_MAX
                && let Some(fill) = open.iter().find(|fill| fill.key == key)
            {
                self.applied.failed.push(failure(fill, "the page takes it away each time".into()));
            }
        }
    }

    /// `lost`: written and read back, but the page took it away again.
    fn applied(self, lost: Vec<FieldFailure>) -> Applied {
        let Applied { mut filled, mut failed } = self.applied;
        failed.extend(lost);
        filled.retain(|key| !failed.iter().any(|failure| failure.key == *key));
        Applied { filled, failed }
    }
}
