//! What kind of page this is, with the evidence. Pure.

use serde::{Deserialize, Serialize};

use super::barrier::{Barrier, is_password};
use super::buttons::{self, NextButton, NextKind};
use super::captcha_widget;
use super::classify_field::is_personal_label;
use super::field::{Field, read_fields};
use super::field_kind::FieldKind;
use super::main_form::MainForm;
use super::snapshot::Snapshot;
use super::text::{self, words};
use super::wording::Wording;
use crate::browser::is_error_page;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PageKind {
    /// Describes a job; its form is elsewhere.
    Posting,
    /// An application on one page.
    Form,
    /// One page of several.
    Step,
    /// Shows the answers before they are handed in.
    Review,
    Confirmation,
    AlreadyApplied,
    Login,
    /// The job takes no applications any more, or is not there.
    Closed,
    /// The site refuses the browser.
    Blocked,
    /// A puzzle that is visible and in the way.
    Captcha,
    /// A code that was sent to the applicant is asked for.
    Code,
    /// The visit is over, or the tab shows nothing of the site any more: the form is to be begun anew.
    Expired,
    Error,
    Unknown,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PageReport {
    pub kind: PageKind,
    pub confidence: f32,
    pub evidence: Vec<String>,
    /// "Step 2 of 4".
    pub step: Option<(u32, u32)>,
    /// What a confirmation calls the application.
    pub reference: Option<String>,
}

/// Addresses of a new tab and the like.
const BROWSERS_OWN: [&str; 3] = ["chrome:", "about:", "data:"];
/// A page with less text says little else than its message.
pub(super) const SHORT_TEXT_CHARS: usize = 1500;
/// A frame that held a form; what is sold beside it is smaller.
const FORM_FRAME_MIN_AREA: i64 = 40_000;
/// A posting may show one address to write to; a review shows who applies.
const REVIEW_PAIRS_MIN: usize = 2;
pub fn classify(page: &Snapshot) -> PageReport {
    let fields = read_fields(page);
    let main = MainForm::of(page, &fields);
    let next = buttons::next_button(page, &fields, main.as_ref());
    classify_read(page, &fields, main.as_ref(), next.as_ref())
}

/// [`classify`] for a page whose fields are read already.
pub fn classify_read(
    page: &Snapshot,
    fields: &[Field],
    main: Option<&MainForm>,
    next: Option<&NextButton>,
) -> PageReport {
    let step = step_of(page);
    let barrier = Barrier::of(page, fields);
    let (kind, confidence, evidence) =
        Reader { page, fields, main, next, barrier, wording: Wording::get(), step }.kind();
    let reference = if kind == PageKind::Confirmation { reference(page) } else { None };
    PageReport { kind, confidence, evidence: vec![evidence], step, reference }
}

struct Reader<'a> {
    page: &'a Snapshot,
    fields: &'a [Field],
    main: Option<&'a MainForm>,
    next: Option<&'a NextButton>,
    barrier: Option<Barrier>,
    wording: &'a Wording,
    step: Option<(u32, u32)>,
}

type Verdict = (PageKind, f32, String);

