//! What the transport does when Redis fails in each of the ways that were seen to kill a plain apalis worker.

use std::{
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use valet_queue::{
    ApalisRedis, ApalisRedisConfig, Delivered, MAX_BATCH, MAX_HELD, QueueError, Ticket, TicketPull, TicketPush,
    TicketSource,
    conformance::{collect, eventually, queue, soon, tickets, up_to},
};

use crate::{proxy::Proxy, server::Server};

/// Within this time after Redis is back tickets flow again.
const RECOVERY: Duration = Duration::from_secs(2);
/// A push to a Redis that is away fails within this time.
const PUSH_FAILS: Duration = Duration::from_secs(2);

async fn push(adapter: &ApalisRedis, tickets: &[Ticket]) -> Result<(), QueueError> {
    adapter.push(&[(queue("steps"), tickets.to_vec())]).await.map(|_| ())
}

/// Pushes until it succeeds and pulls what was pushed; answers how long that took.
async fn flows(adapter: &ApalisRedis, puller: &mut dyn TicketPull, what: &str) -> Duration {
    let (started, some) = (Instant::now(), tickets(10));
    while push(adapter, &some).await.is_err() {
        assert!(started.elapsed() < RECOVERY, "{what}: pushes still fail");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    collect(puller, &some).await;
    let took = started.elapsed();
    println!("{what}: tickets flow after {took:?}");
    assert!(took < RECOVERY, "{what}: {took:?}");
    took
}

async fn running(server: &Server) -> (ApalisRedis, Box<dyn TicketPull>) {
    let adapter = server.adapter();
    let mut puller = adapter.open(&queue("steps"));
    push(&adapter, &tickets(3)).await.unwrap();
    collect(puller.as_mut(), &tickets(3)).await;
    (adapter, puller)
}

#[tokio::test]
async fn a_flush_is_survived() {
    let server = Server::start().await;
    let (adapter, mut puller) = running(&server).await;
    for _ in 0..3 {
        let _: () = server.ask(&["FLUSHALL"]).await;
        flows(&adapter, puller.as_mut(), "FLUSHALL").await;
    }
    let _: () = server.ask(&["SCRIPT", "FLUSH"]).await;
    flows(&adapter, puller.as_mut(), "SCRIPT FLUSH").await;
}

#[tokio::test]
async fn a_restart_is_survived_and_pushes_fail_in_time_meanwhile() {
    let mut server = Server::start().await;
    let (adapter, mut puller) = running(&server).await;
    let before = adapter.epoch().await.unwrap();
    let key: String = server.ask(&["GET", "test:epoch"]).await;
    server.stop();
    for _ in 0..3 {
        let started = Instant::now();
        assert!(push(&adapter, &tickets(1)).await.is_err());
        assert!(adapter.epoch().await.is_err());
        assert!(started.elapsed() < PUSH_FAILS, "{:?}", started.elapsed());
    }
    // Long enough for every back-off to reach its longest pause.
    let waiting = tokio::time::timeout(Duration::from_secs(3), puller.next()).await;
    assert!(waiting.is_err(), "nothing can arrive");
    server.start_again().await;
    flows(&adapter, puller.as_mut(), "restart after 3 s").await;
    assert_ne!(adapter.epoch().await.unwrap(), before);
    // A snapshot that is older than the last tickets would bring the key back.
    let _: () = server.ask(&["SET", "test:epoch", &key]).await;
    assert_ne!(adapter.epoch().await.unwrap(), before);
}

#[tokio::test]
async fn killed_connections_are_survived() {
    let server = Server::start().await;
    let (adapter, mut puller) = running(&server).await;
    for kind in ["normal", "pubsub"] {
        let killed: i64 = server.ask(&["CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes"]).await;
        assert!(killed > 0, "there is a {kind} connection");
        flows(&adapter, puller.as_mut(), &format!("CLIENT KILL TYPE {kind}")).await;
    }
}

#[tokio::test]
async fn a_connection_killed_while_tickets_flow_loses_none_of_them() {
    let server = Server::start().await;
    for _ in 0..5 {
        let (adapter, mut puller) = running(&server).await;
        let all = tickets(5_000);
        push(&adapter, &all).await.unwrap();
        let killing = async {
            tokio::time::sleep(Duration::from_millis(10)).await;
            server.ask::<i64>(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]).await
        };
        let (delivered, killed) = tokio::join!(collect(puller.as_mut(), &all), killing);
        println!("{delivered} deliveries of {} tickets, {killed} connections killed", all.len());
        assert!(killed > 0);
        puller.stop().await;
        nothing_is_left(&server).await;
    }
}

#[tokio::test]
async fn a_fetch_whose_answer_was_lost_is_given_back() {
    let server = Server::start().await;
    let (_adapter, mut puller) = running(&server).await;
    // What Redis looks like after it carried out a fetch whose answer the worker never heard.
    write_entry(&server, "5", WIRE).await;
    let names: Vec<String> = server.ask(&["ZRANGE", "test:queue:steps:workers", "0", "-1"]).await;
    let _: i64 = server.ask(&["SADD", &format!("test:queue:steps:inflight:{}", names[0]), "5"]).await;
    let _: i64 = server.ask(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]).await;
    // The worker meets its dead connection at its next fetch.
    let _: i64 = server.ask(&["PUBLISH", "test:wake:steps", ""]).await;
    let started = Instant::now();
    soon("the ticket", puller.next()).await.unwrap().ack.ack();
    assert!(started.elapsed() < RECOVERY, "{:?}", started.elapsed());
    nothing_is_left(&server).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_fell_silent_is_replaced() {
    let server = Server::start().await;
    let proxy = Proxy::start(server.address()).await;
    let config = ApalisRedisConfig { url: format!("redis://{}", proxy.address), ..server.config() };
    let adapter = ApalisRedis::new(config).unwrap();
    let mut puller = adapter.open(&queue("steps"));
    push(&adapter, &tickets(3)).await.unwrap();
    collect(puller.as_mut(), &tickets(3)).await;
    proxy.silence();
    let started = Instant::now();
    let refused = push(&adapter, &tickets(1)).await;
    assert!(matches!(refused, Err(QueueError::TimedOut { .. })), "{refused:?}");
    assert!(started.elapsed() < PUSH_FAILS, "{:?}", started.elapsed());
    push(&adapter, &tickets(1)).await.unwrap();
    // The pulling side waits out stalls, so it takes longer to despair.
    collect(puller.as_mut(), &tickets(1)).await;
    println!("a silent connection was replaced after {:?}", started.elapsed());
    assert!(started.elapsed() < Duration::from_secs(15), "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_ticket_in_hand_does_not_keep_the_puller_from_coming_back() {
    let server = Server::start().await;
    let (adapter, mut puller) = running(&server).await;
    push(&adapter, &tickets(1)).await.unwrap();
    let held = soon("a ticket", puller.next()).await.unwrap();
    let _: i64 = server.ask(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]).await;
    flows(&adapter, puller.as_mut(), "CLIENT KILL with a ticket in hand").await;
    held.ack.ack();
    nothing_is_left(&server).await;
}

async fn nothing_is_left(server: &Server) {
    eventually("no ticket is left", || async {
        let data: u64 = server.ask(&["EXISTS", "test:queue:steps:data", "test:queue:steps:active"]).await;
        let metas: Vec<String> = server.ask(&["KEYS", "test:queue:steps:meta:*"]).await;
        let held: Vec<String> = server.ask(&["KEYS", "test:queue:steps:inflight:*"]).await;
        data == 0 && metas.is_empty() && held.is_empty()
    })
    .await;
}

#[tokio::test]
async fn a_stall_of_a_second_is_waited_out_and_pushes_fail_in_time() {
    let server = Server::start().await;
    let (adapter, mut puller) = running(&server).await;
    server.freeze();
    let started = Instant::now();
    let refused = push(&adapter, &tickets(1)).await;
    let took = started.elapsed();
    assert!(matches!(refused, Err(QueueError::TimedOut { .. })), "{refused:?}");
    assert!(took < PUSH_FAILS, "{took:?}");
    server.thaw();
    flows(&adapter, puller.as_mut(), &format!("stall of {took:?}")).await;

    let _: () = server.ask(&["CLIENT", "PAUSE", "1000", "ALL"]).await;
    let paused = Instant::now();
    collect_one_pushed_during(&adapter, puller.as_mut()).await;
    assert!(paused.elapsed() < Duration::from_secs(1) + RECOVERY, "{:?}", paused.elapsed());
}

async fn collect_one_pushed_during(adapter: &ApalisRedis, puller: &mut dyn TicketPull) {
    let one = tickets(1);
    let (pushed, _) = tokio::join!(push(adapter, &one), collect(puller, &one));
    pushed.unwrap();
}

#[tokio::test]
async fn a_redis_that_is_away_is_asked_at_a_bounded_rate() {
    // It accepts and closes at once: the worst case, since every attempt looks promising.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("redis://{}", listener.local_addr().unwrap());
    let attempts = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&attempts);
    let server = tokio::spawn(async move {
        while listener.accept().await.is_ok() {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    });
    let adapter = ApalisRedis::new(ApalisRedisConfig::new(url)).unwrap();
    let mut puller = adapter.open(&queue("steps"));
    let waited = tokio::time::timeout(Duration::from_secs(3), puller.next()).await;
    assert!(waited.is_err());
    // Three who try (worker, subscription, poll), each soon once a second.
    let attempts = attempts.load(Ordering::Relaxed);
    assert!((3..60).contains(&attempts), "{attempts} connections in 3 s");
    let started = Instant::now();
    puller.stop().await;
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    server.abort();
}

/// Writes a ticket as a push does, without its publish.
async fn push_silently(server: &Server, id: &str, data: &str) {
    write_entry(server, id, data).await;
    let _: i64 = server.ask(&["RPUSH", "test:queue:steps:active", id]).await;
}

async fn write_entry(server: &Server, id: &str, data: &str) {
    let base = "test:queue:steps";
    let meta = format!("{base}:meta:{id}");
    let _: i64 = server.ask(&["HSET", &format!("{base}:data"), id, data]).await;
    let _: i64 = server.ask(&["HSET", &meta, "attempts", "0", "max_attempts", "1", "status", "Pending"]).await;
}

const WIRE: &str = r#"["00000000-0000-0000-0000-000000000001",7,1]"#;

#[tokio::test]
async fn a_lost_publish_costs_at_most_half_a_second() {
    let server = Server::start().await;
    let (_adapter, mut puller) = running(&server).await;
    // The poll has slowed down to its longest interval.
    let idle = tokio::time::timeout(Duration::from_secs(3), puller.next()).await;
    assert!(idle.is_err());
    let (pushed, (arrived, delivered)) = tokio::join!(
        async {
            push_silently(&server, "1", WIRE).await;
            Instant::now()
        },
        async {
            let delivered = soon("the poll", puller.next()).await.unwrap();
            (Instant::now(), delivered)
        }
    );
    delivered.ack.ack();
    let late = arrived.saturating_duration_since(pushed);
    println!("a lost publish cost {late:?}");
    assert!(late < Duration::from_millis(700), "{late:?}");
    nothing_is_left(&server).await;
}

#[tokio::test]
async fn a_publish_wakes_an_idle_queue_at_once() {
    let server = Server::start().await;
    let (adapter, mut puller) = running(&server).await;
    let mut waits = Vec::new();
    for ticket in tickets(3) {
        // The poll has slowed down to twice a second again, so it seldom is first.
        let idle = tokio::time::timeout(Duration::from_millis(2_200), puller.next()).await;
        assert!(idle.is_err());
        let some = [ticket];
        let (pushed, (arrived, delivered)) = tokio::join!(
            async {
                push(&adapter, &some).await.unwrap();
                Instant::now()
            },
            async {
                let delivered = soon("the ticket", puller.next()).await.unwrap();
                (Instant::now(), delivered)
            }
        );
        delivered.ack.ack();
        waits.push(arrived.saturating_duration_since(pushed));
    }
    waits.sort();
    assert!(waits[1] < Duration::from_millis(50), "{waits:?}");
}

#[tokio::test]
async fn an_entry_that_is_no_ticket_is_removed_and_stops_nobody() {
    let server = Server::start().await;
    let (adapter, mut puller) = running(&server).await;
    push_silently(&server, "not-a-number", WIRE).await;
    push_silently(&server, "17", "{\"not\":\"a ticket\"}").await;
    // No data at all: apalis fails the whole fetch that meets it.
    let _: i64 = server.ask(&["RPUSH", "test:queue:steps:active", "18"]).await;
    let all = tickets(50);
    push(&adapter, &all).await.unwrap();
    collect(puller.as_mut(), &all).await;
    nothing_is_left(&server).await;
}

#[tokio::test]
async fn a_backlog_far_over_the_unpack_limit_is_worked_off() {
    let server = Server::start().await;
    let (adapter, mut puller) = running(&server).await;
    let all = tickets(30_000);
    push(&adapter, &all).await.unwrap();
    collect(puller.as_mut(), &all).await;
    nothing_is_left(&server).await;
}

#[tokio::test]
async fn a_puller_that_holds_its_limit_goes_on_when_acks_arrive() {
    let server = Server::start().await;
    let (adapter, mut puller) = running(&server).await;
    let count = u32::try_from(MAX_HELD).unwrap() + 100;
    push(&adapter, &tickets(count)).await.unwrap();
    let mut held = Vec::new();
    while held.len() < MAX_HELD {
        held.extend(soon("tickets", puller.next_batch(up_to(MAX_BATCH))).await.unwrap());
    }
    assert_eq!(held.len(), MAX_HELD);
    {
        let more = puller.next_batch(up_to(MAX_BATCH));
        tokio::pin!(more);
        // A fetch would have been answered by the time several calls on the same server are.
        for _ in 0..20 {
            assert!(futures::poll!(&mut more).is_pending());
            let waiting: u64 = server.ask(&["LLEN", "test:queue:steps:active"]).await;
            assert_eq!(waiting, 100);
        }
        ack_all(held);
        let acked = Instant::now();
        let first = soon("the rest", &mut more).await.unwrap();
        // Sooner than the next heartbeat, which would have the worker look again anyway.
        assert!(acked.elapsed() < Duration::from_secs(5), "{:?}", acked.elapsed());
        ack_all(first);
    }
    the_rest_is_worked_off(puller.as_mut(), &server).await;
}

fn ack_all(batch: Vec<Delivered>) {
    for delivered in batch {
        delivered.ack.ack();
    }
}

async fn the_rest_is_worked_off(puller: &mut dyn TicketPull, server: &Server) {
    while server.ask::<u64>(&["EXISTS", "test:queue:steps:active"]).await > 0 {
        let rest = soon("the rest", puller.next_batch(up_to(MAX_BATCH))).await.unwrap();
        ack_all(rest);
    }
    nothing_is_left(server).await;
}

#[tokio::test]
async fn a_ticket_that_was_swept_back_survives_a_late_ack() {
    let server = Server::start().await;
    let (adapter, mut puller) = running(&server).await;
    push(&adapter, &tickets(1)).await.unwrap();
    let held = soon("the ticket", puller.next()).await.unwrap();
    // What the sweep of a peer does when this process stood still for too long.
    let sets: Vec<String> = server.ask(&["KEYS", "test:queue:steps:inflight:*"]).await;
    let ids: Vec<String> = server.ask(&["SMEMBERS", &sets[0]]).await;
    let _: i64 = server.ask(&["DEL", &sets[0]]).await;
    let _: i64 = server.ask(&["RPUSH", "test:queue:steps:active", &ids[0]]).await;
    held.ack.ack();
    let again = soon("the ticket once more", puller.next()).await.unwrap();
    assert_eq!(again.ticket, tickets(1)[0]);
    again.ack.ack();
    nothing_is_left(&server).await;
}

#[tokio::test]
async fn tickets_and_names_of_a_dead_worker_are_swept_up() {
    let server = Server::start().await;
    let config = ApalisRedisConfig { heartbeat: Duration::from_secs(1), heartbeats_missed: 2, ..server.config() };
    let all = tickets(10);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let mortal = ApalisRedis::new(config.clone()).unwrap();
    push(&mortal, &all).await.unwrap();
    let mut victim = {
        let _inside = runtime.enter();
        mortal.open(&queue("steps"))
    };
    let mut held: Vec<Delivered> = Vec::new();
    while held.len() < all.len() {
        let max = NonZeroUsize::new(all.len() - held.len()).unwrap();
        held.extend(soon("tickets", victim.next_batch(max)).await.unwrap());
    }
    runtime.shutdown_background();

    let adapter = ApalisRedis::new(config).unwrap();
    let mut survivor = adapter.open(&queue("steps"));
    collect(survivor.as_mut(), &all).await;
    nothing_is_left(&server).await;
    let names: Vec<String> = server.ask(&["ZRANGE", "test:queue:steps:workers", "0", "-1"]).await;
    assert_eq!(names.len(), 1, "{names:?}");
    let expiries: Vec<String> = server.ask(&["KEYS", "test:queue:steps:workers:metadata:*"]).await;
    for key in expiries {
        let seconds: i64 = server.ask(&["TTL", &key]).await;
        assert!(seconds > 0, "{key} lives for ever");
    }
    drop((held, victim));
}

#[tokio::test]
async fn an_ack_outlives_the_stop_of_its_puller_and_a_restart_of_redis() {
    let mut server = Server::start().await;
    let (adapter, mut puller) = running(&server).await;
    push(&adapter, &tickets(2)).await.unwrap();
    let mut held = soon("both", puller.next_batch(up_to(2))).await.unwrap();
    if held.len() < 2 {
        held.extend(soon("the other", puller.next()).await);
    }
    puller.stop().await;
    let last = held.pop().unwrap();
    last.ack.ack();
    eventually("one is left", || async { server.ask::<u64>(&["HLEN", "test:queue:steps:data"]).await == 1 }).await;
    server.stop();
    held.pop().unwrap().ack.ack();
    server.start_again().await;
    flows(&adapter, adapter.open(&queue("steps")).as_mut(), "restart").await;
    nothing_is_left(&server).await;
}

#[test]
fn a_bad_address_or_prefix_is_refused_at_once() {
    let bad = ApalisRedis::new(ApalisRedisConfig::new("http://localhost"));
    assert!(matches!(bad, Err(QueueError::Address(_))));
    let config = ApalisRedisConfig { prefix: "a:b".to_owned(), ..ApalisRedisConfig::new("redis://:secret@localhost") };
    assert!(!format!("{config:?}").contains("secret"));
    assert!(matches!(ApalisRedis::new(config), Err(QueueError::Prefix(_))));
}
