//! What a run has to do with other runs: its children, its parent.

use super::Folding;
use crate::command::{InboxMessage, Parent, StartRun};
use crate::id::{RunId, Seq};
use crate::journal::{ClosePolicy, Resolution};
use crate::payload::Payload;
use crate::transition::OutboxRow;

impl Folding<'_> {
    /// The code called a child: it is started, unless an earlier call of the same key did so.
    pub(super) fn called_child(&mut self, seq: Seq, workflow: &str, input: &Payload, key: Option<&str>) {
        match key.and_then(|key| self.run().keyed.get(key)).map(|keyed| keyed.outcome.clone()) {
            None => self.start_child(seq, workflow.to_owned(), input.clone()),
            Some(Some(outcome)) => self.deliveries.push_back((seq, Resolution::ChildEnded { outcome })),
            Some(None) => {}
        }
    }

    pub(super) fn start_child(&mut self, seq: Seq, workflow: String, input: Payload) {
        let identity = &self.run().identity;
        let message = InboxMessage::StartChild {
            tenant: identity.tenant.clone(),
            subject: identity.subject.clone(),
            plan: identity.plan.clone(),
            workflow,
            input,
            seq,
            definition: None,
        };
        self.send(self.run().id().child(seq), i64::from(seq.0) * 2, message);
    }

    /// The code no longer waits for the child of the operation `seq`, if it is one.
    pub(super) fn let_go_of_child(&mut self, seq: Seq) {
        let Some(child) = self.run().children.get(&seq) else { return };
        let (started_at, on_close) = (child.started_at, child.on_close);
        let shared = self.run().children.iter().any(|(other, c)| *other != seq && c.started_at == started_at);
        if !shared && on_close == ClosePolicy::Cancel {
            self.cancel_child(started_at, "the parent no longer waits for it");
        }
    }

    pub(super) fn cancel_children(&mut self, reason: &str) {
        let children = self.run().children.values().filter(|child| child.on_close == ClosePolicy::Cancel);
        for started_at in children.map(|child| child.started_at).collect::<Vec<_>>() {
            self.cancel_child(started_at, reason);
        }
    }

    pub(super) fn cancel_child(&mut self, seq: Seq, reason: &str) {
        let message = InboxMessage::CancelChild { reason: reason.to_owned() };
        self.send(self.run().id().child(seq), i64::from(seq.0) * 2 + 1, message);
    }

    pub(super) fn send(&mut self, to: RunId, number: i64, message: InboxMessage) {
        // A repeated cancel of the same child is the same message.
        if !self.outbox.iter().any(|row| row.to == to && row.number == number) {
            self.outbox.push(OutboxRow { to, number, message });
        }
    }

    pub(super) fn inbox(&mut self, message: InboxMessage) {
        match message {
            InboxMessage::GoOn { seq } => self.advance_fan(seq, "the parent no longer waits for it"),
            InboxMessage::ChildEnded { seq, outcome } => {
                if self.fan_child_ended(seq, outcome.clone()) {
                    return;
                }
                let waits = self.run().children.iter().filter(|(_, child)| child.started_at == seq);
                for waiting in waits.map(|(at, _)| *at).collect::<Vec<_>>() {
                    self.resolve(waiting, Resolution::ChildEnded { outcome: outcome.clone() });
                }
            }
            InboxMessage::CancelChild { reason } => {
                let _ = self.cancel("parent".to_owned(), reason);
            }
            InboxMessage::StartChild { tenant, subject, plan, workflow, input, seq, definition } => {
                let parent = self.consumed.last().map(|(run, _)| Parent { run: *run, seq });
                let start = StartRun::new(tenant, subject, workflow, plan, input);
                let start = StartRun { definition, parent, ..start };
                let _ = self.start(start);
            }
        }
    }
}
