//! The Machines API, at the pace that Fly takes: one request a second for each verb of the app or of a machine, bursts of three; reading has
//! five a second, bursts of ten. A little less is asked for, since what leaves here evenly arrives less so.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use valet_outward::Method;

use super::machine::Machine;
use super::{FlyConfig, NAME};
use crate::sandbox::{SandboxError, SandboxId};
use crate::vendor::{Ask, Pace, Secret, Told, Vendor, VendorConfig, VendorError};

const EVERY: Duration = Duration::from_millis(1_050);
const BURST: u32 = 2;
const READS_EVERY: Duration = Duration::from_millis(220);
const READS_BURST: u32 = 8;
/// Other workers read too; who only reads may come again.
const READS_MAX: u32 = 4;
/// What takes longer is the step's to wait for.
const READS_PAUSE_MAX: Duration = Duration::from_secs(3);

/// Why Fly did not do as it was asked.
#[derive(Debug)]
pub enum Refusal {
    /// There is no such machine.
    Missing,
    /// No room in the region.
    Full(String),
    /// The name is another machine's.
    Taken,
    /// Somebody else holds its lease.
    Held,
    /// The machine is in no state for it, or is not there yet.
    NotNow(String),
    TooMany(Duration),
    Auth(String),
    Quota(String),
    Invalid(String),
    /// Certainly not done.
    Away(String),
    /// It may have been done.
    Unknown(String),
}

impl Refusal {
    /// Of a question, or of what may be asked again.
    pub fn of(self, id: SandboxId) -> SandboxError {
        match self {
            Self::Missing => SandboxError::NotFound(id),
            Self::Full(detail) => SandboxError::NoRoom { provider: NAME, detail },
            Self::Held | Self::Taken => SandboxError::Busy(id),
            Self::TooMany(again_in) => SandboxError::Rate { provider: NAME, again_in },
            Self::Auth(detail) => SandboxError::Auth { provider: NAME, detail },
            Self::Quota(detail) => SandboxError::Quota { provider: NAME, detail },
            Self::Invalid(why) => SandboxError::InvalidRequest(why),
            Self::NotNow(reason) | Self::Away(reason) | Self::Unknown(reason) => SandboxError::Silent { id, reason },
        }
    }

    /// Of what makes or ends something.
    pub fn making(self, id: SandboxId) -> SandboxError {
        match self {
            Self::Unknown(reason) => SandboxError::Ambiguous { provider: NAME, id, reason },
            other => other.of(id),
        }
    }
}

#[derive(Deserialize)]
struct Complaint {
    #[serde(default)]
    error: String,
    #[serde(default)]
    status: String,
}

#[derive(Deserialize)]
struct Lease {
    data: LeaseData,
}

#[derive(Deserialize)]
struct LeaseData {
    nonce: String,
}

pub struct Client {
    vendor: Vendor,
    token: Secret,
    app: String,
    creates: Pace,
    reads: Pace,
}

impl Client {
    pub fn new(config: &FlyConfig) -> Self {
        let FlyConfig { opened, authorities, .. } = config.clone();
        Self {
            vendor: Vendor::new("Fly", &config.url, VendorConfig { opened, authorities }),
            token: config.token.clone(),
            app: config.app.clone(),
            creates: Pace::new(EVERY, BURST),
            reads: Pace::new(READS_EVERY, READS_BURST),
        }
    }

    pub async fn list(&self, marks: &[(&str, &str)], gone_too: bool) -> Result<Vec<Machine>, Refusal> {
        let ask = || {
            let mut ask = self.ask(Method::GET, &[])?;
            for (name, value) in marks {
                ask = ask.query(&format!("metadata.{name}"), value);
            }
            Ok(if gone_too { ask.query("include_deleted", "true") } else { ask })
        };
        read(&self.look(ask).await?)
    }

    async fn look(&self, ask: impl Fn() -> Result<Ask, Refusal>) -> Result<Told, Refusal> {
        let mut looks = 1;
        loop {
            self.reads.turn().await;
            match self.tell(ask()?).await {
                Err(Refusal::TooMany(pause)) if looks < READS_MAX && pause <= READS_PAUSE_MAX => {
                    self.reads.pause(pause);
                }
                told => return told,
            }
            looks += 1;
        }
    }

    pub async fn create(&self, body: &Value) -> Result<Machine, Refusal> {
        self.creates.turn().await;
        let made = self.tell(self.ask(Method::POST, &[])?.json(body)).await;
        if let Err(Refusal::TooMany(pause)) = &made {
            self.creates.pause(*pause);
        }
        read(&made?)
    }

    pub async fn get(&self, machine: &str) -> Result<Machine, Refusal> {
        read(&self.look(|| self.ask(Method::GET, &[machine])).await?)
    }

