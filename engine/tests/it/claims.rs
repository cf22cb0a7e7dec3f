//! The database grants: each attempt to one lease, and takes back what a vanished session held.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use uuid::Uuid;
use valet_core::id::{Attempt, LeaseId, RunId, Seq, SessionId};
use valet_engine::codec::MasterKey;
use valet_engine::store::postgres::PgStore;
use valet_engine::store::{ClaimVerdict, LeaseStore as _, NewSession, SessionClaim, SessionKind};

use super::app::{SECRET, TestApp};
use super::calls::{Call, WORKER};
use super::database;
use super::worker::{Hold, Worker, bare};

async fn session(store: &PgStore, lease: Duration) -> SessionId {
    let id = SessionId(Uuid::now_v7());
    let session = NewSession {
        id,
        kind: SessionKind::Worker,
        tenant: None,
        name: "w".to_owned(),
        queues: vec!["default".to_owned()],
        slots: 1,
        labels: json!({}),
        lease,
    };
    store.open_session(&session).await.expect("a session");
    id
}

fn claim(session: SessionId, run: RunId) -> SessionClaim {
    SessionClaim { session, run, seq: Seq(1), attempt: Attempt::FIRST, lease: LeaseId(Uuid::now_v7()) }
}

fn is_granted(verdict: &ClaimVerdict) -> bool {
    matches!(verdict, ClaimVerdict::Granted { .. })
}

async fn echoes(app: &TestApp, count: usize) -> Vec<RunId> {
    let mut runs = Vec::new();
    for n in 0..count {
        runs.push(app.start_run("echo", &json!({ "text": n.to_string() })).await.parse().expect("an id"));
    }
    runs
}

#[tokio::test]
async fn claimers_at_once_never_get_the_same_step() {
    let app = TestApp::start().await;
    let runs = echoes(&app, 60).await;
    let mut claimers = Vec::new();
    for n in 0..4 {
        let store = PgStore::connect(&app.url, MasterKey::new(&SECRET), 1).await.expect("a store");
        let session = session(&store, Duration::from_mins(1)).await;
        let mut claims: Vec<SessionClaim> = runs.iter().map(|run| claim(session, *run)).collect();
        if n % 2 == 1 {
            claims.reverse();
        }
        claimers.push(tokio::spawn(async move {
            let mut granted = Vec::new();
            for some in claims.chunks(7) {
                let verdicts = store.claim(some).await.expect("an answer");
                assert_eq!(verdicts.len(), some.len());
                granted.extend(some.iter().zip(verdicts).filter(|(_, v)| is_granted(v)).map(|(claim, _)| *claim));
            }
            granted
        }));
    }
    let mut holders: BTreeMap<RunId, Vec<LeaseId>> = BTreeMap::new();
    for claimer in claimers {
        for claim in claimer.await.expect("no panic") {
            holders.entry(claim.run).or_default().push(claim.lease);
        }
    }
    assert_eq!(holders.len(), runs.len(), "every step was granted");
    assert!(holders.values().all(|leases| leases.len() == 1), "{holders:?}");
    let held = sqlx::query_as::<_, (Uuid, Uuid)>("SELECT run_id, lease_id FROM steps WHERE state = 'running'");
    for (run, lease) in held.fetch_all(app.pool()).await.expect("rows") {
        assert_eq!(holders[&RunId(run)], [LeaseId(lease)], "what was told is what is stored");
    }
}

#[tokio::test]
async fn two_claims_of_one_step_in_one_batch_give_one_grant() {
    let app = TestApp::start().await;
    let run = echoes(&app, 1).await[0];
    let (a, b) = (session(&app.store, Duration::from_mins(1)).await, session(&app.store, Duration::from_mins(1)).await);
    let claims = [claim(a, run), claim(b, run), claim(a, run)];
    let verdicts = app.store.claim(&claims).await.expect("an answer");
    assert_eq!(verdicts.iter().filter(|v| is_granted(v)).count(), 1, "{verdicts:?}");
    let again = app.store.claim(&claims).await.expect("an answer");
    let same = verdicts.iter().zip(&again).all(|(one, two)| is_granted(one) == is_granted(two));
    assert!(same, "the same claims get the same answers");
}

