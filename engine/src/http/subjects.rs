//! Subjects: what an end user keeps with Valet, and how all of it is forgotten.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::Deserialize;
use utoipa::IntoParams;
use valet_core::bounds::NAME_BYTES_MAX;
use valet_core::id::parse_prefixed;
use valet_protocol::api::{
    ArtifactList, Item, ItemList, ItemStored, ItemView, PutItemRequest, SubjectView, UseList, UseView,
};
use valet_protocol::problem::Problem;

use super::auth::Caller;
use super::body::Body;
use super::doing::Doing;
use super::query::Parameters;
use super::{App, Fault, cursor, files, no_content, runs};
use crate::bounds::{ITEM_BYTES_MAX, PAGE_ROWS_MAX};
use crate::store::postgres::subjects::{ItemName, ItemRecord};

/// What a subject keeps. A secret is written and never read here.
const KINDS: [&str; 4] = ["answer", "secret", "document", "browser_state"];
const SECRET: &str = "secret";
/// Written by workers only.
const BROWSER_STATE: &str = "browser_state";
/// A step may ask which of these there are.
pub(super) const LISTED_FOR_WORKERS: [&str; 2] = ["answer", "document"];
/// What a step may keep of what it learned.
pub(super) const KEPT_BY_WORKERS: [&str; 2] = ["answer", BROWSER_STATE];
/// A question, or a site with the name of a field.
const ITEM_NAME_BYTES_MAX: usize = 512;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    /// answer, secret, document or browser_state.
    kind: Option<String>,
    cursor: Option<String>,
    /// 1 to 200; default 50.
    limit: Option<u32>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct NameQuery {
    /// answer, secret, document or browser_state.
    kind: String,
    name: String,
    /// Default: the newest.
    version: Option<i32>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct FilesQuery {
    /// The last file of the page before.
    after: Option<String>,
}

/// What there is of a subject.
#[utoipa::path(get, operation_id = "show_subject", path = "/api/v1/subjects/{subject}", tag = "subjects", params(("subject" = String, Path)),
    responses((status = 200, body = SubjectView), (status = 404, body = Problem)))]
pub(super) async fn show(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path(subject): Path<String>,
) -> Result<Json<SubjectView>, Fault> {
    reached(&caller, &subject)?;
    view(&app, &caller, subject).await.map(Json)
}

async fn view(app: &App, caller: &Caller, subject: String) -> Result<SubjectView, Fault> {
    let found = app.engine.store.find_subject(&caller.tenant, &subject).await?;
    if found.known_since.is_none() && found.live_runs == 0 && found.erased_at.is_none() && found.erasing_since.is_none()
    {
        return Err(missing());
    }
    Ok(SubjectView {
        subject,
        known_since: found.known_since,
        live_runs: found.live_runs as u64,
        items: found.items as u64,
        files: found.files as u64,
        erasing_since: found.erasing_since,
        erased_at: found.erased_at,
    })
}

/// Items of a subject, without what is in them.
#[utoipa::path(get, operation_id = "list_items", path = "/api/v1/subjects/{subject}/items", tag = "subjects", params(("subject" = String, Path), ListQuery),
    responses((status = 200, body = ItemList), (status = 400, body = Problem), (status = 404, body = Problem)))]
pub(super) async fn list(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path(subject): Path<String>,
    Parameters(query): Parameters<ListQuery>,
) -> Result<Json<ItemList>, Fault> {
    reached(&caller, &subject)?;
    query.kind.as_deref().map(known_kind).transpose()?;
    let limit = runs::page_rows(query.limit)?;
    let after = query.cursor.as_deref().map(read_place).transpose()?;
    let kind = query.kind.as_deref();
    let mut items = app.engine.store.list_items(&caller.tenant, &subject, kind, after, limit + 1).await?;
    let more = items.len() > limit as usize;
    items.truncate(limit as usize);
    let next_cursor = items.last().filter(|_| more).map(|last| cursor::write(&last.kind, &last.name));
    Ok(Json(ItemList { items: items.into_iter().map(item_view).collect(), next_cursor }))
}

