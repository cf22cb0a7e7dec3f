//! Carries a plan out in the page and goes on, telling what became of it. Never goes on by itself: going on is the caller's step.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::applicant::Applicant;
use super::buttons::NextButton;
use super::classify_field::label_words;
use super::field::{Field, read_fields};
use super::field_kind::FieldKind;
use super::main_form::MainForm;
use super::page_kind::{PageKind, PageReport, classify};
use super::plan::{FieldPlan, Plan, plan};
use super::snapshot::Snapshot;
use super::text::words;
use crate::browser::{Action, BrowserAgent, BrowserError};

/// What is written may show further questions, which may show further ones; then it is a machine that plays with us.
const ROUNDS_MAX: usize = 5;
/// A submit that uploads files takes its time.
const MOVED_WITHIN: Duration = Duration::from_secs(30);
/// The page is looked at this often while it works.
const MOVED_POLL: Duration = Duration::from_millis(250);
/// Without any sign of work, this long is enough to see that a click did nothing.
const STUCK_AFTER: Duration = Duration::from_secs(6);
/// The message of a field that the page marks as wrong without a word.
const MARKED: &str = "the page marks this as wrong";

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
    let mut applied = Applied::default();
    for fill in plan.pending() {
        match write(agent, fill).await {
            Ok(()) => applied.filled.push(fill.key.clone()),
            Err(error) if !error.leaves_the_browser_usable() => return Err(error),
            Err(error) => {
                let reason = error.to_string();
                applied.failed.push(FieldFailure {
                    key: fill.key.clone(),
                    label: fill.label.clone(),
                    kind: fill.kind,
                    required: fill.required,
                    reason,
                });
            }
        }
    }
    Ok(applied)
}

