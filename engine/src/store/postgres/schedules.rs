//! Schedules and what became of their instants.

use std::time::Duration;

use uuid::Uuid;
use valet_core::Timestamp;
use valet_core::id::RunId;

use super::{PgStore, audited, bounded, millis};
use crate::access::Reach;
use crate::audit::Deed;
use crate::bounds::{FIRES_WAITING_MAX, SCHEDULES_MAX, SCHEDULES_PER_LOOK_MAX};
use crate::schedule::plan::{Fate, LiveRun, Plan, Waiting};
use crate::schedule::{Cron, Overlap, Standing, When};
use crate::store::StoreError;

/// A schedule that is to be kept.
#[derive(Clone, Debug)]
pub struct NewSchedule<'a> {
    pub tenant: &'a str,
    pub name: &'a str,
    pub workflow: &'a str,
    pub subject: &'a str,
    pub cron: Option<&'a str>,
    pub at: Option<Timestamp>,
    pub zone: &'a str,
    pub overlap: Overlap,
    pub catch_up_s: u32,
    /// The start of each run, as its request says it.
    pub run: &'a [u8],
    pub request_hash: &'a [u8],
    pub next_at: Option<Timestamp>,
}

#[derive(Clone, Debug, sqlx::FromRow)]
pub struct ScheduleRecord {
    pub id: Uuid,
    pub name: String,
    pub workflow: String,
    pub subject: String,
    pub cron: Option<String>,
    pub at: Option<Timestamp>,
    pub zone: String,
    pub overlap: String,
    pub catch_up_s: i32,
    body: Vec<u8>,
    pub request_hash: Vec<u8>,
    pub paused: bool,
    pub next_at: Option<Timestamp>,
    pub missed_from: Option<Timestamp>,
    pub missed_until: Option<Timestamp>,
    pub created_at: Timestamp,
    pub created_by: String,
    pub last_at: Option<Timestamp>,
    pub last_state: Option<String>,
    pub last_run: Option<Uuid>,
    pub last_reason: Option<String>,
}

impl ScheduleRecord {
    /// None if this build does not understand what was stored.
    pub fn when(&self) -> Option<When> {
        when(self.cron.as_deref(), self.at, &self.zone)
    }
}

fn when(cron: Option<&str>, at: Option<Timestamp>, zone: &str) -> Option<When> {
    match (cron, at) {
        // It ran some day when it was put: that is enough.
        (Some(cron), _) => Cron::parse(cron, zone, Timestamp::UNIX_EPOCH).ok().map(Box::new).map(When::Cron),
        (None, at) => at.map(When::Once),
    }
}

/// What became of an instant.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct FireRecord {
    pub at: Timestamp,
    pub origin: String,
    pub overlap: String,
    pub state: String,
    pub reason: Option<String>,
    pub run_id: Option<Uuid>,
    pub moved_at: Timestamp,
}

/// What an engine asks while nothing is due.
#[derive(Clone, Copy, Debug, sqlx::FromRow)]
pub struct NextSchedule {
    due_in_s: Option<f64>,
    /// Some instant waits for a run to end.
    pub waits: bool,
    /// Some run was to be started, and its engine did not say that it was.
    pub was_left: bool,
    /// A bulk operation is at work.
    pub bulk: bool,
}

impl NextSchedule {
    /// How long until a schedule is due; `None`: none will be.
    pub fn due_in(&self) -> Option<Duration> {
        self.due_in_s.map(|seconds| Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX))
    }
}

/// A schedule with something to do, and the look at it.
#[derive(Clone, Debug)]
pub struct DueSchedule {
    pub id: Uuid,
    turn: i64,
    pub now: Timestamp,
    /// None if this build does not understand what was stored.
    pub standing: Option<Standing>,
    /// Instants whose runs have ended.
    ended: Vec<Timestamp>,
}

impl DueSchedule {
    /// Carrying the plan out would change something.
    pub fn is_moved_by(&self, plan: &Plan) -> bool {
        let stands = self.standing.as_ref().is_some_and(|standing| standing.next_at == plan.next_at);
        !stands || !self.ended.is_empty() || !plan.fires.is_empty()
    }
}