/// Keeps a new version of an item. Secrets are given to workers that hold a step of the subject, and to nobody else.
#[utoipa::path(put, operation_id = "put_item", path = "/api/v1/subjects/{subject}/items", tag = "subjects", request_body = PutItemRequest,
    params(("subject" = String, Path)),
    responses((status = 201, body = ItemStored), (status = 404, body = Problem), (status = 409, body = Problem), (status = 413, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn put(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    doing: Doing,
    Path(subject): Path<String>,
    Body(request): Body<PutItemRequest>,
) -> Result<Response, Fault> {
    reached(&caller, &subject)?;
    let kind = known_kind(&request.kind).map_err(|fault| fault.at("/kind"))?;
    if kind == BROWSER_STATE {
        return Err(
            Fault::bad_request("invalid_kind", "the state of a browser is kept by the worker that has it").at("/kind")
        );
    }
    let name = request.name.as_str();
    let plain = fit_item(name, &request.value)?;
    if kind == "document" {
        let file = request.value["file"].as_str().and_then(|id| parse_prefixed("file", id).ok());
        let found = match file {
            Some(id) => app.engine.store.find_blob(&caller.tenant, id).await?,
            None => None,
        };
        if found.is_none_or(|file| file.subject != subject) {
            let detail = "give {\"file\": \"file_…\"}, a file of this subject stored with POST /api/v1/files";
            return Err(Fault::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_input", detail).at("/value/file"));
        }
    }
    let item = ItemName { tenant: &caller.tenant, subject: &subject, kind, name };
    let deed = doing.on(format!("{subject}/{kind}/{name}"));
    let version = app.engine.store.put_item(item, &plain, &deed).await?.ok_or_else(|| being_erased("subject"))?;
    let stored = ItemStored { kind: kind.to_owned(), name: request.name, version: version as u32 };
    Ok((StatusCode::CREATED, Json(stored)).into_response())
}

/// The value as it is sealed, if it and its name have the size of an item.
pub(super) fn fit_item(name: &str, value: &serde_json::Value) -> Result<Vec<u8>, Fault> {
    if name.is_empty() || name.len() > ITEM_NAME_BYTES_MAX || name.chars().any(char::is_control) {
        let detail = format!("a name has 1 to {ITEM_NAME_BYTES_MAX} bytes, and no control characters");
        return Err(Fault::bad_request("invalid_name", detail).at("/name"));
    }
    let plain = serde_json::to_vec(value).map_err(|e| Fault::bad_request("invalid_json", e.to_string()))?;
    if plain.len() > ITEM_BYTES_MAX {
        let detail = format!("an item has at most {ITEM_BYTES_MAX} bytes; store files with POST /api/v1/files");
        return Err(Fault::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", detail).at("/value"));
    }
    Ok(plain)
}

/// What is in an item. A secret is not told.
#[utoipa::path(get, operation_id = "show_item", path = "/api/v1/subjects/{subject}/item", tag = "subjects", params(("subject" = String, Path), NameQuery),
    responses((status = 200, body = Item), (status = 403, body = Problem), (status = 404, body = Problem)))]
pub(super) async fn show_item(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path(subject): Path<String>,
    Parameters(query): Parameters<NameQuery>,
) -> Result<Json<Item>, Fault> {
    reached(&caller, &subject)?;
    let kind = known_kind(&query.kind)?;
    if kind == SECRET || kind == BROWSER_STATE {
        let detail = "this is written once and given to workers only; put a new one if it is wrong";
        return Err(Fault::new(StatusCode::FORBIDDEN, "write_only", detail).at("kind"));
    }
    let item = ItemName { tenant: &caller.tenant, subject: &subject, kind, name: &query.name };
    let found = app.engine.store.find_item(item, query.version).await?;
    let (record, plain) = found.ok_or_else(|| Fault::not_found("item", "there is no such item").at("name"))?;
    let value = serde_json::from_slice(&plain).map_err(crate::store::StoreError::Json)?;
    Ok(Json(Item { item: item_view(record), value }))
}

/// Removes every version of an item; which runs used it stays known.
#[utoipa::path(delete, operation_id = "remove_item", path = "/api/v1/subjects/{subject}/item", tag = "subjects", params(("subject" = String, Path), NameQuery),
    responses((status = 204), (status = 404, body = Problem)))]
