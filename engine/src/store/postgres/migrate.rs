//! Migrations: forward only, named by UTC timestamp.

use sqlx::migrate::Migrator;
use sqlx::{Connection, PgConnection};

use super::{StoreError, classify};

static MIGRATIONS: Migrator = sqlx::migrate!("../migrations");

/// Brings the database to this build's schema; safe to call from several processes at once.
pub async fn migrate(url: &str) -> Result<(), MigrateError> {
    let mut connection = PgConnection::connect(url).await.map_err(classify)?;
    MIGRATIONS.run(&mut connection).await?;
    Ok(())
}

/// How a database stands to this build's migrations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaState {
    /// Of the server, such as `15.18 (Debian 15.18-1)`.
    pub server_version: String,
    pub server_major: u32,
    /// Of this build, not applied yet.
    pub pending: usize,
    /// Applied, and unknown to this build: a newer one was here.
    pub unknown: usize,
}

/// Looks, and changes nothing.
pub async fn schema_state(url: &str) -> Result<SchemaState, StoreError> {
    let mut connection = PgConnection::connect(url).await.map_err(classify)?;
    let (server_version, number): (String, i32) =
        sqlx::query_as("SELECT current_setting('server_version'), current_setting('server_version_num')::integer")
            .fetch_one(&mut connection)
            .await
            .map_err(classify)?;
    let is_there: bool = sqlx::query_scalar("SELECT to_regclass('_sqlx_migrations') IS NOT NULL")
        .fetch_one(&mut connection)
        .await
        .map_err(classify)?;
    let applied: Vec<i64> = if is_there {
        let applied = sqlx::query_scalar("SELECT version FROM _sqlx_migrations WHERE success");
        applied.fetch_all(&mut connection).await.map_err(classify)?
    } else {
        Vec::new()
    };
    let known: Vec<i64> = MIGRATIONS.iter().map(|migration| migration.version).collect();
    Ok(SchemaState {
        server_version,
        server_major: u32::try_from(number / 10_000).unwrap_or_default(),
        pending: known.iter().filter(|version| !applied.contains(version)).count(),
        unknown: applied.iter().filter(|version| !known.contains(version)).count(),
    })
}

/// Why the schema could not be brought up to date.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("a migration failed")]
    Migration(#[from] sqlx::migrate::MigrateError),
}
