//! Decides whether the values of a page are acceptable, and says why not in the words of the form.

use std::collections::BTreeMap;

use crate::meaning::Meaning;
use crate::model::field::{Control, Field, Rule};
use crate::model::{FormModel, Page};
use crate::upload::Upload;

/// At most one message per field.
pub type Errors = BTreeMap<Meaning, String>;

const DOCUMENT_EXTENSIONS: &[&str] = &["pdf", "doc", "docx", "odt", "rtf", "txt"];

/// For the `accept` attribute of file controls.
pub const ACCEPT: &str = ".pdf,.doc,.docx,.odt,.rtf,.txt";

pub fn page(
    model: &FormModel,
    page: &Page,
    values: &BTreeMap<Meaning, String>,
    files: &BTreeMap<Meaning, Upload>,
) -> Errors {
    let mut errors = Errors::new();
    for field in page.fields().filter(|field| asks(model, field, values)) {
        let value = match field.control {
            Control::File { .. } => files.get(&field.meaning).map(|file| file.filename.as_str()),
            _ => values.get(&field.meaning).map(|value| value.trim()),
        };
        let message = match value.filter(|value| !value.is_empty()) {
            None if field.required => Some(model.look.missing.replace("{label}", &field.label)),
            None => None,
            Some(value) => refusal(field, value, values).map(|messages| messages[model.look.tone % 2].to_owned()),
        };
        if let Some(message) = message {
            errors.insert(field.meaning, message);
        }
    }
    errors
}

/// Whether the form asks this of somebody who gave these answers.
pub fn asks(model: &FormModel, field: &Field, values: &BTreeMap<Meaning, String>) -> bool {
    let Some(condition) = &field.when else {
        return true;
    };
    // Conditions name earlier questions only, so this ends.
    model.field(condition.meaning).is_some_and(|asked| {
        let answered = values.get(&condition.meaning).is_some_and(|value| canonical(asked, value) == condition.is);
        answered && asks(model, asked, values)
    })
}

/// What a value means, whatever this form calls it.
pub fn canonical(field: &Field, value: &str) -> String {
    match &field.control {
        Control::Checkbox { .. } => "yes".to_owned(),
        _ => field
            .choices()
            .iter()
            .find(|choice| choice.value == value)
            .map_or_else(|| value.trim().to_owned(), |choice| choice.canonical.clone()),
    }
}

/// The two wordings of the reason why the value is not accepted.
fn refusal(field: &Field, value: &str, values: &BTreeMap<Meaning, String>) -> Option<[&'static str; 2]> {
    let accepted = match field.rule {
        Rule::Any => true,
        Rule::Email => is_email(value),
        Rule::SameEmail => values.get(&Meaning::Email).is_some_and(|email| email.trim() == value),
        Rule::Phone => phone_digits(value).is_some_and(|digits| digits >= 6),
        Rule::PhoneInternational => {
            value.starts_with('+')
                && !value.starts_with("+0")
                && phone_digits(value).is_some_and(|digits| (8..=15).contains(&digits))
        }
        Rule::Address => is_address(value),
        Rule::AddressWithScheme => has_scheme(value) && is_address(value),
        Rule::PostalCode => is_postal_code(value),
        Rule::Date => is_date(value),
        Rule::Choice => field.choices().iter().any(|choice| choice.value == value),
        Rule::Document => value
            .rsplit_once('.')
            .is_some_and(|(_, extension)| DOCUMENT_EXTENSIONS.contains(&extension.to_ascii_lowercase().as_str())),
    };
    (!accepted).then(|| reasons(field.rule))
}

