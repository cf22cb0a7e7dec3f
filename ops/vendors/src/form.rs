//! A multipart form as it arrived.

use axum::body::Body;
use axum::extract::{FromRequest as _, Multipart, Request};
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use bytes::Bytes;
use serde_json::{Map, Value, json};

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Form {
    pub texts: Vec<(String, String)>,
    pub files: Vec<File>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    pub name: String,
    pub filename: String,
    pub content_type: String,
    pub bytes: Bytes,
}

impl Form {
    pub async fn read(headers: &HeaderMap, body: Bytes) -> Result<Self, String> {
        let kind = headers.get(CONTENT_TYPE).cloned().ok_or("no content type")?;
        let mut request = Request::new(Body::from(body));
        request.headers_mut().insert(CONTENT_TYPE, kind);
        let mut parts = Multipart::from_request(request, &()).await.map_err(|error| error.body_text())?;
        let mut form = Self::default();
        while let Some(part) = parts.next_field().await.map_err(|error| error.body_text())? {
            let name = part.name().unwrap_or_default().to_owned();
            let content_type = part.content_type().unwrap_or_default().to_owned();
            match part.file_name().map(ToOwned::to_owned) {
                Some(filename) => {
                    let bytes = part.bytes().await.map_err(|error| error.body_text())?;
                    form.files.push(File { name, filename, content_type, bytes });
                }
                None => form.texts.push((name, part.text().await.map_err(|error| error.body_text())?)),
            }
        }
        Ok(form)
    }

    pub fn text(&self, name: &str) -> Option<&str> {
        self.texts.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub fn file(&self, name: &str) -> Option<&File> {
        self.files.iter().find(|file| file.name == name)
    }

    /// As a contract sees it: a name that ends in `[]` is a list, every other one is there once or is a list too.
    pub fn as_json(&self) -> Value {
        let mut object: Map<String, Value> = Map::new();
        let texts = self.texts.iter().map(|(name, value)| (name, json!(value)));
        let files = self.files.iter().map(|file| {
            let seen = json!({
                "filename": file.filename, "content_type": file.content_type, "size": file.bytes.len(),
            });
            (&file.name, seen)
        });
        for (name, value) in texts.chain(files) {
            match object.get_mut(name) {
                Some(Value::Array(values)) => values.push(value),
                Some(other) => *other = json!([other.clone(), value]),
                None if name.ends_with("[]") => drop(object.insert(name.clone(), json!([value]))),
                None => drop(object.insert(name.clone(), value)),
            }
        }
        Value::Object(object)
    }
}
