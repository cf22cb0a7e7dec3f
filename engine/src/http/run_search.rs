//! Which runs there are: pages of them, and how many.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::{Extension, Json};
use chrono::Datelike as _;
use serde::Deserialize;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use utoipa::IntoParams;
use uuid::Uuid;
use valet_core::Timestamp;
use valet_core::id::IdError;
use valet_protocol::api::{RunBucket, RunCounts, RunPage};
use valet_protocol::problem::Problem;

use super::auth::Caller;
use super::query::Parameters;
use super::runs::page_rows;
use super::{App, Fault, cursor, run_view};
use crate::hex;
use crate::store::postgres::run_search::{Among, Place, RunFilter};

/// Attributes that one filter names.
const ATTRIBUTES_MAX: usize = 8;
/// What is counted where no time is given.
const COUNTED_USUALLY: Duration = Duration::from_hours(24);
/// Parts into which the time is divided.
const BUCKETS: f64 = 48.0;

/// Filters of the list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    workflow: Option<String>,
    /// One status or several, separated by commas.
    status: Option<String>,
    subject: Option<String>,
    /// A JSON object: runs whose attributes have all of these values, such as `{"site":"acme"}`.
    attributes: Option<String>,
    error_code: Option<String>,
    /// Children of this run.
    parent: Option<String>,
    /// Runs that began then or later (RFC 3339).
    created_from: Option<String>,
    /// Runs that began earlier.
    created_before: Option<String>,
    /// `next_cursor` of the page before, with the same filters.
    cursor: Option<String>,
    /// 1 to 200; default 50.
    limit: Option<u32>,
}

/// Filters of the counts.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct CountQuery {
    workflow: Option<String>,
    subject: Option<String>,
    /// As in the list.
    attributes: Option<String>,
    error_code: Option<String>,
    /// Children of this run.
    parent: Option<String>,
    /// Of ended runs those that began then or later; default: a day before `created_before`.
    created_from: Option<String>,
    /// Of ended runs those that began earlier; default: now.
    created_before: Option<String>,
}

/// Runs, newest first.
#[utoipa::path(get, operation_id = "list_runs", path = "/api/v1/runs", tag = "runs", params(ListQuery),
    responses((status = 200, body = RunPage), (status = 400, body = Problem)))]
pub(super) async fn list(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Parameters(query): Parameters<ListQuery>,
) -> Result<Json<RunPage>, Fault> {
    let limit = page_rows(query.limit)?;
    let statuses = query.status.map(|s| s.split(',').map(|s| s.trim().to_owned()).collect::<Vec<_>>());
    check_statuses(statuses.as_deref()).map_err(|fault| fault.at("status"))?;
    let filter = RunFilter {
        workflow: query.workflow,
        statuses,
        subject: query.subject,
        attributes: query.attributes.as_deref().map(attributes).transpose()?,
        error_code: query.error_code,
        parent: query.parent.as_deref().map(parent).transpose()?,
        created_from: query.created_from.as_deref().map(|text| instant(text, "created_from")).transpose()?,
        created_before: query.created_before.as_deref().map(|text| instant(text, "created_before")).transpose()?,
        reach: caller.reach.clone(),
        among: Among::All,
    };
    let mark = mark(&filter);
    let after = query.cursor.as_deref().map(|text| read_cursor(text, &mark)).transpose()?;
    let page = app.engine.store.list_runs(&caller.tenant, &filter, after, limit).await?;
    let runs = page.runs.iter().map(|record| run_view::summary(&app, record)).collect();
    Ok(Json(RunPage { runs, next_cursor: page.next.map(|place| write_cursor(place, &mark)) }))
}

/// How many runs there are: live ones by status; ended ones by status and by when they began, of a time and of the newest 100,000.
#[utoipa::path(get, operation_id = "count_runs", path = "/api/v1/runs/counts", tag = "runs", params(CountQuery),
    responses((status = 200, body = RunCounts), (status = 400, body = Problem)))]
pub(super) async fn count(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Parameters(query): Parameters<CountQuery>,
) -> Result<Json<RunCounts>, Fault> {
    let before = query.created_before.as_deref().map(|text| instant(text, "created_before")).transpose()?;
    let before = before.unwrap_or_else(|| app.engine.clock.now());
    let from = query.created_from.as_deref().map(|text| instant(text, "created_from")).transpose()?;
    let from = from.unwrap_or(before - COUNTED_USUALLY);
    if from >= before {
        let detail = "the time to count has no length: `created_from` lies before `created_before`";
        return Err(Fault::bad_request("invalid_filter", detail).at("created_from"));
    }
    let filter = RunFilter {
        workflow: query.workflow,
        subject: query.subject,
        attributes: query.attributes.as_deref().map(attributes).transpose()?,
        error_code: query.error_code,
        parent: query.parent.as_deref().map(parent).transpose()?,
        reach: caller.reach.clone(),
        ..RunFilter::default()
    };
    let width = (before - from).to_std().unwrap_or(COUNTED_USUALLY).div_f64(BUCKETS);
    let store = &app.engine.store;
    let (live, (counts, counted_from)) = tokio::try_join!(
        store.count_live_runs(&caller.tenant, &filter),
        store.count_ended_runs(&caller.tenant, &filter, (from, before), width.as_secs_f64())
    )?;
    let mut ended = BTreeMap::<String, u64>::new();
    let mut buckets = BTreeMap::<i32, BTreeMap<String, u64>>::new();
    for count in counts {
        *ended.entry(count.status.clone()).or_default() += count.runs as u64;
        buckets.entry(count.bucket).or_default().insert(count.status, count.runs as u64);
    }
    let at = |bucket: i32| from + width.mul_f64(f64::from(bucket.max(0)));
    Ok(Json(RunCounts {
        live: live.into_iter().map(|count| (count.status, count.runs as u64)).collect(),
        ended,
        from,
        before,
        counted_from,
        bucket_seconds: width.as_secs_f64(),
        buckets: buckets.into_iter().map(|(bucket, ended)| RunBucket { at: at(bucket), ended }).collect(),
    }))
}

