//! What a step keeps for people: pictures of the page, and what stands in the way on it.

use bytes::Bytes;
use uuid::Uuid;
use valet_workflows::job_application::steps::{Obstacle, ObstacleField, Posting};

use crate::browser::{BrowserAgent as _, WebDriverAgent, extract};
use crate::form::{self, Snapshot};
use crate::runtime::StepContext;

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
