//! What a statement answered, by which two stores are compared: lines of text, and the order in which they must come.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;

use valet_engine::store::{Due, StoredMessage};

use super::lines::{Lines, REFUSED, inbox_line, message_line, revivable_line, timer_line};
use crate::model::Tables;

/// Where a line stands. Lines at the same place come in whatever order: the statement asks for none.
type Place = (u8, i64, i64);

/// A model's answer.
#[derive(Clone, Debug)]
pub struct Answer {
    lines: Vec<(Place, String)>,
}

impl Answer {
    /// In exactly this order.
    pub(crate) fn exactly(answer: &impl Lines) -> Self {
        Self { lines: answer.lines().into_iter().zip(0..).map(|(line, place)| ((0, place, 0), line)).collect() }
    }

    /// In any order.
    pub(crate) fn freely(answer: &impl Lines) -> Self {
        Self { lines: answer.lines().into_iter().map(|line| ((0, 0, 0), line)).collect() }
    }

    /// A value of the statement is one that no column takes.
    pub(crate) fn refused() -> Self {
        Self { lines: vec![((0, 0, 0), REFUSED.to_owned())] }
    }

    /// Messages, the oldest first; those of one instant by number.
    pub(crate) fn of_messages(tables: &Tables, messages: &[StoredMessage]) -> Self {
        let line = |message: &StoredMessage| {
            (mail_place(tables, message.to, message.from, message.number), message_line(message))
        };
        Self { lines: messages.iter().map(line).collect() }
    }

    /// Timers and messages, the oldest first; runs that may be tried, in their own order.
    pub(crate) fn of_tick(tables: &Tables, due: &Due) -> Self {
        let timers = due.timers.iter().map(|key| {
            let fires_at = tables.timers.get(key).map_or(0, |(at, _)| at.timestamp_micros());
            (timer_line(key), (1, fires_at, 0))
        });
        let inbox = due.inbox.iter().map(|key| {
            let (_, sent_at, number) = mail_place(tables, key.0, key.1, key.2);
            (inbox_line(key), (2, sent_at, number))
        });
        let revivable = due.revivable.iter().zip(0..).map(|(run, place)| (revivable_line(*run), (3, place, 0)));
        let places: BTreeMap<String, Place> = timers.chain(inbox).chain(revivable).collect();
        let placed = |line: String| (places.get(&line).copied().unwrap_or_default(), line);
        Self { lines: due.lines().into_iter().map(placed).collect() }
    }

    /// Whether another store's answer, in its own order, says the same.
    pub fn is_same(&self, told: &[String]) -> bool {
        let mut places: BTreeMap<&str, VecDeque<Place>> = BTreeMap::new();
        for (place, line) in &self.lines {
            places.entry(line).or_default().push_back(*place);
        }
        let mut last = Place::default();
        let in_order = told.iter().all(|line| {
            let place = places.get_mut(line.as_str()).and_then(VecDeque::pop_front);
            place.is_some_and(|place| std::mem::replace(&mut last, place) <= place)
        });
        in_order && told.len() == self.lines.len()
    }

    /// How the other store's answer differs: lines of the model only, and lines of the other only.
    pub fn difference(&self, told: &[String]) -> String {
        let mut text = String::new();
        let mut others: Vec<&String> = told.iter().collect();
        for (_, line) in &self.lines {
            match others.iter().position(|other| *other == line) {
                Some(at) => drop(others.remove(at)),
                None => drop(writeln!(text, "  model only: {line}")),
            }
        }
        for line in others {
            let _ = writeln!(text, "  other only: {line}");
        }
        if text.is_empty() {
            let _ = writeln!(text, "  the same in another order: {told:#?}\n  than: {:#?}", self.lines);
        }
        text
    }
}

fn mail_place(tables: &Tables, to: valet_core::id::RunId, from: valet_core::id::RunId, number: i64) -> Place {
    let sent_at = tables.inbox.get(&(to, from, number)).map_or(0, |mail| mail.sent_at.timestamp_micros());
    (0, sent_at, number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(lines: &[&str]) -> Vec<String> {
        lines.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn order_counts_where_the_statement_asks_for_one() {
        let check = |answer: &Answer, told: &[&str], same: bool| {
            assert_eq!(answer.is_same(&texts(told)), same, "{answer:?} {told:?}");
        };
        let exact = Answer::exactly(&texts(&["a", "b", "b"]));
        check(&exact, &["a", "b", "b"], true);
        check(&exact, &["b", "a", "b"], false);
        check(&exact, &["a", "b"], false);
        check(&exact, &["a", "b", "b", "b"], false);
        let free = Answer::freely(&texts(&["a", "b", "b"]));
        check(&free, &["b", "a", "b"], true);
        check(&free, &["b", "a", "a"], false);
        check(&free, &["b", "a", "c"], false);
        let ties = [(1, "a"), (2, "b"), (2, "c")].map(|(place, line)| ((0, place, 0), line.to_owned()));
        let ties = Answer { lines: ties.to_vec() };
        check(&ties, &["a", "c", "b"], true);
        check(&ties, &["b", "a", "c"], false);
    }

    #[test]
    fn a_difference_names_the_lines_of_either() {
        let told = Answer::freely(&texts(&["a", "b"])).difference(&texts(&["b", "c"]));
        assert_eq!(told, "  model only: a\n  other only: c\n");
    }
}