pub(super) fn check_statuses(statuses: Option<&[String]>) -> Result<(), Fault> {
    let Some(unknown) = statuses.iter().copied().flatten().find(|s| !run_view::STATUSES.contains(&s.as_str())) else {
        return Ok(());
    };
    let unknown: String = unknown.chars().take(40).collect();
    let detail = format!("no status `{unknown}`; there are: {}", run_view::STATUSES.join(", "));
    Err(Fault::bad_request("invalid_filter", detail))
}

fn attributes(text: &str) -> Result<Map<String, Value>, Fault> {
    let found = serde_json::from_str(text).unwrap_or_default();
    plain_attributes(found).map_err(|fault| fault.at("attributes"))
}

pub(super) fn plain_attributes(found: Map<String, Value>) -> Result<Map<String, Value>, Fault> {
    let is_plain = |value: &Value| !value.is_object() && !value.is_array() && !text_of(value).contains('\0');
    let fits = (1..=ATTRIBUTES_MAX).contains(&found.len())
        && found.iter().all(|(name, value)| is_plain(value) && !name.contains('\0'));
    if fits {
        return Ok(found);
    }
    let detail = format!("a JSON object of 1 to {ATTRIBUTES_MAX} values, such as {{\"site\":\"acme\"}}");
    Err(Fault::bad_request("invalid_filter", detail))
}

fn text_of(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn parent(text: &str) -> Result<valet_core::id::RunId, Fault> {
    text.parse().map_err(|error: IdError| Fault::bad_request("invalid_id", error.to_string()).at("parent"))
}

fn instant(text: &str, field: &'static str) -> Result<Timestamp, Fault> {
    let found: Option<Timestamp> = text.parse().ok();
    let read = found.ok_or_else(|| {
        let detail = "an instant as RFC 3339 has it, such as 2026-11-21T08:00:00Z (`+` is written %2B in a URL)";
        Fault::bad_request("invalid_filter", detail)
    });
    read.and_then(within_time).map_err(|fault| fault.at(field))
}

/// Within what the database knows, and whatever is added to it.
pub(super) fn within_time(at: Timestamp) -> Result<Timestamp, Fault> {
    if (1970..=9999).contains(&at.year()) {
        return Ok(at);
    }
    Err(Fault::bad_request("invalid_filter", "an instant between the years 1970 and 9999"))
}

/// What tells one filter's cursors from another's.
fn mark(filter: &RunFilter) -> String {
    let text = serde_json::to_vec(filter).unwrap_or_default();
    hex::encode(&Sha256::digest(text)[..6])
}

fn write_cursor((at, id): Place, mark: &str) -> String {
    cursor::write(at.timestamp_micros(), format_args!("{}:{mark}", id.simple()))
}

fn read_cursor(text: &str, mark: &str) -> Result<Place, Fault> {
    let (place, made_for) = cursor::read(text, |at, rest| {
        let (id, made_for) = rest.split_once(':')?;
        let at = chrono::DateTime::from_timestamp_micros(at.parse().ok()?)?;
        Some(((at, Uuid::parse_str(id).ok()?), made_for.to_owned()))
    })?;
    if made_for != mark {
        let detail = "this cursor belongs to a list with other filters: ask for its first page, without a cursor";
        return Err(Fault::bad_request("foreign_cursor", detail).at("cursor"));
    }
    Ok(place)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::Reach;

    #[test]
    fn a_cursor_fits_the_filter_that_it_was_made_for() {
        let ada = RunFilter { subject: Some("ada".to_owned()), ..RunFilter::default() };
        let bob = RunFilter { subject: Some("bob".to_owned()), ..RunFilter::default() };
        let place = (chrono::DateTime::from_timestamp_micros(1_234_567).unwrap(), Uuid::from_u128(7));
        let text = write_cursor(place, &mark(&ada));
        assert_eq!(read_cursor(&text, &mark(&ada)).unwrap(), place);
        assert_eq!(read_cursor(&text, &mark(&bob)).unwrap_err().problem().code, "foreign_cursor");
        assert_eq!(read_cursor("bm90IGE", &mark(&bob)).unwrap_err().problem().code, "invalid_cursor");
        // Whose runs are seen makes no other list.
        let reach = Reach { subjects: Some(vec!["ada".to_owned()]), ..Reach::default() };
        assert_eq!(mark(&RunFilter { reach, ..ada.clone() }), mark(&ada));
    }

    #[test]
    fn attributes_are_plain_values_by_name() {
        assert_eq!(attributes(r#"{"site":"acme","tries":3,"direct":true}"#).unwrap().len(), 3);
        for text in ["", "{}", "[]", "site=acme", r#"{"a":{}}"#, r#"{"a":["b"]}"#, "{\"a\":\"\\u0000\"}"] {
            assert_eq!(attributes(text).unwrap_err().problem().code, "invalid_filter", "{text}");
        }
    }
}
