//! `valet webhooks`: what other people's services may tell, how they prove themselves, and what was refused; and who is told what happens.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::Value;
use valet_engine::ports::{Clock, Machine};
use valet_protocol::api::{
    IncomingFailureView, IncomingProof, IncomingStart, IncomingWebhookView, OutgoingDeliveryView, OutgoingWebhookView,
    PutIncomingWebhookRequest, PutOutgoingWebhookRequest,
};

use super::client::Client;
use super::error::{CliError, at_file};
use super::exit::Exit;
use super::fields::Fields;
use super::output::Output;
use super::paging::{Paging, Rows, note_more};
use super::style::Style;
use super::table::{Cell, Table};
use super::{document, when};

/// Longest file of secrets.
const SECRETS_BYTES_MAX: u64 = 64 * 1024;

#[derive(Args, Clone, Debug)]
pub struct Webhooks {
    #[command(subcommand)]
    way: Way,
}

#[derive(Subcommand, Clone, Debug)]
enum Way {
    /// Webhooks that come in: a delivery starts a run or publishes an event
    Incoming(Incoming),
    /// Webhooks that go out: a server is told what happens to runs and tasks
    Outgoing(Outgoing),
}

#[derive(Args, Clone, Debug)]
struct Incoming {
    #[command(subcommand)]
    verb: Option<IncomingVerb>,
}

#[derive(Subcommand, Clone, Debug)]
enum IncomingVerb {
    /// List incoming webhooks by name [default]
    List,
    /// Show an incoming webhook, without its secrets
    Show { name: String },
    /// Make an incoming webhook, or change one; the same command again changes nothing
    Put(Box<PutIncoming>),
    /// Show deliveries that were refused, latest first
    Failures { name: String },
    /// Remove an incoming webhook; what it started goes on
    Remove { name: String },
}

#[derive(Args, Clone, Debug)]
struct PutIncoming {
    /// a-z, A-Z, 0-9, `.`, `_` and `-`; part of the path that senders deliver to
    name: String,
    /// How senders prove themselves: github, stripe, slack, standard, basic or api_key
    #[arg(long, value_name = "KIND")]
    proof: String,
    /// File with the secret, or with one on each line while senders change over; `-` reads standard input [default: those that it has]
    #[arg(long, value_name = "FILE")]
    secrets: Option<PathBuf>,
    /// The header with the signature or the key, where it is not the usual one
    #[arg(long)]
    header: Option<String>,
    /// The user of basic
    #[arg(long)]
    user: Option<String>,
    /// How far the time of a signature may be off, such as 2m [default: 5m]
    #[arg(long, value_name = "TIME", value_parser = when::lasting)]
    tolerance: Option<Duration>,
    /// The sender's id of a delivery, in CEL, such as payload.id [default: where it is usual]
    #[arg(long, value_name = "CEL")]
    delivery_id: Option<String>,
    /// Only deliveries for which this holds, in CEL: "payload.action == 'opened'"
    #[arg(long, value_name = "CEL")]
    filter: Option<String>,
    /// Name of the workflow of which a delivery starts a run
    #[arg(long, value_name = "WORKFLOW", required_unless_present = "publish", conflicts_with = "publish")]
    start: Option<String>,
    /// File with the start of the run, with {"$cel": "payload.user"} where a value is made of the delivery [default: the payload is the
    /// input]
    #[arg(long, value_name = "FILE", conflicts_with_all = ["json_run", "publish"])]
    run: Option<PathBuf>,
    /// The same itself
    #[arg(long, value_name = "JSON", conflicts_with = "publish")]
    json_run: Option<String>,
    /// Publish an event instead: {"key": {"$cel": "payload.type"}}
    #[arg(long, value_name = "JSON")]
    publish: Option<String>,
    /// Keep it, and tell senders to come again later
    #[arg(long)]
    paused: bool,
}

#[derive(Args, Clone, Debug)]
struct Outgoing {
    #[command(subcommand)]
    verb: Option<OutgoingVerb>,
}

