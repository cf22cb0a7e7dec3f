//! Files for inputs, and artifacts of runs. Bytes are sealed; names are sealed too, since they may be personal.

use std::sync::Arc;

use axum::extract::multipart::{Multipart, MultipartError, MultipartRejection};
use axum::extract::{Path, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use sha2::{Digest, Sha256};
use utoipa::ToSchema;
use uuid::Uuid;
use valet_core::bounds::NAME_BYTES_MAX;
use valet_core::id::{RunId, parse_prefixed};
use valet_protocol::api::{ArtifactView, FileStored};
use valet_protocol::filename::{FILENAME_HEADER, encode_filename};
use valet_protocol::problem::Problem;

use super::auth::Caller;
use super::doing::Doing;
use super::{App, Fault, mask, subjects};
use crate::bounds::FILE_BYTES_MAX;
use crate::hex;
use crate::store::postgres::queries::{BlobRecord, NewBlob};

/// Longest file name kept.
const FILENAME_BYTES_MAX: usize = 255;

/// The form of an upload.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only described: the body is read as a stream")]
pub(super) struct Upload {
    #[schema(value_type = String, format = Binary)]
    file: Vec<u8>,
    /// Whose file it is. Default: `default`.
    subject: Option<String>,
}

/// Stores a file that inputs can name.
#[utoipa::path(post, operation_id = "upload_file", path = "/api/v1/files", tag = "files", request_body(content = Upload, content_type = "multipart/form-data"),
    responses((status = 201, body = FileStored), (status = 400, body = Problem), (status = 413, body = Problem),
        (status = 409, body = Problem, description = "Its subject is being erased")))]
pub(super) async fn upload(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    doing: Doing,
    multipart: Result<Multipart, MultipartRejection>,
) -> Result<Response, Fault> {
    let multipart = multipart.map_err(|_| not_a_form())?;
    let form = Form::read(multipart).await?;
    if !caller.reach.has_subject(&form.subject) {
        return Err(Fault::out_of_reach("this token does not reach this subject").at("subject"));
    }
    subjects::refuse_erasing(&app, &caller.tenant, &form.subject, "subject").await?;
    let (filename, bytes) =
        form.file.ok_or_else(|| Fault::bad_request("file_missing", "send the file in the field `file`").at("file"))?;
    if bytes.is_empty() {
        return Err(Fault::bad_request("file_empty", "the file has no bytes").at("file"));
    }
    let stored = store(&app, &caller.tenant, &form.subject, filename, &bytes, By::Person(&doing)).await?;
    Ok((StatusCode::CREATED, Json(stored)).into_response())
}

/// The bytes of a file or artifact.
#[utoipa::path(get, operation_id = "download_file", path = "/api/v1/files/{id}", tag = "files", params(("id" = String, Path)),
    responses((status = 200, body = [u8], content_type = "application/octet-stream"), (status = 404, body = Problem)))]
