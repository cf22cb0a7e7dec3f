//! Sessions of the console: opened, found by their hash, ended.

use std::time::Duration;

use super::tokens::TokenHash;
use super::{PgStore, audited, bounded};
use crate::audit::Deed;
use crate::bounds::CONSOLE_SESSIONS_PER_TOKEN_MAX;
use crate::store::StoreError;

/// SHA-256 of a session's secret.
pub type SessionHash = [u8; 32];

/// A session to store.
pub struct NewConsoleSession {
    pub hash: SessionHash,
    /// What it was opened with, and is asked about at every request.
    pub token: TokenHash,
    pub life: Duration,
}

impl PgStore {
    pub async fn add_console_session(&self, session: &NewConsoleSession, deed: &Deed) -> Result<(), StoreError> {
        let query = sqlx::query(include_str!("../sql/add_console_session.sql"))
            .bind(session.hash.as_slice())
            .bind(session.token.as_slice())
            .bind(session.life.as_secs_f64())
            .bind(i64::from(CONSOLE_SESSIONS_PER_TOKEN_MAX) - 1)
            .bind(&deed.tenant)
            .bind(&deed.who);
        bounded(audited!(query, deed).execute(self.pool())).await?;
        Ok(())
    }

    /// The token of a session that has not ended.
    pub async fn find_console_session(&self, hash: &SessionHash) -> Result<Option<TokenHash>, StoreError> {
        let query = sqlx::query_scalar::<_, Vec<u8>>(include_str!("../sql/find_console_session.sql"));
        let found = bounded(query.bind(hash.as_slice()).fetch_optional(self.pool())).await?;
        Ok(found.and_then(|token| token.try_into().ok()))
    }

    /// Ending it again changes nothing.
    pub async fn end_console_session(&self, hash: &SessionHash, deed: &Deed) -> Result<(), StoreError> {
        let query = sqlx::query(include_str!("../sql/end_console_session.sql"));
        let query = query.bind(hash.as_slice()).bind(&deed.tenant).bind(&deed.who);
        bounded(audited!(query, deed).execute(self.pool())).await?;
        Ok(())
    }
}
