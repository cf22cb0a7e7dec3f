//! The fields of the form with several pages: contact, then documents and questions on one page or on two, then review.
//! Exactly one required question is beyond any profile.

use super::build::Builder;
use super::field::{Field, Rule};
use super::{Page, Section};
use crate::meaning::Meaning;
use crate::wording;

pub fn pages(builder: &mut Builder) -> Vec<Page> {
    let contact = vec![identity(builder), address(builder)];
    let mut pages = vec![builder.page(wording::IDENTITY_TITLES, contact)];
    let documents = vec![documents(builder), links(builder)];
    let questions = questions(builder);
    if builder.draw.chance(30) {
        let mut both = documents;
        both.push(questions);
        pages.push(builder.page(wording::FORM_TITLES, both));
    } else {
        pages.push(builder.page(wording::DOCUMENT_TITLES, documents));
        pages.push(builder.page(wording::QUESTION_TITLES, vec![questions]));
    }
    pages.push(review(builder));
    pages
}

fn identity(builder: &mut Builder) -> Section {
    let mut fields = builder.names();
    fields.push(builder.line(Meaning::Email, true));
    if builder.draw.chance(40) {
        fields.push(builder.line(Meaning::EmailConfirm, true));
    }
    fields.push(phone(builder));
    builder.section(wording::IDENTITY_TITLES, fields)
}

fn phone(builder: &mut Builder) -> Field {
    let mut phone = builder.line(Meaning::Phone, true);
    if builder.draw.chance(60) {
        phone.rule = Rule::PhoneInternational;
    }
    phone
}

fn address(builder: &mut Builder) -> Section {
    let mut fields = Vec::new();
    if builder.draw.chance(70) {
        fields.push(builder.line(Meaning::Street, true));
    }
    fields.push(builder.line(Meaning::City, true));
    fields.push(builder.line(Meaning::PostalCode, true));
    fields.push(builder.country(true));
    if builder.draw.chance(30) {
        fields.push(builder.line(Meaning::State, false));
    }
    builder.section(wording::ADDRESS_TITLES, fields)
}

fn documents(builder: &mut Builder) -> Section {
    let mut fields = vec![builder.file(Meaning::Resume, true)];
    if builder.draw.chance(30) {
        fields.push(builder.file(Meaning::CoverLetter, false));
    } else if builder.draw.chance(40) {
        fields.push(builder.area(Meaning::CoverLetter, false));
    }
    builder.section(wording::DOCUMENT_TITLES, fields)
}

fn links(builder: &mut Builder) -> Section {
    let required = builder.draw.chance(20);
    let mut fields = vec![builder.line(Meaning::Linkedin, required)];
    if builder.draw.chance(50) {
        fields.push(builder.line(Meaning::Website, false));
    }
    if builder.draw.chance(40) {
        fields.push(builder.line(Meaning::Github, false));
    }
    builder.section(wording::LINK_TITLES, fields)
}

fn questions(builder: &mut Builder) -> Section {
    let mut fields = vec![
        builder.yes_no(Meaning::WorkAuthorization, true),
        builder.yes_no(Meaning::Sponsorship, true),
        builder.area(Meaning::FreeQuestion, true),
    ];
    if builder.draw.chance(50) {
        fields.push(builder.line(Meaning::StartDate, false));
    }
    if builder.draw.chance(40) {
        fields.push(builder.line(Meaning::Salary, false));
    }
    if builder.draw.chance(60) {
        fields.push(builder.how_heard());
    }
    builder.section(wording::QUESTION_TITLES, fields)
}

fn review(builder: &mut Builder) -> Page {
    let sections = if builder.draw.chance(40) {
        let consent = builder.checkbox(Meaning::Consent, false);
        vec![builder.section(&[""], vec![consent])]
    } else {
        Vec::new()
    };
    Page { review: true, ..builder.page(wording::REVIEW_TITLES, sections) }
}