#[derive(Subcommand, Clone, Debug)]
enum OutgoingVerb {
    /// List outgoing webhooks by name [default]
    List,
    /// Show an outgoing webhook, without its secrets
    Show { name: String },
    /// Make an outgoing webhook, or change one; a secret that is made for it is shown once
    Put(Box<PutOutgoing>),
    /// Show what it was told and is to be told, latest first
    Deliveries(Deliveries),
    /// Deliver a message once more, under the same id
    Redeliver { name: String, id: String },
    /// Remove an outgoing webhook with what it was still to be told
    Remove { name: String },
}

#[derive(Args, Clone, Debug)]
struct PutOutgoing {
    /// a-z, A-Z, 0-9, `.`, `_` and `-`
    name: String,
    /// Where messages are sent [default: where they go; a new one needs it]
    #[arg(long, value_name = "URL")]
    to: Option<String>,
    /// What it is told, such as run.failed; `*` at the end stands for anything: run.*
    #[arg(long = "on", value_name = "KIND", required = true)]
    kinds: Vec<String>,
    /// Only of runs of this workflow
    #[arg(long)]
    workflow: Option<String>,
    /// Only what this holds for, in CEL: "workflow != 'probe'"
    #[arg(long, value_name = "CEL")]
    filter: Option<String>,
    /// File with the secret, or with one on each line while the receiver changes over; `-` reads standard input [default: those that it
    /// has, or a new one]
    #[arg(long, value_name = "FILE")]
    secrets: Option<PathBuf>,
    /// Keep it, and tell it nothing of what happens meanwhile
    #[arg(long)]
    paused: bool,
}

#[derive(Args, Clone, Debug)]
struct Deliveries {
    name: String,
    /// waiting, delivered or failed
    #[arg(long)]
    state: Option<String>,
    #[command(flatten)]
    paging: Paging,
}

pub async fn run(args: Webhooks, client: &Client, output: &Output) -> Result<Exit, CliError> {
    match args.way {
        Way::Incoming(args) => incoming(args, client, output).await,
        Way::Outgoing(args) => outgoing(args, client, output).await,
    }
}

async fn outgoing(args: Outgoing, client: &Client, output: &Output) -> Result<Exit, CliError> {
    match args.verb.unwrap_or(OutgoingVerb::List) {
        OutgoingVerb::List => {
            let list = client.outgoing_webhooks().await?;
            output.either(&list, |style| told_table(&list.webhooks, style))?;
        }
        OutgoingVerb::Show { name } => {
            let webhook = client.outgoing_webhook(&name).await?;
            output.either(&webhook, |style| told_fields(&webhook, style))?;
        }
        OutgoingVerb::Put(put) => {
            let PutOutgoing { name, to: url, kinds, workflow, filter, secrets: file, paused } = *put;
            let secrets = file.as_deref().map(secrets).transpose()?;
            let request = PutOutgoingWebhookRequest { url, kinds, workflow, filter, secrets, paused };
            let webhook = client.put_outgoing_webhook(&name, &request).await?;
            output.either(&webhook, |style| told_fields(&webhook, style))?;
        }
        OutgoingVerb::Deliveries(Deliveries { name, state, paging }) => {
            let rows = paging.collect(async |cursor, rows| {
                let page = client.outgoing_deliveries(&name, state.as_deref(), cursor, rows).await?;
                Ok(Rows { rows: page.deliveries, next_cursor: page.next_cursor })
            });
            let Rows { rows, next_cursor } = rows.await?;
            let list = serde_json::json!({ "deliveries": rows, "next_cursor": next_cursor });
            output.either(&list, |style| deliveries(&rows, style))?;
            note_more(output, next_cursor.as_deref());
        }
        OutgoingVerb::Redeliver { name, id } => {
            client.redeliver(&name, &id).await?;
            output.either(&serde_json::json!({ "id": id, "redelivered": true }), |_| format!("{id}  on its way\n"))?;
        }
        OutgoingVerb::Remove { name } => {
            client.remove_outgoing_webhook(&name).await?;
            output.either(&serde_json::json!({ "name": name, "removed": true }), |_| format!("{name}  removed\n"))?;
        }
    }
    Ok(Exit::Done)
}

