//! An uploaded file: its hash and size always, its content only while the memory set aside for contents lasts.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::bounds;

/// Bytes of file contents that may stay in memory, shared by all visits and applications.
#[derive(Clone, Debug)]
pub struct Budget {
    left_bytes: Arc<AtomicUsize>,
}

impl Budget {
    pub fn new(bytes: usize) -> Self {
        Self { left_bytes: Arc::new(AtomicUsize::new(bytes)) }
    }

    fn retain(&self, content: Bytes) -> Option<Retained> {
        let size = content.len();
        self.left_bytes.fetch_update(Ordering::AcqRel, Ordering::Acquire, |left| left.checked_sub(size)).ok()?;
        Some(Retained { content, budget: self.clone() })
    }
}

/// A content that holds its part of the budget until it is dropped.
#[derive(Debug)]
struct Retained {
    content: Bytes,
    budget: Budget,
}

impl Drop for Retained {
    fn drop(&mut self) {
        self.budget.left_bytes.fetch_add(self.content.len(), Ordering::AcqRel);
    }
}

#[derive(Clone, Debug)]
pub struct Upload {
    pub filename: String,
    pub size: usize,
    /// Lower-case hexadecimal.
    pub sha256: String,
    pub head: Bytes,
    content: Option<Arc<Retained>>,
}

impl Upload {
    pub fn new(filename: &str, content: Vec<u8>, budget: &Budget) -> Self {
        let content = Bytes::from(content);
        Self {
            filename: filename.chars().take(bounds::MAX_FILENAME_CHARS).collect(),
            size: content.len(),
            sha256: hex(&Sha256::digest(&content)),
            // A copy: a slice would keep the whole content alive.
            head: Bytes::copy_from_slice(&content[..content.len().min(bounds::FILE_HEAD_BYTES)]),
            content: budget.retain(content).map(Arc::new),
        }
    }

    /// The whole file, unless it came when the memory for contents was used up.
    pub fn content(&self) -> Option<Bytes> {
        self.content.as_ref().map(|retained| retained.content.clone())
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut hex, byte| {
        // Writing to a string cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_beyond_the_budget_keeps_hash_size_and_head_only() {
        let budget = Budget::new(10);
        let first = Upload::new("a.pdf", b"12345678".to_vec(), &budget);
        let second = Upload::new("b.pdf", b"abc".to_vec(), &budget);
        assert_eq!(first.content().as_deref(), Some(&b"12345678"[..]));
        assert_eq!(second.content(), None);
        assert_eq!(second.size, 3);
        assert_eq!(second.head, &b"abc"[..]);
        assert_eq!(second.sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");

        drop(first);
        let third = Upload::new("c.pdf", b"abc".to_vec(), &budget);
        assert!(third.content().is_some(), "a dropped file gives its memory back");
    }
}
