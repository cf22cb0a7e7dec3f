//! How the sender of a delivery proves itself.
//!
//! | kind | header | signed |
//! | --- | --- | --- |
//! | `github` | `X-Hub-Signature-256: sha256=<hex>` | the body |
//! | `stripe` | `Stripe-Signature: t=<seconds>,v1=<hex>,…` | `<t>.<body>` |
//! | `slack` | `X-Slack-Signature: v0=<hex>`, `X-Slack-Request-Timestamp` | `v0:<timestamp>:<body>` |
//! | `standard` | `webhook-signature: v1,<base64> …`, `webhook-id`, `webhook-timestamp` | `<id>.<timestamp>.<body>` |
//! | `basic` | `Authorization: Basic <base64 of user:secret>` | – |
//! | `api_key` | `X-Api-Key: <secret>` | – |
//!
//! Sources: docs.github.com "Validating webhook deliveries", docs.stripe.com "Verify webhook signatures manually", api.slack.com
//! "Verifying requests from Slack", standardwebhooks.com. All signatures are HMAC-SHA256; the key of `standard` is base64 after `whsec_`.

use axum::http::{HeaderMap, HeaderName, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;
use sha2::{Digest, Sha256};
use valet_core::Timestamp;
use valet_core::declared::Faults;
use valet_protocol::api::IncomingProof;

use crate::bounds::{
    INCOMING_SECRET_BYTES_MAX, INCOMING_SECRETS_MAX, INCOMING_TOLERANCE_S, INCOMING_TOLERANCE_S_DEFAULT,
};
use crate::hex;

/// Signatures of one delivery that are looked at: a sender shows one for each of its secrets.
const SIGNATURES_MAX: usize = 16;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Github,
    Stripe,
    Slack,
    Standard,
    Basic,
    ApiKey,
}

impl Kind {
    pub const ALL: [Self; 6] = [Self::Github, Self::Stripe, Self::Slack, Self::Standard, Self::Basic, Self::ApiKey];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Github => "github",
            Self::Stripe => "stripe",
            Self::Slack => "slack",
            Self::Standard => "standard",
            Self::Basic => "basic",
            Self::ApiKey => "api_key",
        }
    }

    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }

    /// The header with the signature or the key, if it may have another name.
    fn usual_header(self) -> Option<&'static str> {
        match self {
            Self::Github => Some("x-hub-signature-256"),
            Self::Stripe => Some("stripe-signature"),
            Self::ApiKey => Some("x-api-key"),
            Self::Slack | Self::Standard | Self::Basic => None,
        }
    }

    /// Its signature covers the time.
    fn has_time(self) -> bool {
        matches!(self, Self::Stripe | Self::Slack | Self::Standard)
    }
}

/// A way to prove oneself that was found in order. Knows no secret.
#[derive(Clone, Debug)]
pub struct Proof {
    pub kind: Kind,
    header: HeaderName,
    user: String,
    tolerance_s: u32,
}

/// What was shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proven {
    /// The digest of the signature: no two deliveries of one sender share it. `None`: nothing was signed.
    pub signature: Option<[u8; 32]>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofFault {
    #[error("the delivery shows no signature or secret where this webhook looks for it")]
    Missing,
    #[error("the signature or the secret is not the one of this webhook")]
    Wrong,
    #[error("the signature is too old, or of the future: check the sender's clock")]
    TooOld,
}

