//! Where lease ids come from: a port, so that a simulation can repeat a worker by its seed.

use uuid::Uuid;
use valet_core::id::LeaseId;

/// A source of ids that nobody else makes.
pub trait Ids: Send + Sync + 'static {
    fn lease(&self) -> LeaseId;
}

/// Random UUIDs of version 4.
#[derive(Clone, Copy, Debug, Default)]
pub struct RandomIds;

impl Ids for RandomIds {
    fn lease(&self) -> LeaseId {
        LeaseId(Uuid::new_v4())
    }
}
