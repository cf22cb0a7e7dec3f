//! The worker's pulse: opens sessions, renews them by heartbeats, and passes on what the engines say.
//!
//! It runs in a task of its own and awaits nothing but the engines and its timer, so that no handler can hold it up.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use valet_protocol::worker::{Heartbeat, HeartbeatAnswer, Held, OpenSession, Standing as Told, VERSION};

use super::bounds::{BACKOFF_MAX, HEARTBEAT_MIN};
use super::core::Core;
use super::meter;
use super::session::{Session, Standing};
use super::transport::TransportError;

/// Keeps the worker in a session until an engine turns it away for good.
pub(super) async fn run(core: Arc<Core>) {
    loop {
        let session = match open(&core).await {
            Ok(session) => session,
            Err(error) => return core.give_up(error),
        };
        core.session.send_replace(Some(Arc::clone(&session)));
        if let Err(error) = keep(&core, &session).await {
            return core.give_up(error);
        }
        tracing::warn!(session = %session.id, "the session ended, all its work stops");
        session.end();
        core.holds.session_ended(session.id);
    }
}

async fn open(core: &Core) -> Result<Arc<Session>, TransportError> {
    let config = &core.config;
    let request = OpenSession {
        protocol: VERSION,
        name: config.name.clone(),
        // The engine adds those that the labels make of them.
        queues: config.queues.iter().map(|queue| queue.as_str().to_owned()).collect(),
        slots: config.slots,
        labels: config.labels.clone(),
    };
    let mut route = core.engines.route(core.session_key);
    let mut complained = false;
    loop {
        let asked = Instant::now();
        match route.transport().open_session(&request).await {
            Ok(opened) => {
                tracing::info!(session = %opened.session, engine = route.transport().engine(), "session opened");
                return Ok(Arc::new(Session::opened(&opened, asked)));
            }
            Err(error) if error.is_retryable() => {
                // Once is enough for people; engines may be away for long.
                if std::mem::replace(&mut complained, true) {
                    tracing::debug!(%error, "no session yet");
                } else {
                    tracing::warn!(%error, "no session yet, trying again");
                }
                tokio::time::sleep(route.failed()).await;
            }
            Err(error) => return Err(error),
        }
    }
}

/// Renews the session until an engine says that it ended.
async fn keep(core: &Core, session: &Session) -> Result<(), TransportError> {
    let mut route = core.engines.route(core.session_key);
    let mut was = Standing::Running;
    let mut wait = session.heartbeat;
    loop {
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = core.beat_now.notified() => tokio::time::sleep(HEARTBEAT_MIN.min(wait)).await,
        }
        let sent = Instant::now();
        let mut list = core.holds.list(session.id);
        let beat = heartbeat(core, session, std::mem::take(&mut list.held));
        match route.transport().heartbeat(&beat).await {
            Ok(answer) => {
                route.answered();
                route = core.engines.route(core.session_key);
                list.answered();
                if heard(core, session, sent, &answer) == Told::Ended {
                    return Ok(());
                }
                wait = session.heartbeat.saturating_sub(sent.elapsed()).max(HEARTBEAT_MIN);
            }
            Err(error) if error.is_retryable() => {
                meter::heartbeat("failed");
                tracing::debug!(%error, "heartbeat failed");
                wait = route.failed().max(HEARTBEAT_MIN).min(BACKOFF_MAX).min(session.heartbeat.max(HEARTBEAT_MIN));
            }
            Err(error) if error.is_fatal() => return Err(error),
            Err(error) => {
                // An engine that rejects heartbeats renews nothing; the worker suspends and goes on asking.
                meter::heartbeat("rejected");
                tracing::error!(%error, "heartbeat rejected");
                wait = session.heartbeat.max(HEARTBEAT_MIN);
            }
        }
        was = note_change(session, was);
    }
}

fn heartbeat(core: &Core, session: &Session, held: Vec<Held>) -> Heartbeat {
    let draining = core.is_draining();
    let free = if draining || core.is_paused() { 0 } else { core.slots.available_permits() };
    meter::slots(free, core.config.slots);
    Heartbeat { session: session.id, free_slots: free as u32, held, draining }
}

/// Carries out an answer. What must stop is stopped before the session is renewed.
fn heard(core: &Core, session: &Session, sent: Instant, answer: &HeartbeatAnswer) -> Told {
    core.holds.stop(&answer.stop);
    match answer.standing {
        Told::Yours => {
            meter::heartbeat("yours");
            note_pause(core, answer.paused);
            session.renew(sent, Duration::from_millis(answer.lease_ms));
        }
        Told::Ended => meter::heartbeat("ended"),
    }
    answer.standing
}

fn note_pause(core: &Core, paused: bool) {
    let changed = core.paused.send_if_modified(|was| std::mem::replace(was, paused) != paused);
    if changed {
        let what = if paused { "paused: no new steps are taken" } else { "resumed" };
        tracing::info!(worker = core.config.name, "{what}");
    }
}

fn note_change(session: &Session, was: Standing) -> Standing {
    let is = session.standing();
    match (was, is) {
        (Standing::Running, Standing::Suspended) => {
            tracing::warn!(session = %session.id, "no engine answers: suspended, no further outside action");
        }
        (Standing::Suspended, Standing::Running) => {
            tracing::info!(session = %session.id, "the session is still ours, going on");
        }
        _ => {}
    }
    is
}
