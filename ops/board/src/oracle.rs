//! What really arrived: every accepted sending of a form, duplicates and trapped ones included. Tests ask it in process
//! or over HTTP; the pages never show it, and an applicant must never use it.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use tokio::sync::watch;
use uuid::Uuid;

use crate::bounds;
use crate::clock::Clock;
use crate::journal::{Journal, JournalError};
use crate::meaning::Meaning;
use crate::model::FormKind;
use crate::upload::Upload;

/// One sending of a form that passed every check.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Application {
    pub id: Uuid,
    pub form: FormKind,
    pub seed: u32,
    pub received_at: DateTime<Utc>,
    /// Canonical values: `yes` and `no` and country names instead of what the form calls them.
    pub fields: BTreeMap<Meaning, String>,
    /// Answers to questions that the form did not ask, as it hid them; they are not among the fields.
    #[serde(default)]
    pub unasked: Vec<Meaning>,
    /// As sent, by control name; a file's value is its name.
    pub raw: BTreeMap<String, String>,
    pub files: Vec<ReceivedFile>,
    pub visit: String,
    /// The visit had sent its application before.
    pub duplicate: bool,
    /// The trap field was filled: the applicant was told that all is well, but the application does not count.
    pub honeypot: bool,
    pub user_agent: String,
    /// What the confirmation page shows.
    pub reference: String,
    /// Times that this visit sent its application so far, this one included.
    pub submission: u32,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ReceivedFile {
    pub meaning: Meaning,
    pub filename: String,
    pub size: usize,
    pub sha256: String,
    #[serde(skip)]
    upload: Option<Upload>,
}

impl ReceivedFile {
    pub fn new(meaning: Meaning, upload: &Upload) -> Self {
        Self {
            meaning,
            filename: upload.filename.clone(),
            size: upload.size,
            sha256: upload.sha256.clone(),
            upload: Some(upload.clone()),
        }
    }

    /// The first bytes; none after a restart.
    pub fn head(&self) -> &[u8] {
        self.upload.as_ref().map_or(&[], |upload| &upload.head)
    }

    /// The whole file, while the memory for contents lasts; none after a restart.
    pub fn content(&self) -> Option<bytes::Bytes> {
        self.upload.as_ref().and_then(Upload::content)
    }
}

/// An application before it has its place in the list.
pub struct Submission {
    pub form: FormKind,
    pub seed: u32,
    pub fields: BTreeMap<Meaning, String>,
    pub unasked: Vec<Meaning>,
    pub raw: BTreeMap<String, String>,
    pub files: Vec<ReceivedFile>,
    pub visit: String,
    pub honeypot: bool,
    pub user_agent: String,
    pub reference_prefix: &'static str,
}

#[derive(Debug, Error)]
pub enum SubmitError {
    #[error("the application could not be kept")]
    Journal(#[from] JournalError),
    #[error("the board stopped while it took the application")]
    Interrupted,
}

/// Which applications to list; nothing set lists all.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Filter {
    pub form: Option<FormKind>,
    pub seed: Option<u32>,
    pub visit: Option<String>,
}

impl Filter {
    pub fn of(form: FormKind, seed: u32) -> Self {
        Self { form: Some(form), seed: Some(seed), visit: None }
    }

    pub fn admits(&self, form: FormKind, seed: u32, visit: &str) -> bool {
        self.form.is_none_or(|wanted| wanted == form)
            && self.seed.is_none_or(|wanted| wanted == seed)
            && self.visit.as_deref().is_none_or(|wanted| wanted == visit)
    }
}

/// Things outside the application that were used, which an applicant has no reason to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct DecoyUses {
    pub newsletter: u32,
    pub search: u32,
    pub language: u32,
    pub login: u32,
    pub draft: u32,
    pub cancel: u32,
}

/// The list of what was received. Clones share it.
#[derive(Clone)]
pub struct Received {
    shared: Arc<Shared>,
}

struct Shared {
    list: Mutex<List>,
    /// Held over the write to the file, so that the file has the order of the list.
    journal: tokio::sync::Mutex<Option<Journal>>,
    decoys: Mutex<DecoyUses>,
    clock: Clock,
    arrivals: watch::Sender<u64>,
}

impl Received {
    /// A list that begins with `earlier`, the oldest first, and writes what comes to `journal`.
    pub(crate) fn new(earlier: Vec<Application>, journal: Option<Journal>, clock: Clock) -> Self {
        let mut list = List::default();
        for application in earlier {
            list.push(application);
        }
        Self {
            shared: Arc::new(Shared {
                list: Mutex::new(list),
                journal: tokio::sync::Mutex::new(journal),
                decoys: Mutex::default(),
                clock,
                arrivals: watch::Sender::new(0),
            }),
        }
    }

    /// All applications that the filter admits, the oldest first.
    pub fn list(&self, filter: &Filter) -> Vec<Application> {
        let list = self.shared.list.lock();
        list.applications
            .iter()
            .filter(|application| filter.admits(application.form, application.seed, &application.visit))
            .cloned()
            .collect()
    }

    pub fn get(&self, id: Uuid) -> Option<Application> {
        let list = self.shared.list.lock();
        list.applications.iter().find(|application| application.id == id).cloned()
    }

    /// Times that this visit sent its application.
    pub fn submissions(&self, visit: &str) -> u32 {
        self.shared.list.lock().submissions.get(visit).copied().unwrap_or(0)
    }

