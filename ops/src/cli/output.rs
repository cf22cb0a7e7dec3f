//! Where a verb's words go: results to standard output, all else to standard error.
//!
//! With `--json`, standard output has the machine's document and nothing else.

use std::io::{self, IsTerminal, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;

use super::error::CliError;
use super::style::Style;

type Sink = Mutex<Box<dyn Write + Send>>;

/// A writer that panicked in the middle of a line leaves nothing worse than half a line.
fn lock(sink: &Sink) -> MutexGuard<'_, Box<dyn Write + Send>> {
    sink.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The two streams, and what is known of whoever reads them.
pub struct Output {
    json: bool,
    live: bool,
    asks: bool,
    style: Style,
    out: Sink,
    err: Sink,
}

impl Output {
    /// The process's own streams.
    pub fn detect(json: bool) -> Self {
        let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let (out, err) = (io::stdout().is_terminal(), io::stderr().is_terminal());
        Self {
            json,
            live: !json && out && err && !dumb,
            asks: !json && out && io::stdin().is_terminal(),
            style: Style { color: !json && out && !dumb && !set("NO_COLOR") },
            out: Mutex::new(Box::new(io::stdout())),
            err: Mutex::new(Box::new(io::stderr())),
        }
    }

    /// Other streams, as a pipe would be read: no colour, no live view, no questions.
    pub fn to(json: bool, out: Box<dyn Write + Send>, err: Box<dyn Write + Send>) -> Self {
        let (out, err) = (Mutex::new(out), Mutex::new(err));
        Self { json, live: false, asks: false, style: Style::default(), out, err }
    }

    /// `--json` was given.
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// A person watches a terminal that can be drawn on.
    pub fn is_live(&self) -> bool {
        self.live
    }

    /// A person can be asked.
    pub fn asks(&self) -> bool {
        self.asks
    }

    pub fn style(&self) -> Style {
        self.style
    }

    /// Text to standard output, with a line break at its end.
    pub fn print(&self, text: &str) -> Result<(), CliError> {
        let mut out = lock(&self.out);
        let end: &[u8] = if text.ends_with('\n') { b"" } else { b"\n" };
        let written = out.write_all(text.as_bytes()).and_then(|()| out.write_all(end));
        written.and_then(|()| out.flush()).map_err(CliError::Output)
    }

    /// Bytes to standard output as they are.
    pub fn bytes(&self, bytes: &[u8]) -> Result<(), CliError> {
        let mut out = lock(&self.out);
        out.write_all(bytes).and_then(|()| out.flush()).map_err(CliError::Output)
    }

    /// A document to standard output.
    pub fn document<T: Serialize>(&self, document: &T) -> Result<(), CliError> {
        self.print(&serde_json::to_string_pretty(document).map_err(|e| CliError::Output(e.into()))?)
    }

    /// One document of several, on one line.
    pub fn document_line<T: Serialize>(&self, document: &T) -> Result<(), CliError> {
        self.print(&serde_json::to_string(document).map_err(|e| CliError::Output(e.into()))?)
    }

    /// The document with `--json`, else the text for people.
    pub fn either<T: Serialize>(&self, document: &T, text: impl FnOnce(Style) -> String) -> Result<(), CliError> {
        if self.json { self.document(document) } else { self.print(&text(self.style)) }
    }

    /// A line to standard error. That nobody reads it stops nothing.
    pub fn note(&self, text: &str) {
        let mut err = lock(&self.err);
        let _ = writeln!(err, "{text}").and_then(|()| err.flush());
    }
}

#[cfg(test)]
pub mod captured {
    //! An output whose words can be read back.

    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};

    use super::Output;

    #[derive(Clone, Default)]
    struct Buffer(Arc<Mutex<Vec<u8>>>);

    impl Write for Buffer {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// The output and what was written to it.
    pub struct Captured {
        pub output: Output,
        out: Buffer,
        err: Buffer,
    }

    impl Captured {
        pub fn new(json: bool) -> Self {
            let (out, err) = (Buffer::default(), Buffer::default());
            let output = Output::to(json, Box::new(out.clone()), Box::new(err.clone()));
            Self { output, out, err }
        }

        pub fn out(&self) -> String {
            String::from_utf8(self.out.0.lock().unwrap().clone()).unwrap()
        }

        pub fn err(&self) -> String {
            String::from_utf8(self.err.0.lock().unwrap().clone()).unwrap()
        }
    }
}
