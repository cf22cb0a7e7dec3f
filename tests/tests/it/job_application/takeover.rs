//! A browser is worth more than the process that drives it: another worker goes on in it, and when its machine is gone the form is
//! begun anew in another one.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use valet_board::{Expectation, FormKind};
use valet_crash_points::{CrashPoint, Harm, Plan};
use valet_tests::bounds::START_MAX;
use valet_tests::wait::until;
use valet_workers::sandbox::process::end_sandbox;

use super::applicant::differences;
use super::house::{Filed, House};

/// Forms of several pages that ask a person something.
fn asking() -> impl Iterator<Item = u32> {
    (400..1_000).filter(|seed| Expectation::of(FormKind::Steps, *seed).free_question.is_some())
}

fn asking_seed() -> u32 {
    asking().next().expect("one of many seeds")
}

impl House {
    /// Starts an application and waits until it is parked for a person.
    async fn parked(&self, seed: u32) -> String {
        let run = self.applicant().start(FormKind::Steps, seed).await;
        until("the run to wait for a person", START_MAX, async || {
            let detail = self.client.run(&run).await.map_err(|error| error.to_string())?;
            if detail.tasks.iter().any(|task| task.state == "open") { Ok(()) } else { Err(detail.run.status) }
        })
        .await;
        run
    }

    /// kill -9 of the processes of all browsers that have this name.
    fn kill_in_sandboxes(&self, name: &str) -> usize {
        let pids = self.in_sandboxes(name).into_iter();
        pids.filter(|pid| kill(Pid::from_raw(*pid), Signal::SIGKILL).is_ok()).count()
    }
}

