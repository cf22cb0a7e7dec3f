//! The e-mails that forms say they send. Nothing is ever sent; the oracle shows them.

use std::collections::VecDeque;

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::model::FormKind;

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Mail {
    pub to: String,
    pub subject: String,
    pub text: String,
    pub code: String,
    pub form: FormKind,
    pub seed: u32,
    pub visit: String,
    pub sent_at: DateTime<Utc>,
}

pub struct Inbox {
    mails: VecDeque<Mail>,
    capacity: usize,
}

impl Inbox {
    pub fn new(max_mails: usize) -> Self {
        Self { mails: VecDeque::new(), capacity: max_mails.max(1) }
    }

    pub fn deliver(&mut self, mail: Mail) {
        while self.mails.len() >= self.capacity {
            self.mails.pop_front();
        }
        self.mails.push_back(mail);
    }

    /// Mails to this address, or all of them, the oldest first.
    pub fn to(&self, address: Option<&str>) -> Vec<Mail> {
        let wanted = address.map(str::trim);
        let of = |mail: &&Mail| wanted.is_none_or(|wanted| mail.to.eq_ignore_ascii_case(wanted));
        self.mails.iter().filter(of).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mail(to: &str, code: &str) -> Mail {
        Mail {
            to: to.to_owned(),
            subject: String::new(),
            text: String::new(),
            code: code.to_owned(),
            form: FormKind::Code,
            seed: 1,
            visit: String::new(),
            sent_at: DateTime::UNIX_EPOCH,
        }
    }

    #[test]
    fn the_oldest_mail_makes_room() {
        let mut inbox = Inbox::new(2);
        for code in ["1", "2", "3"] {
            inbox.deliver(mail("a@example.com", code));
        }
        let codes: Vec<String> = inbox.to(Some("A@Example.com ")).into_iter().map(|mail| mail.code).collect();
        assert_eq!(codes, ["2", "3"]);
        assert!(inbox.to(Some("b@example.com")).is_empty());
        assert_eq!(inbox.to(None).len(), 2);
    }
}
