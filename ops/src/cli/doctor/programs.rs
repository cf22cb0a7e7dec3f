//! Programs of this machine that `valet up` and a worker start.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use valet_workers::gate::BrowserKind;

use super::Check;
use crate::cli::bounds::PROGRAM_WAIT_MAX;
use crate::tools;

/// Debian and Ubuntu keep Postgres's programs out of PATH, a directory for each major version.
const DEBIAN_POSTGRES: &str = "/usr/lib/postgresql";
/// Bytes of a version that are read.
const VERSION_BYTES_MAX: usize = 300;

struct Program {
    name: &'static str,
    /// Any of these will do.
    files: &'static [&'static str],
    least_major: Option<u32>,
    fix: &'static str,
}

const SERVERS: [Program; 2] = [
    Program {
        name: "postgres",
        files: &["postgres"],
        least_major: Some(15),
        fix: "`valet up` needs it unless VALET_DATABASE_URL is set: apt-get install postgresql (15 or newer)",
    },
    Program {
        name: "redis-server",
        files: &["redis-server", "valkey-server"],
        least_major: Some(7),
        fix: "`valet up` needs it unless VALET_REDIS_URL is set: apt-get install redis-server (7 or newer)",
    },
];

const CHROMIUM: [Program; 2] = [
    Program {
        name: "chromium",
        files: &["chromium", "google-chrome", "google-chrome-stable", "chromium-browser"],
        least_major: None,
        fix: "a worker's local browser needs it: apt-get install chromium",
    },
    Program {
        name: "chromedriver",
        files: &["chromedriver"],
        least_major: None,
        fix: "a worker's local browser needs it: apt-get install chromium-driver",
    },
];

/// Each geckodriver drives many versions.
const FIREFOX: [Program; 2] = [
    Program {
        name: "firefox",
        files: &["firefox", "firefox-esr"],
        least_major: None,
        fix: "a worker's local browser needs it (VALET_BROWSER=firefox): apt-get install firefox-esr",
    },
    Program {
        name: "geckodriver",
        files: &["geckodriver"],
        least_major: None,
        fix: "a worker's local browser needs it (VALET_BROWSER=firefox): cargo install geckodriver --locked",
    },
];

pub(super) async fn checks(browser: BrowserKind) -> Vec<Check> {
    let kind = match browser {
        BrowserKind::Chromium => &CHROMIUM,
        BrowserKind::Firefox => &FIREFOX,
    };
    let folders = folders();
    let mut checks = Vec::new();
    let mut browser = None;
    for program in SERVERS.iter().chain(kind) {
        let (check, version) = check(program, &folders).await;
        match program.name {
            "chromium" => browser = version.as_deref().and_then(major),
            "chromedriver" => checks.extend(pair(browser, version.as_deref().and_then(major))),
            _ => {}
        }
        checks.push(check);
    }
    checks
}

async fn check(program: &Program, folders: &[PathBuf]) -> (Check, Option<String>) {
    let files = folders.iter().flat_map(|folder| program.files.iter().map(|file| folder.join(file)));
    let mut silent = None;
    for path in files.filter(|path| is_program(path)) {
        let Some(version) = version(&path).await else {
            silent = Some(path);
            continue;
        };
        let found = format!("{version} ({})", path.display());
        let old = program.least_major.zip(major(&version)).is_some_and(|(least, major)| major < least);
        if !old {
            return (Check::ok(program.name, found), Some(version));
        }
        return (Check::warn(program.name, format!("{found} is too old"), program.fix), Some(version));
    }
    let found = match silent {
        Some(path) => format!("{} does not say its version", path.display()),
        None => "not found".to_owned(),
    };
    (Check::warn(program.name, found, program.fix), None)
}

/// A driver drives browsers of its own major version.
fn pair(browser: Option<u32>, driver: Option<u32>) -> Option<Check> {
    let (browser, driver) = browser.zip(driver)?;
    (browser != driver).then(|| {
        let found = format!("chromium is {browser}, chromedriver is {driver}");
        Check::warn("browser and driver", found, "install both in the same major version")
    })
}

