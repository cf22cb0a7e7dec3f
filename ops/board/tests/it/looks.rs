//! What a seed decides, and what no seed may break.

use std::collections::BTreeSet;

use valet_board::{Expectation, FormKind, Meaning};

use crate::applicant::{Applicant, board, controls, form_of};
use crate::dom;

async fn fetch(applicant: &Applicant, path: &str) -> String {
    let response = applicant.client.get(format!("{}{path}", applicant.base)).send().await.expect("an answer");
    assert!(response.status().is_success(), "{path}");
    response.text().await.expect("a page")
}

/// The page with its visit taken out, which is the only thing that differs.
fn without_visit(html: &str, applicant: &Applicant) -> String {
    let root = dom::read(html);
    let name = applicant.expected.behaviour.visit_name;
    match root.find(|element| element.get("type") == Some("hidden") && element.get("name") == Some(name)) {
        Some(hidden) => html.replace(hidden.get("value").expect("a visit"), "VISIT"),
        None => html.to_owned(),
    }
}

#[tokio::test]
async fn a_seed_always_shows_the_same_pages() {
    let (first, second) = (board().await, board().await);
    for form in FormKind::ALL {
        for seed in [0, 1, 7, u32::MAX] {
            let one = Applicant::new(&first, form, seed);
            let other = Applicant::new(&second, form, seed);
            let closed = form == FormKind::Closed;
            let apply = (!closed).then(|| format!("{}/apply", one.path()));
            for path in [Some(one.path()), apply].into_iter().flatten() {
                let pages = [fetch(&one, &path).await, fetch(&other, &path).await];
                assert_eq!(without_visit(&pages[0], &one), without_visit(&pages[1], &other), "{path}");
            }
        }
    }
}

#[test]
fn two_hundred_seeds_ask_in_two_hundred_ways() {
    for form in FormKind::ALL.into_iter().filter(|form| *form != FormKind::Closed) {
        let mut names_and_order = BTreeSet::new();
        let mut labels_and_order = BTreeSet::new();
        for seed in 0..200 {
            let expected = Expectation::of(form, seed);
            names_and_order.insert(expected.fields.iter().map(|field| field.name.clone()).collect::<Vec<_>>());
            labels_and_order.insert(expected.fields.iter().map(|field| field.label.clone()).collect::<Vec<_>>());
        }
        assert_eq!(names_and_order.len(), 200, "{form:?}");
        assert_eq!(labels_and_order.len(), 200, "{form:?}");
    }
}

#[test]
fn two_hundred_seeds_show_every_variant() {
    let mut seen = BTreeSet::new();
    for form in FormKind::ALL {
        for seed in 0..200 {
            let expected = Expectation::of(form, seed);
            let look = &expected.look;
            seen.insert(format!("layout {:?}", look.layout));
            seen.insert(format!("names {:?}", look.names));
            seen.insert(format!("ids {:?}", look.ids));
            seen.insert(format!("mark {:?}", look.mark));
            seen.insert(format!("errors {:?}", look.errors));
            seen.insert(format!("files {:?}", look.file_look));
            seen.insert(format!("facts {:?}", look.facts));
            seen.insert(format!("native required {}", look.native_required));
            seen.insert(format!("honeypot {}", expected.decoys.honeypot.is_some()));
            for field in &expected.fields {
                seen.insert(format!("labelling {:?}", field.labelling));
                seen.insert(format!("meaning {}", field.meaning.as_str()));
                seen.insert(format!("rule {:?}", field.rule));
                seen.insert(format!("control {}", field.control));
            }
        }
    }
    let count = |kind: &str| seen.iter().filter(|variant| variant.starts_with(kind)).count();
    assert_eq!(count("layout"), 3);
    assert_eq!(count("names"), 6);
    assert_eq!(count("ids"), 4);
    assert_eq!(count("mark"), 4);
    assert_eq!(count("errors"), 3);
    assert_eq!(count("files"), 4);
    assert_eq!(count("facts"), 3);
    assert_eq!(count("native required"), 2);
    assert_eq!(count("honeypot"), 2);
    assert_eq!(count("labelling"), 5);
    assert_eq!(count("rule"), 11);
    assert_eq!(count("control"), 6);
    assert_eq!(count("meaning"), Meaning::ALL.len());
}

