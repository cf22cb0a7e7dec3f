//! Tier 4: hands an application to the hiring system itself, over the interface that its vendor documents.
//!
//! Its questions become a [`Snapshot`] like that of a page, so that what answers a page's form answers these too: one way of
//! understanding a question, whoever asks it. Only a vendor that has such an interface, and for whose board a key is held where it wants
//! one, is asked at all ([`Systems::lacks`]).

mod greenhouse;
mod lever;
mod questions;
mod recruitee;

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use rustls::pki_types::CertificateDer;
use thiserror::Error;
use valet_outward::Method;
use valet_workflows::ats::{JobPlace, Region, System, detect, greenhouse_board_in};

pub use questions::{Entry, EntryValue, JobForm, entries, is_taken};

use crate::gate::HostPort;
use crate::vendor::{Pace, Secret, Told, Vendor, VendorConfig, VendorError};

/// What systems are reached at, and with which keys.
pub struct SystemsConfig {
    /// `{region}` becomes nothing, or `.eu`.
    pub greenhouse_url: String,
    /// Keys of employers' job boards, by board.
    pub greenhouse_keys: BTreeMap<String, Secret>,
    /// `{region}` becomes nothing, or `.eu`.
    pub lever_url: String,
    /// Keys of employers, by site.
    pub lever_keys: BTreeMap<String, Secret>,
    /// `{company}` becomes the company.
    pub recruitee_url: String,
    /// Private places that may be called.
    pub opened: Vec<HostPort>,
    /// Trusted besides those of the system.
    pub authorities: Vec<CertificateDer<'static>>,
}

impl Default for SystemsConfig {
    fn default() -> Self {
        Self {
            greenhouse_url: "https://boards-api{region}.greenhouse.io".to_owned(),
            greenhouse_keys: BTreeMap::new(),
            lever_url: "https://api{region}.lever.co".to_owned(),
            lever_keys: BTreeMap::new(),
            recruitee_url: "https://{company}.recruitee.com".to_owned(),
            opened: Vec::new(),
            authorities: Vec::new(),
        }
    }
}

/// Lever takes "2 application POST requests per second"; the others name no limit, and get no more.
const APPLICATIONS_EVERY: Duration = Duration::from_millis(500);
/// A vendor that wants fewer requests and does not say when.
const QUIET: Duration = Duration::from_secs(5);

/// The hiring systems that can be reached from here.
pub struct Systems {
    greenhouse: Vendor,
    lever: Vendor,
    recruitee: Vendor,
    /// To pages of employers that embed a board.
    pages: Vendor,
    greenhouse_keys: BTreeMap<String, Secret>,
    lever_keys: BTreeMap<String, Secret>,
    pace: BTreeMap<System, Pace>,
}

