//! Frames in which vendors show puzzles and boxes to tick (from the vendors' documentation). Pure.

use super::snapshot::{Frame, Snapshot};

/// The puzzle itself; the badge or the box to tick is smaller and not in the way.
const CHALLENGE_MIN_AREA: i64 = 40_000;
/// Smaller than this is a beacon, not a box.
const BOX_MIN_AREA: i64 = 1_000;

struct Sign {
    src: &'static str,
    vendor: &'static str,
    /// The frame holds a puzzle and is there only when it is asked.
    challenge: bool,
}

const fn sign(src: &'static str, vendor: &'static str, challenge: bool) -> Sign {
    Sign { src, vendor, challenge }
}

/// The first that fits counts: a vendor's puzzle before its box.
const SIGNS: [Sign; 9] = [
    sign("/recaptcha/api2/bframe", "recaptcha", true),
    sign("/recaptcha/enterprise/bframe", "recaptcha", true),
    sign("frame=challenge", "hcaptcha", true),
    sign("captcha-delivery.com", "datadome", true),
    sign("arkoselabs.com", "arkose", true),
    sign("funcaptcha", "arkose", true),
    sign("/recaptcha/", "recaptcha", false),
    sign("hcaptcha.com", "hcaptcha", false),
    sign("challenges.cloudflare.com", "turnstile", false),
];

fn find(src: &str) -> Option<&'static Sign> {
    SIGNS.iter().find(|sign| src.contains(sign.src))
}

pub fn vendor(src: &str) -> Option<&'static str> {
    find(src).map(|sign| sign.vendor)
}

/// A puzzle that is visible and in the way.
pub fn challenge(page: &Snapshot) -> Option<&Frame> {
    page.frames.iter().find(|frame| {
        frame.hidden.is_empty()
            && frame.rect.area() >= CHALLENGE_MIN_AREA
            && find(&frame.src).is_some_and(|sign| sign.challenge)
    })
}

/// Anything a vendor shows, the puzzle or its box.
pub fn shown(page: &Snapshot) -> Option<&Frame> {
    page.frames
        .iter()
        .find(|frame| frame.hidden.is_empty() && frame.rect.area() > BOX_MIN_AREA && vendor(&frame.src).is_some())
}
