//! An application to a hiring system itself: its questions are read, answered, and handed in once.

use valet_core::decide::IN_DOUBT;
use valet_workflows::job_application::steps::{
    ApplicationResult, CheckForm, DirectForm, FormRead, NO_DIRECT, POSTING_CLOSED, Posting, Question, RATE_LIMITED,
    ReadForm, SendForm, Submission,
};

use super::Browsers;
use super::applicant::{answers, fields, file_id, of_profile, question};
use super::bank::Bank;
use crate::direct::{DirectError, Handed, HeldFile, JobForm, entries, is_taken};
use crate::form::{self, Applied, Document, FilledPage, Reason};
use crate::runtime::{StepContext, StepError, TransportError};

/// A system that cannot be reached is asked again after this; it was told nothing.
const AWAY_AGAIN_IN_S: u64 = 15;

/// The form with its answers, as far as they are known.
struct Prepared {
    form: JobForm,
    filled: FilledPage,
    files: Vec<HeldFile>,
    /// For people: what nothing answers, and files that are not taken.
    questions: Vec<Question>,
}

impl Browsers {
    pub(super) async fn read_form(&self, ctx: StepContext, step: ReadForm) -> Result<FormRead, StepError> {
        let prepared = self.prepare(&ctx, &step.form).await?;
        let posting = posting(&prepared.form);
        if !prepared.questions.is_empty() {
            return Ok(FormRead::NeedsPerson { posting, questions: prepared.questions });
        }
        let bank = Bank::of(prepared.form.company.clone());
        let written = written(prepared.filled);
        bank.keep(&ctx, &written, &answers(&step.form.answered)).await?;
        Ok(FormRead::Ready { posting, summary: fields(&written) })
    }

    pub(super) async fn send_form(&self, ctx: StepContext, step: SendForm) -> Result<ApplicationResult, StepError> {
        let prepared = match self.prepare(&ctx, &step.form).await {
            // Between the reading and this.
            Err(StepError::Fail(failure)) if failure.code == POSTING_CLOSED => {
                return Ok(ApplicationResult::Closed { why: failure.message });
            }
            prepared => prepared?,
        };
        if let Some(asked) = prepared.questions.first() {
            let why = format!("the job asks “{}” since its questions were read", asked.label);
            return Ok(ApplicationResult::Unfit { why });
        }
        self.systems.turn(&step.form.at).await;
        ctx.effect_begin().await?;
        self.hand_over(&step.form, &prepared).await
    }

    /// A system that merges what comes twice is asked by sending it again; the others cannot be asked.
    pub(super) async fn check_form(&self, ctx: StepContext, step: CheckForm) -> Result<ApplicationResult, StepError> {
        if !self.systems.merges(&step.form.at) {
            return Ok(ApplicationResult::Unclear);
        }
        let prepared = self.prepare(&ctx, &step.form).await?;
        self.systems.turn(&step.form.at).await;
        ctx.check()?;
        self.hand_over(&step.form, &prepared).await
    }

    async fn hand_over(&self, form: &DirectForm, prepared: &Prepared) -> Result<ApplicationResult, StepError> {
        let handed = self.systems.send(&form.at, &entries(&prepared.filled.plan), &prepared.files).await;
        Ok(match handed {
            Ok(Handed::Received { confirmation, reference }) => {
                ApplicationResult::Received(Submission { confirmation, reference, screenshot: None })
            }
            Ok(Handed::Refused { errors }) => ApplicationResult::Refused { errors },
            Err(error @ DirectError::Closed) => ApplicationResult::Closed { why: error.to_string() },
            Err(error @ DirectError::Key { .. }) => ApplicationResult::Unfit { why: error.to_string() },
            Err(error) => match &error {
                DirectError::Limited { again_in, .. } => {
                    ApplicationResult::Later { again_in_s: again_in.as_secs().max(1), why: error.to_string() }
                }
                DirectError::Away { .. } => {
                    ApplicationResult::Later { again_in_s: AWAY_AGAIN_IN_S, why: error.to_string() }
                }
                _ => return Err(StepError::fail(IN_DOUBT, error)),
            },
        })
    }

