//! What the driver's and the gate's errors mean to an agent.

use std::time::Duration;

use fantoccini::error::{CmdError, ErrorStatus};
use serde_json::Value;

use super::BrowserError;

/// What a driver says of a browser that is no more, in whatever status.
const GONE_SIGNS: [&str; 6] =
    ["disconnected", "not reachable", "session deleted", "tab crashed", "web view not found", "the driver is gone"];

/// Chromium's and Firefox's own pages about a page that could not be opened.
const ERROR_PAGES: [&str; 3] = ["chrome-error:", "about:neterror", "about:certerror"];
/// Before the address of Firefox's own page about a page that could not be opened.
const ERROR_PAGE_REACHED: &str = "Reached error page: ";
/// Of such a page: the proxy answered that it will not connect. Chromium's word for it, and Firefox's.
const PROXY_REFUSED: [&str; 2] = ["TUNNEL_CONNECTION_FAILED", "e=proxyConnectFailure"];

/// Whether the driver says that what it was in is no more: Firefox's words for a tab and for a frame alike.
pub(super) fn is_discarded(error: &CmdError) -> bool {
    matches!(error, CmdError::Standard(error)
        if error.error == ErrorStatus::NoSuchWindow && error.message.contains("context has been discarded"))
}

/// Whether this is the address of the browser's own page about a page that could not be opened.
pub(crate) fn is_error_page(url: &str) -> bool {
    ERROR_PAGES.iter().any(|page| url.starts_with(page))
}

/// Whether a page could not be opened because the gate's proxy did not let it.
pub(super) fn is_refused_by_proxy(reason: &str) -> bool {
    PROXY_REFUSED.iter().any(|sign| reason.contains(sign))
}

pub(super) fn from_command(command: &'static str, error: &CmdError) -> BrowserError {
    match error {
        CmdError::Standard(error) => {
            // Firefox's driver tells beside its message what a dialog says.
            let said = error.data.as_ref().and_then(|data| data["text"].as_str());
            match (&error.error, said) {
                (ErrorStatus::UnexpectedAlertOpen, Some(text)) => BrowserError::Dialog { text: text.trim().to_owned() },
                _ => from_status(command, &error.error, &error.message),
            }
        }
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
        // Its address goes on with the one that was wanted, which may carry what is nobody's business.
        _ if message.starts_with(ERROR_PAGE_REACHED) => {
            BrowserError::Navigation(message.split('&').next().unwrap_or_default().to_owned())
        }
        // Firefox's; Chromium's is among the `net::ERR`s.
        ErrorStatus::InsecureCertificate => {
            BrowserError::Navigation(if message.is_empty() { "its certificate is not valid".into() } else { message })
        }
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
    use super::{BrowserError, ErrorStatus, from_status, is_refused_by_proxy, said};

    #[test]
    fn a_dialog_is_told_in_its_own_words() {
        assert_eq!(said("unexpected alert open: {Alert text : Sure?}"), "Sure?");
        assert_eq!(said("a dialog"), "a dialog");
    }

    #[test]
    fn a_page_that_firefox_could_not_open_is_told_without_its_address() {
        let message =
            "Reached error page: about:neterror?e=proxyConnectFailure&u=https%3A//jobs.example/%3Fmail%3Dada&d=Firefox";
        let BrowserError::Navigation(reason) = from_status("navigate", &ErrorStatus::UnknownError, message) else {
            panic!("{message}");
        };
        assert!(is_refused_by_proxy(&reason) && !reason.contains("ada"), "{reason}");
        assert!(!is_refused_by_proxy("Reached error page: about:neterror?e=nssFailure2"));
    }
}
