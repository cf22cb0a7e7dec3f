//! What a run spends, and the budget that parks it.

use super::Folding;
use crate::bounds::NAME_BYTES_MAX;
use crate::command::Cost;
use crate::id::Seq;
use crate::journal::Entry;
use crate::transition::column_text;

/// Who pauses a run that spent more than it may.
pub const BUDGET: &str = "budget";

impl Folding<'_> {
    pub(super) fn spent(&mut self, seq: Seq, costs: Vec<Cost>) {
        for Cost { what, micros } in costs {
            self.record(Entry::Spent { seq, what: column_text(what, NAME_BYTES_MAX), micros });
            self.hold_to_budget();
        }
    }

    pub(super) fn hold_to_budget(&mut self) {
        if self.run().figures.over_budget() {
            self.pause(BUDGET.to_owned());
        }
    }

    pub(super) fn set_budget(&mut self, by: String, budget_micros: Option<u64>) {
        self.record(Entry::BudgetChanged { by: by.clone(), budget_micros });
        if self.run().paused_by.as_deref() == Some(BUDGET) && !self.run().figures.over_budget() {
            self.unpause(by);
        }
        self.hold_to_budget();
    }
}
