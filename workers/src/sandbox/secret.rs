//! Secrets of a sandbox: random or derived, as letters and digits.

use rand::RngExt as _;

/// 256 random bits.
pub fn secret() -> String {
    hex(&rand::rng().random::<[u8; 32]>())
}

pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
