//! Codes that a site asks for: computed from a seed that the subject keeps for the site, or asked of the subject's inbox, so that nobody
//! need be asked.
//!
//! The seed is the secret `SITE/one-time-code`: base32 as sites show it, or an `otpauth://` address. The inbox is the secret
//! `SITE/inbox-hook`: an address that answers a `GET` with `{"code": "…"}`, or with 204 or 404 while no code has come.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, SecondsFormat, Utc};
use serde::Deserialize;
use serde_json::Value;
use tokio::time::Instant;
use totp_rs::{Builder, Secret, Totp};
use url::Url;
use valet_outward::{Call, HeaderMap, Method, Outward, StatusCode};

use crate::gate::state::unix_ms;
use crate::runtime::{StepContext, StepError};

/// A code that is over in a moment is not typed: the site would see the next one's time.
const LEFT_MIN_S: u64 = 4;
/// Letters come within seconds, or are left to a person.
const INBOX_WITHIN: Duration = Duration::from_mins(1);
const INBOX_POLL: Duration = Duration::from_secs(2);
/// A letter that was sent so long before the page was seen is still this page's.
const SENT_BEFORE: Duration = Duration::from_secs(90);
const CODE_CHARS_MAX: usize = 64;

/// The code for a page of this site; `None`: nothing is kept that tells it, or it was tried already (then it is in `typed`).
pub(super) async fn one_time_code(
    ctx: &StepContext,
    outward: &Outward,
    site: &str,
    typed: &mut BTreeSet<String>,
) -> Result<Option<String>, StepError> {
    let (seed_name, hook_name) = (format!("{site}/one-time-code"), format!("{site}/inbox-hook"));
    if !typed.contains(&seed_name)
        && let Some(Value::String(seed)) = ctx.item("secret", &seed_name).await?
    {
        typed.insert(seed_name);
        let Some(generator) = generator(&seed) else {
            tracing::warn!(run = %ctx.run(), site, "the seed of its codes is neither base32 nor an otpauth address");
            return Ok(None);
        };
        return Ok(Some(current(&generator).await));
    }
    if !typed.contains(&hook_name)
        && let Some(Value::String(hook)) = ctx.item("secret", &hook_name).await?
    {
        typed.insert(hook_name);
        return from_inbox(ctx, outward, site, &hook).await;
    }
    Ok(None)
}

/// RFC 6238 with what sites use, SHA-1, six digits and 30 seconds, unless the address says otherwise.
fn generator(seed: &str) -> Option<Totp> {
    let seed = seed.trim();
    if seed.starts_with("otpauth:") {
        return Totp::from_url_unchecked(seed).ok();
    }
    let base32: String = seed.chars().filter(|c| !matches!(c, ' ' | '-' | '=')).collect();
    let secret =
        Secret::try_from_base32(base32.to_ascii_uppercase()).ok().filter(|secret| !secret.as_bytes().is_empty())?;
    // Seeds of 80 bits are common, though the standard wants 128.
    Some(Builder::new().with_secret(secret).build_noncompliant())
}

async fn current(generator: &Totp) -> String {
    let left = generator.ttl();
    if left < LEFT_MIN_S {
        tokio::time::sleep(Duration::from_secs(left)).await;
    }
    generator.generate_current().to_string()
}

#[derive(Deserialize)]
struct Letter {
    code: String,
}

/// Asks until a code has come. What the inbox says besides is never shown: its address is a secret.
async fn from_inbox(ctx: &StepContext, outward: &Outward, site: &str, hook: &str) -> Result<Option<String>, StepError> {
    let now = DateTime::from_timestamp_millis(unix_ms().cast_signed()).unwrap_or_default();
    let Some(url) = asking(hook, site, now) else {
        tracing::warn!(run = %ctx.run(), site, "the inbox of this site is no http or https address");
        return Ok(None);
    };
    let until = Instant::now() + INBOX_WITHIN;
    loop {
        ctx.check()?;
        match ask(outward, &url).await {
            Ok(Some(code)) => return Ok(Some(code)),
            Ok(None) if Instant::now() < until => tokio::time::sleep(INBOX_POLL).await,
            Ok(None) => return Ok(None),
            Err(problem) => {
                tracing::warn!(run = %ctx.run(), site, problem, "the inbox did not tell the code");
                return Ok(None);
            }
        }
    }
}

fn asking(hook: &str, site: &str, now: DateTime<Utc>) -> Option<Url> {
    let mut url = Url::parse(hook.trim()).ok().filter(|url| matches!(url.scheme(), "http" | "https"))?;
    let since = (now - SENT_BEFORE).to_rfc3339_opts(SecondsFormat::Secs, true);
    url.query_pairs_mut().append_pair("site", site).append_pair("since", &since);
    Some(url)
}

async fn ask(outward: &Outward, url: &Url) -> Result<Option<String>, &'static str> {
    let call = Call { method: Method::GET, url: url.clone(), headers: HeaderMap::new(), body: Bytes::new() };
    let answer = outward.send(call).await.map_err(|_| "it cannot be reached")?;
    match answer.status {
        StatusCode::NO_CONTENT | StatusCode::NOT_FOUND => return Ok(None),
        StatusCode::OK => {}
        _ => return Err("it answers with an error"),
    }
    let bytes = answer.bytes().await.map_err(|_| "its answer does not end")?;
    let letter: Letter = serde_json::from_slice(&bytes).map_err(|_| "its answer is not {\"code\": \"…\"}")?;
    let code = letter.code.trim();
    if (1..=CODE_CHARS_MAX).contains(&code.chars().count()) && !code.chars().any(char::is_control) {
        Ok(Some(code.to_owned()))
    } else {
        Err("its code is empty or too long")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6238, appendix B: the last six of its eight digits.
    #[test]
    fn codes_are_those_of_the_standard() {
        let seeds = [
            "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ",
            "gezd gnbv gy3t qojq gezd gnbv gy3t qojq",
            "otpauth://totp/Example:ada?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Example",
        ];
        for seed in seeds {
            let generator = generator(seed).expect(seed);
            for (time, code) in [(59, "287082"), (1_111_111_109, "081804"), (20_000_000_000, "353130")] {
                assert_eq!(generator.generate(time).to_string(), code, "{seed} at {time}");
            }
        }
        let short = generator("JBSWY3DPEHPK3PXP").expect("80 bits");
        assert_eq!(short.generate(0).to_string(), "282760");
        for bad in ["", "  ", "not base32!", "otpauth://totp/x", "otpauth://hotp/x?secret=JBSWY3DPEHPK3PXP"] {
            assert!(generator(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn an_inbox_is_asked_for_the_site_and_for_letters_that_are_not_older() {
        let now = DateTime::from_timestamp(1_800_000_000, 0).expect("a time");
        let url = asking("https://inbox.example/ada?key=k", "jobs.example:8443", now).expect("an address");
        let expected = "https://inbox.example/ada?key=k&site=jobs.example%3A8443&since=2027-01-15T07%3A58%3A30Z";
        assert_eq!(url.as_str(), expected);
        for bad in ["", "inbox.example", "file:///etc/passwd", "mailto:ada@example.com"] {
            assert!(asking(bad, "jobs.example", now).is_none(), "{bad}");
        }
    }
}
