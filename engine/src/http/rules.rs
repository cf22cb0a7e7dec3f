//! Rules that operators change while runs go on: listed, put, removed. What one may say, its kind's check tells.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::Deserialize;
use serde_json::Value;
use utoipa::IntoParams;
use valet_core::bounds::NAME_BYTES_MAX;
use valet_protocol::api::{RuleBody, RuleList, RuleView};
use valet_protocol::problem::Problem;

use super::auth::Caller;
use super::body::Body;
use super::doing::Doing;
use super::query::Parameters;
use super::{App, Fault, no_content};
use crate::access::Reach;
use crate::bounds::{RULE_BYTES_MAX, RULES_MAX};
use crate::store::postgres::tiers::RuleRecord;

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct RulesQuery {
    /// Only rules of this kind.
    kind: Option<String>,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ExpectedQuery {
    /// The version that the rule is to be of, 0 where none is to be there: somebody else's change in between is not overwritten. Default:
    /// whatever it is.
    expected_version: Option<u64>,
}

impl ExpectedQuery {
    fn version(&self) -> Option<i64> {
        self.expected_version.map(|version| i64::try_from(version).unwrap_or(i64::MAX))
    }
}

/// The rules of this tenant.
#[utoipa::path(get, operation_id = "list_rules", path = "/api/v1/rules", tag = "tiers", params(RulesQuery),
    responses((status = 200, body = RuleList), (status = 404, body = Problem)))]
pub(super) async fn list(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Parameters(query): Parameters<RulesQuery>,
) -> Result<Json<RuleList>, Fault> {
    if let Some(kind) = &query.kind {
        known_kind(&app, kind)?;
    }
    let most = RULES_MAX * app.engine.registry.rule_kinds().count() as u32;
    let records = app.engine.store.list_rules(&caller.tenant, query.kind.as_deref(), most).await?;
    Ok(Json(RuleList { rules: records.into_iter().map(view).collect() }))
}

/// Sets a rule, which holds from the next time that it is read. One that is not in order is refused, each fault with its field.
#[utoipa::path(put, operation_id = "put_rule", path = "/api/v1/rules/{kind}/{name}", tag = "tiers", request_body = RuleBody,
    params(("kind" = String, Path), ("name" = String, Path), ExpectedQuery),
    responses((status = 201, body = RuleView, description = "A new rule"), (status = 200, body = RuleView, description = "Changed, or as it was"),
        (status = 404, body = Problem), (status = 409, body = Problem), (status = 413, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn put(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    doing: Doing,
    Path((kind, name)): Path<(String, String)>,
    Parameters(expected): Parameters<ExpectedQuery>,
    Body(RuleBody(rule)): Body<RuleBody>,
) -> Result<Response, Fault> {
    unlimited(&caller)?;
    let check = known_kind(&app, &kind)?;
    fit_name(&name)?;
    let value = Value::Object(rule);
    if value.to_string().len() > RULE_BYTES_MAX {
        let detail = format!("a rule has at most {RULE_BYTES_MAX} bytes");
        return Err(Fault::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", detail));
    }
    let problems = check(&name, &value);
    if !problems.is_empty() {
        return Err(Fault::invalid_input(problems));
    }
    let store = &app.engine.store;
    let deed = doing.on(target(&kind, &name));
    let put = store.put_rule(&kind, &name, &value, expected.version(), &deed).await?;
    if let Some(put) = put.as_ref().filter(|put| put.other) {
        return Err(changed(Some(&put.rule)));
    }
    let Some(put) = put else {
        if expected.version().is_some() {
            let there = store.find_rule(&caller.tenant, &kind, &name).await?;
            if there.is_some() || expected.version() != Some(0) {
                return Err(changed(there.as_ref()));
            }
        }
        let detail = format!("a tenant has at most {RULES_MAX} rules of one kind; remove one that is not needed");
        return Err(Fault::conflict("too_many_rules", detail).at("name"));
    };
    let status = if put.created { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(view(put.rule))).into_response())
}

/// Removes a rule.
#[utoipa::path(delete, operation_id = "remove_rule", path = "/api/v1/rules/{kind}/{name}", tag = "tiers",
    params(("kind" = String, Path), ("name" = String, Path), ExpectedQuery),
    responses((status = 204), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(super) async fn remove(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    doing: Doing,
    Path((kind, name)): Path<(String, String)>,
    Parameters(expected): Parameters<ExpectedQuery>,
) -> Result<Response, Fault> {
    unlimited(&caller)?;
    known_kind(&app, &kind)?;
    fit_name(&name)?;
    let store = &app.engine.store;
    if !store.remove_rule(&kind, &name, expected.version(), &doing.on(target(&kind, &name))).await? {
        if let Some(there) =
            store.find_rule(&caller.tenant, &kind, &name).await?.filter(|_| expected.version().is_some())
        {
            return Err(changed(Some(&there)));
        }
        return Err(Fault::not_found("rule", "there is no such rule; GET /api/v1/rules lists them").at("name"));
    }
    Ok(no_content())
}

/// Somebody else was faster.
fn changed(there: Option<&RuleRecord>) -> Fault {
    let detail = there.map_or_else(
        || "the rule is not there any more; look again".to_owned(),
        |rule| format!("the rule is of version {} now, by {}; look again", rule.version, rule.changed_by),
    );
    Fault::conflict("rule_changed", detail).at("expected_version")
}

fn known_kind(app: &App, kind: &str) -> Result<valet_core::workflow::RuleCheck, Fault> {
    app.engine.registry.rule(kind).ok_or_else(|| {
        let kinds: Vec<_> = app.engine.registry.rule_kinds().collect();
        Fault::not_found("rule_kind", format!("rules are of one of these kinds: {}", kinds.join(", "))).at("kind")
    })
}

fn fit_name(name: &str) -> Result<(), Fault> {
    if (1..=NAME_BYTES_MAX * 2).contains(&name.len()) && !name.chars().any(char::is_control) {
        return Ok(());
    }
    let detail = format!("a rule's name has 1 to {} bytes, and no control characters", NAME_BYTES_MAX * 2);
    Err(Fault::bad_request("invalid_name", detail).at("name"))
}

/// A rule holds for all runs of the tenant.
fn unlimited(caller: &Caller) -> Result<(), Fault> {
    if caller.reach == Reach::default() {
        return Ok(());
    }
    Err(Fault::out_of_reach("this token reaches some workflows or subjects only; a rule holds for all runs"))
}

fn target(kind: &str, name: &str) -> String {
    format!("{kind}/{name}")
}

fn view(record: RuleRecord) -> RuleView {
    RuleView {
        kind: record.kind,
        name: record.name,
        version: record.version as u64,
        value: record.value,
        changed_by: record.changed_by,
        changed_at: record.changed_at,
    }
}
