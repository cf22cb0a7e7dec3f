//! Delivers what outgoing webhooks are to be told, at least once.
//!
//! What is to be told lies in the database, written by the commit that it speaks of. A look takes some of it for longer than an attempt may
//! last, attempts it, and writes down how that ended: nobody else takes it meanwhile, and what an engine leaves when it dies is taken by any,
//! under the same id. Who is told nothing costs nothing: without webhooks an engine asks for some every 10 s. On the way it notes the tasks
//! whose deadline nears, for notices too.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::Instant;
use url::Url;
use uuid::Uuid;
use valet_outward::{Call, HeaderMap, HeaderValue, Method, Outward, OutwardConfig};

use crate::bounds::{
    OUTGOING_AT_ONCE_MAX, OUTGOING_AT_ONCE_OF_EACH_MAX, OUTGOING_AT_ONCE_OF_FAILING_MAX, OUTGOING_ERROR_CHARS_MAX,
    OUTGOING_LEARN_EVERY, OUTGOING_LOOK_EVERY, OUTGOING_REST,
};
use crate::http::App;
use crate::ports::Clock;
use crate::store::StoreError;
use crate::store::postgres::PgStore;
use crate::store::postgres::outgoing::{DeliveryEnd, DueDelivery, Room};
use crate::webhook::outgoing::{Message, message_id, signatures};

/// The way out, made when it is first needed: it reads the authorities of the machine.
pub type LazyOutward = LazyLock<Outward, Box<dyn FnOnce() -> Outward + Send>>;

/// The same of this configuration.
pub fn lazily(config: OutwardConfig) -> Arc<LazyOutward> {
    let make: Box<dyn FnOnce() -> Outward + Send> = Box::new(move || Outward::new(config));
    Arc::new(LazyLock::new(make))
}

/// The loop of one engine.
pub struct Deliverer {
    store: Arc<PgStore>,
    outward: Arc<LazyOutward>,
    clock: Arc<dyn Clock>,
    /// Something is due, or a webhook is new.
    wake: Arc<Notify>,
    /// So long before its deadline a task is `human_task.due_soon`.
    due_soon: Duration,
    at_work: Mutex<AtWork>,
}

impl Deliverer {
    pub fn new(app: &App, due_soon: Duration) -> Self {
        Self {
            store: Arc::clone(&app.engine.store),
            outward: Arc::clone(&app.outward),
            clock: Arc::clone(&app.engine.clock),
            wake: Arc::clone(&app.deliveries),
            due_soon,
            at_work: Mutex::default(),
        }
    }

