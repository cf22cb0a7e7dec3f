//! Slots of limits: what new steps need, and what they have from a step that ended in the same transition.

use super::Folding;
use crate::id::Seq;
use crate::limits::{LimitKey, Slot, pass_on};
use crate::run::StepPhase;
use crate::transition::{Fence, SlotRow};

impl Folding<'_> {
    /// A step may go to the worker of another that it follows if it needs no slot, or has all of them from that one.
    pub(super) fn has_slots_from(&mut self, from: Seq, to: Seq) -> bool {
        self.need_slots(to);
        let of = |seq: Seq| self.run().slots.get(&seq).map_or(&[][..], Vec::as_slice);
        of(to).is_empty() || pass_on(of(from), of(to))
    }

    /// Finds out once what a new step needs. Clean-ups need nothing: they are not held up.
    fn need_slots(&mut self, seq: Seq) {
        if self.run().limits.is_empty() || self.run().slots.contains_key(&seq) || self.is_finalizer(seq) {
            return;
        }
        let Some(step) = self.run().steps.get(&seq) else { return };
        let run = self.run();
        let slots = run.limits.slots(&run.identity, &self.machine.input, &step.op.name, &step.op.input);
        if !slots.is_empty() {
            self.machine.run.slots.insert(seq, slots);
        }
    }

    /// The slots of what is added, and the keys whose next may begin: of steps that ended, left their slots or wait for some.
    pub(super) fn settle_slots(&mut self) -> (Vec<SlotRow>, Vec<LimitKey>) {
        if self.run().limits.is_empty() && self.run().slots.is_empty() {
            return Default::default();
        }
        let touched: Vec<(Seq, bool)> =
            self.run().touched.steps.iter().map(|(seq, existed)| (*seq, *existed)).collect();
        let tenant = self.run().identity.tenant.clone();
        let (mut rows, mut keys) = (Vec::new(), Vec::new());
        let mut ended: Vec<Vec<Slot>> = Vec::new();
        for (seq, _) in touched.iter().filter(|(seq, _)| !self.machine.run.steps.contains_key(seq)) {
            self.machine.run.blocked.remove(seq);
            let Some(slots) = self.machine.run.slots.remove(seq) else { continue };
            keys.extend(slots.iter().map(|slot| LimitKey::of(&tenant, slot)));
            // Who was granted the step had its slots.
            let was_granted = |fence: &Fence| fence.seq() == *seq && !matches!(fence, Fence::NotGranted { .. });
            if self.fences.iter().any(was_granted) {
                ended.push(slots);
            }
        }
        for (seq, existed) in touched {
            if !existed {
                self.need_slots(seq);
            }
            let now = self.now;
            let granted = self.granted.is_some_and(|(at, ..)| at == seq);
            let run = &mut self.machine.run;
            let (Some(step), Some(slots)) = (run.steps.get(&seq), run.slots.get(&seq)) else { continue };
            if step.phase == StepPhase::Stopping {
                continue;
            }
            let held = !existed && (granted || ended.iter().any(|from| pass_on(from, slots)));
            let blocked = step.is_queued(now) && !held;
            if existed || blocked {
                keys.extend(slots.iter().map(|slot| LimitKey::of(&tenant, slot)));
            }
            if !existed {
                let priority = step.op.policy.priority;
                rows.extend(slots.iter().map(|slot| SlotRow { seq, slot: slot.clone(), priority, held }));
            }
            if blocked {
                run.blocked.insert(seq)
            } else {
                run.blocked.remove(&seq)
            };
        }
        (rows, keys)
    }
}
