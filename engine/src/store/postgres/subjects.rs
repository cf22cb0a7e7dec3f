//! What a subject keeps: items with their versions, which run used which, and the end of it all.

use std::time::Duration;

use uuid::Uuid;
use valet_core::Timestamp;
use valet_core::id::RunId;

use super::queries::BlobRecord;
use super::{PgStore, audited, bounded};
use crate::audit::Deed;
use crate::bounds::{ERASURE_PAGES_MAX, ERASURES_PER_PAGE, ITEM_NAMES_MAX, RUNS_CANCELLED_PER_LOOK_MAX};
use crate::store::{SessionClaim, StoreError};

/// Times that a put is tried while others put the same item.
const PUTS_MAX: u32 = 5;

/// One item of one subject.
#[derive(Clone, Copy, Debug)]
pub struct ItemName<'a> {
    pub tenant: &'a str,
    pub subject: &'a str,
    pub kind: &'a str,
    pub name: &'a str,
}

#[derive(Clone, Debug, sqlx::FromRow)]
pub struct ItemRecord {
    pub kind: String,
    pub name: String,
    pub version: i32,
    pub created_at: Timestamp,
    pub created_by: String,
}

#[derive(sqlx::FromRow)]
struct ItemRow {
    #[sqlx(flatten)]
    record: ItemRecord,
    body: Vec<u8>,
}

#[derive(Clone, Debug, sqlx::FromRow)]
pub struct UseRecord {
    pub run_id: Uuid,
    pub kind: String,
    pub name: String,
    pub version: i32,
    pub used_at: Timestamp,
}

#[derive(Clone, Debug, sqlx::FromRow)]
pub struct SubjectRecord {
    pub known_since: Option<Timestamp>,
    pub live_runs: i64,
    pub items: i64,
    pub files: i64,
    pub erasing_since: Option<Timestamp>,
    pub erased_at: Option<Timestamp>,
}

/// An erasure whose time has come.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct DueErasure {
    pub id: i64,
    pub tenant: String,
    pub subject: String,
}

/// What a step keeps of its subject.
#[derive(Clone, Copy)]
pub struct NewItem<'a> {
    pub kind: &'a str,
    pub name: &'a str,
    pub plain: &'a [u8],
}

/// Whose step is held, and what its subject keeps under a name.
#[derive(sqlx::FromRow)]
struct HeldItem {
    tenant: String,
    subject: String,
    version: Option<i32>,
    body: Option<Vec<u8>>,
}

/// What a step gets of an item.
pub enum Handed {
    Item {
        version: i32,
        plain: Vec<u8>,
    },
    /// The subject has none.
    Missing,
    /// The lease does not hold.
    Stale,
}

impl PgStore {
    /// The version that it became; `None` while the subject is being erased.
    pub async fn put_item(&self, item: ItemName<'_>, plain: &[u8], deed: &Deed) -> Result<Option<i32>, StoreError> {
        if self.keys.is_erasing(item.tenant, item.subject).await? {
            return Ok(None);
        }
        let sealed = self.keys.seal_for(item.tenant, item.subject, plain).await?;
        for _ in 0..PUTS_MAX {
            let query = sqlx::query_scalar::<_, i32>(include_str!("../sql/put_item.sql"))
                .bind(item.tenant)
                .bind(item.subject)
                .bind(item.kind)
                .bind(item.name)
                .bind(&sealed)
                .bind(&deed.who);
            if let Some(version) = bounded(audited!(query, deed).fetch_optional(self.pool())).await? {
                return Ok(Some(version));
            }
            if self.find_subject(item.tenant, item.subject).await?.erasing_since.is_some() {
                break;
            }
        }
        Ok(None)
    }

    /// True if there was something to remove.
    pub async fn remove_item(&self, item: ItemName<'_>, deed: &Deed) -> Result<bool, StoreError> {
        let query = sqlx::query_scalar::<_, i64>(include_str!("../sql/remove_item.sql"))
            .bind(item.tenant)
            .bind(item.subject)
            .bind(item.kind)
            .bind(item.name)
            .bind(&deed.who);
        Ok(bounded(audited!(query, deed).fetch_one(self.pool())).await? > 0)
    }

    pub async fn list_items(
        &self,
        tenant: &str,
        subject: &str,
        kind: Option<&str>,
        after: Option<(String, String)>,
        most: u32,
    ) -> Result<Vec<ItemRecord>, StoreError> {
        let (after_kind, after_name) = after.unzip();
        let query = sqlx::query_as::<_, ItemRecord>(include_str!("../sql/list_items.sql"))
            .bind(tenant)
            .bind(subject)
            .bind(kind)
            .bind(after_kind)
            .bind(after_name)
            .bind(i64::from(most));
        bounded(query.fetch_all(self.pool())).await
    }