impl Reader<'_> {
    fn kind(&self) -> Verdict {
        if is_error_page(&self.page.url) {
            return (PageKind::Error, 0.9, "the browser's own page about an error".into());
        }
        if BROWSERS_OWN.iter().any(|scheme| self.page.url.starts_with(scheme)) {
            return (PageKind::Expired, 0.9, "a page of the browser's own".into());
        }
        let form = self.form();
        if let Some(frame) = captcha_widget::challenge(self.page) {
            return (
                PageKind::Captcha,
                0.9,
                format!("a puzzle in a frame of {}x{}", frame.rect.width, frame.rect.height),
            );
        }
        let applies = form.is_some();
        // What the page says aloud counts more than a form that asks for little: a way to stay in touch, a search.
        if !self.applies()
            && let Some(verdict) = self.refusal()
        {
            return verdict;
        }
        if let Some(found) = self.announced("already_applied", applies) {
            return (PageKind::AlreadyApplied, 0.9, found);
        }
        if let Some(found) = self.confirmation() {
            return (PageKind::Confirmation, 0.9, found);
        }
        form.or_else(|| self.expired()).or_else(|| self.by_status()).unwrap_or_else(|| self.by_words())
    }

    /// The form asks for what only applications ask.
    fn applies(&self) -> bool {
        self.main.is_some_and(|main| {
            let own = main.fields.iter().map(|&index| &self.fields[index]);
            own.filter(|field| {
                field.kind.is_application()
                    || (field.kind.is_identity()
                        && !matches!(field.kind, FieldKind::Email | FieldKind::UsernameOrEmail))
            })
            .count()
                > 0
        })
    }

    /// The page says aloud that the job is closed or that the browser is refused.
    fn refusal(&self) -> Option<Verdict> {
        if buttons::apply_button(self.page).is_some() || self.said("captcha").is_some() {
            return None;
        }
        if let Some(found) = self.announced("closed", true) {
            return Some((PageKind::Closed, 0.85, found));
        }
        let short = self.page.text.chars().count() <= SHORT_TEXT_CHARS;
        let found = self.announced("blocked", true).filter(|_| short)?;
        Some((PageKind::Blocked, 0.8, found))
    }

    /// The page asks something of an applicant.
    fn form(&self) -> Option<Verdict> {
        let main = self.main?;
        let own: Vec<&Field> = main.fields.iter().map(|&index| &self.fields[index]).collect();
        if let Some(barrier) = &self.barrier
            && barrier.form == main.form
            && barrier.frame == main.frame
        {
            return Some((barrier.kind, 0.8, barrier.why.into()));
        }
        let next = self.next?;
        let asked = own
            .iter()
            .filter(|field| !matches!(field.kind, FieldKind::Consent | FieldKind::Newsletter | FieldKind::Signature))
            .count();
        if asked == 0 && next.kind == NextKind::Submit && self.said("review").is_some() {
            return Some((PageKind::Review, 0.8, "answers are shown, nothing but consent is asked".into()));
        }
        let several = self.step.is_some_and(|(_, of)| of > 1);
        if next.kind == NextKind::Next || several {
            return Some((PageKind::Step, 0.8, format!("{asked} questions and \"{}\"", next.text)));
        }
        Some((PageKind::Form, 0.9, format!("{asked} questions and \"{}\"", next.text)))
    }

    /// A confirmation says so in its heading or has little else to say; it asks nothing of an applicant.
    fn confirmation(&self) -> Option<String> {
        let asks = self.main.is_some_and(|main| {
            let own = main.fields.iter().map(|&index| &self.fields[index]);
            own.filter(|field| {
                field.kind.is_application() || (field.kind.is_identity() && field.kind != FieldKind::Email)
            })
            .count()
                > 0
        });
        // A page that still wants the code from an e-mail has not taken the application, however warmly it speaks of it.
        let wants_code = self.barrier.as_ref().is_some_and(|barrier| barrier.kind == PageKind::Code);
        if asks || wants_code {
            return None;
        }
        self.announced("confirmation", false).or_else(|| {
            let wording = self.wording.page("confirmation");
            let short =
                self.page.text.chars().count() <= SHORT_TEXT_CHARS * 2 && buttons::apply_button(self.page).is_none();
            // A form whose button is still there has not been handed in.
            let open = self.main.is_some() && self.next.is_some_and(|next| next.kind == NextKind::Submit);
            let line = self.page.text.lines().find(|line| text::any(wording, &words(line)));
            line.filter(|_| short && !open).map(str::to_owned).or_else(|| self.confirmed_in_frame())
        })
    }

    /// The form's frame says it in the form's place, while the page around it still describes the job at length.
    fn confirmed_in_frame(&self) -> Option<String> {
        let wording = self.wording.page("confirmation");
        let frames = self.page.frames.iter().filter(|frame| {
            frame.rect.area() >= FORM_FRAME_MIN_AREA
                && frame.text.chars().count() <= SHORT_TEXT_CHARS
                && !self.page.controls.iter().any(|control| control.frame == frame.path && control.hidden.is_empty())
        });
        let mut lines = frames.flat_map(|frame| frame.text.lines());
        lines.find(|line| text::any(wording, &words(line))).map(str::to_owned)
    }

    /// Said aloud, whatever the status: many sites answer a visit that is over as if the page were gone.
    fn expired(&self) -> Option<Verdict> {
        self.announced("expired", true).map(|found| (PageKind::Expired, 0.85, found))
    }

    fn by_status(&self) -> Option<Verdict> {
        let status = self.page.status?;
        let kind = match status {
            401 => PageKind::Login,
            403 | 429 if self.said("captcha").is_some() => PageKind::Captcha,
            403 | 429 => PageKind::Blocked,
            404 | 410 => PageKind::Closed,
            500.. => PageKind::Error,
            _ => return None,
        };
        Some((kind, 0.9, format!("HTTP status {status}")))
    }

    fn by_words(&self) -> Verdict {
        let apply = buttons::apply_button(self.page);
        let posting = self.page.json_ld.iter().any(|value| value.to_string().contains("\"JobPosting\""));
        let short = self.page.text.chars().count() <= SHORT_TEXT_CHARS;
        if let Some(barrier) = self.barrier.as_ref().filter(|barrier| barrier.kind == PageKind::Code) {
            return (PageKind::Code, 0.8, barrier.why.into());
        }
        if let Some(found) = self.announced("captcha", false).filter(|_| short) {
            return (PageKind::Captcha, 0.8, found);
        }
        if short && captcha_widget::shown(self.page).is_some() {
            return (PageKind::Captcha, 0.7, "a box to tick and nothing else".into());
        }
        if let Some(found) = self.announced("closed", apply.is_some()) {
            return (PageKind::Closed, 0.85, found);
        }
        if let Some(found) = self.announced("blocked", false).filter(|_| short && apply.is_none()) {
            return (PageKind::Blocked, 0.8, found);
        }
        if let Some(found) = self.review() {
            return (PageKind::Review, 0.8, found);
        }
        if let Some(apply) = apply {
            return (PageKind::Posting, if posting { 0.95 } else { 0.8 }, format!("\"{}\"", apply.text));
        }
        if let Some(barrier) = &self.barrier {
            return (barrier.kind, 0.8, barrier.why.into());
        }
        let password = self.fields.iter().any(|field| is_password(field) && field.usable(self.page));
        if password {
            return (PageKind::Login, 0.8, "a password is asked for".into());
        }
        if self.main.is_none()
            && let Some(found) = self.announced("login_wall", false).filter(|_| short)
        {
            return (PageKind::Login, 0.7, found);
        }
        if let Some(found) = self.announced("error", false).filter(|_| short) {
            return (PageKind::Error, 0.8, found);
        }
        if let Some(found) = self.numbered() {
            return (PageKind::Confirmation, 0.7, found);
        }
        if posting {
            return (PageKind::Posting, 0.7, "structured data of a posting, no way to apply".into());
        }
        (
            PageKind::Unknown,
            0.0,
            format!("{} fields, title {:?}", self.fields.len(), self.page.title.chars().take(80).collect::<String>()),
        )
    }

    /// Nothing is asked, and the answers are shown, or the last of several steps is reached: the button hands in. Its words may be those of a
    /// posting's button; what the page shows tells them apart.
    fn review(&self) -> Option<String> {
        let next = self.next.filter(|next| next.kind == NextKind::Submit)?;
        // Microdata is about the posting.
        let pairs = self.page.pairs.iter().filter(|pair| pair.source != "microdata");
        let personal = pairs.filter(|pair| is_personal_label(&pair.label)).count();
        let shown =
            personal >= REVIEW_PAIRS_MIN || self.said("review").is_some() || self.step.is_some_and(|(_, of)| of > 1);
        shown.then(|| format!("{personal} personal answers are shown and \"{}\"", next.text))
    }

    /// A page that speaks of an application, gives it a number and asks for nothing.
    fn numbered(&self) -> Option<String> {
        let speaks =
            words(&self.page.text).iter().any(|word| word.starts_with("applica") || word.starts_with("applied"));
        let code = reference(self.page)
            .filter(|_| speaks && self.main.is_none() && self.page.text.chars().count() <= SHORT_TEXT_CHARS)?;
        Some(format!("the application has a number, {code}"))
    }

    /// Said by the title, a heading or an alert; where `only_loud` is not set also by the text of a short page.
    fn announced(&self, name: &str, only_loud: bool) -> Option<String> {
        let phrases = self.wording.page(name);
        let page = self.page;
        let loud = std::iter::once(&page.title)
            .chain(page.headings.iter().filter(|heading| heading.level <= 3).map(|heading| &heading.text))
            .chain(&page.alerts);
        let found = loud.into_iter().find(|line| text::any(phrases, &words(line)));
        let quiet = || page.text.lines().find(|line| text::any(phrases, &words(line)));
        let short = page.text.chars().count() <= SHORT_TEXT_CHARS;
        found
            .map(String::as_str)
            .or_else(|| if only_loud || !short { None } else { quiet() })
            .map(|line| line.chars().take(200).collect())
    }

    fn said(&self, name: &str) -> Option<&str> {
        let phrases = self.wording.page(name);
        self.page
            .text
            .lines()
            .chain(self.page.headings.iter().map(|heading| heading.text.as_str()))
            .find(|line| text::any(phrases, &words(line)))
    }
}

