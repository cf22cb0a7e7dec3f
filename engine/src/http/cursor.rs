//! Where a page ended, as callers hand it back: two parts of the last row's place.

use std::fmt::Display;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::Fault;

/// The first part has no colon.
pub(super) fn write(first: impl Display, second: impl Display) -> String {
    URL_SAFE_NO_PAD.encode(format!("{first}:{second}"))
}

/// Both parts, if `parts` makes a place of them.
pub(super) fn read<T>(text: &str, parts: impl FnOnce(&str, &str) -> Option<T>) -> Result<T, Fault> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok();
    let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    let place = text.as_deref().and_then(|text| text.split_once(':')).and_then(|(first, second)| parts(first, second));
    place.ok_or_else(|| {
        Fault::bad_request("invalid_cursor", "use the `next_cursor` of the page before, unchanged").at("cursor")
    })
}
