//! Rules and what was seen of sites decide which browser an application gets, and when.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use valet_board::{Expectation, FormKind};
use valet_core::Timestamp;
use valet_protocol::api::RunDetail;
use valet_tests::bounds::SOON;
use valet_tests::wait::until;

use super::applicant::differences;
use super::house::{Filed, House};

/// What the last tier was chosen for.
fn choice(run: &RunDetail) -> Value {
    let chosen = run.steps.iter().rfind(|step| step.name == "select-tier").expect("a choice");
    chosen.output.clone().expect("an output")
}

fn reasons(run: &RunDetail) -> String {
    choice(run)["reasons"].to_string()
}

async fn applied(house: &House, form: FormKind, seed: u32) -> Filed {
    let run = house.applicant().start(form, seed).await;
    let filed = house.follow(form, seed, &run).await;
    assert_eq!(filed.run.run.status, "succeeded", "seed {seed}: {:?}", filed.run.error);
    assert_eq!(differences(&Expectation::of(form, seed), &filed.received), [""; 0], "seed {seed}");
    filed
}

fn tier(filed: &Filed) -> (Value, usize) {
    let receipt = filed.run.output.as_ref().expect("a receipt");
    (receipt["tier"].clone(), receipt["escalations"].as_array().map_or(0, Vec::len))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_that_refused_a_tier_starts_on_the_next_until_a_switch_is_thrown() {
    let house = House::start(1).await;
    house.client.put_rule("tier", "*", &json!({ "samples_min": 1.5 }), None).await.expect("a rule");
    for seed in 1..=2 {
        assert_eq!(tier(&applied(&house, FormKind::Guarded, seed).await), (json!("local_headed"), 1));
    }
    let third = applied(&house, FormKind::Guarded, 3).await;
    assert_eq!(tier(&third), (json!("local_headed"), 0), "nobody had to be refused");
    assert!(reasons(&third.run).contains("not local: it failed 100 % of late at this site"), "{}", reasons(&third.run));

    let metrics = house.client.tier_metrics().await.expect("metrics");
    let site = house.board.address().to_string();
    let tally = |name: &str| {
        let found =
            metrics.tallies.iter().find(|t| t.tier == name && t.site.as_deref() == Some(&site)).expect("a tally");
        (found.good.round() as u32, found.bad.round() as u32)
    };
    assert_eq!((tally("local"), tally("local_headed")), ((0, 2), (3, 0)));

    // The switch holds for the next choice, and what is left is taken though it failed.
    house.client.put_rule("tier", "local_headed", &json!({ "enabled": false }), None).await.expect("a rule");
    let fourth = applied(&house, FormKind::Simple, 4).await;
    assert_eq!(tier(&fourth), (json!("local"), 0));
    assert!(reasons(&fourth.run).contains("nothing better is left"), "{}", reasons(&fourth.run));
    house.client.put_rule("tier", "local", &json!({ "enabled": false }), None).await.expect("a rule");
    let run = house.applicant().start(FormKind::Simple, 5).await;
    let fifth = house.follow(FormKind::Simple, 5, &run).await;
    let error = fifth.run.error.expect("an error");
    assert_eq!(error.code, "no_tier");
    assert!(error.message.contains("not local: its switch is off"), "{}", error.message);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_paces_applications_that_come_at_once() {
    const PACE: Duration = Duration::from_secs(4);
    let house = House::start(4).await;
    let site = house.board.address().to_string();
    let policy = json!({ "pace_s": PACE.as_secs(), "tiers": ["local"], "terms": "a person's pace" });
    house.client.put_rule("site", &site, &policy, None).await.expect("a rule");
    let mut runs = Vec::new();
    for seed in 11..=13 {
        runs.push((seed, house.applicant().start(FormKind::Simple, seed).await));
    }
    let mut begun: Vec<Timestamp> = Vec::new();
    for (seed, run) in &runs {
        let filed = house.follow(FormKind::Simple, *seed, run).await;
        assert_eq!(filed.run.run.status, "succeeded", "{:?}", filed.run.error);
        assert_eq!(choice(&filed.run)["policy"], json!(site));
        let provision = filed.run.steps.iter().find(|step| step.name == "provision").expect("a browser");
        begun.push(provision.asked_at);
    }
    begun.sort_unstable();
    for pair in begun.windows(2) {
        // A visit may begin a little late, and the next is not late for that.
        let distance = (pair[1] - pair[0]).to_std().expect("in order");
        assert!(distance + Duration::from_millis(1500) >= PACE, "{distance:?} between two visits");
    }
    assert_eq!(house.client.tier_metrics().await.expect("metrics").sites[0].visits, 3);
}

/// Answers "too many requests" for so long from the first request on, then sends browsers to the board.
fn limit(listener: TcpListener, limited: Duration, board: String) {
    tokio::spawn(async move {
        let mut first: Option<Instant> = None;
        while let Ok((mut socket, _)) = listener.accept().await {
            let mut head = vec![0; 16 * 1024];
            if socket.read(&mut head).await.unwrap_or_default() == 0 {
                continue;
            }
            let since = first.get_or_insert_with(Instant::now).elapsed();
            let answer = if since < limited {
                let body = if head.starts_with(b"HEAD") { "" } else { "<title>Too many requests</title>Slow down." };
                format!(
                    "HTTP/1.1 429 Too Many Requests\r\nRetry-After: {}\r\nContent-Type: text/html\r\n\
                     Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
                    limited.as_secs(),
                    body.len()
                )
            } else {
                format!("HTTP/1.1 302 Found\r\nLocation: {board}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            };
            let _ = socket.write_all(answer.as_bytes()).await;
            let _ = socket.shutdown().await;
        }
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_that_wants_quiet_is_left_alone_by_everybody_for_as_long_as_it_says() {
    const LIMITED: Duration = Duration::from_secs(12);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
    let site = listener.local_addr().expect("an address").to_string();
    let house = House::start_reaching(2, &site).await;
    let own = house.board.address().to_string();
    limit(listener, LIMITED, format!("{}/jobs/simple/21", house.board.base_url()));
    let there = format!("http://{site}/job");
    let start = async |seed: u32| {
        let input = |input: &mut Value| {
            input["job_url"] = json!(there);
            input["allowed_domains"] = json!([own]);
        };
        house.applicant().start_input(FormKind::Simple, seed, input).await
    };
    let first = start(21).await;
    let standing = until("the site to be left alone", SOON, async || {
        let metrics = house.client.tier_metrics().await.map_err(|error| error.to_string())?;
        metrics.sites.into_iter().find(|s| s.site == site && s.cool_until.is_some()).ok_or_else(|| "not yet".to_owned())
    })
    .await;
    assert_eq!(standing.cool_why.as_deref(), Some("it said for how long"));
    let second = start(22).await;
    until("the second to wait", SOON, async || {
        let line =
            house.client.run(&second).await.map_err(|error| error.to_string())?.run.status_line.unwrap_or_default();
        if line.contains("the site wants to be left alone") { Ok(()) } else { Err(line) }
    })
    .await;
    for run in [&first, &second] {
        let filed = house.follow(FormKind::Simple, 21, run).await;
        assert_eq!(filed.run.run.status, "succeeded", "{:?}", filed.run.error);
    }
    let waited = house.client.run(&second).await.expect("the run");
    let begun = waited.steps.iter().find(|step| step.name == "provision").expect("a browser").asked_at;
    assert!(begun >= standing.cool_until.expect("a cool-down"), "no browser before the site's time was over");
}
