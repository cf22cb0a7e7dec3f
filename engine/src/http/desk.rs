//! `POST /worker/v1/claim`: ready steps for workers that pull no tickets.
//!
//! Who waits stands in one line. One task of the engine looks for steps that they may have, in the dispatcher's order, and
//! claims them in their name, by the same statement as every claim. It runs only while somebody waits.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use futures::future::join_all;
use parking_lot::Mutex;
use serde::Deserialize;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout_at};
use valet_core::id::{LeaseId, SessionId};
use valet_core::placement::{is_of_session, queues_of_worker};
use valet_core::step::Outcome;
use valet_protocol::worker::{BATCH_ITEMS_MAX, ClaimNext, ClaimedNext, Finish, Grant};

use super::auth::Caller;
use super::query::Parameters;
use super::worker::{Wire, finish_one, grant, own_session, too_many_queues};
use super::{App, Fault, no_content, wait};
use crate::bounds::{EVENT_POLL, WAIT_MAX};
use crate::store::{ClaimVerdict, DueTicket, SessionClaim};

/// Where the worker does not say how long.
const WAIT_DEFAULT: Duration = Duration::from_secs(20);
/// Queues that one worker may wait for at once.
const QUEUES_MAX: usize = 64;
/// Candidates read beyond those that are wanted: others may be faster.
const SPARE_CANDIDATES: usize = 32;
/// Shortest pause between two looks, so that a flood of ready steps of other queues makes none of queries.
const LOOK_PAUSE: Duration = Duration::from_millis(10);

/// The line.
#[derive(Default)]
pub(super) struct Desk(Mutex<Line>);

#[derive(Default)]
struct Line {
    waiting: VecDeque<Waiting>,
    /// Somebody serves the line.
    is_served: bool,
}

struct Waiting {
    session: SessionId,
    /// Whose steps it may have; `None`: everybody's.
    tenant: Option<String>,
    queues: Vec<String>,
    most: usize,
    until: Instant,
    answer: oneshot::Sender<Answer>,
}

impl Waiting {
    fn pulls(&self, queue: &String) -> bool {
        self.queues.contains(queue) || is_of_session(queue, self.session)
    }

    /// How well it suits a step: 0 is best.
    fn rank(&self, candidate: &DueTicket) -> usize {
        let prefers = &candidate.prefers;
        prefers.iter().position(|queue| self.queues.contains(queue)).unwrap_or(prefers.len())
    }
}

enum Answer {
    /// Perhaps none: the time is over.
    Granted(Vec<Grant>),
    SessionEnded,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ClaimQuery {
    wait: Option<String>,
}

pub(super) async fn claim_next(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Parameters(query): Parameters<ClaimQuery>,
    Wire(ask): Wire<ClaimNext>,
) -> Result<Response, Fault> {
    let limit = query.wait.as_deref().map(wait::read).transpose()?.unwrap_or(WAIT_DEFAULT);
    let most = ask.max.unwrap_or(1);
    if !(1..=BATCH_ITEMS_MAX).contains(&most) {
        return Err(Fault::bad_request("invalid_max", format!("1 to {BATCH_ITEMS_MAX} steps at once")).at("max"));
    }
    if let Some(queues) = &ask.queues
        && (!(1..=QUEUES_MAX).contains(&queues.len()) || queues.iter().any(|q| valet_queue::QueueName::new(q).is_err()))
    {
        let detail = format!("1 to {QUEUES_MAX} names of queues");
        return Err(Fault::bad_request("invalid_queue", detail).at("queues"));
    }
    let _place = app.places.take(&caller)?;
    own_session(&app, &caller, ask.session).await?;
    let of_session = app.engine.store.session_queues(ask.session).await?.ok_or_else(session_ended)?;
    let (answer, answered) = oneshot::channel();
    let mut visit = Visit { app: Arc::clone(&app), session: ask.session, answered };
    let (of_session, labels) = of_session;
    let queues = match ask.queues {
        Some(queues) => queues_of_worker(&queues, &labels).map_err(|many| too_many_queues(many).at("queues"))?,
        None => of_session,
    };
    let until = Instant::now() + limit;
    let tenant = caller.serves().map(str::to_owned);
    stand_in_line(&app, Waiting { session: ask.session, tenant, queues, most, until, answer });
    // The line answers when the time is over; long after that, nobody serves it.
    match timeout_at(until + WAIT_MAX, &mut visit.answered).await {
        Ok(Ok(Answer::Granted(granted))) if !granted.is_empty() => Ok(Json(ClaimedNext { granted }).into_response()),
        Ok(Ok(Answer::SessionEnded)) => Err(session_ended()),
        _ => Ok(no_content()),
    }
}

/// A worker that goes away while it waits: what it was granted in the same moment is given back.
struct Visit {
    app: Arc<App>,
    session: SessionId,
    answered: oneshot::Receiver<Answer>,
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.answered.close();
        if let Ok(Answer::Granted(granted)) = self.answered.try_recv() {
            give_back(&self.app, self.session, granted);
        }
    }
}

