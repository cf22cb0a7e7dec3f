//! The audit, read.

use serde_json::Value;
use sqlx::types::Json;
use valet_core::Timestamp;

use super::{PgStore, StoreError, bounded};

/// A row of the audit.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct AuditRecord {
    pub txid: String,
    pub number: i64,
    pub at: Timestamp,
    pub who: String,
    pub via: String,
    pub address: Option<String>,
    pub request: Option<String>,
    pub action: String,
    pub target: String,
    pub before: Option<Json<Value>>,
    pub after: Option<Json<Value>>,
}

impl PgStore {
    /// What is final, in the order in which it became so, or from its end. `after` is the place of the last row read.
    pub async fn list_audit(
        &self,
        tenant: &str,
        after: Option<(u64, i64)>,
        target: Option<&str>,
        newest_first: bool,
        most: u32,
    ) -> Result<Vec<AuditRecord>, StoreError> {
        let statement = if newest_first {
            include_str!("../sql/list_audit_newest.sql")
        } else {
            include_str!("../sql/list_audit.sql")
        };
        let query = sqlx::query_as::<_, AuditRecord>(statement)
            .bind(tenant)
            .bind(after.map(|(txid, _)| txid.to_string()))
            .bind(after.map(|(_, number)| number))
            .bind(target)
            .bind(i64::from(most));
        bounded(query.fetch_all(self.pool())).await
    }
}
