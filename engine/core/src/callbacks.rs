//! Tokens with which somebody outside says what a run's completion came to. A token names its run and place and holds a
//! secret; the secret is recorded, so that it stays what it was when the engine's own secret changes.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::id::{RunId, Seq};

const PREFIX: &str = "cb";

/// What an engine makes tokens from.
#[derive(Clone, Default)]
pub struct Callbacks {
    secret: [u8; 32],
    base_url: String,
}

/// What a token's holder knows and nobody else. Debug output does not show it.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("secret")
    }
}

/// Compares in a time that does not tell how much of it fits.
impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        let (left, right) = (&self.0, &other.0);
        left.len() == right.len() && left.bytes().zip(right.bytes()).fold(0, |differ, (a, b)| differ | (a ^ b)) == 0
    }
}

impl Eq for Secret {}

/// A token taken apart. Whether its secret is right, the run knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParsedToken {
    pub run: RunId,
    pub seq: Seq,
    pub secret: Secret,
}

impl Callbacks {
    /// `base_url`: where the API is reached from outside, without a slash at its end.
    pub fn at(base_url: impl Into<String>) -> Self {
        Self { base_url: base_url.into(), ..Self::default() }
    }

    /// `secret`: random bytes that nobody else knows; they need not outlive the process.
    #[must_use]
    pub fn with_secret(self, secret: [u8; 32]) -> Self {
        Self { secret, ..self }
    }

    pub(crate) fn secret(&self, run: RunId, seq: Seq) -> Secret {
        let mut hash = Sha256::new();
        hash.update(self.secret);
        hash.update(run.0.as_bytes());
        hash.update(seq.0.to_be_bytes());
        let mut short = [0; 16];
        short.iter_mut().zip(hash.finalize()).for_each(|(to, byte)| *to = byte);
        Secret(Uuid::from_bytes(short).simple().to_string())
    }

    pub fn token(run: RunId, seq: Seq, secret: &Secret) -> String {
        format!("{PREFIX}_{}_{seq}_{}", run.0.simple(), secret.0)
    }

    pub(crate) fn base_url(&self) -> &str {
        &self.base_url
    }

    pub(crate) fn url(&self, token: &str) -> String {
        format!("{}/api/v1/completions/{token}", self.base_url)
    }

    /// `None`: not a token of this kind.
    pub fn parse(token: &str) -> Option<ParsedToken> {
        let mut parts = token.split('_');
        let (prefix, run, seq, secret) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        if prefix != PREFIX || parts.next().is_some() || run.len() != 32 || secret.len() != 32 {
            return None;
        }
        let run = RunId(Uuid::try_parse(run).ok()?);
        Some(ParsedToken { run, seq: Seq(seq.parse().ok()?), secret: Secret(secret.to_owned()) })
    }
}
