//! TLS between an engine and those that talk to it: the engine's certificate, its listener, and whom clients trust.
//!
//! rustls on ring, TLS 1.2 and later, HTTP/1.1. What goes to somebody else's server is `valet-outward`'s.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use crate::settings::{Settings, SettingsError, wrong};

mod certificate;
mod listener;
#[cfg(test)]
mod tests;

pub use certificate::Renewing;
pub use listener::{ListenerBounds, TlsListener};

const CERTIFICATE: &str = "http.tls_cert_file";
const KEY: &str = "http.tls_key_file";
const AUTHORITIES: &str = "http.ca_file";

/// A system's whole bundle of authorities has 220 KB.
const PEM_BYTES_MAX: u64 = 1024 * 1024;

/// Where the engine's certificate and its key are.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// What is wrong with a file, and which setting names it.
#[derive(Debug, thiserror::Error)]
#[error("{setting}: {problem}")]
pub struct FileError {
    setting: &'static str,
    problem: String,
}

impl From<FileError> for SettingsError {
    fn from(error: FileError) -> Self {
        wrong(error.setting, error.problem)
    }
}

/// The engine's certificate; `None`: it serves plain HTTP.
pub fn certificate(settings: &Settings) -> Result<Option<Renewing>, SettingsError> {
    let alone = |missing, given| Err(wrong(missing, format!("not set although {given} is; set both or neither")));
    match (settings.find(CERTIFICATE), settings.find(KEY)) {
        (None, None) => Ok(None),
        (Some(_), None) => alone(KEY, CERTIFICATE),
        (None, Some(_)) => alone(CERTIFICATE, KEY),
        (Some(certificate), Some(key)) => {
            let files = TlsFiles { certificate: certificate.into(), key: key.into() };
            Ok(Some(Renewing::load(files)?))
        }
    }
}

/// The authorities that are trusted besides the system's.
pub fn authorities(settings: &Settings) -> Result<Vec<CertificateDer<'static>>, SettingsError> {
    match settings.find(AUTHORITIES) {
        Some(file) => Ok(certificates_in(AUTHORITIES, Path::new(file))?),
        None => Ok(Vec::new()),
    }
}

/// The same as the clients of an engine take them.
pub fn client_authorities(settings: &Settings) -> Result<Vec<reqwest::Certificate>, SettingsError> {
    authorities_of(settings.find(AUTHORITIES).map(Path::new))
}

/// The same of a file that a flag may have named.
pub fn authorities_of(file: Option<&Path>) -> Result<Vec<reqwest::Certificate>, SettingsError> {
    let Some(file) = file else { return Ok(Vec::new()) };
    let found = certificates_in(AUTHORITIES, file)?;
    let usable = |der: &CertificateDer<'_>| reqwest::Certificate::from_der(der);
    found.iter().map(usable).collect::<Result<_, _>>().map_err(|e| wrong(AUTHORITIES, e.to_string()))
}

fn certificates_in(setting: &'static str, file: &Path) -> Result<Vec<CertificateDer<'static>>, FileError> {
    let problem = |what: String| FileError { setting, problem: format!("{} {what}", file.display()) };
    let pem = read(setting, file)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let found = found.map_err(|error| problem(format!("is not PEM: {error}")))?;
    if found.is_empty() {
        return Err(problem("holds no certificate; it begins with -----BEGIN CERTIFICATE-----".to_owned()));
    }
    Ok(found)
}

fn read(setting: &'static str, file: &Path) -> Result<Vec<u8>, FileError> {
    let mut bytes = Vec::new();
    let read = std::fs::File::open(file).and_then(|file| file.take(PEM_BYTES_MAX + 1).read_to_end(&mut bytes));
    let problem = match read {
        Ok(length) if length as u64 > PEM_BYTES_MAX => format!("has more than {PEM_BYTES_MAX} bytes"),
        Ok(_) => return Ok(bytes),
        Err(error) => format!("cannot be read: {error}"),
    };
    Err(FileError { setting, problem: format!("{} {problem}", file.display()) })
}
