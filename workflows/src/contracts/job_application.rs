//! `job-application` on its ways through a site: without people, with them, through a second browser, in doubt.

use std::cell::RefCell;
use std::rc::Rc;

use serde_json::{Value, json};
use uuid::Uuid;
use valet_core::StepFailure;
use valet_core::decide::IN_DOUBT;
use valet_testing::{Person, TestEngine, TestRun, blocked, contract, fail, scenario};

use crate::job_application::JobApplicationWorkflow;
use crate::job_application::input::Application;
use crate::job_application::steps::{
    AnswerObstacle, CheckSubmission, Cleanup, FillPage, Filled, FilledField, NO_TIER, NoteTier, Obstacle,
    ObstacleField, OpenPosting, Opened, Passed, Posting, Price, Provision, Provisioned, Question, RATE_LIMITED,
    Receipt, SANDBOX_LOST, SelectTier, Sent, Submission, Submit, TierChoice, Want,
};
use crate::tiers::Waiting;

const URL: &str = "https://jobs.example.com/senior-gardener";

pub(super) fn input(changes: &Value) -> Value {
    let mut input: Value = serde_json::from_str(include_str!("../../examples/job-application.json")).expect("JSON");
    for (field, value) in changes.as_object().expect("fields") {
        input[field] = value.clone();
    }
    input
}

pub(super) fn submission() -> Submission {
    Submission {
        confirmation: "thank you".to_owned(),
        reference: Some("A-7".to_owned()),
        screenshot: Some(Uuid::nil()),
    }
}

pub(super) fn posting() -> Posting {
    Posting { job_title: Some("Gardener".to_owned()), company: Some("Green".to_owned()), url: URL.to_owned() }
}

pub(super) fn summary() -> Vec<FilledField> {
    vec![FilledField {
        label: "E-mail".to_owned(),
        kind: "email".to_owned(),
        value: "ada@example.com".to_owned(),
        ..FilledField::default()
    }]
}

fn captcha() -> Obstacle {
    let field = |key: &str| ObstacleField {
        key: key.to_owned(),
        label: "What do you see?".to_owned(),
        secret: false,
        help: String::new(),
    };
    Obstacle {
        kind: "captcha".to_owned(),
        prompt: "Are you a person?".to_owned(),
        fields: vec![field("answer")],
        vendor: None,
        screenshot: None,
        url: URL.to_owned(),
    }
}

pub(super) fn choice(want: &Want) -> TierChoice {
    let tier = match want {
        Want::Cheapest => "chromium",
        Want::Same { tier } => tier,
        Want::Above { .. } => "stealth",
    };
    // The cheap browsers run beside their worker, the others anywhere.
    let host = (tier == "chromium").then(|| "machine-1".to_owned());
    TierChoice {
        tier: tier.to_owned(),
        host,
        reasons: vec!["the cheapest".to_owned()],
        considered: Vec::new(),
        policy: None,
        max_escalations: None,
        price: Price::default(),
        wait: None,
        direct: None,
    }
}

fn ready() -> Filled {
    Filled::ReadyToSubmit { summary: summary(), screenshot: None }
}

/// A site of two pages that takes the application at once, and people who do as they are asked.
pub(super) fn site() -> TestEngine {
    TestEngine::new()
        .on_step(|select: SelectTier, _| Ok(choice(&select.want)))
        .on_step(|_: Provision, _| Ok(Provisioned::Ready { browser: "chromium".to_owned(), live_view: None }))
        .on_step(|_: OpenPosting, _| Ok(Opened::Form(posting())))
        .on_step(|fill: FillPage, _| Ok(if fill.page < 2 { Filled::Next { fields: summary() } } else { ready() }))
        .on_step(|_: Submit, _| Ok(Sent::Confirmed(submission())))
        .on_step(|_: CheckSubmission, _| Ok(Sent::Unclear { screenshot: None, url: URL.to_owned() }))
        .on_step(|_: AnswerObstacle, _| Ok(Passed::Form))
        .on_step(|_: Cleanup, _| Ok(()))
        .on_step(|_: NoteTier, _| Ok(()))
        .on_task("unknown_question", |_| Person::answers(&json!({ "q1": "Yes" })))
        .on_task("captcha", |_| Person::answers(&json!({ "q1": "a garden" })))
        .on_task("review", |_| Person::answers(&json!({ "approve": true })))
        .on_task("in_doubt", |_| Person::answers(&json!({ "submitted": true })))
        .knows_code(SANDBOX_LOST)
        .knows_code(NO_TIER)
        .knows_code(RATE_LIMITED)
        .knows_code("bot_blocked")
        .knows_code(IN_DOUBT)
}