fn told_fields(webhook: &OutgoingWebhookView, style: Style) -> String {
    let mut fields = Fields::new(style);
    fields.text("webhook", &webhook.name);
    fields.text("tells", &webhook.origin);
    fields.text("of", &webhook.kinds.join(", "));
    if let Some(workflow) = &webhook.workflow {
        fields.text("workflow", workflow);
    }
    if let Some(filter) = &webhook.filter {
        fields.text("filter", filter);
    }
    if webhook.paused {
        fields.marked("state", &style.status("paused"));
    }
    if let Some(secret) = &webhook.secret {
        fields.text("secret", &format!("{secret} (shown once)"));
    }
    fields.text("made", &format!("{} by {}", when::full(webhook.created_at, Machine.now()), webhook.created_by));
    fields.render()
}

fn told_table(webhooks: &[OutgoingWebhookView], style: Style) -> String {
    if webhooks.is_empty() {
        return "no outgoing webhooks; make one with `valet webhooks outgoing put NAME --to URL --on 'run.*'`"
            .to_owned();
    }
    let mut table = Table::new(["WEBHOOK", "TELLS", "OF", "WORKFLOW", "FILTER", "STATE"]);
    for webhook in webhooks {
        table.row([
            Cell::new(&webhook.name),
            Cell::new(&webhook.origin),
            Cell::new(webhook.kinds.join(", ")),
            Cell::new(webhook.workflow.as_deref().unwrap_or_default()),
            Cell::new(webhook.filter.as_deref().unwrap_or_default()),
            Cell::marked(if webhook.paused { "paused" } else { "ok" }, Style::status),
        ]);
    }
    table.render(style)
}

fn deliveries(deliveries: &[OutgoingDeliveryView], style: Style) -> String {
    if deliveries.is_empty() {
        return "it was told nothing".to_owned();
    }
    let now = Machine.now();
    let mut table = Table::new(["MESSAGE", "KIND", "RUN", "WHEN", "STATE", "ATTEMPTS", "STATUS", "WHY"]);
    for delivery in deliveries {
        table.row([
            Cell::new(&delivery.id),
            Cell::new(&delivery.kind),
            Cell::new(&delivery.run),
            Cell::new(when::relative(delivery.at, now)),
            Cell::marked(&delivery.state, Style::status),
            Cell::number(&delivery.attempts),
            Cell::new(delivery.status.map(|status| status.to_string()).unwrap_or_default()),
            Cell::new(delivery.error.as_deref().unwrap_or_default()),
        ]);
    }
    table.render(style)
}

async fn incoming(args: Incoming, client: &Client, output: &Output) -> Result<Exit, CliError> {
    match args.verb.unwrap_or(IncomingVerb::List) {
        IncomingVerb::List => {
            let list = client.incoming_webhooks().await?;
            output.either(&list, |style| table(&list.webhooks, style))?;
        }
        IncomingVerb::Show { name } => show(&client.incoming_webhook(&name).await?, output)?,
        IncomingVerb::Put(put) => {
            let name = put.name.clone();
            show(&client.put_incoming_webhook(&name, &request(*put)?).await?, output)?;
        }
        IncomingVerb::Failures { name } => {
            let list = client.incoming_failures(&name).await?;
            output.either(&list, |style| failures(&list.failures, style))?;
        }
        IncomingVerb::Remove { name } => {
            client.remove_incoming_webhook(&name).await?;
            output.either(&serde_json::json!({ "name": name, "removed": true }), |_| format!("{name}  removed\n"))?;
        }
    }
    Ok(Exit::Done)
}

