//! How fast it is. The floors are far below what was measured on an idle two-core machine, so that they hold on a
//! busy one; the numbers are printed.

use std::time::{Duration, Instant};

use valet_queue::{
    MAX_BATCH, TicketPush, TicketSource,
    conformance::{queue, soon, tickets, up_to},
};

use crate::server::Server;

const COUNT: u32 = 50_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tens_of_thousands_of_tickets_a_second_pass_one_puller() {
    let server = Server::start().await;
    let (adapter, name) = (server.adapter(), queue("steps"));
    let all = tickets(COUNT);
    let started = Instant::now();
    for some in all.chunks(500) {
        adapter.push(&[(name.clone(), some.to_vec())]).await.unwrap();
    }
    let pushing = started.elapsed();
    let mut puller = adapter.open(&name);
    let polls_before = polls(&server).await;
    let (started, mut pulled, mut batches) = (Instant::now(), 0, 0);
    while pulled < COUNT {
        let batch = soon("tickets", puller.next_batch(up_to(MAX_BATCH))).await.unwrap();
        pulled += u32::try_from(batch.len()).unwrap();
        batches += 1;
        for delivered in batch {
            delivered.ack.ack();
        }
    }
    puller.stop().await;
    let pulling = started.elapsed();
    let polls = polls(&server).await - polls_before;
    // A full batch leads to the next without waiting for a poll.
    assert!(polls < batches / 4, "{polls} polls for {batches} batches");
    let left: u64 = server.ask(&["EXISTS", "test:queue:steps:data"]).await;
    assert_eq!(left, 0, "stop waited for the acks");
    let per_second = |took: Duration| f64::from(COUNT) / took.as_secs_f64();
    println!("push {:.0}/s; pull and ack {:.0}/s in {batches} batches", per_second(pushing), per_second(pulling));
    assert!(per_second(pushing) > 5_000.0);
    assert!(per_second(pulling) > 2_500.0);
}

/// How often anyone looked whether there are tickets.
async fn polls(server: &Server) -> u64 {
    let stats: String = server.ask(&["INFO", "commandstats"]).await;
    let calls = stats.lines().find_map(|line| line.strip_prefix("cmdstat_exists:calls="));
    calls.map_or(0, |line| line.split(',').next().unwrap().parse().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_puller_has_a_pushed_ticket_within_milliseconds() {
    let server = Server::start().await;
    let (adapter, name) = (server.adapter(), queue("steps"));
    let mut puller = adapter.open(&name);
    let (sender, mut receiver) = tokio::sync::mpsc::channel(1);
    let pulling = tokio::spawn(async move {
        while let Some(delivered) = puller.next().await {
            let arrived = Instant::now();
            delivered.ack.ack();
            if sender.send(arrived).await.is_err() {
                return;
            }
        }
    });
    let mut waits = Vec::new();
    for ticket in tickets(200) {
        tokio::time::sleep(Duration::from_millis(5)).await;
        let pushed = Instant::now();
        adapter.push(&[(name.clone(), vec![ticket])]).await.unwrap();
        waits.push(soon("a ticket", receiver.recv()).await.unwrap() - pushed);
    }
    pulling.abort();
    waits.sort();
    let (median, high) = (waits[100], waits[198]);
    println!("idle, push to delivered: p50 {median:?}, p99 {high:?}, max {:?}", waits[199]);
    assert!(median < Duration::from_millis(20), "{median:?}");
}
