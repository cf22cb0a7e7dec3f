//! `multi-scrape` on sites of the test's own, with real browsers: what was fetched is what the sites saw.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
use valet_protocol::api::{RunDetail, StartRunRequest};
use valet_tests::wait::{until, until_true};

use super::job_application::house::House;

/// All pages of a test, crashes and the waits for lost leases included.
const SCRAPE_MAX: Duration = Duration::from_mins(4);
/// How long the site takes for a page.
const ANSWERS_AFTER: Duration = Duration::from_millis(50);

#[derive(Default)]
struct Seen {
    /// When each page was asked for.
    pages: Mutex<BTreeMap<String, Vec<Instant>>>,
    at_once: AtomicUsize,
    most_at_once: AtomicUsize,
}

impl Seen {
    fn pages(&self) -> usize {
        self.pages.lock().len()
    }

    fn fetched(&self) -> usize {
        self.pages.lock().values().map(Vec::len).sum()
    }
}

/// A shop with an item at `/item/…`, until the test ends.
async fn site() -> (String, Arc<Seen>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
    let place = listener.local_addr().expect("an address").to_string();
    let seen = Arc::new(Seen::default());
    tokio::spawn({
        let seen = Arc::clone(&seen);
        async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&seen)));
            }
        }
    });
    (place, seen)
}

async fn serve(mut stream: TcpStream, seen: Arc<Seen>) {
    let mut head = Vec::new();
    let mut buffer = [0; 4096];
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(read) => head.extend_from_slice(&buffer[..read]),
        }
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let path = head.split(' ').nth(1).unwrap_or("/").to_owned();
    let is_page = !path.starts_with("/files/") && !path.starts_with("/favicon");
    if is_page {
        seen.pages.lock().entry(path.clone()).or_default().push(Instant::now());
        let now = seen.at_once.fetch_add(1, Ordering::SeqCst) + 1;
        seen.most_at_once.fetch_max(now, Ordering::SeqCst);
        tokio::time::sleep(ANSWERS_AFTER).await;
    }
    let (status, content_type, body) = answer(&path);
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    drop(stream.write_all(format!("{head}{body}").as_bytes()).await);
    drop(stream.shutdown().await);
    if is_page {
        seen.at_once.fetch_sub(1, Ordering::SeqCst);
    }
}

fn answer(path: &str) -> (&'static str, &'static str, String) {
    let html = "text/html; charset=utf-8";
    if let Some(number) = path.strip_prefix("/item/") {
        let page = format!(
            "<!doctype html><title>Item {number} – Shop</title><h1>Item {number}</h1>\
             <dl><dt>Price</dt><dd>{number}.50 EUR</dd></dl>\
             <ul class=\"tags\"><li>blue</li><li>no {number}</li></ul>\
             <p>A solid thing for every day, made by hand and built to last for years.</p>\
             <a class=\"manual\" href=\"/files/{number}.txt\">Manual</a>"
        );
        return ("200 OK", html, page);
    }
    match path.strip_prefix("/files/") {
        Some(file) => ("200 OK", "text/plain", format!("how to use {file}")),
        None if path == "/broken" => ("500 Internal Server Error", html, "<h1>Something went wrong</h1>".to_owned()),
        None => ("404 Not Found", html, "<h1>Nothing here</h1>".to_owned()),
    }
}

async fn scrape(house: &House, input: Value) -> String {
    let request = StartRunRequest { input, subject: Some("tests".to_owned()), ..StartRunRequest::default() };
    house.client.start("multi-scrape", &request, "scrape").await.expect("the run starts").id
}

async fn ended(house: &House, run: &str) -> RunDetail {
    until(&format!("{run} to end"), SCRAPE_MAX, async || {
        let detail = house.client.run(run).await.map_err(|error| error.to_string())?;
        if detail.run.ended_at.is_some() { Ok(detail) } else { Err(format!("{:?}", detail.run.status_line)) }
    })
    .await
}

fn urls(place: &str, pages: std::ops::Range<u32>) -> Vec<String> {
    pages.map(|n| format!("http://{place}/item/{n}")).collect()
}

fn output(detail: RunDetail) -> Value {
    assert_eq!(detail.run.status, "succeeded", "{:?}", detail.error);
    detail.output.expect("an output")
}

async fn file(house: &House, id: &Value) -> String {
    let got = house.client.download(id.as_str().expect("a file")).await.expect("the file is there");
    String::from_utf8(got.bytes).expect("text")
}

