//! JSON bodies, checked at the door: type, size, depth, NUL, shape. The error names the place.

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::{StatusCode, header};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::Fault;
use crate::bounds::{JSON_DEPTH_MAX, REQUEST_BYTES_MAX};

/// A checked JSON body.
pub struct Body<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Fault;

    async fn from_request(request: Request, state: &S) -> Result<Self, Fault> {
        let content_type = request.headers().get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok());
        // An absent type is taken for JSON; a foreign one is a mistake worth naming.
        if content_type.is_some_and(|t| !t.to_ascii_lowercase().contains("json")) {
            return Err(Fault::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported_media_type",
                "send JSON with `Content-Type: application/json`",
            )
            .at("Content-Type"));
        }
        let bytes = Bytes::from_request(request, state).await.map_err(|_| too_large())?;
        read_object(&bytes).map(Self)
    }
}

/// A body that may be absent: then it is the default.
pub struct OptionalBody<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Default> FromRequest<S> for OptionalBody<T> {
    type Rejection = Fault;

    async fn from_request(request: Request, state: &S) -> Result<Self, Fault> {
        let bytes = Bytes::from_request(request, state).await.map_err(|_| too_large())?;
        if bytes.is_empty() { Ok(Self(T::default())) } else { read_object(&bytes).map(Self) }
    }
}

pub(super) fn too_large() -> Fault {
    let detail = format!("the body is larger than {REQUEST_BYTES_MAX} bytes; send files to /api/v1/files");
    Fault::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", detail)
}

/// Each body is an object. A list would be taken for the values of its fields in the order that the code happens to have.
fn read_object<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Fault> {
    let value = read(bytes)?;
    if bytes.trim_ascii_start().starts_with(b"[") {
        return Err(Fault::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_body", "expected an object, not a list"));
    }
    Ok(value)
}

/// Reads checked JSON.
pub(super) fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Fault> {
    check_text(bytes)?;
    let reader = &mut serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut *reader).map_err(misshapen)?;
    reader.end().map_err(|error| not_json(&error))?;
    Ok(value)
}

/// The same of a part of a body that was read already.
pub(super) fn read_part<T: DeserializeOwned>(part: Value) -> Result<T, Fault> {
    serde_path_to_error::deserialize(part).map_err(misshapen)
}

fn misshapen(error: serde_path_to_error::Error<serde_json::Error>) -> Fault {
    let field = pointer(error.path());
    let inner = error.into_inner();
    if inner.is_syntax() || inner.is_eof() {
        return not_json(&inner);
    }
    // serde's sentence may quote a value; only what it expected is repeated.
    let message = without_values(&inner.to_string());
    let missing = message.strip_prefix("missing field `").and_then(|rest| rest.split('`').next());
    let field = missing.map_or(field.clone(), |name| format!("{field}/{}", segment(name)));
    let fault = Fault::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_body", message);
    if field.is_empty() { fault } else { fault.at(field) }
}

fn not_json(error: &serde_json::Error) -> Fault {
    let detail = format!("the body is not JSON: line {}, column {}", error.line(), error.column());
    Fault::bad_request("invalid_json", detail)
}

/// Depth and NUL, over the text: a parser would have to build the tree first.
fn check_text(bytes: &[u8]) -> Result<(), Fault> {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for (at, byte) in bytes.iter().enumerate() {
        if escaped {
            escaped = false;
            if *byte == b'u' && bytes.get(at + 1..at + 5) == Some(b"0000") {
                return Err(nul());
            }
            continue;
        }
        match (in_string, byte) {
            (_, 0) => return Err(nul()),
            (true, b'\\') => escaped = true,
            (_, b'"') => in_string = !in_string,
            (false, b'{' | b'[') => {
                depth += 1;
                if depth > JSON_DEPTH_MAX {
                    let detail = format!("the JSON is nested deeper than {JSON_DEPTH_MAX} levels");
                    return Err(Fault::bad_request("too_deep", detail));
                }
            }
            (false, b'}' | b']') => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    Ok(())
}

pub(super) fn nul() -> Fault {
    Fault::bad_request("nul_in_text", "the text holds a NUL character (\\u0000), which cannot be stored; remove it")
}

/// A key as a segment of a JSON pointer (RFC 6901).
pub(super) fn segment(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

fn pointer(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    path.iter().fold(String::new(), |pointer, segment| match segment {
        Segment::Seq { index } => format!("{pointer}/{index}"),
        Segment::Map { key } | Segment::Enum { variant: key } => format!("{pointer}/{}", self::segment(key)),
        Segment::Unknown => pointer,
    })
}

/// What serde says, without the value that it quotes.
pub(super) fn without_values(message: &str) -> String {
    let message = message.split(" at line ").next().unwrap_or(message);
    match message.split_once(": ") {
        Some((kind, rest)) if kind.starts_with("invalid type") || kind.starts_with("invalid value") => {
            let expected = rest.rsplit_once("expected ").map_or("another value", |(_, expected)| expected);
            format!("expected {expected}")
        }
        _ => message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    #[test]
    fn a_list_is_no_body() {
        #[derive(Debug, serde::Deserialize)]
        struct Shape {
            name: String,
        }
        let fault = read_object::<Shape>(b" [\"x\"]").unwrap_err();
        assert_eq!(fault.problem().code, "invalid_body");
        assert_eq!(read_object::<Shape>(b" {\"name\": \"x\"}").unwrap().name, "x");
    }

    fn code(text: &str) -> Option<String> {
        let fault = read::<Value>(text.as_bytes()).err()?;
        Some(format!("{fault:?}").split("code: \"").nth(1)?.split('"').next()?.to_owned())
    }

    #[test]
    fn depth_nul_and_syntax_are_told_apart() {
        assert_eq!(code("{\"a\": [1, {}]}"), None);
        assert_eq!(code(&"[".repeat(65)).as_deref(), Some("too_deep"));
        assert_eq!(code(&format!("{}{}", "[".repeat(64), "]".repeat(64))), None);
        assert_eq!(code("{\"a\": \"x\\u0000\"}").as_deref(), Some("nul_in_text"));
        assert_eq!(code("{\"a\": \"x\\\\u0000\"}"), None, "an escaped backslash is no NUL");
        assert_eq!(code("{\"a\": \"[[[[\"").as_deref(), Some("invalid_json"));
        assert_eq!(code("not json").as_deref(), Some("invalid_json"));
        assert_eq!(code("{} {}").as_deref(), Some("invalid_json"), "nothing may follow");
        assert_eq!(code("{} \n"), None);
    }

    #[test]
    fn an_error_names_the_place_and_repeats_no_value() {
        #[derive(Debug, serde::Deserialize)]
        #[expect(dead_code, reason = "only its shape matters")]
        struct Shape {
            inner: Vec<u32>,
        }
        let fault = read::<Shape>(b"{\"inner\": [1, \"secret\"]}").unwrap_err();
        let text = format!("{fault:?}");
        assert!(text.contains("/inner/1"), "{text}");
        assert!(!text.contains("secret"), "{text}");
    }
}
