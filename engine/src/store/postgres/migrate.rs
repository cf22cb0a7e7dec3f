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

/// Why the schema could not be brought up to date.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("a migration failed")]
    Migration(#[from] sqlx::migrate::MigrateError),
}
