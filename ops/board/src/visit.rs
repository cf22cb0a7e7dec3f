//! What an applicant has entered so far. A visit begins when an application page is opened without one, and is named by
//! a random token that the page carries. The least recently used visit is forgotten when there are too many.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;
use uuid::Uuid;

use crate::check::Errors;
use crate::meaning::Meaning;
use crate::model::FormKind;
use crate::upload::Upload;

#[derive(Clone, Debug)]
pub struct Visit {
    pub token: String,
    pub form: FormKind,
    pub seed: u32,
    /// As sent, so that a page can be shown again.
    pub values: BTreeMap<Meaning, String>,
    /// Everything that each page sent last, by control name.
    pub raw: BTreeMap<usize, BTreeMap<String, String>>,
    pub files: BTreeMap<Meaning, Upload>,
    pub honeypot: bool,
    /// Pages that were accepted, counted from the first without a gap.
    pub pages_done: usize,
    /// Times that a page was answered with errors.
    pub refusals: u32,
    /// What was wrong when a page was sent last.
    pub errors: Errors,
    pub signed_in: bool,
    /// The browser was known when it came.
    pub came_signed_in: bool,
    /// Has read the letters of the human check.
    pub is_person: bool,
    /// The last page was accepted, and something stands before the end.
    pub complete: bool,
    pub code: Option<IssuedCode>,
    /// Wrong letters, codes and passwords.
    pub wrong_answers: u32,
    last_used: u64,
}

/// The code that was sent by e-mail last.
#[derive(Clone, Debug)]
pub struct IssuedCode {
    pub code: String,
    pub attempts_left: u32,
    /// Codes sent to this visit so far.
    pub sent: u32,
}

/// What the oracle tells about a visit.
#[derive(Clone, Debug, Serialize)]
pub struct VisitState {
    pub visit: String,
    pub form: FormKind,
    pub seed: u32,
    pub pages_done: usize,
    pub refusals: u32,
    pub signed_in: bool,
    /// The browser was known when it came.
    pub came_signed_in: bool,
    /// Wrong letters, codes and passwords.
    pub wrong_answers: u32,
}

impl Visit {
    pub fn state(&self) -> VisitState {
        VisitState {
            visit: self.token.clone(),
            form: self.form,
            seed: self.seed,
            pages_done: self.pages_done,
            refusals: self.refusals,
            signed_in: self.signed_in,
            came_signed_in: self.came_signed_in,
            wrong_answers: self.wrong_answers,
        }
    }
}

pub struct Visits {
    by_token: HashMap<String, Visit>,
    capacity: usize,
    uses: u64,
}

impl Visits {
    pub fn new(max_visits: usize) -> Self {
        Self { by_token: HashMap::new(), capacity: max_visits.max(1), uses: 0 }
    }

    /// Opens a visit and gives its token.
    pub fn open(&mut self, form: FormKind, seed: u32) -> String {
        let token = Uuid::now_v7().simple().to_string();
        self.open_as(token.clone(), form, seed);
        token
    }

    /// Opens a visit whose token is known from elsewhere: it was forgotten, but its application was kept.
    pub fn open_as(&mut self, token: String, form: FormKind, seed: u32) {
        if self.by_token.len() >= self.capacity {
            self.forget_least_recently_used();
        }
        self.uses += 1;
        self.by_token.insert(
            token.clone(),
            Visit {
                token,
                form,
                seed,
                values: BTreeMap::new(),
                raw: BTreeMap::new(),
                files: BTreeMap::new(),
                honeypot: false,
                pages_done: 0,
                refusals: 0,
                errors: Errors::new(),
                signed_in: false,
                came_signed_in: false,
                is_person: false,
                complete: false,
                code: None,
                wrong_answers: 0,
                last_used: self.uses,
            },
        );
    }

    /// The visit of this token, if it belongs to this form and seed.
    pub fn get(&mut self, token: &str, form: FormKind, seed: u32) -> Option<&mut Visit> {
        self.uses += 1;
        let visit = self.by_token.get_mut(token).filter(|visit| visit.form == form && visit.seed == seed)?;
        visit.last_used = self.uses;
        Some(visit)
    }

    /// The visit of this token, whatever its form, without using it.
    pub fn look_up(&self, token: &str) -> Option<&Visit> {
        self.by_token.get(token)
    }

    /// The visits of this form and seed, the one used last at the end.
    pub fn of(&self, form: FormKind, seed: u32) -> Vec<&Visit> {
        let mut visits: Vec<&Visit> =
            self.by_token.values().filter(|visit| visit.form == form && visit.seed == seed).collect();
        visits.sort_by_key(|visit| visit.last_used);
        visits
    }

    pub fn states(&self) -> Vec<VisitState> {
        let mut visits: Vec<&Visit> = self.by_token.values().collect();
        visits.sort_by_key(|visit| &visit.token);
        visits.into_iter().map(Visit::state).collect()
    }

    fn forget_least_recently_used(&mut self) {
        let oldest = self.by_token.values().min_by_key(|visit| visit.last_used).map(|visit| visit.token.clone());
        if let Some(token) = oldest {
            self.by_token.remove(&token);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_recently_used_visit_is_forgotten_first() {
        let mut visits = Visits::new(2);
        let first = visits.open(FormKind::Simple, 1);
        let second = visits.open(FormKind::Simple, 1);
        assert!(visits.get(&first, FormKind::Simple, 1).is_some());
        let third = visits.open(FormKind::Simple, 1);
        assert!(visits.get(&second, FormKind::Simple, 1).is_none());
        assert!(visits.get(&first, FormKind::Simple, 1).is_some());
        assert!(visits.get(&third, FormKind::Simple, 1).is_some());
        assert_eq!(visits.states().len(), 2);
    }

    #[test]
    fn a_visit_belongs_to_its_form_and_seed() {
        let mut visits = Visits::new(2);
        let token = visits.open(FormKind::Simple, 1);
        assert!(visits.get(&token, FormKind::Simple, 2).is_none());
        assert!(visits.get(&token, FormKind::Steps, 1).is_none());
    }
}
