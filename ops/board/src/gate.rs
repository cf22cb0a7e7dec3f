//! Pages that stand before the form or before its end: signing in, the human check, and the code from an e-mail. Decides
//! only: what a visit stands before, and what an answer means for it.

use uuid::Uuid;

use crate::body::SentForm;
use crate::bounds;
use crate::credentials::Credentials;
use crate::letters::Letters;
use crate::model::FormModel;
use crate::model::twist::{CheckPlace, CodeStyle, EmailCode, HumanCheck, Twist};
use crate::visit::{IssuedCode, Visit};

/// Names of the controls on these pages, and of the button that asks for another code.
pub const USER: &str = "user";
pub const PASSWORD: &str = "password";
pub const ANSWER: &str = "answer";
pub const CODE: &str = "code";
pub const RESEND: &str = "resend";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    SignIn,
    Check,
    Code,
}

impl Gate {
    const ALL: [Self; 3] = [Self::SignIn, Self::Check, Self::Code];

    /// The last part of its address.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SignIn => "sign-in",
            Self::Check => "check",
            Self::Code => "code",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|gate| gate.as_str() == text)
    }
}

/// What an answer to a gate means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The form is open now.
    Enter,
    /// The application is complete now.
    Complete,
    Wrong,
    /// Wrong so often that only another code helps.
    UsedUp,
    /// Another code is to be sent.
    Resend,
    /// Too many codes were sent already.
    NotSent,
}

/// What keeps this visit from the form.
pub fn before_form(model: &FormModel, visit: &Visit) -> Option<Gate> {
    match &model.twist {
        Twist::Login(_) if !visit.signed_in => Some(Gate::SignIn),
        Twist::Check(check) if check.place == CheckPlace::BeforeForm && !visit.is_person => Some(Gate::Check),
        _ => None,
    }
}

/// What keeps a form that was sent from counting.
pub fn before_end(model: &FormModel, visit: &Visit) -> Option<Gate> {
    match &model.twist {
        Twist::Check(check) if check.place == CheckPlace::BeforeEnd && !visit.is_person => Some(Gate::Check),
        Twist::Code(_) => Some(Gate::Code),
        _ => None,
    }
}

/// What this visit stands before now.
pub fn now(model: &FormModel, visit: &Visit) -> Option<Gate> {
    before_form(model, visit).or_else(|| before_end(model, visit).filter(|_| visit.complete))
}

/// The picture that this visit has to read now.
pub fn letters(check: &HumanCheck, visit: &Visit) -> Letters {
    Letters::draw(visit.seed, visit.wrong_answers, check.letters)
}

/// Takes an answer to the gate that the visit stands before.
pub fn answer(model: &FormModel, visit: &mut Visit, sent: &SentForm) -> Verdict {
    let given = |name: &str| sent.value(name).unwrap_or_default();
    match &model.twist {
        Twist::Login(_) => {
            visit.signed_in = Credentials::of(model.seed).admit(given(USER), given(PASSWORD));
            if visit.signed_in { Verdict::Enter } else { wrong(visit) }
        }
        Twist::Check(check) => {
            visit.is_person = letters(check, visit).is(given(ANSWER));
            match check.place {
                _ if !visit.is_person => wrong(visit),
                CheckPlace::BeforeForm => Verdict::Enter,
                CheckPlace::BeforeEnd => complete(visit),
            }
        }
        Twist::Code(_) if sent.value(RESEND).is_some() => {
            let sent = visit.code.as_ref().map_or(0, |code| code.sent);
            if sent < bounds::MAX_CODES_PER_VISIT { Verdict::Resend } else { Verdict::NotSent }
        }
        Twist::Code(_) => code_answered(visit, given(CODE)),
        _ => Verdict::Enter,
    }
}

fn code_answered(visit: &mut Visit, given: &str) -> Verdict {
    let Some(code) = visit.code.as_mut().filter(|code| code.attempts_left > 0) else {
        return Verdict::UsedUp;
    };
    if same_code(&code.code, given) {
        return complete(visit);
    }
    code.attempts_left -= 1;
    let used_up = code.attempts_left == 0;
    let verdict = wrong(visit);
    if used_up { Verdict::UsedUp } else { verdict }
}

/// A second answer that comes at the same time finds nothing to complete.
fn complete(visit: &mut Visit) -> Verdict {
    visit.complete = false;
    Verdict::Complete
}

fn wrong(visit: &mut Visit) -> Verdict {
    visit.wrong_answers = visit.wrong_answers.saturating_add(1);
    Verdict::Wrong
}

/// People leave out the dash, add spaces, and write small letters.
fn same_code(code: &str, given: &str) -> bool {
    let plain =
        |text: &str| text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_uppercase).collect::<String>();
    plain(code) == plain(given)
}

/// Gives the visit a code that was never told before.
pub fn issue_code(rules: &EmailCode, visit: &mut Visit) -> String {
    // The random end of the id.
    let (_, random) = Uuid::now_v7().as_u64_pair();
    let code = match rules.style {
        CodeStyle::Digits => format!("{:06}", random % 1_000_000),
        CodeStyle::Letters => {
            let letters = format!("{random:016X}");
            format!("{}-{}", &letters[10..13], &letters[13..16])
        }
    };
    let sent = visit.code.as_ref().map_or(0, |code| code.sent) + 1;
    visit.code = Some(IssuedCode { code: code.clone(), attempts_left: rules.attempts, sent });
    code
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_may_be_written_in_other_ways() {
        assert!(same_code("KX4-9TB", " kx49tb "));
        assert!(same_code("493017", "493 017"));
        assert!(!same_code("493017", "493018"));
        assert!(!same_code("493017", ""));
    }
}
