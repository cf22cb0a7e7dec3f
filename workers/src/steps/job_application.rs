//! The steps of `job-application`, done in browsers of this machine.
//!
//! Each step takes the sandbox over with a fence higher than all before it, reads the page as it is and goes on from there:
//! so a step that is tried again after a crash finds what the attempt before it left. Only `submit` has an outward effect.

mod applicant;
mod bank;
mod direct;
mod evidence;
mod failures;
mod memory;
mod one_time_code;
mod pages;
mod rate_limit;
mod recording;
mod sign_in;
mod site_state;
mod submission;
mod tiers;

use std::sync::Arc;
use std::time::Duration;

use valet_crash_points::crash_point;
use valet_outward::Outward;
use valet_workflows::job_application::steps::{
    AnswerObstacle, CheckForm, CheckSubmission, Cleanup, DIRECT, FillPage, NoteTier, OpenPosting, Place, Provision,
    Provisioned, ReadForm, SANDBOX_LOST, SelectTier, SendForm, Submit, WaitsForPeople,
};

use crate::browser::{AgentLimits, WebDriverAgent};
use crate::direct::Systems;
use crate::runtime::{Handlers, StepContext, StepError};
use crate::sandbox::rows::{self, Reserved, Whose};
use crate::sandbox::{FenceNumber, HostPort, ProvisionRequest, SandboxError, SandboxId, SandboxProvider};
pub(super) use evidence::witnessed;
pub(super) use failures::browser_error;
use failures::sandbox_error;
pub use memory::Memory;
pub(super) use rate_limit::leave_alone;

/// What the handlers stand on.
pub struct Browsers {
    /// Of this machine.
    pub provider: Arc<dyn SandboxProvider>,
    /// Machines at Fly, where an account is configured.
    pub fly: Option<Arc<dyn SandboxProvider>>,
    /// The machine whose browsers these are, as its workers name it.
    pub host: String,
    /// Browsers with a window can be had here.
    pub headed: bool,
    /// Those with a window are used at a person's pace.
    pub paced: bool,
    /// What a site keeps in a subject's browser is put into the next one.
    pub keeps_states: bool,
    /// Private places that browsers may reach (`VALET_ALLOW_HOSTS`).
    pub allow_private: Vec<HostPort>,
    pub limits: AgentLimits,
    /// What sites' forms have taught.
    pub memory: Memory,
    /// To the inboxes of subjects.
    pub outward: Outward,
    /// Hiring systems that take applications themselves.
    pub systems: Systems,
}

/// Adds the handlers of `job-application`.
pub fn register(handlers: Handlers, browsers: &Arc<Browsers>) -> Handlers {
    macro_rules! on {
        ($handlers:expr, $step:ty, $method:ident) => {{
            let browsers = Arc::clone(browsers);
            $handlers.on(move |ctx, step: $step| {
                let browsers = Arc::clone(&browsers);
                async move { browsers.$method(ctx, step).await }
            })
        }};
    }
    macro_rules! in_browser {
        ($handlers:expr, $step:ty, $method:ident) => {{
            let browsers = Arc::clone(browsers);
            $handlers.on(move |ctx, step: $step| {
                let browsers = Arc::clone(&browsers);
                async move {
                    let agent = browsers.attach(&ctx, &step.at).await?;
                    let (record, sandbox) = (step.at.record, SandboxId(step.at.sandbox));
                    let work = witnessed(&ctx, &agent, browsers.$method(&ctx, &agent, step));
                    let came_to = if record { recording::recorded(&ctx, &agent, work).await } else { work.await };
                    if came_to.as_ref().is_ok_and(WaitsForPeople::waits_for_people) {
                        rows::parked(&ctx, sandbox).await;
                    }
                    came_to
                }
            })
        }};
    }
    let handlers = on!(handlers, SelectTier, select_tier);
    let handlers = on!(handlers, NoteTier, note_tier);
    let handlers = on!(handlers, Provision, provision);
    let handlers = on!(handlers, ReadForm, read_form);
    let handlers = on!(handlers, SendForm, send_form);
    let handlers = on!(handlers, CheckForm, check_form);
    let handlers = in_browser!(handlers, OpenPosting, open_posting);
    let handlers = in_browser!(handlers, FillPage, fill_page);
    let handlers = in_browser!(handlers, AnswerObstacle, answer_obstacle);
    let handlers = in_browser!(handlers, Submit, submit);
    let handlers = in_browser!(handlers, CheckSubmission, check_submission);
    on!(handlers, Cleanup, cleanup)
}

