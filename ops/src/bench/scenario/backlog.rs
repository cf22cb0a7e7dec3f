//! A queue with a million ready steps against one with a thousand.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::{Connection as _, PgConnection};
use tokio::time::{Instant, sleep};
use valet_engine::codec::MasterKeys;
use valet_workflows::bench::QUEUE;

use super::Bench;
use crate::bench::bounds::SETTLE;
use crate::bench::check::{Wanted, check, now};
use crate::bench::load::until_done;
use crate::bench::meter::{redis_mb, rss_mb};
use crate::bench::report::Round;
use crate::bench::seeder::{BATCH_RUNS, Seeder, Share};
use crate::bench::stack::BenchError;

/// Ready steps of the short backlog, and how often it is worked off: one time takes a fraction of a second.
const SHORT: u32 = 1_000;
const SHORT_TIMES: u32 = 10;
/// How long the long backlog is watched, unless it is over before.
const WINDOW: Duration = Duration::from_secs(10);
/// How long is looked for grants after a pause was answered.
const PAUSE_WATCHED: Duration = Duration::from_secs(3);

impl Bench<'_> {
    pub(super) async fn backlog(&mut self) -> Result<Round, BenchError> {
        let since = now(&self.pool).await?;
        let began = Instant::now();
        let (database, secrets, redis) = {
            let place = &self.own()?.place;
            let secrets = std::fs::read_to_string(place.folder.join("secret.key"))?;
            (place.stack.database_url().to_owned(), secrets, place.stack.redis_url().to_owned())
        };
        let masters = MasterKeys::parse(&secrets)
            .ok_or_else(|| BenchError::Refused("the benchmark's own key cannot be read".to_owned()))?;
        let seeder = Seeder::new(&database, &masters, self.steps).await?;
        let mut connection = PgConnection::connect(&database).await?;

        let mut short_s = 0.0;
        for _ in 0..SHORT_TIMES {
            self.load.pause_queue(QUEUE).await?;
            seed(&seeder, &mut connection, SHORT).await?;
            let working = Instant::now();
            self.load.resume_queue(QUEUE).await?;
            until_done(&self.pool).await?;
            short_s += working.elapsed().as_secs_f64();
        }
        let short_rate = f64::from(SHORT * SHORT_TIMES) * f64::from(self.steps) / short_s;

        let redis_before = redis_mb(&redis).await?;
        self.load.pause_queue(QUEUE).await?;
        let seeding = Instant::now();
        seed(&seeder, &mut connection, self.runs).await?;
        let seed_s = seeding.elapsed().as_secs_f64();
        self.load.resume_queue(QUEUE).await?;
        let (rate, redis_during) = self.watched(since, &redis).await?;
        let pause_s = self.pause(&mut connection).await?;
        sleep(SETTLE).await;
        let redis_paused = redis_mb(&redis).await?;
        self.load.resume_queue(QUEUE).await?;
        until_done(&self.pool).await?;

        let runs = self.runs + SHORT * SHORT_TIMES;
        let mut round = Round { seconds: began.elapsed().as_secs_f64(), ..Round::default() };
        let figures = [
            ("steps_per_s", rate),
            ("steps_per_s_of_1000_ready", short_rate),
            ("seed_s", seed_s),
            ("pause_s", pause_s),
            ("redis_mb_before", redis_before),
            ("redis_mb", redis_during),
            ("redis_mb_paused", redis_paused),
        ];
        round.figures.extend(figures);
        round.processes.insert("rss_mb", rss_mb(&self.pids()));
        round.check = check(&self.pool, since, Wanted::of(runs, self.steps)).await?;
        connection.close().await?;
        Ok(round)
    }

    /// Results a second while the backlog is long, and what Redis holds meanwhile.
    async fn watched(&self, since: DateTime<Utc>, redis: &str) -> Result<(f64, f64), BenchError> {
        // Tickets are flowing by then.
        sleep(Duration::from_secs(1)).await;
        let (first, began) = (self.accepted(since).await?, Instant::now());
        let half = WINDOW / 2;
        sleep(half).await;
        let during = redis_mb(redis).await?;
        sleep(WINDOW.saturating_sub(began.elapsed())).await;
        let (last, seconds) = (self.accepted(since).await?, began.elapsed().as_secs_f64());
        Ok(((last - first) as f64 / seconds, during))
    }

    async fn accepted(&self, since: DateTime<Utc>) -> Result<i64, BenchError> {
        // Ended runs hold the only results of this scenario but for those on their way.
        let count =
            "/* valet bench */ SELECT count(*) FROM finished_runs WHERE tenant = 'default' AND created_at >= $1";
        let ended: i64 = sqlx::query_scalar(count).bind(since).fetch_one(&self.pool).await?;
        Ok(ended * i64::from(self.steps))
    }

    /// Seconds from the pause's answer to the last grant after it; 0 when there was none.
    async fn pause(&self, connection: &mut PgConnection) -> Result<f64, BenchError> {
        self.load.pause_queue(QUEUE).await?;
        let paused_at = now(&self.pool).await?;
        let watching = Instant::now();
        let mut last: f64 = 0.0;
        while watching.elapsed() < PAUSE_WATCHED {
            let late: Option<f64> = sqlx::query_scalar(
                "/* valet bench */ SELECT extract(epoch FROM max(granted_at) - $1)::float8 FROM steps
                 WHERE lease_id IS NOT NULL AND granted_at > $1",
            )
            .bind(paused_at)
            .fetch_one(&mut *connection)
            .await?;
            last = last.max(late.unwrap_or_default());
        }
        Ok(last)
    }
}

async fn seed(seeder: &Seeder, connection: &mut PgConnection, runs: u32) -> Result<(), BenchError> {
    let week = sqlx::query("SELECT ensure_week((extract(epoch FROM now()) / 604800)::int)");
    week.execute(&mut *connection).await?;
    let mut made = 0;
    while made < runs {
        let share = Share { first: made, runs: BATCH_RUNS.min(runs - made), of: runs };
        let at: DateTime<Utc> =
            sqlx::query_scalar("/* valet bench */ SELECT clock_timestamp()").fetch_one(&mut *connection).await?;
        seeder.ready(connection, share, at).await?;
        made += share.runs;
    }
    Ok(())
}
