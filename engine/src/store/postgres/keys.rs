//! Data keys of subjects, unwrapped and kept for a while: an erased subject's key is gone from every engine soon after its row.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use sqlx::PgPool;
use tokio::time::Instant;

use super::{StoreError, bounded};
use crate::bounds::{DATA_KEY_CACHED, DATA_KEYS_CACHED_MAX, KEYS_PER_REWRAP_MAX};
use crate::codec::{CodecError, DataKey, MasterKeys, key_id};

/// Finds the key that seals for a subject, and the key that sealed some bytes.
pub struct KeyRing {
    masters: RwLock<Arc<MasterKeys>>,
    pool: PgPool,
    cache: RwLock<Cache>,
}

#[derive(Default)]
struct Cache {
    by_subject: HashMap<String, HashMap<String, Held>>,
    by_id: HashMap<i64, Held>,
}

#[derive(Clone)]
struct Held {
    key: Arc<DataKey>,
    /// Its subject is to be forgotten: what goes on may end, nothing new begins.
    erasing: bool,
    until: Instant,
}

impl KeyRing {
    pub(super) fn new(masters: MasterKeys, pool: PgPool) -> Self {
        Self { masters: RwLock::new(Arc::new(masters)), pool, cache: RwLock::default() }
    }

    pub fn masters(&self) -> Arc<MasterKeys> {
        Arc::clone(&self.masters.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// From now on.
    pub fn set_masters(&self, masters: MasterKeys) {
        *self.masters.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(masters);
    }

    fn cached(&self, tenant: &str, subject: &str) -> Option<Held> {
        let cache = self.cache.read().unwrap_or_else(PoisonError::into_inner);
        cache.by_subject.get(tenant)?.get(subject).filter(|held| Instant::now() < held.until).cloned()
    }

    /// The key of a subject; made on first use.
    pub async fn of_subject(&self, tenant: &str, subject: &str) -> Result<Arc<DataKey>, StoreError> {
        Ok(self.held(tenant, subject).await?.key)
    }

    /// The subject is being erased.
    pub async fn is_erasing(&self, tenant: &str, subject: &str) -> Result<bool, StoreError> {
        Ok(self.held(tenant, subject).await?.erasing)
    }

    async fn held(&self, tenant: &str, subject: &str) -> Result<Held, StoreError> {
        if let Some(held) = self.cached(tenant, subject) {
            return Ok(held);
        }
        if let Some(held) = self.find(tenant, subject).await? {
            return Ok(held);
        }
        let masters = self.masters();
        let wrapped = masters.current.new_wrapped_key()?;
        let add = sqlx::query(include_str!("../sql/add_data_key.sql"))
            .bind(tenant)
            .bind(subject)
            .bind(&masters.current.name)
            .bind(wrapped);
        bounded(add.execute(&self.pool)).await?;
        // Another engine may have been first: whoever's row is there is the key.
        self.find(tenant, subject).await?.ok_or(StoreError::Sealed(CodecError::NoKey(0)))
    }

    async fn find(&self, tenant: &str, subject: &str) -> Result<Option<Held>, StoreError> {
        let asked_at = Instant::now();
        let find = sqlx::query_as::<_, (i64, String, Vec<u8>, bool)>(include_str!("../sql/find_data_key.sql"))
            .bind(tenant)
            .bind(subject);
        let Some((id, master, wrapped, erasing)) = bounded(find.fetch_optional(&self.pool)).await? else {
            return Ok(None);
        };
        let key = self.unwrap(id, &master, &wrapped)?;
        let held = Held { key, erasing, until: asked_at + DATA_KEY_CACHED };
        let mut cache = self.room();
        cache.by_id.insert(id, held.clone());
        cache.by_subject.entry(tenant.to_owned()).or_default().insert(subject.to_owned(), held.clone());
        Ok(Some(held))
    }

    fn unwrap(&self, id: i64, master: &str, wrapped: &[u8]) -> Result<Arc<DataKey>, CodecError> {
        self.masters().named(master)?.unwrap_key(id, wrapped).map(Arc::new)
    }

    /// The cache, with room in it.
    fn room(&self) -> std::sync::RwLockWriteGuard<'_, Cache> {
        let mut cache = self.cache.write().unwrap_or_else(PoisonError::into_inner);
        if cache.by_id.len() >= DATA_KEYS_CACHED_MAX {
            *cache = Cache::default();
        }
        cache
    }

    /// Opens bytes with the key that sealed them.
    pub async fn open(&self, sealed: &[u8]) -> Result<Vec<u8>, StoreError> {
        let id = key_id(sealed)?;
        let cached = self.cache.read().unwrap_or_else(PoisonError::into_inner).by_id.get(&id).cloned();
        if let Some(held) = cached.filter(|held| Instant::now() < held.until) {
            return Ok(held.key.open(sealed)?);
        }
        let asked_at = Instant::now();
        let find = sqlx::query_as::<_, (String, Vec<u8>)>(include_str!("../sql/find_data_key_by_id.sql")).bind(id);
        let (master, wrapped) = bounded(find.fetch_optional(&self.pool)).await?.ok_or(CodecError::NoKey(id))?;
        let key = self.unwrap(id, &master, &wrapped)?;
        // Only for opening: whether its subject may begin something is asked by its name.
        let held = Held { key: Arc::clone(&key), erasing: false, until: asked_at + DATA_KEY_CACHED };
        self.room().by_id.insert(id, held);
        Ok(key.open(sealed)?)
    }

    /// Seals a document for a subject.
    pub async fn seal_for(&self, tenant: &str, subject: &str, plain: &[u8]) -> Result<Vec<u8>, StoreError> {
        Ok(self.of_subject(tenant, subject).await?.seal(plain)?)
    }

    /// What this engine holds of a subject's key.
    pub(super) fn forget(&self, tenant: &str, subject: &str) {
        let mut cache = self.cache.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(subjects) = cache.by_subject.get_mut(tenant) {
            subjects.remove(subject);
        }
        // Keys that only opened something do not say whose they are.
        cache.by_id.clear();
    }

    /// Wraps keys of older master keys under the current one: some of them, and answers how many.
    pub async fn rewrap(&self) -> Result<usize, StoreError> {
        let masters = self.masters();
        let find = sqlx::query_as::<_, (i64, String, Vec<u8>)>(include_str!("../sql/other_master_keys.sql"))
            .bind(&masters.current.name)
            .bind(KEYS_PER_REWRAP_MAX);
        let mut rewrapped = 0;
        for (id, master, wrapped) in bounded(find.fetch_all(&self.pool)).await? {
            let anew = masters.current.wrap_anew(masters.named(&master)?, &wrapped)?;
            // Another engine may be at it too: whoever is first, the data key stays the same.
            let update = sqlx::query(include_str!("../sql/rewrap_key.sql"))
                .bind(id)
                .bind(&master)
                .bind(&masters.current.name)
                .bind(anew);
            bounded(update.execute(&self.pool)).await?;
            metrics::counter!("valet_keys_rewrapped_total").increment(1);
            rewrapped += 1;
        }
        Ok(rewrapped)
    }
}
