//! How long the agent waits for what.

use std::time::Duration;

use super::Pace;

/// The agent's bounds. The gate's own are shorter, so that its answer, which says more, arrives first.
#[derive(Clone, Copy, Debug)]
pub struct AgentLimits {
    pub attach: Duration,
    pub command: Duration,
    /// Loading a page. The driver is told to give up after four fifths of it, so that it is free again when the agent gives up; a press that
    /// leads to another page waits no longer than that for it either.
    pub navigation: Duration,
    /// The tree must rest this long for a page to count as settled.
    pub quiet: Duration,
    /// A page that never rests is taken as it is after this.
    pub settle: Duration,
    /// A page that says it is loading, or shows nothing, is taken as it is after this.
    pub loading: Duration,
    /// A page that asks its server which questions follow from an answer shows them this much later. Spent where something was chosen.
    pub revealed: Duration,
    /// A press that sends files takes its time: what became of it is looked for this long while the page works.
    pub moved: Duration,
    /// Without any sign of work, this long is enough to see that going to the next page did nothing.
    pub stuck: Duration,
    /// The same for the press that hands in: it is never repeated, so more patience costs less than doubt.
    pub stuck_submit: Duration,
    /// `None`: as fast as the page takes it.
    pub pace: Option<Pace>,
}

impl Default for AgentLimits {
    fn default() -> Self {
        Self {
            attach: Duration::from_secs(10),
            command: Duration::from_secs(65),
            navigation: Duration::from_secs(95),
            quiet: Duration::from_millis(200),
            settle: Duration::from_secs(5),
            loading: Duration::from_secs(8),
            revealed: Duration::from_millis(700),
            moved: Duration::from_secs(30),
            stuck: Duration::from_secs(6),
            stuck_submit: Duration::from_secs(15),
            pace: None,
        }
    }
}