fn reasons(rule: Rule) -> [&'static str; 2] {
    match rule {
        Rule::Any => ["Please check this answer.", "This answer is not valid."],
        Rule::Email => ["Please enter a valid email address.", "This does not look like an e-mail address."],
        Rule::SameEmail => ["The two email addresses do not match.", "Please repeat the same e-mail address."],
        Rule::Phone => ["Please enter a valid phone number.", "This does not look like a phone number."],
        Rule::PhoneInternational => [
            "Please include your country code, for example +49 30 1234567.",
            "Enter the number in international format: + and the country code first.",
        ],
        Rule::Address => ["Please enter a valid web address.", "This is not a web address."],
        Rule::AddressWithScheme => [
            "Please enter a full address that starts with https://.",
            "The address has to begin with http:// or https://.",
        ],
        Rule::PostalCode => ["Please enter a valid postal code.", "This is not a postal code."],
        Rule::Date => ["Please enter the date as YYYY-MM-DD.", "This is not a date in the form YYYY-MM-DD."],
        Rule::Choice => ["Please choose one of the options.", "This option is not available."],
        Rule::Document => [
            "Please upload a PDF, Word or text document.",
            "This file type is not accepted. Use PDF, DOC, DOCX, ODT, RTF or TXT.",
        ],
    }
}

fn is_email(value: &str) -> bool {
    let Some((user, host)) = value.split_once('@') else {
        return false;
    };
    !user.is_empty()
        && !value.contains(char::is_whitespace)
        && !host.contains('@')
        && host.rsplit_once('.').is_some_and(|(name, top)| !name.is_empty() && top.len() >= 2)
}

/// Number of digits, or nothing if there is anything that phone numbers are not written with.
fn phone_digits(value: &str) -> Option<usize> {
    let written = value.strip_prefix('+').unwrap_or(value);
    let allowed = |c: char| c.is_ascii_digit() || " -/().\u{a0}".contains(c);
    written.chars().all(allowed).then(|| written.chars().filter(char::is_ascii_digit).count())
}

fn has_scheme(value: &str) -> bool {
    let lower = value.to_ascii_lowercase();
    lower.starts_with("https://") || lower.starts_with("http://")
}

fn is_address(value: &str) -> bool {
    let absolute = if has_scheme(value) { value.to_owned() } else { format!("https://{value}") };
    url::Url::parse(&absolute).is_ok_and(|url| url.host_str().is_some_and(|host| host.contains('.')))
}

fn is_postal_code(value: &str) -> bool {
    (3..=10).contains(&value.chars().count())
        && value.chars().any(|c| c.is_ascii_digit())
        && value.chars().all(|c| c.is_alphanumeric() || c == ' ' || c == '-')
}

fn is_date(value: &str) -> bool {
    value.len() == 10 && value.parse::<chrono::NaiveDate>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(accepted: fn(&str) -> bool, good: &[&str], bad: &[&str]) {
        for value in good {
            assert!(accepted(value), "{value} should be accepted");
        }
        for value in bad {
            assert!(!accepted(value), "{value} should be refused");
        }
    }

    #[test]
    fn an_email_has_a_user_and_a_host_with_a_dot() {
        check(
            is_email,
            &["a@example.com", "a.b+c@mail.example.co.uk"],
            &["a", "a@", "@example.com", "a b@example.com", "a@example", "a@@example.com"],
        );
    }

    #[test]
    fn phone_numbers_are_digits_and_their_usual_separators() {
        assert_eq!(phone_digits("+49 (30) 123-45.67"), Some(11));
        assert_eq!(phone_digits("030/1234567"), Some(10));
        assert_eq!(phone_digits("call me"), None);
    }

    #[test]
    fn a_web_address_may_leave_out_its_scheme() {
        check(
            is_address,
            &["https://example.com", "www.linkedin.com/in/alex", "example.com/a?b=c"],
            &["alex", "https://", "two words"],
        );
    }

    #[test]
    fn postal_codes_of_several_countries_are_accepted() {
        check(
            is_postal_code,
            &["10115", "SW1A 1AA", "K1A 0B1", "1012 AB", "4000-123", "97201"],
            &["12", "Berlin", "12345678901", "10115!"],
        );
    }

    #[test]
    fn dates_are_written_as_date_controls_send_them() {
        check(is_date, &["2027-02-01"], &["01.02.2027", "2027-2-1", "2027-02-30", "soon"]);
    }
}