fn request(put: PutIncoming) -> Result<PutIncomingWebhookRequest, CliError> {
    let run: Option<Value> = match (&put.json_run, &put.run) {
        (Some(text), _) => Some(document::parse("--json-run", text)?),
        (None, Some(path)) => Some(document::read("--run", path)?),
        (None, None) => None,
    };
    let publish = put.publish.as_deref().map(|text| document::parse("--publish", text)).transpose()?;
    let tolerance_seconds = put.tolerance.map(|time| u32::try_from(time.as_secs()).unwrap_or(u32::MAX));
    let secrets = put.secrets.as_deref().map(secrets).transpose()?;
    Ok(PutIncomingWebhookRequest {
        proof: IncomingProof { kind: put.proof, secrets, header: put.header, user: put.user, tolerance_seconds },
        delivery_id: put.delivery_id,
        filter: put.filter,
        start: put.start.map(|workflow| IncomingStart { workflow, run }),
        publish,
        paused: put.paused,
    })
}

/// One on each line. Never on the command line: it would stay in the shell's history.
fn secrets(path: &Path) -> Result<Vec<String>, CliError> {
    let mut text = String::new();
    let read = if path == Path::new("-") {
        io::Read::read_to_string(&mut io::Read::take(io::stdin().lock(), SECRETS_BYTES_MAX), &mut text)
    } else {
        std::fs::File::open(path)
            .and_then(|file| io::Read::read_to_string(&mut io::Read::take(file, SECRETS_BYTES_MAX), &mut text))
    };
    read.map_err(at_file("read", path))?;
    Ok(text.lines().map(str::trim).filter(|line| !line.is_empty()).map(ToOwned::to_owned).collect())
}

fn show(webhook: &IncomingWebhookView, output: &Output) -> Result<(), CliError> {
    output.either(webhook, |style| fields(webhook, style))
}

fn fields(webhook: &IncomingWebhookView, style: Style) -> String {
    let mut fields = Fields::new(style);
    fields.text("webhook", &webhook.name);
    fields.text("deliver to", &webhook.path);
    fields.text("proof", &proof(&webhook.proof));
    if let Some(id) = &webhook.delivery_id {
        fields.text("id", id);
    }
    if let Some(filter) = &webhook.filter {
        fields.text("filter", filter);
    }
    if let Some(start) = &webhook.start {
        fields.text("starts", &start.workflow);
        fields.text("with", &start.run.as_ref().map(Value::to_string).unwrap_or_default());
    }
    if let Some(event) = &webhook.publish {
        fields.text("publishes", &event.to_string());
    }
    if webhook.paused {
        fields.marked("state", &style.status("paused"));
    }
    fields.text("made", &format!("{} by {}", when::full(webhook.created_at, Machine.now()), webhook.created_by));
    fields.render()
}

fn proof(proof: &IncomingProof) -> String {
    let more = [proof.header.as_deref(), proof.user.as_deref()].into_iter().flatten();
    more.fold(proof.kind.clone(), |text, one| format!("{text} {one}"))
}

fn table(webhooks: &[IncomingWebhookView], style: Style) -> String {
    if webhooks.is_empty() {
        let how = "valet webhooks incoming put NAME --proof github --secrets FILE --start WORKFLOW";
        return format!("no incoming webhooks; make one with `{how}`");
    }
    let mut table = Table::new(["WEBHOOK", "PROOF", "FILTER", "MAKES", "STATE", "DELIVER TO"]);
    for webhook in webhooks {
        let makes = webhook.start.as_ref().map_or_else(|| "an event".to_owned(), |start| start.workflow.clone());
        table.row([
            Cell::new(&webhook.name),
            Cell::new(proof(&webhook.proof)),
            Cell::new(webhook.filter.as_deref().unwrap_or_default()),
            Cell::new(makes),
            Cell::marked(if webhook.paused { "paused" } else { "ok" }, Style::status),
            Cell::new(&webhook.path),
        ]);
    }
    table.render(style)
}

fn failures(failures: &[IncomingFailureView], style: Style) -> String {
    if failures.is_empty() {
        return "no delivery was refused".to_owned();
    }
    let mut table = Table::new(["WHEN", "WHY", "FROM"]);
    for failure in failures {
        table.row([
            Cell::new(when::relative(failure.at, Machine.now())),
            Cell::new(&failure.reason),
            Cell::new(failure.address.as_deref().unwrap_or_default()),
        ]);
    }
    table.render(style)
}
