//! A seed's history as statements: what the model store was asked, when, and what it answered. The conformance test
//! (`tests/it/conformance.rs`) asks the real store the same and wants the same answers.

mod answer;
mod lines;
mod rows;

use std::collections::HashSet;
use std::time::Duration;

use valet_core::Timestamp;
use valet_core::id::{Attempt, RunId, Seq, SessionId};
use valet_core::limits::{LimitKey, LimitText};
use valet_core::payload::Payload;
use valet_engine::pauses::Paused;
use valet_engine::store::postgres::limits::LimitFigures;
use valet_engine::store::{Beat, CommitBatch, DeclaredName, NewSession, SessionClaim};

pub use answer::Answer;
pub use lines::{Lines, REFUSED};
pub use rows::{
    InboxRow, KeyRow, LifeRow, LimitKeyRow, RunRow, SessionRow, ShardRow, SlotRow, StepRow, TaskRow, TimerRow,
};

use crate::model::Tables;
use crate::seed::SeedRun;

/// Statements between two looks at all tables. What a statement did wrong and no answer shows is found within so many.
const LOOK_EVERY: usize = 30;

/// A seed, and all that its engines and people asked of the store.
#[derive(Debug)]
pub struct Recording {
    pub run: SeedRun,
    /// In the order in which the database carried them out.
    pub statements: Vec<Recorded>,
}

/// One statement.
#[derive(Debug)]
pub struct Recorded {
    /// By the database's clock.
    pub at: Timestamp,
    pub call: Call,
    pub answer: Answer,
}

/// A call of the store's ports, or of what people ask the store for.
#[derive(Clone, Debug)]
pub enum Call {
    Commit(CommitBatch),
    /// Rows, steps and journals at one instant: an engine's load reads them at three.
    Load(Vec<RunId>),
    Identity(RunId),
    FindIdempotent {
        tenant: String,
        workflow: String,
        key: String,
    },
    Definitions(Vec<DeclaredName>),
    LoadInbox(Vec<RunId>),
    DiscardInbox {
        to: RunId,
        from: RunId,
        number: i64,
    },
    OpenSession(NewSession),
    CloseSession(SessionId),
    Claim(Vec<SessionClaim>),
    Heartbeat(Beat),
    BeginEffect(SessionClaim),
    ExtendSessions(Duration),
    Tick {
        engine: SessionId,
        lease: Duration,
        build: i64,
    },
    Paused,
    BackloggedQueues,
    TopUp {
        queue: String,
        most: u32,
    },
    LostTickets {
        queues: Vec<String>,
        older_than: Duration,
    },
    FreePlaces(Vec<String>),
    LeftTickets(Vec<(RunId, Seq, Attempt)>),
    /// With the instant by the engine's clock.
    Tidy(Timestamp),
    AddPause(Paused),
    RemovePause(Paused),
    TicketAgain(Paused),
    Declare(DeclaredName, Payload),
    PutLimit(LimitText, LimitFigures),
    RemoveLimit {
        tenant: String,
        name: String,
    },
    Limits,
    Admit {
        keys: Vec<LimitKey>,
        backlogged: HashSet<String>,
    },
    WaitingKeys,
    KeysOfLife(Vec<RunId>),
    ExpiredWaits,
    /// All tables' rows.
    Look,
}

/// A call and its answer, as they are written down.
pub(crate) type Told = (Call, Answer);

/// Writes statements down.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    statements: Vec<Recorded>,
}

impl Recorder {
    /// `tables`: as the statement left them.
    pub fn write(&mut self, tables: &Tables, at: Timestamp, (call, answer): Told) {
        let changed: Vec<RunId> = match &call {
            Call::Commit(batch) => batch.transitions.iter().map(|transition| transition.run()).collect(),
            _ => Vec::new(),
        };
        self.statements.push(Recorded { at, call, answer });
        if !changed.is_empty() {
            let answer = Answer::freely(&tables.load(&changed));
            self.statements.push(Recorded { at, call: Call::Load(changed), answer });
        }
        if self.statements.len().is_multiple_of(LOOK_EVERY) {
            self.look(tables, at);
        }
    }

    pub fn look(&mut self, tables: &Tables, at: Timestamp) {
        self.statements.push(Recorded { at, call: Call::Look, answer: Answer::freely(&tables.look()) });
    }

    pub fn into_statements(self) -> Vec<Recorded> {
        self.statements
    }
}