    /// Reads the questions anew and answers them from what is known. Sends nothing.
    async fn prepare(&self, ctx: &StepContext, step: &DirectForm) -> Result<Prepared, StepError> {
        ctx.check()?;
        if let Some(lacks) = self.systems.lacks(&step.at) {
            return Err(StepError::blocked(NO_DIRECT, lacks));
        }
        let form = self.systems.read(&step.at).await.map_err(not_read)?;
        if let Some(unfit) = &form.unfit {
            return Err(StepError::blocked(NO_DIRECT, unfit));
        }
        let mut applicant = of_profile(&step.profile);
        applicant.answers = answers(&step.answers);
        let (documents, files) = documents(ctx, step).await?;
        applicant.documents = documents;
        let mut bank = Bank::of(form.company.clone());
        let plan = loop {
            let plan = form::plan(&form.page, &applicant);
            if !bank.answer(ctx, &plan.unknown, &mut applicant).await? {
                break plan;
            }
        };
        let unknown = plan.unknown.iter().map(|unknown| question(unknown, None));
        let not_taken = plan.fills.iter().filter_map(|fill| {
            let about = form::question_about(&form.page, &fill.key, Reason::Refused)?;
            let is_file = about.kind == form::QuestionKind::File;
            (is_file && !is_taken(form.file_kinds, &fill.value)).then(|| {
                let kinds = form.file_kinds.join(", ");
                question(&about, Some(format!("It takes {kinds}, and `{}` is none of these.", fill.value)))
            })
        });
        let questions = unknown.chain(not_taken).collect();
        let filled = FilledPage { snapshot: form.page.clone(), plan, applied: Applied::default() };
        Ok(Prepared { form, filled, files, questions })
    }
}

/// As it stands once it is handed over.
fn written(mut filled: FilledPage) -> FilledPage {
    for fill in &mut filled.plan.fills {
        fill.satisfied = true;
    }
    filled
}

fn posting(form: &JobForm) -> Posting {
    Posting { job_title: form.title.clone(), company: form.company.clone(), url: form.url.clone() }
}

fn not_read(error: DirectError) -> StepError {
    match error {
        DirectError::Closed => StepError::fail(POSTING_CLOSED, error),
        DirectError::Limited { again_in, .. } => StepError::retry_after(RATE_LIMITED, error, again_in),
        error => StepError::retry("system_away", error),
    }
}

/// The application's files, and those that people gave in answer to a question.
async fn documents(ctx: &StepContext, step: &DirectForm) -> Result<(Vec<Document>, Vec<HeldFile>), StepError> {
    use valet_workflows::job_application::input::DocumentKind as Given;
    let own = step.documents.iter().map(|document| {
        let kind = match document.kind {
            Given::Resume => form::DocumentKind::Resume,
            Given::CoverLetter => form::DocumentKind::CoverLetter,
            Given::Other => form::DocumentKind::Other,
        };
        (document.file.as_str(), kind)
    });
    let answered = step.answers.iter().map(|answer| (answer.answer.trim(), form::DocumentKind::Other));
    let mut documents: Vec<Document> = Vec::new();
    let mut files = Vec::new();
    for (name, kind) in own.chain(answered) {
        let Some(id) = file_id(name).filter(|_| documents.iter().all(|known| known.id != name)) else { continue };
        let blob = ctx.blobs().get(id).await.map_err(|error| match error {
            TransportError::Rejected { status: 404, .. } => StepError::fail(
                "file_missing",
                format!("there is no file {name}: store it and apply again with its id"),
            ),
            error => error.into(),
        })?;
        let filename = blob.filename.unwrap_or_else(|| "document".to_owned());
        documents.push(Document { id: name.to_owned(), kind, path: name.into(), filename: filename.clone() });
        let content_type = blob.content_type.unwrap_or_else(|| "application/octet-stream".to_owned());
        files.push(HeldFile { id: name.to_owned(), filename, content_type, bytes: blob.bytes });
    }
    Ok((documents, files))
}
