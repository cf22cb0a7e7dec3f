//! A new run that begins with what another has done so far. Results are copied, ownership is not: what the other run
//! has to clean up, to be told or to tell, stays with it.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;

use super::{CodeUse, Folding, Machine, Replay, definition_in};
use crate::Timestamp;
use crate::command::{Rejection, Reply, StartRun};
use crate::context::start_by;
use crate::id::{RunId, Seq};
use crate::journal::{Carried, Chunk, Entry, Op, Resolution};
use crate::payload::Payload;

/// Which run a new one begins with, and how much of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Fork {
    pub from: RunId,
    /// The other run's journal at hand.
    pub chunks: Arc<[Chunk]>,
    /// The highest build of those that advanced it.
    pub build: i64,
    /// Who asks for it.
    pub by: String,
    /// So many entries are kept, or fewer: see [`kept`]. 0: the run begins anew.
    pub entry: u32,
    /// Another input for a run that begins anew.
    pub input: Option<Payload>,
    /// Effects that the other run may have had are had once more.
    pub repeat_effects: bool,
}

/// How many entries a fork keeps of the first `wanted`: none from where the run ended, and none from the first operation
/// on that owns what cannot be shared (something to clean, a token) and has not ended among them.
pub fn kept(chunks: &[Chunk], wanted: u32) -> u32 {
    keep(&flat(chunks), wanted as usize) as u32
}

type Dated<'e> = (&'e Entry, Timestamp);

/// The journal at hand: from where the run began, or last went on with another input.
fn flat(chunks: &[Chunk]) -> Vec<Dated<'_>> {
    let mut all: Vec<Dated<'_>> =
        chunks.iter().flat_map(|chunk| chunk.entries.iter().map(|entry| (entry, chunk.at))).collect();
    let begins = all.iter().rposition(|(entry, _)| matches!(entry, Entry::Continued { .. }));
    all.drain(..begins.unwrap_or(0));
    all
}

impl Folding<'_> {
    pub(super) fn start_fork(&mut self, fork: &Fork, start: &StartRun) -> Result<Reply, Rejection> {
        let all = flat(&fork.chunks);
        let Some(wanted) = all.get(..fork.entry as usize) else {
            return Err(Rejection::NoSuchEntry { entry: fork.entry, entries: all.len() as u32 });
        };
        let prefix = &all[..keep(&all, wanted.len())];
        if !prefix.is_empty() && self.registry.build() < fork.build {
            // Its code may not ask for what a later one did, such as a version.
            return Err(Rejection::BuildTooOld { build: self.registry.build(), needs: fork.build });
        }
        if !fork.repeat_effects {
            refuse_repeated_effect(&all, prefix)?;
        }
        // A declared workflow is carried out as it was when the other run began.
        let start = &StartRun { definition: definition_in(&fork.chunks).cloned(), fork: None, ..start.clone() };
        let entries = copy(prefix, fork, start, self.now);
        let copied = Chunk { revision: self.revision, at: self.now, entries };
        let machine = Machine::create(self.run().id(), start, self.now, self.registry, CodeUse::Recorded);
        let mut replay = Replay::of(machine, self.registry);
        replay.journal(std::slice::from_ref(&copied), true);
        let on_hold = self.run().on_hold;
        *self.machine = replay.finish_open()?;
        self.machine.hold(on_hold);
        self.entries = copied.entries;
        self.take_up();
        Ok(Reply::Done)
    }

    /// What is live of the copied journal becomes this run's own, and the code goes on.
    fn take_up(&mut self) {
        // The journal was cut between two calls that share a child: what one was told the other is told too.
        let run = self.run();
        let shared = run.children.iter().filter_map(|(seq, child)| {
            let outcome = run.keyed.get(child.key.as_ref()?)?.outcome.clone()?;
            Some((*seq, Resolution::ChildEnded { outcome }))
        });
        let told: BTreeMap<Seq, Resolution> = shared.collect();
        let unknown = run.children.iter().filter(|(seq, _)| !told.contains_key(seq));
        let live: BTreeSet<Seq> = unknown.map(|(_, child)| child.started_at).collect();
        let called = self.entries.iter().filter_map(|entry| match entry {
            Entry::Op { seq, op: Op::Child { workflow, input, .. } } if live.contains(seq) => {
                Some((*seq, workflow.clone(), input.clone()))
            }
            _ => None,
        });
        for (seq, workflow, input) in called.collect::<Vec<_>>() {
            self.start_child(seq, workflow, input);
        }
        self.deliveries.extend(told);
        for seq in self.run().fans.keys().copied().collect::<Vec<_>>() {
            self.advance_fan(seq, "");
        }
        if let Some(ahead) = self.machine.ahead.take() {
            self.polled(ahead);
        }
        self.settle();
    }
}

