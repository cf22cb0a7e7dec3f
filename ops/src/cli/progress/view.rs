//! How progress is shown: a live view at a terminal, plain lines anywhere else.

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use valet_core::Timestamp;

use super::story::{Happening, Story};
use crate::cli::error::CliError;
use crate::cli::output::Output;

/// Lines of the live view; a fan-out of hundreds of steps shows its first ones and a count.
const LINES_MAX: usize = 12;
const SPINNER: [char; 10] = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];

/// One of the two ways.
pub(super) struct View<'a> {
    output: &'a Output,
    live: Option<Live>,
}

struct Live {
    multi: MultiProgress,
    bars: Vec<ProgressBar>,
    frame: usize,
}

impl<'a> View<'a> {
    pub(super) fn new(output: &'a Output) -> Self {
        let live = output.is_live().then(|| Live { multi: MultiProgress::new(), bars: Vec::new(), frame: 0 });
        Self { output, live }
    }

    pub(super) fn is_live(&self) -> bool {
        self.live.is_some()
    }

    pub(super) fn tell(&mut self, story: &Story, happening: &Happening) -> Result<(), CliError> {
        let line = || happening.render(story.offset(happening.at), self.output.style());
        match &self.live {
            Some(_) if happening.passing => Ok(()),
            Some(live) => live.multi.println(line()).map_err(CliError::Output),
            // With --json, standard output is the machine's.
            None if self.output.is_json() => {
                self.output.note(&line());
                Ok(())
            }
            None => self.output.print(&line()),
        }
    }

    /// Draws what is going on now, in place of what was drawn before.
    pub(super) fn draw(&mut self, story: &Story, now: Timestamp) {
        let Some(live) = &mut self.live else { return };
        live.frame = (live.frame + 1) % SPINNER.len();
        let mut lines = story.live_lines(now, SPINNER[live.frame], self.output.style());
        if lines.len() > LINES_MAX {
            let more = lines.len() - (LINES_MAX - 1);
            lines.truncate(LINES_MAX - 1);
            lines.push(format!("  and {more} more"));
        }
        while live.bars.len() > lines.len() {
            if let Some(bar) = live.bars.pop() {
                bar.finish_and_clear();
                live.multi.remove(&bar);
            }
        }
        while live.bars.len() < lines.len() {
            // Wide: cut at the terminal's edge instead of wrapped.
            let style = ProgressStyle::with_template("{wide_msg}").unwrap_or_else(|_| ProgressStyle::default_spinner());
            live.bars.push(live.multi.add(ProgressBar::new_spinner().with_style(style)));
        }
        for (bar, line) in live.bars.iter().zip(lines) {
            bar.set_message(line);
            bar.tick();
        }
    }
}

/// The terminal is left as if the view had never been there; what was told stays.
impl Drop for Live {
    fn drop(&mut self) {
        for bar in self.bars.drain(..) {
            bar.finish_and_clear();
        }
        let _ = self.multi.clear();
    }
}
