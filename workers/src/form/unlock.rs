//! Types a person's answers to an obstacle into the page they were asked from, hands them in once, and tells what became of it.
//! No answer is kept, and none is in what it says.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Instant;

use super::obstacle::{Obstacle, ObstacleField, obstacle};
use super::page_kind::{PageReport, classify};
use super::press::{LOOK_POLL, Moved, fresh_alerts};
use super::reading::read_once;
use super::snapshot::Snapshot;
use super::text::{self, normal, words};
use super::wording::Wording;
use crate::browser::{Action, ActionKind, ActionValue, BrowserAgent, BrowserError, Key, Selectors};

/// What a page is taken to say that asks again without a word.
const ASKED_AGAIN: &str = "the page asks again";

/// What became of a person's answers.
#[derive(Clone)]
pub struct Answered {
    /// [`Moved::On`]: the obstacle is gone, or another one asks for something else. [`Moved::Refused`]: the same is asked again.
    pub moved: Moved,
    /// What the page complains about; `None` unless it refused.
    pub message: Option<String>,
    pub page: PageReport,
    pub snapshot: Snapshot,
    /// What is in the way now.
    pub obstacle: Option<Obstacle>,
}

impl fmt::Debug for Answered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answered")
            .field("moved", &self.moved)
            .field("message", &self.message)
            .field("page", &self.page)
            .finish_non_exhaustive()
    }
}

/// Whether the page may have gone on by itself while it was typed into.
#[derive(PartialEq)]
enum Typed {
    All,
    GoneOn,
}

/// Types the answers, by the fields' keys or labels, and presses the page's button. An obstacle without fields is looked at again.
///
/// Answers go only into the document `page` was read from: where another has taken its place before anything was typed the answer is
/// [`BrowserError::NotFound`]. A missing or empty answer is [`BrowserError::BadInput`].
pub async fn answer_obstacle(
    agent: &dyn BrowserAgent,
    page: &Snapshot,
    answers: &BTreeMap<String, String>,
) -> Result<Answered, BrowserError> {
    let asked = obstacle(page).ok_or(BrowserError::BadInput { what: "page: nothing is in the way" })?;
    let said = asked.fields.iter().map(|field| answer_to(field, answers)).collect::<Result<Vec<_>, _>>()?;
    let loaded_at = page.loaded_at_of(asked.frame()).unwrap_or(page.loaded_at);
    agent.take_dialogs().await;
    if let Some(first) = asked.fields.iter().flat_map(|field| &field.targets).next() {
        // It is there, in that document: whatever is missing from here on has been taken away by what was typed.
        agent.act_on(loaded_at, &on(first, ActionKind::Scroll, None).into()).await?;
    }
    let mut typed = Typed::All;
    for (field, answer) in asked.fields.iter().zip(said) {
        typed = type_into(agent, loaded_at, field, answer).await?;
        if typed == Typed::GoneOn {
            break;
        }
    }
    if typed == Typed::All {
        hand_in(agent, loaded_at, &asked).await?;
    }
    look(agent, page, &asked).await
}

fn answer_to<'a>(field: &ObstacleField, answers: &'a BTreeMap<String, String>) -> Result<&'a str, BrowserError> {
    let named = |name: &String| *name == field.key || normal(name) == normal(&field.label);
    let answer = answers.iter().find(|(name, _)| named(name)).map(|(_, answer)| answer.trim());
    answer.filter(|answer| !answer.is_empty()).ok_or(BrowserError::BadInput { what: "answer: a field has none" })
}

async fn type_into(
    agent: &dyn BrowserAgent,
    loaded_at: f64,
    field: &ObstacleField,
    answer: &str,
) -> Result<Typed, BrowserError> {
    let parts: Vec<String> = if field.targets.len() > 1 {
        let bare: Vec<String> = answer.chars().filter(|c| c.is_alphanumeric()).map(String::from).collect();
        if bare.len() != field.targets.len() {
            return Err(BrowserError::BadInput { what: "answer: another number of characters is asked for" });
        }
        bare
    } else {
        vec![answer.to_owned()]
    };
    for (target, part) in field.targets.iter().zip(parts) {
        let fill = on(target, ActionKind::Fill, Some(ActionValue::Text(part)));
        match agent.act_on(loaded_at, &fill.into()).await {
            Ok(_) => {}
            // Pages that take a code hand it in with its last character.
            Err(BrowserError::NotFound { .. } | BrowserError::FrameGone { .. }) => return Ok(Typed::GoneOn),
            // What was wanted and found is in this error.
            Err(BrowserError::VerifyFailed { .. }) => {
                let reason = "the page does not take what is typed".into();
                return Err(BrowserError::NotInteractable { target: field.label.clone(), reason });
            }
            Err(error) => return Err(error),
        }
    }
    Ok(Typed::All)
}

