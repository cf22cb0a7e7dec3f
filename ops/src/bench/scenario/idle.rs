//! Nothing to do.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::Bench;
use crate::bench::bounds::QUIET_AFTER;
use crate::bench::check::{Wanted, check, now};
use crate::bench::meter::{Meter, rss_mb};
use crate::bench::report::Round;
use crate::bench::stack::BenchError;

impl Bench<'_> {
    pub(super) async fn idle(&self) -> Result<Round, BenchError> {
        sleep(QUIET_AFTER).await;
        let since = now(&self.pool).await?;
        let began = Instant::now();
        let before = self.meter.read(&self.pids()).await?;
        sleep(Duration::from_secs(self.args.seconds.into())).await;
        let after = self.meter.read(&self.pids()).await?;
        let mut round = Round { seconds: began.elapsed().as_secs_f64(), ..Round::default() };
        Meter::per_time(&before, &after, &mut round);
        round.processes.insert("rss_mb", rss_mb(&self.pids()));
        round.check = check(&self.pool, since, Wanted::default()).await?;
        Ok(round)
    }
}
