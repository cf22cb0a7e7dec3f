//! JSON that a person gives: in an argument, a file or standard input.

use std::fs;
use std::io::{self, Read};
use std::path::Path;

use serde_json::{Map, Value};

use super::bounds::DOCUMENT_BYTES_MAX;
use super::error::{CliError, at_file};

/// Parses an argument; the error names the option.
pub fn parse(option: &str, text: &str) -> Result<Value, CliError> {
    serde_json::from_str(text).map_err(|e| CliError::usage(format!("{option} is not JSON: {e}")))
}

/// Reads a file, or standard input for `-`.
pub fn read(option: &str, path: &Path) -> Result<Value, CliError> {
    let mut text = String::new();
    let read = if path == Path::new("-") {
        io::stdin().take(DOCUMENT_BYTES_MAX + 1).read_to_string(&mut text)
    } else {
        fs::File::open(path).and_then(|file| file.take(DOCUMENT_BYTES_MAX + 1).read_to_string(&mut text))
    };
    read.map_err(at_file("read", path))?;
    if text.len() as u64 > DOCUMENT_BYTES_MAX {
        let message = format!("{} has more than {DOCUMENT_BYTES_MAX} bytes; give files with --file", path.display());
        return Err(CliError::usage(message));
    }
    parse(&format!("{option} {}", path.display()), &text)
}

/// `key=value`, for clap. The value may hold further `=`.
pub fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => Ok((key.trim().to_owned(), value.to_owned())),
        _ => Err("write it as name=value".to_owned()),
    }
}

/// Numbers and booleans as what they are, all else as text.
pub fn attributes(pairs: &[(String, String)]) -> Map<String, Value> {
    let value = |text: &str| match serde_json::from_str(text) {
        Ok(value @ (Value::Number(_) | Value::Bool(_))) => value,
        _ => Value::String(text.to_owned()),
    };
    pairs.iter().map(|(name, text)| (name.clone(), value(text))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn attributes_keep_their_kind_and_codes_their_zeros() {
        let pairs = ["n=3", "ok=true", "zip=01234", "text=a=b", "null=null"].map(|text| pair(text).unwrap());
        let expected = json!({ "n": 3, "ok": true, "zip": "01234", "text": "a=b", "null": "null" });
        assert_eq!(Value::Object(attributes(&pairs)), expected);
        assert!(pair("no-value").is_err() && pair("=x").is_err());
    }

    #[test]
    fn a_document_that_is_none_is_refused_with_its_place() {
        let error = parse("--json-input", "{\"a\": }").unwrap_err().to_string();
        assert!(error.starts_with("--json-input is not JSON: ") && error.contains("column 7"), "{error}");
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("input.json");
        fs::write(&file, "[1]").unwrap();
        assert_eq!(read("--input", &file).unwrap(), json!([1]));
        fs::write(&file, " ".repeat(DOCUMENT_BYTES_MAX as usize + 1)).unwrap();
        assert!(read("--input", &file).unwrap_err().to_string().contains("more than"));
    }
}
