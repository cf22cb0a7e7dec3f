//! Runs that wait: what they cost, how fast an engine comes back to them, how fast they go on.

use tokio::time::{Instant, sleep};
use valet_workflows::bench::BenchInput;

use super::Bench;
use crate::bench::bounds::SETTLE;
use crate::bench::check::Wanted;
use crate::bench::load::{until_done, until_no_steps};
use crate::bench::meter::{Meter, rss_mb};
use crate::bench::report::Round;
use crate::bench::stack::BenchError;

impl Bench<'_> {
    pub(super) async fn parked(&mut self) -> Result<Round, BenchError> {
        let input = BenchInput { steps: self.steps, park: true, ..BenchInput::default() };
        let (since, before, began) = self.begin().await?;
        let runs = self.load.all_at_once(Self::starts(self.runs, &input), self.args.conns).await?;
        until_no_steps(&self.pool).await?;
        let start_s = began.elapsed().as_secs_f64();
        let after = self.meter.read(&self.pids()).await?;
        let mut round = Round::default();
        // One step each before the wait.
        Meter::per_step(&before, &after, f64::from(self.runs), &mut round);
        let waiting: i64 = sqlx::query_scalar("/* valet bench */ SELECT count(*) FROM runs WHERE status = 'waiting'")
            .fetch_one(&self.pool)
            .await?;
        if waiting != i64::from(self.runs) {
            return Err(BenchError::Refused(format!("{waiting} of {} runs wait for their signal", self.runs)));
        }
        sleep(SETTLE).await;
        let rss_parked = rss_mb(&self.pids());
        let recover_s = self.own()?.restart_engine().await?.as_secs_f64();
        sleep(SETTLE).await;
        let rss_restarted = rss_mb(&self.pids());
        let releasing = Instant::now();
        self.load.release(runs, self.args.conns).await?;
        let told_s = releasing.elapsed().as_secs_f64();
        until_done(&self.pool).await?;
        let release_s = releasing.elapsed().as_secs_f64();
        let wanted = Wanted::of(self.runs, self.steps);
        let Round { seconds, check, .. } = self.end(before, began, wanted, since).await?;
        round.seconds = seconds;
        round.check = check;
        let figures = [
            ("start_s", start_s),
            ("recover_s", recover_s),
            ("signals_s", told_s),
            ("release_s", release_s),
            ("runs_per_s", f64::from(self.runs) / start_s),
        ];
        round.figures.extend(figures);
        round.processes.insert("rss_mb", rss_parked);
        round.processes.insert("rss_mb_after_restart", rss_restarted);
        Ok(round)
    }
}
