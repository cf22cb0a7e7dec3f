//! What stands in the way of an application: frames, puzzles, sign-ins, codes, conditions, parts that come late, buttons that tempt to be
//! pressed twice, postings that are closed. Each kind of form from a few seeds, through the engine and a real browser.

use futures::StreamExt as _;
use serde_json::json;
use valet_board::{Expectation, FormKind};

use super::applicant::differences;
use super::house::{Filed, House};

/// Seeds of each kind; the board's own tests draw fifty of each.
const SEEDS: u32 = 4;
/// Applications under way at once.
const SLOTS: u32 = 2;

/// What people are asked on the way, besides the form's own questions.
fn asked_of_people(form: FormKind) -> Option<&'static str> {
    match form {
        FormKind::Check => Some("captcha"),
        FormKind::Code => Some("code"),
        FormKind::Login => Some("login"),
        _ => None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn forms_with_something_in_the_way_are_filed_right_and_once() {
    let house = House::start(SLOTS).await;
    let kinds = [
        FormKind::Frame,
        FormKind::Check,
        FormKind::Conditional,
        FormKind::Late,
        FormKind::Double,
        FormKind::Code,
        FormKind::Login,
    ];
    let applicant = house.applicant();
    let all: Vec<(FormKind, u32)> = kinds.iter().flat_map(|form| (1..=SEEDS).map(move |seed| (*form, seed))).collect();
    let filed: Vec<(FormKind, u32, Filed)> = futures::stream::iter(all)
        .map(async |(form, seed)| {
            // Somebody else each time: a site that let one of them in does not know the next.
            let subject = format!("applicant-{form}-{seed}");
            let run = applicant.start_input(form, seed, |input| input["subject"] = json!(subject)).await;
            (form, seed, house.follow(form, seed, &run).await)
        })
        .buffer_unordered(SLOTS as usize)
        .collect()
        .await;
    let wrong: Vec<String> = filed.iter().filter_map(|(form, seed, filed)| complaint(*form, *seed, filed)).collect();
    for (form, seed, filed) in &filed {
        eprintln!("{form}/{seed}: {} in {:.1?}, asked {}", filed.run.run.status, filed.took, filed.asked.len());
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), filed.len(), wrong.join("\n"));
}

fn complaint(form: FormKind, seed: u32, filed: &Filed) -> Option<String> {
    let mut wrong = differences(&Expectation::of(form, seed), &filed.received);
    let run = &filed.run.run;
    if run.status != "succeeded" {
        wrong.push(format!("{} {:?}", run.status, filed.run.error));
    }
    let reasons: Vec<&str> = filed.asked.iter().map(|task| task.reason.as_str()).collect();
    if let Some(reason) = asked_of_people(form)
        && reasons.iter().filter(|asked| **asked == reason).count() != 1
    {
        wrong.push(format!("people were asked for {reasons:?}, not once for {reason}"));
    }
    let more = reasons.iter().filter(|asked| Some(**asked) != asked_of_people(form) && **asked != "unknown_question");
    if let Some(more) = more.clone().next() {
        wrong.push(format!("people were asked for {more}"));
    }
    for task in filed.asked.iter().filter(|task| Some(task.reason.as_str()) == asked_of_people(form)) {
        if task.context["screenshot"].as_str().is_none() {
            wrong.push(format!("no picture for the person: {}", task.context));
        }
    }
    (!wrong.is_empty()).then(|| format!("{form}/{seed} ({}): {}", run.id, wrong.join("; ")))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_posting_ends_the_run_and_says_so() {
    let house = House::start(SLOTS).await;
    for seed in 1..=SEEDS {
        let run = house.applicant().start(FormKind::Closed, seed).await;
        let filed = house.follow(FormKind::Closed, seed, &run).await;
        assert_eq!(filed.run.run.status, "failed", "seed {seed}");
        let error = filed.run.error.expect("an error");
        assert_eq!(error.code, "posting_closed", "seed {seed}: {error:?}");
        assert_eq!((filed.received.len(), filed.asked.len()), (0, 0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_code_is_asked_again_with_what_the_page_says() {
    let mut house = House::start(1).await;
    house.first_answers_are_wrong = true;
    for form in [FormKind::Code, FormKind::Check, FormKind::Login] {
        let seed = 31;
        let run = house.applicant().start(form, seed).await;
        let filed = house.follow(form, seed, &run).await;
        assert_eq!(filed.run.run.status, "succeeded", "{form}/{seed}: {:?}", filed.run.error);
        let asked: Vec<_> =
            filed.asked.iter().filter(|task| Some(task.reason.as_str()) == asked_of_people(form)).collect();
        assert_eq!(asked.len(), 2, "{form}/{seed}: {:?}", filed.asked);
        assert!(asked[0].context["complaint"].is_null());
        assert!(asked[1].context["complaint"].is_string(), "{form}/{seed}: {}", asked[1].context);
        assert_eq!(differences(&Expectation::of(form, seed), &filed.received), [""; 0], "{form}/{seed}");
    }
}
