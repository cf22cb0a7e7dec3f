//! What a control asks for, whatever it is called on the page.

use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Meaning {
    FirstName,
    LastName,
    FullName,
    Email,
    EmailConfirm,
    Phone,
    Street,
    City,
    PostalCode,
    Country,
    State,
    Linkedin,
    Website,
    Github,
    WorkAuthorization,
    Sponsorship,
    StartDate,
    Salary,
    Resume,
    CoverLetter,
    HowHeard,
    FreeQuestion,
    Consent,
}

impl Meaning {
    pub const ALL: [Self; 23] = [
        Self::FirstName,
        Self::LastName,
        Self::FullName,
        Self::Email,
        Self::EmailConfirm,
        Self::Phone,
        Self::Street,
        Self::City,
        Self::PostalCode,
        Self::Country,
        Self::State,
        Self::Linkedin,
        Self::Website,
        Self::Github,
        Self::WorkAuthorization,
        Self::Sponsorship,
        Self::StartDate,
        Self::Salary,
        Self::Resume,
        Self::CoverLetter,
        Self::HowHeard,
        Self::FreeQuestion,
        Self::Consent,
    ];

    /// The name used in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::FirstName => "first_name",
            Self::LastName => "last_name",
            Self::FullName => "full_name",
            Self::Email => "email",
            Self::EmailConfirm => "email_confirm",
            Self::Phone => "phone",
            Self::Street => "street",
            Self::City => "city",
            Self::PostalCode => "postal_code",
            Self::Country => "country",
            Self::State => "state",
            Self::Linkedin => "linkedin",
            Self::Website => "website",
            Self::Github => "github",
            Self::WorkAuthorization => "work_authorization",
            Self::Sponsorship => "sponsorship",
            Self::StartDate => "start_date",
            Self::Salary => "salary",
            Self::Resume => "resume",
            Self::CoverLetter => "cover_letter",
            Self::HowHeard => "how_heard",
            Self::FreeQuestion => "free_question",
            Self::Consent => "consent",
        }
    }

    /// The `autocomplete` token of the HTML standard, where there is one.
    pub fn autocomplete(self) -> Option<&'static str> {
        Some(match self {
            Self::FirstName => "given-name",
            Self::LastName => "family-name",
            Self::FullName => "name",
            Self::Email => "email",
            Self::Phone => "tel",
            Self::Street => "street-address",
            Self::City => "address-level2",
            Self::PostalCode => "postal-code",
            Self::Country => "country-name",
            Self::State => "address-level1",
            Self::Website => "url",
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_json_name_is_the_name_in_text() {
        for meaning in Meaning::ALL {
            let json = serde_json::to_value(meaning).expect("a meaning is JSON");
            assert_eq!(json, meaning.as_str());
        }
    }
}
