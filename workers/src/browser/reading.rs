//! Waiting for a page to come to rest, and reading it with all its frames.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::{Value, json};

use super::BrowserError;
use super::session::Session;
use crate::form::{SNAPSHOT_JS, Snapshot};

const SETTLE_JS: &str = concat!(include_str!("loading.js"), include_str!("settle.js"));

/// Frames of other origins entered per page; an embedded form is in the first or second.
const FOREIGN_FRAMES_MAX: usize = 6;
/// Frames within frames; embedded forms are one or two deep.
const FRAME_DEPTH_MAX: usize = 3;
/// Between two looks at a page that has not come to rest. Short scripts, because one that waits in the page dies with its document.
const SETTLE_POLL: Duration = Duration::from_millis(40);

#[derive(Deserialize)]
struct Rest {
    /// Milliseconds; `None` while it loads.
    still: Option<f64>,
    waits: bool,
    loaded_at: f64,
    depth: usize,
    frames: Vec<Value>,
}

impl Rest {
    fn still_for(&self) -> Option<Duration> {
        self.still.map(|ms| Duration::try_from_secs_f64(ms / 1000.0).unwrap_or_default())
    }
}

impl Session<'_> {
    /// Waits until the page and the frames that may hold its form rest. What is said by [`super::AgentLimits`] bounds it.
    pub async fn settle(&mut self) -> Result<(), BrowserError> {
        let limits = self.agent.limits;
        let begun = Instant::now();
        let mut waits = false;
        loop {
            let mut look_in = SETTLE_POLL;
            match self.rest().await {
                Ok(now) => {
                    waits = now.waits && self.link.waited != Some(now.loaded_at);
                    let lacks = now.still.map(|still| limits.quiet.saturating_sub(still));
                    if lacks == Some(Duration::ZERO) && !waits {
                        return Ok(());
                    }
                    look_in = look_in.max(lacks.unwrap_or_default());
                    if waits && begun.elapsed() >= limits.loading {
                        self.link.waited = Some(now.loaded_at);
                        return Ok(());
                    }
                }
                // The document went away under the script: the next one is on its way.
                Err(error) if error.leaves_the_browser_usable() => self.link.frame = None,
                Err(error) => return Err(error),
            }
            if begun.elapsed() >= if waits { limits.settle.max(limits.loading) } else { limits.settle } {
                return Ok(());
            }
            tokio::time::sleep(look_in).await;
        }
    }

    /// How the page is now, its frames included.
    async fn rest(&mut self) -> Result<Now, BrowserError> {
        self.enter(&[]).await?;
        let top = self.rest_here().await?;
        let mut now = Now { still: top.still_for(), waits: top.waits, loaded_at: top.loaded_at };
        // Frames by the way to them from the top; nothing is asked of them before the top rests.
        let mut ways: Vec<Vec<Value>> = top.frames.into_iter().map(|frame| vec![frame]).collect();
        let mut visited = 0;
        while now.still.is_some_and(|still| still >= self.agent.limits.quiet)
            && visited < FOREIGN_FRAMES_MAX
            && let Some(way) = (!ways.is_empty()).then(|| ways.remove(0))
        {
            visited += 1;
            self.enter_top().await?;
            for reference in &way {
                let frame = self.found(reference.clone()).await?;
                let frame = frame.ok_or_else(|| BrowserError::Protocol("a frame without an element".into()))?;
                self.enter_child(frame).await?;
            }
            let inner = self.rest_here().await?;
            if inner.depth != way.len() {
                // It went away: the page has changed.
                now.still = None;
                break;
            }
            now.still = now.still.min(inner.still_for());
            now.waits |= inner.waits;
            if way.len() < FRAME_DEPTH_MAX {
                ways.extend(inner.frames.into_iter().map(|frame| way.iter().cloned().chain([frame]).collect()));
            }
        }
        Ok(now)
    }

    async fn rest_here(&mut self) -> Result<Rest, BrowserError> {
        let value = self.script("settle", SETTLE_JS, Vec::new()).await?;
        serde_json::from_value(value)
            .map_err(|error| BrowserError::Protocol(format!("the page's rest has another shape: {error}")))
    }

    pub async fn read_page(&mut self) -> Result<Snapshot, BrowserError> {
        let mut page = self.read_document(&[]).await?;
        let mut entered: BTreeSet<Vec<String>> = BTreeSet::new();
        while entered.len() < FOREIGN_FRAMES_MAX {
            // The largest first: forms are larger than what is sold around them.
            let next = page
                .unread_frames()
                .filter(|frame| frame.path.len() <= FRAME_DEPTH_MAX && !entered.contains(&frame.path))
                .max_by_key(|frame| frame.rect.area());
            let Some(path) = next.map(|frame| frame.path.clone()) else { break };
            match self.read_document(&path).await {
                Ok(inner) => page.merge_frame(&path, inner),
                Err(error) if error.leaves_the_browser_usable() => tracing::debug!(%error, "a frame could not be read"),
                Err(error) => return Err(error),
            }
            entered.insert(path);
        }
        Ok(page)
    }

    async fn read_document(&mut self, frame: &[String]) -> Result<Snapshot, BrowserError> {
        for _ in 0..2 {
            self.enter(frame).await?;
            let value = self.script("snapshot", SNAPSHOT_JS, Vec::new()).await?;
            if value["depth"] != json!(frame.len()) {
                self.link.frame = None;
                continue;
            }
            return serde_json::from_value(value)
                .map_err(|error| BrowserError::Protocol(format!("the snapshot has another shape: {error}")));
        }
        Err(BrowserError::FrameGone { frame: frame.join(" > ") })
    }
}

struct Now {
    /// How long all of it has kept still; `None` while something loads.
    still: Option<Duration>,
    waits: bool,
    loaded_at: f64,
}