#[derive(sqlx::FromRow)]
struct DueRow {
    id: Uuid,
    turn: i64,
    cron: Option<String>,
    at: Option<Timestamp>,
    zone: String,
    overlap: String,
    catch_up_s: i32,
    next_at: Option<Timestamp>,
    now: Timestamp,
    waiting_ats: Vec<Timestamp>,
    waiting_overlaps: Vec<String>,
    live_ats: Vec<Timestamp>,
    live_runs: Vec<Uuid>,
    live_states: Vec<String>,
}

/// A run that is to be started for an instant.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct FireToStart {
    pub schedule_id: Uuid,
    pub at: Timestamp,
    run_id: Uuid,
    pub tenant: String,
    pub name: String,
    pub workflow: String,
    body: Vec<u8>,
}

impl FireToStart {
    pub fn run(&self) -> RunId {
        RunId(self.run_id)
    }
}

/// What became of it.
#[derive(Clone, Debug)]
pub struct Settled {
    pub schedule_id: Uuid,
    pub at: Timestamp,
    /// Why it was refused; `None`: the run is there.
    pub refused: Option<String>,
}

impl PgStore {
    /// True if there was none of its name; `None` if the tenant has as many as it may.
    pub async fn put_schedule(&self, id: Uuid, new: &NewSchedule<'_>, deed: &Deed) -> Result<Option<bool>, StoreError> {
        let body = self.keys.seal_for(new.tenant, new.subject, new.run).await?;
        let query = sqlx::query_scalar::<_, bool>(include_str!("../sql/put_schedule.sql"))
            .bind(id)
            .bind(new.tenant)
            .bind(new.name)
            .bind(new.workflow)
            .bind(new.subject)
            .bind(new.cron)
            .bind(new.at)
            .bind(new.zone)
            .bind(new.overlap.as_str())
            .bind(new.catch_up_s as i32)
            .bind(body)
            .bind(new.request_hash)
            .bind(new.next_at)
            .bind(&deed.who)
            .bind(i64::from(SCHEDULES_MAX));
        bounded(audited!(query, deed).fetch_optional(self.pool())).await
    }

    pub async fn find_schedule(&self, tenant: &str, name: &str) -> Result<Option<ScheduleRecord>, StoreError> {
        let query = sqlx::query_as::<_, ScheduleRecord>(include_str!("../sql/find_schedule.sql"));
        bounded(query.bind(tenant).bind(name).fetch_optional(self.pool())).await
    }

    /// The start of each run.
    pub async fn open_schedule(&self, record: &ScheduleRecord) -> Result<Vec<u8>, StoreError> {
        self.keys.open(&record.body).await
    }

    pub async fn list_schedules(
        &self,
        tenant: &str,
        after: Option<&str>,
        reach: &Reach,
        most: u32,
    ) -> Result<Vec<ScheduleRecord>, StoreError> {
        let query = sqlx::query_as::<_, ScheduleRecord>(include_str!("../sql/list_schedules.sql"))
            .bind(tenant)
            .bind(after)
            .bind(&reach.workflows)
            .bind(&reach.subjects)
            .bind(i64::from(most));
        bounded(query.fetch_all(self.pool())).await
    }

    /// True if it was there.
    pub async fn remove_schedule(&self, id: Uuid, deed: &Deed) -> Result<bool, StoreError> {
        let query = sqlx::query_scalar::<_, i64>(include_str!("../sql/remove_schedule.sql")).bind(id).bind(&deed.who);
        Ok(bounded(audited!(query, deed).fetch_one(self.pool())).await? > 0)
    }

    /// `next_at`: where a resumed one goes on, if not where it was.
    pub async fn pause_schedule(
        &self,
        id: Uuid,
        paused: bool,
        next_at: Option<Timestamp>,
        deed: &Deed,
    ) -> Result<(), StoreError> {
        let query = sqlx::query_scalar::<_, i64>(include_str!("../sql/pause_schedule.sql"));
        let query = query.bind(id).bind(paused).bind(next_at).bind(&deed.who);
        bounded(audited!(query, deed).fetch_one(self.pool())).await?;
        Ok(())
    }

