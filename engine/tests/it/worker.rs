//! A worker that speaks the protocol and does what the test says.

use serde_json::{Value, json};
use uuid::Uuid;

use super::app::TestApp;
use super::calls::{Answer, Call, WORKER};
use super::database;

pub struct Worker<'a> {
    app: &'a TestApp,
    token: String,
    pub session: String,
}

/// Which attempt of which step, under which lease.
#[derive(Clone, Debug)]
pub struct Hold {
    pub run: String,
    pub seq: u32,
    pub attempt: u32,
    pub lease: String,
}

/// `run_…` as the worker protocol writes it: the bare UUID.
pub fn bare(id: &str) -> String {
    let hex = id.split_once('_').map_or(id, |(_, hex)| hex);
    Uuid::parse_str(hex).expect("an id").to_string()
}

impl<'a> Worker<'a> {
    pub async fn open(app: &'a TestApp) -> Self {
        Self::pulling(app, &["default", "browser"]).await
    }

    pub async fn pulling(app: &'a TestApp, queues: &[&str]) -> Self {
        Self::with_token(app, WORKER, queues).await
    }

    pub async fn with_token(app: &'a TestApp, token: &str, queues: &[&str]) -> Self {
        Self::opened(app, token, json!({ "queues": queues })).await
    }

    pub async fn labelled(app: &'a TestApp, queues: &[&str], labels: &Value) -> Self {
        Self::opened(app, WORKER, json!({ "queues": queues, "labels": labels })).await
    }

    async fn opened(app: &'a TestApp, token: &str, mut open: Value) -> Self {
        open["protocol"] = json!(1);
        open["name"] = json!("w");
        open["slots"] = json!(4);
        let answer = app.send(Call::post("/worker/v1/sessions").token(token).json(&open)).await.expect(200);
        Self { app, token: token.to_owned(), session: answer.json()["session"].as_str().expect("a session").to_owned() }
    }

    /// As messages of the protocol name it.
    pub fn session_uuid(&self) -> String {
        bare(&self.session)
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.app.send(Call::post(format!("/worker/v1/{path}")).token(&self.token).json(body)).await
    }

    /// The answer to one claim.
    pub async fn claim(&self, hold: &Hold) -> Value {
        let claim = json!({ "run": hold.run, "seq": hold.seq, "attempt": hold.attempt, "lease": hold.lease });
        let body = json!({ "session": self.session_uuid(), "claims": [claim] });
        self.post("claims", &body).await.expect(200).json()["answers"][0].clone()
    }

    /// Claims a step once it can be had.
    pub async fn take(&self, run: &str, seq: u32, attempt: u32) -> Hold {
        let hold = Hold { run: bare(run), seq, attempt, lease: Uuid::now_v7().to_string() };
        database::until(&format!("step {seq} of {run} is granted"), async || {
            self.claim(&hold).await.get("granted").map(drop)
        })
        .await;
        hold
    }

    /// The answer to one finish.
    pub async fn finish(&self, hold: &Hold, outcome: &Value) -> Value {
        self.finish_with_costs(hold, outcome, &json!([])).await
    }

    pub async fn finish_with_costs(&self, hold: &Hold, outcome: &Value, costs: &Value) -> Value {
        let finish = json!({
            "run": hold.run, "seq": hold.seq, "attempt": hold.attempt, "lease": hold.lease, "outcome": outcome,
            "costs": costs,
        });
        let body = json!({ "session": self.session_uuid(), "finishes": [finish] });
        self.post("finishes", &body).await.expect(200).json()["answers"][0].clone()
    }

    /// Takes a step and ends it well.
    pub async fn carry_out(&self, run: &str, seq: u32, output: Value) {
        let hold = self.take(run, seq, 1).await;
        let answer = self.finish(&hold, &json!({ "done": { "output": output } })).await;
        assert!(answer.get("accepted").is_some(), "{answer}");
    }

    pub async fn good_bye(self) {
        let close = Call::new(axum::http::Method::DELETE, format!("/worker/v1/sessions/{}", self.session));
        self.app.send(close.token(&self.token)).await.expect(204);
    }

    /// With the word that the attempt's time begins anew.
    pub async fn refresh(&self, hold: &Hold, progress: Option<Value>) -> Value {
        let mut held = json!({
            "run": hold.run, "seq": hold.seq, "attempt": hold.attempt, "lease": hold.lease, "refresh": true,
        });
        if let Some(progress) = progress {
            held["progress"] = progress;
        }
        let beat = json!({ "session": self.session_uuid(), "free_slots": 1, "held": [held] });
        self.post("heartbeats", &beat).await.expect(200).json()
    }

    /// With the word that some of the leases' work goes on.
    pub async fn beat_of(&self, held: &[Hold], alive: &[&String]) -> Value {
        let held: Vec<Value> = held
            .iter()
            .map(|h| {
                let alive = alive.contains(&&h.lease);
                json!({ "run": h.run, "seq": h.seq, "attempt": h.attempt, "lease": h.lease, "alive": alive })
            })
            .collect();
        let beat = json!({ "session": self.session_uuid(), "free_slots": 1, "held": held });
        self.post("heartbeats", &beat).await.expect(200).json()
    }

    pub async fn beat(&self, held: &[&Hold]) -> Value {
        let held: Vec<Value> = held
            .iter()
            .map(|h| json!({ "run": h.run, "seq": h.seq, "attempt": h.attempt, "lease": h.lease }))
            .collect();
        let beat = json!({ "session": self.session_uuid(), "free_slots": 1, "held": held });
        self.post("heartbeats", &beat).await.expect(200).json()
    }
}
