//! The applicant of a run as the form agent knows one, and what the agent found as the workflow reads it.

use uuid::Uuid;
use valet_workflows::job_application::input::{self, Profile};
use valet_workflows::job_application::steps::{FillPage, FilledField, Question};

use crate::form::{self, Advance, Applicant, Complaint, Document, FilledPage, Reason, Snapshot};
use crate::runtime::{StepContext, StepError, TransportError};
use crate::sandbox::{SandboxId, SandboxProvider};

use super::failures::sandbox_error;

/// The applicant with the files where the browser can reach them.
pub(super) async fn applicant(
    ctx: &StepContext,
    provider: &dyn SandboxProvider,
    step: &FillPage,
) -> Result<Applicant, StepError> {
    let mut applicant = of_profile(&step.profile);
    applicant.answers = answers(&step.answers);
    for document in &step.documents {
        let kind = match document.kind {
            input::DocumentKind::Resume => form::DocumentKind::Resume,
            input::DocumentKind::CoverLetter => form::DocumentKind::CoverLetter,
            input::DocumentKind::Other => form::DocumentKind::Other,
        };
        applicant.documents.push(staged(ctx, provider, step, &document.file, kind).await?);
    }
    // A question for a file is answered with a file's id.
    for answer in &step.answers {
        let id = answer.answer.trim();
        let is_new = file_id(id).is_some() && applicant.documents.iter().all(|document| document.id != id);
        if is_new {
            applicant.documents.push(staged(ctx, provider, step, id, form::DocumentKind::Other).await?);
        }
    }
    Ok(applicant)
}

pub(super) fn answers(given: &[input::Answer]) -> Vec<form::Answer> {
    given.iter().map(|a| form::Answer { question: a.question.clone(), answer: a.answer.clone() }).collect()
}

pub(super) fn file_id(text: &str) -> Option<Uuid> {
    text.strip_prefix("file_").and_then(|hex| Uuid::parse_str(hex).ok())
}

/// A file where the browser can reach it.
async fn staged(
    ctx: &StepContext,
    provider: &dyn SandboxProvider,
    step: &FillPage,
    file: &str,
    kind: form::DocumentKind,
) -> Result<Document, StepError> {
    let id = file_id(file).ok_or_else(|| StepError::fail("bad_file_id", "a document's file is not `file_…`"))?;
    let blob = ctx.blobs().get(id).await.map_err(|error| match error {
        TransportError::Rejected { status: 404, .. } => {
            StepError::fail("file_missing", format!("there is no file {file}: store it and apply again with its id"))
        }
        error => error.into(),
    })?;
    let filename = blob.filename.unwrap_or_else(|| "document".to_owned());
    let sandbox = SandboxId(step.at.sandbox);
    let path = provider.stage_file(&sandbox, id, &filename, &blob.bytes).await.map_err(sandbox_error)?;
    Ok(Document { id: file.to_owned(), kind, path, filename })
}

pub(super) fn of_profile(profile: &Profile) -> Applicant {
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let link = |name: &str| profile.links.get(name).cloned();
    Applicant {
        first_name: profile.first_name.clone(),
        last_name: profile.last_name.clone(),
        email: profile.email.clone(),
        phone: text(&profile.phone),
        address: form::Address {
            street: text(&profile.address.street),
            street2: None,
            city: text(&profile.address.city),
            state: text(&profile.address.state),
            postal_code: text(&profile.address.postal_code),
            country: text(&profile.address.country),
        },
        links: form::Links {
            linkedin: link("linkedin"),
            github: link("github"),
            website: link("website"),
            portfolio: link("portfolio"),
            twitter: link("twitter"),
        },
        work_authorization: profile
            .work_authorization
            .map(|authorized| form::WorkAuthorization { authorized, ..Default::default() }),
        needs_sponsorship: profile.needs_sponsorship,
        salary: profile.salary_expectation.clone(),
        start_date: profile.start_date.clone(),
        ..Applicant::default()
    }
}

pub(super) fn fields(filled: &FilledPage) -> Vec<FilledField> {
    let satisfied = filled.plan.fills.iter().filter(|fill| fill.satisfied);
    satisfied
        .map(|fill| FilledField {
            label: fill.label.clone(),
            kind: word(&fill.kind),
            value: fill.value.clone(),
            // The last to be noted.
            source: fill.evidence.last().cloned().unwrap_or_default(),
            confidence_percent: (fill.confidence.clamp(0.0, 1.0) * 100.0).round() as u8,
        })
        .collect()
}

/// What a person must answer: what nothing known answers, and what the page did not take.
pub(super) fn open_questions(filled: &FilledPage) -> Vec<Question> {
    let unknown = filled.plan.unknown.iter().map(|q| question(q, None));
    let failed = filled.applied.failed.iter().filter(|failure| failure.required).filter_map(|failure| {
        let about = form::question_about(&filled.snapshot, &failure.key, Reason::Refused)?;
        Some(question(&about, Some(failure.reason.clone())))
    });
    unknown.chain(failed).collect()
}

pub(super) fn refused_questions(moved: &Advance) -> Vec<Question> {
    moved.complaints.iter().filter_map(|complaint| refused_question(&moved.snapshot, complaint)).collect()
}

/// What the page still says about values that were not changed since it said so.
pub(super) fn standing_complaints(filled: &FilledPage) -> Vec<Question> {
    let standing = form::complaints(&filled.snapshot)
        .into_iter()
        .filter(|complaint| complaint.was_filled && !filled.applied.filled.contains(&complaint.key));
    standing.filter_map(|complaint| refused_question(&filled.snapshot, &complaint)).collect()
}

fn refused_question(page: &Snapshot, complaint: &Complaint) -> Option<Question> {
    let about = form::question_about(page, &complaint.key, Reason::Refused)?;
    Some(question(&about, Some(complaint.message.clone())))
}

pub(super) fn question(q: &form::Question, error: Option<String>) -> Question {
    let help = Some(q.help.clone()).filter(|help| !help.is_empty());
    Question { label: q.label.clone(), kind: word(&q.kind), options: q.options.clone(), error: error.or(help) }
}

/// A unit enum as its word.
fn word<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_value(value).ok().and_then(|v| v.as_str().map(ToOwned::to_owned)).unwrap_or_default()
}
