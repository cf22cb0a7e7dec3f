//! The only source of chance on the board: a generator that is seeded by the form and its seed and by nothing else, so
//! that the same address always shows the same page.

use rand::rngs::ChaCha12Rng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};

/// Letters of drawn names: no vowels, so that no word is spelled by accident.
const LETTERS: &[u8] = b"bcdfghjkmnpqrstvwxz23456789";

pub struct Draw(ChaCha12Rng);

impl Draw {
    /// `stream` keeps two forms of the same seed apart.
    pub fn new(stream: u32, seed: u32) -> Self {
        Self(ChaCha12Rng::seed_from_u64((u64::from(stream) << 32) | u64::from(seed)))
    }

    /// One of `items`, which are never empty: they are tables of this crate.
    pub fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.0.random_range(0..items.len())]
    }

    /// True in `percent` of all cases.
    pub fn chance(&mut self, percent: u32) -> bool {
        self.0.random_ratio(percent.min(100), 100)
    }

    pub fn number(&mut self, range: std::ops::Range<u32>) -> u32 {
        self.0.random_range(range)
    }

    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        items.shuffle(&mut self.0);
    }

    /// A random word that starts with a letter, as bundlers and form builders produce them.
    pub fn token(&mut self, length: usize) -> String {
        let mut token = String::with_capacity(length);
        token.push(char::from(self.pick(&LETTERS[..19])));
        while token.len() < length {
            token.push(char::from(self.pick(LETTERS)));
        }
        token
    }
}
