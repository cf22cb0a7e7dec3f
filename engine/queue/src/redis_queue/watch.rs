//! Learning that tickets wait: one subscription and one poll for all pullers of a process.
//!
//! The subscription wakes a queue's pullers within a fraction of a millisecond. Since a publish can be lost, a poll
//! stands behind it: one EXISTS over the queues whose callers wait, every 5 ms while tickets flow and every 500 ms when
//! they do not, and none while no caller waits. Both only make promises to an [`Intake`]; nothing is fetched here.

use std::{
    collections::HashSet,
    convert::Infallible,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use backon::BackoffBuilder;
use futures::StreamExt;
use parking_lot::Mutex;
use redis::{Client, RedisError, aio::PubSub};
use tokio::{
    sync::Notify,
    task::JoinHandle,
    time::{Instant, interval, sleep, timeout},
};

use super::{
    intake::Intake,
    keys::QueueKeys,
    link::{Link, Request},
    restart_delays,
};
use crate::bounds::{CONNECT_LIMIT, HEALTHY_AFTER, PING_EVERY, POLL_ACTIVE, POLL_ACTIVE_FOR, POLL_IDLE, RESTART_MAX};

/// The owner of the two tasks, which end with its last handle.
pub(super) struct Watch {
    board: Arc<Board>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

#[derive(Default)]
struct Board {
    watched: Mutex<Vec<Watched>>,
    /// Rung when a queue is added.
    added: Notify,
    /// Rung when tickets flow again after a pause.
    flowing: Notify,
    worked: AtomicBool,
}

struct Watched {
    channel: String,
    active: String,
    intake: Weak<Intake>,
}

impl Watch {
    pub fn new() -> Self {
        Self { board: Arc::default(), tasks: Mutex::default() }
    }

    /// Adds a puller. The first one starts the two tasks.
    pub fn add(&self, keys: &QueueKeys, intake: &Arc<Intake>, client: &Client, link: &Arc<Link>) {
        {
            let mut watched = self.board.watched.lock();
            watched.retain(|watched| watched.intake.strong_count() > 0);
            watched.push(Watched {
                channel: keys.wake_channel.clone(),
                active: keys.active.clone(),
                intake: Arc::downgrade(intake),
            });
        }
        let mut tasks = self.tasks.lock();
        if tasks.is_empty() {
            tasks.push(tokio::spawn(subscribe_forever(Arc::clone(&self.board), client.clone())));
            tasks.push(tokio::spawn(poll_forever(Arc::clone(&self.board), Arc::clone(link))));
        }
        drop(tasks);
        self.board.added.notify_one();
    }

    /// A fetch brought tickets: more may follow, so the poll is short for a while.
    pub fn worked(&self) {
        if !self.board.worked.swap(true, Ordering::SeqCst) {
            self.board.flowing.notify_one();
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        for task in self.tasks.get_mut() {
            task.abort();
        }
    }
}

impl Board {
    fn each(&self, mut visit: impl FnMut(&Watched, Arc<Intake>)) {
        for watched in self.watched.lock().iter() {
            if let Some(intake) = watched.intake.upgrade() {
                visit(watched, intake);
            }
        }
    }

    fn promise_all(&self, kind: &'static str) {
        self.each(|_, intake| intake.promise());
        count_wakeups(kind, 1);
    }

    fn promise_channel(&self, channel: &str) {
        self.each(|watched, intake| {
            if watched.channel == channel {
                intake.promise();
            }
        });
        count_wakeups("publish", 1);
    }

    fn channels(&self) -> HashSet<String> {
        let mut channels = HashSet::new();
        self.each(|watched, _| {
            channels.insert(watched.channel.clone());
        });
        channels
    }

    /// The queues whose callers wait without a promise, and the command that looks into them.
    fn hopeless(&self) -> (Vec<Arc<Intake>>, redis::Cmd) {
        let mut intakes = Vec::new();
        let mut exists = redis::cmd("EXISTS");
        self.each(|watched, intake| {
            if intake.is_hopeless() {
                exists.arg(&watched.active);
                intakes.push(intake);
            }
        });
        (intakes, exists)
    }
}

fn count_wakeups(kind: &'static str, count: u64) {
    metrics::counter!("valet_ticket_wakeups_total", "kind" => kind).increment(count);
}

/// Keeps a subscription alive.
async fn subscribe_forever(board: Arc<Board>, client: Client) {
    let mut delays = restart_delays().build();
    loop {
        let started = Instant::now();
        let error = subscribe(&board, &client).await;
        tracing::debug!(?error, "the wake-up subscription ended");
        // Publishes may have been missed; and a fetch is the quickest way for a puller to notice a dead connection.
        board.promise_all("reconnect");
        if started.elapsed() > HEALTHY_AFTER {
            delays = restart_delays().build();
        }
        sleep(delays.next().unwrap_or(RESTART_MAX)).await;
    }
}

/// Runs one subscription until it breaks.
async fn subscribe(board: &Board, client: &Client) -> Result<Infallible, RedisError> {
    let connected: PubSub = bounded(client.get_async_pubsub()).await?;
    let (mut sink, mut messages) = connected.split();
    let mut subscribed: HashSet<String> = HashSet::new();
    let mut ping = interval(PING_EVERY);
    loop {
        let wanted = board.channels();
        for channel in wanted.difference(&subscribed) {
            bounded(sink.subscribe(channel)).await?;
        }
        for channel in subscribed.difference(&wanted) {
            bounded(sink.unsubscribe(channel)).await?;
        }
        if wanted != subscribed {
            // What was published before the subscription stood is found by a fetch.
            board.promise_all("reconnect");
            subscribed = wanted;
        }
        loop {
            tokio::select! {
                message = messages.next() => match message {
                    Some(message) => board.promise_channel(message.get_channel_name()),
                    None => return Err(closed()),
                },
                () = board.added.notified() => break,
                _ = ping.tick() => {
                    bounded(sink.ping::<redis::Value>()).await?;
                    break;
                }
            }
        }
    }
}

fn closed() -> RedisError {
    RedisError::from(std::io::Error::from(std::io::ErrorKind::UnexpectedEof))
}

async fn bounded<T>(call: impl Future<Output = Result<T, RedisError>>) -> Result<T, RedisError> {
    let late = || RedisError::from(std::io::Error::from(std::io::ErrorKind::TimedOut));
    timeout(CONNECT_LIMIT, call).await.unwrap_or_else(|_| Err(late()))
}

/// Looks into the queues whose callers wait, at an interval that follows the traffic.
async fn poll_forever(board: Arc<Board>, link: Arc<Link>) {
    let mut cadence = Cadence::new();
    loop {
        if board.worked.swap(false, Ordering::SeqCst) {
            cadence.worked(Instant::now());
        }
        let pause = cadence.next(Instant::now());
        tokio::select! {
            () = sleep(pause) => {}
            () = board.flowing.notified(), if pause > POLL_ACTIVE => continue,
        }
        let (waiting, exists) = board.hopeless();
        if waiting.is_empty() {
            continue;
        }
        let filled = link.call::<u64>(Request::Command(&exists)).await;
        // An error is a promise too: the fetch that follows makes the puller notice it and start again.
        if !matches!(filled, Ok(0)) {
            count_wakeups("poll", waiting.len() as u64);
            for intake in waiting {
                intake.promise();
            }
        }
    }
}

/// The interval of the poll: short for a second after work, then doubling.
struct Cadence {
    active_until: Option<Instant>,
    interval: Duration,
}

impl Cadence {
    fn new() -> Self {
        Self { active_until: None, interval: POLL_IDLE }
    }

    fn worked(&mut self, now: Instant) {
        self.active_until = Some(now + POLL_ACTIVE_FOR);
        self.interval = POLL_ACTIVE;
    }

    fn next(&mut self, now: Instant) -> Duration {
        if self.active_until.is_some_and(|until| now < until) {
            return POLL_ACTIVE;
        }
        self.interval = (self.interval * 2).min(POLL_IDLE);
        self.interval
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_poll_is_short_for_a_second_after_work_and_then_slows_down() {
        let start = Instant::now();
        let mut cadence = Cadence::new();
        assert_eq!(cadence.next(start), POLL_IDLE);
        cadence.worked(start);
        assert_eq!(cadence.next(start), POLL_ACTIVE);
        assert_eq!(cadence.next(start + Duration::from_millis(999)), POLL_ACTIVE);
        let later = start + POLL_ACTIVE_FOR;
        let pauses: Vec<u128> = (0..9).map(|_| cadence.next(later).as_millis()).collect();
        assert_eq!(pauses, [10, 20, 40, 80, 160, 320, 500, 500, 500]);
    }
}
