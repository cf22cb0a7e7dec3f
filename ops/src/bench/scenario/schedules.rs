//! Schedules that are all due in the same minute.

use std::time::Duration;

use chrono::{DurationRound as _, TimeDelta};
use serde_json::json;
use tokio::time::sleep;
use valet_workflows::bench::BenchInput;

use super::Bench;
use crate::bench::check::{Wanted, now};
use crate::bench::load::{until, until_done};
use crate::bench::report::{Latency, Round};
use crate::bench::stack::BenchError;

/// So long before the minute they begin to be made, and all must be there.
const LEAD: TimeDelta = TimeDelta::seconds(30);
const LOOK_EVERY: Duration = Duration::from_millis(200);

impl Bench<'_> {
    /// The latency is that from the minute to the first journal entry of each schedule's run.
    pub(super) async fn schedules(&self) -> Result<Round, BenchError> {
        let minute = TimeDelta::minutes(1);
        let due = loop {
            let now = now(&self.pool).await?;
            let next = now.duration_trunc(minute).map_err(|e| BenchError::Refused(e.to_string()))? + minute;
            if next - now > LEAD {
                break next;
            }
            sleep(LOOK_EVERY).await;
        };
        let (since, before, began) = self.begin().await?;
        let input = BenchInput { steps: self.steps, ..BenchInput::default() };
        let schedule =
            json!({ "workflow": "bench", "cron": "* * * * *", "run": { "input": input, "subject": "bench" } });
        let names: Vec<String> = (0..self.runs).map(|n| format!("bench-{n}")).collect();
        let all = names.iter().map(|name| (name.clone(), schedule.clone())).collect();
        self.load.put_schedules(all, self.args.conns).await?;
        if now(&self.pool).await? >= due {
            return Err(BenchError::Refused(format!(
                "{} schedules were not made within {LEAD}: ask for fewer",
                self.runs
            )));
        }
        let started = "/* valet bench */ SELECT NOT EXISTS (SELECT FROM schedules s WHERE NOT EXISTS (
                           SELECT FROM schedule_fires f WHERE f.schedule_id = s.id AND f.state = 'started'))";
        until(&self.pool, "each schedule has started its run", LOOK_EVERY, started).await?;
        // Before the next minute.
        self.load.remove_schedules(names, self.args.conns).await?;
        until_done(&self.pool).await?;
        let mut round = self.end(before, began, Wanted::of(self.runs, self.steps), since).await?;
        // Most of the round is waiting for the minute.
        round.figures.clear();
        let late: Vec<f64> = sqlx::query_scalar(
            "/* valet bench */ SELECT extract(epoch FROM created_at - $1)::float8 * 1000 FROM finished_runs
             WHERE tenant = 'default' AND workflow = 'bench' AND created_at >= $2",
        )
        .bind(due)
        .bind(since)
        .fetch_all(&self.pool)
        .await?;
        round.latency_ms = Latency::of(late);
        Ok(round)
    }
}
