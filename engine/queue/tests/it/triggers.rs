//! Triggers in a real Redis: taken in order, given back when their engine dies, settled once.

use std::sync::Arc;
use std::time::{Duration, Instant};

use valet_queue::{RedisTriggers, TRIGGERS_MAX, TriggerSource};

use crate::server::Server;

fn triggers(server: &Server, taker: &str) -> Arc<RedisTriggers> {
    RedisTriggers::new(&server.config(), taker).unwrap()
}

async fn produce(server: &Server, texts: &[&str]) {
    for text in texts {
        let _: i64 = server.ask(&["LPUSH", "test:triggers", text]).await;
    }
}

#[tokio::test]
async fn the_oldest_is_taken_first_and_a_waiting_engine_is_woken() {
    let server = Server::start().await;
    let engine = triggers(&server, "a");
    produce(&server, &["1", "2", "3"]).await;
    assert_eq!(engine.take().await.unwrap(), [b"1", b"2", b"3"]);

    let waiting = Arc::clone(&engine);
    let taken = tokio::spawn(async move { waiting.take().await.unwrap() });
    tokio::time::sleep(Duration::from_millis(300)).await;
    let began = Instant::now();
    produce(&server, &["4"]).await;
    assert_eq!(taken.await.unwrap(), [b"4"]);
    assert!(began.elapsed() < Duration::from_millis(500), "{:?}", began.elapsed());
}

#[tokio::test]
async fn what_a_dead_engine_took_goes_back_in_order_and_a_living_one_keeps_its_own() {
    let server = Server::start().await;
    let (dead, alive) = (triggers(&server, "dead"), triggers(&server, "alive"));
    produce(&server, &["1", "2"]).await;
    assert_eq!(dead.take().await.unwrap().len(), 2);
    produce(&server, &["3"]).await;
    assert_eq!(alive.take().await.unwrap(), [b"3"]);
    assert_eq!(alive.adopt().await.unwrap(), 0, "both live");

    let _: i64 = server.ask(&["DEL", "test:triggers:alive:dead"]).await;
    produce(&server, &["4"]).await;
    assert_eq!(alive.adopt().await.unwrap(), 2);
    assert_eq!(alive.take().await.unwrap(), [b"1", b"2", b"4"]);
    let takers: Vec<String> = server.ask(&["SMEMBERS", "test:triggers:takers"]).await;
    assert_eq!(takers, ["alive"]);
}

#[tokio::test]
async fn a_producer_reads_what_came_of_its_trigger_and_the_list_of_refused_ones_is_bounded() {
    let server = Server::start().await;
    let engine = triggers(&server, "a");
    produce(&server, &["good"]).await;
    engine.take().await.unwrap();
    engine.settle(b"good", Some("k1"), r#"{"run":"run_1"}"#).await.unwrap();
    engine.settle(b"good", Some("k1"), r#"{"run":"run_1"}"#).await.unwrap();
    let result: String = server.ask(&["GET", "test:triggers:result:k1"]).await;
    assert_eq!(result, r#"{"run":"run_1"}"#);
    let life: i64 = server.ask(&["TTL", "test:triggers:result:k1"]).await;
    assert!((86_000..=86_400).contains(&life), "{life}");

    for round in 0..9 {
        let texts: Vec<String> = (0..TRIGGERS_MAX).map(|n| format!("bad {round} {n}")).collect();
        produce(&server, &texts.iter().map(String::as_str).collect::<Vec<_>>()).await;
        for trigger in engine.take().await.unwrap() {
            engine.refuse(&trigger, None, "", "invalid_json").await.unwrap();
        }
    }
    let refused: i64 = server.ask(&["LLEN", "test:triggers:refused"]).await;
    assert_eq!(refused, 1_000);
    let held: i64 = server.ask(&["LLEN", "test:triggers:taken:a"]).await;
    assert_eq!(held, 0);
}