fn filed_in_one_browser(seed: u32, filed: &Filed) {
    assert_eq!(filed.run.run.status, "succeeded", "{:?}", filed.run.error);
    assert_eq!(differences(&Expectation::of(FormKind::Steps, seed), &filed.received), [""; 0]);
    for name in ["provision", "open-posting", "submit"] {
        let count = filed.run.steps.iter().filter(|step| step.name == name).count();
        assert_eq!(count, 1, "{name}: the same browser, where what was typed still stands");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_worker_goes_on_in_the_browser_that_waited_for_a_person() {
    let mut house = House::start(1).await;
    let seed = asking_seed();
    let run = house.parked(seed).await;
    house.worker.kill().await;
    let mut other = house.another_worker("other");
    other.start();
    let filed = house.follow(FormKind::Steps, seed, &run).await;
    filed_in_one_browser(seed, &filed);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_goes_on_even_when_the_driver_and_its_gate_were_killed() {
    it_goes_on_without(House::start(1).await, "chromedriver").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn so_it_does_in_firefox_whose_driver_and_gate_were_killed() {
    it_goes_on_without(House::start_set(1, vec![("VALET_BROWSER", "firefox".to_owned())]).await, "geckodriver").await;
}

async fn it_goes_on_without(mut house: House, driver: &str) {
    // A name as the kernel keeps it: 15 characters.
    let gate = "valet-under-tes";
    let killed = [&[driver][..], &[gate], &[gate, driver]];
    for (what, seed) in killed.into_iter().zip(asking()) {
        let run = house.parked(seed).await;
        house.worker.kill().await;
        for name in what {
            assert_eq!(house.kill_in_sandboxes(name), 1, "{name} was there");
        }
        let mut other = house.another_worker("other");
        other.start();
        let filed = house.follow(FormKind::Steps, seed, &run).await;
        filed_in_one_browser(seed, &filed);
        other.stop().await;
        house.worker.start();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_that_is_gone_is_replaced_and_the_form_begun_anew() {
    let house = House::start(1).await;
    let seed = asking_seed();
    let run = house.parked(seed).await;
    for folder in house.browsers_left() {
        assert_eq!(end_sandbox(&folder, None, START_MAX).await, 0);
    }
    let filed = house.follow(FormKind::Steps, seed, &run).await;
    assert_eq!(filed.run.run.status, "succeeded", "{:?}", filed.run.error);
    assert_eq!(differences(&Expectation::of(FormKind::Steps, seed), &filed.received), [""; 0]);
    assert_eq!(filed.asked.len(), 1, "what a person said is still known");
    assert_eq!(filed.run.steps.iter().filter(|step| step.name == "provision").count(), 2);
    assert!(house.browsers_left().is_empty(), "{:?}", house.browsers_left());
}

/// The code is asked for after the form was sent: the application may be in, so nobody sends it again unasked.
#[tokio::test(flavor = "multi_thread")]
async fn a_browser_that_is_gone_after_it_sent_leaves_the_decision_to_a_person() {
    let house = House::start(1).await;
    let seed = 11;
    let run = house.applicant().start(FormKind::Code, seed).await;
    let task = until("the code to be asked for", START_MAX, async || {
        let detail = house.client.run(&run).await.map_err(|error| error.to_string())?;
        let open = detail.tasks.into_iter().find(|task| task.state == "open" && task.reason == "code");
        open.ok_or(detail.run.status)
    })
    .await;
    for folder in house.browsers_left() {
        assert_eq!(end_sandbox(&folder, None, START_MAX).await, 0);
    }
    let filed = house.follow(FormKind::Code, seed, &run).await;
    assert_eq!(filed.run.run.status, "succeeded", "{:?}", filed.run.error);
    assert_eq!(differences(&Expectation::of(FormKind::Code, seed), &filed.received), [""; 0]);
    let asked: Vec<&str> = filed.asked.iter().map(|task| task.reason.as_str()).collect();
    let about_sending: Vec<&str> = asked.iter().copied().filter(|reason| *reason != "unknown_question").collect();
    assert_eq!(about_sending, ["code", "in_doubt", "code"], "{asked:?}");
    assert_eq!(filed.asked.iter().find(|asked| asked.reason == "code").map(|asked| &asked.id), Some(&task.id));
    assert_eq!(filed.run.steps.iter().filter(|step| step.name == "provision").count(), 2);
}

/// Nothing is left that could tell, and the site did receive it.
#[tokio::test(flavor = "multi_thread")]
async fn an_application_that_went_out_with_its_browser_is_settled_by_a_person() {
    let mut house = House::start(1).await;
    house.worker.stop().await;
    let seed = 12;
    let mut sender = house.another_worker("sender");
    // It stands still before it can read what the site says, while its browser goes on.
    sender.start_armed(Plan::first(CrashPoint::WorkerClickAfter, Harm::Stop));
    let run = house.applicant().start(FormKind::Simple, seed).await;
    until("the form to be sent and its sender to stand still", START_MAX, async || {
        let sent = house.received(FormKind::Simple, seed).len();
        if sent == 1 && sender.is_stopped() { Ok(()) } else { Err(format!("{sent} received")) }
    })
    .await;
    sender.kill().await;
    for folder in house.browsers_left() {
        assert_eq!(end_sandbox(&folder, None, START_MAX).await, 0);
    }
    house.worker.start();
    let filed = house.follow(FormKind::Simple, seed, &run).await;
    assert_eq!(filed.run.run.status, "succeeded", "{:?}", filed.run.error);
    assert_eq!(differences(&Expectation::of(FormKind::Simple, seed), &filed.received), [""; 0]);
    let asked: Vec<&str> = filed.asked.iter().map(|task| task.reason.as_str()).collect();
    assert_eq!(asked, ["in_doubt"]);
    assert_eq!(filed.run.output.expect("a receipt")["confirmation"], "confirmed by a person");
    assert_eq!(filed.run.steps.iter().filter(|step| step.name == "provision").count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_is_gone_is_replaced_by_another() {
    let mut house = House::start(1).await;
    let seed = asking_seed();
    let run = house.parked(seed).await;
    house.worker.kill().await;
    for folder in house.browsers_left() {
        assert_eq!(end_sandbox(&folder, None, START_MAX).await, 0);
    }
    let mut other = house.worker_of_another_host("other");
    other.start();
    let filed = house.follow(FormKind::Steps, seed, &run).await;
    assert_eq!(filed.run.run.status, "succeeded", "{:?}", filed.run.error);
    assert_eq!(differences(&Expectation::of(FormKind::Steps, seed), &filed.received), [""; 0]);
    assert_eq!(filed.asked.len(), 1, "what a person said is still known");
    let attempts: Vec<(&str, &str)> = filed
        .run
        .steps
        .iter()
        .filter(|step| ["provision", "cleanup", "submit"].contains(&step.name.as_str()))
        .map(|step| (step.name.as_str(), step.state.as_str()))
        .collect();
    assert_eq!(attempts.iter().filter(|(name, _)| *name == "provision").count(), 2, "{attempts:?}");
    assert_eq!(attempts.iter().filter(|(name, _)| *name == "submit").count(), 1, "{attempts:?}");
}
