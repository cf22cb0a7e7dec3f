//! A site that wants to know who applies asks a subject once: the next browser is known there, as the board itself sees it.

use rand::seq::SliceRandom as _;
use serde_json::json;
use valet_board::FormKind;

use super::house::{Filed, House};

/// How many applications, of how many subjects, in random order.
const RUNS: &str = "VALET_REUSE_RUNS";
const RUNS_USUAL: u32 = 14;
const SUBJECTS_PER_RUNS: u32 = 7;

async fn apply(house: &House, seed: u32, subject: &str) -> Filed {
    let applicant = house.applicant();
    let run = applicant.start_input(FormKind::Login, seed, |input| input["subject"] = json!(subject)).await;
    house.follow(FormKind::Login, seed, &run).await
}

fn came_signed_in(house: &House, seed: u32) -> bool {
    let visits = house.board.visits(FormKind::Login, seed);
    assert!(!visits.is_empty(), "seed {seed}: nobody came");
    visits.iter().any(|visit| visit.came_signed_in)
}

#[tokio::test(flavor = "multi_thread")]
async fn who_signed_in_once_is_known_in_the_next_browser() {
    let runs = std::env::var(RUNS).ok().map_or(RUNS_USUAL, |count| count.parse().expect("a number"));
    let subjects = (runs / SUBJECTS_PER_RUNS).max(1);
    let house = House::start(1).await;
    let mut order: Vec<u32> = (0..runs).map(|n| n % subjects).collect();
    order.shuffle(&mut rand::rng());
    let mut seen = std::collections::BTreeSet::new();
    let mut known = 0;
    for (seed, subject) in (1..).zip(order) {
        let filed = apply(&house, seed, &format!("applicant-{subject}")).await;
        assert_eq!(filed.run.run.status, "succeeded", "{:?}", filed.run.error);
        assert_eq!(filed.received.len(), 1);
        let first = seen.insert(subject);
        let asked = filed.asked.iter().filter(|task| task.reason == "login").count();
        let came = came_signed_in(&house, seed);
        assert_eq!((asked, came), (usize::from(first), !first), "seed {seed}, subject {subject}");
        known += u32::from(came);
    }
    println!("{known} of {runs} applications of {subjects} subjects began signed in");
    assert!(known * 100 >= runs * 80, "{known} of {runs}");
    house.no_browser_is_left("all applications").await;
}
