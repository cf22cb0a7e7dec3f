//! A site that wants a login gets it from what the subject keeps for it; where that does not do, a person is asked.

use serde_json::json;
use valet_board::{Expectation, FormKind};
use valet_protocol::api::PutItemRequest;

use super::applicant::{self, differences};
use super::house::{Filed, House};

const SUBJECT: &str = "applicant-1";

impl House {
    async fn keep(&self, subject: &str, name: String, value: &str) {
        let secret = PutItemRequest { kind: "secret".to_owned(), name, value: json!(value) };
        self.client.put_item(subject, &secret).await.expect("a secret is kept");
    }

    async fn applied(&self, form: FormKind, seed: u32) -> Filed {
        let run = self.applicant().start(form, seed).await;
        let filed = self.follow(form, seed, &run).await;
        assert_eq!(filed.run.run.status, "succeeded", "{:?}", filed.run.error);
        assert_eq!(differences(&Expectation::of(form, seed), &filed.received), [""; 0]);
        filed
    }

    fn logins_asked(filed: &Filed) -> usize {
        filed.asked.iter().filter(|task| task.reason == "login").count()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_is_taken_from_what_the_subject_keeps_and_nobody_is_asked() {
    let house = House::start(1).await;
    let (site, seed) = (house.board.address(), 3);
    let known = house.board.credentials(seed);
    house.keep(SUBJECT, format!("{site}/username"), &known.user).await;
    house.keep(SUBJECT, format!("{site}/password"), &known.password).await;
    let filed = house.applied(FormKind::Login, seed).await;
    assert_eq!(House::logins_asked(&filed), 0, "{:?}", filed.asked);
    let told = serde_json::to_string(&filed.run).expect("JSON");
    // Its first part: some of its signs look otherwise in JSON.
    assert!(!told.contains(&known.password[..6]), "the run knows no secret");
    let uses = house.client.uses(SUBJECT).await.expect("the uses").uses;
    let names: Vec<&str> = uses.iter().map(|used| used.name.as_str()).collect();
    assert_eq!(names.len(), 2, "{names:?}");
    assert!(uses.iter().all(|used| used.run == filed.run.run.id));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_is_wrong_or_anothers_leaves_the_login_to_a_person() {
    // The site asks each time: it is about secrets, and not about who was there before.
    let house = House::start_set(1, vec![("VALET_SITE_STATES", "false".to_owned())]).await;
    let site = house.board.address();
    let known = house.board.credentials(4);
    // Kept by another subject, and for another place.
    house.keep("somebody-else", format!("{site}/username"), &known.user).await;
    house.keep("somebody-else", format!("{site}/password"), &known.password).await;
    house.keep(SUBJECT, "jobs.example.com/username".to_owned(), &known.user).await;
    house.keep(SUBJECT, "jobs.example.com/password".to_owned(), &known.password).await;
    assert_eq!(House::logins_asked(&house.applied(FormKind::Login, 4).await), 1);
    assert!(house.client.uses("somebody-else").await.is_ok_and(|list| list.uses.is_empty()), "not given away");

    let known = house.board.credentials(5);
    house.keep(SUBJECT, format!("{site}/username"), &known.user).await;
    house.keep(SUBJECT, format!("{site}/password"), "no longer right").await;
    assert_eq!(House::logins_asked(&house.applied(FormKind::Login, 5).await), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_that_is_sent_by_mail_is_asked_of_the_subjects_inbox_and_of_nobody() {
    let house = House::start(1).await;
    let site = house.board.address();
    let hook = format!("http://{site}/_oracle/inbox/code?email={}", applicant::EMAIL);
    house.keep(SUBJECT, format!("{site}/inbox-hook"), &hook).await;
    let filed = house.applied(FormKind::Code, 6).await;
    assert!(!filed.asked.iter().any(|task| task.reason == "code"), "{:?}", filed.asked);
    let told = serde_json::to_string(&filed.run).expect("JSON");
    assert!(!told.contains("_oracle/inbox"), "the run does not know the inbox");

    // An address that is no inbox leaves it to a person.
    house.keep(SUBJECT, format!("{site}/inbox-hook"), &format!("http://{site}/healthz")).await;
    let filed = house.applied(FormKind::Code, 7).await;
    assert_eq!(filed.asked.iter().filter(|task| task.reason == "code").count(), 1, "{:?}", filed.asked);
}
