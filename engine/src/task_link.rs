//! Tokens for links: each opens one human task and nothing else, without a row of its own.
//!
//! A token is the task's id and its HMAC-SHA256 under a key that follows from the master key, so that every engine
//! makes and knows the same. It says nothing about whether the task is still open: whoever lets it in asks that.

use ring::hmac;
use uuid::Uuid;

use crate::hex;

/// Tells these tokens apart from those of operators and workers.
pub const PREFIX: &str = "vl_";
/// Other keys that may follow from the master key one day have names of their own.
const PURPOSE: &[u8] = b"valet human task link 1";
const ID_DIGITS: usize = 32;

/// Makes and reads tokens.
pub struct TaskLinks(hmac::Key);

impl TaskLinks {
    pub fn new(master: &[u8; 32]) -> Self {
        let derived = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, master), PURPOSE);
        Self(hmac::Key::new(hmac::HMAC_SHA256, derived.as_ref()))
    }

    /// `vl_<id><tag>`, in hexadecimal digits.
    pub fn token(&self, task: Uuid) -> String {
        let tag = hmac::sign(&self.0, task.as_bytes());
        format!("{PREFIX}{}{}", task.simple(), hex::encode(tag.as_ref()))
    }

    /// The task that a token opens. The tag is compared in constant time.
    pub fn opened_by(&self, token: &str) -> Option<Uuid> {
        let (id, tag) = token.strip_prefix(PREFIX)?.split_at_checked(ID_DIGITS)?;
        let task = Uuid::try_parse(id).ok()?;
        let tag = hex::decode(tag)?;
        hmac::verify(&self.0, task.as_bytes(), &tag).ok().map(|()| task)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_opens_its_own_task_under_its_own_key_only() {
        let (links, task) = (TaskLinks::new(&[1; 32]), Uuid::from_u128(7));
        let token = links.token(task);
        assert_eq!(links.opened_by(&token), Some(task));
        assert_eq!(token, links.token(task), "every engine makes the same");
        assert_eq!(TaskLinks::new(&[2; 32]).opened_by(&token), None);
        let other = links.token(Uuid::from_u128(8));
        let mixed = format!("{}{}", &other[..PREFIX.len() + ID_DIGITS], &token[PREFIX.len() + ID_DIGITS..]);
        assert_eq!(links.opened_by(&mixed), None, "another id under this tag");
    }

    #[test]
    fn every_changed_or_missing_character_closes_it() {
        let links = TaskLinks::new(&[1; 32]);
        let token = links.token(Uuid::from_u128(7));
        for at in 0..token.len() {
            let mut changed = token.clone().into_bytes();
            changed[at] = if changed[at] == b'0' { b'1' } else { b'0' };
            let changed = String::from_utf8(changed).unwrap();
            assert_eq!(links.opened_by(&changed), None, "character {at}");
            assert_eq!(links.opened_by(&token[..at]), None, "cut at {at}");
        }
        for odd in ["", "vl_", "vl_é", &format!("{token}00"), &token.to_uppercase(), &format!("{token} ")] {
            assert_eq!(links.opened_by(odd), None, "{odd}");
        }
    }
}
