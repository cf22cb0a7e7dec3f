//! Presses the button that goes on, exactly once, and tells what became of it. What is pressed twice may be sent twice.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use valet_crash_points::crash_point;

use super::buttons::{NextButton, NextKind};
use super::classify_field::label_words;
use super::field::{Field, read_fields};
use super::main_form::MainForm;
use super::page_kind::{PageKind, PageReport, classify};
use super::reading::read_once;
use super::snapshot::Snapshot;
use super::text::{self, words};
use super::wording::Wording;
use crate::browser::{BrowserAgent, BrowserError};

/// The page is looked at this often while it works.
pub(super) const LOOK_POLL: Duration = Duration::from_millis(250);
/// The message of a field that the page marks as wrong without a word.
const MARKED: &str = "the page marks this as wrong";

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
    let frame = &next.action.target.frame;
    let loaded_at =
        before.loaded_at_of(frame).ok_or_else(|| BrowserError::NotFound { target: next.action.target.to_string() })?;
    agent.take_dialogs().await;
    let sends = next.kind == NextKind::Submit;
    crash_point!(WorkerClickBefore if sends);
    let pressed = agent.act_on(loaded_at, &next.action.clone().into()).await;
    crash_point!(WorkerClickAfter if sends);
    match pressed {
        // The page asked back in a dialog, which was dismissed: what it said is its complaint.
        Ok(_) | Err(BrowserError::Dialog { .. }) => watch(agent, before, next).await,
        Err(error) => Err(error),
    }
}

/// Looks at the page until it has moved, complained, or stood still for long enough. Touches nothing.
async fn watch(agent: &dyn BrowserAgent, before: &Snapshot, next: &NextButton) -> Result<Advance, BrowserError> {
    let limits = agent.limits();
    let stuck = if next.kind == NextKind::Submit { limits.stuck_submit } else { limits.stuck };
    let begun = Instant::now();
    let frame = &next.action.target.frame;
    let old = Outline::of(before, frame);
    let old_complaints = complaints(before);
    let mut dialogs: Vec<String> = Vec::new();
    let mut early = if next.kind == NextKind::Submit { confirmed(agent, before).await } else { None };
    loop {
        let read = if early.is_some() { early.take() } else { read_once(agent).await? };
        dialogs.extend(agent.take_dialogs().await);
        let Some(snapshot) = read else {
            if begun.elapsed() >= limits.moved {
                return Err(dialogs
                    .pop()
                    .map_or(BrowserError::Timeout { command: "look", after: limits.moved }, |text| {
                        BrowserError::Dialog { text }
                    }));
            }
            tokio::time::sleep(LOOK_POLL).await;
            continue;
        };
        let complaints = complaints(&snapshot);
        let fresh_alerts: Vec<String> =
            fresh_alerts(before, &snapshot).into_iter().chain(dialogs.iter().cloned()).collect();
        let said = Said {
            any: !complaints.is_empty(),
            new: !fresh_alerts.is_empty() || complaints.iter().any(|complaint| !old_complaints.contains(complaint)),
        };
        // What was said already, and still stands, is why nothing happens.
        let patience = if said.any { limits.stuck.min(stuck) } else { stuck };
        let over = begun.elapsed() >= limits.moved || (begun.elapsed() >= patience && !busy(&snapshot));
        let thanks = thanks(before, &snapshot);
        let moved = match &thanks {
            Some(_) if complaints.is_empty() => Moved::On,
            _ => Outline::of(&snapshot, frame).moved_from(&old, &said, over, &snapshot),
        };
        if over || moved != Moved::Nowhere {
            let nameless = moved == Moved::Refused && complaints.is_empty();
            let complaints = if nameless { named_by(&snapshot, &fresh_alerts) } else { complaints };
            let mut page = classify(&snapshot);
            if let Some(found) =
                thanks.filter(|_| moved == Moved::On && matches!(page.kind, PageKind::Form | PageKind::Step))
            {
                page.kind = PageKind::Confirmation;
                page.evidence.push(found);
            }
            return Ok(Advance { moved, page, snapshot, complaints, alerts: fresh_alerts });
        }
        tokio::time::sleep(LOOK_POLL).await;
    }
}

/// A page that came in the place of the form and confirms it: what else becomes of that page matters no more.
async fn confirmed(agent: &dyn BrowserAgent, before: &Snapshot) -> Option<Snapshot> {
    let page = agent.snapshot().await.ok()?;
    let is_another = page.ready == "complete" && (page.loaded_at - before.loaded_at).abs() > f64::EPSILON;
    (is_another && classify(&page).kind == PageKind::Confirmation).then_some(page)
}

/// Messages that were not there before.
pub(super) fn fresh_alerts(before: &Snapshot, now: &Snapshot) -> Vec<String> {
    now.alerts.iter().filter(|alert| !before.alerts.contains(alert)).cloned().collect()
}

/// A confirmation that was not there before, in a message or a heading: some pages leave the form standing below it.
fn thanks(before: &Snapshot, now: &Snapshot) -> Option<String> {
    let phrases = Wording::get().page("confirmation");
    let headings =
        now.headings.iter().filter(|heading| !before.headings.contains(heading)).map(|heading| &heading.text);
    let alerts = now.alerts.iter().filter(|alert| !before.alerts.contains(alert));
    headings.chain(alerts).find(|line| text::any(phrases, &words(line))).cloned()
}

/// A disabled submit button, a sign of loading or an unfinished document is a page at work.
fn busy(page: &Snapshot) -> bool {
    page.ready != "complete"
        || page.loading
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
    /// The same of the frame that holds the button.
    frame_loaded_at: Option<f64>,
    headings: Vec<String>,
    fields: BTreeSet<String>,
}

impl Outline {
    fn of(page: &Snapshot, frame: &[String]) -> Self {
        let fields = read_fields(page);
        let main = MainForm::of(page, &fields);
        Self {
            url: page.url.split('#').next().unwrap_or_default().to_owned(),
            loaded_at: page.loaded_at,
            frame_loaded_at: page.loaded_at_of(frame),
            headings: page.headings.iter().map(|heading| heading.text.clone()).collect(),
            fields: main.into_iter().flat_map(|main| main.fields).map(|index| fields[index].key.clone()).collect(),
        }
    }

    fn moved_from(&self, old: &Self, said: &Said, over: bool, page: &Snapshot) -> Moved {
        let shared = self.fields.intersection(&old.fields).count();
        let same_form = !old.fields.is_empty() && shared * 10 >= old.fields.len() * 7;
        let reloaded =
            (self.loaded_at - old.loaded_at).abs() > f64::EPSILON || self.frame_loaded_at != old.frame_loaded_at;
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
                    | PageKind::Code
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
