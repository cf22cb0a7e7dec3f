//! `valet schedules`: what starts runs at instants that were said before.

use std::time::Duration;

use clap::{Args, Subcommand};
use uuid::Uuid;
use valet_core::Timestamp;
use valet_engine::ports::{Clock, Machine};
use valet_protocol::api::{BackfillRequest, FireView, PutScheduleRequest, ScheduleView, TriggerScheduleRequest};

use super::client::Client;
use super::error::CliError;
use super::exit::Exit;
use super::fields::Fields;
use super::output::Output;
use super::paging::{Paging, Rows, note_more};
use super::start::Asked;
use super::style::Style;
use super::table::{Cell, Table};
use super::when;

#[derive(Args, Clone, Debug)]
pub struct Schedules {
    #[command(subcommand)]
    verb: Option<SchedulesVerb>,
}

#[derive(Subcommand, Clone, Debug)]
enum SchedulesVerb {
    /// List schedules by name [default]
    List(Paging),
    /// Show a schedule with its next ten instants
    Show { name: String },
    /// Make a schedule, or change one; the same command again changes nothing
    Put(Box<Put>),
    /// Let its instants pass without a run
    Pause { name: String },
    /// Let it go on with its next instant
    Resume { name: String },
    /// Start a run of it now
    Trigger(Trigger),
    /// Start runs for instants that passed
    Backfill(Backfill),
    /// Show what became of its instants, latest first
    Fires(Fires),
    /// Remove a schedule; runs that it started go on
    Remove { name: String },
}

#[derive(Args, Clone, Debug)]
struct Put {
    /// a-z, A-Z, 0-9, `.`, `_` and `-`; never personal
    name: String,
    /// Name of the workflow; `valet workflows` lists them
    #[arg(long)]
    workflow: String,
    /// Minute, hour, day of month, month, day of week: "30 9 * * MON-FRI"; six fields begin with seconds
    #[arg(long, value_name = "EXPRESSION", required_unless_present = "at", conflicts_with = "at")]
    cron: Option<String>,
    /// One instant instead, such as 2027-01-15T08:00:00Z
    #[arg(long, value_name = "INSTANT")]
    at: Option<Timestamp>,
    /// The time zone of the expression, such as Europe/Berlin [default: UTC]
    #[arg(long)]
    zone: Option<String>,
    /// While a run of it is under way: skip, queue, cancel_old or allow [default: skip]
    #[arg(long)]
    overlap: Option<String>,
    /// How late an instant may still start its run, such as 90m [default: 1h]
    #[arg(long, value_name = "TIME", value_parser = when::lasting)]
    catch_up: Option<Duration>,
    /// Only check it, and show its next instants
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    asked: Asked,
}

#[derive(Args, Clone, Debug)]
struct Trigger {
    name: String,
    /// While a run of it is under way: skip, queue, cancel_old or allow [default: the schedule's]
    #[arg(long)]
    overlap: Option<String>,
    /// The same key starts one run, however often the command is repeated
    #[arg(long, value_name = "IDEMPOTENCY_KEY")]
    key: Option<String>,
}

#[derive(Args, Clone, Debug)]
struct Backfill {
    name: String,
    /// The first instant may be this one
    #[arg(long, value_name = "INSTANT")]
    from: Timestamp,
    /// The last one is before this
    #[arg(long, value_name = "INSTANT")]
    until: Timestamp,
    /// While a run of it is under way: skip, queue, cancel_old or allow [default: queue]
    #[arg(long)]
    overlap: Option<String>,
}

#[derive(Args, Clone, Debug)]
struct Fires {
    name: String,
    /// waiting, starting, started, skipped or refused
    #[arg(long)]
    state: Option<String>,
    #[command(flatten)]
    paging: Paging,
}

