//! A lane carries messages of one kind to one engine, in batches over a few requests in flight.
//!
//! No linger: what queued up while the requests before were on their way is the next batch. A lane never retries and
//! keeps nothing: each message's sender gets the answer, or the error, and decides.

use std::sync::Arc;

use async_trait::async_trait;
use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::{Mutex, mpsc, oneshot};
use valet_core::id::SessionId;
use valet_core::step::{Failure, Outcome};
use valet_protocol::worker::{
    BATCH_BYTES_MAX, BATCH_ITEMS_MAX, Claim, ClaimAnswer, ClaimBatch, Finish, FinishAnswer, FinishBatch,
};

use super::bounds::{CLAIM_BYTES, FINISH_FRAME_BYTES};
use super::session::Session;
use super::transport::{Transport, TransportError};

/// A kind of message that travels in batches.
#[async_trait]
pub(super) trait Message: Send + Sized + 'static {
    type Answer: Send + 'static;

    /// Its size on the wire, rather too much than too little.
    fn bytes(&self) -> usize;

    /// Sends a batch and leaves its messages where they were.
    async fn send(
        transport: &dyn Transport,
        session: SessionId,
        batch: &mut Vec<Self>,
    ) -> Result<Vec<Self::Answer>, TransportError>;
}

#[async_trait]
impl Message for Claim {
    type Answer = ClaimAnswer;

    fn bytes(&self) -> usize {
        CLAIM_BYTES
    }

    async fn send(
        transport: &dyn Transport,
        session: SessionId,
        claims: &mut Vec<Self>,
    ) -> Result<Vec<ClaimAnswer>, TransportError> {
        let batch = ClaimBatch { session, claims: std::mem::take(claims) };
        let sent = transport.claim(&batch).await;
        *claims = batch.claims;
        sent.map(|answers| answers.answers)
    }
}

#[async_trait]
impl Message for Finish {
    type Answer = FinishAnswer;

    fn bytes(&self) -> usize {
        let content = match &self.outcome {
            Outcome::Done { output } => output.len_bytes(),
            Outcome::Retry { error, .. } | Outcome::Fail { error } | Outcome::Blocked { reason: error } => {
                failure_bytes(error)
            }
            Outcome::Cancelled | Outcome::HandedBack | Outcome::Lost => 0,
        };
        FINISH_FRAME_BYTES + content
    }

    async fn send(
        transport: &dyn Transport,
        session: SessionId,
        finishes: &mut Vec<Self>,
    ) -> Result<Vec<FinishAnswer>, TransportError> {
        let batch = FinishBatch { session, finishes: std::mem::take(finishes) };
        let sent = transport.finish(&batch).await;
        *finishes = batch.finishes;
        sent.map(|answers| answers.answers)
    }
}

/// Text may double when its quotes are escaped.
fn failure_bytes(failure: &Failure) -> usize {
    let details = failure.details.as_ref().map_or(0, valet_core::payload::Payload::len_bytes);
    2 * (failure.code.len() + failure.message.len()) + details
}

/// Why a message got no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum NoAnswer {
    Transport(TransportError),
    SessionEnded,
}

struct Call<M: Message> {
    message: M,
    session: Arc<Session>,
    reply: Reply<M::Answer>,
}

/// The sending end, shared by all slots.
pub(super) struct Lane<M: Message> {
    calls: mpsc::Sender<Call<M>>,
}

/// The requests of a lane, to be driven by a task each.
pub(super) type Requests = Vec<BoxFuture<'static, ()>>;

impl<M: Message> Lane<M> {
    /// `waiting` bounds the messages that wait: one for each slot is enough, as a slot has one on its way at most.
    pub fn open(transport: &Arc<dyn Transport>, waiting: usize, requests_in_flight: usize) -> (Self, Requests) {
        let (calls, arriving) = mpsc::channel(waiting);
        let inbox = Arc::new(Mutex::new(Inbox { arriving, left_over: None }));
        let one = |_| send_batches(Arc::clone(transport), Arc::clone(&inbox)).boxed();
        (Self { calls }, (0..requests_in_flight).map(one).collect())
    }