/// Whatever fails, and however: once the application went out, or may have, nothing sends it again. These worlds' sites never
/// show the form again after that, and their people never say that it did not arrive.
fn sent_once(run: &TestRun) -> Result<(), String> {
    let sendings = run.results_of::<Submit>();
    let may_be_out =
        |sent: &_| matches!(sent, Some(Ok(Sent::Confirmed(_) | Sent::Obstacle(_)) | Err(StepFailure::InDoubt(_))));
    let mut out = sendings.iter().skip_while(|sent| !may_be_out(sent));
    if out.nth(1).is_some() { Err("the application was sent again".to_owned()) } else { Ok(()) }
}

contract!(
    without_people: JobApplicationWorkflow,
    input = input(&json!({})),
    steps = site(),
    holds = sent_once,
);

/// A question, a captcha on the way in, a review.
fn site_with_people() -> TestEngine {
    let (mut opened, mut asked) = (false, false);
    site()
        .on_step(move |_: OpenPosting, _| {
            let first = !std::mem::replace(&mut opened, true);
            Ok(if first { Opened::Obstacle(posting(), captcha()) } else { Opened::Form(posting()) })
        })
        .on_step(move |fill: FillPage, _| {
            let first = !std::mem::replace(&mut asked, true);
            let questions = vec![Question {
                label: "Do you drive?".to_owned(),
                kind: "text".to_owned(),
                options: Vec::new(),
                error: None,
            }];
            Ok(match fill.page {
                1 if first => Filled::NeedsPerson { questions, screenshot: None, url: URL.to_owned() },
                1 => Filled::Next { fields: summary() },
                _ => ready(),
            })
        })
}

scenario!(
    with_people: JobApplicationWorkflow,
    input = input(&json!({ "mode": "review", "max_escalations": 0 })),
    steps = site_with_people(),
    holds = sent_once,
);

scenario!(
    through_a_browser_that_is_not_doubted: JobApplicationWorkflow,
    input = input(&json!({})),
    steps = site_of_puzzles("stealth"),
    holds = sent_once,
);

scenario!(
    after_being_turned_away: JobApplicationWorkflow,
    input = input(&json!({})),
    steps = closed_site("access_denied", true),
    holds = sent_once,
);

/// The first browser is refused, the second let in once its machine has room.
fn site_against_programs() -> TestEngine {
    let mut full = true;
    site()
        .on_step(|open: OpenPosting, _| match open.at.tier.as_str() {
            "chromium" => Err(blocked("bot_blocked")),
            _ => Ok(Opened::Form(posting())),
        })
        .on_step(move |provision: Provision, _| {
            let is_full = provision.at.tier == "stealth" && std::mem::replace(&mut full, false);
            Ok(if is_full {
                Provisioned::Full { max: 1 }
            } else {
                Provisioned::Ready { browser: "b".to_owned(), live_view: None }
            })
        })
}

scenario!(
    through_a_second_browser: JobApplicationWorkflow,
    input = input(&json!({})),
    steps = site_against_programs(),
    holds = sent_once,
);

/// The site is closed when the run comes, and has had enough of it once.
fn site_that_wants_quiet() -> TestEngine {
    let (mut closed, mut limited) = (true, true);
    site()
        .on_step(move |select: SelectTier, _| {
            let closed = std::mem::replace(&mut closed, false);
            let until = chrono::DateTime::UNIX_EPOCH + chrono::Duration::days(40_000);
            let wait = closed.then(|| Waiting { until, why: "its policy has hours for the site".to_owned() });
            Ok(TierChoice { wait, ..choice(&select.want) })
        })
        .on_step(move |_: OpenPosting, _| {
            let refused = std::mem::replace(&mut limited, false);
            if refused { Err(fail(RATE_LIMITED)) } else { Ok(Opened::Form(posting())) }
        })
}

scenario!(
    on_a_site_that_wants_quiet: JobApplicationWorkflow,
    input = input(&json!({})),
    steps = site_that_wants_quiet(),
    holds = sent_once,
);

scenario!(
    in_doubt: JobApplicationWorkflow,
    input = input(&json!({})),
    steps = site().on_step(|_: Submit, _| Err(fail(IN_DOUBT))),
    holds = sent_once,
);

/// The site wants a puzzle solved after the button was pressed.
fn site_with_a_puzzle_behind() -> TestEngine {
    site()
        .on_step(|_: Submit, _| Ok(Sent::Obstacle(captcha())))
        .on_step(|_: AnswerObstacle, _| Ok(Passed::Confirmed(submission())))
}

scenario!(
    with_a_puzzle_behind: JobApplicationWorkflow,
    input = input(&json!({})),
    steps = site_with_a_puzzle_behind(),
    holds = sent_once,
);