fn session_ended() -> Fault {
    Fault::conflict("session_ended", "this session has ended: stop its work and open another").at("session")
}

fn stand_in_line(app: &Arc<App>, waiting: Waiting) {
    let mut line = app.desk.0.lock();
    line.waiting.push_back(waiting);
    if !std::mem::replace(&mut line.is_served, true) {
        tokio::spawn(serve(Serving { app: Arc::clone(app), is_over: false }));
    }
    app.engine.routes.step_became_ready();
}

/// However the task ends, the next who comes finds the line served or serves it.
struct Serving {
    app: Arc<App>,
    /// The line was left in good order; somebody else may serve it already.
    is_over: bool,
}

impl Drop for Serving {
    fn drop(&mut self) {
        if !self.is_over {
            self.app.desk.0.lock().is_served = false;
        }
    }
}

async fn serve(mut serving: Serving) {
    let app = Arc::clone(&serving.app);
    loop {
        let round: Vec<Waiting> = {
            let mut line = app.desk.0.lock();
            line.waiting.retain(|waiting| !waiting.answer.is_closed());
            line.waiting.drain(..).collect()
        };
        let left = hand_out(&app, round).await;
        let next = {
            let mut line = app.desk.0.lock();
            for waiting in left.into_iter().rev() {
                line.waiting.push_front(waiting);
            }
            // Both under one lock: whoever joins later starts the next service.
            let Some(next) = line.waiting.iter().map(|waiting| waiting.until).min() else {
                line.is_served = false;
                serving.is_over = true;
                return;
            };
            next
        };
        sleep(LOOK_PAUSE).await;
        let look = (Instant::now() + EVENT_POLL).min(next);
        let _ = timeout_at(look, app.engine.routes.until_step_ready()).await;
    }
}

/// Answers everyone who got something or whose time is over; the others stay, in their order.
async fn hand_out(app: &Arc<App>, round: Vec<Waiting>) -> Vec<Waiting> {
    let began = Instant::now();
    let mut got: Vec<Got> = round.iter().map(|_| Got::default()).collect();
    // Who serves one tenant must not stand behind the steps of others.
    let tenants: BTreeSet<Option<&str>> = round.iter().map(|waiting| waiting.tenant.as_deref()).collect();
    for tenant in tenants {
        match candidates(app, &round, tenant).await {
            Ok(mut candidates) => {
                // Each pass uses candidates up, or leaves somebody out, so that it ends.
                while claim_some(app, &round, tenant, &mut got, &mut candidates).await {}
            }
            Err(error) => tracing::warn!(%error, "workers without tickets wait for the database"),
        }
    }
    let mut left = Vec::new();
    for (waiting, got) in round.into_iter().zip(got) {
        if got.has_ended {
            drop(waiting.answer.send(Answer::SessionEnded));
        } else if got.granted.is_empty() && waiting.until > began {
            left.push(waiting);
        } else {
            tell(app, waiting, got.granted);
        }
    }
    left
}

