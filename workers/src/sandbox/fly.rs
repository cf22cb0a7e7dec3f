//! Tier 3: a machine at Fly for each sandbox, with a browser and its gate in it.
//!
//! Nothing is kept here. A machine's name and marks hold the sandbox's id and its run, so that whoever lists finds it; the gate's secret is
//! derived from the account's token and the id. A machine ends itself with its gate, whose lease ends (`auto_destroy`).
//!
//! Machines that were made before they are needed ([`FlyProvider::fill_pool`]) were never started: they are taken by a lease of Fly's, so
//! that nobody else takes them too, and get the sandbox's own configuration.

mod client;
mod machine;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use rustls::pki_types::CertificateDer;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;
use valet_protocol::worker::Callback;

use super::gate_client::{GateAnswer, GateClient};
use super::secret::hex;
use super::{
    Attachment, FenceNumber, LiveView, ProvisionRequest, Sandbox, SandboxError, SandboxId, SandboxKind,
    SandboxProvider, SandboxState,
};
use crate::gate::state::unix_ms;
use crate::gate::{BrowserKind, EgressRule, GateConfig, GateLimits, GatePhase, GateState, HostPort};
use crate::vendor::Secret;
use client::{Client, Refusal};
use machine::{Machine, Standing};

pub(super) const NAME: &str = "fly";
/// Marks of our machines.
const KIND: &str = "valet_kind";
const SANDBOX: &str = "valet_sandbox";
const RUN: &str = "valet_run";
const CREATED: &str = "valet_created_ms";
const IMAGE: &str = "valet_image";
/// Where the image's gate reads how it is to be.
const GATE_FILE: &str = "/etc/valet/gate.json";
/// A machine that was never started answers a start with 412 for some seconds.
const SETTLE_POLL: Duration = Duration::from_millis(500);
/// Between two looks at a gate that is coming up.
const GATE_POLL: Duration = Duration::from_millis(250);
/// Fly waits for a state for a minute at most; shorter, so that other ends are seen too.
const WAIT_S: u32 = 10;
/// Taking a machine of the pool: two calls.
const TAKING: Duration = Duration::from_secs(30);

#[derive(Clone)]
pub struct FlyConfig {
    pub url: String,
    pub token: Secret,
    pub app: String,
    pub image: String,
    /// The first that has room.
    pub regions: Vec<String>,
    /// Where the gate of a machine listens.
    pub gate_port: u16,
    pub kind: BrowserKind,
    /// Programs in the image.
    pub driver: PathBuf,
    pub browser: PathBuf,
    pub start_within: Duration,
    /// Where people see a machine's screen; `{app}` and `{machine}` are filled in. `None`: nowhere.
    pub live_view: Option<String>,
    pub opened: Vec<HostPort>,
    pub authorities: Vec<CertificateDer<'static>>,
}

impl FlyConfig {
    pub fn new(token: Secret, app: String, image: String) -> Self {
        Self {
            url: "https://api.machines.dev".to_owned(),
            token,
            app,
            image,
            regions: vec!["iad".to_owned()],
            gate_port: 7400,
            kind: BrowserKind::Firefox,
            driver: "/usr/local/bin/geckodriver".into(),
            browser: "/usr/local/bin/browser".into(),
            start_within: Duration::from_mins(2),
            live_view: None,
            opened: Vec::new(),
            authorities: Vec::new(),
        }
    }
}

pub struct FlyProvider {
    config: FlyConfig,
    client: Client,
    gate: GateClient,
}

impl FlyProvider {
    pub fn new(config: FlyConfig) -> Self {
        Self { client: Client::new(&config), gate: GateClient::new(), config }
    }

    /// Has so many machines wait, and none of another image. Who fills the same pool at the same time may make one too many, which is used.
    pub async fn fill_pool(&self, size: u32) -> Result<(), SandboxError> {
        let nobody = SandboxId(Uuid::nil());
        let pool = self.client.list(&[(KIND, "pool")], false).await.map_err(|refusal| refusal.of(nobody))?;
        let there = pool.into_iter().filter(|machine| machine.standing() != Standing::Gone);
        let (ready, stale): (Vec<_>, Vec<_>) = there.partition(|one| one.mark(IMAGE) == Some(&self.config.image));
        for machine in stale {
            match self.client.destroy(&machine.id).await {
                // Taken by a worker that has the other image.
                Ok(()) | Err(Refusal::Missing | Refusal::Held) => {}
                Err(refusal) => return Err(refusal.of(nobody)),
            }
        }
        for _ in ready.len()..size as usize {
            self.add_to_pool().await?;
        }
        Ok(())
    }