#[test]
fn only_the_form_with_steps_asks_what_no_profile_knows() {
    for seed in 0..200 {
        let simple = Expectation::of(FormKind::Simple, seed);
        assert_eq!((simple.pages, simple.free_question), (1, None));
        let steps = Expectation::of(FormKind::Steps, seed);
        assert!((3..=4).contains(&steps.pages));
        let free = steps.field(Meaning::FreeQuestion).expect("a free question");
        assert!(free.required);
        assert_eq!(steps.free_question.as_ref(), Some(&free.label));
        let required = steps.fields.iter().filter(|field| field.required);
        for field in required {
            let by_profile = !matches!(
                field.meaning,
                Meaning::Salary | Meaning::StartDate | Meaning::HowHeard | Meaning::Consent | Meaning::CoverLetter
            );
            assert!(by_profile, "{:?} is required by seed {seed}", field.meaning);
        }
    }
}

#[tokio::test]
async fn every_control_has_the_name_that_people_read() {
    let board = board().await;
    for form in [FormKind::Simple, FormKind::Steps, FormKind::Conditional, FormKind::Frame, FormKind::Login] {
        for seed in 0..100 {
            let mut applicant = Applicant::new(&board, form, seed);
            let page = applicant.open().await;
            let controls = controls(form_of(&page.root));
            let shown: Vec<_> = applicant.expected.fields.iter().filter(|field| field.page == 1).collect();
            assert!(shown.len() >= 5);
            for field in shown {
                assert!(
                    controls.iter().any(|control| control.get("name") == Some(field.name.as_str())),
                    "{:?} of seed {seed} is not on its page",
                    field.meaning
                );
                let element = page.root.by_id(&field.id).expect("an element with the field's id");
                let name = page.root.accessible_name(element).expect("an accessible name");
                assert!(name.contains(&field.label), "{name} instead of {}", field.label);
                if !["radio", "checkbox"].contains(&field.control) {
                    let native = applicant.expected.look.native_required;
                    assert_eq!(element.has("required"), field.required && native);
                    assert_eq!(element.has("aria-required"), field.required && !native);
                }
            }
        }
    }
}

#[tokio::test]
async fn a_posting_describes_itself_for_people_and_machines() {
    let board = board().await;
    for form in [FormKind::Simple, FormKind::Steps, FormKind::Late, FormKind::Code] {
        for seed in 0..40 {
            let applicant = Applicant::new(&board, form, seed);
            let root = dom::read(&fetch(&applicant, &applicant.path()).await);
            let script = root
                .find(|element| element.get("type") == Some("application/ld+json"))
                .expect("a description for machines");
            let dom::Node::Text(text) = &script.children[0] else {
                panic!("a script holds text");
            };
            let schema: serde_json::Value = serde_json::from_str(text).expect("valid JSON");
            assert_eq!(schema["@type"], "JobPosting");
            assert_eq!(schema["title"], applicant.expected.title);
            assert_eq!(schema["hiringOrganization"]["name"], applicant.expected.company);
            let heading = root.find(|element| element.tag == "h1").expect("a heading");
            assert_eq!(heading.text(), applicant.expected.title);
            let apply = format!("{}/apply", applicant.path());
            let way = root
                .find(|element| [element.get("href"), element.get("action")].contains(&Some(apply.as_str())))
                .expect("a way to apply");
            assert_eq!(way.text(), applicant.expected.apply_label);
        }
    }
}

#[tokio::test]
async fn the_list_leads_to_postings_of_every_kind() {
    let board = board().await;
    let applicant = Applicant::new(&board, FormKind::Simple, 1);
    let root = dom::read(&fetch(&applicant, "/").await);
    let links: Vec<_> = root
        .all()
        .into_iter()
        .filter_map(|element| element.get("href"))
        .filter(|href| href.starts_with("/jobs/"))
        .collect();
    assert_eq!(links.len(), 22);
    for form in FormKind::ALL {
        let path = format!("/jobs/{form}/");
        assert_eq!(links.iter().filter(|link| link.starts_with(&path)).count(), 2, "{form}");
    }
    for link in links {
        fetch(&applicant, link).await;
    }
    assert_eq!(fetch(&applicant, "/healthz").await, "ok");
}

#[tokio::test]
async fn the_truth_over_http_is_the_truth_in_process() {
    let board = board().await;
    let applicant = Applicant::new(&board, FormKind::Steps, 5);
    let told = fetch(&applicant, "/_oracle/expect/steps/5").await;
    let told: serde_json::Value = serde_json::from_str(&told).expect("JSON");
    let known = serde_json::to_value(&applicant.expected).expect("JSON");
    assert_eq!(told, known);
}
