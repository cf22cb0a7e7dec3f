//! The cookie of the console's sessions, and the word against forged requests that goes with it. Pure.
//!
//! A page of another site can make a browser send the cookie, but reads neither it nor the word: a request by cookie that
//! changes something shows the word in a header of its own.

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use ring::hmac;
use sha2::{Digest, Sha256};

use crate::bounds::CONSOLE_SESSION_LIFE;
use crate::hex;
use crate::store::postgres::console_sessions::SessionHash;

/// The cookie's name.
pub(super) const NAME: &str = "valet_session";
/// The header with the word.
pub(super) const CSRF_HEADER: HeaderName = HeaderName::from_static("x-valet-csrf");
/// What is signed with a session's secret.
const CSRF_PURPOSE: &[u8] = b"csrf";
const SECRET_BYTES: usize = 32;

/// What the cookie holds: 32 random bytes as hexadecimal digits. Only its hash is stored.
#[derive(Clone)]
pub struct SessionSecret(String);

impl std::fmt::Debug for SessionSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SessionSecret")
    }
}

impl SessionSecret {
    pub fn random() -> Self {
        Self(hex::encode(&rand::random::<[u8; SECRET_BYTES]>()))
    }

    /// The first cookie of the name; one that cannot be a secret is none.
    pub fn read(headers: &HeaderMap) -> Option<Self> {
        let texts = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
        let mut cookies = texts.flat_map(|text| text.split(';')).filter_map(|cookie| cookie.trim().split_once('='));
        let (_, value) = cookies.find(|(name, _)| *name == NAME)?;
        let digits = value.len() == 2 * SECRET_BYTES && value.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        digits.then(|| Self(value.to_owned()))
    }

    pub fn hash(&self) -> SessionHash {
        Sha256::digest(&self.0).into()
    }

    /// The word of this session.
    pub fn csrf(&self) -> String {
        hex::encode(hmac::sign(&self.key(), CSRF_PURPOSE).as_ref())
    }

    /// Whether the header has the word; compared in constant time.
    pub fn is_shown_by(&self, headers: &HeaderMap) -> bool {
        let shown = headers.get(CSRF_HEADER).map(HeaderValue::as_bytes).unwrap_or_default();
        // Both are signed once more: what is compared tells nothing about the word, and has one length.
        let shown = hmac::sign(&self.key(), shown);
        hmac::verify(&self.key(), self.csrf().as_bytes(), shown.as_ref()).is_ok()
    }

    pub fn set_cookie(&self, secure: bool) -> HeaderValue {
        cookie(&self.0, CONSOLE_SESSION_LIFE.as_secs(), secure)
    }

    fn key(&self) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, self.0.as_bytes())
    }
}

/// Takes the cookie away from the browser.
pub(super) fn clear_cookie(secure: bool) -> HeaderValue {
    cookie("", 0, secure)
}

fn cookie(value: &str, max_age_s: u64, secure: bool) -> HeaderValue {
    let secure = if secure { "; Secure" } else { "" };
    let text = format!("{NAME}={value}; HttpOnly; SameSite=Strict; Path=/; Max-Age={max_age_s}{secure}");
    HeaderValue::try_from(text).expect("hexadecimal digits fit into a header")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &HeaderName, values: &[&str]) -> HeaderMap {
        values.iter().map(|value| (name.clone(), HeaderValue::from_str(value).unwrap())).collect()
    }

    #[test]
    fn the_cookie_is_found_among_others_and_must_be_a_secret() {
        let secret = "0a".repeat(32);
        let read = |values: &[&str]| SessionSecret::read(&headers(&header::COOKIE, values)).map(|secret| secret.0);
        let own = format!("valet_session={secret}");
        assert_eq!(read(&[&own]), Some(secret.clone()));
        assert_eq!(read(&["a=b; c", &format!("x=y;{own} ; z=1")]), Some(secret.clone()));
        for wrong in ["valet_session=", "valet_sessions=0a", &own.to_uppercase(), &own[..own.len() - 1], "", "=;="] {
            assert_eq!(read(&[wrong]), None, "{wrong}");
        }
    }

    #[test]
    fn only_the_sessions_own_word_is_taken() {
        let (secret, other) = (SessionSecret::random(), SessionSecret::random());
        let shows = |word: &str| secret.is_shown_by(&headers(&CSRF_HEADER, &[word]));
        assert!(shows(&secret.csrf()));
        assert!(!shows(&other.csrf()) && !shows("") && !shows(&secret.csrf()[..63]) && !shows(&secret.0));
        assert!(!secret.is_shown_by(&HeaderMap::new()));
    }

    #[test]
    fn the_word_is_the_hmac_of_csrf_under_the_secret() {
        let key = hmac::Key::new(hmac::HMAC_SHA256, "0a".repeat(32).as_bytes());
        let expected = hex::encode(hmac::sign(&key, b"csrf").as_ref());
        assert_eq!(SessionSecret("0a".repeat(32)).csrf(), expected);
    }
}