    /// Asked for by hand; answers how many of them were not known.
    pub async fn add_fires(
        &self,
        id: Uuid,
        ats: &[Timestamp],
        asked: &AskedFires<'_>,
        deed: &Deed,
    ) -> Result<u64, StoreError> {
        let query = sqlx::query_scalar::<_, i64>(include_str!("../sql/add_fires.sql"))
            .bind(id)
            .bind(ats)
            .bind(asked.origin)
            .bind(asked.overlap.as_str())
            .bind(asked.key)
            .bind(&deed.who);
        Ok(bounded(audited!(query, deed).fetch_one(self.pool())).await? as u64)
    }

    /// By the key of the request that asked for it, or by its instant.
    pub async fn find_fire(
        &self,
        id: Uuid,
        at: Timestamp,
        key: Option<&str>,
    ) -> Result<Option<FireRecord>, StoreError> {
        let query = sqlx::query_as::<_, FireRecord>(include_str!("../sql/find_fire.sql"));
        bounded(query.bind(id).bind(at).bind(key).fetch_optional(self.pool())).await
    }

    pub async fn list_fires(
        &self,
        id: Uuid,
        before: Option<Timestamp>,
        state: Option<&str>,
        most: u32,
    ) -> Result<Vec<FireRecord>, StoreError> {
        let query = sqlx::query_as::<_, FireRecord>(include_str!("../sql/list_fires.sql"));
        let query = query.bind(id).bind(before).bind(state).bind(i64::from(most));
        bounded(query.fetch_all(self.pool())).await
    }

    /// The database's clock: schedules are due by no other.
    pub async fn now(&self) -> Result<Timestamp, StoreError> {
        bounded(sqlx::query_scalar(include_str!("../sql/now.sql")).fetch_one(self.pool())).await
    }

    pub async fn next_schedule(&self, left_after: Duration) -> Result<NextSchedule, StoreError> {
        let query = sqlx::query_as::<_, NextSchedule>(include_str!("../sql/next_schedule.sql"));
        bounded(query.bind(millis(left_after)).fetch_one(self.pool())).await
    }

    pub async fn due_schedules(&self) -> Result<Vec<DueSchedule>, StoreError> {
        let query = sqlx::query_as::<_, DueRow>(include_str!("../sql/due_schedules.sql"))
            .bind(SCHEDULES_PER_LOOK_MAX as i64)
            .bind(FIRES_WAITING_MAX as i64);
        Ok(bounded(query.fetch_all(self.pool())).await?.into_iter().map(DueRow::read).collect())
    }

    /// Carries plans out, each as a whole or, where its schedule has changed since, not at all. `run_id` makes the id of a run.
    pub async fn advance_schedules(
        &self,
        plans: &[(DueSchedule, Plan)],
        run_id: impl Fn() -> RunId,
    ) -> Result<Vec<FireToStart>, StoreError> {
        let mut query = sqlx::query_as::<_, FireToStart>(include_str!("../sql/advance_schedules.sql"))
            .bind(plans.iter().map(|(due, _)| due.id).collect::<Vec<_>>())
            .bind(plans.iter().map(|(due, _)| due.turn).collect::<Vec<_>>())
            .bind(plans.iter().map(|(_, plan)| plan.next_at).collect::<Vec<_>>())
            .bind(plans.iter().map(|(_, plan)| plan.missed.map(|(from, _)| from)).collect::<Vec<_>>())
            .bind(plans.iter().map(|(_, plan)| plan.missed.map(|(_, until)| until)).collect::<Vec<_>>());
        let fires = plans.iter().flat_map(|(due, plan)| plan.fires.iter().map(|fire| (due.id, *fire)));
        let fires: Vec<_> = fires.collect();
        let (states, reasons): (Vec<&str>, Vec<Option<&str>>) = fires
            .iter()
            .map(|(_, fire)| match fire.fate {
                Fate::Start => ("starting", None),
                Fate::Wait => ("waiting", None),
                Fate::Skip(reason) => ("skipped", Some(reason)),
            })
            .unzip();
        let runs = fires.iter().map(|(_, fire)| (fire.fate == Fate::Start).then(|| run_id().0));
        query = query
            .bind(fires.iter().map(|(id, _)| *id).collect::<Vec<_>>())
            .bind(fires.iter().map(|(_, fire)| fire.at).collect::<Vec<_>>())
            .bind(fires.iter().map(|(_, fire)| fire.overlap.as_str()).collect::<Vec<_>>())
            .bind(states)
            .bind(reasons)
            .bind(runs.collect::<Vec<_>>())
            .bind(fires.iter().map(|(_, fire)| fire.is_new).collect::<Vec<_>>());
        let ended = plans.iter().flat_map(|(due, _)| due.ended.iter().map(|at| (due.id, *at)));
        let (ended_ids, ended_ats): (Vec<Uuid>, Vec<Timestamp>) = ended.unzip();
        bounded(query.bind(ended_ids).bind(ended_ats).fetch_all(self.pool())).await
    }

