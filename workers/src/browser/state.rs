//! What a site keeps in a browser: cookies, those that no script sees included, and the storage of its pages. Taken out at the end of a
//! visit and put into another browser before its first page, of the same family or not.
//!
//! Chromium tells and takes the cookies of all hosts at once. Firefox tells those of the page that is shown, and takes them on a page of
//! their host, those that no script may see one by one; storage is its page's alone in both. So what needs a page of the site is put in on a small one that says nothing of the visitor.

use std::fmt;
use std::time::Duration;

use fantoccini::Client;
use fantoccini::wd::WebDriverCompatibleCommand;
use hyper::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use url::{ParseError, Url};
use valet_workflows::tiers::Site;

use super::session::Session;
use super::{BrowserError, WebDriverAgent};

/// A format that this build does not know is as good as no state.
const FORMAT: u32 = 1;
/// A page of every site, and small: what it answers does not matter, its origin does.
const NEUTRAL_PAGE: &str = "/robots.txt";
/// A browser keeps 180 a host and some thousands in all.
const COOKIES_MAX: usize = 1_000;
/// Storage of more is a cache, which the site fills again.
const STORAGE_BYTES_MAX: usize = 256 * 1024;

const STORAGE_JS: &str = "
    const most = arguments[0];
    const of = storage => {
        const entries = Object.keys(storage).map(key => [key, storage.getItem(key)]);
        return entries.reduce((sum, [key, value]) => sum + key.length + value.length, 0) > most ? [] : entries;
    };
    try { return [location.origin, of(localStorage), of(sessionStorage)] } catch { return [location.origin, [], []] }";
const PUT_COOKIES_JS: &str = "
    for (const {name, value, path, domain, secure, expiry, sameSite} of arguments[0]) {
        document.cookie = `${name}=${value}; Path=${path}` + (domain.startsWith('.') ? `; Domain=${domain}` : '') +
            (expiry ? `; Expires=${new Date(expiry * 1000).toUTCString()}` : '') + (secure ? '; Secure' : '') +
            (sameSite ? `; SameSite=${sameSite}` : '');
    }";
const PUT_STORAGE_JS: &str = "
    const [local, session] = arguments;
    for (const [key, value] of local) localStorage.setItem(key, value);
    for (const [key, value] of session) sessionStorage.setItem(key, value);";

/// In WebDriver's words.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Cookie {
    name: String,
    value: String,
    domain: String,
    #[serde(default = "root")]
    path: String,
    #[serde(default)]
    secure: bool,
    #[serde(default)]
    http_only: bool,
    /// Seconds since the Unix epoch; without it the cookie ends with its browser.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expiry: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    same_site: Option<String>,
}

fn root() -> String {
    "/".to_owned()
}

impl Cookie {
    /// From Chromium's own words.
    fn of_chromium(told: &Value) -> Option<Self> {
        let text = |name: &str| told[name].as_str().map(str::to_owned);
        Some(Self {
            name: text("name")?,
            value: text("value")?,
            domain: text("domain")?,
            path: text("path").unwrap_or_else(root),
            secure: told["secure"] == json!(true),
            http_only: told["httpOnly"] == json!(true),
            expiry: told["expires"].as_f64().filter(|at| *at > 0.0).map(|at| at as u64),
            same_site: text("sameSite"),
        })
    }

    fn for_chromium(&self) -> Value {
        let mut said = json!({
            "name": self.name, "value": self.value, "path": self.path, "secure": self.secure, "httpOnly": self.http_only,
        });
        // Named by its domain it would be for all hosts below as well.
        if self.is_of_one_host() {
            let scheme = if self.secure { "https" } else { "http" };
            said["url"] = json!(format!("{scheme}://{}{}", self.domain, self.path));
        } else {
            said["domain"] = json!(self.domain);
        }
        if let Some(expiry) = self.expiry {
            said["expires"] = json!(expiry);
        }
        if let Some(same_site) = &self.same_site {
            said["sameSite"] = json!(same_site);
        }
        said
    }

    /// Firefox tells `None` of a cookie whose site said nothing of it, and takes that from no site without TLS.
    fn mend(&mut self) {
        if !self.secure && self.same_site.as_deref() == Some("None") {
            self.same_site = None;
        }
    }

    fn has_ended(&self, now: Duration) -> bool {
        self.expiry.is_some_and(|expiry| expiry <= now.as_secs())
    }

    /// In WebDriver's words, on a page of its host.
    fn for_its_page(&self) -> Value {
        let mut said = json!(self);
        if self.is_of_one_host()
            && let Some(said) = said.as_object_mut()
        {
            said.remove("domain");
        }
        said
    }

    fn is_of_one_host(&self) -> bool {
        !self.domain.starts_with('.')
    }

    /// Whether pages of this host get it.
    fn is_for(&self, host: &str) -> bool {
        match self.domain.strip_prefix('.') {
            None => host == self.domain,
            Some(domain) => host == domain || host.ends_with(&self.domain),
        }
    }
}

