//! What stands before a form or before its end, and that nobody gets past it.

use reqwest::StatusCode;
use valet_board::{CheckPlace, Expectation, Filter, FormKind, PictureStyle, Twist};

use crate::applicant::{Applicant, OpenPage, board, form_of};
use crate::applying::seed_where;

fn check_seed(place: CheckPlace, picture: PictureStyle) -> u32 {
    let is = |expected: &Expectation| matches!(&expected.twist, Twist::Check(check) if check.place == place && check.picture == picture);
    seed_where(FormKind::Check, is)
}

/// The picture of a page, wherever it is.
async fn picture(applicant: &Applicant, page: &OpenPage) -> String {
    if let Some(image) = page.root.find(|element| element.tag == "img") {
        let url = format!("{}{}", applicant.base, image.get("src").expect("an address"));
        let cookies: Vec<String> = applicant.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let request = applicant.client.get(url).header("cookie", cookies.join("; "));
        let response = request.send().await.expect("an answer");
        assert_eq!(response.headers()["content-type"], "image/svg+xml");
        return response.text().await.expect("a picture");
    }
    let paths = page.root.all().into_iter().filter(|element| element.tag == "path");
    paths.filter_map(|path| path.get("d")).collect()
}

#[tokio::test]
async fn only_who_reads_the_picture_passes_and_a_wrong_answer_brings_another() {
    let board = board().await;
    for place in [CheckPlace::BeforeForm, CheckPlace::BeforeEnd] {
        for style in [PictureStyle::Inline, PictureStyle::Image] {
            let seed = check_seed(place, style);
            let mut applicant = Applicant::new(&board, FormKind::Check, seed);
            let Twist::Check(check) = applicant.expected.twist.clone() else {
                panic!("a check");
            };
            let first = match place {
                CheckPlace::BeforeForm => applicant.get(&format!("{}/apply", applicant.path())).await,
                CheckPlace::BeforeEnd => {
                    let page = applicant.up_to_the_end().await;
                    applicant.send(&page).await
                }
            };
            assert!(first.text().contains(check.instruction), "{}", first.text());
            let open = board.checks(FormKind::Check, seed).pop().expect("an open check");
            assert_eq!(board.check_answer(&open.visit), Some(open.answer.clone()));
            assert_eq!(open.answer.len(), check.letters);
            let before = picture(&applicant, &first).await;

            let wrong = applicant.send_beside(&first, "/check", &[("answer", "wrong")]).await;
            assert!(wrong.text().contains(check.wrong));
            let other = board.check_answer(&open.visit).expect("an open check");
            assert_ne!(other, open.answer);
            assert_ne!(picture(&applicant, &wrong).await, before);
            // What was right for the picture before is not right any more.
            let late = applicant.send_beside(&wrong, "/check", &[("answer", &open.answer)]).await;
            assert!(late.text().contains(check.wrong));
            assert!(board.received().list(&Filter::of(FormKind::Check, seed)).is_empty());

            let told = applicant.oracle(&format!("check/{}", open.visit)).await;
            assert_eq!(told["wrong_answers"], 2);
            let mut right = applicant.passed(late).await;
            if place == CheckPlace::BeforeForm {
                applicant.fill(&mut right);
                right = applicant.send(&right).await;
            }
            assert!(right.text().contains(applicant.expected.confirmation.heading), "{}", right.text());
            assert_eq!(board.received().list(&Filter::of(FormKind::Check, seed)).len(), 1);
            assert_eq!(board.check_answer(&open.visit), None, "the check is over");
        }
    }
}