#[tokio::test]
async fn a_repeated_claim_gets_its_first_answer_and_any_other_is_stale() {
    let app = TestApp::start().await;
    let worker = Worker::open(&app).await;
    let run = app.start_run("echo", &json!({ "text": "x" })).await;
    let hold = worker.take(&run, 1, 1).await;
    let again = worker.claim(&hold).await;
    assert_eq!(again["granted"]["input"], json!({ "text": "x" }));
    let stale = json!({ "refused": { "why": "stale" } });
    let other = |seq, attempt| Hold { run: bare(&run), seq, attempt, lease: Uuid::now_v7().to_string() };
    for hold in [other(1, 1), other(1, 2), other(2, 1)] {
        assert_eq!(worker.claim(&hold).await, stale, "{hold:?}");
    }
    let unknown = Hold { run: Uuid::now_v7().to_string(), ..other(1, 1) };
    assert_eq!(worker.claim(&unknown).await, stale);
    worker.finish(&hold, &json!({ "done": { "output": "out" } })).await;
    assert_eq!(worker.claim(&hold).await, stale, "a finished step is granted to nobody");
}

#[tokio::test]
async fn a_session_that_ended_is_granted_nothing() {
    let app = TestApp::start().await;
    let worker = Worker::open(&app).await;
    let run = app.start_run("echo", &json!({ "text": "x" })).await;
    let close = Call::new(axum::http::Method::DELETE, format!("/worker/v1/sessions/{}", worker.session));
    app.send(close.token(WORKER)).await.expect(204);
    let hold = Hold { run: bare(&run), seq: 1, attempt: 1, lease: Uuid::now_v7().to_string() };
    assert_eq!(worker.claim(&hold).await, json!({ "refused": { "why": "session_ended" } }));
    assert_eq!(worker.beat(&[]).await["standing"], "ended");
    let never = Uuid::now_v7();
    let beat = json!({ "session": never, "free_slots": 1, "held": [] });
    assert_eq!(worker.post("heartbeats", &beat).await.expect(200).json()["standing"], "ended");
}

/// What a vanished worker held is taken from it; its own late finish is refused, another worker's is taken.
#[tokio::test]
async fn the_claims_of_an_expired_session_are_swept() {
    let app = TestApp::start().await;
    let run = app.start_run("guarded", &json!({ "text": "x" })).await;
    let id: RunId = run.parse().expect("an id");
    let gone = session(&app.store, Duration::from_millis(300)).await;
    let claim = SessionClaim { seq: Seq(2), ..claim(gone, id) };
    assert!(is_granted(&app.store.claim(&[claim]).await.expect("an answer")[0]));

    let worker = Worker::open(&app).await;
    // Its one attempt is used up, so that the step waits for an operator.
    database::until("the attempt is lost", async || {
        (app.run(&run).await["steps"][0]["state"] == "parked").then_some(())
    })
    .await;
    app.send(Call::post(format!("/api/v1/runs/{run}/retry"))).await.expect(200);
    let second = worker.take(&run, 2, 2).await;
    let late = Hold { run: bare(&run), seq: 2, attempt: 1, lease: claim.lease.0.to_string() };
    let told = worker.finish(&late, &json!({ "done": { "output": "late" } })).await;
    assert!(told.get("refused").is_some(), "{told}");
    worker.finish(&second, &json!({ "done": { "output": "in time" } })).await;
    worker.carry_out(&run, 1, Value::Null).await;
    assert_eq!(app.until_status(&run, "succeeded").await["output"], "in time");
}

/// A worker that lives but never heard of its grant: taken back after two lists without it, at no cost.
#[tokio::test]
async fn a_grant_that_its_worker_does_not_know_is_taken_back() {
    let app = TestApp::start().await;
    let worker = Worker::open(&app).await;
    let run = app.start_run("echo", &json!({ "text": "x" })).await;
    worker.take(&run, 1, 1).await;
    let back = database::until("the grant is taken back", async || {
        worker.beat(&[]).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        let run = app.run(&run).await;
        (run["steps"][0]["attempt"] == 2).then_some(run)
    })
    .await;
    assert_eq!(back["steps"][0]["state"], "ready", "its one attempt was not used up");
    assert_eq!(back["steps"][0]["error"], Value::Null);
}

/// With or without progress beside it; what is not refreshed keeps its time.
#[tokio::test]
async fn an_attempts_time_begins_anew_when_its_worker_says_so() {
    let app = TestApp::start().await;
    let worker = Worker::open(&app).await;
    let run = app.start_run("echo", &json!({ "text": "x" })).await;
    let hold = worker.take(&run, 1, 1).await;
    let deadline = async || -> chrono::DateTime<chrono::Utc> {
        sqlx::query_scalar("SELECT deadline FROM steps").fetch_one(app.pool()).await.expect("a deadline")
    };
    let granted = deadline().await;
    worker.beat(&[&hold]).await;
    assert_eq!(deadline().await, granted);
    for progress in [None, Some(json!({ "page": 2 }))] {
        let before = deadline().await;
        worker.refresh(&hold, progress).await;
        assert!(deadline().await > before);
    }
    let answer = worker.finish(&hold, &json!({ "done": { "output": "x" } })).await;
    assert!(answer.get("accepted").is_some(), "{answer}");
}