pub async fn run(args: Schedules, client: &Client, output: &Output) -> Result<Exit, CliError> {
    match args.verb.unwrap_or_else(|| SchedulesVerb::List(Paging::default())) {
        SchedulesVerb::List(paging) => {
            let rows = paging.collect(async |cursor, rows| {
                let page = client.schedules(cursor, rows).await?;
                Ok(Rows { rows: page.schedules, next_cursor: page.next_cursor })
            });
            let Rows { rows, next_cursor } = rows.await?;
            let list = serde_json::json!({ "schedules": rows, "next_cursor": next_cursor });
            output.either(&list, |style| table(&rows, style))?;
            note_more(output, next_cursor.as_deref());
        }
        SchedulesVerb::Show { name } => show(&client.schedule(&name).await?, output)?,
        SchedulesVerb::Put(put) => {
            let request = PutScheduleRequest {
                workflow: put.workflow,
                cron: put.cron,
                at: put.at,
                zone: put.zone,
                overlap: put.overlap,
                catch_up_seconds: put.catch_up.map(|time| u32::try_from(time.as_secs()).unwrap_or(u32::MAX)),
                run: put.asked.request()?,
            };
            show(&client.put_schedule(&put.name, &request, put.dry_run).await?, output)?;
        }
        SchedulesVerb::Pause { name } => show(&client.gate_schedule(&name, "pause").await?, output)?,
        SchedulesVerb::Resume { name } => show(&client.gate_schedule(&name, "resume").await?, output)?,
        SchedulesVerb::Trigger(Trigger { name, overlap, key }) => {
            let key = key.unwrap_or_else(|| Uuid::new_v4().to_string());
            let fire = client.trigger_schedule(&name, &TriggerScheduleRequest { overlap }, &key).await?;
            output.either(&fire, |_| told(&fire))?;
            if fire.state == "refused" {
                return Ok(Exit::Failed);
            }
        }
        SchedulesVerb::Backfill(Backfill { name, from, until, overlap }) => {
            let told = client.backfill(&name, &BackfillRequest { from, until, overlap }).await?;
            output.either(&told, |_| format!("{} to start, {} known before", told.added, told.known))?;
        }
        SchedulesVerb::Fires(Fires { name, state, paging }) => {
            let rows = paging.collect(async |cursor, rows| {
                let page = client.fires(&name, state.as_deref(), cursor, rows).await?;
                Ok(Rows { rows: page.fires, next_cursor: page.next_cursor })
            });
            let Rows { rows, next_cursor } = rows.await?;
            let list = serde_json::json!({ "fires": rows, "next_cursor": next_cursor });
            output.either(&list, |style| fires(&rows, style))?;
            note_more(output, next_cursor.as_deref());
        }
        SchedulesVerb::Remove { name } => {
            client.remove_schedule(&name).await?;
            output.either(&serde_json::json!({ "name": name, "removed": true }), |_| format!("{name}  removed\n"))?;
        }
    }
    Ok(Exit::Done)
}

fn show(schedule: &ScheduleView, output: &Output) -> Result<(), CliError> {
    output.either(schedule, |style| fields(schedule, style))
}

fn fields(schedule: &ScheduleView, style: Style) -> String {
    let mut fields = Fields::new(style);
    fields.text("schedule", &schedule.name);
    fields.text("workflow", &schedule.workflow);
    fields.text("subject", &schedule.subject);
    fields.text("runs", &timing(schedule));
    fields.text("overlap", &schedule.overlap);
    fields.text("catches up", &when::took(Duration::from_secs(schedule.catch_up_seconds.into())));
    if schedule.paused {
        fields.marked("state", &style.status("paused"));
    }
    if let Some(last) = &schedule.last {
        let outcome = last.run.as_ref().or(last.reason.as_ref());
        let outcome = outcome.map(|outcome| format!(" {outcome}")).unwrap_or_default();
        fields.text("last", &format!("{} {}{outcome}", when::full(last.at, Machine.now()), last.state));
    }
    if let Some(missed) = &schedule.missed {
        fields.text("missed", &format!("{} until {}", missed.from.to_rfc3339(), missed.until.to_rfc3339()));
    }
    for (place, next) in schedule.next.iter().enumerate() {
        fields.text(if place == 0 { "next" } else { "" }, next);
    }
    fields.render()
}

