//! The engine's row of a sandbox, from before the sandbox is asked for until after it is gone. Whoever holds a step writes it for its run.
//!
//! An engine of the release before keeps no rows: then there is none, and all goes on as if there were.

use std::collections::BTreeMap;
use std::time::Duration;

use valet_core::resources::{Resource, SANDBOX};
use valet_protocol::worker::{Callback, NewResource, ResourceAnswer, ResourceQuestion, WhichResource};
use valet_workflows::job_application::steps::Price;
use valet_workflows::sandboxes::{DESTROYED, HOST, IN_USE, PARKED, PROVIDER, READY, STARTING, STOPPING};

use super::{ProvisionRequest, SandboxId, SandboxProvider};
use crate::runtime::{StepContext, StepError};

/// For what a run pays when its sandbox costs something.
const CHARGED_FOR: &str = "sandbox";
/// Whoever ends a sandbox has this long. Then it is the reconciler's: a run whose clean-up was given up leaves nothing for as long
/// as it would have used it.
const STOP_LEASE: Duration = Duration::from_secs(30);

/// By which a provider's sandboxes are found among all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Whose {
    pub provider: String,
    /// The machine, where they run beside their worker.
    pub host: Option<String>,
}

impl Whose {
    /// Of the machine that its workers name so.
    pub fn here(provider: &dyn SandboxProvider, host: &str) -> Self {
        Self { provider: provider.name().to_owned(), host: Some(host.to_owned()) }
    }

    /// Any worker with the provider's account reaches them.
    pub fn anywhere(provider: &dyn SandboxProvider) -> Self {
        Self { provider: provider.name().to_owned(), host: None }
    }

    pub fn labels(&self) -> BTreeMap<String, String> {
        let host = self.host.iter().map(|host| (HOST.to_owned(), host.clone()));
        [(PROVIDER.to_owned(), self.provider.clone())].into_iter().chain(host).collect()
    }
}

/// What the engine says to a sandbox that is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reserved {
    /// It may be asked for; where what runs inside may speak.
    Yes(Option<Callback>),
    /// It ended before, or is ending.
    Ended { why: String },
    /// Those of its tier cost too much today.
    Spent { usd_micros: u64 },
}

/// Writes the row, before the provider is called.
pub async fn reserve(
    ctx: &StepContext,
    whose: &Whose,
    tier: &str,
    request: &ProvisionRequest,
    price: &Price,
) -> Result<Reserved, StepError> {
    let key = request.sandbox_id.to_string();
    let new = NewResource {
        key: key.clone(),
        class: tier.to_owned(),
        labels: whose.labels(),
        data: None,
        lease_ms: millis(request.lease),
        usd_micros_per_hour: price.usd_micros_per_hour,
        day_max_usd_micros: price.day_max_usd_micros,
    };
    let mut callback = None;
    match ctx.resources(SANDBOX, ResourceQuestion::Reserve(Box::new(new))).await? {
        // Made by the attempt before, whose answer was lost.
        Some(ResourceAnswer::Resource { resource, callback, .. })
            if [READY, IN_USE].contains(&resource.state.as_str()) =>
        {
            return Ok(Reserved::Yes(callback));
        }
        Some(ResourceAnswer::Resource { callback: told, .. }) => callback = told,
        Some(ResourceAnswer::Spent { usd_micros }) => return Ok(Reserved::Spent { usd_micros }),
        Some(ResourceAnswer::Taken(row)) => {
            return Ok(Reserved::Ended { why: format!("it is another run's: {}", row.key) });
        }
        _ => {}
    }
    let lease = request.lease;
    Ok(match become_(ctx, SandboxId(request.sandbox_id), STARTING, Some(lease)).await? {
        Some(ResourceAnswer::Refused(row) | ResourceAnswer::Taken(row)) => Reserved::Ended { why: ended(&row) },
        _ => Reserved::Yes(callback),
    })
}

/// The provider says that it may be used. `Some`: it was ended meanwhile, and why.
pub async fn ready(ctx: &StepContext, id: SandboxId, lease: Duration) -> Result<Option<String>, StepError> {
    let told = become_(ctx, id, READY, Some(lease)).await?;
    Ok(match told {
        // A later attempt of the same step.
        Some(ResourceAnswer::Refused(row)) if [IN_USE, PARKED].contains(&row.state.as_str()) => None,
        told => lost(told),
    })
}

/// A step drives it. `Some`: it was ended, and why.
pub async fn in_use(ctx: &StepContext, id: SandboxId) -> Result<Option<String>, StepError> {
    let told = become_(ctx, id, IN_USE, None).await?;
    Ok(match told {
        // From a run that began before there were rows.
        Some(ResourceAnswer::Missing) => None,
        told => lost(told),
    })
}

/// A person is asked; it is kept for the run. That this is not noted is no reason to fail.
pub async fn parked(ctx: &StepContext, id: SandboxId) {
    if let Err(error) = become_(ctx, id, PARKED, None).await {
        tracing::debug!(sandbox = %id, ?error, "that it waits for a person is not noted");
    }
}

pub async fn renewed(ctx: &StepContext, id: SandboxId, lease: Duration) -> Result<(), StepError> {
    let which = which(id);
    let what = ResourceQuestion::Renew { which, lease_ms: millis(lease) };
    ctx.resources(SANDBOX, what).await.map(drop)
}

/// Right before the provider is told to end it.
pub async fn stopping(ctx: &StepContext, id: SandboxId) -> Result<(), StepError> {
    become_(ctx, id, STOPPING, Some(STOP_LEASE)).await.map(drop)
}

/// The provider ended it.
pub async fn destroyed(ctx: &StepContext, id: SandboxId) -> Result<(), StepError> {
    become_(ctx, id, DESTROYED, None).await.map(drop)
}

async fn become_(
    ctx: &StepContext,
    id: SandboxId,
    to: &str,
    lease: Option<Duration>,
) -> Result<Option<ResourceAnswer>, StepError> {
    let what = ResourceQuestion::Transition {
        which: which(id),
        to: to.to_owned(),
        lease_ms: lease.map(millis),
        labels: BTreeMap::new(),
        data: None,
        reason: None,
        usd_micros_per_hour: None,
        release: false,
        rest_ms: None,
    };
    let told = ctx.resources(SANDBOX, what).await?;
    if let Some(ResourceAnswer::Resource { charge_usd_micros, .. }) = &told
        && *charge_usd_micros > 0
    {
        ctx.cost(CHARGED_FOR, *charge_usd_micros);
    }
    Ok(told)
}

fn lost(told: Option<ResourceAnswer>) -> Option<String> {
    match told {
        Some(ResourceAnswer::Refused(row) | ResourceAnswer::Taken(row)) => Some(ended(&row)),
        _ => None,
    }
}

fn ended(row: &Resource) -> String {
    let why = row.reason.as_deref().map(|why| format!(": {why}")).unwrap_or_default();
    format!("sandbox {} is {}{why}", row.key, row.state)
}

fn which(id: SandboxId) -> WhichResource {
    WhichResource { key: id.to_string(), tenant: None, fence: None }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