#[tokio::test]
async fn no_page_tells_the_letters() {
    let board = board().await;
    for seed in 0..50 {
        let mut applicant = Applicant::new(&board, FormKind::Check, seed);
        let mut page = applicant.get(&format!("{}/apply", applicant.path())).await;
        if matches!(&applicant.expected.twist, Twist::Check(check) if check.place == CheckPlace::BeforeEnd) {
            applicant.fill(&mut page);
            page = applicant.send(&page).await;
        }
        let answer = board.checks(FormKind::Check, seed).pop().expect("an open check").answer.to_lowercase();
        let mut told = page.text();
        for element in page.root.all() {
            told.extend(element.attributes.iter().flat_map(|(name, value)| [name.as_str(), value.as_str()]));
        }
        told.push_str(&picture(&applicant, &page).await);
        assert!(!told.to_lowercase().contains(&answer), "{answer} of seed {seed}");
    }
}

#[tokio::test]
async fn a_form_behind_a_gate_cannot_be_sent_before_the_gate() {
    let board = board().await;
    let check = check_seed(CheckPlace::BeforeForm, PictureStyle::Inline);
    for (form, seed) in [(FormKind::Check, check), (FormKind::Login, 1)] {
        // Somebody who was let in knows how the form looks.
        let mut known = Applicant::new(&board, form, seed);
        let mut page = known.open().await;
        known.fill(&mut page);

        let mut intruder = Applicant::new(&board, form, seed);
        let gate = intruder.get(&format!("{}/apply", intruder.path())).await;
        let visit_name = intruder.expected.behaviour.visit_name;
        if let Some(own) = gate.root.find(|element| element.get("name") == Some(visit_name)) {
            page.set(visit_name, own.get("value").expect("a visit"));
        }
        let refused = intruder.send(&page).await;
        assert_eq!(refused.text(), gate.text(), "{form}: the gate again");
        assert!(board.received().list(&Filter::of(form, seed)).is_empty());
    }
}

#[tokio::test]
async fn only_the_right_credentials_open_the_form() {
    let board = board().await;
    for seed in 0..50 {
        let mut applicant = Applicant::new(&board, FormKind::Login, seed);
        let Twist::Login(sign_in) = applicant.expected.twist.clone() else {
            panic!("a sign-in");
        };
        let page = applicant.get(&format!("{}/apply", applicant.path())).await;
        assert!(page.text().contains(sign_in.heading));
        let known = board.credentials(seed);
        let told = applicant.oracle(&format!("login/{seed}")).await;
        assert_eq!(told, serde_json::to_value(&known).expect("JSON"));
        for (user, password) in [(known.user.as_str(), "wrong"), ("somebody", known.password.as_str()), ("", "")] {
            let refused = applicant.send_beside(&page, "/sign-in", &[("user", user), ("password", password)]).await;
            assert!(refused.text().contains(sign_in.wrong));
            let status = if sign_in.refused_with_401 { StatusCode::UNAUTHORIZED } else { StatusCode::OK };
            assert_eq!(refused.status, status);
            assert!(!refused.text().contains(&known.password), "a page never repeats a password");
        }
        let form = applicant.passed(page).await;
        form_of(&form.root);
        let again = applicant.get(&format!("{}/apply", applicant.path())).await;
        form_of(&again.root);
    }
}

