//! `valet tokens`: make, list and revoke tokens of people and producers.

use std::time::Duration;

use clap::{Args, Subcommand};
use valet_core::Timestamp;
use valet_engine::ports::{Clock, Machine};
use valet_protocol::api::{CreateTokenRequest, TokenView};

use super::client::Client;
use super::error::CliError;
use super::exit::Exit;
use super::fields::Fields;
use super::output::Output;
use super::style::Style;
use super::table::{Cell, Table};
use super::when;

#[derive(Args, Clone, Debug)]
pub struct Tokens {
    #[command(subcommand)]
    verb: Option<TokensVerb>,
}

#[derive(Subcommand, Clone, Debug)]
enum TokensVerb {
    /// Make a token; its secret is shown this once
    Create(Create),
    /// List tokens, those that were revoked last [default]
    List,
    /// Revoke a token: at once where it is asked for, within two seconds on every engine
    Revoke {
        /// `tok_…`
        id: String,
    },
}

#[derive(Args, Clone, Debug)]
struct Create {
    /// Stands beside what is done with it
    name: String,
    /// viewer, reviewer, operator, admin, or worker: for workers that do this tenant's steps only
    #[arg(long, required_unless_present = "scope", conflicts_with = "scope")]
    role: Option<String>,
    /// Instead of a role: trigger, read, operate, answer, admin, or work alone; may be given several times
    #[arg(long)]
    scope: Vec<String>,
    /// Only runs of this workflow; may be given several times [default: all]
    #[arg(long)]
    workflow: Vec<String>,
    /// Only what is of this subject; may be given several times [default: all]
    #[arg(long)]
    subject: Vec<String>,
    /// Of another tenant: with the token of the engine's own file only [default: one's own]
    #[arg(long)]
    tenant: Option<String>,
    /// Such as 30d, 12h, 90m; without it the token does not expire
    #[arg(long, value_name = "TIME", value_parser = when::lasting)]
    expires: Option<Duration>,
}

pub async fn run(args: Tokens, client: &Client, output: &Output) -> Result<Exit, CliError> {
    match args.verb.unwrap_or(TokensVerb::List) {
        TokensVerb::Create(create) => {
            let some = |names: Vec<String>| Some(names).filter(|names| !names.is_empty());
            let request = CreateTokenRequest {
                name: create.name,
                tenant: create.tenant,
                role: create.role,
                scopes: some(create.scope),
                workflows: some(create.workflow),
                subjects: some(create.subject),
                expires_in_s: create.expires.map(|time| u32::try_from(time.as_secs()).unwrap_or(u32::MAX)),
            };
            let created = client.create_token(&request).await?;
            output.either(&created, |style| {
                let mut fields = Fields::new(style);
                fields.text("token", &created.secret);
                fields.text("id", &created.token.id);
                fields.text("may", &created.token.scopes.join(", "));
                fields.text("reaches", &reach(&created.token));
                if let Some(at) = created.token.expires_at {
                    fields.text("expires", &when::full(at, Machine.now()));
                }
                fields.render()
            })?;
            output.note("keep the token now: it is not shown again");
        }
        TokensVerb::List => {
            let list = client.tokens().await?;
            output.either(&list, |style| render(&list.tokens, Machine.now(), style))?;
        }
        TokensVerb::Revoke { id } => {
            client.revoke_token(&id).await?;
            output.either(&serde_json::json!({ "id": id, "revoked": true }), |_| format!("{id}  revoked\n"))?;
        }
    }
    Ok(Exit::Done)
}

fn render(tokens: &[TokenView], now: Timestamp, style: Style) -> String {
    if tokens.is_empty() {
        return "no tokens but those of files; make one with `valet tokens create NAME --role viewer`".to_owned();
    }
    let mut table = Table::new(["TOKEN", "NAME", "MAY", "REACHES", "LAST USED", "EXPIRES", "STATE"]);
    for token in tokens {
        let state = match (token.revoked_at, token.expires_at) {
            (Some(_), _) => "revoked",
            (None, Some(at)) if at <= now => "expired",
            _ => "ok",
        };
        let at = |at: Option<Timestamp>| at.map_or_else(|| "never".to_owned(), |at| when::relative(at, now));
        table.row([
            Cell::new(&token.id),
            Cell::new(&token.name),
            Cell::new(token.scopes.join(", ")),
            Cell::new(reach(token)),
            Cell::new(at(token.last_used_at)),
            Cell::new(at(token.expires_at)),
            Cell::marked(state, Style::status),
        ]);
    }
    table.render(style)
}

fn reach(token: &TokenView) -> String {
    let limit =
        |what: &str, names: &Option<Vec<String>>| names.as_ref().map(|names| format!("{what} {}", names.join(", ")));
    let limits: Vec<String> =
        [limit("workflow", &token.workflows), limit("subject", &token.subjects)].into_iter().flatten().collect();
    if limits.is_empty() { "everything".to_owned() } else { limits.join("; ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_show_what_they_may_and_whether_they_still_do() {
        let now: Timestamp = "2026-11-21T06:00:00Z".parse().unwrap();
        let token = |name: &str, expires_at: Option<&str>, revoked_at: Option<&str>| TokenView {
            id: format!("tok_{name}"),
            name: name.to_owned(),
            scopes: vec!["read".to_owned()],
            workflows: (name == "ci").then(|| vec!["bench".to_owned()]),
            subjects: None,
            created_at: now,
            created_by: "operator".to_owned(),
            expires_at: expires_at.map(|at| at.parse().unwrap()),
            last_used_at: None,
            revoked_at: revoked_at.map(|at| at.parse().unwrap()),
        };
        let text = render(
            &[
                token("ci", None, None),
                token("old", Some("2026-11-21T05:00:00Z"), None),
                token("gone", None, Some("2026-11-21T05:00:00Z")),
            ],
            now,
            Style::default(),
        );
        let expected = "\
TOKEN     NAME  MAY   REACHES         LAST USED  EXPIRES  STATE
tok_ci    ci    read  workflow bench  never      never    ok
tok_old   old   read  everything      never      1 h ago  expired
tok_gone  gone  read  everything      never      never    revoked
";
        assert_eq!(text, expected);
    }
}