pub(super) async fn download(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Response, Fault> {
    let id = parse_prefixed("file", &id).map_err(|e| Fault::bad_request("invalid_id", e.to_string()).at("id"))?;
    send(&app, &caller, id).await
}

struct Form {
    file: Option<(String, Vec<u8>)>,
    subject: String,
}

impl Form {
    async fn read(mut multipart: Multipart) -> Result<Self, Fault> {
        let mut form = Self { file: None, subject: "default".to_owned() };
        while let Some(field) = multipart.next_field().await.map_err(|e| unreadable(&e))? {
            match field.name() {
                Some("file") => {
                    let filename = clean_name(field.file_name().unwrap_or("file"));
                    form.file = Some((filename, read_bounded(field).await?));
                }
                Some("subject") => {
                    let subject = field.text().await.map_err(|e| unreadable(&e))?;
                    if subject.is_empty() || subject.len() > NAME_BYTES_MAX || subject.contains('\0') {
                        let detail = "1 to 128 bytes without NUL";
                        return Err(Fault::bad_request("invalid_subject", detail).at("subject"));
                    }
                    form.subject = subject;
                }
                other => {
                    let name: String = other.unwrap_or_default().chars().take(NAME_BYTES_MAX).collect();
                    let detail = "the form has no such field; there are: file, subject";
                    return Err(Fault::bad_request("unknown_field", detail).at(name));
                }
            }
        }
        Ok(form)
    }
}

async fn read_bounded(mut field: axum::extract::multipart::Field<'_>) -> Result<Vec<u8>, Fault> {
    let mut bytes = Vec::new();
    while let Some(chunk) = field.chunk().await.map_err(|e| unreadable(&e))? {
        if bytes.len() + chunk.len() > FILE_BYTES_MAX {
            return Err(too_large());
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

fn too_large() -> Fault {
    let detail = format!("a file has at most {FILE_BYTES_MAX} bytes");
    Fault::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", detail).at("file")
}

/// A form that ends too early is no form; one that does not end in time is too large.
fn unreadable(error: &MultipartError) -> Fault {
    if error.status() == StatusCode::PAYLOAD_TOO_LARGE { too_large() } else { not_a_form() }
}

fn not_a_form() -> Fault {
    Fault::bad_request("invalid_form", "send multipart/form-data with the field `file`, and `subject` if you like")
}

/// The last part of a path, without control characters: names go into headers and onto a worker's disk.
pub(super) fn clean_name(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or(name);
    let clean: String = last.chars().filter(|c| !c.is_control() && *c != '"').collect();
    let clean = clean.trim().trim_start_matches('.');
    let mut end = clean.len().min(FILENAME_BYTES_MAX);
    while !clean.is_char_boundary(end) {
        end -= 1;
    }
    if end == 0 { "file".to_owned() } else { clean[..end].to_owned() }
}

/// Who leaves a file.
pub(super) enum By<'a> {
    Person(&'a Doing),
    /// A run's artifact.
    Step {
        run: RunId,
        seq: i32,
    },
}

pub(super) async fn store(
    app: &App,
    tenant: &str,
    subject: &str,
    filename: String,
    bytes: &[u8],
    by: By<'_>,
) -> Result<FileStored, Fault> {
    let id = app.engine.entropy.uuid();
    let sha256 = hex::encode(&Sha256::digest(bytes));
    let sealed = app.engine.store.seal_for(tenant, subject, bytes).await?;
    // Bytes first: a row without bytes would be a promise that cannot be kept; bytes without a row are collected.
    app.blobs.put(id, sealed).await?;
    let (of, deed) = match by {
        By::Person(doing) => (None, Some(doing.on(file_id(id)))),
        By::Step { run, seq } => (Some((run, seq)), None),
    };
    let blob = NewBlob {
        id,
        kind: if of.is_some() { "artifact" } else { "file" },
        tenant: tenant.to_owned(),
        subject: subject.to_owned(),
        run: of.map(|(run, _)| run),
        seq: of.map(|(_, seq)| seq),
        content_type: sniff(bytes).to_owned(),
        size_bytes: bytes.len() as u64,
        sha256,
        filename,
        deed,
    };
    app.engine.store.add_blob(&blob).await?;
    Ok(FileStored {
        id: file_id(id),
        filename: blob.filename,
        content_type: blob.content_type,
        size_bytes: blob.size_bytes,
        sha256: blob.sha256,
    })
}

pub(super) async fn send(app: &App, caller: &Caller, id: Uuid) -> Result<Response, Fault> {
    let mut found = app.engine.store.find_blob(&caller.tenant, id).await?;
    found = found.filter(|blob| caller.reach.has_subject(&blob.subject));
    if caller.reach.workflows.is_some()
        && let Some(run) = found.as_ref().and_then(|blob| blob.run_id)
    {
        let of = app.engine.store.find_run(&caller.tenant, RunId(run)).await?;
        found = found.filter(|_| of.is_some_and(|run| caller.reach.has_workflow(&run.workflow)));
    }
    let blob = found.ok_or_else(|| Fault::not_found("file", "there is no such file").at("id"))?;
    let filename = app.engine.store.blob_filename(&blob).await?;
    let bytes = app.engine.store.open_sealed(&app.blobs.get(id).await?).await?;
    let mut response = bytes.into_response();
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(&blob.content_type) {
        headers.insert(header::CONTENT_TYPE, value);
    }
    // People's files are never run by a browser in the console's origin.
    headers.insert(header::CONTENT_DISPOSITION, HeaderValue::from_static("attachment"));
    headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    if let Ok(value) = HeaderValue::from_str(&encode_filename(&filename)) {
        headers.insert(FILENAME_HEADER, value);
    }
    Ok(response)
}

pub(super) async fn artifact(app: &App, caller: &Caller, blob: BlobRecord) -> Result<ArtifactView, Fault> {
    let filename =
        if caller.sees_contents() { app.engine.store.blob_filename(&blob).await? } else { mask::HIDDEN.to_owned() };
    Ok(ArtifactView {
        filename,
        id: file_id(blob.id),
        step: blob.seq.map(|seq| seq as u32),
        content_type: blob.content_type,
        size_bytes: blob.size_bytes as u64,
        sha256: blob.sha256,
        created_at: blob.created_at,
    })
}

pub(super) fn file_id(id: Uuid) -> String {
    format!("file_{}", id.simple())
}

/// By the bytes; text where nothing else fits and it is UTF-8.
fn sniff(bytes: &[u8]) -> &'static str {
    if let Some(kind) = infer::get(bytes) {
        return kind.mime_type();
    }
    if std::str::from_utf8(bytes).is_ok_and(|text| !text.contains('\0')) {
        "text/plain"
    } else {
        "application/octet-stream"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_name_cannot_leave_its_folder_or_a_header() {
        assert_eq!(clean_name("../../etc/passwd"), "passwd");
        assert_eq!(clean_name("C:\\cv\\Ada.pdf"), "Ada.pdf");
        assert_eq!(clean_name("a\r\nb\".pdf"), "ab.pdf");
        assert_eq!(clean_name("..."), "file");
        assert_eq!(clean_name(&"é".repeat(300)).len(), 254);
    }

    #[test]
    fn types_are_sniffed_from_bytes() {
        assert_eq!(sniff(b"%PDF-1.7 ..."), "application/pdf");
        assert_eq!(sniff("plain é".as_bytes()), "text/plain");
        assert_eq!(sniff(&[0, 159, 146, 150]), "application/octet-stream");
    }
}
