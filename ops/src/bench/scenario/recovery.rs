//! A worker is killed, stands still or is cut off while it holds steps; then the engine is killed.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};
use valet_workflows::bench::BenchInput;

use super::Bench;
use crate::bench::bounds::{LOOK_EVERY, ROUND_MAX};
use crate::bench::check::Wanted;
use crate::bench::load::until_done;
use crate::bench::report::Round;
use crate::bench::stack::{BenchError, Fault};

/// Longer than a lease, so that a killed worker's step cannot have ended by itself, and short enough to wait for.
const STEP: Duration = Duration::from_secs(12);

impl Bench<'_> {
    pub(super) async fn recovery(&mut self) -> Result<Round, BenchError> {
        let fault = self.args.fault;
        if fault == Fault::CutOff {
            self.own()?.restart_worker_on_lines().await?;
        }
        let (since, before, began) = self.begin().await?;
        let holding = BenchInput { steps: 1, step_ms: STEP.as_millis() as u64, ..BenchInput::default() };
        self.load.all_at_once(Self::starts(self.runs, &holding), self.args.conns).await?;
        let held = self.until_granted(i64::from(self.runs)).await?;
        // Its successor stands by before it is needed.
        self.own()?.start_worker()?;
        let failed = Instant::now();
        self.own()?.fail_worker(fault).await?;
        self.until_others_have(held).await?;
        let worker_s = failed.elapsed().as_secs_f64();
        // While all steps are granted to the successor, the engine dies: it must know them again, and take new work.
        let killed = Instant::now();
        let engine_ready_s = self.own()?.restart_engine().await?.as_secs_f64();
        let probe = BenchInput { steps: 1, ..BenchInput::default() };
        let probe = self.load.all_at_once(Self::starts(1, &probe), 1).await?;
        self.until_ended(&probe[0].id).await?;
        let engine_s = killed.elapsed().as_secs_f64();
        until_done(&self.pool).await?;
        self.own()?.end_faulty().await?;
        let mut round = self.end(before, began, Wanted::of(self.runs + 1, 1), since).await?;
        // Rates of a round that mostly waits say nothing.
        round.figures.clear();
        round.processes.remove("cpu_us_per_step");
        let figures = [
            ("recover_s", worker_s.max(engine_s)),
            ("worker_recover_s", worker_s),
            ("engine_recover_s", engine_s),
            ("engine_ready_s", engine_ready_s),
        ];
        round.figures.extend(figures);
        Ok(round)
    }

    /// Waits until so many steps are granted; answers by whom.
    async fn until_granted(&self, count: i64) -> Result<uuid::Uuid, BenchError> {
        let asked = async {
            loop {
                let sessions: Vec<(uuid::Uuid, i64)> = sqlx::query_as(
                    "/* valet bench */ SELECT session_id, count(*) FROM steps WHERE lease_id IS NOT NULL GROUP BY session_id",
                )
                .fetch_all(&self.pool)
                .await?;
                if let [(session, granted)] = sessions[..]
                    && granted == count
                {
                    return Ok::<_, BenchError>(session);
                }
                sleep(LOOK_EVERY).await;
            }
        };
        let late = |_| BenchError::Refused("one worker was not granted all steps: give it as many slots".to_owned());
        timeout(STEP, asked).await.map_err(late)?
    }

    /// Waits until the dead session holds nothing and each of its steps is granted to another.
    async fn until_others_have(&self, dead: uuid::Uuid) -> Result<(), BenchError> {
        let asked = async {
            loop {
                let (its, waiting): (i64, i64) = sqlx::query_as(
                    "/* valet bench */ SELECT count(*) FILTER (WHERE session_id = $1), count(*) FILTER (WHERE session_id IS NULL)
                     FROM steps",
                )
                .bind(dead)
                .fetch_one(&self.pool)
                .await?;
                if (its, waiting) == (0, 0) {
                    return Ok::<_, BenchError>(());
                }
                sleep(LOOK_EVERY).await;
            }
        };
        let late = |_| BenchError::Refused("the killed worker's steps were not granted to another".to_owned());
        timeout(ROUND_MAX, asked).await.map_err(late)?
    }

    async fn until_ended(&self, id: &str) -> Result<(), BenchError> {
        let run: valet_core::RunId =
            id.parse().map_err(|e: valet_core::id::IdError| BenchError::Refused(e.to_string()))?;
        let asked = async {
            loop {
                let ended = "/* valet bench */ SELECT EXISTS (SELECT 1 FROM finished_runs WHERE id = $1)";
                if sqlx::query_scalar(ended).bind(run.0).fetch_one(&self.pool).await? {
                    return Ok::<_, BenchError>(());
                }
                sleep(LOOK_EVERY).await;
            }
        };
        let late = |_| BenchError::Refused("the run after the engine's death did not end".to_owned());
        timeout(ROUND_MAX, asked).await.map_err(late)?
    }
}
