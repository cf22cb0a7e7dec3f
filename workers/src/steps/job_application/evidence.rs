//! What a step keeps for people: pictures of the page, and what stands in the way on it.

use bytes::Bytes;
use serde::Serialize;
use uuid::Uuid;
use valet_workflows::job_application::steps::{Obstacle, ObstacleField, Posting};

use crate::browser::{BrowserAgent as _, WebDriverAgent, extract};
use crate::form::{self, Snapshot};
use crate::runtime::StepContext;

/// A snapshot is bounded; the source of a page is not.
const ARTIFACT_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Evidence is worth having, and never worth failing for.
pub(super) async fn screenshot(ctx: &StepContext, agent: &WebDriverAgent, name: &str) -> Option<Uuid> {
    let png = match agent.take_screenshot().await {
        Ok(png) => png,
        Err(error) => {
            tracing::info!(run = %ctx.run(), %error, "no screenshot");
            return None;
        }
    };
    match ctx.blobs().put(&format!("{name}.png"), "image/png", Bytes::from(png)).await {
        Ok(stored) => Some(stored.id),
        Err(error) => {
            tracing::info!(run = %ctx.run(), %error, "a screenshot was not kept");
            None
        }
    }
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
    let source = match agent.page_source().await {
        Ok(source) => keep(ctx, &format!("{name}-page.html"), "text/html", source.into_bytes()).await,
        Err(error) => {
            tracing::info!(run = %ctx.run(), %error, "no page source");
            None
        }
    };
    Kept { screenshot: screenshot(ctx, agent, name).await, source, ..kept }
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
    match ctx.blobs().put(name, content_type, Bytes::from(bytes)).await {
        Ok(stored) => Some(stored.id),
        Err(error) => {
            tracing::info!(run = %ctx.run(), name, %error, "an artifact was not kept");
            None
        }
    }
}
