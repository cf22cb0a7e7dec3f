//! kill -9 while an application is filled and while it is sent: it still arrives exactly once, or a person is asked whether it did.

use std::time::Duration;

use futures::future::join_all;
use valet_board::{Expectation, FormKind};
use valet_tests::wait::until_true;

use super::applicant::differences;
use super::house::{Filed, House};

/// Both forms, several at once: whatever is killed has all of them in hand.
const APPLICATIONS: [(FormKind, u32); 3] = [(FormKind::Simple, 101), (FormKind::Steps, 102), (FormKind::Steps, 103)];
/// Until a step is seen at work, other builds on this machine included.
const AT_WORK_MAX: Duration = Duration::from_mins(1);
/// From the first sight of a sending to the kill: around the mark that it begins, around the click, around its answer.
const THEN: [Duration; 3] = [Duration::ZERO, Duration::from_millis(60), Duration::from_millis(200)];

#[derive(Clone, Copy)]
enum Victim {
    Worker,
    Engine,
}

impl House {
    async fn kill(&mut self, victim: Victim) {
        match victim {
            Victim::Worker => self.restart_worker().await,
            Victim::Engine => self.restart_engine().await,
        }
    }

    async fn start_all(&self, applications: &[(FormKind, u32)]) -> Vec<(FormKind, u32, String)> {
        let applicant = self.applicant();
        join_all(applications.iter().map(async |&(form, seed)| (form, seed, applicant.start(form, seed).await))).await
    }

    /// Waits until one of the runs has this step at work, the first time that it is tried.
    async fn at_work(&self, runs: &[(FormKind, u32, String)], step: &str) {
        until_true(&format!("{step} to be at work"), AT_WORK_MAX, async || {
            for (_, _, run) in runs {
                let detail = self.client.run(run).await.expect("the run is known");
                if detail.steps.iter().any(|at| at.name == step && at.state == "running") {
                    return true;
                }
            }
            false
        })
        .await;
    }

    /// Every run succeeded, and what arrived is right, and arrived once. Answers how often people were asked whether it arrived.
    async fn all_arrive_once(&self, runs: &[(FormKind, u32, String)]) -> usize {
        let filed = join_all(runs.iter().map(|(form, seed, run)| self.follow(*form, *seed, run))).await;
        let mut doubts = 0;
        for ((form, seed, id), Filed { run, asked, received, took }) in runs.iter().zip(filed) {
            let asked: Vec<&str> = asked.iter().map(|task| task.reason.as_str()).collect();
            eprintln!("{form:?}/{seed}: {} after {took:.1?}, asked {asked:?}", run.run.status);
            assert_eq!(run.run.status, "succeeded", "{id}: {:?}", run.error);
            let wrong = differences(&Expectation::of(*form, *seed), &received);
            assert!(wrong.is_empty(), "{form:?}/{seed} ({id}): {}", wrong.join("; "));
            assert_eq!(run.steps.iter().filter(|step| step.name == "provision").count(), 1, "one browser");
            doubts += asked.iter().filter(|reason| **reason == "in_doubt").count();
        }
        doubts
    }
}

async fn killed_while_filling(victim: Victim) {
    let mut house = House::start(3).await;
    let runs = house.start_all(&APPLICATIONS).await;
    house.at_work(&runs, "fill-page").await;
    house.kill(victim).await;
    let doubts = house.all_arrive_once(&runs).await;
    assert_eq!(doubts, 0, "nothing was sent yet, so nobody has to be asked");
}

async fn killed_while_sending(victim: Victim) {
    let mut house = House::start(3).await;
    let mut doubts = 0;
    for (seed, then) in (111..).zip(THEN) {
        let runs = house.start_all(&[(FormKind::Simple, seed)]).await;
        house.at_work(&runs, "submit").await;
        // Not to wait for anything: to be killed elsewhere each time. All instants have to end well.
        tokio::time::sleep(then).await;
        house.kill(victim).await;
        doubts += house.all_arrive_once(&runs).await;
    }
    // The last is killed the moment its application is there: the click happened, and nobody was told.
    let mut arrivals = house.board.received().arrivals();
    let runs = house.start_all(&[(FormKind::Steps, 114)]).await;
    let arrived = tokio::time::timeout(AT_WORK_MAX, next_arrival(&house, &runs, &mut arrivals)).await;
    assert!(arrived.expect("an application arrives in time"), "an application arrives");
    house.kill(victim).await;
    doubts += house.all_arrive_once(&runs).await;
    eprintln!("people were asked {doubts} times whether it arrived");
}

/// Answers questions until the board takes the next application.
async fn next_arrival(
    house: &House,
    runs: &[(FormKind, u32, String)],
    arrivals: &mut tokio::sync::watch::Receiver<u64>,
) -> bool {
    let following = join_all(runs.iter().map(|(form, seed, run)| house.follow(*form, *seed, run)));
    tokio::select! {
        biased;
        arrived = arrivals.changed() => arrived.is_ok(),
        _ = following => false,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_killed_while_it_fills_loses_nothing_and_sends_once() {
    killed_while_filling(Victim::Worker).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_killed_while_a_page_is_filled_loses_nothing_and_sends_once() {
    killed_while_filling(Victim::Engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_killed_while_it_sends_never_sends_twice() {
    killed_while_sending(Victim::Worker).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_killed_while_an_application_is_sent_never_sends_twice() {
    killed_while_sending(Victim::Engine).await;
}
