//! What a field is for.

use serde::{Deserialize, Serialize};

macro_rules! field_kinds {
    ($($(#[$doc:meta])* $variant:ident => $name:literal,)*) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum FieldKind { $($(#[$doc])* #[serde(rename = $name)] $variant,)* }

        impl FieldKind {
            /// The name it has in data files and reports.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            pub fn from_name(name: &str) -> Option<Self> {
                match name { $($name => Some(Self::$variant),)* _ => None }
            }
        }
    };
}

field_kinds! {
    FirstName => "firstName",
    MiddleName => "middleName",
    LastName => "lastName",
    FullName => "fullName",
    PreferredName => "preferredName",
    Email => "emailAddress",
    ConfirmEmail => "emailAddress.confirm",
    UsernameOrEmail => "username OR emailAddress",
    Phone => "phone",
    PhoneCountryCode => "phoneCountryCode",
    PhoneExtension => "phoneExtension",
    PhoneType => "phoneType",
    Street => "addressStreet",
    Street2 => "addressStreet2",
    City => "addressCity",
    State => "addressProvince",
    PostalCode => "addressPostalCode",
    Country => "addressCountryCode",
    /// City, state and country in one field.
    Location => "location",
    Linkedin => "linkedin",
    Github => "github",
    Website => "website",
    Portfolio => "portfolio",
    Twitter => "twitter",
    WorkAuthorization => "workAuthorization",
    Sponsorship => "sponsorship",
    Salary => "salary",
    StartDate => "startDate",
    HowHeard => "howHeard",
    Resume => "resume",
    CoverLetter => "coverLetter",
    OtherDocument => "otherDocument",
    ResumeText => "resumeText",
    CoverLetterText => "coverLetterText",
    Consent => "consent",
    Signature => "signature",
    Demographic => "demographic",
    Birthday => "birthday",
    BirthdayDay => "birthdayDay",
    BirthdayMonth => "birthdayMonth",
    BirthdayYear => "birthdayYear",
    Newsletter => "newsletter",
    Search => "search",
    Language => "language",
    Honeypot => "honeypot",
    Username => "username",
    Password => "password",
    PasswordNew => "password.new",
    PasswordCurrent => "password.current",
    Totp => "totp",
    Captcha => "captcha",
    CardName => "cardName",
    CardNumber => "cardNumber",
    CardSecurityCode => "cardSecurityCode",
    Expiration => "expiration",
    ExpirationMonth => "expirationMonth",
    ExpirationYear => "expirationYear",
    /// A question of the form's own.
    Question => "question",
    Unknown => "unknown",
}

impl FieldKind {
    /// Who and where the applicant is: short labels, one right value.
    pub fn is_identity(self) -> bool {
        matches!(
            self,
            Self::FirstName
                | Self::MiddleName
                | Self::LastName
                | Self::FullName
                | Self::PreferredName
                | Self::Email
                | Self::ConfirmEmail
                | Self::UsernameOrEmail
                | Self::Phone
                | Self::PhoneCountryCode
                | Self::PhoneExtension
                | Self::PhoneType
                | Self::Street
                | Self::Street2
                | Self::City
                | Self::State
                | Self::PostalCode
                | Self::Country
                | Self::Location
        )
    }

    /// Seen in applications for a job and hardly elsewhere.
    pub fn is_application(self) -> bool {
        matches!(
            self,
            Self::Linkedin
                | Self::Github
                | Self::Portfolio
                | Self::WorkAuthorization
                | Self::Sponsorship
                | Self::Salary
                | Self::StartDate
                | Self::HowHeard
                | Self::Resume
                | Self::CoverLetter
                | Self::ResumeText
                | Self::CoverLetterText
        )
    }

    /// What a long text is that is asked for in the words of this document's file.
    pub fn as_text(self) -> Option<Self> {
        match self {
            Self::Resume => Some(Self::ResumeText),
            Self::CoverLetter => Some(Self::CoverLetterText),
            _ => None,
        }
    }

    /// Asks for a sentence, or by a word used for nothing else: a long label is no reason to doubt.
    pub fn is_asked_in_words(self) -> bool {
        matches!(
            self,
            Self::WorkAuthorization
                | Self::Sponsorship
                | Self::Salary
                | Self::StartDate
                | Self::HowHeard
                | Self::Consent
                | Self::Signature
                | Self::Demographic
                | Self::Newsletter
                | Self::Resume
                | Self::CoverLetter
                | Self::OtherDocument
                | Self::CoverLetterText
                | Self::ResumeText
                | Self::Honeypot
                | Self::Captcha
                | Self::Linkedin
                | Self::Github
                | Self::Twitter
        )
    }

    /// Belongs to an account or a payment; never filled from an application.
    pub fn is_credential_or_payment(self) -> bool {
        matches!(
            self,
            Self::Username
                | Self::Password
                | Self::PasswordNew
                | Self::PasswordCurrent
                | Self::Totp
                | Self::CardName
                | Self::CardNumber
                | Self::CardSecurityCode
                | Self::Expiration
                | Self::ExpirationMonth
                | Self::ExpirationYear
        )
    }
}
