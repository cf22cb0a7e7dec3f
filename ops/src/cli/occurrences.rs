//! `valet events`: push what happened, see what it started, and say what shall start.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::Value;
use uuid::Uuid;
use valet_engine::ports::{Clock, Machine};
use valet_protocol::api::{EventTriggerView, EventView, PushEventRequest, PutEventTriggerRequest};

use super::client::Client;
use super::error::CliError;
use super::exit::Exit;
use super::fields::Fields;
use super::output::Output;
use super::paging::{Paging, Rows, note_more};
use super::style::Style;
use super::table::{Cell, Table};
use super::{document, when};

#[derive(Args, Clone, Debug)]
pub struct Occurrences {
    #[command(subcommand)]
    verb: Option<EventsVerb>,
}

#[derive(Subcommand, Clone, Debug)]
enum EventsVerb {
    /// List events with what they started, newest first [default]
    List(List),
    /// Show an event with what it carries and what it started
    Show { id: String },
    /// Tell that something happened: a run starts for each trigger that it fits
    Push(Push),
    /// Push an event once more, to the triggers as they are now
    Replay {
        id: String,
        /// The same key replays it once, however often the command is repeated
        #[arg(long, value_name = "IDEMPOTENCY_KEY")]
        key: Option<String>,
    },
    /// List triggers
    Triggers,
    /// Make a trigger, or change one; the same command again changes nothing
    PutTrigger(PutTrigger),
    /// Remove a trigger; runs that it started go on
    RemoveTrigger { name: String },
}

#[derive(Args, Clone, Debug, Default)]
struct List {
    /// Only events of this key
    #[arg(long)]
    of: Option<String>,
    #[command(flatten)]
    paging: Paging,
}

#[derive(Args, Clone, Debug)]
struct Push {
    /// What happened, such as user:created; never personal
    event: String,
    /// What it carries
    #[arg(long, value_name = "JSON", default_value = "null")]
    payload: String,
    /// Which triggers may see it, besides those without a scope
    #[arg(long)]
    scope: Option<String>,
    /// The end user whom it is about
    #[arg(long)]
    subject: Option<String>,
    /// The same key tells it once, however often the command is repeated
    #[arg(long, value_name = "IDEMPOTENCY_KEY")]
    key: Option<String>,
}

#[derive(Args, Clone, Debug)]
struct PutTrigger {
    /// a-z, A-Z, 0-9, `.`, `_` and `-`
    name: String,
    /// Keys of the events that it fits; `*` stands for any characters
    #[arg(long)]
    on: String,
    /// Name of the workflow; `valet workflows` lists them
    #[arg(long)]
    workflow: String,
    /// Only events of this scope
    #[arg(long)]
    scope: Option<String>,
    /// Only events for which this holds, in CEL: "payload.amount > 100"
    #[arg(long, value_name = "CEL")]
    filter: Option<String>,
    /// File with the start of the run, with {"$cel": "payload.user"} where a value is made of the event [default: the payload is the
    /// input]
    #[arg(long, value_name = "FILE", conflicts_with = "json_run")]
    run: Option<PathBuf>,
    /// The same itself
    #[arg(long, value_name = "JSON")]
    json_run: Option<String>,
    /// Keep it, and start nothing
    #[arg(long)]
    paused: bool,
}

