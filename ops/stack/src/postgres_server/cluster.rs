//! The data directory: made once, whole or not at all.

use std::fs;

use super::{ADMIN, PostgresServer, text};
use crate::bounds;
use crate::error::StackError;
use crate::files;
use crate::programs;

/// Runs `initdb` if there are no data yet. It works beside the final place, which is taken by a rename: a
/// start that is killed halfway leaves nothing that looks like data.
pub(super) async fn ensure(server: &PostgresServer) -> Result<(), StackError> {
    let data = server.home.postgres();
    if data.exists() {
        return Ok(());
    }
    let owner = server.home.user.owner();
    let unfinished = data.with_extension("unfinished");
    if unfinished.exists() {
        fs::remove_dir_all(&unfinished).map_err(StackError::io("remove", &unfinished))?;
    }
    files::directory(&unfinished, 0o700, owner)?;
    // A file, not an argument: arguments are public in the process table.
    let password = server.home.root.join("initdb-password");
    files::replace(&password, &server.secrets.postgres_admin, owner)?;
    let program = server.programs.bin.join("initdb");
    let mut command = server.home.user.command(&program);
    command
        .current_dir(&unfinished)
        .args(["--pgdata", text(&unfinished)?])
        .args(["--username", ADMIN])
        .args(["--pwfile", text(&password)?])
        .args(["--auth", "scram-sha-256"])
        .args(["--encoding", "UTF8", "--locale", "C.UTF-8"])
        .arg("--data-checksums");
    if !server.config.durable {
        command.arg("--no-sync");
    }
    let made = programs::output(command, bounds::INITDB).await;
    fs::remove_file(&password).map_err(StackError::io("remove", &password))?;
    made?;
    fs::rename(&unfinished, &data).map_err(StackError::io("name", &data))
}
