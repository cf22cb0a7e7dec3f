//! The end of a run for people: what came of it.

use std::fmt::Write as _;

use serde_json::Value;
use valet_protocol::api::RunDetail;

use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::output::Output;
use crate::cli::style::Style;
use crate::cli::{text, when};

/// Prints how a run ended (with `--json`, all of it) and gives the exit code that follows from it.
pub fn show_result(output: &Output, run: &RunDetail) -> Result<Exit, CliError> {
    output.either(run, |style| render(run, style))?;
    Ok(Exit::of_status(&run.run.status))
}

fn render(detail: &RunDetail, style: Style) -> String {
    let run = &detail.run;
    let took =
        run.ended_at.map_or(String::new(), |end| format!(" in {}", when::took(when::between(run.created_at, end))));
    let mut text = format!("{}{took}  {}\n", style.status(&run.status), style.dim(&text::line(&run.id)));
    if let Some(error) = &detail.error {
        let (code, message) = (text::line(&error.code), text::line(&error.message));
        // `cancelled: cancelled by …` would say it twice.
        let line = if message.starts_with(&code) { message } else { format!("{code}: {message}") };
        let _ = writeln!(text, "{line}");
        if let Some(details) = &error.details {
            text.push_str(&pretty(details));
        }
        let _ = writeln!(text, "more: valet runs show {}", text::line(&run.id));
    }
    let output = detail.output.as_ref().filter(|output| !output.is_null());
    if let Some(confirmation) = output.and_then(|o| o.get("confirmation")).and_then(Value::as_str) {
        let _ = writeln!(text, "{}", style.bold(&text::line(confirmation)));
    }
    if let Some(output) = output {
        text.push_str(&pretty(output));
    }
    text
}

/// JSON for people, safe for their terminal.
pub fn pretty(value: &Value) -> String {
    // serde_json escapes control characters; marks that reorder text it lets through.
    let text = serde_json::to_string_pretty(value).unwrap_or_default();
    format!("{}\n", text::block(&text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn ended(status: &str, more: &Value) -> String {
        let mut run = json!({
            "id": "run_1", "workflow": "w", "subject": "s", "plan": "free", "attributes": {}, "status": status,
            "paused": false, "revision": 3, "created_at": "2026-11-21T06:00:00Z", "updated_at": "2026-11-21T06:00:02Z",
            "ended_at": "2026-11-21T06:02:05Z", "input": {}, "steps": [], "tasks": [],
        });
        run.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        render(&serde_json::from_value(run).unwrap(), Style::default())
    }

    #[test]
    fn a_run_that_succeeded_shows_its_confirmation_then_its_whole_output() {
        let text = ended("succeeded", &json!({ "output": { "confirmation": "Thank\u{1b}[2J you", "n": 1 } }));
        let expected = "succeeded in 2 min 5 s  run_1\nThank [2J you\n{\n  \"confirmation\": \"Thank\\u001b[2J you\",\n  \"n\": 1\n}\n";
        assert_eq!(text, expected);
        assert_eq!(ended("succeeded", &json!({ "output": null })), "succeeded in 2 min 5 s  run_1\n");
    }

    #[test]
    fn a_run_that_did_not_shows_why_and_where_to_look() {
        let error = |code: &str, message: &str| json!({ "error": { "code": code, "message": message } });
        let text = ended("failed", &error("rejected", "not for me"));
        assert_eq!(text, "failed in 2 min 5 s  run_1\nrejected: not for me\nmore: valet runs show run_1\n");
        let text = ended("cancelled", &error("cancelled", "cancelled by ops: moved"));
        assert!(text.contains("\ncancelled by ops: moved\n"), "{text}");
    }
}
