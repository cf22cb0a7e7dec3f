//! Postgres's configuration, written anew at each start.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::{PostgresServer, text as utf8};
use crate::error::StackError;
use crate::files;
use crate::home::Home;

/// Lies in the home, not in the data directory, which belongs to the servers' user.
pub(super) fn file(home: &Home) -> PathBuf {
    home.root.join("postgres.conf")
}

fn access_file(home: &Home) -> PathBuf {
    home.root.join("postgres-access.conf")
}

pub(super) fn write(server: &PostgresServer) -> Result<(), StackError> {
    let home = &server.home;
    files::replace(&access_file(home), &access(server), home.user.owner())?;
    files::replace(&file(home), &text(server)?, home.user.owner())
}

/// The whole configuration. `initdb`'s own file comes first, for the locale that it found.
pub(super) fn text(server: &PostgresServer) -> Result<String, StackError> {
    let home = &server.home;
    let config = &server.config;
    let mut conf = String::from("# Written by valet at each start; changes are lost.\n");
    let mut set = |name: &str, value: &str| {
        let _ = writeln!(conf, "{name} = {}", quoted(value));
    };
    let own = home.postgres().join("postgresql.conf");
    set("include", path(&own)?);
    set("data_directory", path(&home.postgres())?);
    set("hba_file", path(&access_file(home))?);

    set("unix_socket_directories", &list_item(path(&server.socket_dir)?));
    set("unix_socket_permissions", "0700");
    let listens_on = server.tcp_port.map_or("", |_| "127.0.0.1");
    set("listen_addresses", listens_on);
    set("port", &server.port().to_string());
    set("password_encryption", "scram-sha-256");
    set("max_connections", &config.max_connections.to_string());

    set("shared_buffers", &format!("{}MB", config.shared_buffers_mb));
    set("max_wal_size", "4GB");
    set("checkpoint_timeout", "15min");
    // Valet's statements are short; compiling one costs more than running it.
    set("jit", "off");
    set("timezone", "UTC");
    if config.durable {
        set("fsync", "on");
        set("synchronous_commit", "on");
        set("full_page_writes", "on");
    } else {
        set("fsync", "off");
        // What was answered is in the files, though perhaps not on the disk: a crash of the server costs nothing.
        set("synchronous_commit", "on");
        set("full_page_writes", "off");
        set("wal_level", "minimal");
        set("max_wal_senders", "0");
    }
    logging(&mut set, path(&home.log())?);
    for (name, value) in &config.postgres_settings {
        set(name, value);
    }
    Ok(conf)
}

/// One file for each day of the week, each started afresh when its day comes again: seven is the most there is.
fn logging(set: &mut impl FnMut(&str, &str), directory: &str) {
    set("logging_collector", "on");
    set("log_directory", directory);
    set("log_filename", "postgres-%a.log");
    set("log_truncate_on_rotation", "on");
    set("log_rotation_age", "1d");
    set("log_rotation_size", "0");
    set("log_timezone", "UTC");
    set("log_line_prefix", "%m [%p] %q%u@%d ");
    set("log_checkpoints", "off");
    // Statements, their parameters and an error's DETAIL carry personal data; they stay out of the log.
    set("log_min_error_statement", "panic");
    set("log_error_verbosity", "terse");
    set("log_parameter_max_length_on_error", "0");
}

/// Of the collector's logs, which are named for days, not of the one of the start.
pub(super) fn is_log_name(name: &OsStr) -> bool {
    let name = Path::new(name);
    let stem = name.file_stem().and_then(OsStr::to_str).unwrap_or_default();
    name.extension() == Some(OsStr::new("log")) && stem.starts_with("postgres-") && stem != "postgres-start"
}

fn access(server: &PostgresServer) -> String {
    let mut rules = String::from(
        "# Written by valet at each start; changes are lost.\n\
         local all all scram-sha-256\n",
    );
    if server.tcp_port.is_some() {
        rules.push_str("host all all 127.0.0.1/32 scram-sha-256\n");
    }
    rules
}

fn path(path: &Path) -> Result<&str, StackError> {
    let text = utf8(path)?;
    if text.contains(['\n', '\r', '\0']) {
        return Err(StackError::Path { path: path.to_owned(), reason: "its name holds a line break" });
    }
    Ok(text)
}

/// A value in single quotes, as the configuration file's grammar has it: backslashes escape there.
fn quoted(value: &str) -> String {
    format!("'{}'", value.replace('\\', "\\\\").replace('\'', "''"))
}

/// One directory of a list of directories, whatever commas, spaces or quotes its name holds.
fn list_item(path: &str) -> String {
    format!("\"{}\"", path.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_quoted_for_the_configuration_file() {
        assert_eq!(quoted("/a b/it's"), "'/a b/it''s'");
        assert_eq!(quoted("a\\b"), "'a\\\\b'");
        assert_eq!(list_item("/a, \"b\""), "\"/a, \"\"b\"\"\"");
    }
}
