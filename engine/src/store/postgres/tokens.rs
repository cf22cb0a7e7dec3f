//! Tokens: made, found by their hash, listed, revoked.

use uuid::Uuid;
use valet_core::Timestamp;

use super::{PgStore, audited, bounded};
use crate::access::{Principal, Reach, Scope};
use crate::audit::Deed;
use crate::store::StoreError;

/// SHA-256 of a token's text.
pub type TokenHash = [u8; 32];

/// A token without its secret.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct TokenRecord {
    pub id: Uuid,
    pub tenant: String,
    pub name: String,
    pub scopes: Vec<String>,
    pub workflows: Option<Vec<String>>,
    pub subjects: Option<Vec<String>>,
    pub created_at: Timestamp,
    pub created_by: String,
    pub expires_at: Option<Timestamp>,
    pub last_used_at: Option<Timestamp>,
    pub revoked_at: Option<Timestamp>,
}

impl TokenRecord {
    pub fn principal(&self) -> Principal {
        Principal {
            tenant: self.tenant.clone(),
            name: self.name.clone(),
            // A scope that a newer build brought opens nothing here.
            scopes: self.scopes.iter().filter_map(|word| Scope::parse(word)).collect(),
            reach: Reach { workflows: self.workflows.clone(), subjects: self.subjects.clone() },
            is_root: false,
        }
    }
}

/// A token to store.
pub struct NewToken {
    pub id: Uuid,
    pub hash: TokenHash,
    pub principal: Principal,
    /// Who makes it.
    pub deed: Deed,
    pub expires_in_s: Option<u32>,
}

impl PgStore {
    /// `None` when another token bears the name.
    pub async fn add_token(&self, token: &NewToken) -> Result<Option<TokenRecord>, StoreError> {
        let principal = &token.principal;
        let scopes: Vec<&str> = principal.scopes.iter().map(|scope| scope.as_str()).collect();
        let query = sqlx::query_as::<_, TokenRecord>(include_str!("../sql/add_token.sql"))
            .bind(token.id)
            .bind(&principal.tenant)
            .bind(&principal.name)
            .bind(token.hash.as_slice())
            .bind(scopes)
            .bind(&principal.reach.workflows)
            .bind(&principal.reach.subjects)
            .bind(&token.deed.who)
            .bind(token.expires_in_s.map(f64::from));
        let query = audited!(query, token.deed);
        bounded(query.fetch_optional(self.pool())).await
    }

    /// The token that opens something now.
    pub async fn find_token(&self, hash: &TokenHash) -> Result<Option<TokenRecord>, StoreError> {
        let query = sqlx::query_as::<_, TokenRecord>(include_str!("../sql/find_token.sql")).bind(hash.as_slice());
        bounded(query.fetch_optional(self.pool())).await
    }

    /// Those within this reach.
    pub async fn list_tokens(&self, tenant: &str, reach: &Reach, most: u32) -> Result<Vec<TokenRecord>, StoreError> {
        let query = sqlx::query_as::<_, TokenRecord>(include_str!("../sql/list_tokens.sql"))
            .bind(tenant)
            .bind(i64::from(most))
            .bind(&reach.workflows)
            .bind(&reach.subjects);
        bounded(query.fetch_all(self.pool())).await
    }

    /// Its hash, if there is such a token within the reach.
    pub async fn revoke_token(&self, deed: &Deed, id: Uuid, reach: &Reach) -> Result<Option<Vec<u8>>, StoreError> {
        let query = sqlx::query_scalar::<_, Vec<u8>>(include_str!("../sql/revoke_token.sql"));
        let query = audited!(query.bind(id).bind(&deed.tenant).bind(&deed.who), deed);
        let query = query.bind(&reach.workflows).bind(&reach.subjects);
        bounded(query.fetch_optional(self.pool())).await
    }
}