    /// A machine that waits, unstarted, until a sandbox needs one.
    async fn add_to_pool(&self) -> Result<(), SandboxError> {
        let id = SandboxId(Uuid::now_v7());
        let config = json!({
            "image": self.config.image,
            "guest": guest(),
            "metadata": { KIND: "pool", IMAGE: self.config.image },
            "restart": { "policy": "no" },
            // One that ends would be gone, and a pool of machines that go is none.
            "auto_destroy": false,
        });
        let body = json!({ "name": format!("valet-pool-{}", id.0.simple()), "config": config, "skip_launch": true });
        self.create(id, body).await.map(drop)
    }

    /// In the first region that has room.
    async fn create(&self, id: SandboxId, mut body: Value) -> Result<Machine, SandboxError> {
        let mut full = Vec::new();
        for region in &self.config.regions {
            body["region"] = json!(region);
            match self.client.create(&body).await {
                Ok(machine) => return Ok(machine),
                Err(Refusal::Full(detail)) => full.push(format!("{region}: {detail}")),
                // Whoever asked for it before got no answer.
                Err(Refusal::Taken) => {
                    let reason = "its name is taken".to_owned();
                    return self.marked(id, false).await?.pop().ok_or(SandboxError::Ambiguous {
                        provider: NAME,
                        id,
                        reason,
                    });
                }
                Err(refusal) => return Err(refusal.making(id)),
            }
        }
        Err(SandboxError::NoRoom { provider: NAME, detail: full.join("; ") })
    }

    /// Takes a machine of the pool for the sandbox, if there is one that nobody else takes.
    async fn take_from_pool(&self, id: SandboxId, config: &Value) -> Result<Option<Machine>, SandboxError> {
        let marks = [(KIND, "pool"), (IMAGE, self.config.image.as_str())];
        let pool = self.client.list(&marks, false).await.map_err(|refusal| refusal.of(id))?;
        let waiting = pool.into_iter().filter(|machine| matches!(machine.state.as_str(), "created" | "stopped"));
        for machine in waiting {
            let nonce = match self.client.lease(&machine.id, TAKING).await {
                Ok(nonce) => nonce,
                Err(Refusal::Held | Refusal::Missing) => continue,
                Err(refusal) => return Err(refusal.of(id)),
            };
            // Another may have taken it between the list and the lease.
            let still = self.client.get(&machine.id).await;
            if !still.as_ref().is_ok_and(|now| now.mark(KIND) == Some("pool")) {
                self.let_go(&machine.id, &nonce).await;
                continue;
            }
            let taken = self.client.update(&machine.id, config, &nonce).await;
            self.let_go(&machine.id, &nonce).await;
            return taken.map(Some).map_err(|refusal| refusal.making(id));
        }
        Ok(None)
    }

    /// A lease that stays ends by itself.
    async fn let_go(&self, machine: &str, nonce: &str) {
        if let Err(refusal) = self.client.release(machine, nonce).await {
            tracing::debug!(machine, ?refusal, "a lease was not given back");
        }
    }

    async fn marked(&self, id: SandboxId, gone_too: bool) -> Result<Vec<Machine>, SandboxError> {
        let text = id.to_string();
        self.client.list(&[(SANDBOX, &text)], gone_too).await.map_err(|refusal| refusal.of(id))
    }

    /// The sandbox's machine, which is not gone. Where an attempt that was given up made another, everybody takes the same.
    async fn machine(&self, id: SandboxId) -> Result<Machine, SandboxError> {
        let found = self.marked(id, false).await?;
        let there = found.into_iter().filter(|machine| machine.standing() != Standing::Gone);
        there.min_by(|one, other| one.id.cmp(&other.id)).ok_or(SandboxError::NotFound(id))
    }

