//! What the queue leaves behind in Redis, and what it costs while nothing happens.

use std::{fs, time::Duration};

use valet_queue::{
    TicketPull, TicketPush, TicketSource,
    conformance::{collect, eventually, queue, tickets},
};

use crate::server::Server;

async fn info(server: &Server, section: &str, field: &str) -> u64 {
    let info: String = server.ask(&["INFO", section]).await;
    let value = info.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    value.expect(field).trim().parse().expect(field)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_thousand_tickets_leave_nothing_behind() {
    let server = Server::start().await;
    let (adapter, name) = (server.adapter(), queue("steps"));
    let mut puller = adapter.open(&name);
    collect_pushed(&adapter, puller.as_mut(), 1_000).await;
    let memory_before = info(&server, "memory", "used_memory").await;
    for _ in 0..25 {
        collect_pushed(&adapter, puller.as_mut(), 2_000).await;
    }
    eventually("all acks arrived", || async { server.ask::<u64>(&["EXISTS", "test:queue:steps:data"]).await == 0 })
        .await;
    let keys: Vec<String> = server.ask(&["KEYS", "*"]).await;
    let memory_after = info(&server, "memory", "used_memory").await;
    println!("{keys:?}; {memory_before} bytes before, {memory_after} after");
    assert!(keys.len() <= 3, "{keys:?}");
    assert!(memory_after < memory_before + 512 * 1024, "{memory_before} to {memory_after} bytes");
    puller.stop().await;
    let keys: Vec<String> = server.ask(&["KEYS", "test:*"]).await;
    assert_eq!(keys, [""; 0], "a stopped puller leaves nothing");
}

/// The worker may have ended: what is its alone is not kept for ever.
#[tokio::test]
async fn a_queue_of_one_worker_passes_with_time_and_no_other_does() {
    let server = Server::start().await;
    let adapter = server.adapter();
    for (name, passes) in [("steps.of.sess_1", true), ("steps", false)] {
        adapter.push(&[(queue(name), tickets(2))]).await.unwrap();
        let keys: Vec<String> = server.ask(&["KEYS", &format!("test:queue:{name}:*")]).await;
        assert!(keys.len() >= 4, "the list, the data, and what is noted of each: {keys:?}");
        for key in keys {
            let seconds: i64 = server.ask(&["TTL", &key]).await;
            assert_eq!(seconds > 0, passes, "{key}: {seconds}");
        }
    }
}

async fn collect_pushed(adapter: &valet_queue::ApalisRedis, puller: &mut dyn TicketPull, count: u32) {
    let all = tickets(count);
    adapter.push(&[(queue("steps"), all.clone())]).await.unwrap();
    collect(puller, &all).await;
}

/// Processor time of this thread, which runs everything of a current-thread test.
fn thread_cpu() -> Duration {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(text.split_whitespace().next().unwrap().parse().unwrap())
}

/// Calls of each command, those made inside scripts included.
async fn commands(server: &Server) -> u64 {
    let stats: String = server.ask(&["INFO", "commandstats"]).await;
    let calls = |line: &str| line.split_once("calls=")?.1.split(',').next()?.parse::<u64>().ok();
    stats.lines().filter_map(calls).sum()
}

#[tokio::test]
async fn three_idle_queues_cost_next_to_nothing() {
    const SECONDS: u64 = 10;
    let server = Server::start().await;
    let adapter = server.adapter();
    let mut waiting = Vec::new();
    for name in ["one", "two", "three"] {
        let mut puller = adapter.open(&queue(name));
        adapter.push(&[(queue(name), tickets(1))]).await.unwrap();
        collect(puller.as_mut(), &tickets(1)).await;
        waiting.push(tokio::spawn(async move { puller.next().await.is_some() }));
    }
    // The poll follows the last ticket for a second and then slows down.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let (commands_before, cpu_before) = (commands(&server).await, thread_cpu());
    tokio::time::sleep(Duration::from_secs(SECONDS)).await;
    let cpu = thread_cpu().saturating_sub(cpu_before);
    let used = commands(&server).await - commands_before;
    println!("idle for {SECONDS} s: {used} commands, {cpu:?} of processor time");
    assert!(used <= 10 * SECONDS, "{used} commands in {SECONDS} s");
    assert!(cpu < Duration::from_millis(10 * SECONDS), "{cpu:?} in {SECONDS} s");
    assert!(waiting.iter().all(|task| !task.is_finished()));
}