    pub async fn left_fires(&self, left_after: Duration) -> Result<Vec<FireToStart>, StoreError> {
        let query = sqlx::query_as::<_, FireToStart>(include_str!("../sql/left_fires.sql"));
        let query = query.bind(millis(left_after)).bind(SCHEDULES_PER_LOOK_MAX as i64);
        bounded(query.fetch_all(self.pool())).await
    }

    /// The start of its run.
    pub async fn open_fire(&self, fire: &FireToStart) -> Result<Vec<u8>, StoreError> {
        self.keys.open(&fire.body).await
    }

    pub async fn settle_fires(&self, settled: &[Settled]) -> Result<(), StoreError> {
        let state = |fire: &Settled| if fire.refused.is_some() { "refused" } else { "started" };
        let query = sqlx::query(include_str!("../sql/settle_fires.sql"))
            .bind(settled.iter().map(|fire| fire.schedule_id).collect::<Vec<_>>())
            .bind(settled.iter().map(|fire| fire.at).collect::<Vec<_>>())
            .bind(settled.iter().map(state).collect::<Vec<_>>())
            .bind(settled.iter().map(|fire| fire.refused.as_deref()).collect::<Vec<_>>());
        bounded(query.execute(self.pool())).await?;
        Ok(())
    }
}

/// Instants that somebody asks for by hand.
#[derive(Clone, Copy, Debug)]
pub struct AskedFires<'a> {
    /// `manual` or `backfill`.
    pub origin: &'static str,
    pub overlap: Overlap,
    /// Of one instant only.
    pub key: Option<&'a str>,
}

impl DueRow {
    fn read(self) -> DueSchedule {
        let Self { id, turn, now, .. } = self;
        let states = self.live_ats.iter().zip(&self.live_runs).zip(&self.live_states);
        let (mut ended, mut live) = (Vec::new(), Vec::new());
        for ((at, run), state) in states {
            if state == "over" {
                ended.push(*at);
            } else {
                live.push(LiveRun { run: RunId(*run), closing: state == "closing" });
            }
        }
        let waiting = self.waiting_ats.iter().zip(&self.waiting_overlaps);
        // What a newer build stored may mean nothing here: such a schedule is left to it.
        let waiting = waiting.map(|(at, overlap)| Some(Waiting { at: *at, overlap: Overlap::parse(overlap)? }));
        let standing = || {
            Some(Standing {
                when: when(self.cron.as_deref(), self.at, &self.zone)?,
                overlap: Overlap::parse(&self.overlap)?,
                catch_up: Duration::from_secs(self.catch_up_s as u64),
                next_at: self.next_at,
                waiting: waiting.collect::<Option<Vec<_>>>()?,
                live,
            })
        };
        DueSchedule { id, turn, now, standing: standing(), ended }
    }
}
