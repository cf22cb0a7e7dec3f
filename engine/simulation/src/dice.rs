//! Seeded draws. Every stream of one seed is its own generator, so that a change in the faults leaves the workload alone.

use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};

/// What a stream of draws is for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Stream {
    Workload,
    Faults,
    Queue,
    Identifiers,
}

/// One seeded generator.
pub(crate) struct Dice(StdRng);

impl Dice {
    pub fn new(seed: u64, stream: Stream) -> Self {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        bytes[8] = stream as u8;
        Self(StdRng::from_seed(bytes))
    }

    /// True once in `1 / probability` draws. Nothing is drawn for never and always.
    pub fn chance(&mut self, probability: f64) -> bool {
        match probability {
            p if p <= 0.0 => false,
            p if p >= 1.0 => true,
            p => self.0.random_bool(p),
        }
    }

    /// Both ends included.
    pub fn between(&mut self, least: u64, most: u64) -> u64 {
        self.0.random_range(least..=most)
    }

    pub fn index(&mut self, len: usize) -> usize {
        self.0.random_range(0..len)
    }

    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.index(from.len())]
    }

    pub fn bytes(&mut self) -> [u8; 16] {
        let mut bytes = [0; 16];
        self.0.fill_bytes(&mut bytes);
        bytes
    }
}
