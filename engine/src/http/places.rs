//! Places for event streams and for requests that wait: so many an engine, and so many of one tenant.

use std::collections::HashMap;
use std::sync::Arc;

use axum::http::StatusCode;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Fault;
use super::auth::Caller;
use crate::access::Scope;
use crate::bounds::EVENT_STREAMS_MAX;

pub(super) struct Places {
    all: Arc<Semaphore>,
    tenant_max: usize,
    /// Only tenants that have one.
    taken: Mutex<HashMap<String, usize>>,
}

impl Places {
    pub fn new(tenant_max: usize) -> Arc<Self> {
        Arc::new(Self { all: Arc::new(Semaphore::new(EVENT_STREAMS_MAX)), tenant_max, taken: Mutex::default() })
    }

    pub fn open(&self) -> usize {
        EVENT_STREAMS_MAX - self.all.available_permits()
    }

    /// A place, free again when it is dropped. A tenant's share does not hold for workers that serve all tenants.
    pub fn take(self: &Arc<Self>, caller: &Caller) -> Result<Place, Fault> {
        let full = |detail| Fault::new(StatusCode::TOO_MANY_REQUESTS, "too_many_streams", detail);
        let permit = Arc::clone(&self.all)
            .try_acquire_owned()
            .map_err(|_| full("this engine serves no more event streams and waits now"))?;
        if caller.is_root && caller.scopes.contains(&Scope::Work) {
            return Ok(Place { _permit: permit, _share: None });
        }
        let mut taken = self.taken.lock();
        let before = taken.get(&caller.tenant).copied().unwrap_or_default();
        if before >= self.tenant_max {
            return Err(full("this tenant has as many event streams and waits as it may (`limits.tenant_streams`)"));
        }
        taken.insert(caller.tenant.clone(), before + 1);
        Ok(Place { _permit: permit, _share: Some(Share { places: Arc::clone(self), tenant: caller.tenant.clone() }) })
    }
}

#[must_use = "the place is free again when this is dropped"]
pub(super) struct Place {
    _permit: OwnedSemaphorePermit,
    _share: Option<Share>,
}

struct Share {
    places: Arc<Places>,
    tenant: String,
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut taken = self.places.taken.lock();
        if let Some(of_tenant) = taken.get_mut(&self.tenant) {
            *of_tenant -= 1;
            if *of_tenant == 0 {
                taken.remove(&self.tenant);
            }
        }
    }
}
