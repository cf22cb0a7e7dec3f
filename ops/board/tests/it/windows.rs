//! Real browsers, with and without a window, on forms that are not plain: what their scripts, frames and slow answers
//! really do.

use std::path::PathBuf;
use std::process::Stdio;

use fantoccini::{Client, Locator};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use valet_board::{Board, Expectation, Filter, FormKind, Guard, GuardPlace, Hiding, LatePart, Lateness, Tell, Twist};

use crate::applicant::{RESUME, board};
use crate::browser::{Browser, LIMIT, arrived_once, begin, complete, confirmed, first, press};

/// A screen that nobody looks at.
struct Screen {
    server: Child,
    display: String,
}

impl Screen {
    async fn start() -> Self {
        let mut server = Command::new("Xvfb")
            // It takes a free display and writes its number.
            .args(["-displayfd", "1", "-screen", "0", "1440x900x24", "-nolisten", "tcp"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("Xvfb is installed");
        let mut lines = BufReader::new(server.stdout.take().expect("its output")).lines();
        let number = lines.next_line().await.expect("readable output").expect("the number of the display");
        Self { server, display: format!(":{}", number.trim()) }
    }

    async fn stop(mut self) {
        self.server.kill().await.expect("the screen ends");
    }
}

/// Does something with a browser, within the limit, and ends the browser whatever comes of it.
async fn with<F: Future<Output = ()> + Send + 'static>(browser: Browser, work: impl FnOnce(Client, PathBuf) -> F) {
    let resume = browser.folder.path().join("Lebenslauf (é).pdf");
    std::fs::write(&resume, RESUME).expect("a résumé");
    let done = tokio::spawn(tokio::time::timeout(LIMIT, work(browser.client.clone(), resume))).await;
    browser.stop().await;
    done.expect("the browser does it").expect("in time");
}

fn guard(expected: &Expectation) -> &Guard {
    match &expected.twist {
        Twist::Guard(guard) => guard,
        _ => panic!("a guard"),
    }
}

fn guarded() -> Vec<Expectation> {
    let mut seeds = Vec::new();
    for tell in [Tell::UserAgent, Tell::Pointer, Tell::Screen] {
        for place in [GuardPlace::Posting, GuardPlace::Form] {
            seeds.push(first(FormKind::Guarded, |expected| {
                guard(expected).tell == tell && guard(expected).place == place
            }));
        }
    }
    seeds
}

async fn headings(client: &Client) -> String {
    client.wait().for_element(Locator::Css("h1")).await.expect("a heading").text().await.expect("its text")
}

#[tokio::test]
async fn a_browser_with_a_window_applies_where_one_without_is_turned_away() {
    let board = board().await;
    let base = board.base_url();
    with(Browser::start().await, move |client, _| async move {
        for expected in guarded() {
            let guard = guard(&expected);
            let posting = format!("{base}/jobs/guarded/{}", expected.seed);
            client.goto(&posting).await.expect("a page");
            if guard.place == GuardPlace::Form {
                assert_eq!(headings(&client).await, expected.title, "the posting is for everybody");
                client.goto(&format!("{posting}/apply")).await.expect("a page");
            }
            let denied = format!(r#"//h1[normalize-space()="{}"]"#, guard.heading);
            client.wait().for_element(Locator::XPath(&denied)).await.expect("a refusal");
            assert!(client.find(Locator::Css("form")).await.is_err(), "nothing to send");
        }
    })
    .await;
    let blocks = board.blocks();
    assert_eq!(blocks.total, 6);
    assert!(guarded().iter().all(|expected| blocks.by_seed[&expected.seed] == 1));

    let screen = Screen::start().await;
    let base = board.base_url();
    with(Browser::with_window(&screen.display).await, move |client, resume| async move {
        let driven = client.execute("return navigator.webdriver", Vec::new()).await.expect("an answer");
        assert_eq!(driven, true, "a program drives this browser too");
        for expected in guarded() {
            client.goto(&format!("{base}/jobs/guarded/{}", expected.seed)).await.expect("a page");
            let posting = format!(r#"//h1[normalize-space()="{}"]"#, expected.title);
            client.wait().for_element(Locator::XPath(&posting)).await.expect("the posting");
            begin(&client, &base, &expected).await;
            complete(&client, &expected, &resume).await;
            confirmed(&client, &expected).await;
        }
    })
    .await;
    screen.stop().await;
    for expected in guarded() {
        arrived_once(&board, &expected);
    }
    assert_eq!(board.blocks(), blocks);
}

fn conditional() -> Vec<Expectation> {
    let hidings = [Hiding::Disabled, Hiding::Absent, Hiding::Undisplayed];
    let is = |hiding| {
        first(FormKind::Conditional, move |expected| {
            expected.twist == Twist::Conditional(hiding) && expected.look.native_required
        })
    };
    hidings.map(is).into()
}

#[tokio::test]
async fn questions_appear_in_a_real_browser_when_they_are_asked() {
    let board = board().await;
    let base = board.base_url();
    with(Browser::start().await, move |client, resume| async move {
        for expected in conditional() {
            begin(&client, &base, &expected).await;
            let hidden = expected.fields.iter().filter(|field| field.when.is_some());
            client.wait().for_element(Locator::Css("main + footer")).await.expect("the form");
            for field in hidden {
                let seen = "const found = document.getElementsByName(arguments[0]);\
                            return [].some.call(found, control => control.getClientRects().length > 0);";
                let seen = client.execute(seen, vec![field.name.clone().into()]).await.expect("an answer");
                assert_eq!(seen, false, "{:?} is not asked yet", field.meaning);
            }
            complete(&client, &expected, &resume).await;
            confirmed(&client, &expected).await;
        }
    })
    .await;
    for expected in conditional() {
        arrived_once(&board, &expected);
        let received = board.received().list(&Filter::of(FormKind::Conditional, expected.seed));
        assert!(received[0].unasked.is_empty());
    }
}

fn lateness(expected: &Expectation) -> &Lateness {
    match &expected.twist {
        Twist::Late(late) => late,
        _ => panic!("late"),
    }
}

fn late() -> Vec<Expectation> {
    let mut seeds = Vec::new();
    for part in [LatePart::Fields, LatePart::Button] {
        for moves in [true, false] {
            seeds.push(first(FormKind::Late, |expected| {
                lateness(expected).part == part && lateness(expected).moves_after_ms.is_some() == moves
            }));
        }
    }
    seeds
}

#[tokio::test]
async fn a_late_form_arrives_moves_and_keeps_what_was_typed() {
    let board = board().await;
    let base = board.base_url();
    with(Browser::start().await, move |client, resume| async move {
        for expected in late() {
            begin(&client, &base, &expected).await;
            let late = lateness(&expected);
            let later = if late.part == LatePart::Fields { "[data-later] input" } else { "[data-later] [type=submit]" };
            client.wait().for_element(Locator::Css(later)).await.expect("the part");
            if late.moves_after_ms.is_some() {
                if late.part == LatePart::Fields {
                    typed_before_the_move_is_there_after_it(&client).await;
                }
                let moved = r#"//p[contains(., "under five minutes")]"#;
                client.wait().for_element(Locator::XPath(moved)).await.expect("the form moves");
            }
            complete(&client, &expected, &resume).await;
            confirmed(&client, &expected).await;
        }
    })
    .await;
    for expected in late() {
        arrived_once(&board, &expected);
    }
}

/// On a page of its own, so that what is typed comes before the move.
async fn typed_before_the_move_is_there_after_it(client: &Client) {
    let script = "const done = arguments[arguments.length - 1];\
        const frame = document.createElement('iframe'); frame.src = location.href;\
        document.body.appendChild(frame);\
        let before = null;\
        const look = () => { const page = frame.contentDocument;\
          const now = page && page.querySelector('[data-later] input[type=text], [data-later] input[type=tel]');\
          if (now && !before) { before = now; before.value = 'typed'; }\
          if (before && now && now !== before) { const kept = now.value; frame.remove(); done(kept); return; }\
          setTimeout(look, 5); };\
        look();";
    let kept = client.execute_async(script, Vec::new()).await.expect("the form in the frame moves");
    assert_eq!(kept, "typed");
}

fn framed() -> Vec<Expectation> {
    let of = |wanted: u32| {
        first(
            FormKind::Frame,
            move |expected| matches!(&expected.twist, Twist::Frame(framing) if framing.depth == wanted && framing.newsletter),
        )
    };
    [1, 2].map(of).into()
}

#[tokio::test]
async fn a_form_in_frames_is_sent_and_confirmed_within_them() {
    let board = board().await;
    let base = board.base_url();
    with(Browser::start().await, move |client, resume| async move {
        for expected in framed() {
            client.goto(&format!("{base}/jobs/frame/{}", expected.seed)).await.expect("a posting");
            let Twist::Frame(framing) = &expected.twist else {
                panic!("a frame");
            };
            for _ in 0..framing.depth {
                let frame = Locator::Css(r#"iframe:not([src="/newsletter"])"#);
                client.wait().for_element(frame).await.expect("a frame").enter_frame().await.expect("it opens");
            }
            complete(&client, &expected, &resume).await;
            confirmed(&client, &expected).await;
            for _ in 0..framing.depth {
                client.enter_parent_frame().await.expect("the page around it");
            }
            assert_eq!(headings(&client).await, expected.title, "the posting stays");
        }
    })
    .await;
    for expected in framed() {
        arrived_once(&board, &expected);
    }
}

#[tokio::test]
async fn a_button_that_seems_dead_can_be_pressed_twice() {
    let board = board().await;
    let base = board.base_url();
    let slow =
        || first(FormKind::Double, |expected| matches!(&expected.twist, Twist::Double(slow) if slow.after_ms > 2_500));
    with(Browser::start().await, move |client, resume| async move {
        let expected = slow();
        begin(&client, &base, &expected).await;
        client.wait().for_element(Locator::Css("main + footer")).await.expect("the form");
        let twice = "document.querySelector('form[action*=\"/apply/\"]').addEventListener('submit', () => {\
                     const button = document.querySelector('form[action*=\"/apply/\"] [type=submit]:not([name])');\
                     if (!window.again) { window.again = true; setTimeout(() => button.click(), 600); } });";
        client.execute(twice, Vec::new()).await.expect("a second press is planned");
        complete(&client, &expected, &resume).await;
        confirmed(&client, &expected).await;
        client.goto(&format!("{base}/jobs/double/{}", expected.seed)).await.expect("a page");
        assert_eq!(headings(&client).await, expected.already_applied);
    })
    .await;
    twice_received(&board, slow().seed);
}

fn twice_received(board: &Board, seed: u32) {
    let received = board.received().list(&Filter::of(FormKind::Double, seed));
    let duplicates: Vec<bool> = received.iter().map(|application| application.duplicate).collect();
    assert_eq!(duplicates, [false, true]);
}

#[tokio::test]
async fn the_picture_of_a_check_is_seen_and_its_letters_let_a_browser_in() {
    use valet_board::{CheckPlace, PictureStyle};
    let board = std::sync::Arc::new(board().await);
    let checks = |style| {
        first(FormKind::Check, move |expected| {
            matches!(&expected.twist, Twist::Check(check)
                if check.picture == style && check.place == CheckPlace::BeforeForm)
        })
    };
    let oracle = std::sync::Arc::clone(&board);
    with(Browser::start().await, move |client, resume| async move {
        let base = oracle.base_url();
        for expected in [checks(PictureStyle::Inline), checks(PictureStyle::Image)] {
            begin(&client, &base, &expected).await;
            let picture = client.wait().for_element(Locator::Css("main svg, main img")).await.expect("a picture");
            let seen = "const box = arguments[0].getBoundingClientRect();\
                        return [box.width > 150, box.height > 50, arguments[0].naturalWidth !== 0];";
            let element = serde_json::to_value(&picture).expect("an element");
            let seen = client.execute(seen, vec![element]).await.expect("an answer");
            assert_eq!(seen, serde_json::json!([true, true, true]), "the picture has loaded");
            let answer = oracle.checks(FormKind::Check, expected.seed).pop().expect("an open check").answer;
            let line = client.find(Locator::Css("main input[type=text]")).await.expect("a line");
            line.send_keys(&answer).await.expect("letters are typed");
            press(&client, Locator::Css("main [type=submit]")).await;
            complete(&client, &expected, &resume).await;
            confirmed(&client, &expected).await;
        }
    })
    .await;
    assert_eq!(board.received().list(&Filter::default()).len(), 2);
}

#[tokio::test]
async fn alerts_follow_alerts_and_redirects_end_in_the_browsers_own_page() {
    let board = board().await;
    let base = board.base_url();
    with(Browser::start().await, move |client, _| async move {
        client.goto(&format!("{base}/jobs/bad/endless-redirects")).await.expect("the browser gives up");
        assert!(client.find(Locator::Css("main h1")).await.is_err(), "no page of the board is shown");
        client.goto(&format!("{base}/jobs/bad/alert-storm")).await.expect("a page");
        for number in 1..=5 {
            let text = client.get_alert_text().await.expect("an alert");
            assert_eq!(text, format!("Offer {number} ends today!"));
            client.dismiss_alert().await.expect("it can be dismissed");
        }
        assert!(client.get_alert_text().await.is_ok(), "and there is the next");
    })
    .await;
}
