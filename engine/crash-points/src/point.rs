//! The places, each listed once. Tests walk the list, so that a name nobody passes any more is noticed.

macro_rules! points {
    ($($(#[$about:meta])* $point:ident = $name:literal,)+) => {
        /// A place in the engine or the worker.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum CrashPoint {
            $($(#[$about])* $point,)+
        }

        impl CrashPoint {
            pub const ALL: &[Self] = &[$(Self::$point,)+];

            /// `engine.commit.before`: who passes it, around what, when.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$point => $name,)+
                }
            }
        }
    };
}

points! {
    /// Claims were received; the database was not asked.
    EngineClaimBefore = "engine.claim.before",
    /// A claim is granted and committed; nobody was told.
    EngineClaimAfter = "engine.claim.after",
    /// An effect is about to be marked as begun.
    EngineEffectBefore = "engine.effect.before",
    /// The mark is committed; the worker was not told.
    EngineEffectAfter = "engine.effect.after",
    /// A finish was received; nothing was decided.
    EngineFinishReceived = "engine.finish.received",
    /// A finish was folded into a transition, which is not committed.
    EngineFinishDecided = "engine.finish.decided",
    /// The transition of a finish is committed; the worker was not told.
    EngineFinishCommitted = "engine.finish.committed",
    /// Before the statement of any commit.
    EngineCommitBefore = "engine.commit.before",
    /// After the statement of any commit, before all that follows from it.
    EngineCommitAfter = "engine.commit.after",
    /// Tickets of what is committed are about to be pushed.
    EngineTicketBefore = "engine.ticket.before",
    /// Tickets are in the queue.
    EngineTicketAfter = "engine.ticket.after",
    /// The start of a finalizer is committed; its ticket is not pushed.
    EngineFinalizerStarted = "engine.finalizer.started",
    /// It is decided which instants of schedules start runs; nothing is written.
    EngineFirePlanned = "engine.fire.planned",
    /// Instants are noted with the ids of their runs; none is started.
    EngineFireNoted = "engine.fire.noted",
    /// The run of an instant is started; that it was is not noted.
    EngineFireStarted = "engine.fire.started",
    /// It is noted that the runs of a look were started.
    EngineFireSettled = "engine.fire.settled",
    /// An event is kept with what it starts and whom it wakes; nothing of that was done.
    EngineEventKept = "engine.event.kept",
    /// Waiting runs were told of an event; that they were is not noted.
    EngineEventTold = "engine.event.told",
    /// A bulk operation acted on the runs of a turn; what became of them is not noted.
    EngineBulkActed = "engine.bulk.acted",
    /// A ticket was pulled; its step was not claimed.
    WorkerClaimBefore = "worker.claim.before",
    /// The step is granted; nothing of it was done.
    WorkerClaimAfter = "worker.claim.after",
    /// An effect is about to be announced to the engine.
    WorkerEffectBefore = "worker.effect.before",
    /// The engine committed that the effect begins; it did not happen.
    WorkerEffectBegun = "worker.effect.begun",
    /// Right before the click that sends an application.
    WorkerClickBefore = "worker.click.before",
    /// Right after the click that sends an application; what became of it was not read.
    WorkerClickAfter = "worker.click.after",
    /// The step's work is done; its finish was not sent.
    WorkerFinishBefore = "worker.finish.before",
    /// The finish was accepted; what it hands over was not begun.
    WorkerFinishAfter = "worker.finish.after",
    /// A clean-up was begun; its sandbox is still there.
    WorkerFinalizerBefore = "worker.finalizer.before",
    /// The sandbox is destroyed; the clean-up was not finished.
    WorkerFinalizerAfter = "worker.finalizer.after",
}

impl CrashPoint {
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|point| point.as_str() == name)
    }
}

impl std::fmt::Display for CrashPoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
