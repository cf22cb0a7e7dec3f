//! What a sent page means for its visit. Decides only: it changes the visit and says what to answer, and the routes
//! answer.

use std::collections::BTreeMap;

use crate::body::SentForm;
use crate::check::{self, Errors};
use crate::gate::{self, Gate};
use crate::model::field::Control;
use crate::model::{FormModel, PageOf};
use crate::oracle::{ReceivedFile, Submission};
use crate::render::form::{INTENT_BACK, INTENT_CANCEL, INTENT_DRAFT};
use crate::visit::Visit;

#[derive(Debug, PartialEq)]
pub enum Decision {
    /// The same page again, with what is wrong.
    Refused { errors: Errors, files_lost: bool },
    /// The same page again, as it was asked to be kept.
    Draft,
    /// Another page of the form.
    Goto(usize),
    /// Back to the posting.
    Cancel,
    /// The form is complete, but something stands before the end.
    Gate(Gate),
    /// The application is complete.
    Send,
}

/// Takes what a page sent.
pub fn advance(at: PageOf, visit: &mut Visit, sent: SentForm) -> Decision {
    let PageOf { model, number, page } = at;
    if number > visit.pages_done + 1 {
        return Decision::Goto(visit.pages_done + 1);
    }
    let intent = sent.value(model.behaviour.intent_name).map(str::to_owned);
    merge(at, visit, sent);
    match intent.as_deref() {
        Some(INTENT_CANCEL) => return Decision::Cancel,
        // Kept unchecked, so the page has to be sent again.
        Some(INTENT_DRAFT) => {
            visit.pages_done = number - 1;
            return Decision::Draft;
        }
        Some(INTENT_BACK) if number > 1 => {
            visit.pages_done = number - 1;
            return Decision::Goto(number - 1);
        }
        _ => {}
    }
    let errors = check::page(model, page, &visit.values, &visit.files);
    visit.errors.clone_from(&errors);
    if errors.is_empty() {
        visit.pages_done = visit.pages_done.max(number);
        if !at.is_last() {
            return Decision::Goto(number + 1);
        }
        let gate = gate::before_end(model, visit);
        visit.complete = gate.is_some();
        return gate.map_or(Decision::Send, Decision::Gate);
    }
    visit.complete = false;
    visit.pages_done = number - 1;
    visit.refusals += 1;
    let had_files = visit.files.len();
    visit.files.retain(|meaning, _| model.behaviour.keeps_files && !errors.contains_key(meaning));
    let files_lost = !model.behaviour.keeps_files && had_files > 0;
    Decision::Refused { errors, files_lost }
}

/// Replaces what the visit knows of this page by what was sent. A file stays when no other was chosen.
pub fn merge(at: PageOf, visit: &mut Visit, sent: SentForm) {
    let PageOf { model, number, page } = at;
    for field in page.fields().filter(|field| !field.is_file()) {
        match sent.value(&field.name) {
            Some(value) => visit.values.insert(field.meaning, line_breaks(&field.control, value)),
            None => visit.values.remove(&field.meaning),
        };
    }
    if let Some(honeypot) = &model.decoys.honeypot {
        visit.honeypot = sent.value(&honeypot.name).is_some_and(|value| !value.is_empty());
    }
    let behaviour = &model.behaviour;
    let mut raw: BTreeMap<String, String> = sent
        .values
        .into_iter()
        .filter(|(name, _)| name != behaviour.visit_name && name != behaviour.intent_name)
        .collect();
    for (name, upload) in sent.files {
        raw.insert(name.clone(), upload.filename.clone());
        if let Some(field) = page.fields().find(|field| field.is_file() && field.name == name) {
            visit.files.insert(field.meaning, upload);
        }
    }
    visit.raw.insert(number, raw);
}

/// Browsers send every line break of a text area as two characters.
fn line_breaks(control: &Control, value: &str) -> String {
    match control {
        Control::Area => value.replace("\r\n", "\n"),
        _ => value.to_owned(),
    }
}

/// The application as the visit has it now.
pub fn submission(model: &FormModel, visit: &Visit, user_agent: String) -> Submission {
    let fields = model
        .fields()
        .filter(|field| check::asks(model, field, &visit.values))
        .filter_map(|field| {
            let value = visit.values.get(&field.meaning)?;
            let canonical = check::canonical(field, value);
            (!canonical.is_empty()).then_some((field.meaning, canonical))
        })
        .collect();
    let unasked = model
        .fields()
        .filter(|field| !check::asks(model, field, &visit.values))
        .filter(|field| visit.values.get(&field.meaning).is_some_and(|value| !value.trim().is_empty()))
        .map(|field| field.meaning)
        .collect();
    Submission {
        form: model.form,
        seed: model.seed,
        fields,
        unasked,
        raw: visit.raw.values().flatten().map(|(name, value)| (name.clone(), value.clone())).collect(),
        files: visit.files.iter().map(|(meaning, upload)| ReceivedFile::new(*meaning, upload)).collect(),
        visit: visit.token.clone(),
        honeypot: visit.honeypot,
        user_agent,
        reference_prefix: model.confirmation.reference_prefix,
    }
}
