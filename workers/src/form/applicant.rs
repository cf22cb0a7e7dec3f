//! Who applies: what may be written into a form, and nothing else is.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Everything is optional but the name and the address to answer to; what is missing is asked for when a form requires it.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Applicant {
    pub first_name: String,
    pub middle_name: Option<String>,
    pub last_name: String,
    pub preferred_name: Option<String>,
    pub email: String,
    /// As the applicant writes it; with `+` and the country's code where there is one.
    pub phone: String,
    pub address: Address,
    pub links: Links,
    pub work_authorization: Option<WorkAuthorization>,
    pub needs_sponsorship: Option<bool>,
    pub salary: Option<String>,
    /// `YYYY-MM-DD`, or words such as "in two weeks" for forms that take words.
    pub start_date: Option<String>,
    pub documents: Vec<Document>,
    pub answers: Vec<Answer>,
}

/// Personal through and through.
impl fmt::Debug for Applicant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Applicant")
            .field("documents", &self.documents.len())
            .field("answers", &self.answers.len())
            .finish_non_exhaustive()
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Address {
    pub street: String,
    pub street2: Option<String>,
    pub city: String,
    /// State, province or region: its name or its code.
    pub state: String,
    pub postal_code: String,
    /// Name or ISO 3166 code.
    pub country: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Links {
    pub linkedin: Option<String>,
    pub github: Option<String>,
    pub website: Option<String>,
    pub portfolio: Option<String>,
    pub twitter: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct WorkAuthorization {
    pub authorized: bool,
    /// Names or ISO codes. Empty: wherever the job is. A question about a country that is not listed is not answered.
    pub countries: Vec<String>,
    /// For forms that ask in words.
    pub text: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DocumentKind {
    Resume,
    CoverLetter,
    Other,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Document {
    /// What an answer names it by, besides its file name.
    pub id: String,
    pub kind: DocumentKind,
    /// Where the browser's machine has it, as staging told.
    pub path: PathBuf,
    pub filename: String,
}

/// An answer given before, or by a person to a question a plan surfaced. `question` is a question's words or its key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    pub question: String,
    /// Yes and no for a box; several choices a line each.
    pub answer: String,
}

impl Answer {
    /// From a value that fits the question's schema.
    pub fn from_json(question: &str, value: &Value) -> Option<Self> {
        let answer = match value {
            Value::Bool(true) => "yes".to_owned(),
            Value::Bool(false) => "no".to_owned(),
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            Value::Array(items) => {
                items.iter().map(|item| item.as_str().map(str::to_owned)).collect::<Option<Vec<_>>>()?.join("\n")
            }
            Value::Null | Value::Object(_) => return None,
        };
        Some(Self { question: question.to_owned(), answer })
    }
}

impl Applicant {
    pub fn full_name(&self) -> String {
        [self.first_name.as_str(), self.last_name.as_str()]
            .into_iter()
            .filter(|part| !part.is_empty())
            .collect::<Vec<_>>()
            .join(" ")
    }

    pub fn document(&self, kind: DocumentKind) -> Option<&Document> {
        self.documents.iter().find(|document| document.kind == kind)
    }
}
