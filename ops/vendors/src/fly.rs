//! Fly Machines: machines with their states and delays, regions that may be full, leases, and a limit for each verb of each machine.
//!
//! What a machine runs is whoever starts the server's to say ([`Boot`]): it is told when one starts and when one ends.

mod processes;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::Ipv4Addr;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use axum::extract::{Path, Query, State};
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::limit::Limit;
use crate::served::Served;
pub use processes::Processes;

pub const CONTRACT: &str = include_str!("../contracts/fly.json");
/// "1 request a second for each action and machine, bursts of 3"; gets have 5 and 10.
const BURST: u32 = 3;
const GETS: (u32, f64) = (10, 5.0);
const WAIT_POLL: Duration = Duration::from_millis(10);

/// What is behind a machine.
pub trait Boot: Send + Sync {
    /// The machine starts: its id, its address, its configuration.
    fn start(&self, id: &str, address: Ipv4Addr, config: &Value) -> io::Result<()>;
    /// Whether what it ran ended by itself.
    fn has_ended(&self, id: &str) -> bool;
    /// It ends; nothing of it is left afterwards.
    fn end(&self, id: &str);
}

/// How long a machine takes.
#[derive(Clone, Copy, Debug)]
pub struct Delays {
    pub create: Duration,
    pub start: Duration,
    pub stop: Duration,
    pub destroy: Duration,
    /// A machine that was made without being started answers a start with 412 for so long.
    pub settle: Duration,
}

impl Default for Delays {
    fn default() -> Self {
        let ms = Duration::from_millis;
        Self { create: ms(40), start: ms(80), stop: ms(40), destroy: ms(40), settle: ms(150) }
    }
}

#[derive(Clone, Debug)]
struct Machine {
    id: String,
    name: String,
    region: String,
    instance: String,
    address: Ipv4Addr,
    config: Value,
    state: &'static str,
    /// What it is on its way to.
    next: Option<(&'static str, Instant)>,
    lease: Option<(String, Instant)>,
}

pub struct Fly {
    pub served: Served,
    state: Arc<Store>,
}

struct Store {
    token: String,
    /// The server's port, of which there is one on this machine.
    port: OnceLock<u16>,
    delays: Delays,
    boot: Arc<dyn Boot>,
    machines: Mutex<Vec<Machine>>,
    full: Mutex<BTreeSet<String>>,
    /// Machines that the account may have.
    quota: Mutex<Option<usize>>,
    /// A word for states that nobody knows.
    strange: Mutex<Option<&'static str>>,
    actions: Limit,
    gets: Limit,
    made: Mutex<u32>,
    /// Machines that there was no room for.
    refused: Mutex<u32>,
}

impl Fly {
    pub async fn start(token: &str, delays: Delays, boot: Arc<dyn Boot>) -> io::Result<Self> {
        let state = Arc::new(Store {
            token: token.to_owned(),
            port: OnceLock::new(),
            delays,
            boot,
            machines: Mutex::default(),
            full: Mutex::default(),
            quota: Mutex::default(),
            strange: Mutex::default(),
            actions: Limit::new(BURST, 1.0),
            gets: Limit::new(GETS.0, GETS.1),
            made: Mutex::default(),
            refused: Mutex::default(),
        });
        let one = "/v1/apps/{app}/machines/{machine}";
        let routes = Router::new()
            .route("/v1/apps/{app}/machines", get(list).post(create))
            .route(one, get(read).post(update).delete(destroy))
            .route(&format!("{one}/start"), post(launch))
            .route(&format!("{one}/stop"), post(stop))
            .route(&format!("{one}/wait"), get(wait))
            .route(&format!("{one}/lease"), post(lease).delete(release))
            .route(&format!("{one}/metadata/{{key}}"), post(set_metadata));
        let served = Served::start(CONTRACT, routes.with_state(Arc::clone(&state)), 0).await?;
        state.port.get_or_init(|| served.address().port());
        Ok(Self { served, state })
    }

    /// No machine can be made in these regions.
    pub fn fill(&self, regions: &[&str]) {
        *self.state.full.lock() = regions.iter().map(ToString::to_string).collect();
    }

    /// The account may have so many machines and no more.
    pub fn allow(&self, machines: Option<usize>) {
        *self.state.quota.lock() = machines;
    }

    /// From now on machines that start are said to be in this state, which no documentation has, until it is taken back.
    pub fn say(&self, state: Option<&'static str>) {
        *self.state.strange.lock() = state;
    }

    /// Machines that are there and not destroyed: id, state and region.
    pub fn machines(&self) -> Vec<(String, &'static str, String)> {
        let machines = self.state.all();
        machines.into_iter().filter(|m| m.state != "destroyed").map(|m| (m.id, m.state, m.region)).collect()
    }

