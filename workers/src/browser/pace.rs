//! At a person's pace: a pause with each character, and presses on a point somewhere inside the element. Pure; the same seed gives the same
//! pauses and points, so that a run that is replayed is the same run.

use std::time::Duration;

/// Pauses between characters, in milliseconds.
const CHARACTER_MS_MIN: u64 = 50;
const CHARACTER_MS_MAX: u64 = 150;
/// The part of an element's sides that is not pressed: people do not aim at edges.
const EDGE_PART: f64 = 0.2;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    pub seed: u64,
}

impl Pace {
    /// The pause before the character that is typed as this one since the beginning.
    pub(super) fn pause(self, count: u64) -> Duration {
        Duration::from_millis(CHARACTER_MS_MIN + self.draw(count) % (CHARACTER_MS_MAX - CHARACTER_MS_MIN + 1))
    }

    /// A point of an element, as parts of its width and its height.
    pub(super) fn point(self, count: u64) -> (f64, f64) {
        let part = |drawn: u64| EDGE_PART + (1.0 - 2.0 * EDGE_PART) * (drawn % 1000) as f64 / 999.0;
        let drawn = self.draw(count);
        (part(drawn), part(drawn >> 20))
    }

    /// SplitMix64 (Steele, Lea, Flood 2014).
    fn draw(self, count: u64) -> u64 {
        let mut mixed = self.seed.wrapping_add(count.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::Pace;

    #[test]
    fn pauses_and_points_are_a_persons_and_the_same_for_a_seed() {
        let pace = Pace { seed: 7 };
        let pauses: Vec<u128> = (0..1000).map(|count| pace.pause(count).as_millis()).collect();
        assert!(pauses.iter().all(|ms| (50..=150).contains(ms)));
        assert!(pauses.iter().collect::<BTreeSet<_>>().len() > 90, "they differ");
        for count in 0..1000 {
            let (x, y) = pace.point(count);
            assert!((0.2..=0.8).contains(&x) && (0.2..=0.8).contains(&y), "{x} {y}");
            assert_eq!(pace.point(count), Pace { seed: 7 }.point(count));
        }
        assert_ne!(pace.point(0), Pace { seed: 8 }.point(0));
    }
}