impl Proof {
    /// Finds every fault, below `/proof`.
    pub fn read(given: &IncomingProof) -> Result<Self, Faults> {
        let mut faults = Faults::default();
        let kind = Kind::parse(&given.kind);
        if kind.is_none() {
            let words: Vec<_> = Kind::ALL.into_iter().map(Kind::as_str).collect();
            faults.add("/proof/kind", format!("one of: {}", words.join(", ")));
        }
        let kind = kind.unwrap_or(Kind::ApiKey);
        let header = match (&given.header, kind.usual_header()) {
            (Some(_), None) => {
                faults.add("/proof/header", "the headers of this kind have the names that its sender gives them");
                None
            }
            (Some(header), Some(_)) => {
                let read = header.parse().ok();
                if read.is_none() {
                    faults.add("/proof/header", "not the name of a header");
                }
                read
            }
            (None, usual) => usual.map(HeaderName::from_static),
        };
        let user = given.user.clone().unwrap_or_default();
        let is_user = (1..=INCOMING_SECRET_BYTES_MAX).contains(&user.len()) && !user.contains([':', '\0']);
        match (kind, &given.user) {
            (Kind::Basic, _) if !is_user => faults.add("/proof/user", "say the user's name, without a colon"),
            (Kind::Basic, _) | (_, None) => {}
            (_, Some(_)) => faults.add("/proof/user", "only `basic` has a user"),
        }
        if given.tolerance_seconds.is_some() && !kind.has_time() {
            faults.add("/proof/tolerance_seconds", "signatures of this kind say no time");
        }
        let tolerance_s = given.tolerance_seconds.unwrap_or(INCOMING_TOLERANCE_S_DEFAULT);
        if !INCOMING_TOLERANCE_S.contains(&tolerance_s) {
            let (least, most) = INCOMING_TOLERANCE_S.into_inner();
            faults.add("/proof/tolerance_seconds", format!("{least} to {most}"));
        }
        if faults.is_empty() {
            Ok(Self { kind, header: header.unwrap_or(header::AUTHORIZATION), user, tolerance_s })
        } else {
            Err(faults)
        }
    }

    /// Faults of secrets that shall prove this.
    pub fn check(&self, secrets: &[String], faults: &mut Faults) {
        check_secrets("/proof/secrets", self.kind, secrets, faults);
    }

    /// Headers that hold a secret: expressions do not see them.
    pub fn is_secret(&self, name: &HeaderName) -> bool {
        [header::AUTHORIZATION, header::COOKIE, header::PROXY_AUTHORIZATION].contains(name) || *name == self.header
    }

    /// Whether one of `secrets` proves the delivery. What is compared is compared in constant time.
    pub fn verify(
        &self,
        secrets: &[String],
        now: Timestamp,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Result<Proven, ProofFault> {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).ok_or(ProofFault::Missing);
        match self.kind {
            Kind::Github => {
                let tag = tag(text(self.header.as_str())?.trim().strip_prefix("sha256=").ok_or(ProofFault::Wrong)?);
                signed(secrets, &[body], &[tag.ok_or(ProofFault::Wrong)?])
            }
            Kind::Stripe => {
                let (mut time, mut tags) = (None, Vec::new());
                for (name, value) in
                    text(self.header.as_str())?.split(',').filter_map(|part| part.trim().split_once('='))
                {
                    match name {
                        "t" => time = Some(value),
                        "v1" => tags.extend(tag(value)),
                        _ => {}
                    }
                }
                let time = time.ok_or(ProofFault::Missing)?;
                let proven = signed(secrets, &[time.as_bytes(), b".", body], &tags)?;
                self.in_time(time, now).map(|()| proven)
            }
            Kind::Slack => {
                let time = text("x-slack-request-timestamp")?;
                let tag = tag(text("x-slack-signature")?.trim().strip_prefix("v0=").ok_or(ProofFault::Wrong)?);
                let proven = signed(secrets, &[b"v0:", time.as_bytes(), b":", body], &[tag.ok_or(ProofFault::Wrong)?])?;
                self.in_time(time, now).map(|()| proven)
            }
            Kind::Standard => {
                let (id, time) = (text("webhook-id")?, text("webhook-timestamp")?);
                let shown = text("webhook-signature")?.split_ascii_whitespace();
                let tags = shown.filter_map(|one| STANDARD.decode(one.strip_prefix("v1,")?).ok());
                let tags: Vec<_> = tags.collect();
                let keys: Vec<Vec<u8>> = secrets.iter().filter_map(|secret| standard_key(secret)).collect();
                let proven = signed(&keys, &[id.as_bytes(), b".", time.as_bytes(), b".", body], &tags)?;
                self.in_time(time, now).map(|()| proven)
            }
            Kind::Basic => {
                let (scheme, given) = text("authorization")?.split_once(' ').ok_or(ProofFault::Missing)?;
                let given = STANDARD.decode(given.trim()).ok().filter(|_| scheme.eq_ignore_ascii_case("basic"));
                let given = given.ok_or(ProofFault::Missing)?;
                shown(&given, secrets.iter().map(|secret| format!("{}:{secret}", self.user)))
            }
            Kind::ApiKey => {
                let given = headers.get(&self.header).ok_or(ProofFault::Missing)?;
                shown(given.as_bytes(), secrets.iter())
            }
        }
    }