pub(super) async fn remove(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    doing: Doing,
    Path(subject): Path<String>,
    Parameters(query): Parameters<NameQuery>,
) -> Result<Response, Fault> {
    reached(&caller, &subject)?;
    let kind = known_kind(&query.kind)?;
    if query.version.is_some() {
        return Err(Fault::bad_request("invalid_version", "all versions of an item are removed together").at("version"));
    }
    let item = ItemName { tenant: &caller.tenant, subject: &subject, kind, name: &query.name };
    let deed = doing.on(format!("{subject}/{kind}/{}", query.name));
    if app.engine.store.remove_item(item, &deed).await? {
        Ok(no_content())
    } else {
        Err(Fault::not_found("item", "there is no such item").at("name"))
    }
}

/// Goes back to an earlier version: what was in it becomes the newest. Of the state of a browser the last five versions are there.
#[utoipa::path(post, operation_id = "restore_item", path = "/api/v1/subjects/{subject}/item/restore", tag = "subjects", params(("subject" = String, Path), NameQuery),
    responses((status = 201, body = ItemStored), (status = 400, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(super) async fn restore(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    doing: Doing,
    Path(subject): Path<String>,
    Parameters(query): Parameters<NameQuery>,
) -> Result<Response, Fault> {
    reached(&caller, &subject)?;
    let kind = known_kind(&query.kind)?;
    let version = query.version.ok_or_else(|| {
        Fault::bad_request("invalid_version", "name the version to go back to; `items` and `uses` list them")
            .at("version")
    })?;
    let item = ItemName { tenant: &caller.tenant, subject: &subject, kind, name: &query.name };
    let (_, plain) = app.engine.store.find_item(item, Some(version)).await?.ok_or_else(|| {
        Fault::not_found("item", "there is no such item, or nothing is left of this version").at("version")
    })?;
    let deed = doing.on(format!("{subject}/{kind}/{}", query.name));
    let version = app.engine.store.put_item(item, &plain, &deed).await?.ok_or_else(|| being_erased("subject"))?;
    let stored = ItemStored { kind: kind.to_owned(), name: query.name, version: version as u32 };
    Ok((StatusCode::CREATED, Json(stored)).into_response())
}

/// Which runs were given which versions, the last ones first.
#[utoipa::path(get, operation_id = "list_uses", path = "/api/v1/subjects/{subject}/uses", tag = "subjects", params(("subject" = String, Path)),
    responses((status = 200, body = UseList), (status = 404, body = Problem)))]
pub(super) async fn uses(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path(subject): Path<String>,
) -> Result<Json<UseList>, Fault> {
    reached(&caller, &subject)?;
    let uses = app.engine.store.list_uses(&caller.tenant, &subject, PAGE_ROWS_MAX).await?;
    let view = |used: crate::store::postgres::subjects::UseRecord| UseView {
        run: valet_core::id::RunId(used.run_id).to_string(),
        kind: used.kind,
        name: used.name,
        version: used.version as u32,
        used_at: used.used_at,
    };
    Ok(Json(UseList { uses: uses.into_iter().map(view).collect() }))
}

