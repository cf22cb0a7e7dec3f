//! Resources: things outside that runs hold, such as a machine or an account. An engine keeps their rows and knows nothing of what they
//! are; which states a kind has, and where each leads, is registered beside the code that uses it
//! ([`Registry::with_resource`](crate::Registry::with_resource)).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Timestamp;
use crate::id::RunId;

/// The kind whose rows operators list and kill by routes of their own.
pub const SANDBOX: &str = "sandbox";

/// A kind of resources: its states and where they lead. A state that leads nowhere is an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResourceKind {
    pub name: &'static str,
    /// Each state with those that may follow it; the first is that of a new one.
    pub table: &'static [(&'static str, &'static [&'static str])],
    /// In which it waits for somebody to claim it, and in which it is once it was.
    pub claim: Option<Claim>,
    /// Where one goes whose lease ended, or whose run is over.
    pub left: &'static str,
    /// Where one ends that nobody could look after for long.
    pub given_up: Option<&'static str>,
    /// The states of which it speaks itself, by the event that says so.
    pub events: &'static [(&'static str, &'static str)],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    pub from: &'static [&'static str],
    pub to: &'static str,
    /// One whose holder's lease ended is as good as free.
    pub takes_over: bool,
}

/// What is wrong with a kind, for the test of whoever registers it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KindFault {
    #[error("`{0}` is no state of it")]
    Unknown(&'static str),
    #[error("`{0}` stands in the table twice")]
    Twice(&'static str),
    #[error("nothing leads to `{0}`")]
    Unreachable(&'static str),
    #[error("from `{0}` no end is reached")]
    Endless(&'static str),
}

impl ResourceKind {
    /// The state of a new one.
    pub fn first(&self) -> &'static str {
        self.table.first().map_or("", |(state, _)| state)
    }

    pub fn states(&self) -> impl Iterator<Item = &'static str> {
        self.table.iter().map(|(state, _)| *state)
    }

    pub fn has(&self, state: &str) -> bool {
        self.states().any(|known| known == state)
    }

    /// Nothing follows it.
    pub fn is_end(&self, state: &str) -> bool {
        self.table.iter().any(|(known, next)| *known == state && next.is_empty())
    }

    /// From which states one may come into `to`. Whoever says it again finds it done.
    pub fn before(&self, to: &str) -> Vec<String> {
        let leads = self.table.iter().filter(|(state, next)| *state == to || next.contains(&to));
        leads.map(|(state, _)| (*state).to_owned()).collect()
    }

    /// Whether the table says what it must.
    pub fn check(&self) -> Result<(), KindFault> {
        for (at, (state, next)) in self.table.iter().enumerate() {
            if self.table[..at].iter().any(|(earlier, _)| earlier == state) {
                return Err(KindFault::Twice(state));
            }
            if let Some(unknown) = next.iter().find(|next| !self.has(next)) {
                return Err(KindFault::Unknown(unknown));
            }
            if at > 0 && !self.table.iter().any(|(from, next)| from != state && next.contains(state)) {
                return Err(KindFault::Unreachable(state));
            }
            if self.has_ends() && !self.reaches_an_end(state) {
                return Err(KindFault::Endless(state));
            }
        }
        let claimed = self.claim.iter().flat_map(|claim| claim.from.iter().copied().chain([claim.to]));
        let told = self.events.iter().map(|(_, state)| *state);
        match claimed.chain([self.left]).chain(self.given_up).chain(told).find(|state| !self.has(state)) {
            Some(unknown) => Err(KindFault::Unknown(unknown)),
            None => Ok(()),
        }
    }

    fn has_ends(&self) -> bool {
        self.table.iter().any(|(_, next)| next.is_empty())
    }

    fn reaches_an_end(&self, state: &'static str) -> bool {
        let mut seen = vec![state];
        let mut at = 0;
        while let Some(state) = seen.get(at).copied() {
            at += 1;
            if self.is_end(state) {
                return true;
            }
            let next =
                self.table.iter().filter(|(known, _)| *known == state).flat_map(|(_, next)| next.iter().copied());
            let new: Vec<_> = next.filter(|next| !seen.contains(next)).collect();
            seen.extend(new);
        }
        false
    }
}

/// A row as it stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Resource {
    pub tenant: String,
    pub kind: String,
    /// Unique within its kind and tenant; chosen before the thing exists.
    pub key: String,
    /// Under which its costs are summed up.
    pub class: String,
    pub state: String,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ended: bool,
    /// Whose it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
    /// Grows whenever it passes to somebody else.
    pub fence: i64,
    pub lease_until: Timestamp,
    pub labels: BTreeMap<String, String>,
    /// Sealed where it lies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    pub created_at: Timestamp,
    pub state_since: Timestamp,
    /// Times that it was claimed.
    #[serde(default)]
    pub uses: u32,
    /// What it cost until now.
    #[serde(default)]
    pub cost_usd_micros: u64,
    /// Its lease ended, or its run is over: nobody will look after it but whoever reaps.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub left: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    const MACHINE: ResourceKind = ResourceKind {
        name: "machine",
        table: &[("new", &["on", "off"]), ("on", &["off"]), ("off", &[])],
        claim: None,
        left: "off",
        given_up: None,
        events: &[],
    };

    /// It goes round and round.
    const ROUNDS: &[(&str, &[&str])] = &[("new", &["on", "off"]), ("on", &["on2"]), ("on2", &["on"]), ("off", &[])];

    #[test]
    fn a_table_says_what_leads_where() {
        assert_eq!(MACHINE.check(), Ok(()));
        assert_eq!((MACHINE.first(), MACHINE.is_end("off"), MACHINE.is_end("on")), ("new", true, false));
        assert_eq!(MACHINE.before("off"), ["new", "on", "off"]);
        assert_eq!(MACHINE.before("on"), ["new", "on"]);
        assert!(MACHINE.before("gone").is_empty());
    }

    #[test]
    fn a_table_with_a_fault_is_told_by_it() {
        let check = |table, left| ResourceKind { table, left, ..MACHINE }.check();
        assert_eq!(check(&[("new", &["of"]), ("off", &[])], "off"), Err(KindFault::Unknown("of")));
        assert_eq!(check(&[("new", &["off"]), ("off", &[]), ("new", &[])], "off"), Err(KindFault::Twice("new")));
        assert_eq!(
            check(&[("new", &["off"]), ("on", &["off"]), ("off", &[])], "off"),
            Err(KindFault::Unreachable("on"))
        );
        assert_eq!(check(ROUNDS, "off"), Err(KindFault::Endless("on")));
        assert_eq!(check(&[("new", &["off"]), ("off", &[])], "gone"), Err(KindFault::Unknown("gone")));
    }
}
