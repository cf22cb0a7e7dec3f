//! The kinds of application forms that the board has.

use std::fmt;

use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FormKind {
    /// Everything on one page.
    Simple,
    /// Several pages with a review before the end, and one question that only a person can answer.
    Steps,
    /// One page inside a frame of the posting.
    Frame,
    /// A picture with letters that a person has to read, before the form or before the end.
    Check,
    /// Turns away browsers without a window.
    Guarded,
    /// Questions that appear when others were answered in a certain way.
    Conditional,
    /// Parts of the page come later, and by some seeds move once.
    Late,
    /// Takes no applications any more.
    Closed,
    /// Answers slowly, and takes everything that is sent meanwhile.
    Double,
    /// Sends a code by e-mail and asks for it before the application counts.
    Code,
    /// Asks to sign in before the form.
    Login,
}

impl FormKind {
    pub const ALL: [Self; 11] = [
        Self::Simple,
        Self::Steps,
        Self::Frame,
        Self::Check,
        Self::Guarded,
        Self::Conditional,
        Self::Late,
        Self::Closed,
        Self::Double,
        Self::Code,
        Self::Login,
    ];

    /// Those with nothing in the way: pages with fields, one after the other.
    pub const PLAIN: [Self; 2] = [Self::Simple, Self::Steps];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Simple => "simple",
            Self::Steps => "steps",
            Self::Frame => "frame",
            Self::Check => "check",
            Self::Guarded => "guarded",
            Self::Conditional => "conditional",
            Self::Late => "late",
            Self::Closed => "closed",
            Self::Double => "double",
            Self::Code => "code",
            Self::Login => "login",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|form| form.as_str() == text)
    }

    /// Keeps the draws of two forms of one seed apart.
    pub(super) fn stream(self) -> u32 {
        match self {
            Self::Simple => 1,
            Self::Steps => 2,
            Self::Frame => 3,
            Self::Check => 4,
            Self::Guarded => 5,
            Self::Conditional => 6,
            Self::Late => 7,
            Self::Closed => 8,
            Self::Double => 9,
            Self::Code => 10,
            Self::Login => 11,
        }
    }
}

impl fmt::Display for FormKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_in_text_json_and_addresses_is_the_same() {
        for form in FormKind::ALL {
            assert_eq!(serde_json::to_value(form).expect("a kind is JSON"), form.as_str());
            assert_eq!(FormKind::parse(&form.to_string()), Some(form));
        }
        assert_eq!(FormKind::parse("bad"), None, "that address leads to the bad pages");
    }

    #[test]
    fn no_two_kinds_draw_from_one_stream() {
        let streams: std::collections::BTreeSet<u32> = FormKind::ALL.into_iter().map(FormKind::stream).collect();
        assert_eq!(streams.len(), FormKind::ALL.len());
    }
}
