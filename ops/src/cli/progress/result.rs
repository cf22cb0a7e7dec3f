//! The end of a run for people: what came of it.

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
    let took = run.ended_at.map_or(String::new(), |end| format!(" in {}", when::took(when::between(run.created_at, end))));
    let mut text = format!("{}{took}  {}\n", style.status(&run.status), style.dim(&text::line(&run.id)));
    if let Some(error) = &detail.error {
        text.push_str(&format!("{}: {}\n", text::line(&error.code), text::line(&error.message)));
        if let Some(details) = &error.details {
            text.push_str(&pretty(details));
        }
        text.push_str(&format!("more: valet runs show {}\n", text::line(&run.id)));
    }
    let output = detail.output.as_ref().filter(|output| !output.is_null());
    if let Some(confirmation) = output.and_then(|o| o.get("confirmation")).and_then(Value::as_str) {
        text.push_str(&format!("{}\n", style.bold(&text::line(confirmation))));
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
