//! Tokens with which a thing outside speaks of itself: each is right for one resource and nothing else, without a row of its own.
//!
//! A token is the HMAC-SHA256 of what the resource is called, under a key that follows from the master key: every engine makes and knows
//! the same. Whoever has it shows it, or signs a message with it and keeps it to himself.

use ring::hmac;

use crate::hex;

/// Tells these tokens apart from all others.
pub const PREFIX: &str = "vr_";
const PURPOSE: &[u8] = b"valet resource 1";

/// What a token is of.
#[derive(Clone, Copy, Debug)]
pub struct Named<'a> {
    pub tenant: &'a str,
    pub kind: &'a str,
    pub key: &'a str,
}

/// How a message says who sent it.
#[derive(Clone, Copy, Debug)]
pub enum Shown<'a> {
    Token(&'a str),
    /// Hexadecimal digits of the message's HMAC-SHA256 under the token.
    Signature {
        digits: &'a str,
        message: &'a [u8],
    },
}

/// Makes and knows tokens.
pub struct ResourceTokens(hmac::Key);

impl ResourceTokens {
    pub fn new(master: &[u8; 32]) -> Self {
        let derived = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, master), PURPOSE);
        Self(hmac::Key::new(hmac::HMAC_SHA256, derived.as_ref()))
    }

    pub fn token(&self, of: &Named<'_>) -> String {
        format!("{PREFIX}{}", hex::encode(hmac::sign(&self.0, &name(of)).as_ref()))
    }

    /// Compared in constant time.
    pub fn is_right(&self, of: &Named<'_>, shown: Shown<'_>) -> bool {
        match shown {
            Shown::Token(token) => {
                let tag = token.strip_prefix(PREFIX).and_then(hex::decode);
                tag.is_some_and(|tag| hmac::verify(&self.0, &name(of), &tag).is_ok())
            }
            Shown::Signature { digits, message } => {
                let key = hmac::Key::new(hmac::HMAC_SHA256, self.token(of).as_bytes());
                hex::decode(digits).is_some_and(|tag| hmac::verify(&key, message, &tag).is_ok())
            }
        }
    }
}

/// With the lengths, so that no two are written alike.
fn name(of: &Named<'_>) -> Vec<u8> {
    let mut name = Vec::new();
    for part in [of.tenant, of.kind, of.key] {
        name.extend_from_slice(&(part.len() as u64).to_be_bytes());
        name.extend_from_slice(part.as_bytes());
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: Named<'_> = Named { tenant: "acme", kind: "sandbox", key: "a" };

    #[test]
    fn a_token_is_right_for_its_own_resource_under_its_own_key_only() {
        let tokens = ResourceTokens::new(&[1; 32]);
        let token = tokens.token(&OWN);
        assert!(tokens.is_right(&OWN, Shown::Token(&token)));
        for other in [Named { tenant: "acm", kind: "esandbox", ..OWN }, Named { key: "b", ..OWN }] {
            assert!(!tokens.is_right(&other, Shown::Token(&token)), "{other:?}");
        }
        assert!(!ResourceTokens::new(&[2; 32]).is_right(&OWN, Shown::Token(&token)));
        for wrong in ["", PREFIX, &token[..token.len() - 2], &token.to_uppercase(), &format!("{token}00")] {
            assert!(!tokens.is_right(&OWN, Shown::Token(wrong)), "{wrong}");
        }
    }

    #[test]
    fn a_signature_is_right_for_its_own_message_only() {
        let tokens = ResourceTokens::new(&[1; 32]);
        let key = hmac::Key::new(hmac::HMAC_SHA256, tokens.token(&OWN).as_bytes());
        let signed = hex::encode(hmac::sign(&key, b"{}").as_ref());
        let is_right =
            |of: &Named<'_>, message: &[u8]| tokens.is_right(of, Shown::Signature { digits: &signed, message });
        assert!(is_right(&OWN, b"{}"));
        assert!(!is_right(&OWN, b"{ }"));
        assert!(!is_right(&Named { key: "b", ..OWN }, b"{}"));
    }
}