    /// Counts applications that arrive from now on; await its change instead of asking again and again.
    pub fn arrivals(&self) -> watch::Receiver<u64> {
        self.shared.arrivals.subscribe()
    }

    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.shared.clock.now()
    }

    pub fn decoy_uses(&self) -> DecoyUses {
        *self.shared.decoys.lock()
    }

    pub(crate) fn count_decoy(&self, count: impl FnOnce(&mut DecoyUses) -> &mut u32) {
        let mut decoys = self.shared.decoys.lock();
        let counter = count(&mut decoys);
        *counter = counter.saturating_add(1);
    }

    /// The first application that this visit sent.
    pub(crate) fn first_of(&self, visit: &str) -> Option<Application> {
        let list = self.shared.list.lock();
        list.applications.iter().find(|application| application.visit == visit).cloned()
    }

    pub(crate) fn by_reference(&self, form: FormKind, seed: u32, reference: &str) -> Option<Application> {
        let list = self.shared.list.lock();
        list.applications
            .iter()
            .find(|application| {
                application.form == form && application.seed == seed && application.reference == reference
            })
            .cloned()
    }

    /// Takes an application: first into the file, then into the list. Only then may the applicant be told. It goes on
    /// when the applicant hangs up meanwhile, so that file and list never differ.
    pub(crate) async fn submit(&self, submission: Submission) -> Result<Application, SubmitError> {
        let received = self.clone();
        tokio::spawn(async move { received.take(submission).await })
            .await
            .map_err(|_| SubmitError::Interrupted)?
            .map_err(SubmitError::from)
    }

    async fn take(&self, submission: Submission) -> Result<Application, JournalError> {
        let mut journal = self.shared.journal.lock().await;
        let earlier = self.submissions(&submission.visit);
        let id = Uuid::now_v7();
        let application = Application {
            id,
            form: submission.form,
            seed: submission.seed,
            received_at: self.shared.clock.now(),
            fields: submission.fields,
            unasked: submission.unasked,
            raw: submission.raw,
            files: submission.files,
            visit: submission.visit,
            duplicate: earlier > 0,
            honeypot: submission.honeypot,
            user_agent: submission.user_agent,
            reference: reference(submission.reference_prefix, id),
            submission: earlier + 1,
        };
        if let Some(journal) = journal.as_mut() {
            journal.append(&application).await?;
        }
        self.shared.list.lock().push(application.clone());
        self.shared.arrivals.send_modify(|count| *count += 1);
        Ok(application)
    }
}

/// A short code from the random end of the id.
fn reference(prefix: &str, id: Uuid) -> String {
    let (_, low) = id.as_u64_pair();
    format!("{prefix}-{:08X}", low & 0xFFFF_FFFF)
}

#[derive(Default)]
struct List {
    applications: VecDeque<Application>,
    text_bytes: usize,
    submissions: HashMap<String, u32>,
}

impl List {
    fn push(&mut self, application: Application) {
        self.text_bytes += text_bytes(&application);
        *self.submissions.entry(application.visit.clone()).or_insert(0) += 1;
        self.applications.push_back(application);
        while self.applications.len() > bounds::MAX_APPLICATIONS || self.text_bytes > bounds::MAX_APPLICATION_TEXT_BYTES
        {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        let Some(oldest) = self.applications.pop_front() else {
            return;
        };
        self.text_bytes = self.text_bytes.saturating_sub(text_bytes(&oldest));
        // A visit that is still in the list keeps its full count.
        if !self.applications.iter().any(|kept| kept.visit == oldest.visit) {
            self.submissions.remove(&oldest.visit);
        }
    }
}

fn text_bytes(application: &Application) -> usize {
    let fields: usize = application.fields.values().map(String::len).sum();
    let raw: usize = application.raw.iter().map(|(name, value)| name.len() + value.len()).sum();
    fields + raw + application.user_agent.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn submission(visit: &str, text_bytes: usize) -> Submission {
        Submission {
            form: FormKind::Simple,
            seed: 1,
            fields: BTreeMap::new(),
            unasked: Vec::new(),
            raw: BTreeMap::from([("a".to_owned(), "x".repeat(text_bytes))]),
            files: Vec::new(),
            visit: visit.to_owned(),
            honeypot: false,
            user_agent: String::new(),
            reference_prefix: "APP",
        }
    }

    #[tokio::test]
    async fn the_oldest_applications_make_room() {
        let received = Received::new(Vec::new(), None, Clock::system());
        let size = bounds::MAX_APPLICATION_TEXT_BYTES / 4;
        for visit in ["a", "b", "c", "d", "e"] {
            received.submit(submission(visit, size)).await.expect("no file to fail");
        }
        let visits: Vec<String> =
            received.list(&Filter::default()).into_iter().map(|application| application.visit).collect();
        assert_eq!(visits, ["c", "d", "e"]);
        assert_eq!(received.submissions("a"), 0);
        assert_eq!(received.submissions("e"), 1);
    }

    #[tokio::test]
    async fn of_two_sendings_at_once_exactly_one_is_no_duplicate() {
        let received = Received::new(Vec::new(), None, Clock::system());
        let (first, second) = tokio::join!(received.submit(submission("a", 1)), received.submit(submission("a", 1)));
        let duplicates = [first, second].map(|sent| sent.expect("no file to fail").duplicate);
        assert_eq!(duplicates.iter().filter(|duplicate| **duplicate).count(), 1);
    }
}