    pub async fn update(&self, machine: &str, config: &Value, nonce: &str) -> Result<Machine, Refusal> {
        let ask = self.ask(Method::POST, &[machine])?.json(&json!({ "config": config, "skip_launch": true }));
        read(&self.tell(leased(ask, nonce)?).await?)
    }

    pub async fn start(&self, machine: &str) -> Result<(), Refusal> {
        self.tell(self.ask(Method::POST, &[machine, "start"])?).await.map(drop)
    }

    pub async fn stop(&self, machine: &str) -> Result<(), Refusal> {
        let ask = self.ask(Method::POST, &[machine, "stop"])?.json(&json!({ "signal": "SIGTERM", "timeout": "10s" }));
        self.tell(ask).await.map(drop)
    }

    pub async fn wait(&self, machine: &Machine, state: &str, timeout_s: u32) -> Result<(), Refusal> {
        let ask = self.ask(Method::GET, &[&machine.id, "wait"])?.query("state", state);
        let mut ask = ask.query("timeout", &timeout_s.to_string());
        // Without it a stopped machine of another version would do.
        if let Some(instance) = machine.instance_id.as_deref().filter(|_| state == "stopped") {
            ask = ask.query("instance_id", instance);
        }
        self.tell(ask).await.map(drop)
    }

    pub async fn destroy(&self, machine: &str) -> Result<(), Refusal> {
        self.tell(self.ask(Method::DELETE, &[machine])?.query("force", "true")).await.map(drop)
    }

    /// Nobody else changes the machine for so long.
    pub async fn lease(&self, machine: &str, ttl: Duration) -> Result<String, Refusal> {
        let body = json!({ "description": "valet takes it from the pool", "ttl": ttl.as_secs() });
        let lease: Lease = read(&self.tell(self.ask(Method::POST, &[machine, "lease"])?.json(&body)).await?)?;
        Ok(lease.data.nonce)
    }

    pub async fn release(&self, machine: &str, nonce: &str) -> Result<(), Refusal> {
        self.tell(leased(self.ask(Method::DELETE, &[machine, "lease"])?, nonce)?).await.map(drop)
    }

    fn ask(&self, method: Method, rest: &[&str]) -> Result<Ask, Refusal> {
        let path: Vec<&str> = ["v1", "apps", &self.app, "machines"].into_iter().chain(rest.iter().copied()).collect();
        let ask = self.vendor.ask(method, &[], &path).map_err(lost)?;
        Ok(ask.header("authorization", self.token.header("Bearer ").map_err(lost)?))
    }

    async fn tell(&self, ask: Ask) -> Result<Told, Refusal> {
        let told = self.vendor.tell(ask).await.map_err(lost)?;
        let trace = told.headers.get("fly-request-id").and_then(|id| id.to_str().ok()).unwrap_or_default();
        tracing::debug!(status = told.status, request = trace, "Fly answered");
        if told.is_success() { Ok(told) } else { Err(refusal(&told)) }
    }
}

fn leased(ask: Ask, nonce: &str) -> Result<Ask, Refusal> {
    Ok(ask.header("fly-machine-lease-nonce", Secret::new(nonce).header("").map_err(lost)?))
}

fn lost(error: VendorError) -> Refusal {
    match error {
        VendorError::NotSent(why) => Refusal::Away(why),
        VendorError::Lost(why) => Refusal::Unknown(why),
    }
}

/// A success that cannot be read was one all the same.
fn read<T: for<'de> Deserialize<'de>>(told: &Told) -> Result<T, Refusal> {
    told.read().map_err(|error| Refusal::Unknown(format!("its answer cannot be read: {error}")))
}

fn refusal(told: &Told) -> Refusal {
    let said = told.complaint();
    let complaint = told.read::<Complaint>().unwrap_or(Complaint { error: String::new(), status: String::new() });
    let text = complaint.error.to_lowercase();
    let full = complaint.status == "insufficient_capacity"
        || text.contains("insufficient resources")
        || text.contains("could not reserve resource");
    match told.status {
        _ if full => Refusal::Full(said),
        _ if complaint.status == "name_taken" => Refusal::Taken,
        404 => Refusal::Missing,
        408 | 412 => Refusal::NotNow(said),
        409 => Refusal::Held,
        429 => Refusal::TooMany(told.retry_after().unwrap_or(EVERY)),
        402 => Refusal::Quota(said),
        403 if text.contains("limit") || text.contains("quota") => Refusal::Quota(said),
        401 | 403 => Refusal::Auth(said),
        400 | 422 => Refusal::Invalid(said),
        _ => Refusal::Unknown(said),
    }
}
