//! Bytes of files and artifacts: sealed under the subject's key, kept in an object store under the blob's id.

use std::path::Path;
use std::sync::Arc;

use futures::TryStreamExt as _;
use object_store::local::LocalFileSystem;
use object_store::path::Path as ObjectPath;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload};
use uuid::Uuid;

/// Where the marks of erasures lie.
const MARKS: &str = "erased";

/// Where bytes lie.
#[derive(Clone)]
pub struct Blobs {
    store: Arc<dyn ObjectStore>,
}

/// Why bytes could not be kept or found.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    #[error("the folder for files cannot be used: {0}")]
    Folder(#[source] std::io::Error),
    #[error("the blob store: {0}")]
    Store(#[from] object_store::Error),
}

impl Blobs {
    /// A folder of this machine; made if it is missing.
    pub fn folder(path: &Path) -> Result<Self, BlobError> {
        std::fs::create_dir_all(path).map_err(BlobError::Folder)?;
        let store = LocalFileSystem::new_with_prefix(path)?.with_fsync(true);
        Ok(Self { store: Arc::new(store) })
    }

    pub async fn put(&self, id: Uuid, sealed: Vec<u8>) -> Result<(), BlobError> {
        self.store.put(&path(id), PutPayload::from(sealed)).await?;
        Ok(())
    }

    pub async fn get(&self, id: Uuid) -> Result<Vec<u8>, BlobError> {
        Ok(self.store.get(&path(id)).await?.bytes().await?.to_vec())
    }

    /// Nothing is left of it; what is not there is no error.
    pub async fn remove(&self, id: Uuid) -> Result<(), BlobError> {
        match self.store.delete(&path(id)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Keeps the mark of an erasure, one a subject.
    pub async fn put_mark(&self, tenant: &str, subject: &str, mark: Vec<u8>) -> Result<(), BlobError> {
        let digest =
            ring::digest::digest(&ring::digest::SHA256, format!("{}:{tenant}{subject}", tenant.len()).as_bytes());
        let name = digest.as_ref().iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
        self.store.put(&ObjectPath::from(format!("{MARKS}/{name}")), PutPayload::from(mark)).await?;
        Ok(())
    }

    /// The marks of all erasures.
    pub async fn marks(&self) -> Result<Vec<Vec<u8>>, BlobError> {
        let found: Vec<_> = self.store.list(Some(&ObjectPath::from(MARKS))).try_collect().await?;
        let mut marks = Vec::with_capacity(found.len());
        for object in found {
            marks.push(self.store.get(&object.location).await?.bytes().await?.to_vec());
        }
        Ok(marks)
    }
}

/// Two levels, so that no folder grows without bound.
fn path(id: Uuid) -> ObjectPath {
    let name = id.simple().to_string();
    ObjectPath::from(format!("{}/{}/{name}", &name[28..30], &name[30..32]))
}
