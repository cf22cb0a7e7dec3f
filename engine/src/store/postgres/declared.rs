//! Declared workflows: put, found, listed.

use serde_json::Value;
use valet_core::Timestamp;

use super::{PgStore, audited, bounded};
use crate::access::Reach;
use crate::audit::Deed;
use crate::bounds::DECLARED_WORKFLOWS_MAX;
use crate::store::StoreError;

/// Times that a put is tried while others put the same workflow.
const PUTS_MAX: u32 = 5;

/// One version of a declared workflow.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct DeclaredRecord {
    pub name: String,
    pub version: i32,
    pub definition: Value,
    pub created_at: Timestamp,
    pub created_by: String,
}

/// What became of a put.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct DeclaredPut {
    pub version: i32,
    /// False: the newest version was this very definition.
    pub created: bool,
}

impl PgStore {
    /// `None`: the tenant has as many declared workflows as it may, or others put this one again and again.
    pub async fn put_declared(
        &self,
        tenant: &str,
        name: &str,
        definition: &Value,
        deed: &Deed,
    ) -> Result<Option<DeclaredPut>, StoreError> {
        for _ in 0..PUTS_MAX {
            let query = sqlx::query_as::<_, DeclaredPut>(include_str!("../sql/put_declared.sql"))
                .bind(tenant)
                .bind(name)
                .bind(definition)
                .bind(&deed.who)
                .bind(i64::from(DECLARED_WORKFLOWS_MAX));
            let put = bounded(audited!(query, deed).fetch_optional(self.pool())).await?;
            if put.is_some() {
                return Ok(put);
            }
        }
        Ok(None)
    }

    /// The newest version, or this one.
    pub async fn find_declared(
        &self,
        tenant: &str,
        name: &str,
        version: Option<i32>,
    ) -> Result<Option<DeclaredRecord>, StoreError> {
        let query = sqlx::query_as::<_, DeclaredRecord>(include_str!("../sql/find_declared.sql"))
            .bind(tenant)
            .bind(name)
            .bind(version);
        bounded(query.fetch_optional(self.pool())).await
    }

    /// Which of these names are declared.
    pub async fn known_declared(&self, tenant: &str, names: &[&str]) -> Result<Vec<String>, StoreError> {
        let query = sqlx::query_scalar(include_str!("../sql/known_declared.sql")).bind(tenant).bind(names);
        bounded(query.fetch_all(self.pool())).await
    }

    /// The newest version of each within this reach; their definitions have no tasks.
    pub async fn list_declared(&self, tenant: &str, reach: &Reach) -> Result<Vec<DeclaredRecord>, StoreError> {
        let query = sqlx::query_as::<_, DeclaredRecord>(include_str!("../sql/list_declared.sql"))
            .bind(tenant)
            .bind(&reach.workflows)
            .bind(i64::from(DECLARED_WORKFLOWS_MAX));
        bounded(query.fetch_all(self.pool())).await
    }
}