/// Beside those in which a worker looks: system users' PATHs often lack sbin.
fn folders() -> Vec<PathBuf> {
    let mut versions: Vec<PathBuf> = std::fs::read_dir(DEBIAN_POSTGRES)
        .map(|entries| entries.flatten().map(|entry| entry.path().join("bin")).collect())
        .unwrap_or_default();
    // The newest first: 18 before 9.
    versions.sort_by_key(|bin| {
        std::cmp::Reverse(bin.parent().and_then(Path::file_name).and_then(|name| name.to_str()?.parse::<u32>().ok()))
    });
    let system = ["/usr/local/bin", "/usr/bin", "/usr/sbin"].map(PathBuf::from);
    let mut folders: Vec<PathBuf> = Vec::new();
    for folder in versions.into_iter().chain(tools::folders()).chain(system) {
        if folder.is_absolute() && !folders.contains(&folder) {
            folders.push(folder);
        }
    }
    folders
}

fn is_program(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}

/// What it prints for `--version`, as far as its number.
async fn version(path: &Path) -> Option<String> {
    let mut command = tokio::process::Command::new(path);
    command.arg("--version").stdin(Stdio::null()).kill_on_drop(true);
    let ended = tokio::time::timeout(PROGRAM_WAIT_MAX, command.output()).await.ok()?.ok()?;
    let bytes = &ended.stdout[..ended.stdout.len().min(VERSION_BYTES_MAX)];
    ended.status.success().then(|| number(&String::from_utf8_lossy(bytes)).map(ToOwned::to_owned))?
}

/// `15.18` of `postgres (PostgreSQL) 15.18 (Debian …)`, `7.0.15` of `Redis server v=7.0.15 sha=…`.
fn number(text: &str) -> Option<&str> {
    text.split_whitespace()
        .map(|word| word.strip_prefix("v=").unwrap_or(word))
        .find(|word| word.starts_with(|first: char| first.is_ascii_digit()))
}

fn major(version: &str) -> Option<u32> {
    version.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    fn program(folder: &Path, name: &str, script: &str) {
        let path = folder.join(name);
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    async fn looked(folder: &Path) -> Check {
        check(&SERVERS[1], &[folder.to_owned()]).await.0
    }

    #[tokio::test]
    async fn a_program_is_found_told_too_old_or_told_how_to_get() {
        let folder = tempfile::tempdir().unwrap();
        let missing = looked(folder.path()).await;
        assert_eq!((missing.verdict, missing.found.as_str()), (Verdict::Warn, "not found"));
        assert!(missing.fix.unwrap().contains("apt-get install redis-server"));

        program(folder.path(), "redis-server", "echo Redis server v=6.2.1 sha=0");
        assert!(looked(folder.path()).await.found.ends_with("is too old"));

        program(folder.path(), "redis-server", "exit 3");
        assert!(looked(folder.path()).await.found.ends_with("does not say its version"));

        program(folder.path(), "valkey-server", "echo Valkey server v=8.1.1 sha=0");
        let found = looked(folder.path()).await;
        assert_eq!(found.verdict, Verdict::Ok);
        assert!(found.found.starts_with("8.1.1 (/"), "{}", found.found);
    }

    #[tokio::test]
    async fn only_programs_of_the_chosen_browser_are_looked_for() {
        for (kind, wanted) in
            [(BrowserKind::Chromium, ["chromium", "chromedriver"]), (BrowserKind::Firefox, ["firefox", "geckodriver"])]
        {
            let names: Vec<String> = checks(kind).await.into_iter().map(|check| check.name).collect();
            let of_browsers = names
                .iter()
                .filter(|name| !["postgres", "redis-server", "browser and driver"].contains(&name.as_str()));
            assert!(of_browsers.eq(wanted), "{names:?}");
        }
    }

    #[test]
    fn a_driver_of_another_major_version_is_told() {
        assert!(pair(Some(150), Some(149)).is_some());
        assert!(pair(Some(150), Some(150)).is_none() && pair(None, Some(1)).is_none());
        assert_eq!(major(number("ChromeDriver 150.0.1 (abc)").unwrap()), Some(150));
    }
}