    fn in_time(&self, seconds: &str, now: Timestamp) -> Result<(), ProofFault> {
        let at: i64 = seconds.parse().map_err(|_| ProofFault::TooOld)?;
        let off = now.timestamp().abs_diff(at);
        if off <= u64::from(self.tolerance_s) { Ok(()) } else { Err(ProofFault::TooOld) }
    }
}

/// Faults of the secrets at `place`, of this kind.
pub fn check_secrets(place: &str, kind: Kind, secrets: &[String], faults: &mut Faults) {
    if !(1..=INCOMING_SECRETS_MAX).contains(&secrets.len()) {
        faults.add(place, format!("1 to {INCOMING_SECRETS_MAX}"));
    }
    for (index, secret) in secrets.iter().enumerate() {
        let fits = match kind {
            Kind::Standard => standard_key(secret).is_some_and(|key| !key.is_empty()),
            _ => !secret.is_empty(),
        };
        if secret.len() > INCOMING_SECRET_BYTES_MAX {
            faults.add(&format!("{place}/{index}"), format!("at most {INCOMING_SECRET_BYTES_MAX} bytes"));
        } else if !fits {
            let of_standard = "base64, with `whsec_` before it";
            let message = if kind == Kind::Standard { of_standard } else { "must not be empty" };
            faults.add(&format!("{place}/{index}"), message);
        }
    }
}

/// Whether one of `tags` is that of `parts` under one of `keys`.
fn signed(keys: &[impl AsRef<[u8]>], parts: &[&[u8]], tags: &[Vec<u8>]) -> Result<Proven, ProofFault> {
    let message = parts.concat();
    for key in keys {
        let key = hmac::Key::new(hmac::HMAC_SHA256, key.as_ref());
        for tag in tags.iter().take(SIGNATURES_MAX) {
            if hmac::verify(&key, &message, tag).is_ok() {
                return Ok(Proven { signature: Some(Sha256::digest(tag).into()) });
            }
        }
    }
    Err(ProofFault::Wrong)
}

/// Whether `given` is one of `expected`. Their tags under a key are compared, so that time tells nothing of either.
fn shown(given: &[u8], expected: impl Iterator<Item = impl AsRef<[u8]>>) -> Result<Proven, ProofFault> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, b"valet incoming secret");
    let mut found = false;
    for one in expected {
        found |= hmac::verify(&key, given, hmac::sign(&key, one.as_ref()).as_ref()).is_ok();
    }
    if found { Ok(Proven { signature: None }) } else { Err(ProofFault::Wrong) }
}

pub(super) fn standard_key(secret: &str) -> Option<Vec<u8>> {
    STANDARD.decode(secret.strip_prefix("whsec_").unwrap_or(secret)).ok()
}

