//! Signs in, and types one-time codes, with what the subject keeps for the site, so that nobody need be asked.
//!
//! A secret is asked for right before it is typed, and is in no input, output or journal. It is typed on a page of the very host that it
//! is kept for, over https; over plain HTTP only where the page comes from this machine.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use url::{Host, Url};

use super::Browsers;
use super::failures::browser_error;
use super::one_time_code::one_time_code;
use crate::browser::{BrowserAgent as _, BrowserError, WebDriverAgent};
use crate::form::{self, ObstacleField, ObstacleKind, Snapshot};
use crate::runtime::{StepContext, StepError};

impl Browsers {
    /// True if something was typed: the page is to be read anew. Whether it let the browser pass is seen there. What is in `typed` already
    /// was refused, or is asked for again: that is a person's to put right.
    pub(super) async fn sign_in(
        &self,
        ctx: &StepContext,
        agent: &WebDriverAgent,
        page: &Snapshot,
        typed: &mut BTreeSet<String>,
    ) -> Result<bool, StepError> {
        // What stands in a frame may be another's.
        let asked = form::obstacle(page).filter(|asked| !asked.fields.is_empty() && asked.frame().is_empty());
        let Some(asked) = asked else { return Ok(false) };
        let address = agent.current_url().await.map_err(browser_error)?;
        let Some(site) = site(&address) else { return Ok(false) };
        let answers = match (asked.kind, asked.fields.as_slice()) {
            (ObstacleKind::Login, fields) => login(ctx, &site, fields, typed).await?,
            (ObstacleKind::Code, [field]) => one_time_code(ctx, &self.outward, &site, typed)
                .await?
                .map(|code| BTreeMap::from([(field.key.clone(), code)])),
            _ => None,
        };
        let Some(answers) = answers else { return Ok(false) };
        ctx.check()?;
        match form::answer_obstacle(agent, page, &answers).await {
            Ok(_) => Ok(true),
            // It asks for another shape of it: a person can tell.
            Err(BrowserError::BadInput { .. }) => Ok(false),
            Err(error) => Err(browser_error(error)),
        }
    }
}

/// Answers by the fields' keys; `None` where something is not kept, or was typed before.
async fn login(
    ctx: &StepContext,
    site: &str,
    fields: &[ObstacleField],
    typed: &mut BTreeSet<String>,
) -> Result<Option<BTreeMap<String, String>>, StepError> {
    let (mut answers, mut names) = (BTreeMap::new(), Vec::new());
    for field in fields {
        let name = format!("{site}/{}", if field.secret { "password" } else { "username" });
        if typed.contains(&name) {
            return Ok(None);
        }
        let Some(Value::String(secret)) = ctx.item("secret", &name).await? else { return Ok(None) };
        answers.insert(field.key.clone(), secret);
        names.push(name);
    }
    typed.extend(names);
    Ok(Some(answers))
}

/// The host as secrets name it, with its port where that is not the scheme's own.
fn site(address: &str) -> Option<String> {
    let url = Url::parse(address).ok()?;
    let is_here = match url.host()? {
        Host::Domain(name) => name == "localhost",
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
    };
    let host = url.host_str()?;
    match url.scheme() {
        "https" => {}
        "http" if is_here => {}
        _ => return None,
    }
    Some(url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_goes_to_its_own_host_and_not_over_plain_http() {
        for (address, expected) in [
            ("https://jobs.example.com/login?next=https://other.example", Some("jobs.example.com")),
            ("https://jobs.example.com:8443/", Some("jobs.example.com:8443")),
            ("https://jobs.example.com@other.example/", Some("other.example")),
            ("http://127.0.0.1:4000/login", Some("127.0.0.1:4000")),
            ("http://localhost/", Some("localhost")),
            ("http://jobs.example.com/login", None),
            ("http://localhost.example.com/", None),
            ("chrome://newtab", None),
            ("about:blank", None),
            ("data:text/html,x", None),
        ] {
            assert_eq!(site(address).as_deref(), expected, "{address}");
        }
    }
}
