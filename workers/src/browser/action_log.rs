//! What an agent did and how long it took, without the values: for whoever looks into an application later.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::{Acted, Action, ActionKind, BrowserError};

/// A form of many pages needs some hundred; of more the oldest are forgotten.
const RECORDS_MAX: usize = 1000;

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ActionRecord {
    /// Since the agent attached to the browser.
    pub at_ms: u64,
    pub took_ms: u64,
    pub kind: ActionKind,
    /// The element's own name.
    pub description: String,
    pub target: String,
    /// `verified`, `done` where there is nothing to read back, or what went wrong.
    pub outcome: String,
}

pub(super) struct ActionLog {
    begun: Instant,
    records: Mutex<Vec<ActionRecord>>,
}

impl ActionLog {
    pub fn begin() -> Self {
        Self { begun: Instant::now(), records: Mutex::default() }
    }

    pub fn add(&self, action: &Action, begun: Instant, acted: Result<&Acted, &BrowserError>) {
        let outcome = match acted {
            Ok(Acted { verified: true, .. }) => "verified".to_owned(),
            Ok(_) => "done".to_owned(),
            Err(error) => error.to_string(),
        };
        let record = ActionRecord {
            at_ms: ms(begun.saturating_duration_since(self.begun)),
            took_ms: ms(begun.elapsed()),
            kind: action.kind,
            description: action.description.clone(),
            target: action.target.to_string(),
            outcome,
        };
        let mut records = self.lock();
        if records.len() == RECORDS_MAX {
            records.remove(0);
        }
        records.push(record);
    }

    pub fn take(&self) -> Vec<ActionRecord> {
        std::mem::take(&mut self.lock())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<ActionRecord>> {
        self.records.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::browser::{ActionValue, Selectors};

    #[test]
    fn a_record_tells_what_was_done_and_never_the_value() {
        let log = ActionLog::begin();
        let action = Action {
            kind: ActionKind::Fill,
            target: Selectors::css("#name"),
            description: "First name".into(),
            value: Some(ActionValue::Text("Ada".into())),
        };
        let refused = BrowserError::VerifyFailed { wanted: "Ada".into(), found: "Ad".into() };
        for acted in [Ok(&Acted { verified: true, complaint: String::new() }), Err(&refused)] {
            log.add(&action, Instant::now(), acted);
        }
        let records = log.take();
        assert_eq!((records[0].outcome.as_str(), records[0].target.as_str()), ("verified", "#name"));
        let written = serde_json::to_string(&records).unwrap();
        assert!(records.len() == 2 && !written.contains("Ada"), "{written}");
        assert_eq!(log.take(), []);
    }
}
