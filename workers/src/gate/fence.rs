//! Who may send commands: the current fence and its key.
//!
//! Numbers only go up, so that whoever took over last stays in, however late the others wake. Pure.

use thiserror::Error;

#[derive(Debug, Error, PartialEq, Eq)]
pub enum RekeyError {
    #[error("fence {offered} is not above the current fence {current}")]
    Stale { offered: u64, current: u64 },
    #[error("a fence key is 16 to 128 letters and digits")]
    BadKey,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Rekey {
    /// The key changed: whatever the old key has in flight is to be cut off.
    Changed,
    /// The same holder asked again, its first answer was lost.
    Same,
}

pub struct Fence {
    number: u64,
    key: String,
}

impl Fence {
    pub fn new(number: u64, key: String) -> Self {
        Self { number, key }
    }

    pub fn admits(&self, key: &str) -> bool {
        same_secret(self.key.as_bytes(), key.as_bytes())
    }

    pub fn rekey(&mut self, number: u64, key: &str) -> Result<Rekey, RekeyError> {
        if !(16..=128).contains(&key.len()) || !key.chars().all(|c| c.is_ascii_alphanumeric()) {
            return Err(RekeyError::BadKey);
        }
        if number == self.number && self.admits(key) {
            return Ok(Rekey::Same);
        }
        if number <= self.number {
            return Err(RekeyError::Stale { offered: number, current: self.number });
        }
        self.number = number;
        key.clone_into(&mut self.key);
        Ok(Rekey::Changed)
    }
}

/// Compares without telling by its duration where the first difference lies.
pub fn same_secret(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |difference, (x, y)| difference | (x ^ y)) == 0
}

#[cfg(test)]
mod tests {
    use super::{Fence, Rekey, RekeyError};

    const OLD: &str = "aaaaaaaaaaaaaaaa";
    const NEW: &str = "bbbbbbbbbbbbbbbb";

    #[test]
    fn fence_numbers_only_go_up() {
        let mut fence = Fence::new(1, OLD.into());
        assert_eq!(fence.rekey(3, NEW), Ok(Rekey::Changed));
        assert!(fence.admits(NEW) && !fence.admits(OLD));
        assert_eq!(fence.rekey(2, OLD), Err(RekeyError::Stale { offered: 2, current: 3 }));
        assert_eq!(fence.rekey(3, OLD), Err(RekeyError::Stale { offered: 3, current: 3 }));
        assert!(fence.admits(NEW));
    }

    #[test]
    fn the_same_holder_may_ask_again() {
        let mut fence = Fence::new(1, OLD.into());
        assert_eq!(fence.rekey(2, NEW), Ok(Rekey::Changed));
        assert_eq!(fence.rekey(2, NEW), Ok(Rekey::Same));
    }

    #[test]
    fn a_key_that_would_not_survive_a_url_is_refused() {
        let mut fence = Fence::new(1, OLD.into());
        for key in ["", "short", "aaaaaaaaaaaaaaa/", "control aaaaaaaaaa"] {
            assert_eq!(fence.rekey(9, key), Err(RekeyError::BadKey));
        }
    }
}
