//! The removal of history: trees of runs that ended long ago, in bites, and whole weeks where nothing is needed any more.

use sqlx::{Connection as _, PgConnection};
use uuid::Uuid;
use valet_core::Timestamp;

use super::{PgStore, StoreError, bounded, classify, timed_out};
use crate::bounds::{BLOBS_PER_BITE, DATABASE_WAIT_MAX, RUNS_PER_BITE, WEEK_ROWS_PER_BITE};

/// Held by the one engine that removes; the number is nobody else's.
const TURN: i64 = 0x7661_6c65_7401;

/// Behind which run the next page of a tenant's history begins.
pub type Cursor = (Timestamp, Uuid);
/// Before all runs.
pub const START: Cursor = (Timestamp::UNIX_EPOCH, Uuid::nil());

/// A page of finished runs.
pub struct HistoryPage {
    /// Roots of trees that may go.
    pub expired: Vec<Uuid>,
    /// `None`: this was the last page.
    pub next: Option<Cursor>,
}

/// A connection of its own, so that long removals take none from those who read; one engine has it at a time.
pub struct Removal {
    connection: PgConnection,
}

/// The ids of a week: from the first to below the second.
fn ids_of(week: u16) -> (Uuid, Uuid) {
    let at = |week: u32| {
        // There is no week after the last; its own last id stands for it.
        u16::try_from(week).map_or(Uuid::max(), |week| Uuid::from_u128(u128::from(week) << 112))
    };
    (at(week.into()), at(u32::from(week) + 1))
}

fn week_of(id: &Uuid) -> u16 {
    (id.as_u128() >> 112) as u16
}

impl PgStore {
    /// `None`: another engine is at it.
    pub async fn begin_removal(&self) -> Result<Option<Removal>, StoreError> {
        let connecting = PgConnection::connect_with(&self.options);
        let connection = tokio::time::timeout(DATABASE_WAIT_MAX, connecting).await.map_err(|_| timed_out())?;
        let mut connection = connection.map_err(classify)?;
        // Ends with the connection, however that ends.
        let take = sqlx::query_scalar::<_, bool>("SELECT pg_try_advisory_lock($1)").bind(TURN);
        let taken = bounded(take.fetch_one(&mut connection)).await?;
        Ok(taken.then_some(Removal { connection }))
    }
}

impl Removal {
    /// Tenants that have finished runs.
    pub async fn tenants(&mut self) -> Result<Vec<String>, StoreError> {
        let query = sqlx::query_scalar(include_str!("../sql/history_tenants.sql"));
        bounded(query.fetch_all(&mut self.connection)).await
    }

    /// One page of a tenant's finished runs, oldest first.
    pub async fn page(
        &mut self,
        tenant: &str,
        ended_before: Timestamp,
        (after, after_id): Cursor,
    ) -> Result<HistoryPage, StoreError> {
        let query = sqlx::query_as::<_, (Uuid, Timestamp, bool)>(include_str!("../sql/expired_trees.sql"))
            .bind(tenant)
            .bind(ended_before)
            .bind(after)
            .bind(after_id)
            .bind(RUNS_PER_BITE);
        let rows = bounded(query.fetch_all(&mut self.connection)).await?;
        let is_full = i64::try_from(rows.len()).is_ok_and(|count| count >= RUNS_PER_BITE);
        let next = rows.last().filter(|_| is_full).map(|(id, at, _)| (*at, *id));
        let expired = rows.into_iter().filter_map(|(id, _, expired)| expired.then_some(id)).collect();
        Ok(HistoryPage { expired, next })
    }

    /// Some runs of these trees besides their roots; none when all are gone.
    pub async fn members(&mut self, roots: &[Uuid]) -> Result<Vec<Uuid>, StoreError> {
        let query = sqlx::query_scalar(include_str!("../sql/tree_members.sql")).bind(roots).bind(RUNS_PER_BITE);
        bounded(query.fetch_all(&mut self.connection)).await
    }

    /// Some blobs that these runs left.
    pub async fn blobs_of_runs(&mut self, runs: &[Uuid]) -> Result<Vec<Uuid>, StoreError> {
        let query = sqlx::query_scalar(include_str!("../sql/blobs_of_runs.sql")).bind(runs).bind(BLOBS_PER_BITE);
        bounded(query.fetch_all(&mut self.connection)).await
    }

