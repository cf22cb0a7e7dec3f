//! Following a run: its journal as it grows, shown as a story, until it ends.
//!
//! Following changes nothing about the run; whoever stops following leaves it going.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;
use valet_engine::ports::{Clock, Machine};
use valet_protocol::api::{RunDetail, RunEvent};

use super::bounds::{DRAW_EVERY, EVENTS_AHEAD_MAX, LOOK_EVERY};
use super::client::{Client, ClientError};
use super::error::CliError;
use super::output::Output;

mod entries;
mod result;
mod story;
mod view;

pub use entries::entry_line;
pub use result::{pretty, show_result};
pub use story::{Happening, Mark, Story};
use view::View;

/// How following ended.
pub enum FollowEnd {
    /// The run ended; this is all of it.
    Ended(Box<RunDetail>),
    /// `stop` came first; the run goes on.
    Stopped,
}

/// Shows a run's progress from its beginning until it ends, or until `stop` does.
pub async fn follow(
    client: &Client,
    run: &str,
    output: &Output,
    stop: impl Future<Output = ()>,
) -> Result<FollowEnd, CliError> {
    let shown = watch(client, run, output);
    tokio::select! {
        ended = shown => ended?,
        () = stop => return Ok(FollowEnd::Stopped),
    }
    Ok(FollowEnd::Ended(Box::new(client.run(run).await?)))
}

/// Ends when Ctrl-C is pressed: the `stop` of the verbs.
pub async fn ctrl_c() {
    if tokio::signal::ctrl_c().await.is_err() {
        // Without a handler Ctrl-C ends the process, as it does anywhere else.
        std::future::pending::<()>().await;
    }
}

async fn watch(client: &Client, run: &str, output: &Output) -> Result<(), CliError> {
    let (events, mut arriving) = mpsc::channel(EVENTS_AHEAD_MAX);
    // Reading runs beside showing, so that drawing never interrupts a reconnect. What was read is shown first.
    tokio::select! {
        biased;
        shown = show(client, run, output, &mut arriving) => shown,
        failed = read(client, run, events) => Err(failed.into()),
    }
}

/// Ends only when the stream cannot go on; after the run's end it waits for the showing to be done.
async fn read(client: &Client, run: &str, events: mpsc::Sender<RunEvent>) -> ClientError {
    let mut stream = client.events(run, None);
    loop {
        match stream.next().await {
            Ok(Some(event)) => {
                if events.send(event).await.is_err() {
                    break;
                }
            }
            Ok(None) => break,
            Err(error) => return error,
        }
    }
    drop(events);
    std::future::pending().await
}

type Look<'a> = Pin<Box<dyn Future<Output = Result<RunDetail, ClientError>> + Send + 'a>>;

async fn show(
    client: &Client,
    run: &str,
    output: &Output,
    arriving: &mut mpsc::Receiver<RunEvent>,
) -> Result<(), CliError> {
    let clock = Machine;
    let mut story = Story::new(run);
    let mut view = View::new(output);
    let mut draw = ticks(DRAW_EVERY);
    let mut looks = ticks(LOOK_EVERY);
    let mut look: Option<Look<'_>> = None;
    loop {
        tokio::select! {
            event = arriving.recv() => {
                let Some(event) = event else { return Ok(()) };
                for happening in story.apply(&event) {
                    view.tell(&story, &happening)?;
                }
            }
            _ = draw.tick(), if view.is_live() => view.draw(&story, clock.now()),
            // Ticks whether or not there is something to look at: nothing else may wake this loop for hours.
            _ = looks.tick() => {
                if look.is_none() && story.wants_a_look(clock.now()) {
                    look = Some(Box::pin(client.run(run)));
                }
            }
            seen = async { look.as_mut().expect("polled only while there is one").await }, if look.is_some() => {
                look = None;
                // A look that failed costs nothing: the stream of events says whether the engine is away.
                if let Ok(detail) = seen {
                    for happening in story.look(&detail, clock.now()) {
                        view.tell(&story, &happening)?;
                    }
                }
            }
        }
    }
}

fn ticks(every: Duration) -> tokio::time::Interval {
    let mut ticks = tokio::time::interval_at(tokio::time::Instant::now() + every, every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}
