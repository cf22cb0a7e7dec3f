//! Applications through every kind of form, and what the oracle says about them.

use std::collections::BTreeMap;

use reqwest::StatusCode;
use valet_board::{Application, Board, BoardConfig, Clock, Expectation, ExpectedField, Filter, FormKind, Meaning};

use crate::applicant::{Applicant, RESUME, RESUME_SHA256, answer, application_form_mut, board, loopback};

pub fn expected_fields(expected: &Expectation) -> BTreeMap<Meaning, String> {
    let asked = |field: &&ExpectedField| expected.asks(field, &|field| Some(answer(field)));
    let typed = expected.fields.iter().filter(asked).filter(|field| field.control != "file");
    typed.map(|field| (field.meaning, answer(field))).collect()
}

/// The first seed of this form for which `wanted` holds.
pub fn seed_where(form: FormKind, wanted: impl Fn(&Expectation) -> bool) -> u32 {
    (0..1_000).find(|seed| wanted(&Expectation::of(form, *seed))).expect("one of a thousand seeds")
}

#[tokio::test]
async fn a_valid_application_arrives_exactly_once_and_as_it_was_written() {
    let board = board().await;
    for form in FormKind::PLAIN {
        for seed in 0..50 {
            let mut applicant = Applicant::new(&board, form, seed);
            let page = applicant.up_to_the_end().await;
            let end = applicant.send(&page).await;
            assert_eq!(end.status, StatusCode::OK);
            let text = end.text();
            assert!(text.contains(applicant.expected.confirmation.heading), "{form:?} {seed}: {text}");

            let received = board.received().list(&Filter::of(form, seed));
            let [application]: &[Application; 1] = received.as_slice().try_into().expect("one application");
            assert!(text.contains(&application.reference));
            assert_eq!(application.fields, expected_fields(&applicant.expected), "{form:?} {seed}");
            assert!(!application.duplicate && !application.honeypot);
            assert_eq!(board.received().submissions(&application.visit), 1);
            let resume = application.files.iter().find(|file| file.meaning == Meaning::Resume).expect("a résumé");
            assert_eq!((resume.filename.as_str(), resume.size), ("cv.pdf", RESUME.len()));
            assert_eq!(resume.sha256, RESUME_SHA256);
            assert_eq!(resume.content().as_deref(), Some(RESUME));
            for field in &applicant.expected.fields {
                assert!(application.raw.contains_key(&field.name), "{} is not in raw", field.name);
            }
        }
    }
    assert_eq!(board.received().list(&Filter::default()).len(), 100);
}

#[tokio::test]
async fn the_oracle_over_http_tells_what_the_one_in_process_tells() {
    let board = board().await;
    let mut applicant = Applicant::new(&board, FormKind::Steps, 4);
    let page = applicant.up_to_the_end().await;
    applicant.send(&page).await;
    let client = &applicant.client;
    let base = board.base_url();

    let ask = |path: String| {
        let request = client.get(format!("{base}{path}"));
        async move { request.send().await.expect("an answer").json::<serde_json::Value>().await.expect("JSON") }
    };
    let listed = ask("/_oracle/applications?form=steps&seed=4".to_owned()).await;
    let known = board.received().list(&Filter::of(FormKind::Steps, 4));
    assert_eq!(listed, serde_json::to_value(&known).expect("JSON"));
    assert_eq!(listed[0]["files"][0]["sha256"], RESUME_SHA256);
    assert_eq!(listed[0]["fields"]["email"], "zoe@example.com");
    let one = ask(format!("/_oracle/applications/{}", known[0].id)).await;
    assert_eq!(one, listed[0]);
    assert_eq!(ask("/_oracle/applications?seed=5".to_owned()).await, serde_json::json!([]));
    let visits = ask(format!("/_oracle/visits?visit={}", known[0].visit)).await;
    assert_eq!(visits[0]["submissions"], 1);
    assert_eq!(visits[0]["pages_done"], applicant.expected.pages);
    let content = client
        .get(format!("{base}/_oracle/applications/{}/files/resume", known[0].id))
        .send()
        .await
        .expect("an answer");
    assert_eq!(content.bytes().await.expect("a file"), RESUME);
}

