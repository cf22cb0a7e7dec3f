//! Query parameters, checked at the door like bodies: unknown names, values that cannot be read, NUL.

use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use super::Fault;
use super::body::nul;

/// Longest parameter name that an answer repeats.
const NAME_BYTES_MAX: usize = 64;

/// Checked query parameters.
pub struct Parameters<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Parameters<T> {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Fault> {
        // The pairs as they are, for the names; a later parameter of the same name is refused by `T`.
        let pairs: Vec<(String, String)> =
            Query::try_from_uri(&parts.uri).map(|Query(pairs)| pairs).unwrap_or_default();
        if let Some((name, _)) = pairs.iter().find(|(name, value)| name.contains('\0') || value.contains('\0')) {
            return Err(nul().at(shown(name)));
        }
        let read = Query::<T>::try_from_uri(&parts.uri);
        read.map(|Query(parameters)| Self(parameters)).map_err(|rejection| refused(&rejection.body_text(), &pairs))
    }
}

/// The rejection's text is `...: name: what is wrong`, or names an unknown or missing field; values are not repeated.
fn refused(text: &str, pairs: &[(String, String)]) -> Fault {
    let fault = |detail: &str| Fault::bad_request("invalid_query", detail);
    if let Some(name) = quoted_after(text, "unknown field `") {
        return fault("there is no such query parameter; see /api/v1/openapi.json").at(shown(name));
    }
    if let Some(name) = quoted_after(text, "missing field `") {
        return fault("this query parameter is missing").at(shown(name));
    }
    let named = pairs.iter().map(|(name, _)| name).find(|name| text.contains(&format!(": {name}: ")));
    match named {
        Some(name) => fault("the value of this query parameter cannot be read").at(shown(name)),
        None => fault("the query cannot be read; see /api/v1/openapi.json"),
    }
}

fn quoted_after<'a>(text: &'a str, before: &str) -> Option<&'a str> {
    text.split_once(before)?.1.split('`').next()
}

fn shown(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(NAME_BYTES_MAX).collect()
}