    /// Delivers until it is dropped.
    pub async fn run(self) {
        let this = Arc::new(self);
        let mut attempts: JoinSet<()> = JoinSet::new();
        let mut learnt: Option<Instant> = None;
        loop {
            if learnt.is_none_or(|at| at.elapsed() >= OUTGOING_LEARN_EVERY) {
                match this.learn().await {
                    Ok(()) => learnt = Some(Instant::now()),
                    Err(error) => tracing::warn!(%error, "outgoing webhooks cannot be read; they are asked for again"),
                }
            }
            let is_idle = this.store.outgoing().is_empty();
            if !is_idle {
                match this.take().await {
                    Ok(all_due) => {
                        for due in all_due {
                            let this = Arc::clone(&this);
                            attempts.spawn(async move { this.deliver(due).await });
                        }
                    }
                    Err(error) => tracing::warn!(%error, "deliveries cannot be read; they are looked for again"),
                }
            }
            let wait = if is_idle { OUTGOING_LEARN_EVERY } else { OUTGOING_LOOK_EVERY };
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = this.wake.notified() => {}
                // There is room for another.
                Some(_) = attempts.join_next() => tokio::time::sleep(OUTGOING_REST).await,
            }
            while attempts.try_join_next().is_some() {}
        }
    }

    /// Which webhooks there are, and which tasks they are to be told of because their deadline nears.
    async fn learn(&self) -> Result<(), StoreError> {
        self.store.learn_outgoing().await?;
        self.at_work.lock().forget_all_but(&self.store.outgoing().ids());
        self.store.note_due_soon(self.due_soon).await.map(drop)
    }

    /// One look; answers how many deliveries it attempted.
    pub async fn look(&self) -> Result<usize, StoreError> {
        let due = self.take().await?;
        let count = due.len();
        futures::future::join_all(due.into_iter().map(|due| self.deliver(due))).await;
        Ok(count)
    }

    async fn take(&self) -> Result<Vec<DueDelivery>, StoreError> {
        let room = self.at_work.lock().room();
        if room.of_all == 0 {
            return Ok(Vec::new());
        }
        let due = self.store.due_outgoing(&room).await?;
        let mut at_work = self.at_work.lock();
        for due in &due {
            at_work.begin(due.webhook);
        }
        Ok(due)
    }

    async fn deliver(&self, due: DueDelivery) {
        let end = self.attempt(&due).await;
        self.at_work.lock().end(due.webhook, end.error.is_none());
        let result = if end.error.is_none() { "delivered" } else { "failed" };
        metrics::counter!("valet_webhook_deliveries_total", "result" => result).increment(1);
        if let Some(error) = &end.error {
            tracing::warn!(delivery = %due.id, run = %due.run, kind = due.kind, attempt = due.attempt, error, "a webhook was not delivered");
        }
        if let Err(error) = self.store.end_outgoing(due.id, due.attempt, &end).await {
            // It is delivered once more: receivers tell repeats by the id.
            tracing::warn!(%error, delivery = %due.id, "the end of a delivery was not stored");
        }
    }

    async fn attempt(&self, due: &DueDelivery) -> DeliveryEnd {
        let failed = |error: String| {
            let error = error.chars().take(OUTGOING_ERROR_CHARS_MAX).collect::<String>().replace('\0', "");
            DeliveryEnd { status: None, error: Some(error) }
        };
        let call = match self.call(due) {
            Ok(call) => call,
            Err(error) => return failed(error),
        };
        // The address may hold a secret: errors name its host only.
        match self.outward.send(call).await {
            Ok(answer) if answer.status.is_success() => {
                DeliveryEnd { status: Some(answer.status.as_u16()), error: None }
            }
            Ok(answer) => {
                let status = answer.status.as_u16();
                DeliveryEnd { status: Some(status), ..failed(format!("the receiver answered {status}")) }
            }
            Err(error) => failed(error.to_string()),
        }
    }

    fn call(&self, due: &DueDelivery) -> Result<Call, String> {
        let message = Message {
            kind: &due.kind,
            at: due.at,
            tenant: &due.tenant,
            workflow: &due.workflow,
            run: due.run,
            task: due.task,
            said: due.said.as_ref(),
        };
        let (body, id, seconds) = (message.body(), message_id(due.id), self.clock.now().timestamp());
        let header = |text: &str| HeaderValue::from_str(text).map_err(|error| error.to_string());
        let mut headers = HeaderMap::new();
        headers.insert("content-type", HeaderValue::from_static("application/json"));
        headers.insert("user-agent", HeaderValue::from_static("valet"));
        headers.insert("webhook-id", header(&id)?);
        headers.insert("webhook-timestamp", HeaderValue::from(seconds));
        headers.insert("webhook-signature", header(&signatures(&due.secrets, &id, seconds, &body))?);
        let url: Url = due.url.parse().map_err(|_| "its address is no URL".to_owned())?;
        Ok(Call { method: Method::POST, url, headers, body: body.into() })
    }
}

/// What an engine is at, for each webhook that it is at something for or that failed last.
#[derive(Default)]
struct AtWork(HashMap<Uuid, Place>);

