//! The steps of `multi-scrape`: one page at a time in a browser of this machine, and the file of records.
//!
//! A page is read by each attempt from its beginning: nothing is changed there, so that one more look does no harm.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::Value;
use uuid::Uuid;
use valet_workflows::multi_scrape::input::{Keep, Take};
use valet_workflows::multi_scrape::steps::{KeptFile, RECORD_BYTES_MAX, Read, Record, ScrapePage, WriteRecords};

use super::job_application::{Browsers, browser_error, leave_alone, witnessed};
use crate::browser::{BrowserAgent as _, BrowserError, Extracted, Fetched, Taken, Wanted, WebDriverAgent, extract};
use crate::form::{self, BlockClass, PageKind, Snapshot};
use crate::runtime::{Handlers, StepContext, StepError};

/// One file of a page: a brochure, not a film.
const FILE_BYTES_MAX: usize = 8 * 1024 * 1024;
/// How an artifact is called.
const FILE_NAME_CHARS_MAX: usize = 80;
const TITLE_CHARS_MAX: usize = 500;
/// Between two looks at a page that does not show yet what is required.
const LOOK_AGAIN: Duration = Duration::from_millis(150);

/// Adds the handlers of `multi-scrape`; those of its browsers are `job-application`'s.
pub fn register(handlers: Handlers, browsers: &Arc<Browsers>) -> Handlers {
    let browsers = Arc::clone(browsers);
    let handlers = handlers.on(move |ctx, step: ScrapePage| {
        let browsers = Arc::clone(&browsers);
        async move { scrape_page(&browsers, &ctx, step).await }
    });
    handlers.on(async |ctx: StepContext, step: WriteRecords| write_records(&ctx, &step).await)
}

async fn scrape_page(browsers: &Browsers, ctx: &StepContext, step: ScrapePage) -> Result<Read, StepError> {
    ctx.check()?;
    // Before the browser is touched: a page that must wait costs nothing.
    if let Some(wait) = browsers.may_visit(ctx, &step.page.url, step.visit, &step.at.tier).await? {
        return Ok(Read::Later(wait));
    }
    let agent = browsers.attach(ctx, &step.at).await?;
    let record = witnessed(ctx, &agent, scrape(ctx, &agent, &step)).await?;
    Ok(Read::Page(record))
}

async fn scrape(ctx: &StepContext, agent: &WebDriverAgent, step: &ScrapePage) -> Result<Record, StepError> {
    let opened = agent.navigate(&step.page.url).await.map_err(unreachable)?;
    let Look { page, taken, facts } = look(agent, &step.take).await?;
    refusal(ctx, agent, &page, taken.status, &step.page.url).await?;
    let mut record = Record {
        number: step.page.number,
        url: step.page.url.clone(),
        final_url: (opened.url != step.page.url).then_some(opened.url),
        title: opened.title.chars().take(TITLE_CHARS_MAX).collect(),
        ..Record::default()
    };
    let (values, links) = values(&step.take, &taken, &facts)?;
    record.values = values;
    for (take, link) in links {
        let file = download(ctx, agent, step, &take, &link).await?;
        record.files.push(file);
    }
    for keep in &step.keep {
        record.files.push(kept(ctx, agent, step, *keep).await?);
    }
    let bytes = serde_json::to_vec(&record).map_or(0, |json| json.len());
    if bytes > RECORD_BYTES_MAX {
        let why = format!(
            "the page's record has {bytes} bytes; at most {RECORD_BYTES_MAX}: take less, or keep the page as a file"
        );
        return Err(StepError::fail("record_too_large", why));
    }
    Ok(record)
}

/// What a page shows at one moment.
struct Look {
    page: Snapshot,
    taken: Taken,
    facts: Extracted,
}

/// Reads the page; one that lacks what is required is looked at again for as long as a page may take to show its content.
async fn look(agent: &WebDriverAgent, takes: &[Take]) -> Result<Look, StepError> {
    let wanted: Vec<Wanted> = takes.iter().filter_map(wanted).collect();
    let begun = Instant::now();
    loop {
        let page = agent.snapshot().await.map_err(browser_error)?;
        let taken = agent.take(&wanted).await.map_err(browser_error)?;
        let look = Look { facts: extract::extract(&page), page, taken };
        let is_refused = look.taken.status.is_some_and(|status| status >= 400);
        let late = begun.elapsed() >= agent.limits().loading;
        if is_refused || late || !lacks(takes, &look) {
            return Ok(look);
        }
        tokio::time::sleep(LOOK_AGAIN).await;
        agent.settle().await.map_err(browser_error)?;
    }
}

