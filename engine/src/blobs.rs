//! Bytes of files and artifacts: sealed under the subject's key, kept in an object store under the blob's id.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::TryStreamExt as _;
use object_store::aws::AmazonS3Builder;
use object_store::local::LocalFileSystem;
use object_store::path::Path as ObjectPath;
use object_store::prefix::PrefixStore;
use object_store::{ClientOptions, ObjectStore, ObjectStoreExt, PutPayload, RetryConfig};
use uuid::Uuid;

use crate::hex;

/// Where the marks of erasures lie.
const MARKS: &str = "erased";
/// One request to a bucket.
const REQUEST_MAX: Duration = Duration::from_secs(30);
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// A request and its repetitions, after which whoever asked is told.
const REQUESTS_MAX: Duration = Duration::from_secs(45);
const REPETITIONS_MAX: usize = 3;

/// A bucket of S3, or of what speaks its language.
#[derive(Clone)]
pub struct Bucket {
    /// `s3://bucket` or `s3://bucket/folder`.
    pub url: String,
    /// Where it is not Amazon's: `https://objects.example.com`. Plain HTTP is for a machine of one's own.
    pub endpoint: Option<String>,
    pub region: String,
    pub access_key_id: String,
    pub secret_access_key: String,
}

impl fmt::Debug for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bucket").field("url", &self.url).field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

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
    #[error("the address of the bucket is not one of `s3://bucket` or `s3://bucket/folder`: {0}")]
    Address(String),
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

    /// A bucket that all engines share; nothing is asked of it yet.
    pub fn bucket(bucket: &Bucket) -> Result<Self, BlobError> {
        let named = bucket.url.strip_prefix("s3://").unwrap_or_default().trim_end_matches('/');
        let (name, folder) = named.split_once('/').unwrap_or((named, ""));
        if name.is_empty() {
            return Err(BlobError::Address(bucket.url.clone()));
        }
        let client = ClientOptions::new().with_timeout(REQUEST_MAX).with_connect_timeout(CONNECT_MAX);
        let is_plain = bucket.endpoint.as_ref().is_some_and(|endpoint| endpoint.starts_with("http://"));
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(name)
            .with_region(&bucket.region)
            .with_access_key_id(&bucket.access_key_id)
            .with_secret_access_key(&bucket.secret_access_key)
            .with_client_options(client.with_allow_http(is_plain))
            .with_retry(RetryConfig {
                max_retries: REPETITIONS_MAX,
                retry_timeout: REQUESTS_MAX,
                ..RetryConfig::default()
            });
        if let Some(endpoint) = &bucket.endpoint {
            builder = builder.with_endpoint(endpoint);
        }
        Ok(Self { store: Arc::new(PrefixStore::new(builder.build()?, folder)) })
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
        let name = hex::encode(digest.as_ref());
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
