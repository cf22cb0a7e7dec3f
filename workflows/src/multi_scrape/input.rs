//! The input of `multi-scrape`, and what a schema cannot say about it.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::Url;
use valet_core::workflow::{Door, InputProblem};

use crate::job_url;

/// Faults that are told at once: who pasted a wrong list sees what is wrong with it.
const PROBLEMS_MAX: usize = 20;

/// Many pages, and what to take from each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Scrape {
    /// Absolute, http or https, no private addresses. One that comes twice is read once.
    #[schemars(length(min = 1, max = 10_000), inner(length(min = 1, max = 2048)))]
    pub urls: Vec<String>,
    /// What a page's record holds beside its title and address.
    #[serde(default)]
    #[schemars(length(max = 50))]
    pub take: Vec<Take>,
    /// Files that are kept of each page.
    #[serde(default)]
    pub keep: BTreeSet<Keep>,
    /// Browsers at once.
    #[serde(default = "four")]
    #[schemars(range(min = 1, max = 50))]
    pub concurrency: u32,
    /// Pages of one host (with its port) that are read at once.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 50))]
    pub per_host: u32,
    /// Hosts that the browsers may reach besides those of the pages: `host`, `host:port` or `*.suffix`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    pub allowed_domains: Vec<String>,
}

const fn four() -> u32 {
    4
}

const fn one() -> u32 {
    1
}

/// One value of a record: a fact that the page states, or what a selector finds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Take {
    /// As the record calls it.
    #[schemars(length(min = 1, max = 64), regex(pattern = r"^[A-Za-z0-9_-]+$"))]
    pub name: String,
    /// The label of a fact as the page states it, such as `Price`: in structured data, a list of definitions, a table, or running text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 200))]
    pub fact: Option<String>,
    /// CSS; ` >>> ` enters an open shadow root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1000))]
    pub selector: Option<String>,
    /// Of what the selector finds: this attribute instead of its text. Addresses are made absolute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 100))]
    pub attribute: Option<String>,
    /// All that the selector finds, as a list, and not the first only.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub all: bool,
    /// What the selector finds is a link: what is behind it is kept as a file.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub download: bool,
    /// A page without it is a page that failed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub required: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Keep {
    /// The document as HTML, as it was read.
    Html,
    /// What the window showed, as PNG.
    Screenshot,
}

pub(super) fn problems(input: &Scrape, door: &Door) -> Vec<InputProblem> {
    let urls = input.urls.iter().enumerate().filter_map(|(index, url)| {
        let message = job_url::problem(url, door)?;
        Some(InputProblem { field: format!("/urls/{index}"), message })
    });
    let domains = input.allowed_domains.iter().enumerate().filter_map(|(index, domain)| {
        let message = "must be `host`, `host:port` or `*.suffix`".to_owned();
        (!is_domain(domain)).then(|| InputProblem { field: format!("/allowed_domains/{index}"), message })
    });
    urls.chain(domains).chain(take_problems(&input.take)).take(PROBLEMS_MAX).collect()
}

fn is_domain(domain: &str) -> bool {
    let host = domain.strip_prefix("*.").unwrap_or(domain);
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '[' | ']');
    !host.is_empty() && domain.len() <= 255 && host.chars().all(plain)
}

fn take_problems(takes: &[Take]) -> Vec<InputProblem> {
    let (mut names, mut problems) = (BTreeSet::new(), Vec::new());
    for (index, take) in takes.iter().enumerate() {
        let mut wrong = |field: &str, message: &str| {
            problems.push(InputProblem { field: format!("/take/{index}{field}"), message: message.to_owned() });
        };
        if !names.insert(&take.name) {
            wrong("/name", "another value has this name: each has its own");
        }
        match (&take.fact, &take.selector) {
            (None, None) => wrong("", "say where it is: `fact`, the label of a fact, or `selector`, a CSS selector"),
            (Some(_), Some(_)) => wrong("/fact", "one of `fact` and `selector`: leave one out"),
            _ => {}
        }
        let of_selectors = [("/attribute", take.attribute.is_some()), ("/all", take.all), ("/download", take.download)];
        for (field, _) in of_selectors.iter().filter(|(_, given)| *given && take.selector.is_none()) {
            wrong(field, "is said of what a `selector` finds: name one");
        }
        if take.download && (take.attribute.is_some() || take.all) {
            wrong("/download", "what is behind the first link is kept: leave `attribute` and `all` out");
        }
    }
    problems
}

