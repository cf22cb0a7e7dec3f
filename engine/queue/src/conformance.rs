//! What every adapter of the ticket queue must do, as one suite.
//!
//! An adapter's tests call [`conformance_tests!`](crate::conformance_tests) with a function that makes a fresh
//! [`Subject`]. Each property waits on conditions, with a deadline that only a broken adapter reaches.

use std::{
    collections::HashSet,
    future::Future,
    num::NonZeroUsize,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use uuid::Uuid;

use crate::{Delivered, QueueName, Ticket, TicketPull, TicketPush, TicketSource};

/// Reached by a broken adapter only.
const DEADLINE: Duration = Duration::from_secs(20);

/// An adapter under test, with what the port does not offer.
#[async_trait]
pub trait Subject: Send + Sync {
    fn push(&self) -> &dyn TicketPush;
    fn source(&self) -> &dyn TicketSource;
    /// Loses everything at once.
    async fn flush(&self);
    /// How many entries are kept anywhere on behalf of tickets of this queue, waiting or handed out.
    async fn traces(&self, queue: &QueueName) -> usize;
    /// A puller of a process of its own, and the sudden end of that process.
    fn doomed(&self, queue: &QueueName) -> (Box<dyn TicketPull>, Box<dyn FnOnce() + Send>);
}

/// Makes one test per property. The argument is a function that answers a future of a
/// [`Subject`].
#[macro_export]
#[doc(hidden)]
macro_rules! conformance_tests {
    ($make:path) => {
        $crate::conformance_tests!(@each $make,
            every_pushed_ticket_is_delivered,
            an_acked_ticket_leaves_no_trace,
            a_dropped_ticket_leaves_no_trace_and_blocks_nobody,
            a_dead_consumer_blocks_nobody,
            a_ticket_may_be_pushed_again_before_and_after_its_ack,
            the_depth_counts_what_waits,
            the_epoch_changes_when_everything_is_lost_and_only_then,
            tickets_flow_again_after_everything_was_lost,
            a_puller_takes_no_more_than_it_was_asked_for,
            a_dropped_call_loses_no_ticket,
            a_waiting_puller_is_woken,
            stopping_gives_back_what_was_not_handed_out,
            two_pullers_share_a_queue,
            queues_do_not_mix,
        );
    };
    (@each $make:path, $($property:ident,)+) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $property() {
                let subject = $make().await;
                $crate::conformance::$property(&subject).await;
            }
        )+
    };
}

pub fn queue(name: &str) -> QueueName {
    QueueName::new(name).expect("a valid name")
}

/// Different tickets, the same at every call.
pub fn tickets(count: u32) -> Vec<Ticket> {
    let ticket = |n: u32| Ticket { run: Uuid::from_u128(u128::from(n) << 64 | 0x5eed), seq: n, attempt: 1 };
    (0..count).map(ticket).collect()
}

pub fn up_to(count: usize) -> NonZeroUsize {
    NonZeroUsize::new(count).expect("more than none")
}

/// The result of a step that must come.
pub async fn soon<T>(what: &str, step: impl Future<Output = T>) -> T {
    let Ok(result) = tokio::time::timeout(DEADLINE, step).await else {
        panic!("{what}: not within {DEADLINE:?}");
    };
    result
}

