//! Limits as one engine knows them, as of its last tick or of its own last change: under which of them new steps fall. What they
//! say now, and who is next, is decided in the database.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use valet_core::limits::{LimitText, Limits};

use crate::store::LimitsStamp;

/// One engine's copy.
#[derive(Default)]
pub struct KnownLimits {
    /// Asked with every decision, so without the lock.
    any: AtomicBool,
    asked: AtomicU64,
    known: RwLock<Known>,
}

#[derive(Default)]
struct Known {
    asked: u64,
    stamp: LimitsStamp,
    limits: Arc<Limits>,
}

/// Taken before the limits are read, so that what was read earlier never replaces what was read later.
#[derive(Clone, Copy, Debug)]
pub struct Asked(u64);

impl KnownLimits {
    pub fn ask(&self) -> Asked {
        Asked(self.asked.fetch_add(1, Ordering::AcqRel) + 1)
    }

    /// `stamp`: at least as old as the texts; they are read again where it is not the newest.
    pub fn learn(&self, asked: Asked, stamp: LimitsStamp, texts: Vec<LimitText>) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if asked.0 < known.asked {
            return;
        }
        self.any.store(!texts.is_empty(), Ordering::Release);
        metrics::gauge!("valet_limits").set(texts.len() as f64);
        *known = Known { asked: asked.0, stamp, limits: Arc::new(Limits::new(texts)) };
    }

    pub fn stamp(&self) -> LimitsStamp {
        self.known.read().unwrap_or_else(PoisonError::into_inner).stamp
    }

    pub fn now(&self) -> Arc<Limits> {
        if !self.any.load(Ordering::Acquire) {
            return Arc::default();
        }
        Arc::clone(&self.known.read().unwrap_or_else(PoisonError::into_inner).limits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_earlier_does_not_replace_what_was_read_later() {
        let text = LimitText {
            tenant: "acme".to_owned(),
            name: "a".to_owned(),
            workflow: "apply".to_owned(),
            step: None,
            key: None,
            share: None,
            weights: std::collections::BTreeMap::new(),
        };
        let known = KnownLimits::default();
        let (tick, change) = (known.ask(), known.ask());
        known.learn(change, LimitsStamp { count: 1, version: 7 }, vec![text]);
        known.learn(tick, LimitsStamp::default(), Vec::new());
        assert_eq!((known.stamp().count, known.now().is_empty()), (1, false));
    }
}