    fn secret(&self, id: SandboxId) -> String {
        hex(&Sha256::digest(format!("valet/gate/{id}/{}", self.config.token.expose())))
    }

    /// Derived, so that a holder that lost the answer gets the same key again.
    fn fence_key(&self, id: SandboxId, fence: FenceNumber) -> String {
        hex(&Sha256::digest(format!("{}/fence/{}", self.secret(id), fence.0)))
    }

    fn gate_at(&self, machine: &Machine) -> Option<SocketAddr> {
        let address: IpAddr = machine.private_ip.as_deref()?.parse().ok()?;
        Some(SocketAddr::new(address, self.config.gate_port))
    }

    fn configuration(&self, request: &ProvisionRequest) -> Result<Value, SandboxError> {
        let id = SandboxId(request.sandbox_id);
        let gate = GateConfig {
            sandbox_dir: "/var/lib/valet/sandbox".into(),
            control_secret: self.secret(id),
            fence: 0,
            fence_key: self.fence_key(id, FenceNumber(0)),
            lease_s: request.lease.as_secs().max(1),
            kind: self.config.kind,
            driver: self.config.driver.clone(),
            browser: self.config.browser.clone(),
            headless: false,
            display: Some(":99".to_owned()),
            xvfb: "/usr/bin/Xvfb".into(),
            adopt: false,
            listen: Some(SocketAddr::new(IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED), self.config.gate_port)),
            window_px: (1280, 1000),
            allowed_hosts: request.allowed_hosts.clone(),
            allow_private: request.allow_private.clone(),
            limits: GateLimits::default(),
        };
        let gate = serde_json::to_vec(&gate).map_err(|error| SandboxError::InvalidRequest(error.to_string()))?;
        let mut marks = json!({ KIND: "sandbox", SANDBOX: id.to_string(), CREATED: unix_ms().to_string() });
        if let Some(run) = request.run {
            marks[RUN] = json!(run.0.to_string());
        }
        let mut env = json!({ "VALET_GATE_CONFIG": GATE_FILE });
        if let Some(Callback { url, token }) = &request.callback {
            (env["VALET_CALLBACK_URL"], env["VALET_CALLBACK_TOKEN"]) = (json!(url), json!(token));
        }
        Ok(json!({
            "image": self.config.image,
            "guest": guest(),
            "env": env,
            "files": [{ "guest_path": GATE_FILE, "raw_value": STANDARD.encode(gate) }],
            "metadata": marks,
            "restart": { "policy": "no" },
            "auto_destroy": true,
            "stop_config": { "signal": "SIGTERM", "timeout": "10s" },
        }))
    }

    /// One look at a machine that is to become ready.
    async fn look(&self, id: SandboxId, machine: &Machine) -> Result<Option<Sandbox>, SandboxError> {
        match machine.standing() {
            Standing::Up => {
                let at = self.gate_at(machine).ok_or_else(|| silent(id, "it has no address"))?;
                match self.gate.status(at, &self.secret(id)).await {
                    Ok(state) if state.phase == GatePhase::Ready => {
                        return Ok(Some(sandbox(id, machine, Some(&state))));
                    }
                    Ok(state) if state.phase == GatePhase::Ended => return Err(gone(id, "its browser ended")),
                    // Its gate is not there before its system is.
                    Ok(_) | Err(_) => tokio::time::sleep(GATE_POLL).await,
                }
            }
            Standing::Asleep => match self.client.start(&machine.id).await {
                Ok(()) => {}
                Err(Refusal::NotNow(_) | Refusal::TooMany(_)) => tokio::time::sleep(SETTLE_POLL).await,
                Err(refusal) => return Err(refusal.of(id)),
            },
            Standing::Gone => return Err(gone(id, &format!("its machine is {}", machine.state))),
            Standing::Coming => match self.client.wait(machine, "started", WAIT_S).await {
                // Whether it came is seen by the next look; a machine that ended answers otherwise at once.
                Ok(()) | Err(Refusal::NotNow(_) | Refusal::Missing) => {}
                Err(_) => tokio::time::sleep(SETTLE_POLL).await,
            },
            // A word that nobody knows yet: it may still come.
            Standing::Unknown => tokio::time::sleep(SETTLE_POLL).await,
        }
        Ok(None)
    }

    /// The session as soon as there is one.
    async fn session(
        &self,
        id: SandboxId,
        at: SocketAddr,
        mut state: GateState,
    ) -> Result<(String, GateState), SandboxError> {
        let deadline = Instant::now() + self.config.start_within;
        loop {
            if let Some(session) = state.session_id.clone() {
                return Ok((session, state));
            }
            if Instant::now() >= deadline {
                return Err(silent(id, "it has no browser session"));
            }
            tokio::time::sleep(GATE_POLL).await;
            let asked = self.gate.status(at, &self.secret(id)).await;
            state = asked.map_err(|error| gone(id, &error.to_string()))?;
        }
    }

    async fn gate_of(&self, id: SandboxId) -> Result<(Machine, SocketAddr), SandboxError> {
        let machine = self.machine(id).await?;
        let at = self.gate_at(&machine).ok_or_else(|| silent(id, "it has no address"))?;
        Ok((machine, at))
    }
}

