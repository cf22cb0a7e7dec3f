//! Tier 4 against the vendors' local servers: what is sent is what each vendor documents, and every fault has its own outcome.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::json;
use valet_vendors::{Fault, Greenhouse, Lever, Recruitee, greenhouse};
use valet_workers::direct::{
    DirectError, Entry, EntryValue, Handed, HeldFile, JobForm, Systems, SystemsConfig, entries,
};
use valet_workers::form::{self, Applicant, Document, DocumentKind};
use valet_workers::vendor::Secret;
use valet_workflows::ats::{JobPlace, detect};

const POSTING: &str = "5ac21346-8e0c-4494-8e7a-3eb92ff77902";
const RESUME: &str = "file_00000000000000000000000000000001";
const KEY: &str = "a-key-nobody-may-see";

fn ada() -> Applicant {
    let resume =
        Document { id: RESUME.into(), kind: DocumentKind::Resume, path: RESUME.into(), filename: "ada.pdf".into() };
    Applicant { documents: vec![resume], ..super::ada::without_files() }
}

fn files() -> Vec<HeldFile> {
    vec![HeldFile {
        id: RESUME.into(),
        filename: "ada \"the first\".pdf".into(),
        content_type: "application/pdf".into(),
        bytes: Bytes::from_static(b"%PDF-1.4\r\n--not a boundary"),
    }]
}

fn keys(name: &str, key: &str) -> BTreeMap<String, Secret> {
    BTreeMap::from([(name.to_owned(), Secret::new(key))])
}

fn answers(form: &JobForm, applicant: &Applicant) -> Vec<Entry> {
    let plan = form::plan(&form.page, applicant);
    assert_eq!(plan.unknown, [], "everything is known");
    entries(&plan)
}

fn text<'a>(entries: &'a [Entry], name: &str) -> &'a str {
    let found = entries.iter().find(|entry| entry.name == name).unwrap_or_else(|| panic!("no {name}"));
    match &found.value {
        EntryValue::Text(text) | EntryValue::File(text) => text,
    }
}

async fn board() -> (Greenhouse, Systems, JobPlace) {
    let server = Greenhouse::start().await.expect("a server");
    server.board("green", KEY);
    let asked = [
        json!({ "required": true, "label": "LinkedIn Profile", "fields": [{ "name": "question_11", "type": "input_text", "values": [] }] }),
        json!({ "required": true, "label": "Are you legally authorized to work in the United States?", "fields": [{
            "name": "question_12", "type": "multi_value_single_select",
            "values": [{ "value": 1, "label": "Yes" }, { "value": 0, "label": "No" }],
        }] }),
        json!({ "required": false, "label": "Which plants do you like?", "fields": [{
            "name": "question_13[]", "type": "multi_value_multi_select",
            "values": [{ "value": 21, "label": "Roses" }, { "value": 22, "label": "Oaks" }],
        }] }),
    ];
    server.put_job("green", greenhouse::sample_job("green", 127_817, &asked));
    let systems = Systems::new(&SystemsConfig {
        greenhouse_url: server.served.url(),
        greenhouse_keys: keys("green", KEY),
        ..SystemsConfig::default()
    });
    let place = detect("https://boards.greenhouse.io/green/jobs/127817").expect("a job");
    (server, systems, place)
}

#[tokio::test]
async fn greenhouse_gets_each_answer_under_its_own_name() {
    let (server, systems, place) = board().await;
    let form = systems.read(&place).await.expect("the questions");
    assert_eq!((form.title.as_deref(), form.company.as_deref()), (Some("Senior Gardener"), Some("Green Ltd")));
    let mut ada = ada();
    ada.answers.push(form::Answer { question: "Which plants do you like?".into(), answer: "Roses\nOaks".into() });
    let entries = answers(&form, &ada);
    assert_eq!((text(&entries, "first_name"), text(&entries, "question_12")), (ada.first_name.as_str(), "1"));
    let handed = systems.send(&place, &entries, &files()).await.expect("an answer");
    assert_eq!(handed, Handed::Received { confirmation: "Candidate saved successfully".into(), reference: None });
    let [received] = &server.received()[..] else { panic!("one application") };
    let resume = received.form.file("resume").expect("a résumé");
    assert_eq!((&resume.bytes, resume.content_type.as_str()), (&files()[0].bytes, "application/pdf"));
    let plants: Vec<_> = received.form.texts.iter().filter(|(name, _)| name == "question_13[]").collect();
    assert_eq!(plants.len(), 2, "{plants:?}");
    assert_eq!(server.served.violations(), []);
}

