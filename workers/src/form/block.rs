//! Why a page lets nobody pass, in the classes that are handled differently, with the evidence. Pure.
//!
//! A sign of a vendor somewhere on a page is no block: it counts only where the page is kind of nothing else ([`classify`]), that is where
//! it is visible and in the way.

use serde::{Deserialize, Serialize};

use super::captcha_widget;
use super::page_kind::{PageKind, PageReport};
use super::snapshot::Snapshot;
use super::text::{self, words};
use super::wording::Wording;

/// `captcha_loop` is not here: that one puzzle follows another is seen by who counts them, not on a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BlockClass {
    /// The site takes the browser for a program's.
    BotBlocked,
    Captcha,
    /// Nobody from here, or nobody without a right to it, is let in.
    AccessDenied,
    RateLimited,
    LoginRequired,
    CodeRequired,
}

impl BlockClass {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BotBlocked => "bot_blocked",
            Self::Captcha => "captcha",
            Self::AccessDenied => "access_denied",
            Self::RateLimited => "rate_limited",
            Self::LoginRequired => "login_required",
            Self::CodeRequired => "code_required",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Block {
    pub class: BlockClass,
    /// What the page said or answered, most telling first.
    pub evidence: Vec<String>,
}

/// HTTP 429 (RFC 6585 §4) and 451 (RFC 7725).
const TOO_MANY_REQUESTS: u16 = 429;
const LEGAL_REASONS: u16 = 451;

/// `None`: the page can be gone on with, or ends for another reason.
pub fn block(page: &Snapshot, report: &PageReport) -> Option<Block> {
    let mut evidence = report.evidence.clone();
    let class = match report.kind {
        PageKind::Captcha => BlockClass::Captcha,
        PageKind::Login => BlockClass::LoginRequired,
        PageKind::Code => BlockClass::CodeRequired,
        PageKind::Blocked => {
            let (class, said) = refusal(page);
            evidence.extend(said.filter(|said| !report.evidence.contains(said)));
            class
        }
        _ => return None,
    };
    evidence.extend(page.status.filter(|status| *status >= 400).map(|status| format!("HTTP status {status}")));
    evidence.extend(captcha_widget::shown(page).map(|frame| format!("a frame of {}", frame.src)));
    evidence.dedup();
    Some(Block { class, evidence })
}

/// What sort of refusal it is, by its status and its words. A site that says no more than "access denied" on a page that everybody may
/// see means the browser.
fn refusal(page: &Snapshot) -> (BlockClass, Option<String>) {
    let said = |name: &str| {
        let phrases = Wording::get().page(name);
        let lines = std::iter::once(page.title.as_str()).chain(page.text.lines());
        lines.into_iter().find(|line| text::any(phrases, &words(line))).map(|line| line.chars().take(200).collect())
    };
    let limited = said("rate_limited");
    if page.status == Some(TOO_MANY_REQUESTS) || limited.is_some() {
        return (BlockClass::RateLimited, limited);
    }
    let denied = said("not_here");
    if page.status == Some(LEGAL_REASONS) || denied.is_some() {
        return (BlockClass::AccessDenied, denied);
    }
    (BlockClass::BotBlocked, None)
}

#[cfg(test)]
mod tests {
    use super::{BlockClass, block};
    use crate::form::{Snapshot, classify};

    fn class(status: u16, title: &str, text: &str) -> Option<BlockClass> {
        let page = Snapshot {
            status: Some(status),
            title: title.into(),
            text: text.into(),
            url: "https://jobs.example.test/7".into(),
            ..Snapshot::default()
        };
        let found = block(&page, &classify(&page))?;
        assert!(!found.evidence.is_empty(), "{title}: a class has its evidence");
        Some(found.class)
    }

    #[test]
    fn a_refusal_is_told_from_a_pause_and_from_a_border() {
        use BlockClass::{AccessDenied, BotBlocked, RateLimited};
        let check = |status, title: &str, text: &str, expect| assert_eq!(class(status, title, text), expect, "{title}");
        check(403, "Access denied", "You do not have permission to view this page.", Some(BotBlocked));
        check(403, "Sorry, you have been blocked", "This website protects itself.", Some(BotBlocked));
        check(429, "Too many requests", "Please slow down.", Some(RateLimited));
        check(200, "Rate limit", "You have made too many requests. Try again in a minute.", Some(RateLimited));
        check(403, "Access denied", "This site is not available in your country.", Some(AccessDenied));
        check(200, "Gardener", "You look after the walled garden.", None);
        check(500, "Internal server error", "", None);
    }

    #[test]
    fn what_a_person_clears_has_a_class_of_its_own() {
        let check = |title: &str, text: &str, expect| assert_eq!(class(200, title, text), Some(expect), "{title}");
        check("Just a moment...", "Verify you are human", BlockClass::Captcha);
        check("Sign in", "Please sign in to continue", BlockClass::LoginRequired);
    }
}
