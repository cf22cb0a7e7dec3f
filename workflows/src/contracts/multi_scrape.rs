//! `multi-scrape` and its parts: in lanes, in one browser after the other, put off by a site, with pages that fail.

use serde_json::{Value, json};
use uuid::Uuid;
use valet_core::Timestamp;
use valet_testing::{TestEngine, TestRun, blocked, contract, fail, scenario};

use crate::job_application::steps::{
    Cleanup, NO_TIER, Price, Provision, Provisioned, SANDBOX_LOST, SelectTier, TierChoice, Want,
};
use crate::multi_scrape::steps::{Read, Record, ScrapePage, WriteRecords};
use crate::multi_scrape::{MultiScrapeWorkflow, Part, PartEnd, ScrapePartWorkflow, Scraped};
use crate::tiers::Waiting;

fn record(url: &str, number: u32) -> Record {
    Record { number, url: url.to_owned(), title: "a page".to_owned(), ..Record::default() }
}

fn children() -> TestEngine {
    TestEngine::new().on_child("multi-scrape-part", |part: Part| {
        let records: Vec<Record> = part.pages.iter().map(|page| record(&page.url, page.number)).collect();
        Ok(PartEnd { read: records.len() as u32, file: "file_1".to_owned(), records })
    })
}

fn shop(pages: u32) -> Value {
    let urls: Vec<String> = (0..pages).map(|n| format!("https://shop.example/{n}")).collect();
    json!({ "urls": urls, "concurrency": 2, "per_host": 2 })
}

contract!(pages_in_two_lanes: MultiScrapeWorkflow, input = shop(3), steps = children());

fn choice(select: &SelectTier) -> TierChoice {
    let tier = match &select.want {
        Want::Same { tier } => tier.clone(),
        _ => "local".to_owned(),
    };
    TierChoice {
        tier,
        host: None,
        reasons: Vec::new(),
        considered: Vec::new(),
        policy: None,
        max_escalations: None,
        price: Price::default(),
        wait: None,
        direct: None,
    }
}

/// Browsers that read every page.
fn browsers() -> TestEngine {
    TestEngine::new()
        .on_step(|select: SelectTier, _| Ok(choice(&select)))
        .on_step(|_: Provision, _| Ok(Provisioned::Ready { browser: "chromium 1".to_owned(), live_view: None }))
        .on_step(|step: ScrapePage, _| Ok(Read::Page(record(&step.page.url, step.page.number))))
        .on_step(|_: WriteRecords, _| Ok(Uuid::nil()))
        .on_step(|_: Cleanup, _| Ok(()))
}

fn part(pages: u32) -> Value {
    let pages: Vec<Value> =
        (0..pages).map(|n| json!({ "number": n, "url": format!("https://s{n}.example/") })).collect();
    json!({ "pages": pages, "inline": true })
}

contract!(pages_one_after_another: ScrapePartWorkflow, input = part(3), steps = browsers());

scenario!(
    pages_that_fail_and_one_that_does_not: ScrapePartWorkflow,
    input = part(3),
    steps = browsers().on_step(|step: ScrapePage, _| match step.page.number {
        0 => Err(fail("not_found")),
        1 => Err(blocked("captcha")),
        _ => Ok(Read::Page(record(&step.page.url, step.page.number))),
    }),
);

fn ended(run: &TestRun) -> PartEnd {
    run.output()
}

fn count(run: &TestRun, step: &str) -> usize {
    run.steps().iter().filter(|name| **name == step).count()
}

fn codes(end: &PartEnd) -> Vec<&str> {
    end.records.iter().map(|record| record.error.as_ref().map_or("", |error| error.code.as_str())).collect()
}

