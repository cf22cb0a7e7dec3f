//! `valet doctor`: looks at the engine, the token, the workers, this machine's programs, clock, database and folders; says what to do.
//!
//! It changes nothing.

use std::fmt::Write as _;

use serde::Serialize;

use super::error::CliError;
use super::exit::{EXIT_CODES, Exit};
use super::global::Global;
use super::output::Output;
use super::style::Style;
use super::table::{Cell, Table};
use super::text;
use crate::roles::worker::browser_kind;
use crate::settings::Settings;

mod engines;
mod places;
mod programs;

#[derive(clap::Args, Clone, Debug)]
#[command(after_help = EXIT_CODES)]
pub struct Doctor {}

/// How a check went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Ok,
    /// Something that may be missed later.
    Warn,
    Fail,
}

impl Verdict {
    fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    pub name: String,
    pub verdict: Verdict,
    pub found: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
    #[serde(skip)]
    exit: Exit,
}

impl Check {
    fn ok(name: impl Into<String>, found: impl Into<String>) -> Self {
        Self { name: name.into(), verdict: Verdict::Ok, found: found.into(), fix: None, exit: Exit::Done }
    }

    fn warn(name: impl Into<String>, found: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { verdict: Verdict::Warn, fix: Some(fix.into()), ..Self::ok(name, found) }
    }

    fn fail(name: impl Into<String>, found: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { verdict: Verdict::Fail, exit: Exit::Failed, ..Self::warn(name, found, fix) }
    }

    fn exits(self, exit: Exit) -> Self {
        Self { exit, ..self }
    }
}

#[derive(Serialize)]
struct Report {
    verdict: Verdict,
    checks: Vec<Check>,
}

pub async fn run(global: &Global, output: &Output) -> Result<Exit, CliError> {
    let urls = global.urls()?;
    // Settings that are wrong are told by whoever starts with them.
    let settings = Settings::read().ok();
    let browser = settings.as_ref().and_then(|settings| browser_kind(settings).ok()).unwrap_or_default();
    let of_settings = async {
        match &settings {
            Some(settings) => places::checks(settings).await,
            None => Vec::new(),
        }
    };
    let (engines, programs, places) =
        tokio::join!(engines::checks(global, &urls), programs::checks(browser), of_settings);
    let checks: Vec<Check> = engines.into_iter().chain(places).chain(programs).collect();
    let verdict = checks.iter().map(|check| check.verdict).max().unwrap_or(Verdict::Ok);
    let exit = checks.iter().map(|check| check.exit).find(|exit| *exit != Exit::Done).unwrap_or(Exit::Done);
    let report = Report { verdict, checks };
    output.either(&report, |style| render(&report.checks, style))?;
    Ok(exit)
}

fn render(checks: &[Check], style: Style) -> String {
    let mut table = Table::new(["STATE", "CHECK", "FOUND"]);
    for check in checks {
        let verdict = Cell::marked(check.verdict.word(), Style::status);
        table.row([verdict, Cell::new(&check.name), Cell::new(&check.found)]);
    }
    let mut text = table.render(style);
    let fixes: Vec<&Check> = checks.iter().filter(|check| check.fix.is_some()).collect();
    if !fixes.is_empty() {
        text.push_str("\nwhat to do\n");
    }
    for check in fixes {
        let fix = check.fix.as_deref().map(text::line).unwrap_or_default();
        let _ = writeln!(text, "  {}: {fix}", text::line(&check.name));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_comes_with_what_to_do() {
        let checks = [Check::ok("clock", "2 s apart"), Check::warn("workers", "none", "start one with `valet worker`")];
        let expected = "\
STATE  CHECK    FOUND
ok     clock    2 s apart
warn   workers  none

what to do
  workers: start one with `valet worker`
";
        assert_eq!(render(&checks, Style::default()), expected);
    }
}