/// What a browser with a window needs.
fn guest() -> Value {
    json!({ "cpu_kind": "performance", "cpus": 2, "memory_mb": 4096 })
}

fn sandbox(id: SandboxId, machine: &Machine, gate: Option<&GateState>) -> Sandbox {
    let state = match (machine.standing(), gate.map(|gate| gate.phase)) {
        (Standing::Up, None | Some(GatePhase::Ready)) => SandboxState::Ready,
        (Standing::Gone, _) | (_, Some(GatePhase::Ended)) => SandboxState::Lost,
        _ => SandboxState::Starting,
    };
    Sandbox {
        id,
        run: machine.mark(RUN).and_then(|run| run.parse().ok()).map(valet_core::RunId),
        kind: SandboxKind::Fly,
        state,
        created_ms: machine.mark(CREATED).and_then(|ms| ms.parse().ok()).unwrap_or_default(),
        lease_until_ms: gate.map_or(0, |gate| gate.lease_until_ms),
        session_id: gate.and_then(|gate| gate.session_id.clone()),
        debugger_address: None,
        fence: gate.map_or(0, |gate| gate.fence),
    }
}

fn gone(id: SandboxId, reason: &str) -> SandboxError {
    SandboxError::Gone { id, reason: reason.to_owned() }
}

fn silent(id: SandboxId, reason: &str) -> SandboxError {
    SandboxError::Silent { id, reason: reason.to_owned() }
}

