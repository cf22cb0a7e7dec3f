//! A journal as entries one after the other, each with the state before and after it.

use serde::Serialize;
use serde_json::Value;
use valet_core::Timestamp;
use valet_core::decide::StoredRun;
use valet_core::journal::{Chunk, Entry};
use valet_core::run::{Identity, Run};
use valet_engine::replay_check::Mismatch;
use valet_protocol::api::RunEvent;

use super::shown::shown;
use super::state::{Change, State};
use super::words::sentence;
use super::{as_json, kind};
use crate::cli::progress::Story;
use crate::cli::style::Style;
use crate::cli::text;

/// Columns of an entry's fields on its line.
const FIELDS_COLUMNS_MAX: usize = 160;

/// A place between two entries.
pub struct Walk {
    identity: Identity,
    build: i64,
    entries: Vec<Placed>,
    /// Revision and index, and what the code does there instead.
    mismatch: Option<(u32, usize, String)>,
    payloads: bool,
    /// Entries that are behind.
    passed: usize,
    run: Run,
    state: State,
    story: Story,
}

struct Placed {
    revision: u32,
    index: usize,
    at: Timestamp,
    entry: Entry,
}

/// One entry and what it changed.
#[derive(Debug, Serialize)]
pub struct Look {
    /// Its number in the journal, from 1.
    pub entry: usize,
    pub revision: u32,
    pub index: usize,
    pub at: Timestamp,
    pub kind: String,
    pub says: String,
    /// As it is stored; without payloads and texts unless they were asked for.
    pub stored: Value,
    pub changes: Vec<Change>,
    /// What this program's code does instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub misfit: Option<String>,
    #[serde(skip)]
    told: Vec<String>,
}

impl Walk {
    pub fn new(stored: StoredRun, mismatch: Option<(&Mismatch, String)>, payloads: bool) -> Self {
        let StoredRun { identity, build, chunks, .. } = stored;
        let run = Run::new(identity.clone(), build);
        let mismatch = mismatch.map(|(mismatch, why)| (mismatch.revision, mismatch.index, why));
        let story = Story::new(&identity.id.to_string());
        let entries = chunks.into_iter().flat_map(placed).collect();
        Self { identity, build, entries, mismatch, payloads, passed: 0, run, state: State::default(), story }
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// The number of the entry at a place, from 1.
    pub fn number_of(&self, revision: u32, index: usize) -> usize {
        self.entries.partition_point(|placed| (placed.revision, placed.index) < (revision, index)) + 1
    }

    pub fn status_at_the_end(&self) -> &'static str {
        let mut run = Run::new(self.identity.clone(), self.build);
        for Placed { revision, at, entry, .. } in &self.entries {
            run.apply(entry, *revision);
            run.last_at = *at;
        }
        run.status().as_str()
    }

    pub fn state(&self) -> &State {
        &self.state
    }

    /// Back to the beginning.
    pub fn rewind(&mut self) {
        self.run = Run::new(self.identity.clone(), self.build);
        self.story = Story::new(&self.identity.id.to_string());
        (self.passed, self.state) = (0, State::default());
    }

    fn look(&self, placed: &Placed, changes: Vec<Change>, told: Vec<String>) -> Look {
        let Placed { revision, index, at, entry } = placed;
        let whole = as_json(entry);
        let kind = kind(&whole);
        let stored = if self.payloads { whole } else { shown(&whole) };
        let fields = || stored.as_object().and_then(|tagged| tagged.values().next()).map(ToString::to_string);
        let says = sentence(entry).or_else(fields).unwrap_or_default();
        let here = self.mismatch.as_ref().filter(|(at, nth, _)| (at, nth) == (revision, index));
        let misfit = here.map(|(.., why)| why.clone());
        let (entry, revision, index, at) = (self.passed, *revision, *index, *at);
        Look { entry, revision, index, at, kind, says, stored, changes, misfit, told }
    }
}

impl Iterator for Walk {
    type Item = Look;

    fn next(&mut self) -> Option<Look> {
        let placed = self.entries.get(self.passed)?;
        self.passed += 1;
        self.run.apply(&placed.entry, placed.revision);
        self.run.last_at = placed.at;
        let next = self.entries.get(self.passed);
        let state = State::of(&self.run, next.is_none_or(|next| next.revision > placed.revision));
        let changes = state.since(&self.state);
        self.state = state;
        let (revision, index) = (placed.revision, placed.index as u32);
        let event = RunEvent { revision, index, at: placed.at, entry: as_json(&placed.entry) };
        let happenings = self.story.apply(&event);
        let told = happenings.into_iter().filter(|_| self.payloads).map(|happening| happening.text);
        Some(self.look(placed, changes, told.collect()))
    }
}

fn placed(chunk: Chunk) -> impl Iterator<Item = Placed> {
    let Chunk { revision, at, entries } = chunk;
    (0..).zip(entries).map(move |(index, entry)| Placed { revision, index, at, entry })
}

impl Look {
    pub fn render(&self, style: Style) -> String {
        let Self { entry, revision, index, at, kind, .. } = self;
        let place = format!("{revision}.{index}");
        let at = style.dim(&at.format("%H:%M:%S%.3f").to_string());
        let says = text::cut(&text::line(&self.says), FIELDS_COLUMNS_MAX);
        let mut lines = vec![format!("{entry:>5}  {place:>7}  {at}  {kind:<17} {says}")];
        lines.extend(self.told.iter().map(|told| format!("      {}", style.dim(&text::line(told)))));
        lines.extend(self.changes.iter().map(|change| change.render(style)));
        lines.extend(self.misfit.iter().map(|why| format!("      {} {why}", style.bad("✗ this build leaves here:"))));
        lines.join("\n")
    }
}
