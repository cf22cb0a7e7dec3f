//! Learning that tickets wait: one subscription and one poll for all pullers of a process.
//!
//! The subscription wakes a queue's pullers within a fraction of a millisecond. Since a publish can be lost, a poll
//! stands behind it: one EXISTS over the queues whose callers wait, every 5 ms while tickets flow and every 500 ms when
//! they do not, and none while no caller waits. Both only make promises to an [`Intake`]; nothing is fetched here.

use std::{
    collections::HashSet,
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
    link::{Link, Request},
    restart_delays,
};
use crate::bounds::{CONNECT_LIMIT, PING_EVERY, POLL_ACTIVE, POLL_ACTIVE_FOR, POLL_IDLE};

pub(super) struct Watch {
    watched: Mutex<Vec<Watched>>,
    /// Rung when a queue is added.
    added: Notify,
    /// Rung when tickets flow again after a pause.
    flowing: Notify,
    worked: AtomicBool,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

#[derive(Clone)]
struct Watched {
    channel: String,
    active: String,
    intake: Weak<Intake>,
}

impl Watch {
    pub fn new() -> Self {
        Self {
            watched: Mutex::default(),
            added: Notify::new(),
            flowing: Notify::new(),
            worked: AtomicBool::new(false),
            tasks: Mutex::default(),
        }
    }

    /// Adds a puller. The first one starts the two tasks, which end with the last handle of the queue.
    pub fn add(self: &Arc<Self>, channel: &str, active: &str, intake: &Arc<Intake>, client: &Client, link: &Arc<Link>) {
        {
            let mut watched = self.watched.lock();
            watched.retain(|watched| watched.intake.strong_count() > 0);
            watched.push(Watched {
                channel: channel.to_owned(),
                active: active.to_owned(),
                intake: Arc::downgrade(intake),
            });
        }
        let mut tasks = self.tasks.lock();
        if tasks.is_empty() {
            tasks.push(tokio::spawn(subscribe_forever(Arc::downgrade(self), client.clone())));
            tasks.push(tokio::spawn(poll_forever(Arc::downgrade(self), Arc::clone(link))));
        }
        drop(tasks);
        self.added.notify_one();
    }

    /// A fetch brought tickets: more may follow, so the poll is short for a while.
    pub fn worked(&self) {
        if !self.worked.swap(true, Ordering::SeqCst) {
            self.flowing.notify_one();
        }
    }

    fn live(&self) -> Vec<(Watched, Arc<Intake>)> {
        let watched = self.watched.lock();
        watched.iter().filter_map(|one| Some((one.clone(), one.intake.upgrade()?))).collect()
    }

    fn promise_all(&self, kind: &'static str) {
        for (_, intake) in self.live() {
            intake.promise();
        }
        count_wakeups(kind, 1);
    }

    fn promise_channel(&self, channel: &str) {
        for (watched, intake) in self.live() {
            if watched.channel == channel {
                intake.promise();
            }
        }
        count_wakeups("publish", 1);
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        for task in self.tasks.get_mut() {
            task.abort();
        }
    }
}

fn count_wakeups(kind: &'static str, count: u64) {
    metrics::counter!("valet_ticket_wakeups_total", "kind" => kind).increment(count);
}

/// Keeps a subscription alive for as long as there is somebody to wake.
async fn subscribe_forever(watch: Weak<Watch>, client: Client) {
    let mut delays = restart_delays().build();
    loop {
        let started = Instant::now();
        let Err(error) = subscribe(&watch, &client).await else { return };
        let Some(strong) = watch.upgrade() else { return };
        // Publishes may have been missed; and a fetch is the quickest way for a puller to notice a dead connection.
        strong.promise_all("reconnect");
        drop(strong);
        tracing::debug!(%error, "the wake-up subscription ended");
        if started.elapsed() > crate::bounds::HEALTHY_AFTER {
            delays = restart_delays().build();
        }
        sleep(delays.next().unwrap_or(crate::bounds::RESTART_MAX)).await;
    }
}

/// Runs one subscription until it breaks (an error) or nobody is left to wake.
async fn subscribe(watch: &Weak<Watch>, client: &Client) -> Result<(), RedisError> {
    let connected: PubSub = bounded(client.get_async_pubsub()).await?;
    let (mut sink, mut messages) = connected.split();
    let mut subscribed: HashSet<String> = HashSet::new();
    let mut ping = interval(PING_EVERY);
    loop {
        let Some(strong) = watch.upgrade() else { return Ok(()) };
        let wanted: HashSet<String> = strong.live().into_iter().map(|(watched, _)| watched.channel).collect();
        for channel in wanted.difference(&subscribed) {
            bounded(sink.subscribe(channel)).await?;
        }
        for channel in subscribed.difference(&wanted) {
            bounded(sink.unsubscribe(channel)).await?;
        }
        if wanted != subscribed {
            // What was published before the subscription stood is found by a fetch.
            strong.promise_all("reconnect");
            subscribed = wanted;
        }
        loop {
            tokio::select! {
                message = messages.next() => match message {
                    Some(message) => strong.promise_channel(message.get_channel_name()),
                    None => return Err(closed()),
                },
                () = strong.added.notified() => break,
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
async fn poll_forever(watch: Weak<Watch>, link: Arc<Link>) {
    let mut cadence = Cadence::new();
    loop {
        let Some(strong) = watch.upgrade() else { return };
        if strong.worked.swap(false, Ordering::SeqCst) {
            cadence.worked(Instant::now());
        }
        let pause = cadence.next(Instant::now());
        if pause > POLL_ACTIVE {
            tokio::select! {
                () = sleep(pause) => {}
                () = strong.flowing.notified() => continue,
            }
        } else {
            sleep(pause).await;
        }
        let waiting: Vec<_> = strong.live().into_iter().filter(|(_, intake)| intake.is_hopeless()).collect();
        if waiting.is_empty() {
            continue;
        }
        let mut exists = redis::cmd("EXISTS");
        for (watched, _) in &waiting {
            exists.arg(&watched.active);
        }
        let filled = link.call::<u64>(Request::Command(&exists)).await;
        // An error is a promise too: the fetch that follows makes the puller notice it and start again.
        if !matches!(filled, Ok(0)) {
            waiting.iter().for_each(|(_, intake)| intake.promise());
            count_wakeups("poll", waiting.len() as u64);
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
        Self {
            active_until: None,
            interval: POLL_IDLE,
        }
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
