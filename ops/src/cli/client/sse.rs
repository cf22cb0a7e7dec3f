//! Server-sent events out of bytes that come in any pieces (WHATWG HTML, "Server-sent events").

use crate::cli::bounds::EVENT_BYTES_MAX;

/// One event of a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct SseEvent {
    pub id: Option<String>,
    pub event: Option<String>,
    pub data: String,
}

/// An event that is larger than what is kept.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct EventTooLarge;

/// Bytes in, events out. A line may end in CR, LF or both, and any byte may be the last of its piece.
#[derive(Default)]
pub(super) struct SseParser {
    line: Vec<u8>,
    /// The last byte was a CR: an LF that follows belongs to it.
    after_cr: bool,
    begun: bool,
    event: SseEvent,
    has_data: bool,
}

impl SseParser {
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<Vec<SseEvent>, EventTooLarge> {
        let mut events = Vec::new();
        for byte in bytes {
            let after_cr = std::mem::replace(&mut self.after_cr, *byte == b'\r');
            match byte {
                b'\n' if after_cr => {}
                b'\n' | b'\r' => events.extend(self.end_line()),
                _ => {
                    if self.line.len() + self.event.data.len() >= EVENT_BYTES_MAX {
                        return Err(EventTooLarge);
                    }
                    self.line.push(*byte);
                }
            }
        }
        Ok(events)
    }

    fn end_line(&mut self) -> Option<SseEvent> {
        let line = std::mem::take(&mut self.line);
        let line = String::from_utf8_lossy(&line);
        let line = if std::mem::replace(&mut self.begun, true) { &*line } else { line.trim_start_matches('\u{feff}') };
        if line.is_empty() {
            return self.end_event();
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "data" => {
                if std::mem::replace(&mut self.has_data, true) {
                    self.event.data.push('\n');
                }
                self.event.data.push_str(value);
            }
            "event" => self.event.event = Some(value.to_owned()),
            "id" if !value.contains('\0') => self.event.id = Some(value.to_owned()),
            // Comments keep the line alive; `retry` is ours to decide.
            _ => {}
        }
        None
    }

    /// An event without data is none.
    fn end_event(&mut self) -> Option<SseEvent> {
        let event = std::mem::take(&mut self.event);
        std::mem::take(&mut self.has_data).then_some(event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &str = "\u{feff}id: 1.1\nevent: journal\ndata: {\"a\": \"ä\"}\n\n: alive\n\nid: 1.2\r\ndata: one\r\n\
                          data: two\r\n\r\nevent: none\n\ndata\rid:1.3\r\rdata: cut off";

    fn expected() -> Vec<SseEvent> {
        let event = |id: &str, event: Option<&str>, data: &str| SseEvent {
            id: Some(id.to_owned()),
            event: event.map(ToOwned::to_owned),
            data: data.to_owned(),
        };
        vec![event("1.1", Some("journal"), "{\"a\": \"ä\"}"), event("1.2", None, "one\ntwo"), event("1.3", None, "")]
    }

    #[test]
    fn events_are_the_same_wherever_the_bytes_are_split() {
        let bytes = STREAM.as_bytes();
        for size in 1..=bytes.len() {
            let mut parser = SseParser::default();
            let events: Vec<SseEvent> = bytes.chunks(size).flat_map(|piece| parser.push(piece).unwrap()).collect();
            assert_eq!(events, expected(), "pieces of {size} bytes");
        }
        for split in 0..bytes.len() {
            let mut parser = SseParser::default();
            let mut events = parser.push(&bytes[..split]).unwrap();
            events.extend(parser.push(&bytes[split..]).unwrap());
            assert_eq!(events, expected(), "split at {split}");
        }
    }

    #[test]
    fn an_event_without_end_is_refused_and_not_kept() {
        let mut parser = SseParser::default();
        let piece = vec![b'x'; 1024 * 1024];
        let refused = (0..=EVENT_BYTES_MAX / piece.len()).find(|_| parser.push(&piece).is_err());
        assert_eq!(refused, Some(EVENT_BYTES_MAX / piece.len()));
        assert!(parser.line.len() <= EVENT_BYTES_MAX);
        let mut parser = SseParser::default();
        let line = [b"data: ", piece.as_slice(), b"\n"].concat();
        assert!((0..=EVENT_BYTES_MAX / piece.len()).any(|_| parser.push(&line).is_err()));
    }
}
