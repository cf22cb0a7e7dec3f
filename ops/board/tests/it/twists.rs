//! Forms that are not plain: each kind takes an application, and each has its trap.

use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::StatusCode;
use reqwest::header::{COOKIE, USER_AGENT};
use tokio::task::JoinSet;
use valet_board::{
    Application, Board, ClosedPlace, Expectation, Filter, FormKind, GuardPlace, Hiding, LatePart, Meaning, Tell, Twist,
};

use crate::applicant::{
    Applicant, OpenPage, RESUME, RESUME_SHA256, answer, application_form, board, controls, form_of, later,
};
use crate::applying::{expected_fields, seed_where};
use crate::dom::{self, Element};

const SEEDS: u32 = 50;

/// The kinds that take applications in a way of their own.
const TWISTED: [FormKind; 8] = [
    FormKind::Frame,
    FormKind::Check,
    FormKind::Guarded,
    FormKind::Conditional,
    FormKind::Late,
    FormKind::Double,
    FormKind::Code,
    FormKind::Login,
];

/// Applies once, whatever stands in the way, and gives the last page.
async fn apply(board: &Board, form: FormKind, seed: u32) -> (Expectation, OpenPage) {
    let mut applicant = Applicant::new(board, form, seed);
    let page = applicant.up_to_the_end().await;
    let sent = applicant.send(&page).await;
    let end = applicant.passed(sent).await;
    (applicant.expected, end)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_kind_takes_an_application_once_and_as_it_was_written() {
    let board = Arc::new(board().await);
    for form in TWISTED {
        // Together, as some answers are slow.
        let mut seeds = JoinSet::new();
        for seed in 0..SEEDS {
            let board = Arc::clone(&board);
            seeds.spawn(async move {
                let (expected, end) = apply(&board, form, seed).await;
                assert_eq!(end.status, StatusCode::OK, "{form} {seed}: {}", end.text());
                assert!(end.text().contains(expected.confirmation.heading), "{form} {seed}: {}", end.text());
                let received = board.received().list(&Filter::of(form, seed));
                let [application]: &[Application; 1] = received.as_slice().try_into().expect("one application");
                assert!(end.text().contains(&application.reference));
                assert_eq!(application.fields, expected_fields(&expected), "{form} {seed}");
                assert!(!application.duplicate && !application.honeypot && application.unasked.is_empty());
                let resume = application.files.iter().find(|file| file.meaning == Meaning::Resume).expect("a résumé");
                assert_eq!(resume.sha256, RESUME_SHA256);
                assert_eq!(resume.content().as_deref(), Some(RESUME));
            });
        }
        while let Some(applied) = seeds.join_next().await {
            applied.expect("an application");
        }
    }
    assert_eq!(board.received().list(&Filter::default()).len(), TWISTED.len() * SEEDS as usize);
}

#[tokio::test]
async fn the_seed_decides_how_a_kind_shows() {
    let mut seen = std::collections::BTreeSet::new();
    for form in TWISTED.into_iter().chain([FormKind::Closed]) {
        for seed in 0..100 {
            let twist = Expectation::of(form, seed).twist;
            assert_eq!(twist, Expectation::of(form, seed).twist);
            seen.insert(match &twist {
                Twist::None => panic!("{form} has a twist"),
                Twist::Frame(framing) => format!("frame {} {}", framing.depth, framing.newsletter),
                Twist::Check(check) => format!("check {:?} {:?}", check.place, check.picture),
                Twist::Guard(guard) => format!("guard {:?} {:?}", guard.place, guard.tell),
                Twist::Conditional(hiding) => format!("conditional {hiding:?}"),
                Twist::Late(late) => {
                    assert!((300..=2_500).contains(&late.after_ms));
                    format!("late {:?} {} {}", late.part, late.by_server, late.moves_after_ms.is_some())
                }
                Twist::Closed(closure) => format!("closed {:?} {}", closure.place, closure.gone),
                Twist::Double(slow) => {
                    assert!((1_000..=4_000).contains(&slow.after_ms));
                    "double".to_owned()
                }
                Twist::Code(code) => format!("code {:?}", code.style),
                Twist::Login(sign_in) => format!("login {} {}", sign_in.by_email, sign_in.refused_with_401),
            });
        }
    }
    let count = |kind: &str| seen.iter().filter(|variant| variant.starts_with(kind)).count();
    assert_eq!((count("frame"), count("check"), count("guard"), count("conditional")), (4, 4, 6, 3));
    assert_eq!((count("late"), count("closed"), count("double"), count("code"), count("login")), (8, 4, 1, 2, 4));
}

fn frames(page: &Element) -> Vec<String> {
    let frames = page.all().into_iter().filter(|element| element.tag == "iframe");
    frames.filter_map(|frame| frame.get("src")).map(str::to_owned).collect()
}

#[tokio::test]
async fn the_form_of_a_frame_is_on_no_page_but_the_innermost() {
    let board = board().await;
    for seed in 0..SEEDS {
        let mut applicant = Applicant::new(&board, FormKind::Frame, seed);
        let Twist::Frame(framing) = applicant.expected.twist.clone() else {
            panic!("a frame");
        };
        let mut page = applicant.get(&applicant.path()).await;
        assert_eq!(frames(&page.root).contains(&"/newsletter".to_owned()), framing.newsletter);
        for _ in 0..framing.depth {
            assert!(application_form(&page.root).is_none(), "seed {seed}");
            let next = frames(&page.root).into_iter().find(|frame| frame != "/newsletter").expect("a frame");
            page = applicant.get(&next).await;
        }
        assert!(page.root.find(|element| element.tag == "header").is_none(), "a frame has no header of its own");
        applicant.fill(&mut page);
        let end = applicant.send(&page).await;
        assert!(end.text().contains(applicant.expected.confirmation.heading));
        assert!(end.root.find(|element| element.get("href") == Some("/")).is_none());
    }
}

#[tokio::test]
async fn cancelling_in_a_frame_does_not_put_the_posting_into_it() {
    let board = board().await;
    let seed = seed_where(FormKind::Frame, |expected| expected.decoys.cancel);
    let mut applicant = Applicant::new(&board, FormKind::Frame, seed);
    let intent = applicant.expected.behaviour.intent_name;
    let mut page = applicant.open().await;
    page.set(intent, "cancel");
    let after = applicant.send(&page).await;
    assert!(frames(&after.root).is_empty());
    form_of(&after.root);
}

const HEADLESS: &str = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 HeadlessChrome/149.0.0.0 Safari/537.36";
const WITH_WINDOW: &str = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/149.0.0.0 Safari/537.36";

#[tokio::test]
async fn a_browser_without_a_window_is_turned_away_and_counted() {
    let board = board().await;
    let client = crate::applicant::client();
    let base = board.base_url();
    let mut blocked = 0;
    for seed in 0..SEEDS {
        let Twist::Guard(guard) = Expectation::of(FormKind::Guarded, seed).twist else {
            panic!("a guard");
        };
        for (agent, path, on_form) in [
            (HEADLESS, "", false),
            (HEADLESS, "/apply", true),
            (HEADLESS, "/apply/1", true),
            (WITH_WINDOW, "", false),
            (WITH_WINDOW, "/apply", true),
        ] {
            let request = client.get(format!("{base}/jobs/guarded/{seed}{path}")).header(USER_AGENT, agent);
            let response = request.send().await.expect("an answer");
            let guarded = on_form || guard.place == GuardPlace::Posting;
            let refused = guarded && agent == HEADLESS && guard.tell == Tell::UserAgent;
            blocked += u32::from(refused);
            let status = response.status();
            let page = dom::read(&response.text().await.expect("a page"));
            assert_eq!(status == StatusCode::FORBIDDEN, refused, "{seed} {agent} {path}");
            assert_eq!(page.text().contains(guard.heading), refused);
            let looked_at = guarded && guard.tell != Tell::UserAgent;
            assert_eq!(page.text().contains(guard.waiting), looked_at);
            assert!(!looked_at || page.find(|element| element.tag == "input" && element.has("id")).is_none());
        }
    }
    assert!(blocked > 20);
    assert_eq!(board.blocks().total, blocked);
    let told = Applicant::new(&board, FormKind::Guarded, 0).oracle("blocks").await;
    assert_eq!(told, serde_json::to_value(board.blocks()).expect("JSON"));
}

#[tokio::test]
async fn what_the_script_finds_decides_and_cannot_be_left_out() {
    let board = board().await;
    let windowless = [
        ("fine", "0"),
        ("touch", "0"),
        ("width", "800"),
        ("height", "600"),
        ("outer_width", "1200"),
        ("outer_height", "1600"),
    ];
    for tell in [Tell::Pointer, Tell::Screen] {
        let seed = seed_where(
            FormKind::Guarded,
            |expected| matches!(&expected.twist, Twist::Guard(guard) if guard.tell == tell && guard.place == GuardPlace::Posting),
        );
        let mut applicant = Applicant::new(&board, FormKind::Guarded, seed);
        let looking = applicant.get(&applicant.path()).await;
        for signals in [&windowless[..], &[]] {
            let refused = applicant.send_beside(&looking, "/clearance", signals).await;
            assert_eq!(refused.status, StatusCode::FORBIDDEN);
        }
        assert_eq!(board.blocks().by_seed[&seed], 2);
        applicant.cookies.insert("clearance".to_owned(), "made-up".to_owned());
        let again = applicant.get(&applicant.path()).await;
        assert!(again.text().contains(&looking.text()), "a made-up clearance clears nothing");

        let posting = applicant.passed(looking).await;
        assert_eq!(posting.url, applicant.path());
        assert!(posting.text().contains(&applicant.expected.title));
        let cleared = applicant.cookies["clearance"].clone();
        let mut other = Applicant::new(&board, FormKind::Guarded, seed + 1_000);
        other.cookies.insert("clearance".to_owned(), cleared);
        let elsewhere = other.get(&other.path()).await;
        let Twist::Guard(guard) = &other.expected.twist else {
            panic!("a guard");
        };
        if guard.place == GuardPlace::Posting && guard.tell != Tell::UserAgent {
            assert!(elsewhere.text().contains(guard.waiting), "a clearance is for one form");
        }
    }
}

#[tokio::test]
async fn a_question_is_required_when_it_is_asked_and_ignored_when_it_is_not() {
    let board = board().await;
    let mut asked = 0;
    let mut hidden = 0;
    for seed in 0..SEEDS {
        let mut applicant = Applicant::new(&board, FormKind::Conditional, seed);
        let mut page = applicant.open().await;
        applicant.fill(&mut page);
        let expected = applicant.expected.clone();
        let follow_ups = expected.fields.iter().filter(|field| field.when.is_some());
        let (shown, unshown): (Vec<_>, Vec<_>) =
            follow_ups.partition(|field| expected.asks(field, &|field| Some(answer(field))));
        assert!(!shown.is_empty(), "seed {seed} asks more of somebody who may work");
        let whole = page.values.clone();
        for field in &shown {
            page.set(&field.name, "");
            let refused = applicant.send(&page).await;
            let missing = expected.look.missing.replace("{label}", &field.label);
            assert!(refused.text().contains(&missing), "{seed}: {missing} in {}", refused.text());
            page.values.clone_from(&whole);
            asked += 1;
        }
        for field in &unshown {
            page.set(&field.name, "Nobody asked.");
            hidden += 1;
        }
        let end = applicant.send(&page).await;
        assert!(end.text().contains(expected.confirmation.heading), "{seed}: {}", end.text());
        let received = board.received().list(&Filter::of(FormKind::Conditional, seed));
        let unasked: Vec<Meaning> = unshown.iter().map(|field| field.meaning).collect();
        assert_eq!(received[0].unasked, unasked);
        assert_eq!(received[0].fields, expected_fields(&expected), "{seed}");
    }
    assert!(asked > 50 && hidden > 15, "{asked} {hidden}");
}

#[tokio::test]
async fn most_seeds_with_conditions_need_no_person() {
    let beyond = (0..200).filter(|seed| {
        let expected = Expectation::of(FormKind::Conditional, *seed);
        let free = expected.field(Meaning::FreeQuestion);
        free.is_some_and(|field| expected.asks(field, &|field| Some(answer(field))))
    });
    let beyond = beyond.count();
    assert!((5..50).contains(&beyond), "{beyond} of 200");
}

#[tokio::test]
async fn a_hidden_question_is_hidden_in_the_way_of_its_seed() {
    let board = board().await;
    for hiding in [Hiding::Disabled, Hiding::Absent, Hiding::Undisplayed] {
        let seed = seed_where(FormKind::Conditional, |expected| expected.twist == Twist::Conditional(hiding));
        let mut applicant = Applicant::new(&board, FormKind::Conditional, seed);
        let page = applicant.open().await;
        let boxes: Vec<_> = page.root.all().into_iter().filter(|element| element.has("data-follows")).collect();
        assert!(!boxes.is_empty());
        for hidden in boxes {
            assert_eq!(hidden.has("disabled"), hiding == Hiding::Disabled);
            assert_eq!(hidden.find(|element| element.tag == "template").is_some(), hiding == Hiding::Absent);
            assert_eq!(hidden.get("style") == Some("display: none"), hiding != Hiding::Absent);
        }
    }
}

#[tokio::test]
async fn a_late_part_is_not_there_before_it_is_asked_for() {
    let board = board().await;
    for (part, by_server) in
        [(LatePart::Fields, true), (LatePart::Fields, false), (LatePart::Button, true), (LatePart::Button, false)]
    {
        let is = |expected: &Expectation| matches!(&expected.twist, Twist::Late(late) if late.part == part && late.by_server == by_server);
        let seed = seed_where(FormKind::Late, is);
        let mut applicant = Applicant::new(&board, FormKind::Late, seed);
        let Twist::Late(late) = applicant.expected.twist.clone() else {
            panic!("late");
        };
        let early = applicant.get(&format!("{}/apply", applicant.path())).await;
        let name = applicant.expected.fields[0].name.clone();
        let has = |page: &OpenPage| controls(form_of(&page.root)).iter().any(|c| c.get("name") == Some(&name));
        let submit = applicant.expected.submit_label;
        let sends = |page: &OpenPage| {
            page.text().contains(submit) || { page.root.find(|element| element.get("value") == Some(submit)).is_some() }
        };
        assert!(early.text().contains(late.hint));
        assert_eq!((has(&early), sends(&early)), (part == LatePart::Button, part == LatePart::Fields));
        let begun = Instant::now();
        let address = later(&early.root).expect("a late part");
        let whole = applicant.passed(early).await;
        assert!((has(&whole), sends(&whole)) == (true, true));
        assert_eq!(begun.elapsed() >= Duration::from_millis(late.after_ms.into()), by_server);

        let refused = applicant.send(&whole).await;
        assert_eq!(later(&refused.root), Some(address), "a refused page loads its part in the same way");
        let refused = applicant.passed(refused).await;
        let wrong = refused.root.all().into_iter().filter(|element| element.get("aria-invalid") == Some("true"));
        assert!(wrong.count() >= 4, "{part:?}");
    }
    let client = crate::applicant::client();
    for path in ["/jobs/late/1/part", "/jobs/late/1/part?visit=made-up", "/jobs/simple/1/part"] {
        let response = client.get(format!("{}{path}", board.base_url())).send().await.expect("an answer");
        assert_eq!(response.status(), StatusCode::NOT_FOUND, "{path}");
    }
}

#[tokio::test]
async fn a_closed_posting_has_no_form_and_takes_nothing() {
    let board = board().await;
    for seed in 0..SEEDS {
        let mut applicant = Applicant::new(&board, FormKind::Closed, seed);
        let expected = applicant.expected.clone();
        let Twist::Closed(closure) = &expected.twist else {
            panic!("closed");
        };
        assert_eq!((expected.pages, expected.fields.len()), (0, 0));
        let posting = applicant.get(&applicant.path()).await;
        assert_eq!(posting.status, StatusCode::OK);
        let apply = format!("{}/apply", applicant.path());
        let way = posting
            .root
            .find(|element| [element.get("href"), element.get("action")].contains(&Some(apply.as_str())))
            .is_some();
        assert_eq!(way, closure.place == ClosedPlace::BehindApply);
        assert_eq!(posting.text().contains(closure.heading), closure.place == ClosedPlace::Posting);

        let behind = applicant.get(&apply).await;
        assert_eq!(behind.status, if closure.gone { StatusCode::GONE } else { StatusCode::OK });
        assert!(behind.text().contains(closure.heading));
        let sent = applicant.client.post(format!("{}{apply}/1", board.base_url())).body("a=b").send().await;
        let sent = dom::read(&sent.expect("an answer").text().await.expect("a page"));
        assert!(sent.text().contains(closure.heading));
    }
    assert!(board.received().list(&Filter::default()).is_empty());
}

#[tokio::test]
async fn whoever_sends_again_while_the_answer_takes_its_time_has_applied_twice() {
    let board = board().await;
    let mut arrivals = board.received().arrivals();
    let seed = seed_where(FormKind::Double, |expected| {
        matches!(&expected.twist, Twist::Double(slow) if slow.after_ms < 2_000)
            && expected.behaviour.confirms_by_redirect
    });
    let mut applicant = Applicant::new(&board, FormKind::Double, seed);
    let page = applicant.up_to_the_end().await;
    let begun = Instant::now();
    let second = async {
        arrivals.changed().await.expect("the first arrives before it is answered");
        assert!(begun.elapsed() < Duration::from_secs(1));
        applicant.post(&page).await
    };
    let (first, second) = tokio::join!(applicant.post(&page), second);
    assert!(begun.elapsed() >= Duration::from_secs(1));
    assert_ne!(first.headers()["location"], second.headers()["location"], "each has its confirmation");

    let received = board.received().list(&Filter::of(FormKind::Double, seed));
    let facts: Vec<(bool, u32)> =
        received.iter().map(|application| (application.duplicate, application.submission)).collect();
    assert_eq!(facts, [(false, 1), (true, 2)]);

    for path in [applicant.path(), format!("{}/apply", applicant.path())] {
        let again = applicant.get(&path).await;
        assert!(again.text().contains(applicant.expected.already_applied), "{path}");
        assert!(again.text().contains(&received[0].reference));
    }
    let stranger = applicant.client.get(format!("{}{}", board.base_url(), applicant.path())).header(COOKIE, "");
    let posting = stranger.send().await.expect("an answer").text().await.expect("a page");
    assert!(!dom::read(&posting).text().contains(applicant.expected.already_applied));
}
