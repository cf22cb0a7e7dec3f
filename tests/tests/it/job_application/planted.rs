//! What applicants, and people for them, told Valet is found in no log, metric, error, Redis key or plain column.

use std::collections::BTreeMap;

use serde_json::json;
use valet::cli::{Client, ClientConfig};
use valet_board::{Expectation, FormKind};
use valet_protocol::api::{CreateTokenRequest, PutItemRequest, StartRunRequest};
use valet_tests::bounds::SOON;
use valet_tests::oracle::Oracle;
use valet_tests::redis_probe::RedisProbe;
use valet_tests::wait::until_true;

use super::applicant::differences;
use super::house::House;

/// A password that no form asks for.
const KEPT: &str = "zwetschgendatschi";
/// Parts of what the profile, its answers and its files say; none is part of a URL, an id or a word of Valet's own.
const TOLD: [&str; 11] = [
    "zoe.ohara@example.com",
    "O'Hara",
    "901820",
    "30901820",
    "Lindenallee",
    "50667",
    "zoe-example",
    "65000 EUR",
    "Curiosity",
    "Conference or meetup",
    KEPT,
];

/// Everywhere that is not sealed, by its name.
async fn open_places(house: &House, oracle: &Oracle) -> BTreeMap<&'static str, String> {
    let metrics = reqwest::get(format!("{}/metrics", house.setting("VALET_URL"))).await.expect("the metrics");
    BTreeMap::from([
        ("the engine's log", house.engine.said()),
        ("the worker's log", house.worker.said()),
        ("the metrics", metrics.text().await.expect("a text")),
        ("Redis", RedisProbe::new(house.stack.redis_url()).everything().await),
        ("the database", oracle.everything().await),
    ])
}

fn as_hex(text: &str) -> String {
    text.bytes().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"))
}

/// Digits of a number that by chance is also a part of random bytes or of an instant, as text.
const SHORT_NUMBER_DIGITS_MAX: usize = 6;

/// Whether a word is there; a short number by itself.
fn says(text: &str, word: &str) -> bool {
    let is_short = word.len() <= SHORT_NUMBER_DIGITS_MAX && word.bytes().all(|byte| byte.is_ascii_digit());
    let joins = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_hexdigit() || *byte == b'.');
    let bytes = text.as_bytes();
    text.match_indices(word).any(|(at, _)| {
        let (before, behind) = (at.checked_sub(1).and_then(|at| bytes.get(at)), bytes.get(at + word.len()));
        !is_short || !(joins(before) || joins(behind))
    })
}

fn found(places: &BTreeMap<&'static str, String>, words: &[String]) -> Vec<String> {
    let holds = |text: &str, word: &str| says(text, word) || text.contains(&as_hex(word));
    let pairs = places.iter().flat_map(|(place, text)| words.iter().map(move |word| (place, text, word)));
    pairs.filter(|(_, text, word)| holds(text, word)).map(|(place, _, word)| format!("{word} in {place}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_told_is_in_no_log_metric_error_redis_key_or_plain_column() {
    let mut house = House::start(1).await;
    // What is told wrongly is told too.
    house.first_answers_are_wrong = true;
    let oracle = Oracle::connect(house.stack.database_url()).await;
    let secret = PutItemRequest { kind: "secret".into(), name: "jobs.example.com/password".into(), value: json!(KEPT) };
    house.client.put_item("applicant-1", &secret).await.expect("a secret is kept");
    let asking = (400..1_000).find(|seed| Expectation::of(FormKind::Steps, *seed).free_question.is_some());
    let asking = asking.expect("one of many seeds");
    let mut words: Vec<String> = TOLD.iter().map(ToString::to_string).collect();

    for (form, seed) in [(FormKind::Steps, asking), (FormKind::Login, 3)] {
        let run = house.applicant().start(form, seed).await;
        let filed = house.follow(form, seed, &run).await;
        assert_eq!(filed.run.run.status, "succeeded", "{form:?}: {:?}", filed.run.error);
        assert_eq!(differences(&Expectation::of(form, seed), &filed.received), [""; 0]);
        if form == FormKind::Login {
            // Its first part: some of its signs look otherwise in JSON.
            words.push(house.board.credentials(seed).password[..6].to_owned());
        }
    }
    // One that fails says why, and not for whom.
    let applicant = house.applicant();
    let refused = applicant.try_start_input(FormKind::Simple, 9, |input| {
        input["profile"]["email"] = json!(format!("{KEPT} at example"));
        input["documents"][0]["file"] = json!(KEPT);
    });
    let told = refused.await.expect_err("no address").to_string();
    assert!(!told.contains(KEPT), "{told}");

    let places = open_places(&house, &oracle).await;
    for (place, proof) in [
        ("the engine's log", "the engine serves"),
        ("the worker's log", "session opened"),
        ("the metrics", "valet_commit_seconds"),
        ("Redis", "valet"),
        ("the database", "job-application"),
    ] {
        assert!(places[place].contains(proof), "{place} was read: {}", places[place].len());
    }
    assert_eq!(found(&places, &words), Vec::<String>::new());
}

/// Two tenants give one key to runs of one workflow: they share Redis and the metrics, and neither finds the other there.
#[tokio::test(flavor = "multi_thread")]
async fn tenants_share_redis_and_metrics_without_their_names() {
    let house = House::start(1).await;
    let tenants = ["marillenknoedel", "topfenstrudel"];
    let mut runs = Vec::new();
    for tenant in tenants {
        let request = CreateTokenRequest {
            name: format!("{tenant}-boss"),
            tenant: Some(tenant.to_owned()),
            role: Some("admin".to_owned()),
            scopes: None,
            workflows: None,
            subjects: None,
            expires_in_s: None,
        };
        let token = house.client.create_token(&request).await.expect("a token").secret;
        let urls = ClientConfig::parse_urls(house.setting("VALET_URL")).expect("an address");
        let client = Client::new(ClientConfig { urls, token: Some(token) }).expect("a client");
        // Nobody pulls its queue here: its ticket stays in Redis.
        let start = StartRunRequest {
            input: json!({ "steps": 1 }),
            subject: Some(format!("{tenant}-subject")),
            ..StartRunRequest::default()
        };
        runs.push((client.start("bench", &start, "one key for both").await.expect("a run").id, client));
    }
    assert_ne!(runs[0].0, runs[1].0, "a key is its tenant's own");
    for ((run, client), (foreign, _)) in runs.iter().zip(runs.iter().rev()) {
        assert!(client.run(run).await.is_ok() && client.run(foreign).await.is_err());
    }
    let probe = RedisProbe::new(house.stack.redis_url());
    let hex = |id: &str| id.trim_start_matches("run_").to_owned();
    until_true("the tickets of both to be in Redis", SOON, async || {
        let held = probe.everything().await.replace('-', "");
        runs.iter().all(|(run, _)| held.contains(&hex(run)))
    })
    .await;
    let oracle = Oracle::connect(house.stack.database_url()).await;
    let mut places = open_places(&house, &oracle).await;
    // There a tenant is a column of every row.
    places.remove("the database");
    assert_eq!(found(&places, &tenants.map(str::to_owned)), Vec::<String>::new());
}
