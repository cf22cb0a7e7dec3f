//! The ticket itself and its form on the wire.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A nudge that an attempt of a step may be claimed. It carries no payload, so no personal data is ever in a queue.
///
/// On the wire it is the JSON array `["<run>",seq,attempt]`: short, and readable with `redis-cli`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "(Uuid, u32, u32)", into = "(Uuid, u32, u32)")]
pub struct Ticket {
    pub run: Uuid,
    pub seq: u32,
    pub attempt: u32,
}

impl From<(Uuid, u32, u32)> for Ticket {
    fn from((run, seq, attempt): (Uuid, u32, u32)) -> Self {
        Self { run, seq, attempt }
    }
}

impl From<Ticket> for (Uuid, u32, u32) {
    fn from(ticket: Ticket) -> Self {
        (ticket.run, ticket.seq, ticket.attempt)
    }
}

impl Ticket {
    pub(crate) fn to_wire(self) -> String {
        format!("[\"{}\",{},{}]", self.run, self.seq, self.attempt)
    }

    pub(crate) fn from_wire(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wire_form_is_a_short_json_array_and_comes_back() {
        let ticket = Ticket { run: Uuid::from_u128(7), seq: 12, attempt: u32::MAX };
        let wire = ticket.to_wire();
        assert_eq!(wire, "[\"00000000-0000-0000-0000-000000000007\",12,4294967295]");
        assert_eq!(serde_json::to_string(&ticket).unwrap(), wire);
        assert_eq!(Ticket::from_wire(wire.as_bytes()), Some(ticket));
    }

    #[test]
    fn what_is_not_a_ticket_is_refused() {
        for bad in ["", "{}", "[1,2,3]", "[\"x\",1,1]", "[\"\",1]"] {
            assert_eq!(Ticket::from_wire(bad.as_bytes()), None, "{bad}");
        }
    }
}
