//! Colours, or none.

/// How text is marked; without colour every mark is the text itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct Style {
    pub color: bool,
}

impl Style {
    pub fn good(self, text: &str) -> String {
        self.paint("32", text)
    }

    pub fn bad(self, text: &str) -> String {
        self.paint("31", text)
    }

    pub fn warn(self, text: &str) -> String {
        self.paint("33", text)
    }

    pub fn live(self, text: &str) -> String {
        self.paint("36", text)
    }

    pub fn dim(self, text: &str) -> String {
        self.paint("2", text)
    }

    pub fn bold(self, text: &str) -> String {
        self.paint("1", text)
    }

    /// A status or state of a run, step or task, in the colour of what it means.
    pub fn status(self, status: &str) -> String {
        match status {
            "succeeded" | "answered" | "ok" => self.good(status),
            "failed" | "stuck" | "timed_out" | "rejected" | "fail" => self.bad(status),
            "waiting" | "parked" | "backing_off" | "open" | "claimed" | "paused" | "warn" => self.warn(status),
            "running" | "closing" | "stopping" => self.live(status),
            "cancelled" | "queued" | "ready" => self.dim(status),
            _ => status.to_owned(),
        }
    }

    fn paint(self, code: &str, text: &str) -> String {
        if self.color && !text.is_empty() { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}