#[test]
fn every_page_of_a_run_has_a_record_in_the_order_of_its_input() {
    let run = children().run::<MultiScrapeWorkflow>(&shop(5)).expect("a run");
    let scraped: Scraped = run.output();
    assert_eq!((scraped.pages, scraped.read, scraped.failed, scraped.files.len()), (5, 5, 0, 2));
    assert_eq!(scraped.records.iter().map(|record| record.number).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
}

#[test]
fn a_part_that_fails_takes_no_other_along() {
    let engine = TestEngine::new().on_child("multi-scrape-part", |part: Part| {
        if part.pages[0].number == 0 {
            return Err(valet_core::Failure::new("no_capacity", "full"));
        }
        let records = part.pages.iter().map(|page| record(&page.url, page.number)).collect();
        Ok(PartEnd { read: part.pages.len() as u32, file: "file_1".to_owned(), records })
    });
    let scraped: Scraped = engine.run::<MultiScrapeWorkflow>(&shop(4)).expect("a run").output();
    assert_eq!((scraped.read, scraped.failed), (2, 2));
    let failed = scraped.records.iter().filter_map(|record| record.error.as_ref());
    assert_eq!(failed.map(|error| error.code.as_str()).collect::<Vec<_>>(), ["no_capacity"; 2]);
}

#[test]
fn what_is_wrong_with_a_page_is_its_own() {
    let engine = browsers().on_step(|step: ScrapePage, _| match step.page.number {
        0 => Err(fail("not_found")),
        1 => Err(blocked("captcha")),
        _ => Ok(Read::Page(record(&step.page.url, step.page.number))),
    });
    let end = ended(&engine.run::<ScrapePartWorkflow>(&part(3)).expect("a run"));
    assert_eq!((end.read, codes(&end)), (1, vec!["not_found", "captcha", ""]));
}

#[test]
fn a_lost_browser_is_followed_by_another_that_goes_on_behind_what_was_read() {
    let lost = std::rc::Rc::new(std::cell::Cell::new(0));
    let engine = browsers().on_step(move |step: ScrapePage, _| {
        if step.page.number == 1 && lost.get() < 2 {
            lost.set(lost.get() + 1);
            return Err(fail(SANDBOX_LOST));
        }
        Ok(Read::Page(record(&step.page.url, step.page.number)))
    });
    let run = engine.run::<ScrapePartWorkflow>(&part(3)).expect("a run");
    assert_eq!(codes(&ended(&run)), ["", "", ""]);
    assert_eq!(count(&run, "scrape-page"), 5, "the first page once, the second three times");
    assert_eq!(count(&run, "provision"), 3);
}

#[test]
fn browsers_that_are_lost_again_and_again_are_given_up() {
    let engine = browsers().on_step(|_: ScrapePage, _| Err::<Read, _>(fail(SANDBOX_LOST)));
    let end = ended(&engine.run::<ScrapePartWorkflow>(&part(2)).expect("a run"));
    assert_eq!((end.read, codes(&end)), (0, vec![SANDBOX_LOST; 2]));
}

/// Sites that are closed for long keep no browser, and other sites are read first.
#[test]
fn a_site_that_is_closed_is_read_when_it_opens() {
    let opens: Timestamp = "2040-01-01T00:00:00Z".parse().expect("an instant");
    let asked = std::rc::Rc::new(std::cell::Cell::new(0));
    let engine = browsers().on_step(move |step: ScrapePage, _| {
        if step.page.number == 0 && asked.replace(asked.get() + 1) == 0 {
            return Ok(Read::Later(Waiting { until: opens, why: "it has hours".to_owned() }));
        }
        Ok(Read::Page(record(&step.page.url, step.page.number)))
    });
    let run = engine.run::<ScrapePartWorkflow>(&part(2)).expect("a run");
    assert_eq!(codes(&ended(&run)), ["", ""]);
    assert_eq!((count(&run, "scrape-page"), count(&run, "provision")), (3, 2), "one browser before, one when it opens");
}

#[test]
fn a_site_that_allows_no_tier_is_left_out() {
    let engine =
        browsers().on_step(
            |select: SelectTier, _| {
                if select.job_url.contains("s0.") { Err(fail(NO_TIER)) } else { Ok(choice(&select)) }
            },
        );
    let end = ended(&engine.run::<ScrapePartWorkflow>(&part(2)).expect("a run"));
    assert_eq!(codes(&end), [NO_TIER, ""]);
}