/// "Step 2 of 4", "Page 2 of 4", "2 of 4" or "2/4" on a line of its own.
fn step_of(page: &Snapshot) -> Option<(u32, u32)> {
    let lines = page.headings.iter().map(|heading| heading.text.as_str()).chain(page.text.lines());
    lines.filter(|line| line.len() <= 120).find_map(|line| {
        let words = words(line);
        let numbers = words.windows(3).enumerate().find_map(|(at, window)| {
            let named = at > 0 && matches!(words[at - 1].as_str(), "step" | "page" | "section" | "part");
            let pair = (window[0].parse().ok()?, window[2].parse().ok()?);
            (window[1] == "of" && (named || words.len() == 3)).then_some(pair)
        });
        let slash = || {
            line.trim()
                .split_once('/')
                .and_then(|(a, b)| Some((a.trim().rsplit(' ').next()?.parse().ok()?, b.trim().parse().ok()?)))
                .filter(|_| words.len() <= 3)
        };
        numbers.or_else(slash).filter(|(at, of): &(u32, u32)| (1..=20).contains(of) && (1..=*of).contains(at))
    })
}

/// What a confirmation calls the application: a labelled value, or the word with a digit after "reference number".
fn reference(page: &Snapshot) -> Option<String> {
    let wording = Wording::get();
    let phrases = wording.page("reference");
    let code = |text: &str| {
        let code: String = text.trim_matches(|c: char| !c.is_alphanumeric()).to_owned();
        (code.len() >= 3
            && code.chars().any(|c| c.is_ascii_digit())
            && code.chars().all(|c| c.is_alphanumeric() || "-_/.".contains(c)))
        .then_some(code)
    };
    let labelled = page
        .pairs
        .iter()
        .filter(|pair| text::any(phrases, &words(&pair.label)))
        .find_map(|pair| pair.value.split_whitespace().find_map(code));
    labelled.or_else(|| {
        page.text.lines().filter(|line| text::any(phrases, &words(line))).find_map(|line| {
            let lower = line.to_lowercase();
            let at = ["reference", "confirmation", "application", "receipt", "tracking", "submission", "candidate"]
                .iter()
                .filter_map(|word| lower.find(word))
                .min()?;
            line.get(at..)?.split_whitespace().find_map(code)
        })
    })
}
