//! The fields of the one-page form. A sensible profile answers all that is required.

use super::build::Builder;
use super::{Page, Section};
use crate::meaning::Meaning;
use crate::wording;

pub fn pages(builder: &mut Builder) -> Vec<Page> {
    let mut sections = vec![identity(builder), documents(builder), links(builder)];
    // Many forms ask for the résumé first, so that it can fill in the rest.
    if builder.draw.chance(40) {
        sections.swap(0, 1);
    }
    sections.push(questions(builder));
    vec![builder.page(wording::FORM_TITLES, sections)]
}

fn identity(builder: &mut Builder) -> Section {
    let mut fields = builder.names();
    fields.push(builder.line(Meaning::Email, true));
    let phone_required = builder.draw.chance(70);
    fields.push(builder.line(Meaning::Phone, phone_required));
    let city_required = builder.draw.chance(60);
    fields.push(builder.line(Meaning::City, city_required));
    if builder.draw.chance(40) {
        fields.push(builder.country(true));
    }
    builder.section(wording::IDENTITY_TITLES, fields)
}

fn documents(builder: &mut Builder) -> Section {
    let mut fields = vec![builder.file(Meaning::Resume, true)];
    if builder.draw.chance(40) {
        fields.push(builder.file(Meaning::CoverLetter, false));
    }
    builder.section(wording::DOCUMENT_TITLES, fields)
}

fn links(builder: &mut Builder) -> Section {
    let mut fields = vec![builder.line(Meaning::Linkedin, false)];
    if builder.draw.chance(60) {
        fields.push(builder.line(Meaning::Website, false));
    }
    if builder.draw.chance(30) {
        fields.push(builder.line(Meaning::Github, false));
    }
    builder.section(wording::LINK_TITLES, fields)
}

fn questions(builder: &mut Builder) -> Section {
    let mut fields = vec![builder.yes_no(Meaning::WorkAuthorization, true), builder.yes_no(Meaning::Sponsorship, true)];
    if builder.draw.chance(30) {
        fields.push(builder.line(Meaning::StartDate, false));
    }
    if builder.draw.chance(25) {
        fields.push(builder.line(Meaning::Salary, false));
    }
    if builder.draw.chance(50) {
        fields.push(builder.how_heard());
    }
    let mut section = builder.section(wording::QUESTION_TITLES, fields);
    if builder.draw.chance(50) {
        section.fields.push(builder.checkbox(Meaning::Consent, false));
    }
    section
}