fn timing(schedule: &ScheduleView) -> String {
    match (&schedule.cron, schedule.at) {
        (Some(cron), _) => format!("{cron} in {}", schedule.zone),
        (None, Some(at)) => format!("once, {}", at.to_rfc3339()),
        (None, None) => String::new(),
    }
}

fn table(schedules: &[ScheduleView], style: Style) -> String {
    if schedules.is_empty() {
        return "no schedules; make one with `valet schedules put NAME --workflow W --cron EXPRESSION`".to_owned();
    }
    let mut table = Table::new(["SCHEDULE", "WORKFLOW", "RUNS", "OVERLAP", "STATE", "NEXT", "LAST"]);
    for schedule in schedules {
        let state = match (schedule.paused, schedule.next.is_empty()) {
            (true, _) => "paused",
            (false, true) => "over",
            (false, false) => "ok",
        };
        table.row([
            Cell::new(&schedule.name),
            Cell::new(&schedule.workflow),
            Cell::new(timing(schedule)),
            Cell::new(&schedule.overlap),
            Cell::marked(state, Style::status),
            Cell::new(schedule.next.first().map_or("", String::as_str)),
            Cell::new(schedule.last.as_ref().map_or("", |last| last.state.as_str())),
        ]);
    }
    table.render(style)
}

fn fires(fires: &[FireView], style: Style) -> String {
    if fires.is_empty() {
        return "none of its instants has come".to_owned();
    }
    let mut table = Table::new(["INSTANT", "BY", "STATE", "RUN", "WHY"]);
    for fire in fires {
        table.row([
            Cell::new(fire.at.to_rfc3339()),
            Cell::new(&fire.origin),
            Cell::marked(&fire.state, Style::status),
            Cell::new(fire.run.as_deref().unwrap_or_default()),
            Cell::new(fire.reason.as_deref().unwrap_or_default()),
        ]);
    }
    table.render(style)
}

fn told(fire: &FireView) -> String {
    let outcome = fire.run.as_ref().or(fire.reason.as_ref());
    outcome.map_or_else(|| fire.state.clone(), |outcome| format!("{}  {outcome}", fire.state))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedules_show_when_they_run_and_what_came_of_it() {
        let daily = ScheduleView {
            name: "nightly".to_owned(),
            workflow: "apply".to_owned(),
            subject: "ada".to_owned(),
            cron: Some("30 2 * * *".to_owned()),
            zone: "Europe/Berlin".to_owned(),
            overlap: "skip".to_owned(),
            catch_up_seconds: 3_600,
            next: vec!["2026-03-29T03:00:00+02:00".to_owned(), "2026-03-30T02:30:00+02:00".to_owned()],
            ..ScheduleView::default()
        };
        let once = ScheduleView {
            name: "once".to_owned(),
            workflow: "apply".to_owned(),
            at: Some("2026-11-21T06:00:00Z".parse().unwrap()),
            overlap: "allow".to_owned(),
            ..ScheduleView::default()
        };
        let text = table(&[daily.clone(), once], Style::default());
        let expected = "\
SCHEDULE  WORKFLOW  RUNS                             OVERLAP  STATE  NEXT
nightly   apply     30 2 * * * in Europe/Berlin      skip     ok     2026-03-29T03:00:00+02:00
once      apply     once, 2026-11-21T06:00:00+00:00  allow    over
";
        assert_eq!(text, expected);
        let text = fields(&daily, Style::default());
        assert!(text.contains("runs        30 2 * * * in Europe/Berlin\n"), "{text}");
        assert!(text.ends_with("2026-03-29T03:00:00+02:00\n            2026-03-30T02:30:00+02:00\n"), "{text}");
    }
}