#[derive(Clone, Copy, Default)]
struct Place {
    attempts: usize,
    /// The last that ended was no delivery: until one is, it gets one attempt at a time.
    is_failing: bool,
}

impl AtWork {
    fn begin(&mut self, webhook: Uuid) {
        self.0.entry(webhook).or_default().attempts += 1;
    }

    fn end(&mut self, webhook: Uuid, is_delivered: bool) {
        let place = self.0.entry(webhook).or_default();
        *place = Place { attempts: place.attempts.saturating_sub(1), is_failing: !is_delivered };
        if place.attempts == 0 && is_delivered {
            self.0.remove(&webhook);
        }
    }

    fn forget_all_but(&mut self, known: &HashSet<Uuid>) {
        self.0.retain(|webhook, place| place.attempts > 0 || known.contains(webhook));
    }

    fn room(&self) -> Room {
        let at_work: usize = self.0.values().map(|place| place.attempts).sum();
        let of_failing = self.0.values().filter(|place| place.is_failing).map(|place| place.attempts);
        let mut left_to_failing = OUTGOING_AT_ONCE_OF_FAILING_MAX.saturating_sub(of_failing.sum());
        let of_busy = self.0.iter().map(|(webhook, place)| {
            if !place.is_failing {
                return (*webhook, OUTGOING_AT_ONCE_OF_EACH_MAX.saturating_sub(place.attempts));
            }
            let room = usize::from(place.attempts == 0 && left_to_failing > 0);
            left_to_failing -= room;
            (*webhook, room)
        });
        Room { of_busy: of_busy.collect(), of_all: OUTGOING_AT_ONCE_MAX.saturating_sub(at_work) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_webhook_has_some_room_and_one_that_fails_little() {
        let (well, failing) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let mut at_work = AtWork::default();
        assert_eq!(at_work.room(), Room { of_all: OUTGOING_AT_ONCE_MAX, of_busy: Vec::new() });
        for _ in 0..3 {
            at_work.begin(well);
        }
        assert_eq!(at_work.room().of_busy, [(well, OUTGOING_AT_ONCE_OF_EACH_MAX - 3)]);
        for _ in 0..3 {
            at_work.end(well, true);
        }
        at_work.begin(failing);
        at_work.begin(failing);
        at_work.end(failing, false);
        assert_eq!(at_work.room(), Room { of_all: OUTGOING_AT_ONCE_MAX - 1, of_busy: vec![(failing, 0)] });
        at_work.end(failing, false);
        assert_eq!(at_work.room(), Room { of_all: OUTGOING_AT_ONCE_MAX, of_busy: vec![(failing, 1)] });
        at_work.begin(failing);
        at_work.end(failing, true);
        assert_eq!(at_work.room().of_busy, []);
    }

    #[test]
    fn those_that_fail_leave_room_for_the_others() {
        let mut at_work = AtWork::default();
        for webhook in (0..2 * OUTGOING_AT_ONCE_MAX as u128).map(Uuid::from_u128) {
            at_work.begin(webhook);
            at_work.end(webhook, false);
        }
        let room = at_work.room();
        let given: usize = room.of_busy.iter().map(|(_, room)| room).sum();
        assert_eq!((room.of_all, given), (OUTGOING_AT_ONCE_MAX, OUTGOING_AT_ONCE_OF_FAILING_MAX));
        for (webhook, _) in room.of_busy.iter().filter(|(_, room)| *room > 0) {
            at_work.begin(*webhook);
        }
        let room = at_work.room();
        assert_eq!(room.of_all, OUTGOING_AT_ONCE_MAX - OUTGOING_AT_ONCE_OF_FAILING_MAX);
        assert!(room.of_busy.iter().all(|(_, room)| *room == 0));
        at_work.forget_all_but(&HashSet::new());
        assert_eq!(at_work.0.len(), OUTGOING_AT_ONCE_OF_FAILING_MAX, "those at work");
    }
}
