//! The words of the pages: synonyms for every label, button and message. Data only; what is drawn from it is decided in
//! `model`. Companies, people and places of work are invented.

pub mod posting;
pub mod twist;

use crate::meaning::Meaning;

/// Ways to ask for a meaning. `{country}` is the country of the job.
pub fn labels(meaning: Meaning) -> &'static [&'static str] {
    match meaning {
        Meaning::FirstName => &["First name", "Given name", "Forename", "Legal first name", "First name(s)"],
        Meaning::LastName => &["Last name", "Surname", "Family name", "Legal last name", "Last name(s)"],
        Meaning::FullName => &["Full name", "Name", "Your name", "Full legal name", "First and last name"],
        Meaning::Email => &["Email", "E-mail", "Email address", "E-mail address", "Your email", "Contact email"],
        Meaning::EmailConfirm => {
            &["Confirm email", "Confirm your email address", "Repeat e-mail address", "Email (again)", "Re-enter email"]
        }
        Meaning::Phone => &["Phone", "Phone number", "Mobile number", "Telephone", "Contact number", "Mobile phone"],
        Meaning::Street => &["Street address", "Address", "Street and house number", "Address line 1"],
        Meaning::City => {
            &["City", "City of residence", "Town or city", "Current location (city)", "Where are you based? (city)"]
        }
        Meaning::PostalCode => &["Postal code", "Postcode", "ZIP code", "ZIP / postal code", "Post code"],
        Meaning::Country => &["Country", "Country of residence", "Country/Region", "Which country do you live in?"],
        Meaning::State => &["State", "State / Province", "Region", "State or region"],
        Meaning::Linkedin => &["LinkedIn profile", "LinkedIn URL", "LinkedIn", "Link to your LinkedIn profile"],
        Meaning::Website => &["Website", "Personal website", "Portfolio URL", "Website or portfolio", "Personal site"],
        Meaning::Github => &["GitHub profile", "GitHub URL", "GitHub", "Link to your GitHub"],
        Meaning::WorkAuthorization => &[
            "Are you legally authorized to work in {country}?",
            "Do you have the right to work in {country}?",
            "Are you currently eligible to work in {country}?",
            "Are you permitted to work in {country}?",
        ],
        Meaning::Sponsorship => &[
            "Will you now or in the future require sponsorship for employment visa status?",
            "Do you require visa sponsorship?",
            "Would we need to sponsor a visa for you to work in {country}?",
            "Will you need visa sponsorship to work with us?",
        ],
        Meaning::StartDate => {
            &["Earliest start date", "When could you start?", "Available from", "Preferred start date"]
        }
        Meaning::Salary => &[
            "Salary expectations",
            "Desired salary",
            "Expected annual salary (gross)",
            "What are your salary expectations?",
        ],
        Meaning::Resume => &["Résumé", "Resume", "CV", "Resume/CV", "Curriculum vitae", "Your CV or résumé"],
        Meaning::CoverLetter => &["Cover letter", "Covering letter", "Motivation letter", "Letter of motivation"],
        Meaning::HowHeard => &[
            "How did you hear about us?",
            "How did you hear about this job?",
            "Where did you find this position?",
            "What brought you to this posting?",
        ],
        Meaning::FreeQuestion => FREE_QUESTIONS,
        Meaning::Consent => &[
            "I agree to the processing of my data",
            "I consent to my data being stored for this application",
            "I have read the privacy notice and agree to it",
            "My data may be processed for this application",
        ],
    }
}

/// Questions that no profile answers: a person has to be asked.
pub const FREE_QUESTIONS: &[&str] = &[
    "Which of our values speaks to you most, and why?",
    "Tell us about a mistake that you are glad you made.",
    "What would you change about our product in your first week?",
    "Which book would you hand to everybody on your team, and why that one?",
    "Describe a rule that you broke for a good reason.",
    "What is something you believe that most of your colleagues do not?",
    "Which sound reminds you of a good working day?",
    "If our office were a ship, what would your job on board be?",
    "What did you change your mind about in the last year?",
    "Which small thing in everyday life would you redesign first?",
    "Explain your favourite hobby to somebody who has never heard of it.",
    "What would your last team miss most about you?",
    "Which question should we have asked you, and what is the answer?",
    "What is the best piece of advice that you did not follow?",
    "Describe a moment at work when you were properly proud of somebody else.",
    "What would you do with one free afternoon a week at our expense?",
];

/// Help texts below a control.
pub fn hints(meaning: Meaning) -> &'static [&'static str] {
    match meaning {
        Meaning::Email => &["We only use it for this application.", "We will send a confirmation to this address."],
        Meaning::Resume => &["PDF or Word, up to 10 MB.", "Accepted: PDF, DOC, DOCX, ODT, RTF, TXT."],
        Meaning::CoverLetter => &["If you would like to tell us more about yourself."],
        Meaning::Salary => &["Gross, per year.", "A range is fine, for example 60,000 to 70,000."],
        Meaning::FreeQuestion => &["A few sentences are enough.", "There is no wrong answer. Take your time."],
        Meaning::Linkedin => &["For example https://www.linkedin.com/in/your-name"],
        _ => &[],
    }
}

/// An example shown inside an empty control.
pub fn placeholder(meaning: Meaning) -> &'static str {
    match meaning {
        Meaning::FirstName => "Alex",
        Meaning::LastName => "Doe",
        Meaning::FullName => "Alex Doe",
        Meaning::Email | Meaning::EmailConfirm => "name@example.com",
        Meaning::Phone => "+49 30 1234567",
        Meaning::Street => "12 Example Street",
        Meaning::City => "Berlin",
        Meaning::PostalCode => "10115",
        Meaning::Linkedin => "https://www.linkedin.com/in/…",
        Meaning::Website => "https://example.com",
        Meaning::Github => "https://github.com/…",
        Meaning::Salary => "65,000",
        _ => "Type here…",
    }
}

