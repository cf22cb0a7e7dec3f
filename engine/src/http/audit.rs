//! The audit: who changed what, for admins.

use std::sync::Arc;

use axum::extract::State;
use axum::{Extension, Json};
use serde::Deserialize;
use utoipa::IntoParams;
use valet_protocol::api::{AuditEntry, AuditPage};
use valet_protocol::problem::Problem;

use super::auth::Caller;
use super::query::Parameters;
use super::{App, Fault, cursor, runs};
use crate::store::postgres::audit::AuditRecord;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    /// Only what was done to this id.
    target: Option<String>,
    /// `oldest` first, or `newest`; default `oldest`.
    order: Option<String>,
    /// `next_cursor` of the page before, in the same order. A reader who keeps the last one misses nothing that comes later.
    cursor: Option<String>,
    /// 1 to 200; default 50.
    limit: Option<u32>,
}

/// Changes. Every page but an empty one has a `next_cursor`: whoever exports keeps it and asks again.
#[utoipa::path(get, operation_id = "list_audit", path = "/api/v1/audit", tag = "audit", params(ListQuery),
    responses((status = 200, body = AuditPage), (status = 400, body = Problem)))]
pub(super) async fn list(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Parameters(query): Parameters<ListQuery>,
) -> Result<Json<AuditPage>, Fault> {
    // Its rows are not held apart by workflow or subject.
    if caller.reach.workflows.is_some() || caller.reach.subjects.is_some() {
        return Err(Fault::out_of_reach("the audit is for tokens without limits to workflows or subjects"));
    }
    let limit = runs::page_rows(query.limit)?;
    let after = query.cursor.as_deref().map(read_place).transpose()?;
    let newest_first = match query.order.as_deref() {
        None | Some("oldest") => false,
        Some("newest") => true,
        Some(_) => return Err(Fault::bad_request("invalid_order", "order is `oldest` or `newest`").at("order")),
    };
    let target = query.target.as_deref();
    let records = app.engine.store.list_audit(&caller.tenant, after, target, newest_first, limit).await?;
    let next_cursor = records.last().map(|last| cursor::write(&last.txid, last.number));
    Ok(Json(AuditPage { entries: records.into_iter().map(view).collect(), next_cursor }))
}

fn read_place(text: &str) -> Result<(u64, i64), Fault> {
    cursor::read(text, |txid, number| Some((txid.parse().ok()?, number.parse().ok()?)))
}

fn view(record: AuditRecord) -> AuditEntry {
    AuditEntry {
        at: record.at,
        who: record.who,
        via: record.via,
        address: record.address,
        request: record.request,
        action: record.action,
        target: record.target,
        before: record.before.map(|json| json.0),
        after: record.after.map(|json| json.0),
    }
}