fn lacks(takes: &[Take], look: &Look) -> bool {
    let found = found(takes, &look.taken, &look.facts);
    takes.iter().zip(found).any(|(take, found)| take.required && found.is_some_and(|found| is_nothing(&found)))
}

fn is_nothing(found: &[String]) -> bool {
    found.iter().all(String::is_empty)
}

fn wanted(take: &Take) -> Option<Wanted> {
    let attribute = if take.download { Some("href".to_owned()) } else { take.attribute.clone() };
    take.selector.clone().map(|selector| Wanted { selector, attribute })
}

/// A page that does not come is tried again as any browser's error, under a name of its own.
fn unreachable(error: BrowserError) -> StepError {
    match error {
        BrowserError::Navigation(_) | BrowserError::Timeout { .. } => StepError::retry("unreachable", error),
        error => browser_error(error),
    }
}

/// Whether what came is the page that was asked for.
async fn refusal(
    ctx: &StepContext,
    agent: &WebDriverAgent,
    page: &Snapshot,
    status: Option<u16>,
    url: &str,
) -> Result<(), StepError> {
    let report = form::classify(page);
    let class = form::block(page, &report).map(|block| block.class);
    match status {
        Some(429) => return Err(leave_alone(ctx, agent, Some(url)).await),
        Some(404 | 410) => return Err(StepError::fail("not_found", "the site has no such page")),
        Some(status) if status >= 500 => {
            return Err(StepError::retry("site_error", format!("the site answered {status}")));
        }
        _ => {}
    }
    match (report.kind, class) {
        (_, Some(BlockClass::RateLimited)) => Err(leave_alone(ctx, agent, Some(url)).await),
        (PageKind::Blocked, class) => {
            let class = class.unwrap_or(BlockClass::BotBlocked);
            Err(StepError::blocked(class.as_str(), "the site refuses the browser"))
        }
        (PageKind::Captcha, _) => Err(StepError::blocked("captcha", "the site shows a puzzle instead of the page")),
        (PageKind::Login, _) if status.is_some_and(|status| status >= 400) => {
            Err(StepError::blocked("login_required", "the site wants somebody to sign in"))
        }
        _ => match status {
            Some(401) => Err(StepError::blocked("login_required", "the site wants somebody to sign in")),
            Some(status) if status >= 400 => {
                Err(StepError::blocked("access_denied", format!("the site answered {status}")))
            }
            _ => Ok(()),
        },
    }
}

/// What a page's record holds, and the links whose files are to be kept.
type Values = (BTreeMap<String, Value>, Vec<(Take, String)>);

/// Of each value all that there is for it, in its order; `None`: its selector is none.
fn found(takes: &[Take], taken: &Taken, facts: &Extracted) -> Vec<Option<Vec<String>>> {
    let mut taken = taken.taken.iter();
    let of = |take: &Take| match (&take.fact, &take.selector) {
        (Some(fact), _) => Some(facts.get(fact).map(|field| field.value.clone()).into_iter().collect()),
        (None, Some(_)) => taken.next().cloned().flatten(),
        (None, None) => Some(Vec::new()),
    };
    takes.iter().map(of).collect()
}

fn values(takes: &[Take], taken: &Taken, facts: &Extracted) -> Result<Values, StepError> {
    let (mut values, mut links) = (BTreeMap::new(), Vec::new());
    for (take, found) in takes.iter().zip(found(takes, taken, facts)) {
        let found = found.ok_or_else(|| {
            let selector = take.selector.as_deref().unwrap_or_default();
            StepError::fail("bad_selector", format!("`{}`: `{selector}` is no CSS selector", take.name))
        })?;
        if take.required && is_nothing(&found) {
            return Err(StepError::fail("missing_value", format!("the page has no `{}`", take.name)));
        }
        let mut found = found.into_iter();
        match (take.download, take.all) {
            (true, _) => links.extend(found.next().map(|link| (take.clone(), link))),
            (false, true) => drop(values.insert(take.name.clone(), found.collect())),
            (false, false) => drop(values.insert(take.name.clone(), found.next().map_or(Value::Null, Value::String))),
        }
    }
    Ok((values, links))
}

async fn download(
    ctx: &StepContext,
    agent: &WebDriverAgent,
    step: &ScrapePage,
    take: &Take,
    link: &str,
) -> Result<KeptFile, StepError> {
    let told = |why: String| StepError::fail("download_failed", format!("`{}`, {link}: {why}", take.name));
    match agent.fetch(link, FILE_BYTES_MAX).await.map_err(browser_error)? {
        Fetched::File { content, content_type } => {
            let named = link.split(['?', '#']).next().and_then(|path| path.rsplit('/').next()).unwrap_or_default();
            store(ctx, step, &take.name, &format!("{}-{named}", take.name), &content_type, content).await
        }
        Fetched::TooLarge { bytes } => Err(told(format!("{bytes} bytes; at most {FILE_BYTES_MAX}"))),
        Fetched::Refused { status: Some(status) } => Err(told(format!("the site answered {status}"))),
        Fetched::Refused { status: None } => {
            Err(told("the page may not read it: another site's, or a host that is not allowed".to_owned()))
        }
    }
}