#[tokio::test]
async fn what_a_job_requires_and_nobody_answered_is_found_before_it_is_sent() {
    let (server, systems, place) = board().await;
    let asked = json!({ "required": true, "label": "What is your favourite soil?", "fields": [{ "name": "question_9", "type": "textarea", "values": [] }] });
    server.put_job("green", greenhouse::sample_job("green", 127_817, &[asked]));
    let form = systems.read(&place).await.expect("the questions");
    let plan = form::plan(&form.page, &ada());
    let unknown: Vec<_> = plan.unknown.iter().map(|question| question.label.as_str()).collect();
    assert_eq!(unknown, ["What is your favourite soil?"]);

    let mut job = greenhouse::sample_job("green", 127_817, &[]);
    job["location_questions"] =
        json!([{ "required": true, "label": "Location", "fields": [{ "name": "location", "type": "input_text" }] }]);
    server.put_job("green", job.clone());
    assert!(systems.read(&place).await.expect("the questions").unfit.is_some(), "no coordinates are made up");
    job["location_questions"] = json!([]);
    job["data_compliance"] = json!([{ "type": "gdpr", "requires_consent": true, "retention_period": null }]);
    server.put_job("green", job);
    let form = systems.read(&place).await.expect("the questions");
    assert_eq!(form::plan(&form.page, &ada()).unknown.len(), 1, "nobody agrees for the applicant");
    assert_eq!(server.served.violations(), []);
}

#[tokio::test]
async fn each_fault_has_its_own_outcome() {
    let (server, systems, place) = board().await;
    let faults = server.served.faults();
    let form = systems.read(&place).await.expect("the questions");
    let entries = answers(&form, &ada());
    let send = async || systems.send(&place, &entries, &files()).await;

    faults.push(Fault::TooMany { retry_after_s: Some(7) });
    let limited = send().await.expect_err("too many");
    assert!(
        matches!(limited, DirectError::Limited { again_in, .. } if again_in == Duration::from_secs(7)),
        "{limited}"
    );
    for fault in [Fault::TooMany { retry_after_s: None }, Fault::Status(500), Fault::Status(502), Fault::NotHeard] {
        faults.push(fault);
        let error = send().await.expect_err("a fault");
        let expected = matches!(fault, Fault::TooMany { .. });
        assert_eq!(matches!(error, DirectError::Limited { .. }), expected, "{fault:?}: {error}");
        assert_eq!(matches!(error, DirectError::Lost { .. }), !expected, "{fault:?}: {error}");
    }
    assert_eq!(server.received().len(), 0);
    // It arrived, and nobody here can know.
    for fault in [Fault::AnswerLost, Fault::Malformed] {
        let before = server.received().len();
        faults.push(fault);
        assert!(matches!(send().await, Err(DirectError::Lost { .. })), "{fault:?}");
        assert_eq!(server.received().len(), before + 1);
    }
    faults.push(Fault::SlowBody(Duration::from_millis(300)));
    assert!(matches!(send().await, Ok(Handed::Received { .. })), "slow is no fault");
    // Reading changes nothing: whatever went wrong, it may be read again.
    for fault in [Fault::Malformed, Fault::NotHeard, Fault::AnswerLost, Fault::Status(504)] {
        faults.push(fault);
        let error = systems.read(&place).await.expect_err("a fault");
        assert!(matches!(error, DirectError::Away { .. } | DirectError::Strange { .. }), "{fault:?}: {error}");
    }
    server.close("green", 127_817);
    assert!(matches!(send().await, Err(DirectError::Closed)));
    assert!(matches!(systems.read(&place).await, Err(DirectError::Closed)));
    assert_eq!(server.served.violations(), []);
}

