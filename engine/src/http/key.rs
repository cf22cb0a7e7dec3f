//! The `Idempotency-Key` of a request, the same rule for every route that takes one.

use axum::http::HeaderMap;

use super::Fault;

/// Longest key.
const KEY_BYTES_MAX: usize = 255;

/// The caller's key; `None` if the request has none.
pub(super) fn read(headers: &HeaderMap) -> Result<Option<String>, Fault> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    let key = value.to_str().ok().filter(|key| !key.is_empty() && key.len() <= KEY_BYTES_MAX).ok_or_else(|| {
        Fault::bad_request("invalid_idempotency_key", "use 1 to 255 visible ASCII characters").at("Idempotency-Key")
    })?;
    Ok(Some(key.to_owned()))
}
