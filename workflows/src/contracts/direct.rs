//! `job-application` where the hiring system takes the application itself.

use serde_json::{Value, json};
use valet_core::StepFailure;
use valet_core::decide::IN_DOUBT;
use valet_testing::{Person, TestEngine, TestRun, blocked, fail, retry, scenario};

use super::job_application::{choice, input, posting, site, submission, summary};
use crate::ats::{JobPlace, detect};
use crate::job_application::JobApplicationWorkflow;
use crate::job_application::steps::{
    ApplicationResult, CheckForm, DIRECT, FormRead, NO_DIRECT, NoteTier, POSTING_CLOSED, Question, ReadForm, Receipt,
    SelectTier, SendForm, Submit, TierChoice,
};

const URL: &str = "https://boards.greenhouse.io/green/jobs/127817";

fn job(changes: &Value) -> Value {
    let mut job = input(&json!({ "job_url": URL }));
    for (field, value) in changes.as_object().expect("fields") {
        job[field] = value.clone();
    }
    job
}

fn place() -> JobPlace {
    detect(URL).expect("a job")
}

/// A hiring system that takes the application at once, before a site that would take it too.
fn system() -> TestEngine {
    site()
        .on_step(|select: SelectTier, _| {
            Ok(if select.without.is_empty() {
                let chosen = choice(&select.want);
                TierChoice { tier: DIRECT.to_owned(), host: None, direct: Some(place()), ..chosen }
            } else {
                choice(&select.want)
            })
        })
        .on_step(|_: ReadForm, _| Ok(FormRead::Ready { posting: posting(), summary: summary() }))
        .on_step(|_: SendForm, _| Ok(ApplicationResult::Received(submission())))
        .on_step(|_: CheckForm, _| Ok(ApplicationResult::Unclear))
        .knows_code(NO_DIRECT)
        .knows_code(POSTING_CLOSED)
}

/// Once it was received, or may have been, nothing sends it again: neither here nor in a browser. In these worlds people say that it arrived.
fn sent_once(run: &TestRun) -> Result<(), String> {
    let sent = run.results_of::<SendForm>();
    let out = |sent: &&_| matches!(sent, Some(Ok(ApplicationResult::Received(_)) | Err(StepFailure::InDoubt(_))));
    let received = sent.iter().filter(out).count();
    let after = sent.iter().skip_while(|sent| !out(sent)).count().saturating_sub(1);
    let in_browser = run.results_of::<Submit>().len();
    if received > 1 || after > 0 || (received == 1 && in_browser > 0) {
        return Err("the application was sent again".to_owned());
    }
    Ok(())
}

scenario!(
    at_the_system_itself: JobApplicationWorkflow,
    input = job(&json!({})),
    steps = system(),
    holds = sent_once,
);

/// A question, a review, and an application that is put off once.
fn system_with_people() -> TestEngine {
    let (mut asked, mut put_off) = (false, false);
    system()
        .on_step(move |_: ReadForm, _| {
            let questions = vec![Question {
                label: "Do you drive?".to_owned(),
                kind: "text".to_owned(),
                options: Vec::new(),
                error: None,
            }];
            Ok(if std::mem::replace(&mut asked, true) {
                FormRead::Ready { posting: posting(), summary: summary() }
            } else {
                FormRead::NeedsPerson { posting: posting(), questions }
            })
        })
        .on_step(move |_: SendForm, _| {
            Ok(if std::mem::replace(&mut put_off, true) {
                ApplicationResult::Received(submission())
            } else {
                ApplicationResult::Later { again_in_s: 30, why: "too many requests".to_owned() }
            })
        })
}

scenario!(
    at_a_system_with_people: JobApplicationWorkflow,
    input = job(&json!({ "mode": "review" })),
    steps = system_with_people(),
    holds = sent_once,
);

fn steps(run: &TestRun) -> Vec<&str> {
    run.steps().into_iter().filter(|step| *step != "note-tier").collect()
}

#[test]
fn a_system_that_takes_it_needs_no_browser() {
    let run = system().run::<JobApplicationWorkflow>(&job(&json!({}))).expect("an end");
    let receipt: Receipt = run.output();
    assert_eq!((receipt.tier.as_str(), receipt.reference.as_deref()), (DIRECT, Some("A-7")));
    assert_eq!(steps(&run), ["select-tier", "read-form", "send-form"]);

    let run = system_with_people().run::<JobApplicationWorkflow>(&job(&json!({ "mode": "review" }))).expect("an end");
    let receipt: Receipt = run.output();
    assert_eq!(receipt.people_asked, 2);
    assert_eq!(steps(&run), ["select-tier", "read-form", "read-form", "send-form", "send-form"]);
}

#[test]
fn what_a_system_does_not_take_goes_through_a_browser() {
    let refused = |result: fn() -> ApplicationResult| system().on_step(move |_: SendForm, _| Ok(result()));
    let worlds = [
        system().on_step(|_: ReadForm, _| Err(blocked(NO_DIRECT))),
        system().on_step(|_: ReadForm, _| Err(retry("system_away"))),
        refused(|| ApplicationResult::Refused { errors: vec!["phone can't be blank".to_owned()] }),
        refused(|| ApplicationResult::Unfit { why: "the key is wrong".to_owned() }),
        refused(|| ApplicationResult::Later { again_in_s: 1, why: "too many requests".to_owned() }),
    ];
    for world in worlds {
        let run = world.run::<JobApplicationWorkflow>(&job(&json!({}))).expect("an end");
        let receipt: Receipt = run.output();
        assert_eq!((receipt.tier.as_str(), receipt.escalations.len()), ("chromium", 0), "it is no escalation");
        assert_eq!(run.results_of::<Submit>().len(), 1);
        assert_eq!(run.results_of::<NoteTier>().len(), 2, "each tier is told of");
    }
}

#[test]
fn a_job_that_was_closed_meanwhile_is_closed() {
    let closed = || ApplicationResult::Closed { why: "the job takes no applications any more".to_owned() };
    let run = system().on_step(move |_: SendForm, _| Ok(closed())).run::<JobApplicationWorkflow>(&job(&json!({})));
    let run = run.expect("an end");
    run.assert_failed(POSTING_CLOSED);
    assert_eq!(run.results_of::<Submit>().len(), 0);
}

#[test]
fn what_became_of_a_lost_answer_is_found_out_or_asked_of_a_person() {
    // The system merges what comes twice, and says so.
    let merged = system()
        .on_step(|_: SendForm, _| Err(fail(IN_DOUBT)))
        .on_step(|_: CheckForm, _| Ok(ApplicationResult::Received(submission())));
    let run = merged.run::<JobApplicationWorkflow>(&job(&json!({}))).expect("an end");
    let receipt: Receipt = run.output();
    assert_eq!((receipt.people_asked, receipt.reference.as_deref()), (0, Some("A-7")));

    for arrived in [true, false] {
        let mut once = true;
        let world = system()
            .on_step(move |_: SendForm, _| {
                if std::mem::replace(&mut once, false) {
                    Err(fail(IN_DOUBT))
                } else {
                    Ok(ApplicationResult::Received(submission()))
                }
            })
            .on_task("in_doubt", move |_| Person::answers(&json!({ "submitted": arrived })));
        let run = world.run::<JobApplicationWorkflow>(&job(&json!({}))).expect("an end");
        let receipt: Receipt = run.output();
        assert_eq!((receipt.tier.as_str(), receipt.people_asked), (DIRECT, 1));
        assert_eq!(run.results_of::<SendForm>().len(), if arrived { 1 } else { 2 }, "again only if it did not arrive");
    }
}