#[tokio::test]
async fn a_wrong_key_and_a_file_of_another_kind_are_told_in_a_sentence() {
    let (server, systems, place) = board().await;
    let form = systems.read(&place).await.expect("the questions");
    let entries = answers(&form, &ada());
    let wrong = Systems::new(&SystemsConfig {
        greenhouse_url: server.served.url(),
        greenhouse_keys: keys("green", "another"),
        ..SystemsConfig::default()
    });
    let refused = wrong.send(&place, &entries, &files()).await.expect_err("refused").to_string();
    assert!(refused.contains("VALET_GREENHOUSE_KEYS") && refused.contains("green"), "{refused}");
    assert!(!refused.contains("another"), "no key is shown");

    let mut picture = files();
    picture[0].filename = "ada.png".into();
    let handed = systems.send(&place, &entries, &picture).await.expect("an answer");
    assert!(matches!(&handed, Handed::Refused { errors } if errors[0].contains("resume")), "{handed:?}");
    assert_eq!(server.received().len(), 0);
    let away = Systems::new(&SystemsConfig {
        greenhouse_url: "http://127.0.0.1:9".into(),
        greenhouse_keys: keys("green", KEY),
        ..SystemsConfig::default()
    });
    assert!(matches!(away.send(&place, &entries, &files()).await, Err(DirectError::Away { .. })), "it was not sent");
}

#[tokio::test]
async fn direct_is_for_vendors_that_take_it_and_boards_whose_key_is_held() {
    let (_server, systems, place) = board().await;
    assert_eq!(systems.lacks(&place), None);
    let lacks = |url: &str| systems.lacks(&detect(url).expect("a vendor")).unwrap_or_default();
    assert!(lacks("https://boards.greenhouse.io/other/jobs/1").contains("VALET_GREENHOUSE_KEYS"));
    assert!(lacks(&format!("https://jobs.lever.co/green/{POSTING}")).contains("VALET_LEVER_KEYS"));
    assert!(lacks("https://jobs.ashbyhq.com/green").contains("in a browser only"));
    assert!(lacks("https://boards.greenhouse.io/green").contains("which job"));
    assert_eq!(lacks("https://green.recruitee.com/o/gardener"), "", "it wants no key");
}

#[tokio::test]
async fn lever_gets_two_a_second_and_merges_what_comes_twice() {
    let server = Lever::start().await.expect("a server");
    server.site("green", KEY);
    server.put_posting("green", POSTING);
    let systems = Systems::new(&SystemsConfig {
        lever_url: server.served.url(),
        lever_keys: keys("green", KEY),
        ..SystemsConfig::default()
    });
    let place = detect(&format!("https://jobs.lever.co/green/{POSTING}/apply")).expect("a job");
    let form = systems.read(&place).await.expect("the posting");
    let ada = ada();
    let entries = answers(&form, &ada);
    let begun = Instant::now();
    let many = (0..6).map(|_| async {
        systems.turn(&place).await;
        systems.send(&place, &entries, &files()).await
    });
    for handed in futures::future::join_all(many).await {
        assert!(matches!(&handed, Ok(Handed::Received { reference: Some(_), .. })), "{handed:?}");
    }
    assert!(begun.elapsed() >= Duration::from_millis(2_400), "{:?}", begun.elapsed());
    assert!(server.served.calls().iter().all(|call| call.status == 200), "nobody had to be told to wait");
    assert_eq!((server.received().len(), server.candidates()), (6, 1));
    assert!(systems.merges(&place));
    let received = &server.received()[0].form;
    assert_eq!(received.text("name"), Some(ada.full_name().as_str()));
    assert!(received.file("resume").is_some());

    server.require("org");
    systems.turn(&place).await;
    let handed = systems.send(&place, &entries, &files()).await.expect("an answer");
    assert!(matches!(&handed, Handed::Refused { errors } if errors[0].contains("org")), "{handed:?}");
    assert_eq!(server.served.violations(), []);
}