/// Why a system did not do as it was asked.
#[derive(Debug, Error)]
pub enum DirectError {
    #[error("the job takes no applications any more")]
    Closed,
    #[error("{system} does not accept the key for `{board}`: {detail}; check {setting}")]
    Key { system: &'static str, board: String, setting: &'static str, detail: String },
    /// Certainly not done.
    #[error("{system} wants fewer requests, again in {} s", again_in.as_secs())]
    Limited { system: &'static str, again_in: Duration },
    /// Certainly not done.
    #[error("{system} cannot be reached: {detail}")]
    Away { system: &'static str, detail: String },
    /// It may have been done.
    #[error("what {system} did is not known: {detail}")]
    Lost { system: &'static str, detail: String },
    /// What it has to say is not what its documentation says.
    #[error("{system} answers what is not understood: {detail}")]
    Strange { system: &'static str, detail: String },
}

/// What became of an application that was handed over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Handed {
    Received { confirmation: String, reference: Option<String> },
    Refused { errors: Vec<String> },
}

/// A file to go along.
pub struct HeldFile {
    /// What an [`EntryValue::File`] names it by.
    pub id: String,
    pub filename: String,
    pub content_type: String,
    pub bytes: Bytes,
}

impl Systems {
    pub fn new(config: &SystemsConfig) -> Self {
        let SystemsConfig { greenhouse_keys, lever_keys, opened, authorities, .. } = config;
        let vendor = |name, base: &str| {
            Vendor::new(name, base, VendorConfig { opened: opened.clone(), authorities: authorities.clone() })
        };
        let paced = [System::Greenhouse, System::Lever, System::Recruitee];
        Self {
            greenhouse: vendor("Greenhouse", &config.greenhouse_url),
            lever: vendor("Lever", &config.lever_url),
            recruitee: vendor("Recruitee", &config.recruitee_url),
            pages: vendor("the employer's page", "{page}"),
            greenhouse_keys: greenhouse_keys.clone(),
            lever_keys: lever_keys.clone(),
            pace: paced.into_iter().map(|system| (system, Pace::new(APPLICATIONS_EVERY, 1))).collect(),
        }
    }

    /// Which job an address is, as far as it can be told; where a board is embedded its page is read.
    pub async fn place(&self, job_url: &str) -> Option<JobPlace> {
        let place = detect(job_url)?;
        if !place.embedded || place.system != System::Greenhouse || self.greenhouse_keys.is_empty() {
            return Some(place);
        }
        match self.board_of(job_url).await {
            Ok(board) => Some(JobPlace { board, ..place }),
            Err(error) => {
                tracing::debug!(%error, "which board a page has embedded is not known");
                Some(place)
            }
        }
    }

    async fn board_of(&self, job_url: &str) -> Result<Option<String>, VendorError> {
        let told = self.pages.tell(self.pages.ask(Method::GET, &[("page", job_url)], &[])?).await?;
        Ok(told.is_success().then(|| greenhouse_board_in(&String::from_utf8_lossy(&told.body))).flatten())
    }

    /// Why an application to this job cannot be handed over from here, as a sentence; `None`: it can.
    pub fn lacks(&self, place: &JobPlace) -> Option<String> {
        let system = place.system.as_str();
        if !place.system.takes_applications() {
            return Some(format!("{system} takes applications in a browser only"));
        }
        let (Some(board), Some(_)) = (&place.board, &place.posting) else {
            return Some(format!("the address does not say which job at {system} it is"));
        };
        let keys = match place.system {
            System::Greenhouse => Some((&self.greenhouse_keys, "VALET_GREENHOUSE_KEYS")),
            System::Lever => Some((&self.lever_keys, "VALET_LEVER_KEYS")),
            _ => None,
        };
        let (_, setting) = keys.filter(|(keys, _)| !keys.contains_key(board))?;
        Some(format!("{system} wants the employer's key, and none is held for `{board}` ({setting})"))
    }

    /// What the job asks.
    pub async fn read(&self, place: &JobPlace) -> Result<JobForm, DirectError> {
        match place.system {
            System::Greenhouse => greenhouse::read(&self.greenhouse, place).await,
            System::Lever => lever::read(&self.lever, place).await,
            _ => recruitee::read(&self.recruitee, place).await,
        }
    }

    /// Waits until an application may go out. Before the effect begins, so that waiting is no part of it.
    pub async fn turn(&self, place: &JobPlace) {
        if let Some(pace) = self.pace.get(&place.system) {
            pace.turn().await;
        }
    }

    /// Hands the application over.
    pub async fn send(&self, place: &JobPlace, entries: &[Entry], files: &[HeldFile]) -> Result<Handed, DirectError> {
        let key = |keys: &BTreeMap<String, Secret>| place.board.as_ref().and_then(|board| keys.get(board).cloned());
        let sent = match place.system {
            System::Greenhouse => {
                greenhouse::send(&self.greenhouse, place, key(&self.greenhouse_keys), entries, files).await
            }
            System::Lever => lever::send(&self.lever, place, key(&self.lever_keys), entries, files).await,
            _ => recruitee::send(&self.recruitee, place, entries, files).await,
        };
        if let (Err(DirectError::Limited { again_in, .. }), Some(pace)) = (&sent, self.pace.get(&place.system)) {
            pace.pause(*again_in);
        }
        sent
    }

    /// Whether sending the same application again leaves the employer with one candidate.
    pub fn merges(&self, place: &JobPlace) -> bool {
        place.system == System::Lever
    }
}

fn region(place: &JobPlace) -> (&'static str, &'static str) {
    ("region", if place.region == Region::Eu { ".eu" } else { "" })
}

/// The names of a job that is addressed in full, as [`Systems::lacks`] saw to.
fn names(place: &JobPlace) -> (&str, &str) {
    (place.board.as_deref().unwrap_or_default(), place.posting.as_deref().unwrap_or_default())
}

/// What a question that changes nothing came to: whatever went wrong, it may be asked again.
fn reading(system: &'static str, told: Result<Told, VendorError>) -> Result<Told, DirectError> {
    let told = told.map_err(|error| DirectError::Away { system, detail: error.to_string() })?;
    match told.status {
        200..=299 => Ok(told),
        404 | 410 => Err(DirectError::Closed),
        429 => Err(DirectError::Limited { system, again_in: told.retry_after().unwrap_or(QUIET) }),
        _ => Err(DirectError::Away { system, detail: told.complaint() }),
    }
}

/// What an application came to, where the vendor did not take it or nobody knows; a success is left to whoever asked.
fn sending(system: &'static str, told: Result<Told, VendorError>) -> Result<Result<Told, Handed>, DirectError> {
    let told = told.map_err(|error| match error {
        VendorError::NotSent(detail) => DirectError::Away { system, detail },
        VendorError::Lost(detail) => DirectError::Lost { system, detail },
    })?;
    match told.status {
        404 | 410 => Err(DirectError::Closed),
        429 => Err(DirectError::Limited { system, again_in: told.retry_after().unwrap_or(QUIET) }),
        400 | 413 | 415 | 422 => Ok(Err(Handed::Refused { errors: vec![told.complaint()] })),
        200..=299 => Ok(Ok(told)),
        _ => Err(DirectError::Lost { system, detail: told.complaint() }),
    }
}
