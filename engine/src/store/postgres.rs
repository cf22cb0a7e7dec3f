//! The store on Postgres. One file a statement under `store/sql/`, one function a file.

use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{Connection, PgConnection};
use tokio::sync::Mutex;

use super::StoreError;
use crate::bounds;
use crate::codec::MasterKeys;

pub mod audit;
pub mod bulk_operations;
pub(crate) mod commit;
pub mod console_sessions;
pub mod declared;
mod due;
pub mod events;
pub mod incoming;
mod keys;
mod leases;
pub mod limits;
mod migrate;
pub mod notices;
pub mod outgoing;
pub mod pauses;
pub mod queries;
pub mod resources;
pub mod retention;
mod rows;
pub mod run_search;
mod runs;
pub mod schedules;
pub mod subjects;
pub mod tiers;
pub mod tokens;
mod weeks;

pub(crate) use commit::is_ticketed;
pub use commit::statements as commit_statements;
pub use keys::KeyRing;
pub use migrate::{MigrateError, SchemaState, migrate, schema_state};
pub use run_search::statements as search_statements;

/// Binds what a statement writes down of a deed besides its tenant and its doer: how, from where, in which request, what, to what.
macro_rules! audited {
    ($query:expr, $deed:expr) => {{
        let deed = &$deed;
        $query
            .bind(deed.via.as_str())
            .bind(deed.address_text())
            .bind(deed.request.as_deref())
            .bind(deed.action)
            .bind(deed.target.as_str())
    }};
}
use audited;

/// The store that people run.
pub struct PgStore {
    pool: PgPool,
    options: PgConnectOptions,
    /// One connection a writer, so that a commit never waits for a free one.
    writers: Vec<Mutex<Option<PgConnection>>>,
    claimer: Mutex<Option<PgConnection>>,
    pub(crate) keys: KeyRing,
    weeks: weeks::Weeks,
    /// Names of those outside who are told what happens; see [`crate::notify`].
    listeners: Vec<String>,
    /// Webhooks that are told what happens; see [`crate::deliverer`].
    outgoing: outgoing::KnownWebhooks,
}

impl PgStore {
    /// Connects; `writers` connections commit, one claims, a small pool reads.
    pub async fn connect(url: &str, masters: impl Into<MasterKeys>, writers: usize) -> Result<Arc<Self>, StoreError> {
        Self::connect_with_listeners(url, masters, writers, Vec::new()).await
    }

    /// The same; every commit leaves a notice for each of `listeners`.
    pub async fn connect_with_listeners(
        url: &str,
        masters: impl Into<MasterKeys>,
        writers: usize,
        listeners: Vec<String>,
    ) -> Result<Arc<Self>, StoreError> {
        let options: PgConnectOptions = url.parse().map_err(StoreError::Database)?;
        let statement_max = bounds::STATEMENT_MAX.as_millis().to_string();
        // Every statement here finds its rows by an index. Statistics lag behind tables that fill and empty within seconds,
        // and a plan that reads the whole table, once chosen, is kept: measured at 20,000 waiting runs, it took five times
        // the database's time.
        let options = options.application_name("valet-engine").options([
            ("enable_seqscan", "off"),
            // A merge reads a whole index where a few look-ups do: with 100,000 runs it took 143 ms to load twenty of them.
            ("enable_mergejoin", "off"),
            ("random_page_cost", "1.1"),
            ("plan_cache_mode", "force_generic_plan"),
            // A statement here is over long before it would be compiled; a plan that cannot do without reading a whole table
            // has a cost that calls for compiling it.
            ("jit", "off"),
            // What its engine gave up, or left behind when it died, ends on the server too and lets its locks go.
            ("statement_timeout", statement_max.as_str()),
        ]);
        let pool = PgPoolOptions::new()
            .max_connections(bounds::READ_CONNECTIONS_MAX)
            .acquire_timeout(bounds::DATABASE_WAIT_MAX)
            .connect_with(options.clone())
            .await
            .map_err(classify)?;
        Ok(Arc::new(Self {
            keys: KeyRing::new(masters.into(), pool.clone()),
            pool,
            options,
            writers: (0..writers).map(|_| Mutex::new(None)).collect(),
            claimer: Mutex::new(None),
            weeks: weeks::Weeks::default(),
            listeners,
            outgoing: outgoing::KnownWebhooks::default(),
        }))
    }

    /// The pool for queries of people.
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// A dedicated connection, made anew when it broke.
    async fn dedicated<'a>(
        &self,
        slot: &'a Mutex<Option<PgConnection>>,
    ) -> Result<tokio::sync::MappedMutexGuard<'a, PgConnection>, StoreError> {
        let mut guard = slot.lock().await;
        if guard.is_none() {
            let connecting = PgConnection::connect_with(&self.options);
            let connection =
                tokio::time::timeout(bounds::DATABASE_WAIT_MAX, connecting).await.map_err(|_| timed_out())?;
            *guard = Some(connection.map_err(classify)?);
        }
        tokio::sync::MutexGuard::try_map(guard, Option::as_mut).map_err(|_| timed_out())
    }
}

fn timed_out() -> StoreError {
    StoreError::Unavailable(sqlx::Error::PoolTimedOut)
}

/// Bounds a statement in time: a hung server is as good as none.
async fn bounded<T>(work: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, StoreError> {
    match tokio::time::timeout(bounds::STATEMENT_MAX, work).await {
        Ok(done) => done.map_err(classify),
        Err(_) => Err(timed_out()),
    }
}

/// SQLSTATE classes: 22 and 23 are the data's fault; 08, 53, 57 and broken sockets are the server's state.
pub(crate) fn classify(error: sqlx::Error) -> StoreError {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code).map(std::borrow::Cow::into_owned);
    match (code.as_deref(), &error) {
        // 54: a value that is too large for an index, or too deep.
        (Some(code), _) if ["22", "23", "54"].contains(&&code[..2]) => StoreError::BadData(error),
        (Some(code), _) if code == "40P01" || code == "40001" => {
            metrics::counter!("valet_store_serialization_failures_total", "code" => code.to_owned()).increment(1);
            StoreError::Unavailable(error)
        }
        (Some(code), _) if ["08", "53", "57"].contains(&&code[..2]) => StoreError::Unavailable(error),
        (None, sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::Protocol(_)) => {
            StoreError::Unavailable(error)
        }
        (None, sqlx::Error::WorkerCrashed | sqlx::Error::Tls(_)) => StoreError::Unavailable(error),
        _ => StoreError::Database(error),
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