#[tokio::test]
async fn a_second_sending_is_a_duplicate_and_is_told_so() {
    let board = board().await;
    for form in FormKind::PLAIN {
        for seed in 0..8 {
            let mut applicant = Applicant::new(&board, form, seed);
            let page = applicant.up_to_the_end().await;
            applicant.send(&page).await;
            let again = applicant.send(&page).await;
            assert!(again.text().contains(applicant.expected.already_applied), "{}", again.text());

            let received = board.received().list(&Filter::of(form, seed));
            let duplicates: Vec<bool> = received.iter().map(|application| application.duplicate).collect();
            assert_eq!(duplicates, [false, true]);
            assert!(again.text().contains(&received[0].reference), "the first reference stays valid");
            assert_eq!(board.received().submissions(&received[0].visit), 2);
        }
    }
}

#[tokio::test]
async fn of_sendings_at_the_same_time_one_counts() {
    let board = board().await;
    let mut applicant = Applicant::new(&board, FormKind::Simple, 3);
    let page = applicant.up_to_the_end().await;
    let (first, second, third) = tokio::join!(applicant.post(&page), applicant.post(&page), applicant.post(&page));
    for response in [first, second, third] {
        assert!(response.status().is_success() || response.status().is_redirection());
    }
    let received = board.received().list(&Filter::of(FormKind::Simple, 3));
    assert_eq!(received.len(), 3);
    assert_eq!(received.iter().filter(|application| !application.duplicate).count(), 1);
}

#[tokio::test]
async fn a_new_visit_is_a_new_application() {
    let board = board().await;
    for _ in 0..2 {
        let mut applicant = Applicant::new(&board, FormKind::Steps, 6);
        let page = applicant.up_to_the_end().await;
        applicant.send(&page).await;
    }
    let received = board.received().list(&Filter::of(FormKind::Steps, 6));
    assert_eq!(received.len(), 2);
    assert!(received.iter().all(|application| !application.duplicate));
    assert_ne!(received[0].visit, received[1].visit);
}

#[tokio::test]
async fn an_untouched_page_is_refused_for_every_required_field() {
    let board = board().await;
    for form in FormKind::PLAIN {
        for seed in 0..50 {
            let mut applicant = Applicant::new(&board, form, seed);
            for number in 1..=applicant.expected.pages {
                let mut page = match number {
                    1 => applicant.open().await,
                    _ => applicant.up_to(number).await,
                };
                let required: Vec<_> = applicant
                    .expected
                    .fields
                    .iter()
                    .filter(|field| field.page == number && field.required)
                    .cloned()
                    .collect();
                if required.is_empty() {
                    continue;
                }
                page = applicant.send(&page).await;
                for field in required {
                    let refused = page.root.by_id(&field.id).expect("the field is shown again");
                    assert_eq!(refused.get("aria-invalid"), Some("true"), "{:?} {seed}", field.meaning);
                    let message = applicant.expected.look.missing.replace("{label}", &field.label);
                    assert!(page.text().contains(&message), "{message}");
                }
            }
        }
    }
    assert_eq!(board.received().list(&Filter::default()).len(), 0);
}

impl Applicant {
    /// Goes on to this page with valid answers on the pages before it.
    async fn up_to(&mut self, number: usize) -> crate::applicant::OpenPage {
        self.cookies.clear();
        let mut page = self.open().await;
        for _ in 1..number {
            self.fill(&mut page);
            page = self.send(&page).await;
        }
        page
    }
}

