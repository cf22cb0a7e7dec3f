//! The `Idempotency-Key` of a request, the same rule for every route that takes one.

use axum::http::HeaderMap;

use super::Fault;

/// Longest key.
const KEY_BYTES_MAX: usize = 255;

/// The caller's key; `None` if the request has none.
pub(super) fn read(headers: &HeaderMap) -> Result<Option<String>, Fault> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    checked(value.to_str().unwrap_or_default()).map(Some).map_err(|fault| fault.at("Idempotency-Key"))
}

/// The key, if it is one.
pub(super) fn checked(key: &str) -> Result<String, Fault> {
    let visible = key.bytes().all(|byte| byte == b' ' || byte == b'\t' || byte.is_ascii_graphic());
    if key.is_empty() || key.len() > KEY_BYTES_MAX || !visible {
        return Err(Fault::bad_request("invalid_idempotency_key", "use 1 to 255 visible ASCII characters"));
    }
    Ok(key.to_owned())
}
