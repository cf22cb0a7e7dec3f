//! Logs: text for people, JSON for machines, always with the ids of what they speak of.

use tracing_subscriber::EnvFilter;

use crate::settings::{Settings, SettingsError, wrong};

/// What libraries say of things that Valet handles itself: their workers come and go, a flushed Redis heals, a schema is
/// there already. A filter that names one of them is heard.
const NOISE: &str = "apalis=warn,apalis_core=warn,apalis_redis=error,sqlx::postgres::notice=warn";

/// Sends logs to standard error; standard output is for results.
pub fn init(settings: &Settings) -> Result<(), SettingsError> {
    let filter = settings.text("log.filter")?;
    let filter = EnvFilter::try_new(format!("{NOISE},{filter}")).map_err(|e| wrong("log.filter", e.to_string()))?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A second call in one process (tests) keeps the first.
    let _ = match settings.text("log.format")? {
        "json" => builder.json().flatten_event(true).with_current_span(true).try_init(),
        "text" => builder.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).try_init(),
        other => return Err(wrong("log.format", format!("`{other}` is neither `text` nor `json`"))),
    };
    Ok(())
}
