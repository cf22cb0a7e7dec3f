//! The engine, broken on purpose. A simulation that cannot tell these from the sound engine proves nothing.
//!
//! Every variant lives in the model store; production code has no switch.

use std::fmt;
use std::str::FromStr;

/// A guarantee taken away from below the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BrokenVariant {
    /// A commit does not look at the leases that its transition counts on.
    DropFence,
    /// A claim is answered before its commit, and the commit may be lost.
    AckBeforeCommit,
    /// The tick never reports lost attempts.
    SkipSweep,
    /// A commit is answered before it is carried out, and may be lost.
    AnswerBeforeCommit,
    /// A message between runs may be missing from its sender's commit.
    LoseInboxRow,
    /// A commit does not keep every timer.
    LoseTimer,
    /// A start does not look whether its key is taken.
    TakeKeyTwice,
    /// A claim does not look at the gate of a paused run.
    IgnoreGate,
    /// A claim grants what another session holds.
    GrantTwice,
    /// A run that went on in a new journal is read from after its beginning.
    ReadTooLate,
    /// A claim does not look at the worker that a step wants, nor at the labels that it requires.
    IgnoreLabels,
    /// What was declared is not found now and then.
    LoseDefinition,
    /// A fork is not shown what lies behind its cut.
    ForkForgets,
    /// A claim does not look at pauses of more than a run.
    IgnoreScopePause,
    /// A hand-over does not look at them.
    HandOverHeld,
    /// A limit gives out one slot more than it has.
    AdmitOneMore,
    /// A step that needs slots of several limits is given them once one of them has some.
    AdmitByOneLimit,
    /// A backed-off step is ready again without a slot.
    ReadyWithoutSlot,
    /// A slot for life is free once the run's step has ended.
    ForgetLiveSlot,
    /// A limit that sends away those who come also cancels those who have begun.
    DismissBegun,
    /// A limit that lets later runs take the place of earlier ones cancels the later.
    CancelTheNewest,
    /// A debounced run begins before it is quiet.
    SkipQuiet,
}

impl BrokenVariant {
    pub const ALL: [Self; 22] = [
        Self::DropFence,
        Self::AckBeforeCommit,
        Self::SkipSweep,
        Self::AnswerBeforeCommit,
        Self::LoseInboxRow,
        Self::LoseTimer,
        Self::TakeKeyTwice,
        Self::IgnoreGate,
        Self::GrantTwice,
        Self::ReadTooLate,
        Self::IgnoreLabels,
        Self::LoseDefinition,
        Self::ForkForgets,
        Self::IgnoreScopePause,
        Self::HandOverHeld,
        Self::AdmitOneMore,
        Self::AdmitByOneLimit,
        Self::ReadyWithoutSlot,
        Self::ForgetLiveSlot,
        Self::DismissBegun,
        Self::CancelTheNewest,
        Self::SkipQuiet,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::DropFence => "drop_fence",
            Self::AckBeforeCommit => "ack_before_commit",
            Self::SkipSweep => "skip_sweep",
            Self::AnswerBeforeCommit => "answer_before_commit",
            Self::LoseInboxRow => "lose_inbox_row",
            Self::LoseTimer => "lose_timer",
            Self::TakeKeyTwice => "take_key_twice",
            Self::IgnoreGate => "ignore_gate",
            Self::GrantTwice => "grant_twice",
            Self::ReadTooLate => "read_too_late",
            Self::IgnoreLabels => "ignore_labels",
            Self::LoseDefinition => "lose_definition",
            Self::ForkForgets => "fork_forgets",
            Self::IgnoreScopePause => "ignore_scope_pause",
            Self::HandOverHeld => "hand_over_held",
            Self::AdmitOneMore => "admit_one_more",
            Self::AdmitByOneLimit => "admit_by_one_limit",
            Self::ReadyWithoutSlot => "ready_without_slot",
            Self::ForgetLiveSlot => "forget_live_slot",
            Self::DismissBegun => "dismiss_begun",
            Self::CancelTheNewest => "cancel_the_newest",
            Self::SkipQuiet => "skip_quiet",
        }
    }
}

impl fmt::Display for BrokenVariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A word that names no variant.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("no broken variant `{0}`: use one of {names}", names = BrokenVariant::ALL.map(BrokenVariant::name).join(", "))]
pub struct UnknownVariant(String);

impl FromStr for BrokenVariant {
    type Err = UnknownVariant;

    fn from_str(name: &str) -> Result<Self, UnknownVariant> {
        let known = Self::ALL.into_iter().find(|variant| variant.name() == name);
        known.ok_or_else(|| UnknownVariant(name.chars().take(40).collect()))
    }
}