/// What one of the line got in a round.
#[derive(Default)]
struct Got {
    granted: Vec<Grant>,
    has_ended: bool,
    /// A pause refused it a step: perhaps its own, and the step is another's.
    is_held: bool,
}

async fn candidates(
    app: &App,
    round: &[Waiting],
    tenant: Option<&str>,
) -> Result<VecDeque<DueTicket>, crate::store::StoreError> {
    let of_tenant = || round.iter().filter(|waiting| waiting.tenant.as_deref() == tenant);
    let queues: BTreeSet<&String> = of_tenant().flat_map(|waiting| &waiting.queues).collect();
    if queues.is_empty() {
        return Ok(VecDeque::new());
    }
    let queues: Vec<String> = queues.into_iter().cloned().collect();
    let wanted: usize = of_tenant().map(|waiting| waiting.most).sum();
    let most = wanted.min(BATCH_ITEMS_MAX) + SPARE_CANDIDATES;
    let workers: Vec<SessionId> = of_tenant().map(|waiting| waiting.session).collect();
    Ok(app.engine.store.ready_steps(&queues, most, tenant, &workers).await?.into())
}

/// One group of claims; false once there is nobody to claim for, or nothing to claim.
async fn claim_some(
    app: &App,
    round: &[Waiting],
    tenant: Option<&str>,
    got: &mut [Got],
    candidates: &mut VecDeque<DueTicket>,
) -> bool {
    let mut room: Vec<usize> = round
        .iter()
        .zip(got.iter())
        .map(|(waiting, got)| {
            let may = waiting.tenant.as_deref() == tenant && !got.has_ended && !got.is_held;
            if may { waiting.most - got.granted.len() } else { 0 }
        })
        .collect();
    let mut claims = Vec::new();
    let mut others = VecDeque::new();
    for candidate in candidates.drain(..) {
        // The first in the line, of those whom the step likes best.
        let may = (0..round.len()).filter(|&n| room[n] > 0 && round[n].pulls(&candidate.queue));
        let first = may.min_by_key(|&n| round[n].rank(&candidate));
        let Some(who) = first.filter(|_| claims.len() < BATCH_ITEMS_MAX) else {
            others.push_back(candidate);
            continue;
        };
        room[who] -= 1;
        let lease = LeaseId(app.engine.entropy.uuid());
        let DueTicket { run, seq, attempt, .. } = candidate;
        let claim = SessionClaim { session: round[who].session, run, seq, attempt, lease };
        claims.push((who, candidate, claim));
    }
    *candidates = others;
    let verdicts = join_all(claims.iter().map(|(.., claim)| app.engine.claim(*claim))).await;
    let any = !claims.is_empty();
    for ((who, candidate, _), verdict) in claims.into_iter().zip(verdicts) {
        match verdict {
            Some(ClaimVerdict::Granted { step, progress }) => got[who].granted.push(grant(*step, progress)),
            Some(ClaimVerdict::SessionEnded) => got[who].has_ended = true,
            // Each of the line is held once a round, so that this too ends.
            Some(ClaimVerdict::Gated) => {
                got[who].is_held = true;
                candidates.push_back(candidate);
            }
            // Another was faster. An answer that was lost is a grant that its worker never lists: it is taken back.
            Some(ClaimVerdict::Stale) | None => {}
        }
    }
    any
}

fn tell(app: &Arc<App>, waiting: Waiting, granted: Vec<Grant>) {
    if let Err(Answer::Granted(granted)) = waiting.answer.send(Answer::Granted(granted)) {
        give_back(app, waiting.session, granted);
    }
}

/// At once and at no cost; else the session's heartbeats would have to miss it first.
fn give_back(app: &Arc<App>, session: SessionId, granted: Vec<Grant>) {
    for Grant { run, seq, attempt, lease, .. } in granted {
        let app = Arc::clone(app);
        tokio::spawn(async move {
            let back =
                Finish { run, seq, attempt, lease, outcome: Outcome::HandedBack, hand_over: None, costs: Vec::new() };
            finish_one(&app, session, back).await;
        });
    }
}