impl Replay {
    /// The end of a journal that was cut anywhere: what the code asks for beyond it comes next.
    fn finish_open(mut self) -> Result<Machine, Rejection> {
        if let Some(why) = self.mismatch.take() {
            return Err(Rejection::DoesNotFit { why: why.what() });
        }
        if let Some(code) = &self.machine.code {
            code.set_replaying(false);
        }
        self.machine.ahead = Some(self.expectation.into_polled());
        Ok(self.machine)
    }
}

fn keep(entries: &[Dated<'_>], wanted: usize) -> usize {
    let wanted = wanted.min(entries.len());
    let wanted =
        entries.iter().position(|(e, _)| matches!(e, Entry::Closing { .. })).map_or(wanted, |end| wanted.min(end));
    let mut owned: BTreeMap<Seq, usize> = BTreeMap::new();
    let mut cleans: HashMap<Seq, Seq> = HashMap::new();
    for (place, (entry, _)) in entries[..wanted].iter().enumerate() {
        match entry {
            Entry::Op { seq, op: Op::Finally(_) | Op::Compensate(_) | Op::Completion { .. } } => {
                owned.insert(*seq, place);
            }
            Entry::Op { seq, op: Op::FinallyNow { of, .. } } => {
                cleans.insert(*seq, *of);
            }
            Entry::Resolved { seq, with } | Entry::Held { seq, with } => match cleans.get(seq) {
                Some(of) if with.cleans_up() => drop(owned.remove(of)),
                // It runs again at the other run's end.
                Some(_) => {}
                None => drop(owned.remove(seq)),
            },
            Entry::Dropped { seq } => drop(owned.remove(seq)),
            Entry::Continued { carried, .. } => {
                let first = carried.finalizers.first();
                owned = first.map(|finalizer| (finalizer.seq, place)).into_iter().collect();
            }
            _ => {}
        }
    }
    owned.values().min().copied().unwrap_or(wanted)
}

/// An effect that was or may have been begun, and whose end the fork does not know, would be had once more.
fn refuse_repeated_effect(all: &[Dated<'_>], prefix: &[Dated<'_>]) -> Result<(), Rejection> {
    let known = delivered(prefix);
    let repeated = all.iter().find_map(|(entry, _)| match entry {
        Entry::Op { seq, op: Op::Step(step) } if step.policy.effect_once && !known.contains(seq) => {
            Some(Rejection::RepeatsEffect { name: step.name.clone(), seq: *seq })
        }
        _ => None,
    });
    repeated.map_or(Ok(()), Err)
}

/// Operations whose end the code was told.
fn delivered(entries: &[Dated<'_>]) -> BTreeSet<Seq> {
    let mut held = VecDeque::new();
    let mut ended = BTreeSet::new();
    for (entry, _) in entries {
        match entry {
            // Only some of the fan-out's children.
            Entry::Resolved { with: Resolution::ChildrenEnded { .. }, .. } => {}
            Entry::Resolved { seq, .. } => drop(ended.insert(*seq)),
            Entry::Held { seq, .. } => held.push_back(*seq),
            Entry::Released => ended.extend(held.pop_front()),
            _ => {}
        }
    }
    ended
}

/// The fork's journal: the other's operations and the results that its code was told.
fn copy(prefix: &[Dated<'_>], fork: &Fork, start: &StartRun, now: Timestamp) -> Vec<Entry> {
    let ended = delivered(prefix);
    let given = taken_signals(prefix);
    let taken: HashSet<Place> = given.values().copied().collect();
    let mut channels = Channels::default();
    let mut held: VecDeque<(Seq, Resolution)> = VecDeque::new();
    let mut copied = Vec::with_capacity(prefix.len() + 2);
    if prefix.is_empty() {
        let input = fork.input.clone().or_else(|| first_input(&fork.chunks)).unwrap_or_default();
        copied.push(StartRun { input, ..start.clone() }.entry());
    }
    for (place, (entry, at)) in prefix.iter().enumerate() {
        if !matches!(entry, Entry::Resolved { with: Resolution::SignalChosen { .. }, .. }) {
            channels.pass(place, entry, |message| taken.contains(&message));
        }
        match entry {
            Entry::Started { input, .. } => copied.push(StartRun { input: input.clone(), ..start.clone() }.entry()),
            Entry::Op { seq, op } if ended.contains(seq) => copied.push(Entry::Op { seq: *seq, op: op.clone() }),
            Entry::Op { seq, op } => copied.push(Entry::Op { seq: *seq, op: begun_anew(op, *at, now) }),
            // Fewer messages lie before it here.
            Entry::Resolved { seq, with: Resolution::SignalChosen { .. } } => {
                let index = channels.place_of(*seq, given.get(&place));
                let with = Resolution::SignalChosen { index };
                copied.push(Entry::Resolved { seq: *seq, with });
            }
            Entry::Dropped { .. } | Entry::Resolved { .. } | Entry::Version { .. } | Entry::RanBy { .. } => {
                copied.push((*entry).clone());
            }
            Entry::Held { seq, with } => held.push_back((*seq, with.clone())),
            Entry::Released => {
                copied.extend(held.pop_front().map(|(seq, with)| Entry::Resolved { seq, with }));
            }
            Entry::SignalKept { .. } if taken.contains(&(place, 0)) => copied.push((*entry).clone()),
            Entry::Continued { input, carried } => {
                copied.push(StartRun { input: input.clone(), ..start.clone() }.entry());
                let carried = Box::new(shared(carried, place, &taken));
                copied.push(Entry::Continued { input: input.clone(), carried });
            }
            _ => {}
        }
    }
    copied.push(Entry::Forked { from: fork.from, entry: prefix.len() as u32, by: fork.by.clone() });
    copied
}

/// What the journal at hand began with.
fn first_input(chunks: &[Chunk]) -> Option<Payload> {
    match flat(chunks).first()?.0 {
        Entry::Started { input, .. } | Entry::Continued { input, .. } => Some(input.clone()),
        _ => None,
    }
}

/// What waits begins to wait now.
fn begun_anew(op: &Op, at: Timestamp, now: Timestamp) -> Op {
    let later = |instant: Timestamp| instant.checked_add_signed(now - at).unwrap_or(Timestamp::MAX_UTC);
    let mut op = op.clone();
    match &mut op {
        Op::Step(step) => Arc::make_mut(step).start_by = start_by(step, now),
        Op::Sleep { until } => *until = later(*until),
        Op::Wait { deadline, .. } => *deadline = deadline.map(later),
        Op::Human { task } => task.deadline = later(task.deadline),
        _ => {}
    }
    op
}

/// What of a carried state is no property of the other run: its messages that the code was given later.
fn shared(carried: &Carried, place: usize, taken: &HashSet<Place>) -> Carried {
    let mut number = 0;
    let mut channels = carried.channels.clone();
    for channel in &mut channels {
        channel.keys.clear();
        channel.kept.retain(|_| {
            number += 1;
            taken.contains(&(place, number - 1))
        });
    }
    let attributes = carried.attributes.clone();
    Carried { generation: carried.generation, last_seq: carried.last_seq, channels, attributes, ..Carried::default() }
}

/// A message: the place of the entry that holds it, and its number in that entry.
type Place = (usize, usize);

/// Messages of a journal in their channels, as its entries go by.
#[derive(Default)]
struct Channels<'e> {
    waits: HashMap<Seq, &'e str>,
    kept: HashMap<&'e str, VecDeque<Place>>,
}

impl<'e> Channels<'e> {
    /// What the entry at `place` takes: the message and where in its channel it lies. Messages of which `has` says no
    /// never come in.
    fn pass(&mut self, place: usize, entry: &'e Entry, has: impl Fn(Place) -> bool) -> Option<Place> {
        match entry {
            Entry::Op { seq, op: Op::Wait { name, .. } } => drop(self.waits.insert(*seq, name)),
            Entry::SignalKept { name, .. } if has((place, 0)) => {
                self.kept.entry(name).or_default().push_back((place, 0));
            }
            Entry::Continued { carried, .. } => {
                self.kept.clear();
                let named = carried.channels.iter().flat_map(|c| c.kept.iter().map(|_| c.name.as_str()));
                for (number, name) in named.enumerate().filter(|(number, _)| has((place, *number))) {
                    self.kept.entry(name).or_default().push_back((place, number));
                }
            }
            Entry::Resolved { seq, with: Resolution::SignalTaken } => return self.channel(*seq)?.pop_front(),
            Entry::Resolved { seq, with: Resolution::SignalChosen { index } } => {
                return self.channel(*seq)?.remove(*index);
            }
            _ => {}
        }
        None
    }

    /// Takes out what a filter chose, and says where it lay.
    fn place_of(&mut self, seq: Seq, message: Option<&Place>) -> usize {
        let Some(channel) = self.channel(seq) else { return 0 };
        let index = channel.iter().position(|kept| Some(kept) == message).unwrap_or(0);
        channel.remove(index);
        index
    }

    fn channel(&mut self, seq: Seq) -> Option<&mut VecDeque<Place>> {
        self.kept.get_mut(self.waits.get(&seq)?)
    }
}

/// The messages that the code was given, by the places of the entries that gave them.
fn taken_signals(entries: &[Dated<'_>]) -> HashMap<usize, Place> {
    let mut channels = Channels::default();
    let given = entries.iter().enumerate().map(|(place, (entry, _))| (place, channels.pass(place, entry, |_| true)));
    given.filter_map(|(place, message)| Some((place, message?))).collect()
}