fn on(target: &Selectors, kind: ActionKind, value: Option<ActionValue>) -> Action {
    Action { kind, target: target.clone(), description: String::new(), value }
}

async fn hand_in(agent: &dyn BrowserAgent, loaded_at: f64, asked: &Obstacle) -> Result<(), BrowserError> {
    let last = asked.fields.last().and_then(|field| field.targets.last());
    let action = match (&asked.button, last) {
        (Some(button), _) => button.action.clone(),
        (None, Some(target)) => on(target, ActionKind::Press, Some(ActionValue::Key(Key::Enter))),
        (None, None) => return Ok(()),
    };
    match agent.act_on(loaded_at, &action.into()).await {
        // Handed in already, with the last character; what it said is asked for later.
        Ok(_) | Err(BrowserError::NotFound { .. } | BrowserError::FrameGone { .. } | BrowserError::Dialog { .. }) => {
            Ok(())
        }
        // So is a button that was disabled meanwhile; if it never was enabled, the page stands still and says so.
        Err(BrowserError::NotInteractable { .. }) if !asked.fields.is_empty() => Ok(()),
        Err(error) => Err(error),
    }
}

async fn look(agent: &dyn BrowserAgent, before: &Snapshot, asked: &Obstacle) -> Result<Answered, BrowserError> {
    let limits = agent.limits();
    let begun = Instant::now();
    let old_lines: Vec<&str> = before.text.lines().collect();
    let mut dialogs: Vec<String> = Vec::new();
    loop {
        let snapshot = match read_once(agent).await? {
            Some(snapshot) => snapshot,
            None if begun.elapsed() < limits.moved => {
                tokio::time::sleep(LOOK_POLL).await;
                continue;
            }
            None => return Err(BrowserError::Timeout { command: "look", after: limits.moved }),
        };
        dialogs.extend(agent.take_dialogs().await);
        let now = obstacle(&snapshot);
        let same = now.as_ref().is_some_and(|now| now.asks_the_same(asked));
        let frame = asked.frame();
        let reloaded = snapshot.loaded_at_of(frame) != before.loaded_at_of(frame);
        let fresh: Vec<String> = fresh_alerts(before, &snapshot).into_iter().chain(dialogs.iter().cloned()).collect();
        let message =
            fresh.into_iter().next().or_else(|| complaint(&snapshot, now.as_ref(), asked, &old_lines, reloaded));
        let over = begun.elapsed() >= if snapshot.loading { limits.moved } else { limits.stuck };
        let moved = match (same, message.is_some() || reloaded) {
            // Between two states of a page that is built by scripts.
            (false, _) if snapshot.ready != "complete" && !over => None,
            (false, _) => Some(Moved::On),
            (true, true) => Some(Moved::Refused),
            (true, false) => over.then_some(Moved::Nowhere),
        };
        if let Some(moved) = moved {
            let message = (moved == Moved::Refused).then(|| message.unwrap_or_else(|| ASKED_AGAIN.to_owned()));
            return Ok(Answered { moved, message, page: classify(&snapshot), snapshot, obstacle: now });
        }
        tokio::time::sleep(LOOK_POLL).await;
    }
}

/// What the page says beside a field, or in a line that was not there before and reads like a refusal; in a new document also one that was.
fn complaint(
    page: &Snapshot,
    now: Option<&Obstacle>,
    before: &Obstacle,
    old_lines: &[&str],
    reloaded: bool,
) -> Option<String> {
    let helps = now.into_iter().flat_map(|now| &now.fields);
    let beside = helps.zip(&before.fields).find(|(now, before)| !now.help.is_empty() && now.help != before.help);
    let wrong = Wording::get().page("wrong");
    let mut lines = page.text.lines().filter(|line| reloaded || !old_lines.contains(line));
    beside
        .map(|(now, _)| now.help.clone())
        .or_else(|| lines.find(|line| text::any(wrong, &words(line))).map(|line| line.chars().take(200).collect()))
}