    /// Sends a message of `session` with the next batch.
    pub async fn call(&self, session: &Arc<Session>, message: M) -> Result<M::Answer, NoAnswer> {
        let (reply, answer) = oneshot::channel();
        let call = Call { message, session: Arc::clone(session), reply };
        // The requests end only with the worker.
        if self.calls.send(call).await.is_err() {
            return Err(NoAnswer::SessionEnded);
        }
        answer.await.unwrap_or(Err(NoAnswer::SessionEnded))
    }
}

struct Inbox<M: Message> {
    arriving: mpsc::Receiver<Call<M>>,
    /// Did not fit into the batch before.
    left_over: Option<Call<M>>,
}

impl<M: Message> Inbox<M> {
    /// Waits for a message and takes along what else is there, of one session and within the bounds of a batch.
    async fn next_batch(&mut self) -> Option<Vec<Call<M>>> {
        let first = loop {
            let call = match self.left_over.take() {
                Some(call) => call,
                None => self.arriving.recv().await?,
            };
            if let Some(call) = still_wanted(call) {
                break call;
            }
        };
        let session = first.session.id;
        let mut bytes = first.message.bytes();
        let mut batch = vec![first];
        while batch.len() < BATCH_ITEMS_MAX {
            let Ok(call) = self.arriving.try_recv() else { break };
            let Some(call) = still_wanted(call) else { continue };
            bytes += call.message.bytes();
            if bytes > BATCH_BYTES_MAX || call.session.id != session {
                self.left_over = Some(call);
                break;
            }
            batch.push(call);
        }
        Some(batch)
    }
}

/// A call whose slot was given up, or whose session ended, is not sent.
fn still_wanted<M: Message>(call: Call<M>) -> Option<Call<M>> {
    if call.reply.is_closed() {
        return None;
    }
    if call.session.is_ended() {
        // A slot that gave up meanwhile needs no answer.
        drop(call.reply.send(Err(NoAnswer::SessionEnded)));
        return None;
    }
    Some(call)
}

/// One request after the other, until the lane closes.
async fn send_batches<M: Message>(transport: Arc<dyn Transport>, inbox: Arc<Mutex<Inbox<M>>>) {
    loop {
        // Whoever holds the inbox waits for messages; the others are on their way with theirs.
        let batch = inbox.lock().await.next_batch().await;
        let Some(batch) = batch else { return };
        let session = batch[0].session.id;
        let (mut messages, replies): (Vec<M>, Vec<_>) =
            batch.into_iter().map(|call| (call.message, call.reply)).unzip();
        let sent = M::send(transport.as_ref(), session, &mut messages).await;
        if matches!(sent, Err(TransportError::Rejected { .. })) && messages.len() > 1 {
            // One of them is wrong. Sent alone, only that one is rejected.
            for (message, reply) in messages.into_iter().zip(replies) {
                let sent = M::send(transport.as_ref(), session, &mut vec![message]).await;
                deliver(transport.engine(), sent, vec![reply]);
            }
        } else {
            deliver(transport.engine(), sent, replies);
        }
    }
}

type Reply<A> = oneshot::Sender<Result<A, NoAnswer>>;

fn deliver<A>(engine: &str, sent: Result<Vec<A>, TransportError>, replies: Vec<Reply<A>>) {
    let checked = sent.and_then(|answers| {
        let (answered, asked) = (answers.len(), replies.len());
        if answered == asked {
            return Ok(answers);
        }
        let detail = format!("{answered} answers for {asked} messages");
        Err(TransportError::BadAnswer { engine: engine.to_owned(), detail })
    });
    // A slot that gave up meanwhile needs no answer: its reply cannot be sent, and that is all.
    match checked {
        Ok(answers) => {
            for (reply, answer) in replies.into_iter().zip(answers) {
                drop(reply.send(Ok(answer)));
            }
        }
        Err(error) => {
            for reply in replies {
                drop(reply.send(Err(NoAnswer::Transport(error.clone()))));
            }
        }
    }
}