/// Senders may write either case.
fn tag(text: &str) -> Option<Vec<u8>> {
    hex::decode(&text.trim().to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proof(kind: &str) -> Proof {
        let user = (kind == "basic").then(|| "ada".to_owned());
        Proof::read(&IncomingProof { kind: kind.to_owned(), user, ..IncomingProof::default() }).expect("in order")
    }

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let pairs = pairs.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().expect("a value")));
        pairs.collect()
    }

    struct Sent<'a> {
        kind: &'a str,
        secret: &'a str,
        headers: &'a [(&'static str, &'a str)],
        body: &'a [u8],
    }

    impl Sent<'_> {
        fn at(&self, seconds: i64) -> Result<Proven, ProofFault> {
            let now = Timestamp::from_timestamp(seconds, 0).expect("an instant");
            // One that was in use before stands beside it.
            let secrets = ["whsec_b2xk".to_owned(), self.secret.to_owned()];
            proof(self.kind).verify(&secrets, now, &headers(self.headers), self.body)
        }
    }

    /// Whatever is changed of a signed delivery closes it; its time counts to the second.
    fn check(sent: &Sent<'_>, time: i64) {
        assert!(sent.at(time).is_ok_and(|proven| proven.signature.is_some()), "{}", sent.kind);
        for (place, (name, value)) in sent.headers.iter().enumerate() {
            let last = value.len() - 2;
            let other = if value.as_bytes()[last] == b'1' { "2" } else { "1" };
            let changed = format!("{}{other}{}", &value[..last], &value[last + 1..]);
            let mut headers = sent.headers.to_vec();
            headers[place] = (name, &changed);
            assert_eq!(Sent { headers: &headers, ..*sent }.at(time), Err(ProofFault::Wrong), "{} {name}", sent.kind);
            headers.remove(place);
            assert_eq!(Sent { headers: &headers, ..*sent }.at(time), Err(ProofFault::Missing), "{} {name}", sent.kind);
        }
        let longer = [sent.body, b" "].concat();
        assert_eq!(Sent { body: &longer, ..*sent }.at(time), Err(ProofFault::Wrong), "{}", sent.kind);
        assert_eq!(Sent { secret: "whsec_AAAA", ..*sent }.at(time), Err(ProofFault::Wrong), "{}", sent.kind);
        for (off, expected) in [(300, true), (-300, true), (301, false), (-301, false)] {
            let fits = !proof(sent.kind).kind.has_time() || expected;
            let told = sent.at(time + off);
            assert_eq!(told.is_ok(), fits, "{} {off}: {told:?}", sent.kind);
            assert!(fits || told == Err(ProofFault::TooOld), "{} {off}", sent.kind);
        }
    }

    /// The example of GitHub's documentation.
    #[test]
    fn a_delivery_of_github_is_proven() {
        let tag = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
        let headers = [("x-hub-signature-256", tag)];
        let secret = "It's a Secret to Everybody";
        check(&Sent { kind: "github", secret, headers: &headers, body: b"Hello, World!" }, 1_731_705_121);
    }

    /// Computed by another implementation (Python's `hmac`).
    #[test]
    fn a_delivery_of_stripe_is_proven() {
        let tag = "799c4ba7bb339f3c8601adfd112f0e477c930a268be1243d341abb8286501c2f";
        let old = "00".repeat(32);
        let value = format!(
            "t=1492774577,v1={old},v1={tag},v0=6ffbb59b2300aae63f272406069a9788598b792a944a07aba816edb039989a39"
        );
        let sent = Sent {
            kind: "stripe",
            secret: "whsec_test_secret",
            headers: &[("stripe-signature", &value)],
            body: br#"{"id":"evt_1"}"#,
        };
        assert!(sent.at(1_492_774_577).is_ok());
        let value = format!("t=1492774577,v1={tag}");
        check(&Sent { headers: &[("stripe-signature", &value)], ..sent }, 1_492_774_577);
        let untimed = format!("v1={tag}");
        let untimed = Sent { headers: &[("stripe-signature", &untimed)], ..sent };
        assert_eq!(untimed.at(1_492_774_577), Err(ProofFault::Missing));
    }

    /// The example of Slack's documentation.
    #[test]
    fn a_delivery_of_slack_is_proven() {
        let body = b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V\
            &channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=\
            &response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN\
            &trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c";
        let tag = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503";
        let headers = [("x-slack-signature", tag), ("x-slack-request-timestamp", "1531420618")];
        let secret = "8f742231b10e8888abcd99yyyzzz85a5";
        check(&Sent { kind: "slack", secret, headers: &headers, body }, 1_531_420_618);
    }

    /// An example of Svix's documentation of Standard Webhooks.
    #[test]
    fn a_standard_webhook_is_proven() {
        let headers = [
            ("webhook-id", "msg_loFOjxBNrRLzqYUf"),
            ("webhook-timestamp", "1731705121"),
            ("webhook-signature", "v1,rAvfW3dJ/X/qxhsaXPOyyCGmRKsaKWcsNccKXlIktD0="),
        ];
        let body = br#"{"event_type":"ping","data":{"success":true}}"#;
        let sent = Sent { kind: "standard", secret: "whsec_plJ3nmyCDGBKInavdOK15jsl", headers: &headers, body };
        check(&sent, 1_731_705_121);
        let mut several = headers;
        several[2].1 = "v1a,AAAA v1,AAAA v1,rAvfW3dJ/X/qxhsaXPOyyCGmRKsaKWcsNccKXlIktD0=";
        assert!(Sent { headers: &several, ..sent }.at(1_731_705_121).is_ok());
    }

    #[test]
    fn a_secret_that_is_shown_proves_a_delivery_alone() {
        let check = |kind, headers: &[(&'static str, &str)], expected: Result<(), ProofFault>| {
            let told = Sent { kind, secret: "open:sesame", headers, body: b"" }.at(0);
            assert_eq!(told.map(|proven| assert_eq!(proven.signature, None)), expected, "{headers:?}");
        };
        check("api_key", &[("x-api-key", "open:sesame")], Ok(()));
        check("api_key", &[("x-api-key", "open:sesam")], Err(ProofFault::Wrong));
        check("api_key", &[("x-api-key", "")], Err(ProofFault::Wrong));
        check("api_key", &[], Err(ProofFault::Missing));
        let basic = |text: &str| format!("Basic {}", STANDARD.encode(text));
        check("basic", &[("authorization", &basic("ada:open:sesame"))], Ok(()));
        check("basic", &[("authorization", &basic("ada:whsec_b2xk"))], Ok(()));
        check("basic", &[("authorization", &basic("eve:open:sesame"))], Err(ProofFault::Wrong));
        check("basic", &[("authorization", &basic("ada:"))], Err(ProofFault::Wrong));
        check("basic", &[("authorization", "Bearer ada")], Err(ProofFault::Missing));
    }

    #[test]
    fn every_fault_of_a_proof_is_told_with_its_place() {
        let check = |given: IncomingProof, expected: &[&str]| {
            let faults = Proof::read(&given).err().map(Faults::into_problems).unwrap_or_default();
            assert_eq!(faults.into_iter().map(|fault| fault.field).collect::<Vec<_>>(), expected, "{given:?}");
        };
        let of = |kind: &str| IncomingProof { kind: kind.to_owned(), ..IncomingProof::default() };
        let named = |kind: &str, header: &str| IncomingProof { header: Some(header.to_owned()), ..of(kind) };
        check(of("github"), &[]);
        check(named("github", "X-Signature"), &[]);
        check(named("slack", "X-Signature"), &["/proof/header"]);
        check(named("api_key", "not a name"), &["/proof/header"]);
        check(of("rsa"), &["/proof/kind"]);
        check(of("basic"), &["/proof/user"]);
        check(IncomingProof { user: Some("ada".to_owned()), ..of("github") }, &["/proof/user"]);
        check(IncomingProof { tolerance_seconds: Some(300), ..of("github") }, &["/proof/tolerance_seconds"]);
        check(IncomingProof { tolerance_seconds: Some(9), ..of("stripe") }, &["/proof/tolerance_seconds"]);
        let secrets = |kind: &str, secrets: &[&str]| {
            let mut faults = Faults::default();
            proof(kind).check(&secrets.iter().map(ToString::to_string).collect::<Vec<_>>(), &mut faults);
            faults.into_problems().into_iter().map(|fault| fault.field).collect::<Vec<_>>()
        };
        assert_eq!(secrets("github", &["a"]), Vec::<String>::new());
        assert_eq!(secrets("github", &[]), ["/proof/secrets"]);
        assert_eq!(secrets("github", &["a", ""]), ["/proof/secrets/1"]);
        assert_eq!(secrets("standard", &["whsec_AAAA", "whsec_?"]), ["/proof/secrets/1"]);
    }
}
