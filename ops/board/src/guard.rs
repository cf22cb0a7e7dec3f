//! Decides which browsers are turned away, and counts them. It looks at what really differs between a Chromium with a
//! window and one without, never at whether a program drives it: that is the same for both.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::body::SentForm;
use crate::bounds;
use crate::model::twist::{Guard, Tell};

/// What a Chromium without a window calls itself in every request.
const HEADLESS: &str = "HeadlessChrome";

/// The screen of a Chromium that was given none.
const DEFAULT_SCREEN: (u32, u32) = (800, 600);

/// Whether the request alone tells enough to turn the browser away.
pub fn refuses_request(guard: &Guard, user_agent: &str) -> bool {
    guard.tell == Tell::UserAgent && user_agent.contains(HEADLESS)
}

/// Whether what the script found turns the browser away. A browser that sends nothing readable is no browser.
pub fn refuses_signals(guard: &Guard, sent: &SentForm) -> bool {
    let number = |name: &str| sent.value(name).and_then(|value| value.parse::<u32>().ok());
    match guard.tell {
        Tell::UserAgent => false,
        Tell::Pointer => {
            let (Some(fine), Some(touch)) = (number("fine"), number("touch")) else {
                return true;
            };
            fine == 0 && touch == 0
        }
        Tell::Screen => {
            let (Some(width), Some(height), Some(outer_width), Some(outer_height)) =
                (number("width"), number("height"), number("outer_width"), number("outer_height"))
            else {
                return true;
            };
            (width, height) == DEFAULT_SCREEN || outer_width > width || outer_height > height
        }
    }
}

/// Browsers that were turned away.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Blocks {
    pub total: u32,
    /// Of a bounded number of seeds; the smallest make room.
    pub by_seed: BTreeMap<u32, u32>,
}

impl Blocks {
    pub fn count(&mut self, seed: u32) {
        self.total = self.total.saturating_add(1);
        if !self.by_seed.contains_key(&seed) && self.by_seed.len() >= bounds::MAX_BLOCKED_SEEDS {
            self.by_seed.pop_first();
        }
        let times = self.by_seed.entry(seed).or_insert(0);
        *times = times.saturating_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::twist::GuardPlace;

    fn guard(tell: Tell) -> Guard {
        Guard { place: GuardPlace::Posting, tell, heading: "", sentence: "", waiting: "" }
    }

    fn signals(pairs: &[(&str, &str)]) -> SentForm {
        let values = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        SentForm { values, files: Vec::new() }
    }

    #[test]
    fn a_browser_without_pointer_and_touch_has_no_window() {
        let refused =
            |fine, touch| refuses_signals(&guard(Tell::Pointer), &signals(&[("fine", fine), ("touch", touch)]));
        assert!(refused("0", "0"));
        assert!(!refused("1", "0"));
        assert!(!refused("0", "5"));
        assert!(refuses_signals(&guard(Tell::Pointer), &signals(&[])));
    }

    #[test]
    fn a_window_fits_on_its_screen() {
        let refused = |width, height, outer_width, outer_height| {
            let sizes =
                [("width", width), ("height", height), ("outer_width", outer_width), ("outer_height", outer_height)];
            refuses_signals(&guard(Tell::Screen), &signals(&sizes))
        };
        assert!(refused("800", "600", "780", "580"));
        assert!(refused("1440", "900", "1200", "1600"));
        assert!(!refused("1440", "900", "1440", "900"));
        assert!(refused("1440", "", "1440", "900"));
    }

    #[test]
    fn counted_seeds_are_bounded() {
        let mut blocks = Blocks::default();
        for seed in 0..=u32::try_from(bounds::MAX_BLOCKED_SEEDS).expect("a small bound") {
            blocks.count(seed);
        }
        assert_eq!(blocks.by_seed.len(), bounds::MAX_BLOCKED_SEEDS);
        assert_eq!(blocks.total as usize, bounds::MAX_BLOCKED_SEEDS + 1);
    }
}
