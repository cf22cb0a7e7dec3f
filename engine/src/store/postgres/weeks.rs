//! Partitions of history are made before the first run of their week is stored.

use std::sync::Mutex;
use std::sync::PoisonError;

use sqlx::PgPool;

use super::{StoreError, bounded};

/// Weeks whose partitions this process has seen made.
#[derive(Default)]
pub(super) struct Weeks {
    known: Mutex<std::collections::HashSet<u16>>,
}

impl Weeks {
    pub async fn ensure(&self, pool: &PgPool, first: u16, last: u16) -> Result<(), StoreError> {
        let missing = {
            let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            (first..=last).any(|week| !known.contains(&week))
        };
        if !missing {
            return Ok(());
        }
        let query = sqlx::query(include_str!("../sql/ensure_weeks.sql")).bind(i32::from(first)).bind(i32::from(last));
        bounded(query.execute(pool)).await?;
        self.known.lock().unwrap_or_else(PoisonError::into_inner).extend(first..=last);
        Ok(())
    }
}