impl Browsers {
    /// By which the rows of a tier's browsers are found.
    fn whose_of(&self, tier: &str) -> Whose {
        match &self.fly {
            Some(fly) if tier == tiers::FLY => Whose::anywhere(fly.as_ref()),
            _ => Whose::here(self.provider.as_ref(), &self.host),
        }
    }

    async fn provision(&self, ctx: StepContext, step: Provision) -> Result<Provisioned, StepError> {
        ctx.check()?;
        if step.at.tier == DIRECT {
            return Err(no_browser());
        }
        let request = ProvisionRequest {
            sandbox_id: step.at.sandbox,
            run: Some(ctx.run()),
            allowed_hosts: step.allowed_hosts,
            allow_private: self.allow_private.clone(),
            headless: tiers::is_headless(&step.at.tier),
            lease: Duration::from_secs(step.lease_s),
            callback: None,
        };
        let (provider, whose) = (self.provider_of(&step.at.tier)?, self.whose_of(&step.at.tier));
        let request = match rows::reserve(&ctx, &whose, &step.at.tier, &request, &step.price).await? {
            Reserved::Yes(callback) => ProvisionRequest { callback, ..request },
            Reserved::Ended { why } => return Err(StepError::fail(SANDBOX_LOST, why)),
            Reserved::Spent { usd_micros } => return Ok(Provisioned::Spent { usd_micros }),
        };
        match provider.provision(&request).await {
            Ok(_) => {}
            Err(SandboxError::Full { max }) => return Ok(Provisioned::Full { max }),
            Err(error @ (SandboxError::Resting { .. } | SandboxError::NoRoom { .. })) => {
                return Ok(Provisioned::Resting { why: error.to_string() });
            }
            Err(error) => return Err(sandbox_error(error)),
        }
        let id = SandboxId(step.at.sandbox);
        if let Some(why) = rows::ready(&ctx, id, request.lease).await? {
            return Err(StepError::fail(SANDBOX_LOST, why));
        }
        let attachment = provider.attach(&id, fence(&ctx)).await.map_err(sandbox_error)?;
        let named = |name: &str| attachment.capabilities.get(name).and_then(|v| v.as_str()).unwrap_or("?").to_owned();
        let browser = format!("{} {}", named("browserName"), named("browserVersion"));
        // A courtesy: without it the browser is as good.
        let live_view = provider.live_view(&id).await.ok().map(|view| view.url);
        Ok(Provisioned::Ready { browser, live_view })
    }

    async fn cleanup(&self, ctx: StepContext, step: Cleanup) -> Result<(), StepError> {
        crash_point!(WorkerFinalizerBefore);
        let id = SandboxId(step.at.sandbox);
        rows::stopping(&ctx, id).await?;
        self.provider_of(&step.at.tier)?.destroy(&id).await.map_err(sandbox_error)?;
        rows::destroyed(&ctx, id).await?;
        crash_point!(WorkerFinalizerAfter);
        Ok(())
    }

    /// Who has the browsers of a tier. A worker that was not told of Fly leaves its machines to those that were.
    fn provider_of(&self, tier: &str) -> Result<&dyn SandboxProvider, StepError> {
        match (tier, &self.fly) {
            (tiers::FLY, Some(fly)) => Ok(fly.as_ref()),
            (tiers::FLY, None) => {
                Err(StepError::retry("no_account", "this worker has no account at Fly: see VALET_FLY_TOKEN"))
            }
            _ => Ok(self.provider.as_ref()),
        }
    }

    /// Takes the browser over: whoever held it before is refused from here on.
    pub(super) async fn attach(&self, ctx: &StepContext, at: &Place) -> Result<WebDriverAgent, StepError> {
        ctx.check()?;
        if at.tier == DIRECT {
            return Err(no_browser());
        }
        let id = SandboxId(at.sandbox);
        if let Some(why) = rows::in_use(ctx, id).await? {
            return Err(StepError::fail(SANDBOX_LOST, why));
        }
        let attachment = self.provider_of(&at.tier)?.attach(&id, fence(ctx)).await.map_err(sandbox_error)?;
        let limits = AgentLimits { pace: tiers::pace(&at.tier, at.sandbox).filter(|_| self.paced), ..self.limits };
        WebDriverAgent::attach(attachment, limits).await.map_err(browser_error)
    }
}

/// What a browser does is not done without one.
fn no_browser() -> StepError {
    sandbox_error(SandboxError::Unsupported { provider: DIRECT, verb: "browser" })
}

/// The fence of this attempt: later steps and later attempts have higher ones.
fn fence(ctx: &StepContext) -> FenceNumber {
    FenceNumber((u64::from(ctx.seq().0) << 16) | u64::from(ctx.attempt().0.min(u32::from(u16::MAX))))
}