/// Files and artifacts of a subject, oldest first, 200 a page.
#[utoipa::path(get, operation_id = "list_files", path = "/api/v1/subjects/{subject}/files", tag = "subjects", params(("subject" = String, Path), FilesQuery),
    responses((status = 200, body = ArtifactList), (status = 400, body = Problem), (status = 404, body = Problem)))]
pub(super) async fn list_files(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path(subject): Path<String>,
    Parameters(query): Parameters<FilesQuery>,
) -> Result<Json<ArtifactList>, Fault> {
    reached(&caller, &subject)?;
    let after = query.after.as_deref().map(|id| parse_prefixed("file", id)).transpose();
    let after = after.map_err(|e| Fault::bad_request("invalid_id", e.to_string()).at("after"))?;
    let mut artifacts = Vec::new();
    for blob in app.engine.store.list_blobs_of_subject(&caller.tenant, &subject, after, PAGE_ROWS_MAX).await? {
        artifacts.push(files::artifact(&app, &caller, blob).await?);
    }
    Ok(Json(ArtifactList { artifacts }))
}

/// Forgets a subject: its runs are cancelled, and a little later its key is destroyed with everything that it sealed. Answers how far
/// that is; asking again changes nothing. Ids and states of its runs stay, and the audit.
#[utoipa::path(post, operation_id = "erase_subject", path = "/api/v1/subjects/{subject}/erase", tag = "subjects", params(("subject" = String, Path)),
    responses((status = 202, body = SubjectView), (status = 404, body = Problem)))]
pub(super) async fn erase(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    doing: Doing,
    Path(subject): Path<String>,
) -> Result<Response, Fault> {
    reached(&caller, &subject)?;
    let found = view(&app, &caller, subject.clone()).await?;
    if found.known_since.is_none() {
        // Nothing was kept, or nothing is any more.
        return Ok((StatusCode::ACCEPTED, Json(found)).into_response());
    }
    app.engine.store.begin_erasure(&caller.tenant, &subject, &doing.on(&subject)).await?;
    app.erasures.notify_one();
    Ok((StatusCode::ACCEPTED, Json(view(&app, &caller, subject).await?)).into_response())
}

/// Nothing new begins with a subject that is being forgotten.
pub(super) async fn refuse_erasing(app: &App, tenant: &str, subject: &str, field: &str) -> Result<(), Fault> {
    if app.engine.store.is_erasing(tenant, subject).await? { Err(being_erased(field)) } else { Ok(()) }
}

fn being_erased(field: &str) -> Fault {
    Fault::conflict("subject_erasing", "this subject is being erased; try again once that is done").at(field)
}

fn reached(caller: &Caller, subject: &str) -> Result<(), Fault> {
    let fits = !subject.is_empty() && subject.len() <= NAME_BYTES_MAX && !subject.contains('\0');
    if fits && caller.reach.has_subject(subject) { Ok(()) } else { Err(missing()) }
}

fn missing() -> Fault {
    Fault::not_found("subject", "nothing is kept of such a subject").at("subject")
}

pub(super) fn known_kind(kind: &str) -> Result<&'static str, Fault> {
    let known = KINDS.into_iter().find(|known| *known == kind);
    known.ok_or_else(|| Fault::bad_request("invalid_kind", format!("one of: {}", KINDS.join(", "))).at("kind"))
}

pub(super) fn kind_of_workers(kind: &str, allowed: &[&'static str]) -> Result<&'static str, Fault> {
    let known = allowed.iter().find(|known| **known == kind).copied();
    known.ok_or_else(|| Fault::bad_request("invalid_kind", format!("one of: {}", allowed.join(", "))).at("kind"))
}

fn read_place(text: &str) -> Result<(String, String), Fault> {
    cursor::read(text, |kind, name| Some((kind.to_owned(), name.to_owned())))
}

fn item_view(record: ItemRecord) -> ItemView {
    ItemView {
        kind: record.kind,
        name: record.name,
        version: record.version as u32,
        created_at: record.created_at,
        created_by: record.created_by,
    }
}