#[tokio::test]
async fn a_value_that_breaks_its_rule_is_refused_with_the_reason() {
    let wrong = [
        (Meaning::Email, "zoe@", ["valid email address", "like an e-mail"]),
        (Meaning::EmailConfirm, "other@example.com", ["do not match", "repeat the same"]),
        (Meaning::PostalCode, "Berlin", ["valid postal code", "not a postal code"]),
        (Meaning::Linkedin, "zoe", ["address", "address"]),
        (Meaning::WorkAuthorization, "maybe", ["one of the options", "not available"]),
        (Meaning::StartDate, "soon", ["YYYY-MM-DD", "YYYY-MM-DD"]),
    ];
    let board = board().await;
    for (meaning, value, reasons) in wrong {
        let seed = seed_where(FormKind::Steps, |expected| expected.field(meaning).is_some());
        let mut applicant = Applicant::new(&board, FormKind::Steps, seed);
        let field = applicant.expected.field(meaning).expect("chosen for it").clone();
        let mut page = applicant.up_to(field.page).await;
        applicant.fill(&mut page);
        page.set(&field.name, value);
        let refused = applicant.send(&page).await;
        let text = refused.text();
        assert!(reasons.iter().any(|reason| text.contains(reason)), "{meaning:?}: {text}");
        let errors = refused.root.all().into_iter().filter(|element| element.get("aria-invalid") == Some("true"));
        assert_eq!(errors.count(), 1, "only {meaning:?} is wrong");

        applicant.fill(&mut page);
        let accepted = applicant.send(&page).await;
        assert_ne!(accepted.url, page.url, "the right value is accepted");
    }
}

#[tokio::test]
async fn a_phone_number_without_country_code_is_refused_where_the_form_wants_one() {
    use valet_board::Rule;
    let board = board().await;
    for (rule, accepted) in [(Rule::Phone, true), (Rule::PhoneInternational, false)] {
        let seed = seed_where(FormKind::Steps, |expected| {
            expected.field(Meaning::Phone).is_some_and(|field| field.rule == rule)
        });
        let mut applicant = Applicant::new(&board, FormKind::Steps, seed);
        let name = applicant.expected.field(Meaning::Phone).expect("a phone").name.clone();
        let mut page = applicant.open().await;
        applicant.fill(&mut page);
        page.set(&name, "030 1234567");
        let next = applicant.send(&page).await;
        let refused = next.text().contains("country code");
        assert_eq!(refused, !accepted, "{rule:?}: {}", next.text());
    }
}

#[tokio::test]
async fn a_refused_form_keeps_what_was_typed() {
    let board = board().await;
    for keeps_files in [true, false] {
        let seed = seed_where(FormKind::Simple, |expected| expected.behaviour.keeps_files == keeps_files);
        let mut applicant = Applicant::new(&board, FormKind::Simple, seed);
        let email = applicant.expected.field(Meaning::Email).expect("an e-mail").name.clone();
        let mut page = applicant.open().await;
        applicant.fill(&mut page);
        page.set(&email, "broken");
        let mut sent = page.values.clone();
        let mut refused = applicant.send(&page).await;
        let mut shown = refused.values.clone();
        sent.sort();
        shown.sort();
        assert_eq!(sent, shown);
        assert_eq!(refused.text().contains("Uploaded: cv.pdf"), keeps_files);
        assert_eq!(refused.text().contains("attach your files again"), !keeps_files);

        refused.set(&email, "zoe@example.com");
        let end = applicant.send(&refused).await;
        assert_eq!(end.text().contains(applicant.expected.confirmation.heading), keeps_files);
    }
}

#[tokio::test]
async fn a_filled_trap_is_recorded_and_looks_like_success() {
    let board = board().await;
    for form in FormKind::PLAIN {
        let seed = seed_where(form, |expected| expected.decoys.honeypot.is_some());
        let mut applicant = Applicant::new(&board, form, seed);
        let trap = applicant.expected.decoys.honeypot.clone().expect("chosen for it");
        let mut page = applicant.up_to_the_end().await;
        assert!(page.values.contains(&(trap.name.clone(), String::new())), "the trap is on the last page");
        page.set(&trap.name, "https://spam.example");
        let end = applicant.send(&page).await;
        assert!(end.text().contains(applicant.expected.confirmation.heading));
        let received = board.received().list(&Filter::of(form, seed));
        assert_eq!(received.len(), 1);
        assert!(received[0].honeypot);
        assert_eq!(received[0].raw[&trap.name], "https://spam.example");
    }
}