    /// Some blobs that runs of a week left.
    pub async fn blobs_of_week(&mut self, week: u16) -> Result<Vec<Uuid>, StoreError> {
        let (low, high) = ids_of(week);
        let query =
            sqlx::query_scalar(include_str!("../sql/blobs_of_week.sql")).bind(low).bind(high).bind(BLOBS_PER_BITE);
        bounded(query.fetch_all(&mut self.connection)).await
    }

    /// After their bytes are gone.
    pub async fn forget_blobs(&mut self, blobs: &[Uuid]) -> Result<(), StoreError> {
        let query = sqlx::query(include_str!("../sql/remove_blobs.sql")).bind(blobs);
        bounded(query.execute(&mut self.connection)).await?;
        Ok(())
    }

    /// Removes finished runs with all that was kept for them but their blobs; answers how many there were.
    pub async fn remove(&mut self, runs: &[Uuid]) -> Result<u64, StoreError> {
        let mut runs = runs.to_vec();
        runs.sort_unstable();
        let mut removed = 0;
        for of_week in runs.chunk_by(|one, next| week_of(one) == week_of(next)) {
            let (low, high) = ids_of(week_of(&of_week[0]));
            let query = sqlx::query(include_str!("../sql/remove_runs.sql")).bind(of_week).bind(low).bind(high);
            removed += bounded(query.execute(&mut self.connection)).await?.rows_affected();
        }
        Ok(removed)
    }

    /// Weeks that have partitions, oldest first.
    pub async fn weeks(&mut self) -> Result<Vec<u16>, StoreError> {
        let query = sqlx::query_scalar::<_, i32>(include_str!("../sql/history_weeks.sql"));
        let weeks = bounded(query.fetch_all(&mut self.connection)).await?;
        Ok(weeks.into_iter().filter_map(|week| u16::try_from(week).ok()).collect())
    }

    /// Nothing with an id of this week is needed any more.
    pub async fn week_is_over(&mut self, week: u16, ended_before: Timestamp) -> Result<bool, StoreError> {
        let (low, high) = ids_of(week);
        let query = sqlx::query_scalar::<_, bool>(include_str!("../sql/week_is_over.sql"))
            .bind(low)
            .bind(high)
            .bind(ended_before);
        bounded(query.fetch_one(&mut self.connection)).await
    }

    /// Removes a bite of what lies for the week's runs outside of its partitions; answers how much it was.
    pub async fn remove_week_rows(&mut self, week: u16) -> Result<i64, StoreError> {
        let (low, high) = ids_of(week);
        let query = sqlx::query_scalar::<_, i64>(include_str!("../sql/remove_week_rows.sql"))
            .bind(low)
            .bind(high)
            .bind(WEEK_ROWS_PER_BITE);
        bounded(query.fetch_one(&mut self.connection)).await
    }

    /// Gives the week's partitions back as files. Detached first, which keeps no reader and no commit waiting.
    pub async fn drop_week(&mut self, week: u16) -> Result<(), StoreError> {
        // Runs before their journals: a run that is shown has one.
        for parent in ["finished_runs", "journal"] {
            self.drop_partition(parent, week).await?;
        }
        Ok(())
    }

    /// Ends removals of weeks that were cut off in their middle.
    pub async fn end_detached(&mut self) -> Result<(), StoreError> {
        let query = sqlx::query_as::<_, (String, bool)>(include_str!("../sql/detached_weeks.sql"));
        for (name, detaching) in bounded(query.fetch_all(&mut self.connection)).await? {
            let Some((parent, _)) = name.rsplit_once("_w") else { continue };
            if detaching {
                self.ddl(format!("ALTER TABLE {parent} DETACH PARTITION {name} FINALIZE")).await?;
            }
            self.ddl(format!("DROP TABLE {name}")).await?;
        }
        let query = sqlx::query_scalar::<_, i32>(include_str!("../sql/orphaned_journals.sql"));
        for week in bounded(query.fetch_all(&mut self.connection)).await? {
            self.drop_partition("journal", week as u16).await?;
        }
        Ok(())
    }

    async fn drop_partition(&mut self, parent: &str, week: u16) -> Result<(), StoreError> {
        self.ddl(format!("ALTER TABLE {parent} DETACH PARTITION {parent}_w{week} CONCURRENTLY")).await?;
        self.ddl(format!("DROP TABLE {parent}_w{week}")).await
    }

    /// Names in it are made of a number or come from the catalogue.
    async fn ddl(&mut self, text: String) -> Result<(), StoreError> {
        bounded(sqlx::raw_sql(sqlx::AssertSqlSafe(text)).execute(&mut self.connection)).await?;
        Ok(())
    }
}