#[tokio::test]
async fn an_application_counts_only_with_the_code_that_was_sent() {
    let board = board().await;
    for seed in 0..20 {
        let mut applicant = Applicant::new(&board, FormKind::Code, seed);
        let Twist::Code(rules) = applicant.expected.twist.clone() else {
            panic!("a code");
        };
        let page = applicant.up_to_the_end().await;
        let mut asked = applicant.send(&page).await;
        assert!(asked.text().contains("zoe@example.com"), "{}", asked.text());
        let code = |number: usize| {
            let mails = board.inbox(" ZOE@example.com");
            let mine: Vec<_> = mails.into_iter().filter(|mail| mail.seed == seed).collect();
            assert_eq!(mine.len(), number);
            let mail = mine.last().expect("a mail").clone();
            assert!(mail.text.contains(&mail.code) && !asked.text().contains(&mail.code));
            mail.code
        };
        let first = code(1);
        for left in (1..rules.attempts).rev() {
            asked = applicant.send_beside(&asked, "/code", &[("code", "000-00")]).await;
            assert!(asked.text().contains(rules.wrong));
            let attempts = if left == 1 { "1 attempt left" } else { &format!("{left} attempts left") };
            assert!(asked.text().contains(attempts), "{}", asked.text());
        }
        asked = applicant.send_beside(&asked, "/code", &[("code", "")]).await;
        assert!(asked.text().contains("Too many wrong codes"));
        asked = applicant.send_beside(&asked, "/code", &[("code", &first)]).await;
        assert!(asked.text().contains("Too many wrong codes"), "a used-up code stays used up");

        asked = applicant.send_beside(&asked, "/code", &[("resend", "1")]).await;
        assert!(asked.text().contains("on its way"));
        let mails = board.inbox("zoe@example.com");
        let second = mails.iter().rfind(|mail| mail.seed == seed).expect("a second mail").code.clone();
        assert_ne!(first, second);
        let old = applicant.send_beside(&asked, "/code", &[("code", &first)]).await;
        assert!(old.text().contains(rules.wrong));
        assert!(board.received().list(&Filter::of(FormKind::Code, seed)).is_empty());
        let end = applicant.send_beside(&old, "/code", &[("code", &format!(" {} ", second.to_lowercase()))]).await;
        assert!(end.text().contains(applicant.expected.confirmation.heading), "{}", end.text());
        assert_eq!(board.received().list(&Filter::of(FormKind::Code, seed)).len(), 1);
        let again = applicant.send_beside(&old, "/code", &[("code", &second)]).await;
        assert!(again.text().contains(applicant.expected.already_applied));
        assert_eq!(board.received().list(&Filter::of(FormKind::Code, seed)).len(), 1);
    }
}

#[tokio::test]
async fn a_loop_that_asks_for_codes_gets_no_more_than_the_bound() {
    let board = board().await;
    let mut applicant = Applicant::new(&board, FormKind::Code, 3);
    let page = applicant.up_to_the_end().await;
    let asked = applicant.send(&page).await;
    for _ in 0..10 {
        applicant.send_beside(&asked, "/code", &[("resend", "1")]).await;
        applicant.send(&page).await;
    }
    assert_eq!(board.inbox("zoe@example.com").len(), valet_board::bounds::MAX_CODES_PER_VISIT as usize);
    let refused = applicant.send_beside(&asked, "/code", &[("resend", "1")]).await;
    assert!(refused.text().contains("No more codes"));
}

#[tokio::test]
async fn of_two_right_answers_at_the_same_time_one_completes_the_application() {
    let board = board().await;
    let mut applicant = Applicant::new(&board, FormKind::Code, 5);
    let page = applicant.up_to_the_end().await;
    let asked = applicant.send(&page).await;
    let code = board.inbox("zoe@example.com")[0].code.clone();
    let other = || Applicant { cookies: applicant.cookies.clone(), ..Applicant::new(&board, FormKind::Code, 5) };
    let (mut one, mut two) = (other(), other());
    let typed = [("code", code.as_str())];
    tokio::join!(one.send_beside(&asked, "/code", &typed), two.send_beside(&asked, "/code", &typed));
    assert_eq!(board.received().list(&Filter::of(FormKind::Code, 5)).len(), 1);
}

#[tokio::test]
async fn a_gate_that_a_form_does_not_have_is_not_found() {
    let board = board().await;
    let client = crate::applicant::client();
    for path in ["/jobs/code/1/nothing", "/jobs/code/x/code", "/jobs/simple/1/embed", "/jobs/check/1/picture"] {
        let response = client.get(format!("{}{path}", board.base_url())).send().await.expect("an answer");
        assert_eq!(response.status(), StatusCode::NOT_FOUND, "{path}");
    }
    let response = client.get(format!("{}/jobs/code/1/code", board.base_url())).send().await.expect("an answer");
    assert_eq!(response.headers()["location"], "/jobs/code/1/apply", "without a visit one starts over");
}
