//! Greenhouse's Job Board API. It does not look whether required questions are answered: whoever sends an application has to.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::Value;
use valet_outward::Method;
use valet_workflows::ats::JobPlace;

use super::questions::{Ask, Entry, EntryValue, JobForm, page};
use super::{DirectError, Handed, HeldFile, names, reading, region, sending};
use crate::vendor::multipart::Multipart;
use crate::vendor::{Secret, Vendor};

const NAME: &str = "Greenhouse";
const FILE_KINDS: &[&str] = &["pdf", "doc", "docx", "txt", "rtf"];

#[derive(Deserialize)]
struct Job {
    title: String,
    absolute_url: String,
    #[serde(default)]
    company_name: Option<String>,
    #[serde(default)]
    questions: Vec<Question>,
    #[serde(default)]
    location_questions: Vec<Question>,
    #[serde(default)]
    demographic_questions: Option<Demographic>,
    #[serde(default)]
    data_compliance: Vec<Compliance>,
}

#[derive(Deserialize)]
struct Question {
    #[serde(default)]
    required: Option<bool>,
    label: String,
    fields: Vec<Field>,
}

#[derive(Deserialize)]
struct Field {
    name: String,
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    values: Vec<Choice>,
}

#[derive(Deserialize)]
struct Choice {
    value: Value,
    label: String,
}

#[derive(Deserialize)]
struct Demographic {
    #[serde(default)]
    questions: Vec<DemographicQuestion>,
}

#[derive(Deserialize)]
struct DemographicQuestion {
    #[serde(default)]
    required: bool,
    label: String,
}

#[derive(Deserialize)]
struct Compliance {
    #[serde(rename = "type")]
    law: String,
    #[serde(default)]
    requires_consent: bool,
    #[serde(default)]
    requires_processing_consent: bool,
    #[serde(default)]
    requires_retention_consent: bool,
}

#[derive(Deserialize)]
struct Saved {
    success: String,
}

pub async fn read(vendor: &Vendor, place: &JobPlace) -> Result<JobForm, DirectError> {
    let (board, job) = names(place);
    let away = |error: crate::vendor::VendorError| DirectError::Away { system: NAME, detail: error.to_string() };
    let ask = vendor.ask(Method::GET, &[region(place)], &["v1", "boards", board, "jobs", job]).map_err(away)?;
    let told = reading(NAME, vendor.tell(ask.query("questions", "true")).await)?;
    let job: Job = told.read().map_err(|e| DirectError::Strange { system: NAME, detail: e.to_string() })?;
    Ok(form(&job))
}

fn form(job: &Job) -> JobForm {
    let mut unfit = None;
    let mut asked: Vec<Ask<'_>> = Vec::new();
    for question in &job.questions {
        let required = question.required.unwrap_or_default();
        // Of a file and its text any one will do; the first that can be answered is asked for.
        match question.fields.iter().find_map(|field| Some((field, kind_of(field)?))) {
            Some((field, kind)) => asked.push(Ask {
                name: &field.name,
                label: &question.label,
                kind,
                required,
                options: field.values.iter().map(|choice| (text(&choice.value), choice.label.clone())).collect(),
            }),
            None if required => {
                unfit = Some(format!("“{}” cannot be answered over Greenhouse's interface", question.label));
            }
            None => {}
        }
    }
    if job.location_questions.iter().any(|question| question.required == Some(true)) {
        unfit = Some("the job wants a place with its coordinates".to_owned());
    }
    let demographic =
        job.demographic_questions.iter().flat_map(|all| &all.questions).find(|question| question.required);
    if let Some(question) = demographic {
        unfit = Some(format!("“{}” is answered by the applicant alone", question.label));
    }
    for law in &job.data_compliance {
        if law.law != "gdpr" {
            unfit = Some(format!("the job asks for consent under `{}`", law.law));
        }
        let wanted = [
            (
                law.requires_consent,
                "data_compliance[gdpr_consent_given]",
                "I agree that my data are kept and processed for this application",
            ),
            (
                law.requires_processing_consent,
                "data_compliance[gdpr_processing_consent_given]",
                "I agree that my data are processed for this application",
            ),
            (
                law.requires_retention_consent,
                "data_compliance[gdpr_retention_consent_given]",
                "I agree that my data are kept for later openings",
            ),
        ];
        let consents = wanted.into_iter().filter(|(wanted, ..)| *wanted);
        asked.extend(consents.map(|(_, name, label)| Ask {
            name,
            label,
            kind: "checkbox",
            required: true,
            options: Vec::new(),
        }));
    }
    JobForm {
        title: Some(job.title.clone()),
        company: job.company_name.clone(),
        url: job.absolute_url.clone(),
        page: page(&job.absolute_url, &job.title, &asked),
        unfit,
        file_kinds: FILE_KINDS,
    }
}

fn kind_of(field: &Field) -> Option<&'static str> {
    Some(match (field.kind.as_str(), field.name.as_str()) {
        ("input_text", "email") => "email",
        ("input_text", "phone") => "tel",
        ("input_text", _) => "text",
        ("textarea", _) => "textarea",
        ("input_file", _) => "file",
        ("multi_value_single_select", _) => "select",
        ("multi_value_multi_select", _) => "select-multiple",
        _ => return None,
    })
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned)
}

pub async fn send(
    vendor: &Vendor,
    place: &JobPlace,
    key: Option<Secret>,
    entries: &[Entry],
    files: &[HeldFile],
) -> Result<Handed, DirectError> {
    let (board, job) = names(place);
    let away = |error: crate::vendor::VendorError| DirectError::Away { system: NAME, detail: error.to_string() };
    let refused = |detail: String| {
        let board = board.to_owned();
        DirectError::Key { system: NAME, board, setting: "VALET_GREENHOUSE_KEYS", detail }
    };
    let key = key.ok_or_else(|| refused("none is held".to_owned()))?;
    let pair = Secret::new(STANDARD.encode(format!("{}:", key.expose())));
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
    let ask = vendor.ask(Method::POST, &[region(place)], &["v1", "boards", board, "jobs", job]).map_err(away)?;
    let ask = ask.header("authorization", pair.header("Basic ").map_err(away)?).multipart(form);
    let told = vendor.tell(ask).await;
    if let Ok(told) = &told
        && matches!(told.status, 401 | 403)
    {
        return Err(refused(told.complaint()));
    }
    let told = match sending(NAME, told)? {
        Ok(told) => told,
        Err(handed) => return Ok(handed),
    };
    match told.read::<Saved>() {
        Ok(saved) => Ok(Handed::Received { confirmation: saved.success, reference: None }),
        Err(error) => Err(DirectError::Lost { system: NAME, detail: error.to_string() }),
    }
}
