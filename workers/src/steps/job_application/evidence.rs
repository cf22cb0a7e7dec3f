//! What a step keeps for people: pictures of the page, and what stands in the way on it.

use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use tokio::time::timeout;
use uuid::Uuid;
use valet_core::decide::IN_DOUBT;
use valet_workflows::job_application::steps::{Obstacle, ObstacleField, Posting};

use crate::browser::{BrowserAgent as _, WebDriverAgent, extract};
use crate::form::{self, Snapshot};
use crate::runtime::{StepContext, StepError};

/// A snapshot is bounded; the source of a page is not.
const ARTIFACT_BYTES_MAX: usize = 4 * 1024 * 1024;
/// What a failed step's evidence may take.
const EVIDENCE_MAX: Duration = Duration::from_secs(10);
/// Codes of failures whose reason is to be seen on the page.
const ABOUT_THE_PAGE: [&str; 4] = ["browser", "no_form", "page_stands_still", IN_DOUBT];

/// A picture of what the window shows.
pub(super) async fn screenshot(ctx: &StepContext, agent: &WebDriverAgent, name: &str) -> Option<Uuid> {
    let png = match agent.take_screenshot().await {
        Ok(png) => png,
        Err(error) => {
            tracing::info!(run = %ctx.run(), %error, "no screenshot");
            return None;
        }
    };
    store(ctx, &format!("{name}.png"), "image/png", png).await
}

/// What the page wants from a person, with a picture of it.
pub(super) async fn obstacle(ctx: &StepContext, agent: &WebDriverAgent, page: &Snapshot) -> Option<Obstacle> {
    let found = form::obstacle(page)?;
    let kind = match found.kind {
        form::ObstacleKind::Captcha => "captcha",
        form::ObstacleKind::Login => "login",
        form::ObstacleKind::Code => "code",
    };
    let fields = found.fields.into_iter().map(|field| ObstacleField {
        key: field.key,
        label: field.label,
        secret: field.secret,
        help: field.help,
    });
    Some(Obstacle {
        kind: kind.to_owned(),
        prompt: found.prompt,
        fields: fields.collect(),
        vendor: found.vendor,
        screenshot: screenshot(ctx, agent, kind).await,
        url: agent.current_url().await.unwrap_or_default(),
    })
}

pub(super) fn describe(page: &Snapshot, posting: &mut Posting) {
    let facts = extract::extract(page);
    let fact = |names: &[&str]| facts.named(names).into_iter().next().map(|field| field.value);
    if posting.job_title.is_none() {
        posting.job_title = fact(&["title"]);
    }
    if posting.company.is_none() {
        posting.company = fact(&["hiringOrganization", "hiringOrganization.name", "company"]);
    }
}

/// What a page was and what was done on it, for whoever looks into it later: the reading as JSON and the actions with their times.
pub(super) async fn keep_page(ctx: &StepContext, agent: &WebDriverAgent, page: &Snapshot, name: &str) -> Kept {
    let snapshot = serde_json::to_vec(page).unwrap_or_default();
    let actions = serde_json::to_vec(&agent.take_log()).unwrap_or_default();
    Kept {
        snapshot: keep(ctx, &format!("{name}-snapshot.json"), "application/json", snapshot).await,
        actions: keep(ctx, &format!("{name}-actions.json"), "application/json", actions).await,
        ..Kept::default()
    }
}

/// The same where a step ends without success, with a picture and the page's source.
pub(super) async fn keep_failure(ctx: &StepContext, agent: &WebDriverAgent, page: &Snapshot, name: &str) -> Kept {
    let kept = keep_page(ctx, agent, page, name).await;
    let source = source(ctx, agent, name).await;
    Kept { screenshot: screenshot(ctx, agent, name).await, source, ..kept }
}

/// Carries out what a step does in a page. Where that ends without success and tells of no evidence, the page as it stands, a picture of it and
/// what was done on it are kept.
pub(in crate::steps) async fn witnessed<T>(
    ctx: &StepContext,
    agent: &WebDriverAgent,
    work: impl Future<Output = Result<T, StepError>>,
) -> Result<T, StepError> {
    let error = match work.await {
        Err(error) if is_unexplained(&error) => error,
        ended => return ended,
    };
    // A page that no longer answers has nothing to show.
    match timeout(EVIDENCE_MAX, keep_as_it_is(ctx, agent)).await {
        Ok(kept) => Err(error.with_details(&kept)),
        Err(_) => Err(error),
    }
}

/// It is about the page, and says no more than that.
fn is_unexplained(error: &StepError) -> bool {
    let (StepError::Retry { failure, .. } | StepError::Fail(failure) | StepError::Blocked(failure)) = error else {
        return false;
    };
    failure.details.is_none() && ABOUT_THE_PAGE.contains(&failure.code.as_str())
}

async fn keep_as_it_is(ctx: &StepContext, agent: &WebDriverAgent) -> Kept {
    let name = format!("{}-failed", ctx.step_name());
    let actions = serde_json::to_vec(&agent.take_log()).unwrap_or_default();
    Kept {
        actions: keep(ctx, &format!("{name}-actions.json"), "application/json", actions).await,
        source: source(ctx, agent, &name).await,
        screenshot: screenshot(ctx, agent, &name).await,
        ..Kept::default()
    }
}

async fn source(ctx: &StepContext, agent: &WebDriverAgent, name: &str) -> Option<Uuid> {
    match agent.page_source().await {
        Ok(source) => keep(ctx, &format!("{name}-page.html"), "text/html", source.into_bytes()).await,
        Err(error) => {
            tracing::info!(run = %ctx.run(), %error, "no page source");
            None
        }
    }
}

/// Artifacts by their ids; what could not be kept is missing.
#[derive(Default, Serialize)]
pub(super) struct Kept {
    screenshot: Option<Uuid>,
    snapshot: Option<Uuid>,
    actions: Option<Uuid>,
    source: Option<Uuid>,
}

async fn keep(ctx: &StepContext, name: &str, content_type: &str, bytes: Vec<u8>) -> Option<Uuid> {
    if bytes.len() > ARTIFACT_BYTES_MAX {
        tracing::info!(run = %ctx.run(), name, bytes = bytes.len(), "an artifact is too large to keep");
        return None;
    }
    store(ctx, name, content_type, bytes).await
}

/// Evidence is worth having, and never worth failing for.
pub(super) async fn store(ctx: &StepContext, name: &str, content_type: &str, bytes: Vec<u8>) -> Option<Uuid> {
    match ctx.blobs().put(name, content_type, Bytes::from(bytes)).await {
        Ok(stored) => Some(stored.id),
        Err(error) => {
            tracing::info!(run = %ctx.run(), name, %error, "an artifact was not kept");
            None
        }
    }
}
