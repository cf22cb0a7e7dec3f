//! Stands before a provider: settles by its list what a lost answer leaves open, gives it a rest when it fails again and again, and counts.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use metrics::{counter, gauge};
use parking_lot::Mutex;
use uuid::Uuid;

use super::breaker::Breaker;
use super::{
    Attachment, FailureClass, FenceNumber, LiveView, ProvisionRequest, Sandbox, SandboxError, SandboxId, SandboxKind,
    SandboxProvider, SandboxState,
};

pub struct Guarded<P> {
    provider: Arc<P>,
    breaker: Mutex<Breaker>,
}

impl<P: SandboxProvider> Guarded<P> {
    pub fn new(provider: Arc<P>) -> Self {
        Self { provider, breaker: Mutex::default() }
    }

    /// What a call came to, for people.
    fn noted<T>(&self, verb: &'static str, came_to: Result<T, SandboxError>) -> Result<T, SandboxError> {
        let result = match &came_to {
            Ok(_) => "ok",
            Err(error) => error.class().as_str(),
        };
        counter!("valet_sandbox_calls_total", "provider" => self.name(), "verb" => verb, "result" => result)
            .increment(1);
        came_to
    }

    /// The same of a call that makes a sandbox: only these tell whether the provider makes any.
    fn made<T>(&self, verb: &'static str, came_to: Result<T, SandboxError>) -> Result<T, SandboxError> {
        let mut breaker = self.breaker.lock();
        match &came_to {
            Ok(_) => breaker.succeeded(),
            Err(error) if counts(error) => breaker.failed(Instant::now()),
            Err(_) => {}
        }
        let resting = breaker.resting(Instant::now()).is_some();
        gauge!("valet_sandbox_provider_resting", "provider" => self.name()).set(f64::from(u8::from(resting)));
        drop(breaker);
        self.noted(verb, came_to)
    }

    /// Whether something is there after an answer that was lost. A list that fails as well leaves the question open.
    async fn settled(&self, id: SandboxId) -> Result<Option<Sandbox>, SandboxError> {
        let listed = self.noted("list", self.provider.list().await)?;
        Ok(listed.into_iter().find(|sandbox| sandbox.id == id))
    }
}

/// What speaks against the provider, not against who asks or the one sandbox.
fn counts(error: &SandboxError) -> bool {
    match error.class() {
        FailureClass::Auth | FailureClass::Rate | FailureClass::Quota => true,
        FailureClass::Provider => !matches!(error, SandboxError::Silent { .. } | SandboxError::Leftover { .. }),
        FailureClass::Capacity | FailureClass::Gone | FailureClass::Unsupported | FailureClass::Caller => false,
    }
}

#[async_trait]
impl<P: SandboxProvider> SandboxProvider for Guarded<P> {
    fn name(&self) -> &'static str {
        self.provider.name()
    }

    fn kind(&self) -> SandboxKind {
        self.provider.kind()
    }

    fn resting(&self) -> Option<Duration> {
        self.breaker.lock().resting(Instant::now())
    }

    /// Never asked for twice on a lost answer: what the list shows is what there is.
    async fn request(&self, request: &ProvisionRequest) -> Result<Sandbox, SandboxError> {
        let entered = self.breaker.lock().enter(Instant::now());
        entered.map_err(|again_in| SandboxError::Resting { provider: self.name(), again_in })?;
        let asked = self.made("request", self.provider.request(request).await);
        let Err(lost @ SandboxError::Ambiguous { .. }) = asked else { return asked };
        let id = SandboxId(request.sandbox_id);
        match self.settled(id).await {
            Ok(Some(sandbox)) if sandbox.state != SandboxState::Lost => Ok(sandbox),
            _ => Err(lost),
        }
    }

    async fn ready(&self, id: &SandboxId) -> Result<Sandbox, SandboxError> {
        self.made("ready", self.provider.ready(id).await)
    }

    async fn attach(&self, id: &SandboxId, fence: FenceNumber) -> Result<Attachment, SandboxError> {
        self.noted("attach", self.provider.attach(id, fence).await)
    }

    async fn renew(&self, id: &SandboxId, lease: Duration) -> Result<(), SandboxError> {
        self.noted("renew", self.provider.renew(id, lease).await)
    }

    async fn stage_file(
        &self,
        id: &SandboxId,
        file: Uuid,
        filename: &str,
        content: &[u8],
    ) -> Result<PathBuf, SandboxError> {
        self.noted("stage_file", self.provider.stage_file(id, file, filename, content).await)
    }

    async fn park(&self, id: &SandboxId) -> Result<(), SandboxError> {
        self.noted("park", self.provider.park(id).await)
    }

    async fn resume(&self, id: &SandboxId) -> Result<(), SandboxError> {
        self.noted("resume", self.provider.resume(id).await)
    }

    async fn live_view(&self, id: &SandboxId) -> Result<LiveView, SandboxError> {
        self.noted("live_view", self.provider.live_view(id).await)
    }

    async fn stop(&self, id: &SandboxId) -> Result<(), SandboxError> {
        self.noted("stop", self.provider.stop(id).await)
    }

    /// Also while the provider rests: what is there costs something.
    async fn destroy(&self, id: &SandboxId) -> Result<(), SandboxError> {
        let ended = self.noted("destroy", self.provider.destroy(id).await);
        let Err(lost @ SandboxError::Ambiguous { .. }) = ended else { return ended };
        match self.settled(*id).await {
            Ok(None) => Ok(()),
            _ => Err(lost),
        }
    }

    async fn list(&self) -> Result<Vec<Sandbox>, SandboxError> {
        self.noted("list", self.provider.list().await)
    }
}