pub async fn run(args: Occurrences, client: &Client, output: &Output) -> Result<Exit, CliError> {
    match args.verb.unwrap_or_else(|| EventsVerb::List(List::default())) {
        EventsVerb::List(List { of, paging }) => {
            let rows = paging.collect(async |cursor, rows| {
                let page = client.events_pushed(of.as_deref(), cursor, rows).await?;
                Ok(Rows { rows: page.events, next_cursor: page.next_cursor })
            });
            let Rows { rows, next_cursor } = rows.await?;
            let list = serde_json::json!({ "events": rows, "next_cursor": next_cursor });
            output.either(&list, |style| table(&rows, style))?;
            note_more(output, next_cursor.as_deref());
        }
        EventsVerb::Show { id } => {
            let event = client.event_pushed(&id).await?;
            output.either(&event, |style| fields(&event, style))?;
        }
        EventsVerb::Push(Push { event, payload, scope, subject, key }) => {
            let payload = document::parse("--payload", &payload)?;
            let key = key.unwrap_or_else(|| Uuid::new_v4().to_string());
            let request = PushEventRequest { key: event, scope, subject, payload };
            return told(&client.push_event(&request, &key).await?, output);
        }
        EventsVerb::Replay { id, key } => {
            let key = key.unwrap_or_else(|| Uuid::new_v4().to_string());
            return told(&client.replay_event(&id, &key).await?, output);
        }
        EventsVerb::Triggers => {
            let list = client.event_triggers().await?;
            output.either(&list, |style| triggers(&list.triggers, style))?;
        }
        EventsVerb::PutTrigger(put) => {
            let run: Option<Value> = match (&put.json_run, &put.run) {
                (Some(text), _) => Some(document::parse("--json-run", text)?),
                (None, Some(path)) => Some(document::read("--run", path)?),
                (None, None) => None,
            };
            let PutTrigger { name, on, workflow, scope, filter, paused, .. } = put;
            let request = PutEventTriggerRequest { key: on, scope, filter, workflow, run, paused };
            let trigger = client.put_event_trigger(&name, &request).await?;
            output.either(&trigger, |style| triggers(std::slice::from_ref(&trigger), style))?;
        }
        EventsVerb::RemoveTrigger { name } => {
            client.remove_event_trigger(&name).await?;
            output.either(&serde_json::json!({ "name": name, "removed": true }), |_| format!("{name}  removed\n"))?;
        }
    }
    Ok(Exit::Done)
}

/// What an event started; that some of it was refused is told by the exit code too.
fn told(event: &EventView, output: &Output) -> Result<Exit, CliError> {
    output.either(event, |style| fields(event, style))?;
    let is_refused = event.runs.iter().any(|run| run.state == "refused");
    Ok(if is_refused { Exit::Failed } else { Exit::Done })
}

fn fields(event: &EventView, style: Style) -> String {
    let mut fields = Fields::new(style);
    fields.text("event", &event.id);
    fields.text("key", &event.key);
    if let Some(scope) = &event.scope {
        fields.text("scope", scope);
    }
    fields.text("subject", &event.subject);
    fields.text("at", &when::full(event.at, Machine.now()));
    if let Some(first) = &event.replay_of {
        fields.text("replay of", first);
    }
    for run in &event.runs {
        let outcome = run.run.as_ref().filter(|_| run.reason.is_none()).or(run.reason.as_ref());
        let outcome = outcome.map_or("", String::as_str);
        fields.text("started", &format!("{}: {} {} {outcome}", run.trigger, run.workflow, run.state));
    }
    if let Some(woken) = event.woken {
        fields.text("woke", &format!("{woken} waiting"));
    }
    fields.render()
}

fn table(events: &[EventView], style: Style) -> String {
    if events.is_empty() {
        return "no events; tell of one with `valet events push KEY --payload JSON`".to_owned();
    }
    let now = Machine.now();
    let mut table = Table::new(["EVENT", "KEY", "SCOPE", "SUBJECT", "WHEN", "RUNS", "REFUSED"]);
    for event in events {
        let refused = event.runs.iter().filter(|run| run.state == "refused").count();
        table.row([
            Cell::new(&event.id),
            Cell::new(&event.key),
            Cell::new(event.scope.as_deref().unwrap_or_default()),
            Cell::new(&event.subject),
            Cell::new(when::relative(event.at, now)),
            Cell::number(&(event.runs.len() - refused)),
            Cell::new(if refused > 0 { refused.to_string() } else { String::new() }),
        ]);
    }
    table.render(style)
}

fn triggers(triggers: &[EventTriggerView], style: Style) -> String {
    if triggers.is_empty() {
        return "no triggers; make one with `valet events put-trigger NAME --on 'user:*' --workflow W`".to_owned();
    }
    let mut table = Table::new(["TRIGGER", "ON", "SCOPE", "FILTER", "WORKFLOW", "STATE"]);
    for trigger in triggers {
        table.row([
            Cell::new(&trigger.name),
            Cell::new(&trigger.key),
            Cell::new(trigger.scope.as_deref().unwrap_or_default()),
            Cell::new(trigger.filter.as_deref().unwrap_or_default()),
            Cell::new(&trigger.workflow),
            Cell::marked(if trigger.paused { "paused" } else { "ok" }, Style::status),
        ]);
    }
    table.render(style)
}