/// Yes and no, for any question and for the two that have answers of their own.
pub const YES_NO: &[(&str, &str)] = &[("Yes", "No")];
pub const AUTHORIZATION_YES_NO: &[(&str, &str)] =
    &[("Yes", "No"), ("Yes, for any employer", "No, not yet"), ("Yes, without restrictions", "No, not at the moment")];
pub const SPONSORSHIP_YES_NO: &[(&str, &str)] =
    &[("Yes", "No"), ("Yes, I will need sponsorship", "No, I will not need sponsorship")];

/// What a form sends for yes and for no.
pub const YES_NO_VALUES: &[(&str, &str)] = &[("yes", "no"), ("Yes", "No"), ("1", "0"), ("true", "false"), ("Y", "N")];

pub const HOW_HEARD: &[&str] = &[
    "LinkedIn",
    "Company website",
    "A friend or colleague",
    "Job board",
    "Search engine",
    "Conference or meetup",
    "Other",
];

/// Code, name, and a second name that some forms use.
pub const COUNTRIES: &[(&str, &str, &str)] = &[
    ("AT", "Austria", "Austria"),
    ("AU", "Australia", "Australia"),
    ("BE", "Belgium", "Belgium"),
    ("BR", "Brazil", "Brazil"),
    ("CA", "Canada", "Canada"),
    ("CH", "Switzerland", "Switzerland"),
    ("CZ", "Czechia", "Czech Republic"),
    ("DE", "Germany", "Germany (Deutschland)"),
    ("DK", "Denmark", "Denmark"),
    ("ES", "Spain", "Spain"),
    ("FI", "Finland", "Finland"),
    ("FR", "France", "France"),
    ("GB", "United Kingdom", "Great Britain"),
    ("IE", "Ireland", "Republic of Ireland"),
    ("IN", "India", "India"),
    ("IT", "Italy", "Italy"),
    ("JP", "Japan", "Japan"),
    ("MX", "Mexico", "Mexico"),
    ("NL", "Netherlands", "The Netherlands"),
    ("PL", "Poland", "Poland"),
    ("PT", "Portugal", "Portugal"),
    ("SE", "Sweden", "Sweden"),
    ("US", "United States", "United States of America"),
];

pub const SELECT_PROMPTS: &[&str] = &["Please select", "Select…", "-- Choose one --", "Select an option"];
pub const FILE_BUTTONS: &[&str] = &["Choose file", "Attach", "Upload file", "Browse…", "Select a file"];
pub const APPLY: &[&str] = &["Apply", "Apply now", "Apply for this job", "Start your application", "I'm interested"];
pub const SUBMIT: &[&str] =
    &["Submit application", "Apply now", "Send my application", "Submit", "Send application", "Submit my application"];
pub const NEXT: &[&str] = &["Continue", "Next step", "Save and continue", "Next", "Proceed"];
pub const BACK: &[&str] = &["Back", "Previous step", "Go back", "Previous"];
pub const DRAFT: &[&str] = &["Save draft", "Save for later", "Save as draft"];
pub const CANCEL: &[&str] = &["Cancel", "Discard", "Cancel application"];

pub const FORM_TITLES: &[&str] =
    &["Apply for this job", "Your application", "Application form", "Submit your application"];
pub const IDENTITY_TITLES: &[&str] = &["Personal information", "About you", "Contact details", "Your details"];
pub const ADDRESS_TITLES: &[&str] = &["Address", "Where you live", "Your address"];
pub const DOCUMENT_TITLES: &[&str] = &["Documents", "Your documents", "Attachments"];
pub const LINK_TITLES: &[&str] = &["Links", "Profiles", "On the web"];
pub const QUESTION_TITLES: &[&str] = &["Questions", "A few questions", "Additional information", "Screening questions"];
pub const REVIEW_TITLES: &[&str] = &["Review", "Review and submit", "Check your answers", "Almost done"];

/// Heading and sentence of the confirmation page.
pub const CONFIRMATIONS: &[(&str, &str)] = &[
    ("Thank you for applying", "We will be in touch soon."),
    ("Your application has been received", "Our team reads every application and answers within two weeks."),
    ("We got your application", "Thanks for your interest in working with us."),
    ("Application submitted", "You will hear from us by e-mail."),
    ("Thanks! Your application is on its way", "A recruiter will look at it in the next few days."),
];
pub const REFERENCE_LINES: &[&str] = &["Reference number:", "Your reference:", "Application ID:", "Confirmation code:"];
pub const REFERENCE_PREFIXES: &[&str] = &["APP", "REF", "JOB", "CAND", "A"];

/// A required value is missing. `{label}` is the label of the field.
pub const MISSING: &[&str] = &[
    "This field is required.",
    "Please complete this field.",
    "\u{201c}{label}\u{201d} cannot be blank.",
    "Please answer: {label}",
];
pub const SUMMARY_TITLES: &[&str] =
    &["There is a problem", "Please correct the following", "Some answers are missing or not valid"];

/// Captions of the trap field that people cannot see.
pub const HONEYPOT_LABELS: &[&str] = &["Leave this field empty", "Fax number", "Company website"];

/// Heading of the page that answers a second sending.
pub const ALREADY_APPLIED: &str = "You have already applied";
