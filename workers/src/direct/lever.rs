//! Lever's Postings API. It tells no questions beyond its own fields, and merges candidates by their e-mail address.

use serde::Deserialize;
use valet_outward::Method;
use valet_workflows::ats::JobPlace;

use super::questions::{Ask, Entry, EntryValue, JobForm, page};
use super::{DirectError, Handed, HeldFile, names, reading, region, sending};
use crate::vendor::multipart::Multipart;
use crate::vendor::{Secret, Vendor, VendorError};

const NAME: &str = "Lever";

#[derive(Deserialize)]
struct Posting {
    text: String,
    #[serde(rename = "hostedUrl")]
    hosted_url: String,
}

#[derive(Deserialize)]
struct Answer {
    ok: bool,
    #[serde(rename = "applicationId", default)]
    application: Option<String>,
    #[serde(default)]
    error: Option<String>,
}

/// What it takes, by its own names.
const FIELDS: [(&str, &str, &str, bool); 9] = [
    ("name", "Full name", "text", true),
    ("email", "Email", "email", true),
    ("phone", "Phone", "tel", false),
    ("resume", "Resume/CV", "file", false),
    ("urls[LinkedIn]", "LinkedIn URL", "text", false),
    ("urls[GitHub]", "GitHub URL", "text", false),
    ("urls[Portfolio]", "Portfolio URL", "text", false),
    ("urls[Twitter]", "Twitter URL", "text", false),
    ("comments", "Additional information", "textarea", false),
];

pub async fn read(vendor: &Vendor, place: &JobPlace) -> Result<JobForm, DirectError> {
    let (site, posting) = names(place);
    let away = |error: VendorError| DirectError::Away { system: NAME, detail: error.to_string() };
    let ask = vendor.ask(Method::GET, &[region(place)], &["v0", "postings", site, posting]).map_err(away)?;
    let told = reading(NAME, vendor.tell(ask).await)?;
    let posting: Posting = told.read().map_err(|e| DirectError::Strange { system: NAME, detail: e.to_string() })?;
    let asked = FIELDS.map(|(name, label, kind, required)| Ask { name, label, kind, required, options: Vec::new() });
    Ok(JobForm {
        title: Some(posting.text.clone()),
        company: None,
        url: posting.hosted_url.clone(),
        page: page(&posting.hosted_url, &posting.text, &asked),
        unfit: None,
        file_kinds: &[],
    })
}

pub async fn send(
    vendor: &Vendor,
    place: &JobPlace,
    key: Option<Secret>,
    entries: &[Entry],
    files: &[HeldFile],
) -> Result<Handed, DirectError> {
    let (site, posting) = names(place);
    let away = |error: VendorError| DirectError::Away { system: NAME, detail: error.to_string() };
    let refused = |detail: String| {
        let board = site.to_owned();
        DirectError::Key { system: NAME, board, setting: "VALET_LEVER_KEYS", detail }
    };
    let key = key.ok_or_else(|| refused("none is held".to_owned()))?;
    let mut form = Multipart::default();
    for entry in entries {
        match &entry.value {
            EntryValue::Text(value) => form.text(&entry.name, value),
            EntryValue::File(id) => {
                for file in files.iter().filter(|file| file.id == *id) {
                    form.file(&entry.name, &file.filename, &file.content_type, &file.bytes);
                }
            }
        }
    }
    let ask = vendor.ask(Method::POST, &[region(place)], &["v0", "postings", site, posting]).map_err(away)?;
    let told = vendor.tell(ask.query("key", key.expose()).multipart(form)).await;
    if let Ok(told) = &told
        && matches!(told.status, 401 | 403)
    {
        return Err(refused(told.complaint()));
    }
    let told = match sending(NAME, told)? {
        Ok(told) => told,
        Err(handed) => return Ok(handed),
    };
    match told.read::<Answer>() {
        Ok(Answer { ok: true, application, .. }) => {
            Ok(Handed::Received { confirmation: "Lever took the application".to_owned(), reference: application })
        }
        Ok(Answer { error, .. }) => Ok(Handed::Refused { errors: error.into_iter().collect() }),
        Err(error) => Err(DirectError::Lost { system: NAME, detail: error.to_string() }),
    }
}
