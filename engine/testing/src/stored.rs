//! A run under test with what a database would hold of it: its journal, and the rows of its steps and timers.

use std::collections::BTreeMap;

use valet_core::command::{Command, GrantedStep, StartRun};
use valet_core::decide::{CodeUse, Decision, Fit, Machine, StoredRun, StoredStep};
use valet_core::id::{Attempt, LeaseId, RunId, Seq};
use valet_core::journal::{Chunk, Entry};
use valet_core::run::Run;
use valet_core::transition::{StepChange, StepState, TimerChange, Transition};
use valet_core::{Registry, Timestamp};

use crate::trouble::Trouble;
use crate::world::Call;

/// A live step's row.
pub(crate) struct StepRow {
    pub attempt: Attempt,
    pub state: StepState,
    pub lease: Option<LeaseId>,
    /// The run is paused.
    pub gated: bool,
}

/// A timer's row.
pub(crate) struct TimerRow {
    pub at: Timestamp,
    /// Due only while no worker serves a host, or the wanted worker is gone: the kit's one worker serves all and stays.
    pub unserved_only: bool,
}

pub(crate) struct Stored {
    machine: Machine,
    id: RunId,
    start: StartRun,
    started_at: Timestamp,
    pub journal: Vec<Chunk>,
    pub steps: BTreeMap<Seq, StepRow>,
    pub timers: BTreeMap<Seq, TimerRow>,
}

impl Stored {
    pub fn new(id: RunId, start: StartRun, now: Timestamp, registry: &Registry) -> Self {
        Self {
            machine: Machine::create(id, &start, now, registry, CodeUse::Recorded),
            id,
            start,
            started_at: now,
            journal: Vec::new(),
            steps: BTreeMap::new(),
            timers: BTreeMap::new(),
        }
    }

    pub fn run(&self) -> &Run {
        self.machine.run()
    }

    pub fn start(&self) -> &StartRun {
        &self.start
    }

    /// The call that a granted step is the first attempt of.
    pub fn call(&self, step: &GrantedStep) -> Call {
        let run = self.run();
        Call {
            run: step.run,
            seq: step.seq,
            name: step.name.clone(),
            policy: step.policy.clone(),
            is_finalizer: run.finalizers.contains_key(&step.seq) || run.early.contains_key(&step.seq),
            may_starve: run.timers.contains_key(&step.seq),
        }
    }

    pub fn has_ended(&self) -> bool {
        self.run().status().is_terminal()
    }

    pub fn decide(&mut self, command: Command, now: Timestamp, registry: &Registry) -> Decision {
        self.machine.decide(vec![command], now, registry)
    }

    /// The process dies: what was in memory is gone.
    pub fn forget(&mut self, registry: &Registry) {
        self.machine = self.rebuilt(registry);
    }

    fn rebuilt(&self, registry: &Registry) -> Machine {
        let Some(last) = self.journal.last() else {
            return Machine::create(self.id, &self.start, self.started_at, registry, CodeUse::Recorded);
        };
        let rows = self.steps.iter().map(|(seq, row)| StoredStep {
            seq: *seq,
            attempt: row.attempt,
            granted: row.lease,
            slots: Vec::new(),
            blocked: false,
        });
        let stored = StoredRun {
            identity: self.run().identity.clone(),
            revision: last.revision,
            build: registry.build(),
            chunks: self.journal.clone(),
            rows: rows.collect(),
        };
        Machine::rebuild(stored, registry, CodeUse::Recorded)
    }

    /// The same journal makes the same code ask for the same, and folds into the same run.
    pub fn check_rebuild(&self, registry: &Registry) -> Result<(), Trouble> {
        let revision = self.run().revision;
        let diverged = |why: String| Trouble::Diverged { revision, why };
        let rebuilt = self.rebuilt(registry);
        match rebuilt.fit(registry) {
            Fit::Fits => {}
            Fit::Misfit(why) => return Err(diverged(why.explain(self.id))),
            other => return Err(diverged(format!("{other:?}"))),
        }
        let (was, is) = (sketch(self.run()), sketch(rebuilt.run()));
        if format!("{was:?}") == format!("{is:?}") { Ok(()) } else { Err(diverged(difference(&was, &is))) }
    }

    pub fn store(&mut self, transition: &Transition) -> Result<(), Trouble> {
        for change in &transition.steps {
            match change {
                StepChange::Insert(row) | StepChange::Update(row) => {
                    let (seq, lease) = (row.seq, row.grant.map(|(lease, _)| lease));
                    let row = StepRow { attempt: row.attempt, state: row.state, lease, gated: row.gated };
                    self.steps.insert(seq, row);
                }
                StepChange::Stop { seq } => {
                    if let Some(row) = self.steps.get_mut(seq) {
                        row.state = StepState::Stopping;
                    }
                }
                StepChange::Delete { seq } => drop(self.steps.remove(seq)),
            }
        }
        if let Some(gated) = transition.gate {
            self.steps.values_mut().for_each(|row| row.gated = gated);
        }
        for change in &transition.timers {
            match change {
                TimerChange::Set { seq, at, unserved } => {
                    self.timers.insert(*seq, TimerRow { at: *at, unserved_only: unserved.is_some() });
                }
                TimerChange::Clear { seq } => drop(self.timers.remove(seq)),
            }
        }
        self.journal.push(read_back(&transition.chunk)?);
        Ok(())
    }
}

/// A chunk as it comes back from where it was written as JSON.
fn read_back(chunk: &Chunk) -> Result<Chunk, Trouble> {
    let entries: Result<Vec<Entry>, _> =
        serde_json::to_string(&chunk.entries).and_then(|text| serde_json::from_str(&text));
    match entries {
        Ok(entries) if entries == chunk.entries => Ok(Chunk { revision: chunk.revision, at: chunk.at, entries }),
        Ok(_) => {
            let why = "an entry is another once it was written and read".to_owned();
            Err(Trouble::Diverged { revision: chunk.revision, why })
        }
        Err(error) => {
            Err(Trouble::Diverged { revision: chunk.revision, why: format!("an entry is not JSON: {error}") })
        }
    }
}

/// All of a run that its journal holds. Grants are the rows' business.
fn sketch(run: &Run) -> Run {
    let mut run = run.clone();
    for step in run.steps.values_mut() {
        step.grant = None;
        step.hand_overs = 0;
    }
    run
}

/// The first line in which two states differ.
fn difference(was: &Run, is: &Run) -> String {
    let (was, is) = (format!("{was:#?}"), format!("{is:#?}"));
    let mut lines = was.lines().zip(is.lines());
    match lines.find(|(was, is)| was != is) {
        Some((was, is)) => format!("`{}` became `{}`", was.trim(), is.trim()),
        None => "its state is longer or shorter than it was".to_owned(),
    }
}