/// What a site keeps in a browser. All of it is secret: who has it is the visitor.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SiteState {
    format: u32,
    /// Scheme, host and port of the page that it was taken from.
    origin: String,
    /// Since the Unix epoch.
    taken_at: Duration,
    cookies: Vec<Cookie>,
    local: Vec<(String, String)>,
    session: Vec<(String, String)>,
}

impl fmt::Debug for SiteState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SiteState")
            .field("origin", &self.origin)
            .field("cookies", &self.cookies.len())
            .field("local", &self.local.len())
            .field("session", &self.session.len())
            .finish_non_exhaustive()
    }
}

/// Why a state is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    #[error("it cannot be read")]
    Corrupt,
    #[error("it is too old, or has nothing that lasted")]
    Expired,
    #[error("it is another site's")]
    Foreign,
}

impl SiteState {
    /// What was kept, without what has ended since then.
    pub fn read(kept: Value, site: &str, now: Duration, oldest: Duration) -> Result<Self, Unusable> {
        let mut state: Self = serde_json::from_value(kept).map_err(|_| Unusable::Corrupt)?;
        if state.format != FORMAT {
            return Err(Unusable::Corrupt);
        }
        if state.site().as_deref() != Some(site) {
            return Err(Unusable::Foreign);
        }
        state.cookies.retain(|cookie| !cookie.has_ended(now));
        if state.is_empty() || now.saturating_sub(state.taken_at) > oldest {
            return Err(Unusable::Expired);
        }
        Ok(state)
    }

    pub fn is_empty(&self) -> bool {
        self.cookies.is_empty() && self.local.is_empty() && self.session.is_empty()
    }

    /// The site that it is kept for.
    pub fn site(&self) -> Option<String> {
        Site::of(&self.origin).map(|site| site.name())
    }

    pub fn cookies(&self) -> usize {
        self.cookies.len()
    }

    /// Pages keep more than a visit needs; cookies tell who one is.
    pub fn without_storage(self) -> Self {
        Self { local: Vec::new(), session: Vec::new(), ..self }
    }
}

/// A command of the driver that answers JSON.
#[derive(Clone, Debug)]
struct Command {
    path: &'static str,
    body: Option<Value>,
}

impl WebDriverCompatibleCommand for Command {
    fn endpoint(&self, base: &Url, session: Option<&str>) -> Result<Url, ParseError> {
        base.join(&format!("session/{}/{}", session.unwrap_or_default(), self.path))
    }

    fn method_and_body(&self, _: &Url) -> (Method, Option<String>) {
        match &self.body {
            Some(body) => (Method::POST, Some(body.to_string())),
            None => (Method::GET, None),
        }
    }
}

impl WebDriverAgent {
    /// What the site of the page on top keeps in this browser, at this time since the Unix epoch; `None` where no site's page is shown.
    pub async fn take_state(&self, now: Duration) -> Result<Option<SiteState>, BrowserError> {
        let mut session = self.session().await;
        session.enter_top().await?;
        let told = session.script("storage", STORAGE_JS, vec![json!(STORAGE_BYTES_MAX)]).await?;
        let (origin, local, stored) = serde_json::from_value::<(String, Vec<_>, Vec<_>)>(told)
            .map_err(|error| BrowserError::Protocol(error.to_string()))?;
        let page = Url::parse(&origin).ok().filter(|page| matches!(page.scheme(), "http" | "https"));
        let Some(host) = page.as_ref().and_then(Url::host_str) else { return Ok(None) };
        let mut cookies = session.cookies().await?;
        for cookie in &mut cookies {
            cookie.mend();
        }
        // The page's own are worth most, where not all can be kept.
        cookies.sort_by_cached_key(|cookie| (!cookie.is_for(host), cookie.name.clone()));
        cookies.truncate(COOKIES_MAX);
        Ok(Some(SiteState { format: FORMAT, origin, taken_at: now, cookies, local, session: stored }))
    }

    /// Puts a state into this browser. What it shows afterwards is a page of the site that says nothing, or what it showed before.
    pub async fn put_state(&self, state: &SiteState) -> Result<(), BrowserError> {
        let origin = Url::parse(&state.origin).map_err(|_| BrowserError::BadInput { what: "origin" })?;
        let by_page = self.is_firefox();
        let mut session = self.session().await;
        if !by_page && !state.cookies.is_empty() {
            let cookies: Vec<Value> = state.cookies.iter().map(Cookie::for_chromium).collect();
            session.devtools("Storage.setCookies", json!({ "cookies": cookies })).await?;
        }
        let stores = !state.local.is_empty() || !state.session.is_empty();
        if !stores && !by_page {
            return Ok(());
        }
        let page = origin.join(NEUTRAL_PAGE).map_err(|_| BrowserError::BadInput { what: "origin" })?;
        session.open(&page).await?;
        session.enter_top().await?;
        if by_page {
            let host = origin.host_str().unwrap_or_default().to_owned();
            let own = state.cookies.iter().filter(|cookie| cookie.is_for(&host));
            let (hidden, seen): (Vec<&Cookie>, Vec<&Cookie>) = own.partition(|cookie| cookie.http_only);
            // All that scripts may see in one command; the others take one each.
            session.script("put cookies", PUT_COOKIES_JS, vec![json!(seen)]).await?;
            for cookie in hidden {
                let body = Some(json!({ "cookie": cookie.for_its_page() }));
                // One that this browser does not take is worth less than the others.
                match session.driver("cookie", body).await {
                    Err(BrowserError::Protocol(why)) => tracing::debug!(why, "a cookie was not taken"),
                    other => drop(other?),
                }
            }
        }
        if stores {
            session.script("put storage", PUT_STORAGE_JS, vec![json!(state.local), json!(state.session)]).await?;
        }
        Ok(())
    }

