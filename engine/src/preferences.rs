//! Which of the queues of its preferred workers a ticket goes to: the first at which a worker has a free place just now, else none
//! of them. A worker that does not take what was meant for it loses it to all others a moment later.
//!
//! Called by the dispatcher, with tickets that prefer somebody; all others never come here.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;
use valet_core::id::{Attempt, RunId, Seq};

use crate::bounds::{PLACED_AT_ONCE_MAX, PLACED_LOOK_MAX, PLACES_ASKED_MAX};
use crate::store::{DueTicket, FreePlaces};

/// Places are counted down as they are given, and asked for anew once they are so old.
const PLACES_LAST: Duration = Duration::from_millis(100);
/// What had no place is believed for less: a step's end and the next step come in one commit.
const FULL_LASTS: Duration = Duration::from_millis(20);
/// How long the worker for which a ticket was meant may leave it.
const PATIENCE: Duration = Duration::from_millis(250);

/// An attempt whose ticket a preferred worker got.
pub(crate) type Placed = (RunId, Seq, Attempt);

#[derive(Default)]
pub(crate) struct Preferences {
    state: Mutex<State>,
    added: Notify,
}

#[derive(Default)]
struct State {
    places: Option<Places>,
    /// By when each must have been taken, the oldest first.
    placed: VecDeque<(Instant, Placed)>,
}

/// Who has free places, of those at some queues.
struct Places {
    read_at: Instant,
    asked: BTreeSet<String>,
    free: Vec<u32>,
    /// Who pulls a queue, as places in `free`.
    at: HashMap<String, Vec<usize>>,
}

impl Places {
    fn new(read_at: Instant, asked: BTreeSet<String>, found: Vec<FreePlaces>) -> Self {
        let mut at: HashMap<String, Vec<usize>> = HashMap::new();
        let mut free = Vec::with_capacity(found.len());
        for worker in found {
            for queue in worker.queues.into_iter().filter(|queue| asked.contains(queue)) {
                at.entry(queue).or_default().push(free.len());
            }
            free.push(worker.free);
        }
        Self { read_at, asked, free, at }
    }

    /// The worker of this queue that has the most.
    fn at(&self, queue: &str) -> Option<usize> {
        let who = self.at.get(queue)?.iter().copied().max_by_key(|&n| (self.free[n], std::cmp::Reverse(n)))?;
        (self.free[who] > 0).then_some(who)
    }

    /// Takes a place of the best worker that has one.
    fn take(&mut self, prefers: &[String]) -> Option<String> {
        let (queue, who) = prefers.iter().find_map(|queue| Some((queue, self.at(queue)?)))?;
        self.free[who] -= 1;
        Some(queue.clone())
    }
}

impl Preferences {
    /// The queues that must be asked about before these tickets are placed; `None`: what is known will do.
    pub fn unknown(&self, tickets: &[DueTicket]) -> Option<BTreeSet<String>> {
        let wanted: BTreeSet<&String> = tickets.iter().flat_map(|ticket| &ticket.prefers).collect();
        let state = self.state.lock();
        let known = state.places.as_ref();
        let does = known.is_some_and(|known| {
            let best = tickets.iter().filter_map(|ticket| ticket.prefers.first());
            let lasts = if best.map(|queue| known.at(queue)).all(|at| at.is_some()) { PLACES_LAST } else { FULL_LASTS };
            known.read_at.elapsed() < lasts && wanted.iter().all(|queue| known.asked.contains(*queue))
        });
        if does {
            return None;
        }
        let mut ask: BTreeSet<String> = wanted.into_iter().cloned().collect();
        // Those of other workflows too, so that they need not ask again each time.
        let others = known.into_iter().flat_map(|known| &known.asked);
        let room = PLACES_ASKED_MAX.saturating_sub(ask.len());
        let others: Vec<String> = others.filter(|queue| !ask.contains(*queue)).take(room).cloned().collect();
        ask.extend(others);
        Some(ask)
    }

    pub fn learn(&self, asked: BTreeSet<String>, found: Vec<FreePlaces>) {
        self.state.lock().places = Some(Places::new(Instant::now(), asked, found));
    }