/// The site forgets the visit once, and finds fault with the form twice.
fn fussy_site() -> TestEngine {
    let (mut forgets, mut faults) = (true, 2);
    site()
        .on_step(move |fill: FillPage, _| {
            let expired = fill.page == 2 && std::mem::replace(&mut forgets, false);
            Ok(match fill.page {
                _ if expired => Filled::Expired,
                1 => Filled::Next { fields: summary() },
                _ => ready(),
            })
        })
        .on_step(move |_: Submit, _| {
            if faults == 0 {
                return Ok(Sent::Confirmed(submission()));
            }
            faults -= 1;
            Ok(Sent::Refused { errors: vec!["the phone number is too short".to_owned()] })
        })
}

scenario!(
    on_a_fussy_site: JobApplicationWorkflow,
    input = input(&json!({})),
    steps = fussy_site(),
    holds = sent_once,
);

#[test]
fn the_example_is_an_application() {
    serde_json::from_value::<Application>(input(&json!({}))).expect("an application");
}

/// It asks whether a person is there wherever the browser is not of this tier.
fn site_of_puzzles(except: &'static str) -> TestEngine {
    site().on_step(move |open: OpenPosting, _| {
        let known = open.at.tier == except;
        Ok(if known { Opened::Form(posting()) } else { Opened::Obstacle(posting(), captcha()) })
    })
}

#[test]
fn a_site_that_asks_whether_a_person_is_there_is_tried_with_a_better_browser_before_a_person_is_asked() {
    let run = site_of_puzzles("stealth").run::<JobApplicationWorkflow>(&input(&json!({}))).expect("an end");
    let receipt: Receipt = run.output();
    assert_eq!((receipt.tier.as_str(), receipt.people_asked), ("stealth", 0));
    assert_eq!(receipt.escalations[0].code, "captcha");
}

#[test]
fn where_no_better_browser_may_be_had_people_solve_the_puzzles() {
    let mut puzzles = 3;
    let patient = site().on_step(move |_: OpenPosting, _| {
        let more = puzzles > 0;
        puzzles -= i32::from(more);
        Ok(if more { Opened::Obstacle(posting(), captcha()) } else { Opened::Form(posting()) })
    });
    let run = patient.run::<JobApplicationWorkflow>(&input(&json!({ "max_escalations": 0 }))).expect("an end");
    let receipt: Receipt = run.output();
    assert_eq!((receipt.tier.as_str(), receipt.people_asked, receipt.escalations.len()), ("chromium", 3, 0));

    let mut puzzles = 1;
    let only_one = site()
        .on_step(|select: SelectTier, _| match &select.want {
            Want::Above { .. } => Err(fail(NO_TIER)),
            want => Ok(choice(want)),
        })
        .on_step(move |_: OpenPosting, _| {
            let more = std::mem::replace(&mut puzzles, 0) > 0;
            Ok(if more { Opened::Obstacle(posting(), captcha()) } else { Opened::Form(posting()) })
        });
    let run = only_one.run::<JobApplicationWorkflow>(&input(&json!({}))).expect("an end");
    let receipt: Receipt = run.output();
    assert_eq!((receipt.tier.as_str(), receipt.people_asked), ("chromium", 1));
    assert_eq!(run.steps().iter().filter(|step| **step == "provision").count(), 1, "in the browser that got it");
}

#[test]
fn puzzles_are_a_reason_for_a_better_browser_as_often_as_one_may_be_had() {
    let run = site_of_puzzles("best")
        .on_step(|select: SelectTier, _| {
            Ok(match &select.want {
                Want::Above { tier, .. } if tier == "stealth" => {
                    TierChoice { tier: "best".to_owned(), ..choice(&select.want) }
                }
                want => choice(want),
            })
        })
        .run::<JobApplicationWorkflow>(&input(&json!({ "max_escalations": 2 })))
        .expect("an end");
    let receipt: Receipt = run.output();
    assert_eq!((receipt.tier.as_str(), receipt.people_asked), ("best", 0));

    let run = site_of_puzzles("stealth")
        .on_step(|select: SelectTier, _| match &select.want {
            Want::Above { block, .. } if block.code == "captcha" => Err(fail(NO_TIER)),
            want => Ok(choice(want)),
        })
        .run::<JobApplicationWorkflow>(&input(&json!({})))
        .expect("an end");
    let receipt: Receipt = run.output();
    assert_eq!((receipt.tier.as_str(), receipt.people_asked), ("stealth", 2), "two puzzles are enough");
    assert_eq!(receipt.escalations[0].code, "captcha_loop");
}

