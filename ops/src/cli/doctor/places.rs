//! What this machine's settings name: the database, folders, files with tokens.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use nix::sys::statvfs::statvfs;
use nix::unistd::{AccessFlags, access};
use valet_engine::store::postgres::{SchemaState, schema_state};

use super::Check;
use crate::cli::bounds::{DISK_FREE_BYTES_MIN, PROGRAM_WAIT_MAX};
use crate::cli::runs::size;
use crate::settings::Settings;

/// What the migrations and statements are written for.
const POSTGRES_MAJOR_MIN: u32 = 15;
/// Anything of others: a token is its owner's.
const OTHERS: u32 = 0o077;

pub(super) async fn checks(settings: &Settings) -> Vec<Check> {
    let mut checks = Vec::new();
    if let Some(url) = settings.find("database.url") {
        checks.push(database(url).await);
    }
    // Where files go to a bucket the folder is not used.
    let files = settings.find("files.url").is_none().then_some(("files", "files.dir"));
    for (name, key) in files.into_iter().chain([("sandboxes", "worker.sandbox_dir")]) {
        checks.extend(settings.path(key).ok().map(|path| folder(name, &path)));
    }
    for key in ["tokens.api_file", "tokens.worker_file"] {
        checks.extend(settings.path(key).ok().and_then(|path| token_file(&path)));
    }
    checks
}

async fn database(url: &str) -> Check {
    let name = "database";
    match tokio::time::timeout(PROGRAM_WAIT_MAX, schema_state(url)).await {
        Ok(Ok(state)) => schema(&state),
        Ok(Err(error)) => Check::fail(name, error.to_string(), "start Postgres, or check VALET_DATABASE_URL"),
        Err(_) => Check::fail(name, "no answer in time", "check VALET_DATABASE_URL and the way to it"),
    }
}

fn schema(state: &SchemaState) -> Check {
    let (name, version) = ("database", &state.server_version);
    if state.server_major < POSTGRES_MAJOR_MIN {
        let fix = format!("Postgres {POSTGRES_MAJOR_MIN} or newer");
        return Check::fail(name, format!("Postgres {version} is too old"), fix);
    }
    if state.unknown > 0 {
        let found = format!("Postgres {version}; {} of its migrations are a newer build's", state.unknown);
        return Check::fail(name, found, "use the newer build: migrations are not undone");
    }
    if state.pending > 0 {
        let found = format!("Postgres {version}; {} migrations are not applied", state.pending);
        return Check::warn(name, found, "`valet migrate`, or start an engine with --migrate");
    }
    Check::ok(name, format!("Postgres {version}, all migrations are applied"))
}

/// One that is not there yet is made where its parent is.
fn folder(name: &str, path: &Path) -> Check {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let shown = absolute.display();
    let there: PathBuf = absolute.ancestors().find(|place| place.exists()).unwrap_or(Path::new("/")).to_owned();
    if !there.is_dir() {
        return Check::fail(name, format!("{} is no folder", there.display()), "name another place, or move the file");
    }
    if let Err(error) = access(&there, AccessFlags::W_OK | AccessFlags::X_OK) {
        let found = format!("{} may not be written: {}", there.display(), error.desc());
        return Check::fail(name, found, "make it this user's: chown, or name another place");
    }
    let free = match statvfs(&there) {
        Ok(disk) => disk.blocks_available() * disk.fragment_size(),
        Err(error) => {
            return Check::warn(name, format!("{shown}: {}", error.desc()), "its disk does not say what is free");
        }
    };
    let found = format!("{shown}, {} free", size(free));
    if free < DISK_FREE_BYTES_MIN {
        let fix = format!("make room: a browser and what it downloads need {} and more", size(DISK_FREE_BYTES_MIN));
        return Check::warn(name, found, fix);
    }
    Check::ok(name, found)
}

/// Only what is wrong is worth a line.
fn token_file(path: &Path) -> Option<Check> {
    let mode = std::fs::metadata(path).ok()?.permissions().mode() & 0o777;
    (mode & OTHERS != 0).then(|| {
        let found = format!("{} has the mode {mode:o}: others of this machine may read it", path.display());
        Check::warn("token file", found, format!("chmod 600 {}", path.display()))
    })
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    #[test]
    fn an_old_server_a_newer_schema_and_what_is_to_be_applied_are_told_apart() {
        let told = |server_major, pending, unknown| {
            let state = SchemaState { server_version: format!("{server_major}.1"), server_major, pending, unknown };
            let check = schema(&state);
            (check.verdict, check.found)
        };
        assert_eq!(told(15, 0, 0), (Verdict::Ok, "Postgres 15.1, all migrations are applied".to_owned()));
        assert_eq!(told(15, 2, 0), (Verdict::Warn, "Postgres 15.1; 2 migrations are not applied".to_owned()));
        assert_eq!(
            told(15, 1, 3),
            (Verdict::Fail, "Postgres 15.1; 3 of its migrations are a newer build's".to_owned())
        );
        assert_eq!(told(14, 0, 0), (Verdict::Fail, "Postgres 14.1 is too old".to_owned()));
    }

    #[tokio::test]
    async fn a_database_that_is_not_there_fails_and_says_where_to_look() {
        let check = database("postgres://valet@127.0.0.1:1/valet").await;
        assert_eq!(check.verdict, Verdict::Fail);
        assert!(check.fix.unwrap().contains("VALET_DATABASE_URL"));
    }

    #[test]
    fn a_folder_need_not_be_there_but_its_place_must_be() {
        let place = tempfile::tempdir().unwrap();
        let check = folder("files", &place.path().join("a/b"));
        assert_eq!(check.verdict, Verdict::Ok, "{}", check.found);
        assert!(check.found.contains("a/b, ") && check.found.ends_with(" free"), "{}", check.found);
        assert!(!place.path().join("a").exists(), "looking makes nothing");
        let file = place.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert!(folder("files", &file.join("b")).found.ends_with("is no folder"));
        assert_ne!(folder("files", Path::new("/proc/none/b")).verdict, Verdict::Ok, "nothing can be kept there");
    }

    #[test]
    fn a_token_that_others_may_read_is_told() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("token");
        assert!(token_file(&file).is_none(), "it may come from elsewhere");
        std::fs::write(&file, "vt_x").unwrap();
        let mode = |mode| std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
        mode(0o600);
        assert!(token_file(&file).is_none());
        mode(0o640);
        let check = token_file(&file).unwrap();
        assert!(check.found.contains("has the mode 640"), "{}", check.found);
        assert!(check.fix.unwrap().starts_with("chmod 600 /"));
    }
}