/// Waits until `check` holds.
pub async fn eventually<F: Future<Output = bool>>(what: &str, mut check: impl FnMut() -> F) {
    soon(what, async {
        while !check().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

/// Pulls and acks until every one of `wanted` was seen; answers how many were delivered.
pub async fn collect(puller: &mut dyn TicketPull, wanted: &[Ticket]) -> usize {
    let mut missing: HashSet<Ticket> = wanted.iter().copied().collect();
    let mut delivered = 0;
    while !missing.is_empty() {
        let what = format!("{} of {} tickets", missing.len(), wanted.len());
        let batch = soon(&what, puller.next_batch(up_to(64))).await.expect("not stopped");
        delivered += batch.len();
        for Delivered { ticket, ack } in batch {
            missing.remove(&ticket);
            ack.ack();
        }
    }
    delivered
}

async fn push_one(subject: &dyn Subject, name: &QueueName, tickets: &[Ticket]) -> u64 {
    let batch = [(name.clone(), tickets.to_vec())];
    let depths = subject.push().push(&batch).await.expect("pushed");
    assert_eq!(depths.len(), 1);
    assert_eq!(&depths[0].queue, name);
    depths[0].waiting
}

async fn depth(subject: &dyn Subject, name: &QueueName) -> u64 {
    let depths = subject.push().depths(std::slice::from_ref(name)).await.expect("a depth");
    depths[0].waiting
}

async fn no_trace_is_left(subject: &dyn Subject, name: &QueueName) {
    eventually("no trace is left", || async { subject.traces(name).await == 0 }).await;
}

pub async fn every_pushed_ticket_is_delivered(subject: &dyn Subject) {
    let (name, all) = (queue("steps"), tickets(2_500));
    push_one(subject, &name, &all[..1_200]).await;
    let mut puller = subject.source().open(&name);
    collect(puller.as_mut(), &all[..1_200]).await;
    for few in all[1_200..].chunks(100) {
        push_one(subject, &name, few).await;
    }
    collect(puller.as_mut(), &all[1_200..]).await;
}

pub async fn an_acked_ticket_leaves_no_trace(subject: &dyn Subject) {
    let (name, all) = (queue("steps"), tickets(300));
    push_one(subject, &name, &all).await;
    assert!(subject.traces(&name).await >= 300, "the trace counter sees nothing");
    let mut puller = subject.source().open(&name);
    collect(puller.as_mut(), &all).await;
    no_trace_is_left(subject, &name).await;
}

pub async fn a_dropped_ticket_leaves_no_trace_and_blocks_nobody(subject: &dyn Subject) {
    let (name, all) = (queue("steps"), tickets(20));
    push_one(subject, &name, &all).await;
    let mut puller = subject.source().open(&name);
    let mut seen = 0;
    while seen < 10 {
        seen += soon("a ticket", puller.next_batch(up_to(10 - seen))).await.expect("not stopped").len();
    }
    let mut rest = 0;
    while rest < 10 {
        for delivered in soon("the rest", puller.next_batch(up_to(10))).await.expect("not stopped") {
            delivered.ack.ack();
            rest += 1;
        }
    }
    no_trace_is_left(subject, &name).await;
}

pub async fn a_dead_consumer_blocks_nobody(subject: &dyn Subject) {
    let (name, all) = (queue("steps"), tickets(40));
    push_one(subject, &name, &all[..20]).await;
    let (mut victim, kill) = subject.doomed(&name);
    let held = soon("tickets for the victim", victim.next_batch(up_to(10))).await.expect("not stopped");
    assert!(!held.is_empty());
    let taken: HashSet<Ticket> = held.iter().map(|delivered| delivered.ticket).collect();
    kill();
    let mut survivor = subject.source().open(&name);
    let others: Vec<Ticket> = all[..20].iter().copied().filter(|ticket| !taken.contains(ticket)).collect();
    collect(survivor.as_mut(), &others).await;
    push_one(subject, &name, &all[20..]).await;
    collect(survivor.as_mut(), &all[20..]).await;
    // The dead process settles nothing any more; its memory is only released here.
    drop((held, victim));
}

pub async fn a_ticket_may_be_pushed_again_before_and_after_its_ack(subject: &dyn Subject) {
    let (name, one) = (queue("steps"), tickets(1));
    let mut puller = subject.source().open(&name);
    for _ in 0..3 {
        push_one(subject, &name, &one).await;
        let first = soon("the first", puller.next()).await.expect("not stopped");
        push_one(subject, &name, &one).await;
        let second = soon("the second", puller.next()).await.expect("not stopped");
        assert_eq!((first.ticket, second.ticket), (one[0], one[0]));
        first.ack.ack();
        second.ack.ack();
    }
    no_trace_is_left(subject, &name).await;
}

pub async fn the_depth_counts_what_waits(subject: &dyn Subject) {
    let (name, other, all) = (queue("steps"), queue("other"), tickets(30));
    assert_eq!(push_one(subject, &name, &all[..10]).await, 10);
    let both = [(other.clone(), Vec::new()), (name.clone(), all[10..].to_vec())];
    let depths = subject.push().push(&both).await.expect("pushed");
    assert_eq!((depths[0].waiting, depths[1].waiting), (0, 30));
    let mut puller = subject.source().open(&name);
    let held = soon("five", puller.next_batch(up_to(5))).await.expect("not stopped");
    let asked = [name.clone(), other.clone()];
    let depths = subject.push().depths(&asked).await.expect("depths");
    assert_eq!(depths[0].queue, name);
    assert_eq!(depths[0].waiting, 30 - held.len() as u64);
    assert_eq!(depths[1].waiting, 0);
    assert_eq!(subject.push().depths(&[]).await.expect("depths"), []);
    assert_eq!(subject.push().push(&[]).await.expect("pushed"), []);
}

pub async fn the_epoch_changes_when_everything_is_lost_and_only_then(subject: &dyn Subject) {
    let before = subject.push().epoch().await.expect("an epoch");
    push_one(subject, &queue("steps"), &tickets(3)).await;
    assert_eq!(subject.push().epoch().await.expect("an epoch"), before);
    subject.flush().await;
    let after = subject.push().epoch().await.expect("an epoch");
    assert_ne!(after, before);
    assert_eq!(subject.push().epoch().await.expect("an epoch"), after);
}

pub async fn tickets_flow_again_after_everything_was_lost(subject: &dyn Subject) {
    let (name, all) = (queue("steps"), tickets(30));
    let mut puller = subject.source().open(&name);
    for part in all.chunks(10) {
        push_one(subject, &name, part).await;
        collect(puller.as_mut(), part).await;
        subject.flush().await;
    }
}

pub async fn a_puller_takes_no_more_than_it_was_asked_for(subject: &dyn Subject) {
    let (name, all) = (queue("steps"), tickets(100));
    push_one(subject, &name, &all).await;
    let mut slow = subject.source().open(&name);
    let held = soon("a few", slow.next_batch(up_to(3))).await.expect("not stopped");
    assert!((1..=3).contains(&held.len()));
    // The other one gets all the rest, so the slow one hoards nothing out of sight.
    let taken: HashSet<Ticket> = held.iter().map(|delivered| delivered.ticket).collect();
    let rest: Vec<Ticket> = all.into_iter().filter(|ticket| !taken.contains(ticket)).collect();
    let mut quick = subject.source().open(&name);
    collect(quick.as_mut(), &rest).await;
    for delivered in held {
        delivered.ack.ack();
    }
    no_trace_is_left(subject, &name).await;
}

pub async fn a_dropped_call_loses_no_ticket(subject: &dyn Subject) {
    let (name, all) = (queue("steps"), tickets(300));
    let mut puller = subject.source().open(&name);
    let mut missing: HashSet<Ticket> = all.iter().copied().collect();
    let mut fresh = all.chunks(10);
    let started = Instant::now();
    while !missing.is_empty() {
        assert!(started.elapsed() < DEADLINE, "{} tickets are lost", missing.len());
        if let Some(few) = fresh.next() {
            push_one(subject, &name, few).await;
        }
        // Calls are cut off at every stage of a fetch.
        let patience = Duration::from_micros(50 * u64::from(missing.len() as u32 % 30));
        if let Ok(batch) = tokio::time::timeout(patience, puller.next_batch(up_to(4))).await {
            for Delivered { ticket, ack } in batch.expect("not stopped") {
                missing.remove(&ticket);
                ack.ack();
            }
        }
    }
    no_trace_is_left(subject, &name).await;
}

pub async fn a_waiting_puller_is_woken(subject: &dyn Subject) {
    let (name, all) = (queue("steps"), tickets(20));
    let mut puller = subject.source().open(&name);
    let mut waits = Vec::new();
    for ticket in &all {
        let (woken, pushed) = tokio::join!(puller.next(), async {
            // The puller is polled first, so it waits when this is pushed.
            push_one(subject, &name, &[*ticket]).await;
            Instant::now()
        });
        waits.push(pushed.elapsed());
        let delivered = woken.expect("not stopped");
        assert_eq!(delivered.ticket, *ticket);
        delivered.ack.ack();
    }
    waits.sort();
    // Far below what polling would take, far above what a busy machine needs.
    assert!(waits[waits.len() / 2] < Duration::from_millis(100), "{waits:?}");
}

pub async fn stopping_gives_back_what_was_not_handed_out(subject: &dyn Subject) {
    let (name, all) = (queue("steps"), tickets(40));
    let mut puller = subject.source().open(&name);
    push_one(subject, &name, &all[..1]).await;
    let kept = soon("a ticket", puller.next()).await.expect("not stopped");
    {
        let call = puller.next_batch(up_to(20));
        tokio::pin!(call);
        assert!(futures::poll!(&mut call).is_pending());
        push_one(subject, &name, &all[1..]).await;
        // An adapter that fetches on behalf of the waiting call does so now; the call is dropped without looking.
        for _ in 0..40 {
            if depth(subject, &name).await <= 19 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    soon("the stop", puller.stop()).await;
    assert!(soon("the end", puller.next_batch(up_to(1))).await.is_none());
    assert_eq!(depth(subject, &name).await, 39);
    kept.ack.ack();
    let mut other = subject.source().open(&name);
    collect(other.as_mut(), &all[1..]).await;
    soon("the second stop", other.stop()).await;
    no_trace_is_left(subject, &name).await;
}

pub async fn two_pullers_share_a_queue(subject: &dyn Subject) {
    let (name, all) = (queue("steps"), tickets(400));
    let mut pullers = [subject.source().open(&name), subject.source().open(&name)];
    push_one(subject, &name, &all).await;
    let mut missing: HashSet<Ticket> = all.into_iter().collect();
    let mut shares = [0, 0];
    for turn in 0.. {
        if missing.is_empty() {
            break;
        }
        let own = turn % 2;
        let waited = tokio::time::timeout(Duration::from_secs(1), pullers[own].next_batch(up_to(20))).await;
        for Delivered { ticket, ack } in waited.ok().flatten().unwrap_or_default() {
            missing.remove(&ticket);
            shares[own] += 1;
            ack.ack();
        }
        assert!(turn < 200, "{} tickets never came", missing.len());
    }
    assert!(shares[0] > 0 && shares[1] > 0, "{shares:?}");
    no_trace_is_left(subject, &name).await;
}

pub async fn queues_do_not_mix(subject: &dyn Subject) {
    let (one, two, all) = (queue("one"), queue("two"), tickets(60));
    let batch = [(one.clone(), all[..30].to_vec()), (two.clone(), all[30..].to_vec())];
    subject.push().push(&batch).await.expect("pushed");
    for (name, own) in [(one, &all[..30]), (two, &all[30..])] {
        let mut puller = subject.source().open(&name);
        assert_eq!(collect(puller.as_mut(), own).await, 30, "strangers in {name}");
    }
}