#[tokio::test]
async fn a_file_control_without_a_choice_sends_no_file() {
    let board = board().await;
    let seed = seed_where(FormKind::Simple, |expected| expected.field(Meaning::CoverLetter).is_some());
    let mut applicant = Applicant::new(&board, FormKind::Simple, seed);
    let letter = applicant.expected.field(Meaning::CoverLetter).expect("chosen for it").name.clone();
    let mut page = applicant.up_to_the_end().await;
    for file in page.files.iter_mut().filter(|(name, _, _)| *name == letter) {
        // As browsers do.
        *file = (letter.clone(), String::new(), Vec::new());
    }
    applicant.send(&page).await;
    let received = board.received().list(&Filter::of(FormKind::Simple, seed));
    let files: Vec<Meaning> = received[0].files.iter().map(|file| file.meaning).collect();
    assert_eq!(files, [Meaning::Resume]);
}

#[tokio::test]
async fn pages_cannot_be_skipped() {
    let board = board().await;
    for cookie in [true, false] {
        let seed = seed_where(FormKind::Steps, |expected| expected.behaviour.cookie == cookie);
        let mut applicant = Applicant::new(&board, FormKind::Steps, seed);
        let mut first = applicant.open().await;
        applicant.fill(&mut first);
        let second = applicant.send(&first).await;
        let last = applicant.expected.pages;
        let skipped = second.url.replace("/apply/2", &format!("/apply/{last}"));
        assert_ne!(skipped, second.url);
        let page = applicant.get(&skipped).await;
        assert_eq!(page.url, second.url, "led back to the first open page");

        let mut sent_early = applicant.get(&second.url).await;
        let form = application_form_mut(&mut sent_early.root).expect("the form of the second page");
        form.attributes.insert("action".to_owned(), format!("{}/apply/{last}", applicant.path()));
        let page = applicant.send(&sent_early).await;
        assert_eq!(page.url, second.url, "sending the last page leads back as well");
    }
    assert_eq!(board.received().list(&Filter::default()).len(), 0);
}

#[tokio::test]
async fn going_back_keeps_what_was_typed_and_asks_for_the_page_again() {
    let board = board().await;
    let seed = seed_where(FormKind::Steps, |expected| !expected.behaviour.back_is_link);
    let mut applicant = Applicant::new(&board, FormKind::Steps, seed);
    let intent = applicant.expected.behaviour.intent_name;
    let mut second = applicant.up_to(2).await;
    applicant.fill(&mut second);
    let linkedin = applicant.expected.field(Meaning::Linkedin).expect("a link").name.clone();
    second.set(&linkedin, "https://www.linkedin.com/in/changed");
    second.values.push((intent.to_owned(), "back".to_owned()));
    let first = applicant.send(&second).await;
    assert!(first.url.contains("/apply/1"), "{}", first.url);
    let second = applicant.send(&first).await;
    assert!(second.url.contains("/apply/2"), "{}", second.url);
    let kept = second.values.iter().find(|(name, _)| *name == linkedin).expect("the link");
    assert_eq!(kept.1, "https://www.linkedin.com/in/changed");
    assert!(second.text().contains("Uploaded: cv.pdf"));
}

#[tokio::test]
async fn a_page_that_was_emptied_while_going_back_has_to_be_sent_again() {
    let board = board().await;
    let seed = seed_where(FormKind::Steps, |expected| !expected.behaviour.back_is_link && expected.pages == 4);
    let mut applicant = Applicant::new(&board, FormKind::Steps, seed);
    let questions = applicant.up_to(3).await;
    let mut first = applicant.get(&questions.url.replace("/apply/3", "/apply/2")).await;
    let linkedin = applicant.expected.field(Meaning::Linkedin).expect("a link").name.clone();
    first.set(&linkedin, "not an address");
    first.set(applicant.expected.behaviour.intent_name, "back");
    applicant.send(&first).await;
    let page = applicant.get(&questions.url).await;
    assert!(page.url.contains("/apply/2"), "{}", page.url);
}

