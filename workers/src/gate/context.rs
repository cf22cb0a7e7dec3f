//! What a session holds beside the page itself, as far as the gate sees it pass: the tab, the frame, settings.
//!
//! A new driver finds the browser's tabs and pages again, but not which frame was entered nor what was set for the session. From this
//! the gate knows whether a session that was opened anew can stand for the former one without its holder noticing. Pure.

use hyper::Method;
use serde_json::Value;

#[derive(Debug, Default)]
pub struct Context {
    pub window: Option<String>,
    in_frame: bool,
    has_settings: bool,
    /// Its holder knows tabs by names that a new session will not know.
    knows_tabs: bool,
    /// Whether a tab keeps its name when the driver is another one.
    names_last: bool,
    /// A command was sent and its answer has not come.
    in_flight: bool,
}

impl Context {
    pub fn opened(window: Option<String>, names_last: bool) -> Self {
        Self { window, names_last, ..Self::default() }
    }

    /// Whether another session in the same tab is the same to its holder.
    pub fn is_plain(&self) -> bool {
        !self.in_frame && !self.has_settings && !self.knows_tabs && !self.in_flight
    }

    pub fn sent(&mut self) {
        self.in_flight = true;
    }

    /// `what` is the path behind the session's id. Returns whether another tab is in use now.
    pub fn answered(&mut self, method: &Method, what: &str, body: &[u8], good: bool) -> bool {
        self.in_flight = false;
        self.knows_tabs |= good && !self.names_last && matches!(what, "window" | "window/handles" | "window/new");
        if *method != Method::POST || !good {
            return false;
        }
        let json = || serde_json::from_slice::<Value>(body).unwrap_or_default();
        match what {
            "frame" => self.in_frame = !json()["id"].is_null(),
            "url" => self.in_frame = false,
            "window" => {
                self.in_frame = false;
                let window = json()["handle"].as_str().map(str::to_owned);
                let changed = window != self.window;
                self.window = window;
                return changed;
            }
            "timeouts" => self.has_settings = true,
            what if what.contains("cdp/") => {
                let command = json()["cmd"].as_str().unwrap_or_default().to_owned();
                self.has_settings |= command.starts_with("Emulation.") || command.contains("addScript");
            }
            _ => {}
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::{Context, Method};

    fn after(commands: &[(&str, &str)]) -> Context {
        let mut context = Context::opened(Some("tab".into()), true);
        for (what, body) in commands {
            context.sent();
            context.answered(&Method::POST, what, body.as_bytes(), true);
        }
        context
    }

    #[test]
    fn a_session_is_plain_until_it_holds_what_a_new_one_would_not() {
        let check = |commands: &[(&str, &str)], expect: bool| {
            assert_eq!(after(commands).is_plain(), expect, "{commands:?}");
        };
        check(&[("url", "{}"), ("execute/sync", "{}"), ("element/x/value", "{}")], true);
        check(&[("frame", r#"{"id":0}"#)], false);
        check(&[("frame", r#"{"id":0}"#), ("frame/parent", "{}")], false);
        check(&[("frame", r#"{"id":0}"#), ("frame", r#"{"id":null}"#)], true);
        check(&[("frame", r#"{"id":0}"#), ("url", "{}")], true);
        check(&[("frame", r#"{"id":0}"#), ("window", r#"{"handle":"tab"}"#)], true);
        check(&[("timeouts", "{}")], false);
        check(&[("goog/cdp/execute", r#"{"cmd":"Emulation.setTimezoneOverride"}"#)], false);
        check(&[("goog/cdp/execute", r#"{"cmd":"Storage.getCookies"}"#)], true);
    }

    #[test]
    fn a_session_whose_holder_knows_names_that_do_not_last_is_not_plain() {
        for (method, what, plain) in [
            (Method::GET, "window", false),
            (Method::GET, "window/handles", false),
            (Method::POST, "window/new", false),
            (Method::GET, "window/rect", true),
            (Method::GET, "title", true),
        ] {
            let mut context = Context::opened(Some("tab".into()), false);
            context.answered(&method, what, b"", true);
            assert_eq!(context.is_plain(), plain, "{method} {what}");
        }
    }

    #[test]
    fn a_command_without_an_answer_leaves_it_open_what_the_session_holds() {
        let mut context = after(&[]);
        context.sent();
        assert!(!context.is_plain());
        context.answered(&Method::GET, "title", b"", false);
        assert!(context.is_plain());
    }

    #[test]
    fn another_tab_is_noticed() {
        let mut context = after(&[]);
        assert!(!context.answered(&Method::POST, "window", br#"{"handle":"tab"}"#, true));
        assert!(!context.answered(&Method::POST, "window", br#"{"handle":"other"}"#, false));
        assert!(context.answered(&Method::POST, "window", br#"{"handle":"other"}"#, true));
        assert_eq!(context.window.as_deref(), Some("other"));
    }
}
