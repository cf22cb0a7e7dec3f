//! What the driver's and the gate's errors mean to an agent.

use std::time::Duration;

use fantoccini::error::{CmdError, ErrorStatus};
use serde_json::Value;

use super::BrowserError;

/// What a driver says of a browser that is no more, in whatever status.
const GONE_SIGNS: [&str; 6] =
    ["disconnected", "not reachable", "session deleted", "tab crashed", "web view not found", "the driver is gone"];

pub(super) fn from_command(command: &'static str, error: &CmdError) -> BrowserError {
    match error {
        CmdError::Standard(error) => from_status(command, &error.error, &error.message),
        CmdError::NotW3C(Value::String(code)) if code == "stale_fence" => BrowserError::StaleFence,
        CmdError::NotW3C(Value::String(code)) if code == "driver_restarted" => BrowserError::DriverRestarted,
        // Statuses of the driver's own.
        CmdError::NotW3C(Value::String(code)) if GONE_SIGNS.iter().any(|sign| code.contains(sign)) => {
            BrowserError::Gone(code.clone())
        }
        CmdError::Failed(_) | CmdError::FailedC(_) | CmdError::Lost(_) => {
            BrowserError::Gone(format!("its gate does not answer ({error})"))
        }
        error => BrowserError::Protocol(error.to_string()),
    }
}

fn from_status(command: &'static str, status: &ErrorStatus, message: &str) -> BrowserError {
    // The driver appends its version and stack in further lines.
    let message = message.lines().next().unwrap_or_default().to_owned();
    match status {
        ErrorStatus::InvalidSessionId | ErrorStatus::NoSuchWindow => BrowserError::Gone(message),
        _ if GONE_SIGNS.iter().any(|sign| message.contains(sign)) => BrowserError::Gone(message),
        _ if message.contains("net::ERR") => BrowserError::Navigation(message),
        ErrorStatus::NoSuchFrame => BrowserError::FrameGone { frame: command.to_owned() },
        ErrorStatus::NoSuchElement | ErrorStatus::StaleElementReference | ErrorStatus::DetachedShadowRoot => {
            BrowserError::NotFound { target: command.to_owned() }
        }
        ErrorStatus::ElementNotInteractable
        | ErrorStatus::ElementClickIntercepted
        | ErrorStatus::InvalidElementState => {
            BrowserError::NotInteractable { target: command.to_owned(), reason: message }
        }
        ErrorStatus::Timeout | ErrorStatus::ScriptTimeout => BrowserError::Timeout { command, after: Duration::ZERO },
        ErrorStatus::UnexpectedAlertOpen => BrowserError::Dialog { text: said(&message) },
        ErrorStatus::JavascriptError => BrowserError::Script(message),
        ErrorStatus::UnsupportedOperation | ErrorStatus::UnknownCommand => BrowserError::Unsupported(message),
        _ => BrowserError::Protocol(message),
    }
}

/// "unexpected alert open: {Alert text : …}" is what Chromium's driver makes of a dialog.
fn said(message: &str) -> String {
    let text = message.split_once("Alert text :").map_or(message, |(_, text)| text);
    text.trim().trim_end_matches('}').trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::said;

    #[test]
    fn a_dialog_is_told_in_its_own_words() {
        assert_eq!(said("unexpected alert open: {Alert text : Sure?}"), "Sure?");
        assert_eq!(said("a dialog"), "a dialog");
    }
}
