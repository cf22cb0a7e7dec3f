//! Multipart forms (RFC 7578), with names as browsers write them.

use bytes::Bytes;
use uuid::Uuid;
use valet_outward::header::HeaderValue;

pub struct Multipart {
    boundary: String,
    bytes: Vec<u8>,
}

impl Default for Multipart {
    fn default() -> Self {
        Self { boundary: format!("valet-{}", Uuid::new_v4().simple()), bytes: Vec::new() }
    }
}

impl Multipart {
    pub fn text(&mut self, name: &str, value: &str) {
        self.begin(&format!("name=\"{}\"", escaped(name)), None);
        self.bytes.extend_from_slice(value.as_bytes());
        self.bytes.extend_from_slice(b"\r\n");
    }

    pub fn file(&mut self, name: &str, filename: &str, content_type: &str, content: &[u8]) {
        self.begin(&format!("name=\"{}\"; filename=\"{}\"", escaped(name), escaped(filename)), Some(content_type));
        self.bytes.extend_from_slice(content);
        self.bytes.extend_from_slice(b"\r\n");
    }

    fn begin(&mut self, disposition: &str, content_type: Option<&str>) {
        let head = format!("--{}\r\nContent-Disposition: form-data; {disposition}\r\n", self.boundary);
        self.bytes.extend_from_slice(head.as_bytes());
        if let Some(content_type) = content_type.filter(|kind| !kind.contains(['\r', '\n'])) {
            self.bytes.extend_from_slice(format!("Content-Type: {content_type}\r\n").as_bytes());
        }
        self.bytes.extend_from_slice(b"\r\n");
    }

    /// The content type with its boundary, and the body.
    pub fn finish(mut self) -> (HeaderValue, Bytes) {
        self.bytes.extend_from_slice(format!("--{}--\r\n", self.boundary).as_bytes());
        let kind = HeaderValue::from_str(&format!("multipart/form-data; boundary={}", self.boundary));
        // Letters, digits and `-` only.
        (kind.unwrap_or_else(|_| HeaderValue::from_static("multipart/form-data")), Bytes::from(self.bytes))
    }
}

/// As the HTML standard has it.
fn escaped(text: &str) -> String {
    text.replace('"', "%22").replace('\r', "%0D").replace('\n', "%0A")
}
