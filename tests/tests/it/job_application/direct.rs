//! Applications that go to the hiring system itself: through the engine, against the vendors' local servers.

use serde_json::{Value, json};
use tokio::time::Instant;
use valet_protocol::api::{RunDetail, StartRunRequest, TaskView};
use valet_tests::wait::until;
use valet_vendors::{Fault, Greenhouse, Lever, Recruitee, greenhouse};

use super::applicant;
use super::house::{APPLICATION_MAX, House, LOOK_EVERY};

const KEY: &str = "key-of-an-employer";
const POSTING: &str = "5ac21346-8e0c-4494-8e7a-3eb92ff77902";
const QUESTION: &str = "Which sound reminds you of a good working day?";

async fn greenhouse() -> Greenhouse {
    let server = Greenhouse::start().await.expect("a server");
    server.board("green", KEY);
    let asked = json!({ "required": true, "label": QUESTION, "fields": [{ "name": "question_7", "type": "textarea", "values": [] }] });
    server.put_job("green", greenhouse::sample_job("green", 127_817, &[asked]));
    server
}

impl House {
    async fn apply_at(&self, job_url: &str) -> String {
        let input = applicant::input(job_url, self.resume());
        let request = StartRunRequest { input, ..StartRunRequest::default() };
        let key = uuid::Uuid::new_v4().to_string();
        self.client.start("job-application", &request, &key).await.expect("the run starts").id
    }