#[tokio::test]
async fn a_tick_that_was_taken_back_is_not_received() {
    let board = board().await;
    let seed = seed_where(FormKind::Simple, |expected| {
        expected.field(Meaning::Consent).is_some() && expected.behaviour.keeps_files
    });
    let mut applicant = Applicant::new(&board, FormKind::Simple, seed);
    let email = applicant.expected.field(Meaning::Email).expect("an e-mail").name.clone();
    let consent = applicant.expected.field(Meaning::Consent).expect("chosen for it").name.clone();
    let mut page = applicant.open().await;
    applicant.fill(&mut page);
    page.set(&email, "broken");
    let mut refused = applicant.send(&page).await;
    assert!(refused.values.iter().any(|(name, _)| *name == consent), "the tick is kept");
    refused.values.retain(|(name, _)| *name != consent);
    refused.set(&email, "zoe@example.com");
    applicant.send(&refused).await;
    let received = board.received().list(&Filter::of(FormKind::Simple, seed));
    assert_eq!(received.len(), 1);
    assert!(!received[0].fields.contains_key(&Meaning::Consent));
    assert!(!received[0].raw.contains_key(&consent));
}

#[tokio::test]
async fn draft_and_cancel_send_nothing_and_are_counted() {
    let board = board().await;
    let seed = seed_where(FormKind::Simple, |expected| expected.decoys.draft && expected.decoys.cancel);
    let mut applicant = Applicant::new(&board, FormKind::Simple, seed);
    let intent = applicant.expected.behaviour.intent_name;
    let mut page = applicant.open().await;
    applicant.fill(&mut page);
    page.set(intent, "draft");
    let draft = applicant.send(&page).await;
    assert!(draft.text().contains("draft has been saved"));
    page.set(intent, "cancel");
    let posting = applicant.send(&page).await;
    assert_eq!(posting.url, applicant.path());
    assert_eq!(board.received().list(&Filter::default()).len(), 0);
    let uses = board.received().decoy_uses();
    assert_eq!((uses.draft, uses.cancel), (1, 1));
}

#[tokio::test]
async fn an_application_that_was_sent_is_remembered_when_its_page_is_opened_again() {
    let board = board().await;
    let seed = seed_where(FormKind::Steps, |expected| expected.behaviour.cookie);
    let mut applicant = Applicant::new(&board, FormKind::Steps, seed);
    let first = applicant.open().await;
    let page = applicant.up_to_the_end().await;
    applicant.send(&page).await;
    let again = applicant.open().await;
    assert!(again.text().contains(applicant.expected.already_applied));
    let earlier = applicant.send(&first).await;
    assert!(earlier.text().contains(applicant.expected.already_applied), "an earlier page is no sending");
    assert_eq!(board.received().list(&Filter::default()).len(), 1);
}

#[tokio::test]
async fn the_time_of_receipt_is_the_time_of_the_given_clock() {
    let now = "2031-05-06T07:08:09Z".parse().expect("a time");
    let config = BoardConfig { clock: Clock::from_fn(move || now), ..loopback() };
    let board = Board::start(config).await.expect("a board");
    let mut applicant = Applicant::new(&board, FormKind::Simple, 2);
    let page = applicant.up_to_the_end().await;
    applicant.send(&page).await;
    assert_eq!(board.received().list(&Filter::default())[0].received_at, now);
}

#[tokio::test]
async fn an_arrival_wakes_who_waits_for_it() {
    let board = board().await;
    let mut arrivals = board.received().arrivals();
    let mut applicant = Applicant::new(&board, FormKind::Simple, 2);
    let page = applicant.up_to_the_end().await;
    let (woken, _) = tokio::join!(
        tokio::time::timeout(std::time::Duration::from_secs(20), arrivals.changed()),
        applicant.post(&page)
    );
    woken.expect("in time").expect("the board lives");
    assert_eq!(board.received().list(&Filter::default()).len(), 1);
}