    /// As it was made, or changed last.
    pub fn config_of(&self, machine: &str) -> Option<Value> {
        self.state.all().into_iter().find(|one| one.id == machine).map(|one| one.config)
    }

    /// How many machines of this mark are not destroyed.
    pub fn living(&self, key: &str, value: &str) -> usize {
        let marked = |machine: &&Machine| machine.state != "destroyed" && machine.config["metadata"][key] == value;
        self.state.all().iter().filter(marked).count()
    }

    /// How many machines of this mark there are or ever were.
    pub fn ever_made(&self, key: &str, value: &str) -> usize {
        self.state.all().iter().filter(|machine| machine.config["metadata"][key] == value).count()
    }
}

impl Store {
    /// As they are now: what was on its way has arrived.
    fn all(&self) -> Vec<Machine> {
        self.settle();
        self.machines.lock().clone()
    }

    fn settle(&self) {
        let now = Instant::now();
        for machine in self.machines.lock().iter_mut() {
            let ran_out = matches!(machine.state, "starting" | "started") && self.boot.has_ended(&machine.id);
            let came = machine.next.filter(|(_, at)| *at <= now).map(|(next, _)| next);
            let Some(next) = ran_out.then_some("stopped").or(came) else { continue };
            let never_ran = machine.state == "created";
            machine.next = None;
            machine.state = match next {
                "stopped" if machine.config["auto_destroy"] == true && !never_ran => "destroyed",
                next => next,
            };
            if matches!(machine.state, "stopped" | "destroyed") {
                // Before anybody sees that it ended.
                self.boot.end(&machine.id);
            }
        }
    }

    /// Fly says it in two ways.
    fn no_room(&self) -> Refused {
        let mut refused = self.refused.lock();
        *refused += 1;
        if *refused % 2 == 1 {
            let error = "insufficient resources to create new machine";
            return refusal(StatusCode::PRECONDITION_FAILED, error, "insufficient_capacity");
        }
        let error = "aborted: could not reserve resource for machine: insufficient memory available to fulfill request";
        refusal(StatusCode::CONFLICT, error, "unknown")
    }

    fn boot(&self, machine: &Machine) -> Result<(), Refused> {
        let started = self.boot.start(&machine.id, machine.address, &machine.config);
        started.map_err(|error| refusal(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string(), "unknown"))
    }

    /// Each machine has its own on loopback, whatever servers there are besides.
    fn address(&self, number: u32) -> Ipv4Addr {
        let [high, low] = self.port.get().copied().unwrap_or_default().to_be_bytes();
        let [.., last] = (number % 254 + 1).to_be_bytes();
        Ipv4Addr::new(127, high, low, last)
    }

    fn admitted(&self, headers: &HeaderMap) -> Result<(), Refused> {
        let given = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        if given == Some(&format!("Bearer {}", self.token)) {
            return Ok(());
        }
        Err(refusal(StatusCode::UNAUTHORIZED, "unauthorized", "unknown"))
    }

    fn paced(&self, verb: &str, of: &str) -> Result<(), Refused> {
        let limit = if verb == "get" { &self.gets } else { &self.actions };
        limit
            .take(&format!("{verb}/{of}"))
            .map_err(|_| refusal(StatusCode::TOO_MANY_REQUESTS, "resource_exhausted: rate limit exceeded", "unknown"))
    }

    /// Changes one machine, if it is there.
    fn change<T>(&self, id: &str, change: impl FnOnce(&mut Machine) -> Result<T, Refused>) -> Result<T, Refused> {
        self.settle();
        let mut machines = self.machines.lock();
        let machine = machines.iter_mut().find(|machine| machine.id == id && machine.state != "destroyed");
        change(machine.ok_or_else(|| refusal(StatusCode::NOT_FOUND, "machine not found", "unknown"))?)
    }

