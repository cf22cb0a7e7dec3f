//! Data keys of subjects, unwrapped once and kept.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use sqlx::PgPool;

use super::{StoreError, bounded};
use crate::bounds::DATA_KEYS_CACHED_MAX;
use crate::codec::{CodecError, DataKey, MasterKey, key_id};
use crate::task_link::TaskLinks;

/// Finds the key that seals for a subject, and the key that sealed some bytes.
pub struct KeyRing {
    master: MasterKey,
    pool: PgPool,
    cache: RwLock<Cache>,
}

#[derive(Default)]
struct Cache {
    by_subject: HashMap<String, HashMap<String, Arc<DataKey>>>,
    by_id: HashMap<i64, Arc<DataKey>>,
}

impl KeyRing {
    pub(super) fn new(master: MasterKey, pool: PgPool) -> Self {
        Self { master, pool, cache: RwLock::default() }
    }

    /// Makes and reads the tokens of task links.
    pub fn links(&self) -> &TaskLinks {
        &self.master.links
    }

    pub fn cached(&self, tenant: &str, subject: &str) -> Option<Arc<DataKey>> {
        let cache = self.cache.read().unwrap_or_else(PoisonError::into_inner);
        cache.by_subject.get(tenant)?.get(subject).cloned()
    }

    /// The key of a subject; made on first use.
    pub async fn of_subject(&self, tenant: &str, subject: &str) -> Result<Arc<DataKey>, StoreError> {
        if let Some(key) = self.cached(tenant, subject) {
            return Ok(key);
        }
        if let Some(key) = self.find(tenant, subject).await? {
            return Ok(key);
        }
        let wrapped = self.master.new_wrapped_key()?;
        let add = sqlx::query(include_str!("../sql/add_data_key.sql"))
            .bind(tenant)
            .bind(subject)
            .bind(&self.master.name)
            .bind(wrapped);
        bounded(add.execute(&self.pool)).await?;
        // Another engine may have been first: whoever's row is there is the key.
        self.find(tenant, subject).await?.ok_or(StoreError::Sealed(CodecError::NoKey(0)))
    }

    async fn find(&self, tenant: &str, subject: &str) -> Result<Option<Arc<DataKey>>, StoreError> {
        let find = sqlx::query_as::<_, (i64, String, Vec<u8>)>(include_str!("../sql/find_data_key.sql"))
            .bind(tenant)
            .bind(subject);
        let Some((id, master, wrapped)) = bounded(find.fetch_optional(&self.pool)).await? else { return Ok(None) };
        let key = self.unwrap(id, &master, &wrapped)?;
        self.keep(tenant, subject, Arc::clone(&key));
        Ok(Some(key))
    }

    fn unwrap(&self, id: i64, master: &str, wrapped: &[u8]) -> Result<Arc<DataKey>, CodecError> {
        if master != self.master.name {
            let expected = self.master.name.clone();
            return Err(CodecError::OtherMasterKey { found: master.to_owned(), expected });
        }
        self.master.unwrap_key(id, wrapped).map(Arc::new)
    }

    fn keep(&self, tenant: &str, subject: &str, key: Arc<DataKey>) {
        let mut cache = self.cache.write().unwrap_or_else(PoisonError::into_inner);
        if cache.by_id.len() >= DATA_KEYS_CACHED_MAX {
            *cache = Cache::default();
        }
        cache.by_id.insert(key.id, Arc::clone(&key));
        cache.by_subject.entry(tenant.to_owned()).or_default().insert(subject.to_owned(), key);
    }

    /// Opens bytes with the key that sealed them.
    pub async fn open(&self, sealed: &[u8]) -> Result<Vec<u8>, StoreError> {
        let id = key_id(sealed)?;
        let cached = self.cache.read().unwrap_or_else(PoisonError::into_inner).by_id.get(&id).cloned();
        if let Some(key) = cached {
            return Ok(key.open(sealed)?);
        }
        let find =
            sqlx::query_as::<_, (String, String, String, Vec<u8>)>(include_str!("../sql/find_data_key_by_id.sql"))
                .bind(id);
        let row = bounded(find.fetch_optional(&self.pool)).await?;
        let (tenant, subject, master, wrapped) = row.ok_or(CodecError::NoKey(id))?;
        let key = self.unwrap(id, &master, &wrapped)?;
        self.keep(&tenant, &subject, Arc::clone(&key));
        Ok(key.open(sealed)?)
    }

    /// Seals a document for a subject.
    pub async fn seal_for(&self, tenant: &str, subject: &str, plain: &[u8]) -> Result<Vec<u8>, StoreError> {
        Ok(self.of_subject(tenant, subject).await?.seal(plain)?)
    }
}