#[async_trait]
impl SandboxProvider for FlyProvider {
    fn name(&self) -> &'static str {
        NAME
    }

    fn kind(&self) -> SandboxKind {
        SandboxKind::Fly
    }

    async fn request(&self, request: &ProvisionRequest) -> Result<Sandbox, SandboxError> {
        let id = SandboxId(request.sandbox_id);
        EgressRule::new(&request.allowed_hosts, &request.allow_private)
            .map_err(|error| SandboxError::InvalidRequest(error.to_string()))?;
        // A name is free again once its machine is destroyed: what was there tells that the id is spent.
        let known = self.marked(id, true).await?;
        if let Some(machine) = known.iter().find(|machine| machine.standing() != Standing::Gone) {
            return Ok(Sandbox { state: SandboxState::Starting, ..sandbox(id, machine, None) });
        }
        if !known.is_empty() {
            return Err(SandboxError::Destroyed(id));
        }
        let config = self.configuration(request)?;
        let machine = match self.take_from_pool(id, &config).await? {
            Some(machine) => machine,
            None => self.create(id, json!({ "name": format!("valet-{}", id.0.simple()), "config": config })).await?,
        };
        Ok(Sandbox { state: SandboxState::Starting, ..sandbox(id, &machine, None) })
    }

    async fn ready(&self, id: &SandboxId) -> Result<Sandbox, SandboxError> {
        let deadline = Instant::now() + self.config.start_within;
        let mut machine = self.machine(*id).await?;
        loop {
            if let Some(sandbox) = self.look(*id, &machine).await? {
                return Ok(sandbox);
            }
            if Instant::now() >= deadline {
                let reason = format!("it is still starting; its machine is `{}`", machine.state);
                return Err(SandboxError::Silent { id: *id, reason });
            }
            match self.client.get(&machine.id).await {
                Ok(now) => machine = now,
                Err(Refusal::Missing) => return Err(gone(*id, "its machine is gone")),
                // What the machine was is still to be looked at.
                Err(Refusal::TooMany(_) | Refusal::Unknown(_)) => tokio::time::sleep(SETTLE_POLL).await,
                Err(refusal) => return Err(refusal.of(*id)),
            }
        }
    }

    async fn attach(&self, id: &SandboxId, fence: FenceNumber) -> Result<Attachment, SandboxError> {
        let (_, at) = self.gate_of(*id).await?;
        let key = self.fence_key(*id, fence);
        let state = match self.gate.rekey(at, &self.secret(*id), &key, fence.0).await {
            Ok(state) => state,
            Err(GateAnswer::Stale { current }) => {
                return Err(SandboxError::StaleFence { id: *id, offered: fence.0, current });
            }
            Err(error) => return Err(silent(*id, &error.to_string())),
        };
        let (session_id, state) = self.session(*id, at, state).await?;
        let webdriver_url = format!("http://{at}/{key}/");
        Ok(Attachment { sandbox: *id, fence, webdriver_url, session_id, capabilities: state.capabilities })
    }

    async fn renew(&self, id: &SandboxId, lease: Duration) -> Result<(), SandboxError> {
        let (_, at) = self.gate_of(*id).await?;
        let renewed = self.gate.renew(at, &self.secret(*id), lease.as_secs().max(1)).await;
        renewed.map_err(|error| silent(*id, &error.to_string()))
    }

    async fn stage_file(
        &self,
        id: &SandboxId,
        file: Uuid,
        filename: &str,
        content: &[u8],
    ) -> Result<PathBuf, SandboxError> {
        let (_, at) = self.gate_of(*id).await?;
        let staged = self.gate.stage(at, &self.secret(*id), (file, filename), Bytes::copy_from_slice(content)).await;
        staged.map_err(|error| match error {
            GateAnswer::Refused(why) => SandboxError::InvalidRequest(why),
            error => silent(*id, &error.to_string()),
        })
    }

    async fn live_view(&self, id: &SandboxId) -> Result<LiveView, SandboxError> {
        let Some(address) = &self.config.live_view else {
            return Err(SandboxError::Unsupported { provider: NAME, verb: "live_view" });
        };
        let machine = self.machine(*id).await?;
        Ok(LiveView { url: address.replace("{app}", &self.config.app).replace("{machine}", &machine.id) })
    }

    /// A machine that stops destroys itself.
    async fn stop(&self, id: &SandboxId) -> Result<(), SandboxError> {
        let machine = self.machine(*id).await?;
        match self.client.stop(&machine.id).await {
            Ok(()) | Err(Refusal::Missing) => {}
            Err(refusal) => return Err(refusal.of(*id)),
        }
        match self.client.wait(&machine, "stopped", WAIT_S).await {
            Ok(()) | Err(Refusal::Missing | Refusal::NotNow(_)) => Ok(()),
            Err(refusal) => Err(refusal.of(*id)),
        }
    }

    async fn destroy(&self, id: &SandboxId) -> Result<(), SandboxError> {
        for machine in self.marked(*id, false).await? {
            if machine.standing() == Standing::Gone {
                continue;
            }
            match self.client.destroy(&machine.id).await {
                Ok(()) | Err(Refusal::Missing) => {}
                Err(Refusal::Held) => return Err(SandboxError::Busy(*id)),
                Err(refusal) => return Err(refusal.making(*id)),
            }
            match self.client.wait(&machine, "destroyed", WAIT_S).await {
                Ok(()) | Err(Refusal::Missing) => {}
                Err(refusal) => return Err(refusal.making(*id)),
            }
        }
        Ok(())
    }

    async fn list(&self) -> Result<Vec<Sandbox>, SandboxError> {
        let nobody = SandboxId(Uuid::nil());
        let found = self.client.list(&[(KIND, "sandbox")], false).await.map_err(|refusal| refusal.of(nobody))?;
        let ours = found.iter().filter(|machine| machine.standing() != Standing::Gone);
        Ok(ours.filter_map(|machine| Some(sandbox(machine.mark(SANDBOX)?.parse().ok()?, machine, None))).collect())
    }
}