/// All actions of one field; where the page complains about the way something is written, the other ways in turn.
async fn write(agent: &dyn BrowserAgent, fill: &FieldPlan) -> Result<(), BrowserError> {
    let first = act_all(agent, &fill.actions).await;
    let (Some(action), false) = (fill.actions.first(), fill.other_ways.is_empty()) else { return first.map(drop) };
    let mut last = match first {
        Ok(complaint) if complaint.is_empty() => return Ok(()),
        Err(error @ BrowserError::VerifyFailed { .. }) => Err(error),
        Err(error) => return Err(error),
        Ok(complaint) => Err(BrowserError::NotInteractable { target: fill.label.clone(), reason: complaint }),
    };
    for way in &fill.other_ways {
        let action = Action { value: Some(way.clone()), ..action.clone() };
        match act_all(agent, &[action]).await {
            Ok(complaint) if complaint.is_empty() => return Ok(()),
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

/// Reads, plans and writes until nothing new is asked: what is written may show further fields.
pub async fn fill_page(agent: &dyn BrowserAgent, applicant: &Applicant) -> Result<FilledPage, BrowserError> {
    let mut applied = Applied::default();
    let mut round = 0;
    loop {
        agent.settle().await?;
        let snapshot = agent.snapshot().await?;
        let plan = plan(&snapshot, applicant);
        let given_up: BTreeSet<&str> = applied.failed.iter().map(|failure| failure.key.as_str()).collect();
        let open: Vec<FieldPlan> =
            plan.pending().filter(|fill| !given_up.contains(fill.key.as_str())).cloned().collect();
        if open.is_empty() || round == ROUNDS_MAX {
            // Written and read back, but the page took it away again.
            let lost = open.into_iter().map(|fill| FieldFailure {
                key: fill.key,
                label: fill.label,
                kind: fill.kind,
                required: fill.required,
                reason: "the page does not keep the value".into(),
            });
            applied.failed.extend(lost);
            applied.filled.retain(|key| !applied.failed.iter().any(|failure| failure.key == *key));
            return Ok(FilledPage { snapshot, plan, applied });
        }
        let now = apply_plan(agent, &Plan { fills: open, ..plan }).await?;
        applied.filled.extend(now.filled.into_iter().filter(|key| !applied.filled.contains(key)).collect::<Vec<_>>());
        applied.failed.extend(now.failed);
        round += 1;
    }
}

/// A message of the page about a field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Complaint {
    pub key: String,
    pub label: String,
    pub message: String,
    /// It was written before: the page refuses the value. Otherwise it misses one.
    pub was_filled: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Moved {
    /// Another page, or another state of this one.
    On,
    /// The same form again, with messages.
    Refused,
    /// Nothing that can be seen happened.
    Nowhere,
}

#[derive(Clone, Debug)]
pub struct Advance {
    pub moved: Moved,
    pub page: PageReport,
    pub snapshot: Snapshot,
    pub complaints: Vec<Complaint>,
    /// Messages that belong to no field.
    pub alerts: Vec<String>,
}

/// Presses the button once and waits for what becomes of it. `before` is the page as it was when it was decided to go on.
///
/// An error [`BrowserError::NotFound`] or [`BrowserError::NotInteractable`] means that the button was not pressed, because it is not there, or
/// because the page is another one by now, whose button of that place may mean something else. After any other the press may have arrived:
/// read the page before anything is repeated.
pub async fn advance(agent: &dyn BrowserAgent, before: &Snapshot, next: &NextButton) -> Result<Advance, BrowserError> {
    let dialog = match agent.act_on(before.loaded_at, &next.action.clone().into()).await {
        Ok(_) => None,
        // The page asked back in a dialog, which was dismissed: what it said is its complaint.
        Err(BrowserError::Dialog { text }) => Some(text),
        Err(error) => return Err(error),
    };
    let begun = Instant::now();
    let old = Outline::of(before);
    let old_complaints = complaints(before);
    loop {
        agent.settle().await?;
        let snapshot = match agent.snapshot().await {
            Ok(snapshot) => snapshot,
            Err(error @ (BrowserError::Gone(_) | BrowserError::StaleFence | BrowserError::Blocked { .. })) => {
                return Err(error);
            }
            // Between two documents.
            Err(error) if begun.elapsed() >= MOVED_WITHIN => return Err(error),
            Err(BrowserError::Dialog { .. } | _) => {
                tokio::time::sleep(MOVED_POLL).await;
                continue;
            }
        };
        let new = Outline::of(&snapshot);
        let complaints = complaints(&snapshot);
        let fresh_alerts: Vec<String> = snapshot
            .alerts
            .iter()
            .filter(|alert| !before.alerts.contains(alert))
            .chain(dialog.as_ref())
            .cloned()
            .collect();
        let over = begun.elapsed() >= MOVED_WITHIN || (begun.elapsed() >= STUCK_AFTER && !busy(&snapshot));
        let said = Said {
            any: !complaints.is_empty(),
            new: !fresh_alerts.is_empty() || complaints.iter().any(|complaint| !old_complaints.contains(complaint)),
        };
        let moved = new.moved_from(&old, &said, over, &snapshot);
        if over || moved != Moved::Nowhere {
            let nameless = moved == Moved::Refused && complaints.is_empty();
            let complaints = if nameless { named_by(&snapshot, &fresh_alerts) } else { complaints };
            return Ok(Advance { moved, page: classify(&snapshot), snapshot, complaints, alerts: fresh_alerts });
        }
        tokio::time::sleep(MOVED_POLL).await;
    }
}

/// A disabled submit button or an unfinished document is a page at work.
fn busy(page: &Snapshot) -> bool {
    page.ready != "complete"
        || page.buttons.iter().any(|button| button.type_ == "submit" && button.hidden.is_empty() && !button.enabled)
}

/// What the page says about mistakes: anything, and anything it did not say before.
struct Said {
    any: bool,
    new: bool,
}

/// What tells one page, or state of a page, from another.
struct Outline {
    url: String,
    loaded_at: f64,
    headings: Vec<String>,
    fields: BTreeSet<String>,
}

impl Outline {
    fn of(page: &Snapshot) -> Self {
        let fields = read_fields(page);
        let main = MainForm::of(page, &fields);
        Self {
            url: page.url.split('#').next().unwrap_or_default().to_owned(),
            loaded_at: page.loaded_at,
            headings: page.headings.iter().map(|heading| heading.text.clone()).collect(),
            fields: main.into_iter().flat_map(|main| main.fields).map(|index| fields[index].key.clone()).collect(),
        }
    }

    fn moved_from(&self, old: &Self, said: &Said, over: bool, page: &Snapshot) -> Moved {
        let shared = self.fields.intersection(&old.fields).count();
        let same_form = !old.fields.is_empty() && shared * 10 >= old.fields.len() * 7;
        let reloaded = (self.loaded_at - old.loaded_at).abs() > f64::EPSILON;
        if same_form {
            // The same form in a new document was sent and came back, with or without a message.
            let refused = said.new || reloaded || (over && said.any);
            return if refused { Moved::Refused } else { Moved::Nowhere };
        }
        let moved = self.fields != old.fields || reloaded || self.url != old.url || self.headings != old.headings;
        let ended = || {
            matches!(
                classify(page).kind,
                PageKind::Confirmation
                    | PageKind::AlreadyApplied
                    | PageKind::Error
                    | PageKind::Blocked
                    | PageKind::Captcha
                    | PageKind::Login
            )
        };
        if moved || ended() { Moved::On } else { Moved::Nowhere }
    }
}

/// What the page says beside its fields; where it says nothing anywhere, the fields it marks.
pub fn complaints(page: &Snapshot) -> Vec<Complaint> {
    let said = complaints_by(page, |field| {
        let message = if field.error.is_empty() { &field.first(page).native_error } else { &field.error };
        Some(message.clone()).filter(|message| !message.is_empty())
    });
    if !said.is_empty() {
        return said;
    }
    let marked = |field: &Field| field.members.iter().any(|&member| page.controls[member].invalid);
    complaints_by(page, |field| marked(field).then(|| MARKED.to_owned()))
}

/// Fields that a message of the whole page names, for pages that refuse a form and say so nowhere else.
fn named_by(page: &Snapshot, alerts: &[String]) -> Vec<Complaint> {
    complaints_by(page, |field| {
        let label = label_words(&field.label);
        let names = |alert: &&String| !label.is_empty() && words(alert).windows(label.len()).any(|said| said == label);
        alerts.iter().find(names).cloned()
    })
}

fn complaints_by(page: &Snapshot, message: impl Fn(&Field) -> Option<String>) -> Vec<Complaint> {
    let fields = read_fields(page);
    let main = MainForm::of(page, &fields);
    let own = main.into_iter().flat_map(|main| main.fields).map(|index| &fields[index]);
    own.filter_map(|field| {
        Some(Complaint {
            key: field.key.clone(),
            label: field.label.clone(),
            message: message(field)?,
            was_filled: !field.is_empty(page),
        })
    })
    .collect()
}
