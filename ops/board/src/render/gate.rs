//! The pages before the form or before its end: signing in, the human check, the code from an e-mail.

use std::fmt::Write as _;

use super::form::link_query;
use super::{Esc, application};
use crate::gate::{self, Gate};
use crate::meaning::Meaning;
use crate::model::FormModel;
use crate::model::twist::{EmailCode, HumanCheck, PictureStyle, SignIn, Twist};
use crate::visit::Visit;
use crate::wording::twist as words;

/// What went wrong, or what happened, since the visitor saw the page last.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Note {
    Nothing,
    Wrong,
    UsedUp,
    SentAgain,
    NotSent,
}

/// The page of the gate that the twist of this form has.
pub fn page(model: &FormModel, visit: &Visit, note: Note) -> String {
    let (gate, heading, inner) = match &model.twist {
        Twist::Login(sign_in) => (Gate::SignIn, sign_in.heading, signing_in(model, sign_in, note)),
        Twist::Check(check) => (Gate::Check, check.heading, checking(model, check, visit, note)),
        Twist::Code(code) => (Gate::Code, code.heading, coding(model, code, visit, note)),
        _ => return String::new(),
    };
    let token = if model.behaviour.cookie {
        String::new()
    } else {
        format!("<input type=\"hidden\" name=\"{}\" value=\"{}\">", model.behaviour.visit_name, Esc(&visit.token))
    };
    let body = format!(
        "<h1>{}</h1><form method=\"post\" action=\"{}\">{token}{inner}</form>",
        Esc(heading),
        Esc(&model.gate_path(gate)),
    );
    application(model, heading, &body)
}

fn signing_in(model: &FormModel, sign_in: &SignIn, note: Note) -> String {
    let kind = if sign_in.by_email && model.look.native_required { "email" } else { "text" };
    let required = required(model);
    let tokens = |token: &str| {
        if model.look.autocomplete { format!(" autocomplete=\"{token}\"") } else { String::new() }
    };
    format!(
        "{}<div class=\"field\"><label class=\"label\" for=\"sign-in-user\">{}</label>\
         <input type=\"{kind}\" id=\"sign-in-user\" name=\"{}\"{}{required}></div>\
         <div class=\"field\"><label class=\"label\" for=\"sign-in-password\">{}</label>\
         <input type=\"password\" id=\"sign-in-password\" name=\"{}\"{}{required}></div>{}",
        error(note, sign_in.wrong),
        Esc(sign_in.user_label),
        gate::USER,
        tokens("username"),
        Esc(sign_in.password_label),
        gate::PASSWORD,
        tokens("current-password"),
        actions(sign_in.button, ""),
    )
}

fn checking(model: &FormModel, check: &HumanCheck, visit: &Visit, note: Note) -> String {
    let picture = match check.picture {
        PictureStyle::Inline => gate::letters(check, visit).svg().to_owned(),
        // Another picture has another address.
        PictureStyle::Image => format!(
            "<img src=\"{}/picture?{}n={}\" alt=\"\">",
            Esc(&model.posting_path()),
            Esc(&link_query(model, visit)),
            visit.wrong_answers
        ),
    };
    format!(
        "<p>{}</p>{}<p>{picture}</p>{}{}",
        Esc(check.instruction),
        error(note, check.wrong),
        line(model, check.label, gate::ANSWER),
        actions(check.button, ""),
    )
}

fn coding(model: &FormModel, code: &EmailCode, visit: &Visit, note: Note) -> String {
    let email = visit.values.get(&Meaning::Email).map_or("you", |email| email.trim());
    let left = visit.code.as_ref().map_or(0, |code| code.attempts_left);
    let mut wrong = code.wrong.to_owned();
    let _ = match left {
        1 => write!(wrong, " You have 1 attempt left."),
        _ => write!(wrong, " You have {left} attempts left."),
    };
    let again = format!(
        "<button type=\"submit\" class=\"secondary\" name=\"{}\" value=\"1\" formnovalidate>{}</button>",
        gate::RESEND,
        Esc(code.resend)
    );
    format!(
        "<p>{}</p>{}{}{}",
        Esc(&code.instruction.replace("{email}", email)),
        error(note, &wrong),
        line(model, code.label, gate::CODE),
        actions(code.button, &again),
    )
}

fn line(model: &FormModel, label: &str, name: &str) -> String {
    format!(
        "<div class=\"field\"><label class=\"label\" for=\"{name}-box\">{}</label>\
         <input type=\"text\" id=\"{name}-box\" name=\"{name}\" autocomplete=\"off\"{}></div>",
        Esc(label),
        required(model)
    )
}

fn required(model: &FormModel) -> &'static str {
    if model.look.native_required { " required" } else { " aria-required=\"true\"" }
}

fn error(note: Note, wrong: &str) -> String {
    let sentence = match note {
        Note::Nothing => return String::new(),
        Note::SentAgain => return format!("<p class=\"notice\" role=\"status\">{}</p>", words::CODE_SENT_AGAIN),
        Note::Wrong => wrong,
        Note::UsedUp => words::CODE_USED_UP,
        Note::NotSent => words::CODE_NOT_SENT,
    };
    format!("<p class=\"error\" role=\"alert\">{}</p>", Esc(sentence))
}

fn actions(button: &str, others: &str) -> String {
    format!("<div class=\"actions\"><button type=\"submit\">{}</button>{others}</div>", Esc(button))
}
