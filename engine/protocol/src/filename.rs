//! File names in headers: percent-encoded where they are not plain ASCII.

use std::fmt::Write as _;

/// The header that carries a file's name.
pub const FILENAME_HEADER: &str = "x-valet-filename";

/// A name as a header can carry it.
pub fn encode_filename(name: &str) -> String {
    name.bytes().fold(String::with_capacity(name.len()), |mut text, byte| {
        if byte == b' ' || (byte.is_ascii_graphic() && byte != b'%') {
            text.push(char::from(byte));
        } else {
            let _ = write!(text, "%{byte:02X}");
        }
        text
    })
}

/// The name that a header carries.
pub fn decode_filename(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let hex = after.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        let decoded = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()).filter(|_| byte == b'%');
        rest = if decoded.is_some() { &after[2..] } else { after };
        bytes.push(decoded.unwrap_or(byte));
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_comes_back_as_it_was() {
        for name in ["resume (été).pdf", "100% mine%20.pdf", "履歴書.pdf", "a\tb", "plain name.pdf", ""] {
            let text = encode_filename(name);
            assert!(text.bytes().all(|b| b == b' ' || b.is_ascii_graphic()), "{text}");
            assert_eq!(decode_filename(&text), name);
        }
        assert_eq!(decode_filename("50%"), "50%", "what nobody encoded stays");
    }
}
