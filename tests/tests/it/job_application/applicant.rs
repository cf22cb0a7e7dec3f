//! Who applies, and what a board must have received from them afterwards.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use valet_board::{Application, Expectation, ExpectedField, Meaning};

pub const RESUME: &[u8] = include_bytes!("../../../../ops/sample/resume.pdf");
pub const RESUME_NAME: &str = "resume (été).pdf";
pub const EMAIL: &str = "zoe.ohara@example.com";
/// What a person says to a question that the profile does not answer.
pub const ANSWER: &str = "Curiosity: it makes \"the rest\" easier.\nAnd <kindness>.";
/// The one question that has a stored answer; worded in another way it is another question.
const STORED_QUESTION: &str = "How did you hear about us?";
const STORED_ANSWER: &str = "Conference or meetup";

pub fn input(job_url: &str, resume: &str) -> Value {
    json!({
        "job_url": job_url,
        "subject": "applicant-1",
        "profile": {
            "first_name": "Zoë",
            "last_name": "O'Hara-Łuk",
            "email": EMAIL,
            "phone": "+49 30 901820",
            "address": {
                "street": "Lindenallee 12",
                "city": "Köln",
                "state": "Nordrhein-Westfalen",
                "postal_code": "50667",
                "country": "Germany"
            },
            "links": {
                "linkedin": "https://www.linkedin.com/in/zoe-example",
                "github": "https://github.com/zoe-example",
                "website": "https://zoe.example.com"
            },
            "work_authorization": true,
            "needs_sponsorship": false,
            "salary_expectation": "65000 EUR",
            "start_date": "2027-02-01"
        },
        "documents": [{ "kind": "resume", "file": resume }],
        "answers": [{ "question": STORED_QUESTION, "answer": STORED_ANSWER }],
        "allowed_domains": [],
        "human_deadline_s": 600
    })
}

/// What a field must hold; nothing where the profile says nothing.
pub fn wanted(field: &ExpectedField) -> Option<&'static str> {
    Some(match field.meaning {
        Meaning::FirstName => "Zoë",
        Meaning::LastName => "O'Hara-Łuk",
        Meaning::FullName => "Zoë O'Hara-Łuk",
        Meaning::Email | Meaning::EmailConfirm => EMAIL,
        Meaning::Phone => "+49 30 901820",
        Meaning::Street => "Lindenallee 12",
        Meaning::City => "Köln",
        Meaning::PostalCode => "50667",
        Meaning::Country => "Germany",
        Meaning::State => "Nordrhein-Westfalen",
        Meaning::Linkedin => "https://www.linkedin.com/in/zoe-example",
        Meaning::Website => "https://zoe.example.com",
        Meaning::Github => "https://github.com/zoe-example",
        Meaning::WorkAuthorization => "yes",
        Meaning::Sponsorship => "no",
        Meaning::StartDate => "2027-02-01",
        Meaning::Salary => "65000 EUR",
        Meaning::HowHeard if field.label == STORED_QUESTION => STORED_ANSWER,
        Meaning::FreeQuestion => ANSWER,
        // Nobody said that they agree, and there is no letter.
        Meaning::HowHeard | Meaning::Consent | Meaning::CoverLetter | Meaning::Resume => return None,
    })
}

/// What is wrong with what the board received; nothing when it is exactly what the applicant has to say.
pub fn differences(expected: &Expectation, received: &[Application]) -> Vec<String> {
    let [application] = received else {
        return vec![format!("{} applications arrived", received.len())];
    };
    let mut wrong = Vec::new();
    let says = |field: &ExpectedField| wanted(field).map(str::to_owned);
    let asked = expected.fields.iter().filter(|field| expected.asks(field, &says));
    let fields: BTreeMap<Meaning, &str> = asked.filter_map(|field| Some((field.meaning, wanted(field)?))).collect();
    let got: BTreeMap<Meaning, &str> =
        application.fields.iter().map(|(meaning, value)| (*meaning, value.as_str())).collect();
    for meaning in fields.keys().chain(got.keys()) {
        let (want, got) = (fields.get(meaning), got.get(meaning));
        if want != got {
            let label = expected.field(*meaning).map(|field| field.label.as_str());
            wrong.push(format!("{meaning:?} ({label:?}) is {got:?}, not {want:?}"));
        }
    }
    match application.files.as_slice() {
        [file] if file.meaning == Meaning::Resume => {
            if file.filename != RESUME_NAME || file.content().as_deref() != Some(RESUME) {
                wrong.push(format!("the résumé came as {} with {} bytes", file.filename, file.size));
            }
        }
        files => wrong.push(format!("files: {files:?}")),
    }
    if !application.unasked.is_empty() {
        wrong.push(format!("questions that were not asked were answered: {:?}", application.unasked));
    }
    if application.duplicate || application.honeypot || application.submission != 1 {
        wrong.push("it came twice, or into the trap".to_owned());
    }
    wrong.dedup();
    wrong
}