#[tokio::test(flavor = "multi_thread")]
async fn many_pages_become_records_and_files_one_at_a_time_for_each_host() {
    let ((first, seen), (second, seen_too)) = (site().await, site().await);
    let house = House::start_reaching(4, &format!("{first},{second}")).await;
    let mut all = urls(&first, 0..30);
    all.extend(urls(&second, 0..30));
    // Once only, and what is wrong with a page is that page's.
    all.extend([
        format!("http://{first}/item/3#more"),
        format!("http://{first}/gone"),
        format!("http://{second}/broken"),
    ]);
    let input = json!({
        "urls": all, "concurrency": 2, "keep": ["html"],
        "take": [
            { "name": "price", "fact": "Price" },
            { "name": "headline", "selector": "h1", "required": true },
            { "name": "tags", "selector": "ul.tags li", "all": true },
            { "name": "link", "selector": "a.manual", "attribute": "href" },
            { "name": "manual", "selector": "a.manual", "download": true },
        ],
    });
    let began = Instant::now();
    let run = scrape(&house, input).await;
    let came_to = output(ended(&house, &run).await);
    let took = began.elapsed();
    let per_minute = 62.0 / took.as_secs_f64() * 60.0;
    eprintln!("62 pages in {took:.1?} with two browsers: {per_minute:.0} a minute");
    assert!(per_minute >= 30.0, "{per_minute} pages a minute");
    assert_eq!((&came_to["pages"], &came_to["read"], &came_to["failed"]), (&json!(62), &json!(60), &json!(2)));
    for seen in [&seen, &seen_too] {
        assert_eq!(seen.most_at_once.load(Ordering::SeqCst), 1, "of one host one page at a time");
    }
    assert_eq!(seen.fetched(), 31, "each page once, also the one that was named twice");

    let records = came_to["records"].as_array().expect("records");
    assert_eq!(
        records.iter().map(|record| record["number"].as_u64()).collect::<Vec<_>>(),
        (0..62).map(Some).collect::<Vec<_>>()
    );
    let third = &records[3];
    let values = json!({
        "price": "3.50 EUR", "headline": "Item 3", "tags": ["blue", "no 3"], "link": format!("http://{first}/files/3.txt"),
    });
    assert_eq!((&third["values"], &third["title"]), (&values, &json!("Item 3 – Shop")));
    let names: Vec<&Value> = third["files"].as_array().expect("files").iter().map(|file| &file["name"]).collect();
    assert_eq!(names, ["manual", "html"]);
    assert_eq!(file(&house, &third["files"][0]["file"]).await, "how to use 3.txt");
    assert!(file(&house, &third["files"][1]["file"]).await.contains("<h1>Item 3</h1>"));
    assert_eq!(
        (&records[60]["error"]["code"], &records[61]["error"]["code"]),
        (&json!("not_found"), &json!("site_error"))
    );

    let mut lines = 0;
    for part in came_to["files"].as_array().expect("files of records") {
        lines += file(&house, &part["file"]).await.lines().filter(|line| line.starts_with("{\"number\":")).count();
    }
    assert_eq!(lines, 62);
    house.no_browser_is_left("62 pages").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_that_were_read_are_not_fetched_again_when_the_worker_is_killed() {
    const PAGES: u32 = 40;
    let (place, seen) = site().await;
    let mut house = House::start_reaching(4, &place).await;
    let take = json!([{ "name": "price", "fact": "Price" }]);
    let run =
        scrape(&house, json!({ "urls": urls(&place, 0..PAGES), "concurrency": 2, "per_host": 2, "take": take })).await;
    for share in [4, 2] {
        let some = PAGES as usize / share;
        until_true("some of the pages", SCRAPE_MAX, async || seen.pages() >= some).await;
        house.restart_worker().await;
    }
    let came_to = output(ended(&house, &run).await);
    assert_eq!((&came_to["read"], &came_to["failed"]), (&json!(PAGES), &json!(0)));
    let records = came_to["records"].as_array().expect("records");
    let prices: Vec<Value> = records.iter().map(|record| record["values"]["price"].clone()).collect();
    assert_eq!(prices, (0..PAGES).map(|n| json!(format!("{n}.50 EUR"))).collect::<Vec<_>>());
    let again = seen.fetched() - seen.pages();
    eprintln!("{PAGES} pages, two kills, {again} of them fetched again");
    assert!(again <= 4, "{again}: at most what the two browsers were at when they were killed");
    assert!(seen.most_at_once.load(Ordering::SeqCst) <= 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sites_policy_paces_its_pages() {
    const PACE: Duration = Duration::from_secs(3);
    let (place, seen) = site().await;
    let house = House::start_reaching(4, &place).await;
    let policy = json!({ "pace_s": PACE.as_secs(), "tiers": ["local"] });
    house.client.put_rule("site", &place, &policy, None).await.expect("a rule");
    let run = scrape(&house, json!({ "urls": urls(&place, 0..4), "concurrency": 4, "per_host": 4 })).await;
    assert_eq!(output(ended(&house, &run).await)["read"], json!(4));
    let mut times: Vec<Instant> = seen.pages.lock().values().flatten().copied().collect();
    times.sort_unstable();
    let gaps: Vec<Duration> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    eprintln!("pages began {gaps:.1?} after each other");
    assert_eq!(gaps.len(), 3);
    // A browser that is told its time needs a moment to get there.
    assert!(times[3] - times[0] + Duration::from_secs(2) >= PACE * 3, "{gaps:?}");
    assert!(gaps.iter().all(|gap| *gap >= Duration::from_secs(1)), "{gaps:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn input_that_cannot_be_is_refused_with_its_place() {
    let (place, _) = site().await;
    let house = House::start_reaching(1, &place).await;
    for (input, pointer) in [
        (json!({ "urls": [] }), "/urls"),
        (json!({ "urls": ["shop/7"] }), "/urls/0"),
        (json!({ "urls": urls(&place, 0..1), "concurrency": 51 }), "/concurrency"),
        (json!({ "urls": urls(&place, 0..1), "take": [{ "name": "a" }] }), "/take/0"),
    ] {
        let request = StartRunRequest { input, subject: Some("tests".to_owned()), ..StartRunRequest::default() };
        let refused = house.client.start("multi-scrape", &request, pointer).await.expect_err("it cannot be");
        assert!(format!("{refused:?}").contains(pointer), "{pointer}: {refused:?}");
    }
}