    /// The newest version, or the one that is asked for.
    pub async fn find_item(
        &self,
        item: ItemName<'_>,
        version: Option<i32>,
    ) -> Result<Option<(ItemRecord, Vec<u8>)>, StoreError> {
        let query = sqlx::query_as::<_, ItemRow>(include_str!("../sql/find_item.sql"))
            .bind(item.tenant)
            .bind(item.subject)
            .bind(item.kind)
            .bind(item.name)
            .bind(version);
        let Some(ItemRow { record, body }) = bounded(query.fetch_optional(self.pool())).await? else { return Ok(None) };
        Ok(Some((record, self.keys.open(&body).await?)))
    }

    /// For the step that holds a lease; which version it got is noted for its run.
    pub async fn use_item(&self, holder: &SessionClaim, kind: &str, name: &str) -> Result<Handed, StoreError> {
        let query = sqlx::query_as::<_, (bool, Option<i32>, Option<Vec<u8>>)>(include_str!("../sql/use_item.sql"))
            .bind(holder.run.0)
            .bind(holder.seq.0 as i32)
            .bind(holder.attempt.0 as i32)
            .bind(holder.lease.0)
            .bind(holder.session.0)
            .bind(kind)
            .bind(name);
        match bounded(query.fetch_one(self.pool())).await? {
            (true, Some(version), Some(body)) => Ok(Handed::Item { version, plain: self.keys.open(&body).await? }),
            (true, ..) => Ok(Handed::Missing),
            (false, ..) => Ok(Handed::Stale),
        }
    }

    /// Names of the items that the subject of a held step keeps, the newest first; `None` if the lease does not hold.
    pub async fn item_names(&self, holder: &SessionClaim, kind: &str) -> Result<Option<Vec<String>>, StoreError> {
        let query = sqlx::query_as::<_, (bool, Vec<String>)>(include_str!("../sql/item_names.sql"))
            .bind(holder.run.0)
            .bind(holder.seq.0 as i32)
            .bind(holder.attempt.0 as i32)
            .bind(holder.lease.0)
            .bind(holder.session.0)
            .bind(kind)
            .bind(ITEM_NAMES_MAX);
        let (held, names) = bounded(query.fetch_one(self.pool())).await?;
        Ok(held.then_some(names))
    }

    /// The version under which the subject of a held step keeps this now: the newest one's, if it says the same. `None` if the lease does
    /// not hold, or the subject is being erased.
    pub async fn keep_item(
        &self,
        holder: &SessionClaim,
        item: NewItem<'_>,
        deed: &Deed,
    ) -> Result<Option<i32>, StoreError> {
        for _ in 0..PUTS_MAX {
            let Some(held) = self.held_item(holder, item).await? else { return Ok(None) };
            if let (Some(version), Some(body)) = (held.version, &held.body)
                && self.keys.open(body).await? == item.plain
            {
                return Ok(Some(version));
            }
            if self.keys.is_erasing(&held.tenant, &held.subject).await? {
                return Ok(None);
            }
            let sealed = self.keys.seal_for(&held.tenant, &held.subject, item.plain).await?;
            let deed = Deed { target: format!("{}/{}/{}", held.subject, item.kind, item.name), ..deed.clone() };
            let query = sqlx::query_scalar::<_, i32>(include_str!("../sql/keep_item.sql"))
                .bind(holder.run.0)
                .bind(holder.seq.0 as i32)
                .bind(holder.attempt.0 as i32)
                .bind(holder.lease.0)
                .bind(holder.session.0)
                .bind(item.kind)
                .bind(item.name)
                .bind(&sealed)
                .bind(holder.run.to_string())
                .bind(&deed.who);
            if let Some(version) = bounded(audited!(query, deed).fetch_optional(self.pool())).await? {
                return Ok(Some(version));
            }
            // The lease ended, or another put was faster.
        }
        Ok(None)
    }

    async fn held_item(&self, holder: &SessionClaim, item: NewItem<'_>) -> Result<Option<HeldItem>, StoreError> {
        let query = sqlx::query_as::<_, HeldItem>(include_str!("../sql/held_item.sql"))
            .bind(holder.run.0)
            .bind(holder.seq.0 as i32)
            .bind(holder.attempt.0 as i32)
            .bind(holder.lease.0)
            .bind(holder.session.0)
            .bind(item.kind)
            .bind(item.name);
        bounded(query.fetch_optional(self.pool())).await
    }

