//! Reads the body of a sent form page within the bounds, whichever of the two form encodings it has.

use std::time::Duration;

use axum::RequestExt as _;
use axum::body::to_bytes;
use axum::extract::multipart::{Field, Multipart, MultipartError};
use axum::extract::{DefaultBodyLimit, FromRequest as _, Request};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use thiserror::Error;

use crate::bounds;
use crate::upload::{Budget, Upload};

/// A sent form page: text values in the order of the page, and files that were really chosen.
#[derive(Debug, Default)]
pub struct SentForm {
    pub values: Vec<(String, String)>,
    pub files: Vec<(String, Upload)>,
}

impl SentForm {
    /// The last value of a control, as most form libraries take it.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.values.iter().rfind(|(sent, _)| sent == name).map(|(_, value)| value.as_str())
    }
}

#[derive(Debug, Error)]
pub enum BodyError {
    #[error("this page takes forms only")]
    ContentType,
    #[error("the form could not be read")]
    Malformed,
    #[error("the form or one of its files is too large")]
    TooLarge,
    #[error("the form did not arrive in time")]
    Timeout,
}

impl BodyError {
    pub fn status(&self) -> StatusCode {
        match self {
            Self::ContentType | Self::Malformed => StatusCode::BAD_REQUEST,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Timeout => StatusCode::REQUEST_TIMEOUT,
        }
    }
}

impl From<MultipartError> for BodyError {
    fn from(error: MultipartError) -> Self {
        if error.status() == StatusCode::PAYLOAD_TOO_LARGE { Self::TooLarge } else { Self::Malformed }
    }
}

/// The route has to carry this limit: the default one is smaller than a résumé.
pub fn limit() -> DefaultBodyLimit {
    DefaultBodyLimit::max(bounds::MAX_BODY_BYTES)
}

/// For routes of small forms without files.
pub fn small_limit() -> DefaultBodyLimit {
    DefaultBodyLimit::max(bounds::MAX_SMALL_BODY_BYTES)
}

/// Reads a form within `timeout`.
pub async fn read(request: Request, budget: &Budget, timeout: Duration) -> Result<SentForm, BodyError> {
    tokio::time::timeout(timeout, read_any(request, budget)).await.map_err(|_| BodyError::Timeout)?
}

async fn read_any(request: Request, budget: &Budget) -> Result<SentForm, BodyError> {
    let content_type = request
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .map(|value| value.trim().to_ascii_lowercase());
    match content_type.as_deref() {
        Some("application/x-www-form-urlencoded") => read_urlencoded(request).await,
        Some("multipart/form-data") => read_multipart(request, budget).await,
        _ => Err(BodyError::ContentType),
    }
}

async fn read_urlencoded(request: Request) -> Result<SentForm, BodyError> {
    let limited = request.with_limited_body().into_body();
    // Encoding makes a letter up to three bytes of one.
    let bytes = to_bytes(limited, bounds::MAX_REQUEST_TEXT_BYTES * 3).await.map_err(|_| BodyError::TooLarge)?;
    let mut form = SentForm::default();
    let mut text = TextBound::default();
    for (name, value) in url::form_urlencoded::parse(&bytes) {
        text.add(name.len(), value.len())?;
        form.values.push((name.into_owned(), value.into_owned()));
    }
    Ok(form)
}

async fn read_multipart(request: Request, budget: &Budget) -> Result<SentForm, BodyError> {
    let mut parts = Multipart::from_request(request, &()).await.map_err(|_| BodyError::Malformed)?;
    let mut form = SentForm::default();
    let mut text = TextBound::default();
    let mut too_large = false;
    while let Some(part) = parts.next_field().await? {
        let name = part.name().unwrap_or_default().to_owned();
        match part.file_name().map(str::to_owned) {
            Some(filename) => {
                text.add(name.len(), 0)?;
                match read_part(part, bounds::MAX_FILE_BYTES).await? {
                    // Browsers send an empty, nameless file for a control without a choice.
                    Some(content) if filename.is_empty() && content.is_empty() => {}
                    Some(content) => form.files.push((name, Upload::new(&filename, content, budget))),
                    None => too_large = true,
                }
            }
            None => match read_part(part, bounds::MAX_FIELD_BYTES).await? {
                Some(value) => {
                    text.add(name.len(), value.len())?;
                    let value = String::from_utf8_lossy(&value).into_owned();
                    form.values.push((name, value));
                }
                None => too_large = true,
            },
        }
    }
    if too_large { Err(BodyError::TooLarge) } else { Ok(form) }
}

/// The content of a part, or nothing when it is longer than the limit. It is read to its end in both cases, so that the
/// browser is still listening when the answer comes.
async fn read_part(mut part: Field<'_>, limit_bytes: usize) -> Result<Option<Vec<u8>>, BodyError> {
    let mut content = Vec::new();
    let mut size = 0;
    while let Some(chunk) = part.chunk().await? {
        size += chunk.len();
        if size <= limit_bytes {
            content.extend_from_slice(&chunk);
        } else {
            content = Vec::new();
        }
    }
    Ok((size <= limit_bytes).then_some(content))
}

#[derive(Default)]
struct TextBound {
    parts: usize,
    bytes: usize,
}

impl TextBound {
    fn add(&mut self, name_bytes: usize, value_bytes: usize) -> Result<(), BodyError> {
        self.parts += 1;
        self.bytes += name_bytes + value_bytes;
        let within = self.parts <= bounds::MAX_PARTS
            && self.bytes <= bounds::MAX_REQUEST_TEXT_BYTES
            && value_bytes <= bounds::MAX_FIELD_BYTES;
        if within { Ok(()) } else { Err(BodyError::TooLarge) }
    }
}