    /// To its end; people answer as they are told to.
    async fn ended(&self, run: &str, answer: impl Fn(&TaskView) -> Value) -> (RunDetail, Vec<String>) {
        let begun = Instant::now();
        let mut asked = Vec::new();
        loop {
            let detail = self.client.run(run).await.expect("the run");
            for task in detail.tasks.iter().filter(|task| task.state == "open") {
                if self.client.answer(&task.id, answer(task), &task.id).await.is_ok() {
                    asked.push(task.reason.clone());
                }
            }
            if detail.run.ended_at.is_some() {
                return (detail, asked);
            }
            assert!(begun.elapsed() < APPLICATION_MAX, "{run} goes on and on");
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

fn steps(run: &RunDetail) -> Vec<&str> {
    run.steps.iter().map(|step| step.name.as_str()).filter(|name| *name != "note-tier").collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_employers_key_is_held_is_applied_for_without_a_browser() {
    let server = greenhouse().await;
    let keys = format!("green={KEY}");
    let house = House::start_set(
        2,
        vec![("VALET_GREENHOUSE_URL", server.served.url()), ("VALET_GREENHOUSE_KEYS", keys.clone())],
    )
    .await;
    let url = "https://boards.greenhouse.io/green/jobs/127817?gh_src=abc";
    let answer = |task: &TaskView| {
        assert_eq!(task.form["properties"]["q1"]["title"], QUESTION);
        json!({ "q1": "Rain on leaves." })
    };
    let (run, asked) = house.ended(&house.apply_at(url).await, answer).await;
    assert_eq!(run.run.status, "succeeded", "{:?}", run.error);
    let receipt = run.output.as_ref().expect("a receipt");
    assert_eq!((&receipt["tier"], &receipt["job_title"]), (&json!("direct"), &json!("Senior Gardener")));
    assert_eq!(receipt["confirmation"], "Candidate saved successfully");
    assert_eq!(asked, ["unknown_question"]);
    assert_eq!(steps(&run), ["select-tier", "read-form", "read-form", "send-form"]);
    let [received] = &server.received()[..] else { panic!("one application") };
    assert_eq!(received.form.text("email"), Some(applicant::EMAIL));
    assert_eq!(received.form.text("question_7"), Some("Rain on leaves."));
    let resume = received.form.file("resume").expect("the résumé");
    assert_eq!((resume.filename.as_str(), &resume.bytes[..]), (applicant::RESUME_NAME, applicant::RESUME));
    assert!(!format!("{run:?}").contains(KEY) && !house.worker.log_tail(1_000).contains(KEY), "the key is nowhere");

    // What the person answered is known from now on, whoever asks; and nobody else's application is doubled by a lost answer.
    server.served.faults().push_on("POST".parse().expect("a method"), Fault::AnswerLost);
    let arrived = |task: &TaskView| {
        assert_eq!(task.reason, "in_doubt");
        json!({ "submitted": true })
    };
    let (run, asked) = house.ended(&house.apply_at(url).await, arrived).await;
    assert_eq!((run.run.status.as_str(), asked), ("succeeded", vec!["in_doubt".to_owned()]));
    assert_eq!(server.received().len(), 2);
    assert_eq!(server.served.violations(), []);
    house.no_browser_is_left("without any").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_system_does_not_take_goes_on_in_a_browser_and_a_closed_job_ends() {
    let server = greenhouse().await;
    let settings =
        vec![("VALET_GREENHOUSE_URL", server.served.url()), ("VALET_GREENHOUSE_KEYS", "green=wrong".to_owned())];
    let house = House::start_set(2, settings).await;
    let url = "https://boards.greenhouse.io/green/jobs/127817";
    let run = house.apply_at(url).await;
    // The page itself is not on this machine: that a browser is asked for is enough.
    let detail = until("a browser to be asked for", APPLICATION_MAX, async || {
        let detail = house.client.run(&run).await.map_err(|error| error.to_string())?;
        for task in detail.tasks.iter().filter(|task| task.state == "open") {
            let _ = house.client.answer(&task.id, json!({ "q1": "Rain on leaves." }), &task.id).await;
        }
        if steps(&detail).contains(&"provision") { Ok(detail) } else { Err(format!("{:?}", steps(&detail))) }
    })
    .await;
    let choice = detail.steps.iter().rfind(|step| step.name == "select-tier").expect("a choice");
    let reasons = choice.output.as_ref().expect("an output")["reasons"].to_string();
    assert!(reasons.contains("not direct: it did not serve this application"), "{reasons}");
    assert_eq!(server.received().len(), 0);
    house.client.cancel(&run, "seen enough").await.expect("cancelled");

    server.close("green", 127_817);
    let (run, _) = house.ended(&house.apply_at(url).await, |_| Value::Null).await;
    assert_eq!(run.error.expect("an error").code, "posting_closed");
    assert_eq!(server.served.violations(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn lever_merges_what_a_lost_answer_leaves_open_and_recruitee_needs_no_key() {
    let (lever, recruitee) = (Lever::start().await.expect("a server"), Recruitee::start().await.expect("a server"));
    lever.site("green", KEY);
    lever.put_posting("green", POSTING);
    recruitee.put_offer("gardener", &[]);
    let settings = vec![
        ("VALET_LEVER_URL", lever.served.url()),
        ("VALET_LEVER_KEYS", format!("green={KEY}")),
        ("VALET_RECRUITEE_URL", recruitee.served.url()),
    ];
    let house = House::start_set(2, settings).await;
    lever.served.faults().push_on("POST".parse().expect("a method"), Fault::AnswerLost);
    let at_lever = house.apply_at(&format!("https://jobs.lever.co/green/{POSTING}")).await;
    let (run, asked) = house.ended(&at_lever, |_| Value::Null).await;
    assert_eq!((run.run.status.as_str(), asked.len()), ("succeeded", 0), "{:?}", run.error);
    assert_eq!(steps(&run), ["select-tier", "read-form", "send-form", "check-form"]);
    assert_eq!((lever.received().len(), lever.candidates()), (2, 1), "one candidate, whatever was lost");

    let (run, asked) =
        house.ended(&house.apply_at("https://green.recruitee.com/o/gardener").await, |_| Value::Null).await;
    assert_eq!((run.run.status.as_str(), asked.len()), ("succeeded", 0), "{:?}", run.error);
    let [received] = &recruitee.received()[..] else { panic!("one application") };
    assert_eq!(received.form.text("candidate[name]"), Some("Zoë O'Hara-Łuk"));
    assert_eq!((lever.served.violations(), recruitee.served.violations()), (vec![], vec![]));
}
