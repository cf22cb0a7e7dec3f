//! `valet pause`, `valet resume`, `valet pauses`: what is paused beside single runs.

use clap::{Args, Subcommand};
use valet_core::Timestamp;
use valet_engine::ports::{Clock, Machine};
use valet_protocol::api::{PauseRequest, PauseView, ResumeRequest};

use super::client::Client;
use super::error::CliError;
use super::exit::Exit;
use super::output::Output;
use super::style::Style;
use super::table::{Cell, Table};
use super::{text, when};

#[derive(Args, Clone, Debug)]
pub struct Pause {
    #[command(subcommand)]
    what: What,
    /// For people who find it paused
    #[arg(long, global = true, default_value = "", hide_default_value = true)]
    reason: String,
    /// Of a workflow or a queue: for every tenant, with the token of the engine's own file
    #[arg(long, global = true)]
    all_tenants: bool,
}

#[derive(Args, Clone, Debug)]
pub struct Resume {
    #[command(subcommand)]
    what: What,
    /// Ends the pause that was set for every tenant
    #[arg(long, global = true)]
    all_tenants: bool,
}

#[derive(Subcommand, Clone, Debug)]
enum What {
    /// The runs of a workflow; clean-ups of runs that end go on
    Workflow { name: String },
    /// The steps of a queue, also before it has workers
    Queue { name: String },
    /// A worker, by its session (`sess_…`) or its name: it finishes what it has
    Worker { id: String },
    /// All that is a tenant's
    Tenant { name: String },
    /// Everything, with the token of the engine's own file
    Engine,
}

impl What {
    /// Its place below `/api/v1`.
    fn place(&self) -> Vec<&str> {
        match self {
            Self::Workflow { name } => vec!["workflows", name],
            Self::Queue { name } => vec!["queues", name],
            Self::Worker { id } => vec!["workers", id],
            Self::Tenant { name } => vec!["tenants", name],
            Self::Engine => vec!["engine"],
        }
    }

    fn words(&self) -> String {
        let (scope, name) = match self {
            Self::Workflow { name } => ("workflow", name.as_str()),
            Self::Queue { name } => ("queue", name.as_str()),
            Self::Worker { id } => ("worker", id.as_str()),
            Self::Tenant { name } => ("tenant", name.as_str()),
            Self::Engine => ("engine", ""),
        };
        text::line(format!("{scope} {name}").trim_end())
    }
}

pub async fn pause(args: Pause, client: &Client, output: &Output) -> Result<Exit, CliError> {
    let Pause { what, reason, all_tenants } = args;
    let pause = client.pause_all(what.place(), &PauseRequest { reason, all_tenants }).await?;
    output.either(&pause, |style| format!("{}  {}", what.words(), style.status("paused")))?;
    Ok(Exit::Done)
}

pub async fn resume(args: Resume, client: &Client, output: &Output) -> Result<Exit, CliError> {
    let Resume { what, all_tenants } = args;
    let left = client.resume_all(what.place(), &ResumeRequest { all_tenants }).await?;
    output.either(&left, |_| format!("{}  resumed", what.words()))?;
    if !left.pauses.is_empty() {
        output.note("other pauses are in force; `valet pauses` lists them");
    }
    Ok(Exit::Done)
}

pub async fn list(client: &Client, output: &Output) -> Result<Exit, CliError> {
    let list = client.pauses().await?;
    output.either(&list, |style| render(&list.pauses, Machine.now(), style))?;
    Ok(Exit::Done)
}

fn render(pauses: &[PauseView], now: Timestamp, style: Style) -> String {
    if pauses.is_empty() {
        return "nothing is paused but single runs, if any: `valet runs` shows them".to_owned();
    }
    let mut table = Table::new(["PAUSED", "NAME", "TENANT", "BY", "SINCE", "REASON"]);
    for pause in pauses {
        let tenant = if pause.tenant == "*" { "all" } else { &pause.tenant };
        table.row([
            Cell::new(&pause.scope),
            Cell::new(pause.name.as_deref().unwrap_or("-")),
            Cell::new(tenant),
            Cell::new(&pause.paused_by),
            Cell::new(when::relative(pause.at, now)),
            Cell::new(&pause.reason),
        ]);
    }
    table.render(style)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_show_whose_they_are_and_why() {
        let pause = |scope: &str, tenant: &str, name: Option<&str>| PauseView {
            scope: scope.to_owned(),
            tenant: tenant.to_owned(),
            name: name.map(ToOwned::to_owned),
            version: 1,
            paused_by: "ada".to_owned(),
            reason: "quiet, please".to_owned(),
            at: "2026-11-21T06:00:00Z".parse().unwrap(),
        };
        let pauses = [pause("engine", "*", None), pause("workflow", "acme", Some("apply"))];
        let text = render(&pauses, "2026-11-21T06:00:02Z".parse().unwrap(), Style::default());
        let expected = "\
PAUSED    NAME   TENANT  BY   SINCE    REASON
engine    -      all     ada  2 s ago  quiet, please
workflow  apply  acme    ada  2 s ago  quiet, please
";
        assert_eq!(text, expected);
    }
}
