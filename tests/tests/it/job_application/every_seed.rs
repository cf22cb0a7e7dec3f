//! Both of the board's forms, each as fifty seeds draw it.

use std::time::Duration;

use futures::StreamExt as _;
use serde_json::json;
use tokio::time::Instant;
use valet_board::{Expectation, FormKind};

use super::applicant::differences;
use super::house::{Filed, House};

const SEEDS: u32 = 50;
/// Applications under way at once, and the worker's slots.
const SLOTS: u32 = 2;
/// What an application may take; half of them at least, for a machine that compiles at the same time.
const TYPICAL_MAX: Duration = Duration::from_secs(15);

#[tokio::test(flavor = "multi_thread")]
async fn the_one_page_form_is_filed_right_and_once_from_every_seed() {
    every_seed_of(FormKind::Simple).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_form_of_several_pages_asks_its_one_question_and_is_filed_right_and_once_from_every_seed() {
    every_seed_of(FormKind::Steps).await;
}

async fn every_seed_of(form: FormKind) {
    let house = House::start(SLOTS).await;
    let begun = Instant::now();
    let applicant = house.applicant();
    let filed: Vec<(u32, Filed)> = futures::stream::iter(1..=SEEDS)
        .map(async |seed| {
            // Somebody else each time: what one of them was asked before, the next was not.
            let run = applicant.start_input(form, seed, |input| input["subject"] = json!(format!("applicant-{seed}")));
            let run = run.await;
            (seed, house.follow(form, seed, &run).await)
        })
        .buffer_unordered(SLOTS as usize)
        .collect()
        .await;
    let mut took: Vec<Duration> = filed.iter().map(|(_, filed)| filed.took).collect();
    took.sort_unstable();
    let (typical, longest) = (took[took.len() / 2], took[took.len() - 1]);
    eprintln!("{form:?}: {SEEDS} seeds in {:.0?}, p50 {typical:.1?}, max {longest:.1?}", begun.elapsed());

    for failed in house.worker.said().lines().filter(|line| line.contains("attempt failed")) {
        eprintln!("{failed}");
    }
    let wrong: Vec<String> = filed.iter().filter_map(|(seed, filed)| complaint(form, *seed, filed)).collect();
    assert!(wrong.is_empty(), "{} of {SEEDS} seeds:\n{}", wrong.len(), wrong.join("\n"));
    let decoys = house.board.received().decoy_uses();
    assert_eq!(decoys, valet_board::DecoyUses::default(), "nothing beside the application was touched");
    assert!(typical <= TYPICAL_MAX, "an application takes {typical:?}");
}

fn complaint(form: FormKind, seed: u32, filed: &Filed) -> Option<String> {
    let expected = Expectation::of(form, seed);
    let mut wrong = differences(&expected, &filed.received);
    let run = &filed.run.run;
    if run.status != "succeeded" {
        wrong.push(format!("{} {:?}", run.status, filed.run.error));
    }
    let asked: Vec<&str> = filed.asked.iter().flat_map(|task| titles(&task.form)).collect();
    let unknown: Vec<&str> = expected.free_question.as_deref().into_iter().collect();
    if asked != unknown {
        wrong.push(format!("people were asked {asked:?}, not {unknown:?}"));
    }
    // The same browser before and after a question: it was asked for once, the posting was opened once, and sent once.
    for name in ["provision", "open-posting", "submit"] {
        let steps: Vec<u32> =
            filed.run.steps.iter().filter(|step| step.name == name).map(|step| step.attempt).collect();
        if steps.len() != 1 || (name == "submit" && steps != [1]) {
            wrong.push(format!("attempts of {name}: {steps:?}"));
        }
    }
    let shown = filed.received.first().map(|application| application.reference.as_str());
    let told = filed.run.output.as_ref().and_then(|receipt| receipt["reference"].as_str());
    if shown != told {
        wrong.push(format!("the receipt says {told:?}, the board's page said {shown:?}"));
    }
    (!wrong.is_empty()).then(|| format!("{form:?}/{seed} ({}): {}", run.id, wrong.join("; ")))
}

fn titles(form: &serde_json::Value) -> impl Iterator<Item = &str> {
    form["properties"].as_object().into_iter().flatten().filter_map(|(_, property)| property["title"].as_str())
}
