//! Finding the servers' programs and their versions, and running small programs within a bound.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::bounds::SMALL_PROGRAM;
use crate::error::{Server, StackError};

/// Debian and Ubuntu keep Postgres's programs out of PATH, a directory for each major version.
const DEBIAN_POSTGRES: &str = "/usr/lib/postgresql";

/// Redis, or its fork that speaks the same protocol and takes the same configuration.
const REDIS_NAMES: [&str; 2] = ["redis-server", "valkey-server"];

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PostgresPrograms {
    pub(crate) bin: PathBuf,
    pub(crate) major: u32,
}

impl PostgresPrograms {
    /// The newest that is installed, or those of `major` when data of that version are there already.
    pub(crate) async fn find(data: &Path) -> Result<Self, StackError> {
        let wanted = fs::read_to_string(data.join("PG_VERSION")).ok().and_then(|text| text.trim().parse::<u32>().ok());
        let mut found = Vec::new();
        for bin in postgres_directories().await {
            if let Some(major) = version(&bin.join("postgres")).await.and_then(|text| major(&text)) {
                found.push(Self { bin, major });
            }
        }
        let least = Server::Postgres.least_major();
        match (wanted, found.iter().rev().max_by_key(|programs| programs.major)) {
            (_, None) => Err(StackError::NotInstalled {
                server: Server::Postgres,
                looked_for: format!("postgres and initdb in {DEBIAN_POSTGRES}/*/bin and PATH"),
            }),
            (Some(wanted), Some(_)) => found
                .iter()
                .find(|programs| programs.major == wanted)
                .cloned()
                .ok_or_else(|| StackError::OtherMajor { dir: data.to_owned(), major: wanted }),
            (None, Some(newest)) if newest.major < least => {
                Err(StackError::TooOld { server: Server::Postgres, found: newest.major.to_string() })
            }
            (None, Some(newest)) => Ok(newest.clone()),
        }
    }
}

async fn postgres_directories() -> Vec<PathBuf> {
    let mut directories = Vec::new();
    let mut pg_config = Command::new("pg_config");
    pg_config.arg("--bindir");
    if let Ok(text) = output(pg_config, SMALL_PROGRAM).await {
        directories.push(PathBuf::from(text.trim()));
    }
    if let Ok(versions) = fs::read_dir(DEBIAN_POSTGRES) {
        directories.extend(versions.flatten().map(|version| version.path().join("bin")));
    }
    directories.extend(search_path());
    // Links in PATH often lead to the programs: one name for each place, so that every start chooses the same.
    let mut places: Vec<PathBuf> = directories
        .into_iter()
        .filter_map(|dir| fs::canonicalize(dir.join("postgres")).ok())
        .filter_map(|program| Some(program.parent()?.to_owned()))
        .filter(|dir| is_program(&dir.join("postgres")) && is_program(&dir.join("initdb")))
        .collect();
    places.sort();
    places.dedup();
    places
}

/// The Redis program to start.
pub(crate) async fn find_redis() -> Result<PathBuf, StackError> {
    let mut too_old = None;
    for name in REDIS_NAMES {
        for program in search_path().into_iter().map(|dir| dir.join(name)) {
            if !is_program(&program) {
                continue;
            }
            match version(&program).await {
                Some(text) if major(&text).is_some_and(|m| m >= Server::Redis.least_major()) => {
                    return Ok(program);
                }
                Some(text) => too_old = Some(text),
                None => {}
            }
        }
    }
    Err(match too_old {
        Some(found) => StackError::TooOld { server: Server::Redis, found },
        None => StackError::NotInstalled {
            server: Server::Redis,
            looked_for: format!("{} in PATH", REDIS_NAMES.join(" or ")),
        },
    })
}

/// PATH is the system's way to find programs and no setting of Valet's; system users' PATHs often lack sbin.
fn search_path() -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/local/bin", "/usr/bin", "/usr/sbin"].map(PathBuf::from))
        .filter(|dir| dir.is_absolute())
        .collect()
}

fn is_program(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}

async fn version(program: &Path) -> Option<String> {
    let mut command = Command::new(program);
    command.arg("--version");
    let text = output(command, SMALL_PROGRAM).await.ok()?;
    parse_version(&text).map(str::to_owned)
}

/// The version in `postgres (PostgreSQL) 15.18 (Debian ..)` or `Redis server v=7.0.15 sha=..`.
fn parse_version(text: &str) -> Option<&str> {
    text.split_whitespace()
        .map(|word| word.strip_prefix("v=").unwrap_or(word))
        .find(|word| word.starts_with(|first: char| first.is_ascii_digit()))
}

/// `15` of `15.18`, `18` of `18beta1`.
pub(crate) fn major(version: &str) -> Option<u32> {
    let digits = version.find(|c: char| !c.is_ascii_digit()).map_or(version, |end| &version[..end]);
    digits.parse().ok()
}

/// Runs a program that ends on its own and gives its standard output; it is killed at the bound.
pub(crate) async fn output(command: Command, bound: Duration) -> Result<String, StackError> {
    let program = command.get_program().to_string_lossy().into_owned();
    let mut command = tokio::process::Command::from(command);
    command.kill_on_drop(true);
    let ended = tokio::time::timeout(bound, command.output())
        .await
        .map_err(|_| StackError::ProgramHung { program: program.clone(), after: bound })?
        .map_err(|source| StackError::Io { what: "run", path: PathBuf::from(&program), source })?;
    let stdout = String::from_utf8_lossy(&ended.stdout).into_owned();
    if ended.status.success() {
        return Ok(stdout);
    }
    Err(StackError::Program { program, output: stdout + &String::from_utf8_lossy(&ended.stderr) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_what_the_programs_print() {
        let cases = [
            ("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)", "15.18", 15),
            ("postgres (PostgreSQL) 18beta1", "18beta1", 18),
            ("Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64", "7.0.15", 7),
            ("Valkey server v=8.1.1 sha=00000000:0 malloc=jemalloc", "8.1.1", 8),
        ];
        for (text, version, number) in cases {
            assert_eq!(parse_version(text), Some(version));
            assert_eq!(major(version), Some(number));
        }
        assert_eq!(parse_version("no version"), None);
        assert_eq!(major("x"), None);
    }
}
