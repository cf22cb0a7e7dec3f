//! A person is asked a question once: what they answered is kept for the subject, and for the employer where the question is about that one.

use serde_json::{Value, json};
use valet_board::{Expectation, FormKind};
use valet_protocol::api::ItemView;

use super::applicant::{ANSWER, differences};
use super::house::{Filed, House};

const SUBJECT: &str = "applicant-1";
/// Questions of the board that are about the applicant, and about whoever asks.
const OF_THE_APPLICANT: &str = "Which sound reminds you of a good working day?";
const OF_THE_EMPLOYER: &str = "What would you change about our product in your first week?";
const SEEDS: u32 = 600;

fn asking(question: &str) -> impl Iterator<Item = Expectation> {
    let question = question.to_owned();
    (1..=SEEDS)
        .map(|seed| Expectation::of(FormKind::Steps, seed))
        .filter(move |expected| expected.free_question.as_ref() == Some(&question))
}

impl House {
    /// How often people were asked the form's own question.
    async fn asked(&self, seed: u32, subject: &str) -> (Filed, usize) {
        self.asked_in("auto", seed, subject).await
    }

    async fn asked_in(&self, mode: &str, seed: u32, subject: &str) -> (Filed, usize) {
        let form = FormKind::Steps;
        let own = |input: &mut Value| (input["subject"], input["mode"]) = (json!(subject), json!(mode));
        let run = self.applicant().start_input(form, seed, own).await;
        let filed = self.follow(form, seed, &run).await;
        assert_eq!(filed.run.run.status, "succeeded", "seed {seed}: {:?}", filed.run.error);
        assert_eq!(differences(&Expectation::of(form, seed), &filed.received), [""; 0], "seed {seed}");
        let asked = filed.asked.iter().filter(|task| task.reason == "unknown_question").count();
        (filed, asked)
    }

    async fn kept(&self, subject: &str) -> Vec<ItemView> {
        self.client.items(subject, Some("answer"), None, 50).await.expect("the items").items
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_person_answered_is_known_in_the_next_application_of_the_same_subject() {
    let mut house = House::start(1).await;
    let seeds: Vec<u32> = asking(OF_THE_APPLICANT).map(|expected| expected.seed).take(3).collect();
    let (first, asked) = house.asked(seeds[0], SUBJECT).await;
    assert_eq!(asked, 1);
    let kept = house.kept(SUBJECT).await;
    assert_eq!(kept.len(), 1, "{kept:?}");
    assert_eq!(
        (kept[0].kind.as_str(), kept[0].name.as_str(), kept[0].version, &kept[0].created_by),
        ("answer", OF_THE_APPLICANT, 1, &first.run.run.id)
    );
    let item = house.client.item(SUBJECT, "answer", OF_THE_APPLICANT, None).await.expect("the item");
    assert_eq!(item.value, json!(ANSWER));

    // Another worker, which never saw the first.
    house.restart_worker().await;
    let (second, asked) = house.asked_in("review", seeds[1], SUBJECT).await;
    assert_eq!(asked, 0, "{:?}", second.asked);
    let review = second.asked.iter().find(|task| task.reason == "review").expect("somebody looks at it");
    let fields = review.context["fields"].as_array().expect("what was filled in");
    let known = fields.iter().find(|field| field["kind"] == "emailAddress").expect("the address");
    assert_eq!(known["source"], "the applicant", "{known}");
    assert!(known["confidence_percent"].as_u64().is_some_and(|percent| percent > 50), "{known}");
    let uses = house.client.uses(SUBJECT).await.expect("the uses").uses;
    assert!(uses.iter().any(|used| used.run == second.run.run.id && used.name == OF_THE_APPLICANT), "{uses:?}");
    assert_eq!(house.kept(SUBJECT).await, kept, "nothing was said anew");

    let (_, asked) = house.asked(seeds[2], "somebody-else").await;
    assert_eq!(asked, 1, "what one of them said is not another's answer");
    let target = format!("{SUBJECT}/answer/{OF_THE_APPLICANT}");
    let audit = house.client.audit(Some(&target), "oldest", None, 50).await.expect("the audit");
    let deeds: Vec<&str> = audit.entries.iter().map(|entry| entry.action.as_str()).collect();
    assert_eq!(deeds, ["subject.keep"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_said_about_one_employer_is_not_said_to_another() {
    let house = House::start(1).await;
    let all: Vec<Expectation> = asking(OF_THE_EMPLOYER).collect();
    let again = |company: &str| all.iter().filter(|other| other.company == company).count() > 1;
    let first = all.iter().find(|expected| again(expected.company)).expect("an employer who asks twice");
    let same = all.iter().rfind(|other| other.company == first.company).expect("the same employer");
    let other = all.iter().find(|other| other.company != first.company).expect("another employer");
    for (seed, expected) in [(first.seed, 1), (other.seed, 1), (same.seed, 0)] {
        let (filed, asked) = house.asked(seed, SUBJECT).await;
        assert_eq!(asked, expected, "seed {seed}: {:?}", filed.asked);
    }
    let mut names: Vec<String> = house.kept(SUBJECT).await.into_iter().map(|item| item.name).collect();
    let mut expected = [first.company, other.company].map(|company| format!("{company}: {OF_THE_EMPLOYER}"));
    names.sort();
    expected.sort();
    assert_eq!(names, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn puzzles_codes_and_passwords_are_not_kept() {
    let house = House::start(1).await;
    for form in [FormKind::Check, FormKind::Code, FormKind::Login] {
        let seed = 11;
        let run = house.applicant().start(form, seed).await;
        let filed = house.follow(form, seed, &run).await;
        assert_eq!(filed.run.run.status, "succeeded", "{form}: {:?}", filed.run.error);
        let secret = |task: &&valet_protocol::api::TaskView| task.reason != "unknown_question";
        assert_eq!(filed.asked.iter().filter(secret).count(), 1, "{form}: {:?}", filed.asked);
    }
    let asked = [FormKind::Check, FormKind::Code, FormKind::Login].map(|form| Expectation::of(form, 11).free_question);
    let kept = house.kept(SUBJECT).await;
    assert_eq!(kept.len(), asked.iter().flatten().count(), "{kept:?}");
}
