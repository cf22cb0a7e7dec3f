//! Bodies and answers shared by the gate's two servers.

use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE};
use hyper::{Response, StatusCode};
use serde_json::{Value, json};

pub type Body = BoxBody<Bytes, hyper::Error>;

pub fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed()
}

pub fn json_answer(status: StatusCode, value: &Value) -> Response<Body> {
    answer(status, "application/json; charset=utf-8", value.to_string())
}

/// An error in the shape of the WebDriver specification, "send an error".
pub fn webdriver_error(status: StatusCode, error: &str, message: &str) -> Response<Body> {
    json_answer(status, &json!({"value": {"error": error, "message": message, "stacktrace": ""}}))
}

pub fn answer(status: StatusCode, content_type: &str, body: impl Into<Bytes>) -> Response<Body> {
    Response::builder()
        .status(status)
        .header(CONTENT_TYPE, content_type)
        .header(CACHE_CONTROL, "no-store")
        .body(full(body))
        .unwrap_or_else(|_| Response::new(full("")))
}