    fn is_firefox(&self) -> bool {
        self.attachment.capabilities["browserName"].as_str().is_some_and(|name| name.eq_ignore_ascii_case("firefox"))
    }
}

impl Session<'_> {
    async fn cookies(&mut self) -> Result<Vec<Cookie>, BrowserError> {
        let protocol = |error: serde_json::Error| BrowserError::Protocol(error.to_string());
        if self.agent.is_firefox() {
            let told = self.driver("cookie", None).await?;
            return serde_json::from_value(told).map_err(protocol);
        }
        let told = self.devtools("Storage.getCookies", json!({})).await?;
        Ok(told["cookies"].as_array().into_iter().flatten().filter_map(Cookie::of_chromium).collect())
    }

    async fn devtools(&mut self, command: &str, parameters: Value) -> Result<Value, BrowserError> {
        self.driver("goog/cdp/execute", Some(json!({ "cmd": command, "params": parameters }))).await
    }

    async fn driver(&mut self, path: &'static str, body: Option<Value>) -> Result<Value, BrowserError> {
        let bound = self.limits().command;
        let command = Command { path, body };
        self.command(path, bound, |client: Client| async move { client.issue_cmd(command).await }).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> SiteState {
        let cookie = |name: &str, domain: &str, expiry: Option<u64>| Cookie {
            name: name.to_owned(),
            value: "v".to_owned(),
            domain: domain.to_owned(),
            path: root(),
            secure: true,
            http_only: true,
            expiry,
            same_site: Some("Lax".to_owned()),
        };
        SiteState {
            format: FORMAT,
            origin: "https://jobs.example.test".to_owned(),
            taken_at: Duration::from_secs(1_000),
            cookies: vec![cookie("short", "jobs.example.test", Some(1_010)), cookie("long", ".example.test", None)],
            local: vec![("theme".to_owned(), "dark".to_owned())],
            session: Vec::new(),
        }
    }

    fn read(kept: Value, now: u64) -> Result<SiteState, Unusable> {
        SiteState::read(kept, "jobs.example.test", Duration::from_secs(now), Duration::from_secs(100))
    }

    #[test]
    fn what_was_kept_is_read_without_what_ended() {
        let kept = serde_json::to_value(state()).expect("JSON");
        assert_eq!(read(kept.clone(), 1_009), Ok(state()));
        let names = |state: SiteState| state.cookies.into_iter().map(|cookie| cookie.name).collect::<Vec<_>>();
        assert_eq!(read(kept.clone(), 1_010).map(names), Ok(vec!["long".to_owned()]));
        assert_eq!(read(kept, 1_101), Err(Unusable::Expired));
    }

    #[test]
    fn what_cannot_be_used_says_why() {
        let of = |change: fn(&mut SiteState)| {
            let mut state = state();
            change(&mut state);
            read(serde_json::to_value(state).expect("JSON"), 1_000)
        };
        assert_eq!(of(|state| state.format = 2), Err(Unusable::Corrupt));
        assert_eq!(of(|state| state.origin = "https://jobs.example.test:8443".to_owned()), Err(Unusable::Foreign));
        assert_eq!(of(|state| state.origin = "https://example.test".to_owned()), Err(Unusable::Foreign));
        assert_eq!(read(json!({ "cookies": "none" }), 1_000), Err(Unusable::Corrupt));
        assert_eq!(read(Value::Null, 1_000), Err(Unusable::Corrupt));
    }

    #[test]
    fn a_cookie_is_for_its_host_and_for_those_below_its_domain() {
        let long = &state().cookies[1];
        assert!(long.is_for("example.test") && long.is_for("jobs.example.test"));
        assert!(!long.is_for("badexample.test") && !long.is_for("test"));
        let short = &state().cookies[0];
        assert!(short.is_for("jobs.example.test") && !short.is_for("a.jobs.example.test"));
        assert_eq!(short.for_chromium()["url"], "https://jobs.example.test/", "for all below by its domain");
        assert_eq!((&short.for_chromium()["domain"], &short.for_its_page()["domain"]), (&Value::Null, &Value::Null));
        assert_eq!(long.for_chromium()["domain"], ".example.test");
    }

    #[test]
    fn nothing_of_a_state_is_in_a_log() {
        assert!(!format!("{:?}", state()).contains("dark"));
    }
}
