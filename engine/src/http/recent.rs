//! What the database said about a hash, kept for a moment: a request costs no query, and what ends elsewhere is learnt soon.

use std::collections::HashMap;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::bounds::{TOKEN_CACHED, TOKENS_CACHED_MAX};

pub(super) type Hash = [u8; 32];

pub(super) struct Recent<V>(Mutex<HashMap<Hash, (V, Instant)>>);

impl<V> Default for Recent<V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<V: Clone> Recent<V> {
    pub fn get(&self, hash: &Hash) -> Option<V> {
        let found = self.0.lock();
        found.get(hash).filter(|(_, until)| Instant::now() < *until).map(|(value, _)| value.clone())
    }

    /// `asked_at`: before the database was asked, since it may have changed while it answered.
    pub fn keep(&self, hash: Hash, value: V, asked_at: Instant) {
        let mut found = self.0.lock();
        if found.len() >= TOKENS_CACHED_MAX {
            found.clear();
        }
        found.insert(hash, (value, asked_at + TOKEN_CACHED));
    }

    pub fn forget(&self, hash: &[u8]) {
        self.0.lock().retain(|kept, _| kept != hash);
    }
}