#[tokio::test]
async fn lever_that_is_asked_too_often_is_left_alone() {
    let server = Lever::start().await.expect("a server");
    server.site("green", KEY);
    server.put_posting("green", POSTING);
    let systems = Systems::new(&SystemsConfig {
        lever_url: server.served.url(),
        lever_keys: keys("green", KEY),
        ..SystemsConfig::default()
    });
    let place = detect(&format!("https://jobs.lever.co/green/{POSTING}")).expect("a job");
    let entries = answers(&systems.read(&place).await.expect("the posting"), &ada());
    server.served.faults().push(Fault::TooMany { retry_after_s: Some(1) });
    assert!(matches!(systems.send(&place, &entries, &[]).await, Err(DirectError::Limited { .. })));
    let begun = Instant::now();
    systems.turn(&place).await;
    assert!(begun.elapsed() >= Duration::from_millis(900), "everybody waits: {:?}", begun.elapsed());
}

#[tokio::test]
async fn recruitee_takes_answers_by_their_questions_and_says_what_is_missing() {
    let server = Recruitee::start().await.expect("a server");
    let asked = [
        json!({ "id": 7, "kind": "single_choice", "required": true, "position": 1, "body": "Which shift do you prefer?",
                "open_question_options": [{ "id": 1, "body": "Day" }, { "id": 2, "body": "Night" }] }),
        json!({ "id": 8, "kind": "infobox", "required": false, "position": 2, "body": "Nearly done.", "open_question_options": [] }),
        json!({ "id": 9, "kind": "boolean", "required": true, "position": 3, "body": "Do you have a driving licence?", "open_question_options": [] }),
        json!({ "id": 10, "kind": "legal", "required": true, "position": 4, "body": "I agree to the privacy notice", "open_question_options": [] }),
    ];
    server.put_offer("gardener", &asked);
    let systems = Systems::new(&SystemsConfig { recruitee_url: server.served.url(), ..SystemsConfig::default() });
    let place = detect("https://green.recruitee.com/o/gardener").expect("a job");
    let form = systems.read(&place).await.expect("the questions");
    let mut ada = ada();
    let unknown: Vec<_> = form::plan(&form.page, &ada).unknown.into_iter().map(|q| q.label).collect();
    let own: Vec<&str> = [0, 2, 3].map(|index: usize| asked[index]["body"].as_str().unwrap()).to_vec();
    assert_eq!(unknown, own);
    for (question, answer) in own.iter().zip(["Night", "No", "yes"]) {
        ada.answers.push(form::Answer { question: (*question).into(), answer: answer.into() });
    }
    let entries = answers(&form, &ada);
    let handed = systems.send(&place, &entries, &files()).await.expect("an answer");
    assert!(matches!(&handed, Handed::Received { reference: Some(id), .. } if id == "1"), "{handed:?}");
    let received = &server.received()[0].form;
    let said = |index: usize, what: &str| {
        received.text(&format!("candidate[open_question_answers_attributes][{index}][{what}]"))
    };
    assert_eq!((said(0, "open_question_id"), said(0, "content")), (Some("7"), Some("Night")));
    assert_eq!((said(1, "open_question_id"), said(1, "flag")), (Some("9"), Some("false")));
    assert_eq!((said(2, "open_question_id"), said(2, "flag")), (Some("10"), Some("true")));

    let without: Vec<Entry> = entries.into_iter().filter(|entry| entry.name != "candidate[phone]").collect();
    let handed = systems.send(&place, &without, &files()).await.expect("an answer");
    assert!(matches!(&handed, Handed::Refused { errors } if errors[0].contains("phone")), "{handed:?}");
    assert_eq!(server.served.violations(), []);
    server.close("gardener");
    assert!(matches!(systems.read(&place).await, Err(DirectError::Closed)));
}
