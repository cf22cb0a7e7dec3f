//! Pauses beside those of single runs.

use valet_core::Timestamp;

use super::{PgStore, audited, bounded};
use crate::audit::Deed;
use crate::bounds::PAUSES_MAX;
use crate::pauses::{PauseScope, Paused};
use crate::store::StoreError;

/// A pause as it is stored.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct PauseRecord {
    pub scope: String,
    pub tenant: String,
    pub name: String,
    pub version: i64,
    pub paused_by: String,
    pub reason: String,
    pub at: Timestamp,
}

impl PgStore {
    /// The pause, whoever set it first; `None`: there are as many as may be. A deed is written down if it changes something.
    pub async fn add_pause(
        &self,
        what: &Paused,
        by: &str,
        reason: &str,
        deed: Option<&Deed>,
    ) -> Result<Option<PauseRecord>, StoreError> {
        let add = async || {
            let query = sqlx::query_as::<_, PauseRecord>(include_str!("../sql/add_pause.sql"))
                .bind(&what.tenant)
                .bind(what.scope.as_str())
                .bind(&what.name)
                .bind(by)
                .bind(reason)
                .bind(i64::from(PAUSES_MAX))
                .bind(deed.map(|deed| deed.tenant.as_str()))
                .bind(deed.map(|deed| deed.via.as_str()))
                .bind(deed.and_then(Deed::address_text))
                .bind(deed.and_then(|deed| deed.request.as_deref()))
                .bind(deed.map(|deed| deed.action))
                .bind(deed.map(|deed| deed.target.as_str()));
            bounded(query.fetch_optional(&self.pool)).await
        };
        match add().await? {
            // Another set it in this very moment; now it can be seen.
            None => add().await,
            found => Ok(found),
        }
    }

    /// Whether it was paused.
    pub async fn remove_pause(&self, what: &Paused, deed: &Deed) -> Result<bool, StoreError> {
        let query = sqlx::query_scalar::<_, i64>(include_str!("../sql/remove_pause.sql"))
            .bind(&what.tenant)
            .bind(what.scope.as_str())
            .bind(&what.name)
            .bind(&deed.who);
        let query = audited!(query, deed).bind(&deed.tenant);
        Ok(bounded(query.fetch_optional(&self.pool)).await?.is_some())
    }

    /// Those that concern a tenant; `None`: all.
    pub async fn list_pauses(&self, tenant: Option<&str>) -> Result<Vec<PauseRecord>, StoreError> {
        let query = sqlx::query_as::<_, PauseRecord>(include_str!("../sql/list_pauses.sql")).bind(tenant);
        bounded(query.fetch_all(&self.pool)).await
    }

    /// Whether a live worker of this tenant is named so.
    pub async fn has_worker(&self, what: &Paused) -> Result<bool, StoreError> {
        let query = sqlx::query_scalar::<_, bool>(include_str!("../sql/has_worker.sql"));
        bounded(query.bind(&what.tenant).bind(&what.name).fetch_one(&self.pool)).await
    }

    /// Transactions of engines that are under way now; those of `among` that still are, if some are named.
    pub async fn open_transactions(&self, among: Option<&[String]>) -> Result<Vec<String>, StoreError> {
        let query = sqlx::query_scalar::<_, String>(include_str!("../sql/open_transactions.sql")).bind(among);
        bounded(query.fetch_all(&self.pool)).await
    }

    /// Steps that the pause held get tickets again.
    pub async fn ticket_again(&self, what: &Paused) -> Result<(), StoreError> {
        let query = sqlx::query(include_str!("../sql/ticket_again.sql"))
            .bind(&what.tenant)
            .bind(what.scope.as_str())
            .bind(&what.name);
        bounded(query.execute(&self.pool)).await?;
        Ok(())
    }
}

/// A pause as the tick tells it. One of a scope that a newer engine knows holds nothing here beyond what the statements see to.
pub(super) fn of_tick(text: &str) -> Option<Paused> {
    let (scope, tenant, name): (String, String, String) = serde_json::from_str(text).ok()?;
    Some(Paused { scope: PauseScope::parse(&scope)?, tenant, name })
}

impl PauseRecord {
    pub(super) fn paused(self) -> Option<Paused> {
        Some(Paused { scope: PauseScope::parse(&self.scope)?, tenant: self.tenant, name: self.name })
    }
}