async fn kept(ctx: &StepContext, agent: &WebDriverAgent, step: &ScrapePage, keep: Keep) -> Result<KeptFile, StepError> {
    match keep {
        Keep::Html => {
            let html = agent.page_source().await.map_err(browser_error)?;
            if html.len() > FILE_BYTES_MAX {
                let why = format!("the page has {} bytes; at most {FILE_BYTES_MAX} are kept", html.len());
                return Err(StepError::fail("page_too_large", why));
            }
            store(ctx, step, "html", "page.html", "text/html", html.into_bytes()).await
        }
        Keep::Screenshot => {
            let png = agent.take_screenshot().await.map_err(browser_error)?;
            store(ctx, step, "screenshot", "page.png", "image/png", png).await
        }
    }
}

async fn store(
    ctx: &StepContext,
    step: &ScrapePage,
    name: &str,
    called: &str,
    content_type: &str,
    content: Vec<u8>,
) -> Result<KeptFile, StepError> {
    let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_') { c } else { '_' };
    let called: String = called.chars().map(plain).take(FILE_NAME_CHARS_MAX).collect();
    let called = format!("{:05}-{called}", step.page.number);
    let bytes = content.len() as u64;
    let stored = ctx.blobs().put(&called, content_type, Bytes::from(content)).await?;
    let (name, content_type) = (name.to_owned(), content_type.to_owned());
    Ok(KeptFile { name, file: file(stored.id), content_type, bytes })
}

fn file(id: Uuid) -> String {
    format!("file_{}", id.simple())
}

async fn write_records(ctx: &StepContext, step: &WriteRecords) -> Result<Uuid, StepError> {
    let mut lines = Vec::new();
    for record in &step.records {
        serde_json::to_writer(&mut lines, record).map_err(|error| StepError::fail("records", error))?;
        lines.push(b'\n');
    }
    let stored = ctx.blobs().put("records.jsonl", "application/x-ndjson", Bytes::from(lines)).await?;
    Ok(stored.id)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::browser::{ExtractedField, Provenance};

    fn take(of: Value) -> Take {
        serde_json::from_value(of).expect("what to take")
    }

    fn code(error: StepError) -> String {
        match error {
            StepError::Fail(failure) => failure.code,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn values_come_from_facts_and_selectors_in_their_own_shapes() {
        let takes = [
            take(json!({ "name": "price", "fact": "Price" })),
            take(json!({ "name": "head", "selector": "h1" })),
            take(json!({ "name": "tags", "selector": "li", "all": true })),
            take(json!({ "name": "none", "selector": "b" })),
            take(json!({ "name": "paper", "selector": "a", "download": true })),
        ];
        let field = ExtractedField { name: "price".into(), value: "7 EUR".into(), provenance: Provenance::Table };
        let facts = Extracted { fields: vec![field] };
        let found = |texts: &[&str]| Some(texts.iter().map(ToString::to_string).collect());
        let taken = Taken {
            status: None,
            taken: vec![found(&["One", "Two"]), found(&["a", "b"]), found(&[]), found(&["http://x/f"])],
        };
        let (record, links) = values(&takes, &taken, &facts).expect("values");
        let expected = json!({ "price": "7 EUR", "head": "One", "tags": ["a", "b"], "none": null });
        assert_eq!(json!(record), expected);
        assert_eq!(
            links.iter().map(|(take, link)| (take.name.as_str(), link.as_str())).collect::<Vec<_>>(),
            [("paper", "http://x/f")]
        );
    }

    #[test]
    fn what_is_required_and_missing_and_what_is_no_selector_fail_the_page() {
        let nothing = || Taken { status: None, taken: vec![Some(Vec::new())] };
        let required = [take(json!({ "name": "head", "selector": "h1", "required": true }))];
        let missing = values(&required, &nothing(), &Extracted::default()).expect_err("nothing is there");
        assert_eq!(code(missing), "missing_value");
        let wrong = [take(json!({ "name": "head", "selector": "h1[" }))];
        let bad = values(&wrong, &Taken { status: None, taken: vec![None] }, &Extracted::default());
        assert_eq!(code(bad.expect_err("no selector")), "bad_selector");
    }
}