    fn shown(&self, machine: &Machine) -> Value {
        let strange = self.strange.lock().filter(|_| matches!(machine.state, "starting" | "started"));
        json!({
            "id": machine.id, "name": machine.name, "state": strange.unwrap_or(machine.state), "region": machine.region,
            "instance_id": machine.instance, "private_ip": machine.address.to_string(), "config": machine.config,
            "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z", "host_status": "ok",
        })
    }
}

struct Refused(Box<Response>);

fn refusal(status: StatusCode, error: &str, kind: &str) -> Refused {
    Refused(Box::new((status, Json(json!({ "error": error, "status": kind }))).into_response()))
}

fn answered(result: Result<Response, Refused>) -> Response {
    result.unwrap_or_else(|refused| *refused.0)
}

fn held(machine: &Machine, headers: &HeaderMap) -> Result<(), Refused> {
    let given = headers.get("fly-machine-lease-nonce").and_then(|value| value.to_str().ok());
    match &machine.lease {
        Some((nonce, until)) if *until > Instant::now() && given != Some(nonce) => {
            Err(refusal(StatusCode::CONFLICT, "machine is leased by somebody else", "unknown"))
        }
        _ => Ok(()),
    }
}

async fn list(
    State(store): State<Arc<Store>>,
    Query(query): Query<BTreeMap<String, String>>,
    headers: HeaderMap,
) -> Response {
    answered(
        async {
            store.admitted(&headers)?;
            store.paced("get", "app")?;
            let with_deleted = query.get("include_deleted").is_some_and(|yes| yes == "true");
            let marked = |machine: &Machine| {
                let mut marks = query.iter().filter_map(|(name, value)| Some((name.strip_prefix("metadata.")?, value)));
                marks.all(|(name, value)| machine.config["metadata"][name] == value.as_str())
            };
            let all = store.all();
            let found = all.iter().filter(|m| (with_deleted || m.state != "destroyed") && marked(m));
            Ok(Json(found.map(|machine| store.shown(machine)).collect::<Vec<_>>()).into_response())
        }
        .await,
    )
}

async fn create(
    State(store): State<Arc<Store>>,
    Path(app): Path<String>,
    headers: HeaderMap,
    Json(asked): Json<Value>,
) -> Response {
    answered(
        async {
            store.admitted(&headers)?;
            store.paced("create", &app)?;
            tokio::time::sleep(store.delays.create).await;
            let region = asked["region"].as_str().unwrap_or("iad").to_owned();
            if store.full.lock().contains(&region) {
                return Err(store.no_room());
            }
            let living = store.all().into_iter().filter(|machine| machine.state != "destroyed");
            let (names, count) = living.fold((BTreeSet::new(), 0), |(mut names, count), machine| {
                names.insert(machine.name);
                (names, count + 1)
            });
            if store.quota.lock().is_some_and(|most| count >= most) {
                return Err(refusal(StatusCode::FORBIDDEN, "organization machine limit reached", "quota"));
            }
            let made = {
                let mut made = store.made.lock();
                *made += 1;
                *made
            };
            let name = asked["name"].as_str().map_or_else(|| format!("machine-{made}"), ToOwned::to_owned);
            if names.contains(&name) {
                return Err(refusal(StatusCode::CONFLICT, "name already in use", "name_taken"));
            }
            let skip = asked["skip_launch"] == true;
            let now = Instant::now();
            let machine = Machine {
                id: format!("{:014x}", u64::from(made) | 0x9080_0000_0000),
                name,
                region,
                instance: uuid::Uuid::new_v4().simple().to_string(),
                address: store.address(made),
                config: asked["config"].clone(),
                state: "created",
                next: Some(if skip {
                    ("stopped", now + store.delays.settle)
                } else {
                    ("started", now + store.delays.start)
                }),
                lease: None,
            };
            let shown = store.shown(&machine);
            if !skip {
                store.boot(&machine)?;
            }
            store.machines.lock().push(machine);
            Ok(Json(shown).into_response())
        }
        .await,
    )
}

async fn read(State(store): State<Arc<Store>>, Path((_, id)): Path<(String, String)>, headers: HeaderMap) -> Response {
    answered(
        async {
            store.admitted(&headers)?;
            store.paced("get", &id)?;
            store.settle();
            let machines = store.machines.lock();
            let found = machines.iter().find(|machine| machine.id == id);
            let found = found.ok_or_else(|| refusal(StatusCode::NOT_FOUND, "machine not found", "unknown"))?;
            Ok(Json(store.shown(found)).into_response())
        }
        .await,
    )
}

async fn update(
    State(store): State<Arc<Store>>,
    Path((_, id)): Path<(String, String)>,
    headers: HeaderMap,
    Json(asked): Json<Value>,
) -> Response {
    answered(
        async {
            store.admitted(&headers)?;
            store.paced("update", &id)?;
            let changed = store.change(&id, |machine| {
                held(machine, &headers)?;
                machine.config = asked["config"].clone();
                machine.instance = uuid::Uuid::new_v4().simple().to_string();
                Ok(machine.clone())
            })?;
            Ok(Json(store.shown(&changed)).into_response())
        }
        .await,
    )
}

async fn launch(
    State(store): State<Arc<Store>>,
    Path((_, id)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    answered(
        async {
            store.admitted(&headers)?;
            store.paced("start", &id)?;
            let (before, machine) = store.change(&id, |machine| {
                held(machine, &headers)?;
                if machine.state != "stopped" {
                    let state = machine.state;
                    let error = format!("failed_precondition: unable to start machine from current state: '{state}'");
                    return Err(refusal(StatusCode::PRECONDITION_FAILED, &error, "unknown"));
                }
                let before = std::mem::replace(&mut machine.state, "starting");
                machine.next = Some(("started", Instant::now() + store.delays.start));
                Ok((before, machine.clone()))
            })?;
            store.boot(&machine)?;
            Ok(Json(json!({ "previous_state": before, "migrated": false, "new_host": "" })).into_response())
        }
        .await,
    )
}

async fn stop(State(store): State<Arc<Store>>, Path((_, id)): Path<(String, String)>, headers: HeaderMap) -> Response {
    answered(
        async {
            store.admitted(&headers)?;
            store.paced("stop", &id)?;
            store.change(&id, |machine| {
                held(machine, &headers)?;
                if machine.state != "stopped" {
                    machine.state = "stopping";
                    machine.next = Some(("stopped", Instant::now() + store.delays.stop));
                }
                Ok(())
            })?;
            Ok(Json(json!({ "ok": true })).into_response())
        }
        .await,
    )
}

async fn destroy(
    State(store): State<Arc<Store>>,
    Path((_, id)): Path<(String, String)>,
    Query(query): Query<BTreeMap<String, String>>,
    headers: HeaderMap,
) -> Response {
    answered(
        async {
            store.admitted(&headers)?;
            store.paced("destroy", &id)?;
            let force = query.get("force").is_some_and(|yes| yes == "true");
            store.change(&id, |machine| {
                held(machine, &headers)?;
                if !force && machine.state == "started" {
                    let error = "failed_precondition: unable to destroy machine from current state: 'started'";
                    return Err(refusal(StatusCode::PRECONDITION_FAILED, error, "unknown"));
                }
                machine.state = "destroying";
                machine.next = Some(("destroyed", Instant::now() + store.delays.destroy));
                Ok(())
            })?;
            Ok(Json(json!({ "ok": true })).into_response())
        }
        .await,
    )
}

async fn wait(
    State(store): State<Arc<Store>>,
    Path((_, id)): Path<(String, String)>,
    Query(query): Query<BTreeMap<String, String>>,
    headers: HeaderMap,
) -> Response {
    answered(
        async {
            store.admitted(&headers)?;
            let wanted = query.get("state").cloned().unwrap_or_default();
            let seconds = query.get("timeout").and_then(|text| text.parse().ok()).unwrap_or(60);
            let until = Instant::now() + Duration::from_secs(seconds);
            loop {
                let found = store.all().into_iter().find(|machine| machine.id == id);
                let found = found.ok_or_else(|| refusal(StatusCode::NOT_FOUND, "machine not found", "unknown"))?;
                if found.state == wanted {
                    return Ok(Json(json!({ "ok": true })).into_response());
                }
                if Instant::now() >= until {
                    return Err(refusal(StatusCode::REQUEST_TIMEOUT, "deadline_exceeded", "unknown"));
                }
                tokio::time::sleep(WAIT_POLL).await;
            }
        }
        .await,
    )
}

async fn lease(
    State(store): State<Arc<Store>>,
    Path((_, id)): Path<(String, String)>,
    headers: HeaderMap,
    Json(asked): Json<Value>,
) -> Response {
    answered(async {
        store.admitted(&headers)?;
        let ttl = Duration::from_secs(asked["ttl"].as_u64().unwrap_or(15));
        let nonce = store.change(&id, |machine| {
            held(machine, &headers)?;
            let known = machine.lease.as_ref().filter(|(_, until)| *until > Instant::now()).map(|(nonce, _)| nonce.clone());
            let nonce = known.unwrap_or_else(|| uuid::Uuid::new_v4().simple().to_string());
            machine.lease = Some((nonce.clone(), Instant::now() + ttl));
            Ok(nonce)
        })?;
        let data = json!({ "nonce": nonce, "expires_at": 4_102_444_800_u64, "owner": "valet", "description": asked["description"] });
        Ok((StatusCode::CREATED, Json(json!({ "status": "success", "data": data }))).into_response())
    }
    .await)
}

async fn release(
    State(store): State<Arc<Store>>,
    Path((_, id)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    answered(
        async {
            store.admitted(&headers)?;
            store.change(&id, |machine| {
                held(machine, &headers)?;
                machine.lease = None;
                Ok(())
            })?;
            Ok(StatusCode::OK.into_response())
        }
        .await,
    )
}

async fn set_metadata(
    State(store): State<Arc<Store>>,
    Path((_, id, key)): Path<(String, String, String)>,
    headers: HeaderMap,
    Json(asked): Json<Value>,
) -> Response {
    answered(
        async {
            store.admitted(&headers)?;
            store.change(&id, |machine| {
                held(machine, &headers)?;
                machine.config["metadata"][key] = asked["value"].clone();
                Ok(())
            })?;
            Ok(StatusCode::NO_CONTENT.into_response())
        }
        .await,
    )
}