/// The site lets nobody in at first; people say whether to try again.
fn closed_site(code: &'static str, again: bool) -> TestEngine {
    let mut shut = true;
    let world = site()
        .on_step(
            move |_: OpenPosting, _| {
                if std::mem::replace(&mut shut, false) { Err(blocked(code)) } else { Ok(Opened::Form(posting())) }
            },
        )
        .knows_code(code);
    world.on_task(code, move |_| Person::answers(&json!({ "again": again })))
}

#[test]
fn whether_a_site_that_turns_everybody_away_is_tried_again_is_a_persons_to_say() {
    let code = "access_denied";
    let run = closed_site(code, true).run::<JobApplicationWorkflow>(&input(&json!({}))).expect("an end");
    let receipt: Receipt = run.output();
    assert_eq!((receipt.tier.as_str(), receipt.people_asked, receipt.escalations.len()), ("chromium", 1, 0));
    assert_eq!(run.steps().iter().filter(|step| **step == "cleanup").count(), 2, "no browser waits for people");
    let run = closed_site(code, false).run::<JobApplicationWorkflow>(&input(&json!({}))).expect("an end");
    run.assert_failed(code);
    assert_eq!(run.results_of::<Submit>().len(), 0);
}

#[test]
fn a_site_that_refuses_programs_is_tried_with_a_better_browser() {
    let run = site_against_programs().run::<JobApplicationWorkflow>(&input(&json!({}))).expect("an end");
    let receipt: Receipt = run.output();
    assert_eq!((receipt.tier.as_str(), receipt.escalations.len(), receipt.people_asked), ("stealth", 1, 0));
    assert_eq!(run.emitted().iter().map(|(kind, _)| *kind).collect::<Vec<_>>(), ["tier.escalated"]);
    assert_eq!(run.steps().iter().filter(|step| **step == "cleanup").count(), 2, "each browser is cleaned up");
}

#[test]
fn a_site_that_is_closed_is_waited_for_and_one_that_had_enough_gets_another_browser_later() {
    let run = site_that_wants_quiet().run::<JobApplicationWorkflow>(&input(&json!({}))).expect("an end");
    let steps: Vec<&str> =
        run.steps().into_iter().filter(|step| ["select-tier", "provision", "cleanup"].contains(step)).collect();
    let expected = ["select-tier", "select-tier", "provision", "cleanup", "select-tier", "provision", "cleanup"];
    assert_eq!(steps, expected);
    let receipt: Receipt = run.output();
    assert_eq!((receipt.tier.as_str(), receipt.escalations.len()), ("chromium", 0), "it is no escalation");
}

#[test]
fn a_policy_raises_what_an_application_may_escalate_unless_that_is_none() {
    let refused_everywhere = |most: Option<u32>| {
        site()
            .on_step(move |select: SelectTier, _| {
                let tier = match &select.want {
                    Want::Above { tier, .. } => format!("{tier}+"),
                    _ => "plain".to_owned(),
                };
                Ok(TierChoice { tier, host: None, max_escalations: most, ..choice(&Want::Cheapest) })
            })
            .on_step(|_: OpenPosting, _| Err(blocked("bot_blocked")))
    };
    for (own, of_policy, expected) in [(1, None, 2), (1, Some(3), 4), (2, Some(0), 3), (0, Some(3), 1)] {
        let site = refused_everywhere(of_policy);
        let run = site.run::<JobApplicationWorkflow>(&input(&json!({ "max_escalations": own }))).expect("an end");
        let browsers = run.steps().iter().filter(|step| **step == "provision").count();
        assert_eq!(browsers, expected, "{own} of its own, {of_policy:?} of the policy");
        let noted: Vec<_> = run.results_of::<NoteTier>();
        assert_eq!(noted.len(), expected, "each is told of");
    }
}

#[test]
fn who_is_asked_is_told_where_the_browser_is_seen() {
    const VIEW: &str = "https://view.example.com/1";
    let seen = Rc::new(RefCell::new(Vec::new()));
    let told = Rc::clone(&seen);
    let run = site_with_people()
        .on_step(|_: Provision, _| {
            Ok(Provisioned::Ready { browser: "chromium".to_owned(), live_view: Some(VIEW.to_owned()) })
        })
        .on_task("captcha", move |task| {
            let context: Value = task.context.read().expect("a context");
            told.borrow_mut().push(context["live_view"].clone());
            Person::answers(&json!({ "q1": "a garden" }))
        })
        .run::<JobApplicationWorkflow>(&input(&json!({ "max_escalations": 0 })))
        .expect("an end");
    assert_eq!(run.output::<Receipt>().tier, "chromium");
    assert_eq!(*seen.borrow(), [json!(VIEW)]);
}