/// A page that is to be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Page {
    /// Its place among the pages of the input, duplicates left out.
    pub number: u32,
    #[schemars(length(min = 1, max = 2048))]
    pub url: String,
}

impl Page {
    /// Whose page it is: pages of one host are paced together.
    pub fn host(&self) -> String {
        Url::parse(&self.url).map(|url| job_url::authority(&url)).unwrap_or_default()
    }
}

/// Each page once, in the order of the input. What comes behind `#` makes no other page.
pub(super) fn pages(urls: &[String]) -> Vec<Page> {
    let mut known = BTreeSet::new();
    let mut pages = Vec::new();
    for text in urls {
        // Checked at the door.
        let Ok(mut url) = Url::parse(text) else { continue };
        url.set_fragment(None);
        if known.insert(url.to_string()) {
            pages.push(Page { number: pages.len() as u32, url: url.into() });
        }
    }
    pages
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn told(input: Value) -> String {
        let input: Scrape = serde_json::from_value(input).expect("an input");
        let problems = problems(&input, &Door::default());
        problems.iter().map(|problem| format!("{}: {}", problem.field, problem.message)).collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn what_is_wrong_is_told_at_its_place_with_what_to_do() {
        assert_eq!(told(json!({ "urls": ["https://example.com/"], "take": [{ "name": "a", "fact": "Price" }] })), "");
        let check = |input: Value, expected: &str| {
            let told = told(input);
            assert!(told.contains(expected), "{told}");
        };
        check(json!({ "urls": ["https://example.com/", "shop/7"] }), "/urls/1: must be an absolute URL");
        check(json!({ "urls": ["ftp://example.com/"] }), "/urls/0: must begin with http");
        check(json!({ "urls": ["http://10.0.0.1/"] }), "/urls/0: 10.0.0.1:80 is a private address");
        let take = |take: Value| json!({ "urls": ["https://example.com/"], "take": take });
        check(take(json!([{ "name": "a" }])), "/take/0: say where it is");
        check(take(json!([{ "name": "a", "fact": "x", "selector": "p" }])), "/take/0/fact: one of");
        check(take(json!([{ "name": "a", "fact": "x", "all": true }])), "/take/0/all: is said of");
        check(take(json!([{ "name": "a", "selector": "a", "download": true, "all": true }])), "/take/0/download");
        check(take(json!([{ "name": "a", "fact": "x" }, { "name": "a", "fact": "y" }])), "/take/1/name: another");
        check(json!({ "urls": ["https://example.com/"], "allowed_domains": ["a b"] }), "/allowed_domains/0");
        let many: Vec<&str> = vec!["nowhere"; 50];
        assert_eq!(told(json!({ "urls": many })).matches("/urls/").count(), PROBLEMS_MAX);
    }

    #[test]
    fn the_example_is_an_input() {
        assert_eq!(told(serde_json::from_str(include_str!("../../examples/multi-scrape.json")).expect("JSON")), "");
    }

    #[test]
    fn a_page_that_comes_twice_is_read_once() {
        let urls =
            ["https://a.example/x", "https://A.example/x#part", "https://a.example/y", "https://a.example:443/x"];
        let pages = pages(&urls.map(str::to_owned));
        let told: Vec<(u32, &str)> = pages.iter().map(|page| (page.number, page.url.as_str())).collect();
        assert_eq!(told, [(0, "https://a.example/x"), (1, "https://a.example/y")]);
        assert_eq!(pages[0].host(), "a.example:443");
    }
}