    pub async fn list_uses(&self, tenant: &str, subject: &str, most: u32) -> Result<Vec<UseRecord>, StoreError> {
        let query = sqlx::query_as::<_, UseRecord>(include_str!("../sql/list_uses.sql"));
        bounded(query.bind(tenant).bind(subject).bind(i64::from(most)).fetch_all(self.pool())).await
    }

    pub async fn find_subject(&self, tenant: &str, subject: &str) -> Result<SubjectRecord, StoreError> {
        let query = sqlx::query_as::<_, SubjectRecord>(include_str!("../sql/find_subject.sql"));
        bounded(query.bind(tenant).bind(subject).fetch_one(self.pool())).await
    }

    /// Nothing new of this subject may begin.
    pub async fn is_erasing(&self, tenant: &str, subject: &str) -> Result<bool, StoreError> {
        self.keys.is_erasing(tenant, subject).await
    }

    /// Files and artifacts of a subject, oldest first.
    pub async fn list_blobs_of_subject(
        &self,
        tenant: &str,
        subject: &str,
        after: Option<Uuid>,
        most: u32,
    ) -> Result<Vec<BlobRecord>, StoreError> {
        let query = sqlx::query_as::<_, BlobRecord>(include_str!("../sql/list_blobs_of_subject.sql"));
        bounded(query.bind(tenant).bind(subject).bind(after).bind(i64::from(most)).fetch_all(self.pool())).await
    }

    /// True for the request that began it.
    pub async fn begin_erasure(&self, tenant: &str, subject: &str, deed: &Deed) -> Result<bool, StoreError> {
        let query = sqlx::query_scalar::<_, i64>(include_str!("../sql/begin_erasure.sql"));
        let query = audited!(query.bind(tenant).bind(subject).bind(&deed.who), deed);
        let begun = bounded(query.fetch_one(self.pool())).await?;
        self.keys.forget(tenant, subject);
        Ok(begun > 0)
    }

    /// All of them, page by page: those that wait for their runs do not hold up the others.
    pub async fn due_erasures(&self, grace: Duration) -> Result<Vec<DueErasure>, StoreError> {
        let mut due: Vec<DueErasure> = Vec::new();
        for _ in 0..ERASURE_PAGES_MAX {
            let query = sqlx::query_as::<_, DueErasure>(include_str!("../sql/due_erasures.sql"))
                .bind(grace.as_secs_f64())
                .bind(ERASURES_PER_PAGE)
                .bind(due.last().map_or(0, |last| last.id));
            let page = bounded(query.fetch_all(self.pool())).await?;
            let is_last = (page.len() as i64) < ERASURES_PER_PAGE;
            due.extend(page);
            if is_last {
                break;
            }
        }
        Ok(due)
    }

    pub async fn live_runs_of_subject(&self, tenant: &str, subject: &str) -> Result<Vec<RunId>, StoreError> {
        let query = sqlx::query_scalar::<_, Uuid>(include_str!("../sql/live_runs_of_subject.sql"));
        let query = query.bind(tenant).bind(subject).bind(RUNS_CANCELLED_PER_LOOK_MAX);
        Ok(bounded(query.fetch_all(self.pool())).await?.into_iter().map(RunId).collect())
    }

    /// What was sealed for the subject until then opens no more; true if there was a key.
    pub async fn destroy_key(&self, tenant: &str, subject: &str, until: Timestamp) -> Result<bool, StoreError> {
        let query = sqlx::query(include_str!("../sql/destroy_key.sql")).bind(tenant).bind(subject).bind(until);
        let gone = bounded(query.execute(self.pool())).await?.rows_affected() > 0;
        self.keys.forget(tenant, subject);
        Ok(gone)
    }

    /// Removes what else there is of the subject, and notes the end of its erasure.
    pub async fn forget_subject(&self, tenant: &str, subject: &str, until: Timestamp) -> Result<(), StoreError> {
        let query = sqlx::query(include_str!("../sql/forget_subject.sql")).bind(tenant).bind(subject).bind(until);
        bounded(query.execute(self.pool())).await?;
        Ok(())
    }

    pub async fn remove_blob(&self, id: Uuid) -> Result<(), StoreError> {
        bounded(sqlx::query(include_str!("../sql/remove_blob.sql")).bind(id).execute(self.pool())).await?;
        Ok(())
    }

    /// Uses other master keys from now on.
    pub fn set_masters(&self, masters: crate::codec::MasterKeys) {
        self.keys.set_masters(masters);
    }

    /// Wraps some data keys of older master keys under the current one; how many.
    pub async fn rewrap_keys(&self) -> Result<usize, StoreError> {
        self.keys.rewrap().await
    }
}
