//! A journal entry on one line, as `valet runs events` lists it.

use serde_json::Value;
use valet_protocol::api::RunEvent;

use crate::cli::style::Style;
use crate::cli::text;

/// Columns of an entry's fields.
const FIELDS_COLUMNS_MAX: usize = 160;

/// `12.1  06:28:09.123  op  {"seq":3,…}`
pub fn entry_line(event: &RunEvent, style: Style) -> String {
    let (kind, fields) = match &event.entry {
        Value::String(kind) => (kind.clone(), String::new()),
        Value::Object(entry) => {
            entry.iter().next().map_or_else(Default::default, |(kind, fields)| (kind.clone(), fields.to_string()))
        }
        other => ("?".to_owned(), other.to_string()),
    };
    let id = format!("{}.{}", event.revision, event.index);
    let at = event.at.format("%H:%M:%S%.3f").to_string();
    let fields = text::cut(&text::line(&fields), FIELDS_COLUMNS_MAX);
    format!("{id:>7}  {}  {:<16}  {fields}", style.dim(&at), text::line(&kind)).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_entry_shows_its_place_its_kind_and_its_fields() {
        let event =
            |entry: Value| RunEvent { revision: 12, index: 1, at: "2026-11-21T06:28:09.123Z".parse().unwrap(), entry };
        let style = Style::default();
        let line = entry_line(&event(json!({ "paused": { "by": "ops\u{1b}[2J" } })), style);
        assert_eq!(line, r#"   12.1  06:28:09.123  paused            {"by":"ops\u001b[2J"}"#);
        assert_eq!(entry_line(&event(json!("ended")), style), "   12.1  06:28:09.123  ended");
    }
}