    /// Sends each ticket to the best of its workers that has a place.
    pub fn place(&self, tickets: &mut [DueTicket]) {
        let until = Instant::now() + PATIENCE;
        let mut state = self.state.lock();
        let state = &mut *state;
        let mut placed = 0;
        for ticket in tickets.iter_mut().filter(|ticket| !ticket.prefers.is_empty()) {
            // Nobody would look whether more were taken.
            let room = state.placed.len() < PLACED_AT_ONCE_MAX;
            let best = state.places.as_mut().filter(|_| room).and_then(|places| places.take(&ticket.prefers));
            if let Some(queue) = best {
                state.placed.push_back((until, (ticket.run, ticket.seq, ticket.attempt)));
                ticket.queue = queue;
                placed += 1;
            }
        }
        if placed > 0 {
            metrics::counter!("valet_tickets_preferred_total").increment(placed);
            self.added.notify_one();
        }
    }

    /// Until somebody must look whether a ticket was taken.
    pub async fn due(&self) {
        loop {
            let next = self.state.lock().placed.front().map(|(until, _)| *until);
            match next {
                Some(until) => return tokio::time::sleep_until(until).await,
                None => self.added.notified().await,
            }
        }
    }

    /// Those whose worker has had its time.
    pub fn overdue(&self) -> Vec<Placed> {
        let now = Instant::now();
        let placed = &mut self.state.lock().placed;
        let many = placed.iter().take(PLACED_LOOK_MAX).take_while(|(until, _)| *until <= now).count();
        placed.drain(..many).map(|(_, placed)| placed).collect()
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn ticket(prefers: &[&str]) -> DueTicket {
        let prefers = prefers.iter().map(ToString::to_string).collect();
        DueTicket { queue: "q".to_owned(), prefers, run: RunId(Uuid::nil()), seq: Seq(1), attempt: Attempt(1) }
    }

    fn worker(queues: &[&str], free: u32) -> FreePlaces {
        FreePlaces { queues: queues.iter().map(ToString::to_string).collect(), free }
    }

    fn placed(preferences: &Preferences, tickets: &[&[&str]]) -> Vec<String> {
        let mut tickets: Vec<DueTicket> = tickets.iter().map(|prefers| ticket(prefers)).collect();
        preferences.place(&mut tickets);
        tickets.into_iter().map(|ticket| ticket.queue).collect()
    }

    fn knows(found: Vec<FreePlaces>) -> Preferences {
        let preferences = Preferences::default();
        preferences.learn(["q.ab", "q.a", "q.b"].map(str::to_owned).into(), found);
        preferences
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_fills_the_best_places_then_the_next_best_then_goes_anywhere() {
        let known = knows(vec![worker(&["q", "q.a", "q.b", "q.ab"], 1), worker(&["q", "q.b"], 2), worker(&["q"], 9)]);
        let all: &[&str] = &["q.ab", "q.a", "q.b"];
        assert_eq!(placed(&known, &[all; 5]), ["q.ab", "q.b", "q.b", "q", "q"]);
        assert_eq!(placed(&known, &[&[]]), ["q"], "who prefers nobody is left alone");
    }

    #[tokio::test(start_paused = true)]
    async fn places_are_asked_for_again_when_they_are_old_and_sooner_when_there_are_none() {
        let known = knows(vec![worker(&["q.a"], 1)]);
        let one = [ticket(&["q.a"])];
        assert_eq!(known.unknown(&one), None);
        assert!(
            known.unknown(&[ticket(&["q.z"])]).expect("nobody asked about it").contains("q.a"),
            "of both from then on"
        );
        assert_eq!(placed(&known, &[&["q.a"]]), ["q.a"]);
        assert_eq!(known.unknown(&one), None, "a burst asks once");
        tokio::time::advance(FULL_LASTS).await;
        assert!(known.unknown(&one).is_some());
        known.learn(BTreeSet::from(["q.a".to_owned()]), vec![worker(&["q.a"], 1)]);
        tokio::time::advance(FULL_LASTS).await;
        assert_eq!(known.unknown(&one), None);
        tokio::time::advance(PLACES_LAST).await;
        assert!(known.unknown(&one).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_placed_is_due_a_moment_later_and_once() {
        let known = knows(vec![worker(&["q.a"], 2)]);
        placed(&known, &[&["q.a"], &["q.a"], &["q.a"]]);
        assert_eq!(known.overdue(), []);
        known.due().await;
        assert_eq!(known.overdue().len(), 2, "the third went to any worker at once");
        assert_eq!(known.overdue(), []);
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_for_something_to_be_due_hears_of_the_first() {
        let known = std::sync::Arc::new(knows(vec![worker(&["q.a"], 1)]));
        let waiting = tokio::spawn({
            let known = std::sync::Arc::clone(&known);
            async move { known.due().await }
        });
        tokio::task::yield_now().await;
        let began = Instant::now();
        placed(&known, &[&["q.a"]]);
        waiting.await.expect("it ends");
        assert_eq!(began.elapsed(), PATIENCE);
    }
}
