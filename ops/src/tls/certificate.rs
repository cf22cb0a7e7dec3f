//! The engine's certificate: read at start, and again when its files changed, so that it is renewed without a restart.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use rustls::crypto::ring::default_provider;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys, ServerConfig};

use super::{CERTIFICATE, FileError, KEY, TlsFiles, certificates_in, read};

/// How a file looked when it was read: when it was written, its size, and which file it is. A renewal changes one of them.
#[derive(Debug, PartialEq, Eq)]
struct Look {
    written: (i64, i64),
    size: u64,
    inode: u64,
}

/// A certificate and its key, as of the last time that both could be used.
#[derive(Debug)]
pub struct Renewing {
    files: TlsFiles,
    current: RwLock<(Arc<CertifiedKey>, [Option<Look>; 2])>,
}

impl Renewing {
    pub fn load(files: TlsFiles) -> Result<Self, FileError> {
        // First: what is written meanwhile is seen as a change later.
        let look = look(&files);
        let current = load(&files)?;
        Ok(Self { files, current: RwLock::new((Arc::new(current), look)) })
    }

    /// What a listener shows: TLS 1.2 and 1.3, HTTP/1.1.
    pub fn server_config(self: &Arc<Self>) -> ServerConfig {
        let builder = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring speaks TLS 1.2 and 1.3");
        let mut config =
            builder.with_no_client_auth().with_cert_resolver(Arc::clone(self) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        config
    }

    /// Looks at the files for as long as it is polled. A pair that cannot be used, such as half a renewal, is looked at
    /// again; until then the last good one is shown.
    pub async fn watch(self: Arc<Self>, every: Duration) {
        loop {
            tokio::time::sleep(every).await;
            let renewing = Arc::clone(&self);
            match tokio::task::spawn_blocking(move || renewing.renew()).await {
                Ok(Ok(true)) => tracing::info!("the engine shows its renewed certificate"),
                Ok(Ok(false)) => {}
                Ok(Err(error)) => tracing::warn!(%error, "the changed certificate cannot be used; the last one stays"),
                Err(error) => tracing::warn!(%error, "the certificate was not looked at"),
            }
        }
    }

    /// True when there was something new.
    pub(super) fn renew(&self) -> Result<bool, FileError> {
        let look = look(&self.files);
        if self.current.read().unwrap_or_else(PoisonError::into_inner).1 == look {
            return Ok(false);
        }
        let fresh = Arc::new(load(&self.files)?);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = (fresh, look);
        Ok(true)
    }
}

impl ResolvesServerCert for Renewing {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner).0))
    }
}

fn look(files: &TlsFiles) -> [Option<Look>; 2] {
    let of = |file: &Path| {
        let file = std::fs::metadata(file).ok()?;
        Some(Look { written: (file.mtime(), file.mtime_nsec()), size: file.size(), inode: file.ino() })
    };
    [of(&files.certificate), of(&files.key)]
}

fn load(files: &TlsFiles) -> Result<CertifiedKey, FileError> {
    let chain = certificates_in(CERTIFICATE, &files.certificate)?;
    let of = |setting, file: &Path, what: String| FileError { setting, problem: format!("{} {what}", file.display()) };
    let bad_key = |what: String| of(KEY, &files.key, what);
    let key = PrivateKeyDer::from_pem_slice(&read(KEY, &files.key)?)
        .map_err(|error| bad_key(format!("holds no private key in PEM: {error}")))?;
    let key = default_provider().key_provider.load_private_key(key);
    let pair = CertifiedKey::new(chain, key.map_err(|error| bad_key(format!("cannot be used: {error}")))?);
    match pair.keys_match() {
        Ok(()) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(pair),
        Err(Error::InconsistentKeys(_)) => {
            Err(bad_key(format!("is not the key of the certificate in {}", files.certificate.display())))
        }
        Err(error) => Err(of(CERTIFICATE, &files.certificate, format!("cannot be used: {error}"))),
    }
}
