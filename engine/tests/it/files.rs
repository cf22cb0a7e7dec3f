//! Files for inputs: sniffed, bounded, sealed, handed back as they were.

use std::fmt::Write as _;

use serde_json::json;
use valet_engine::bounds::FILE_BYTES_MAX;

use super::app::TestApp;
use super::calls::{Call, OTHER_TENANT};

const BOUNDARY: &str = "a-boundary-that-no-file-holds";

/// A form of (field, file name, bytes).
pub fn form(fields: &[(&str, Option<&str>, &[u8])]) -> Call {
    let mut body = Vec::new();
    for (field, filename, bytes) in fields {
        let mut head = format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{field}\"");
        if let Some(filename) = filename {
            let _ = write!(head, "; filename=\"{filename}\"");
        }
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(b"\r\n\r\n");
        body.extend_from_slice(bytes);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{BOUNDARY}--\r\n").as_bytes());
    Call::post("/api/v1/files").body(body).header("content-type", format!("multipart/form-data; boundary={BOUNDARY}"))
}

/// The id of a small file of a subject.
pub async fn upload(app: &TestApp, token: &str, subject: &str) -> String {
    let call = form(&[("file", Some("note.txt"), b"a note"), ("subject", None, subject.as_bytes())]).token(token);
    app.send(call).await.expect(201).json()["id"].as_str().expect("an id").to_owned()
}

#[tokio::test]
async fn a_file_comes_back_as_it_was_and_to_its_tenant_only() {
    let app = TestApp::start().await;
    let bytes = [b"%PDF-1.7\n".as_slice(), &[0, 255, 13, 10, 0]].concat();
    let stored = app.send(form(&[("file", Some("../Ada's CV.pdf"), &bytes), ("subject", None, b"ada")])).await;
    let stored = stored.expect(201).json();
    assert_eq!(stored["content_type"], "application/pdf");
    assert_eq!(stored["filename"], "Ada's CV.pdf");
    assert_eq!(stored["size_bytes"], json!(bytes.len()));
    assert_eq!(stored["sha256"].as_str().map(str::len), Some(64));
    let path = format!("/api/v1/files/{}", stored["id"].as_str().expect("an id"));
    let back = app.send(Call::get(&path)).await.expect(200);
    assert_eq!(back.bytes, bytes);
    assert_eq!(back.header("content-type"), Some("application/pdf"));
    assert_eq!(back.header("content-disposition"), Some("attachment"));
    assert_eq!(back.header("x-content-type-options"), Some("nosniff"));
    app.send(Call::get(&path).token(OTHER_TENANT)).await.problem(404, "file_not_found");
}

#[tokio::test]
async fn forms_that_cannot_be_taken_are_refused() {
    let app = TestApp::start().await;
    let truncated = Call::post("/api/v1/files")
        .body(format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\nhalf a file"))
        .header("content-type", format!("multipart/form-data; boundary={BOUNDARY}"));
    let cases = [
        (Call::post("/api/v1/files").body("{}"), 400, "invalid_form", None),
        (Call::post("/api/v1/files"), 400, "invalid_form", None),
        (truncated, 400, "invalid_form", None),
        (form(&[]), 400, "file_missing", Some("file")),
        (form(&[("subject", None, b"ada")]), 400, "file_missing", Some("file")),
        (form(&[("file", Some("a"), b"")]), 400, "file_empty", Some("file")),
        (form(&[("photo", Some("a"), b"x")]), 400, "unknown_field", Some("photo")),
        (form(&[("file", Some("a"), b"x"), ("subject", None, b"")]), 400, "invalid_subject", Some("subject")),
        (form(&[("file", Some("a"), b"x"), ("subject", None, b"a\0b")]), 400, "invalid_subject", Some("subject")),
        (form(&[("file", Some("a"), b"x"), ("subject", None, &[b'x'; 129])]), 400, "invalid_subject", Some("subject")),
        (form(&[("file", Some("a"), &vec![1; FILE_BYTES_MAX + 1])]), 413, "too_large", Some("file")),
        (form(&[("file", Some("a"), &vec![1; FILE_BYTES_MAX + 200_000])]), 413, "too_large", Some("file")),
    ];
    for (call, status, code, field) in cases {
        let answer = app.send(call).await.problem(status, code);
        assert_eq!(answer.field().as_deref(), field, "{answer:?}");
    }
    let blobs: i64 = sqlx::query_scalar("SELECT count(*) FROM blobs").fetch_one(app.pool()).await.expect("a count");
    assert_eq!(blobs, 0);
}

#[tokio::test]
async fn the_largest_file_is_taken() {
    let app = TestApp::start().await;
    let bytes = vec![7; FILE_BYTES_MAX];
    let stored = app.send(form(&[("file", Some("large"), &bytes)])).await.expect(201).json();
    let back = app.send(Call::get(format!("/api/v1/files/{}", stored["id"].as_str().expect("an id")))).await;
    assert!(back.expect(200).bytes == bytes);
}
