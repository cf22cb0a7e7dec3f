//! Recruitee's Careers Site API, which takes applications without a key.

use serde::Deserialize;
use serde_json::Value;
use valet_outward::Method;
use valet_workflows::ats::JobPlace;

use super::questions::{Ask, Entry, EntryValue, JobForm, page};
use super::{DirectError, Handed, HeldFile, names, reading, sending};
use crate::vendor::multipart::Multipart;
use crate::vendor::{Vendor, VendorError};

const NAME: &str = "Recruitee";
/// Before a question's id and kind, in the names of its field.
const QUESTION: &str = "question/";

#[derive(Deserialize)]
struct Offers {
    offers: Vec<Offer>,
}

#[derive(Deserialize)]
struct Offer {
    slug: String,
    title: String,
    #[serde(default)]
    company_name: Option<String>,
    #[serde(default)]
    careers_url: Option<String>,
    #[serde(default)]
    options_phone: Option<String>,
    #[serde(default)]
    options_photo: Option<String>,
    #[serde(default)]
    options_cover_letter: Option<String>,
    #[serde(default)]
    options_cv: Option<String>,
    #[serde(default)]
    open_questions: Vec<Question>,
}

#[derive(Deserialize)]
struct Question {
    id: u64,
    kind: String,
    #[serde(default)]
    required: bool,
    body: String,
    #[serde(default)]
    open_question_options: Vec<Choice>,
}

#[derive(Deserialize)]
struct Choice {
    body: String,
}

#[derive(Deserialize)]
struct Problems {
    #[serde(default)]
    error: Value,
}

pub async fn read(vendor: &Vendor, place: &JobPlace) -> Result<JobForm, DirectError> {
    let (company, slug) = names(place);
    let away = |error: VendorError| DirectError::Away { system: NAME, detail: error.to_string() };
    let ask = vendor.ask(Method::GET, &[("company", company)], &["api", "offers", ""]).map_err(away)?;
    let told = reading(NAME, vendor.tell(ask).await)?;
    let offers: Offers = told.read().map_err(|e| DirectError::Strange { system: NAME, detail: e.to_string() })?;
    let offer = offers.offers.into_iter().find(|offer| offer.slug == slug).ok_or(DirectError::Closed)?;
    Ok(form(&offer))
}

fn form(offer: &Offer) -> JobForm {
    let mut unfit = None;
    let names: Vec<String> = offer.open_questions.iter().map(|q| format!("{QUESTION}{}/{}", q.id, q.kind)).collect();
    let mut asked =
        vec![plain("candidate[name]", "Full name", "text", true), plain("candidate[email]", "Email", "email", true)];
    let options = [
        (&offer.options_phone, "candidate[phone]", "Phone", "tel"),
        (&offer.options_cv, "candidate[cv]", "CV or resume", "file"),
        (&offer.options_cover_letter, "candidate[cover_letter]", "Cover letter", "textarea"),
    ];
    for (option, name, label, kind) in options {
        match option.as_deref() {
            Some("off") => {}
            option => asked.push(plain(name, label, kind, option == Some("required"))),
        }
    }
    if offer.options_photo.as_deref() == Some("required") {
        unfit = Some("the job wants a photo".to_owned());
    }
    for (question, name) in offer.open_questions.iter().zip(&names) {
        let choices =
            || question.open_question_options.iter().map(|choice| (choice.body.clone(), choice.body.clone())).collect();
        let yes_no = || vec![("true".to_owned(), "Yes".to_owned()), ("false".to_owned(), "No".to_owned())];
        let (kind, options) = match question.kind.as_str() {
            "string" | "salary" => ("text", Vec::new()),
            "text" => ("textarea", Vec::new()),
            "date" => ("date", Vec::new()),
            "number" => ("number", Vec::new()),
            "single_choice" => ("select", choices()),
            "multi_choice" => ("select-multiple", choices()),
            "boolean" => ("select", yes_no()),
            "legal" => ("checkbox", Vec::new()),
            "file" => ("file", Vec::new()),
            // Words between the questions.
            "infobox" => continue,
            other => {
                if question.required {
                    unfit = Some(format!("“{}” wants a {other}", question.body));
                }
                continue;
            }
        };
        asked.push(Ask { name, label: &question.body, kind, required: question.required, options });
    }
    let url = offer.careers_url.clone().unwrap_or_default();
    JobForm {
        title: Some(offer.title.clone()),
        company: offer.company_name.clone(),
        page: page(&url, &offer.title, &asked),
        url,
        unfit,
        file_kinds: &[],
    }
}

fn plain<'a>(name: &'a str, label: &'a str, kind: &'a str, required: bool) -> Ask<'a> {
    Ask { name, label, kind, required, options: Vec::new() }
}

pub async fn send(
    vendor: &Vendor,
    place: &JobPlace,
    entries: &[Entry],
    files: &[HeldFile],
) -> Result<Handed, DirectError> {
    let (company, slug) = names(place);
    let away = |error: VendorError| DirectError::Away { system: NAME, detail: error.to_string() };
    let ask = vendor
        .ask(Method::POST, &[("company", company)], &["api", "offers", slug, "candidates"])
        .map_err(away)?
        .multipart(wire(entries, files));
    let told = match sending(NAME, vendor.tell(ask).await)? {
        Ok(told) => told,
        Err(handed) => return Ok(handed),
    };
    // What it says besides is documented nowhere; some of its answers have no body.
    let said: Value = told.read().unwrap_or_default();
    if let Ok(Problems { error }) = told.read::<Problems>()
        && !error.is_null()
    {
        return Ok(Handed::Refused { errors: vec![told.complaint()] });
    }
    if told.status != 201 {
        let detail = format!("status {} where 201 is documented", told.status);
        return Err(DirectError::Lost { system: NAME, detail });
    }
    let reference = said["candidate"]["id"].as_u64().map(|id| id.to_string());
    Ok(Handed::Received { confirmation: "Recruitee took the application".to_owned(), reference })
}

/// Answers to questions are numbered, and each kind has its own place for what was answered.
fn wire(entries: &[Entry], files: &[HeldFile]) -> Multipart {
    let mut form = Multipart::default();
    let mut numbered: Vec<&str> = Vec::new();
    for entry in entries {
        let asked = entry.name.strip_prefix(QUESTION).and_then(|rest| rest.split_once('/'));
        let name = match asked {
            None => entry.name.clone(),
            Some((id, kind)) => {
                let number = numbered.iter().position(|known| *known == id).unwrap_or_else(|| {
                    numbered.push(id);
                    let at = format!("candidate[open_question_answers_attributes][{}]", numbered.len() - 1);
                    form.text(&format!("{at}[open_question_id]"), id);
                    numbered.len() - 1
                });
                let place = match kind {
                    "multi_choice" => "[multi_content][]",
                    "boolean" | "legal" => "[flag]",
                    "file" => "[file]",
                    _ => "[content]",
                };
                format!("candidate[open_question_answers_attributes][{number}]{place}")
            }
        };
        match &entry.value {
            EntryValue::Text(value) => form.text(&name, value),
            EntryValue::File(id) => {
                for file in files.iter().filter(|file| file.id == *id) {
                    form.file(&name, &file.filename, &file.content_type, &file.bytes);
                }
            }
        }
    }
    form
}
