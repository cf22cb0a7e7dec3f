//! A worker that is stopped right before the click that sends, and goes on when its lease has long ended: its browser
//! belongs to another worker by then, and the gate refuses the old click.

use valet_board::{Application, Expectation, FormKind};
use valet_crash_points::{CrashPoint, Harm, Plan};
use valet_protocol::api::{RunDetail, TaskView};
use valet_tests::Process;
use valet_tests::bounds::SOON;
use valet_tests::wait::{until, until_true};

use super::job_application::applicant::differences;
use super::job_application::house::{APPLICATION_MAX, House};

const FORM: FormKind = FormKind::Simple;

/// An application that one worker was about to send, and another took over.
struct Scene {
    /// Ends first, so that it does not start a browser anew that the house ended.
    second: Process,
    house: House,
    seed: u32,
    run: String,
    asked: Vec<TaskView>,
}

impl Scene {
    /// The first worker stands right before its click; the second takes over, and stops where it is told to.
    async fn set(seed: u32, second_stops: CrashPoint) -> Self {
        let mut house = House::start(1).await;
        house.worker.stop().await;
        house.worker.start_armed(Plan::first(CrashPoint::WorkerClickBefore, Harm::Stop));
        let run = house.applicant().start(FORM, seed).await;
        until_true("the first worker to stop before its click", APPLICATION_MAX, async || house.worker.is_stopped())
            .await;
        let mut second = house.another_worker("second");
        second.start_armed(Plan::first(second_stops, Harm::Stop));
        let mut scene = Self { second, house, seed, run, asked: Vec::new() };
        scene.second_stops().await;
        scene
    }

    async fn second_stops(&mut self) {
        let Self { house, second, seed, run, asked } = self;
        until_true("the second worker to stop", APPLICATION_MAX, async || {
            let ended = house.look(FORM, *seed, run, asked).await;
            assert!(ended.is_none(), "the run ended: {:?}", ended.map(|run| run.run.status));
            second.is_stopped()
        })
        .await;
    }

    /// The first worker goes on, and its click is refused.
    async fn the_old_click_is_refused(&mut self) {
        let before = self.house.worker.said();
        assert!(!before.contains("stale_fence"), "nothing was refused while it stood still");
        self.house.worker.thaw();
        let worker = &self.house.worker;
        let told = until("the first worker to say that it was refused", SOON, async || {
            let said = worker.said();
            said.lines()
                .find(|line| line.contains("stale_fence"))
                .map(ToOwned::to_owned)
                .ok_or_else(|| "silence".into())
        })
        .await;
        let id = self.run.trim_start_matches("run_");
        assert!(told.contains(id), "it names the run: {told}");
    }

    async fn ended(&mut self) -> RunDetail {
        let Self { house, seed, run, asked, .. } = self;
        until("the run to end", APPLICATION_MAX, async || {
            house.look(FORM, *seed, run, asked).await.ok_or_else(|| "it goes on".to_owned())
        })
        .await
    }

    /// The run succeeded with one application, after one question whether it arrived.
    async fn all_is_well(mut self) {
        self.second.thaw();
        let run = self.ended().await;
        assert_eq!(run.run.status, "succeeded", "{:?}", run.error);
        let wrong = differences(&Expectation::of(FORM, self.seed), &self.received());
        assert!(wrong.is_empty(), "{}", wrong.join("; "));
        let asked: Vec<&str> = self.asked.iter().map(|task| task.reason.as_str()).collect();
        assert_eq!(asked, ["in_doubt"], "nobody but the board knew whether the first click had happened");
    }

    fn received(&self) -> Vec<Application> {
        self.house.received(FORM, self.seed)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_click_after_another_worker_sent_is_refused_as_stale_fence() {
    let mut scene = Scene::set(401, CrashPoint::WorkerFinalizerBefore).await;
    assert_eq!(scene.received().len(), 1, "the second worker has sent");
    scene.the_old_click_is_refused().await;
    assert_eq!(scene.received().len(), 1, "the old click sent nothing");
    scene.all_is_well().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_click_on_a_form_that_another_worker_filled_is_refused_as_stale_fence() {
    let mut scene = Scene::set(402, CrashPoint::WorkerClickBefore).await;
    assert_eq!(scene.received().len(), 0, "the second worker is about to send");
    scene.the_old_click_is_refused().await;
    assert_eq!(scene.received().len(), 0, "the form stands there, and the old click did not send it");
    scene.all_is_well().await;
}
