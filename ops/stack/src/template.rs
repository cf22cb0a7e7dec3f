//! Data that were made once, for the stacks of tests: making them takes longer than most tests do.
//!
//! A template lies beside the temporary stacks of its user. It holds the data of a Postgres that was stopped in order, with Valet's role
//! and database, and their passwords. A temporary stack that need not be durable begins with a copy; the first one makes the
//! template. It is closed to everybody else, the servers' user included.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, lchown};
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use nix::unistd::geteuid;

use crate::config::StackConfig;
use crate::error::StackError;
use crate::files::Owner;
use crate::home::{Home, short_hash};
use crate::postgres_server::PostgresServer;
use crate::programs::PostgresPrograms;
use crate::secrets::Secrets;
use crate::stack::Place;
use crate::temporary;

const PREFIX: &str = "valet-template-";
const DATA: &str = "postgres";
const SECRETS: &str = "secrets.json";

/// Data that are made in another way are another template.
const MADE_BY: [&str; 2] = [include_str!("postgres_server/cluster.rs"), include_str!("postgres_server/roles.rs")];

/// Gives a new home in `base` the template's data and passwords. A home without them gets its own at the start.
pub(crate) async fn fill(config: &StackConfig, base: &Path) -> Result<(), StackError> {
    let home = Home::prepare(config).await?;
    let programs = PostgresPrograms::find(&home.postgres()).await?;
    let template = base.join(format!("{PREFIX}{}", fingerprint(&programs)?));
    if !template.exists() {
        make(&template).await?;
    }
    if !is_own(&template) {
        return Err(StackError::Path { path: template, reason: "it is another user's" });
    }
    let unfinished = home.root.join("copying");
    copy(&template.join(DATA), &unfinished, home.user.owner()).map_err(StackError::io("copy", &template))?;
    // Before the data: without them they would be no use to anybody.
    Secrets::load(&template.join(SECRETS))?.with_another_redis().save(&home.secrets())?;
    fs::rename(&unfinished, home.postgres()).map_err(StackError::io("name", &unfinished))
}

/// Tells the programs apart, also those of one place before and after an upgrade.
fn fingerprint(programs: &PostgresPrograms) -> Result<String, StackError> {
    let postgres = programs.bin.join("postgres");
    let looked_at = fs::metadata(&postgres).and_then(|found| Ok((found.len(), found.modified()?)));
    let (bytes, at): (u64, SystemTime) = looked_at.map_err(StackError::io("look at", &postgres))?;
    Ok(short_hash(format!("{programs:?} {bytes} {at:?} {MADE_BY:?}").as_bytes()))
}

/// A directory of this user, to which nobody else has any right: its six last bits are clear.
fn is_own(template: &Path) -> bool {
    fs::symlink_metadata(template)
        .is_ok_and(|found| found.is_dir() && found.uid() == geteuid().as_raw() && found.mode().trailing_zeros() >= 6)
}

/// It takes its place by a rename: of several that are made at once one stays, and none is half made.
async fn make(template: &Path) -> Result<(), StackError> {
    let dir = temporary::directory().await?;
    let closed_home_root = dir.path().join("elsewhere");
    let config = StackConfig { durable: false, closed_home_root, ..StackConfig::new(dir.path()) };
    let place = Place::take(&config).await?;
    let (home, state) = (Arc::clone(&place.home), Arc::clone(&place.state));
    let mut server = PostgresServer::open(Arc::clone(&home), state, place.secrets.clone(), config, false).await?;
    server.stop().await?;
    server.forget_places();
    let made = dir.path().join("template");
    let all = || -> io::Result<()> {
        DirBuilder::new().mode(0o700).create(&made)?;
        copy(&home.postgres(), &made.join(DATA), None)?;
        fs::rename(home.secrets(), made.join(SECRETS))?;
        match fs::rename(&made, template) {
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => Ok(()),
            named => named,
        }
    };
    all().map_err(StackError::io("make", template))
}

/// Copies a directory with all that is in it; a link or a socket has no place there. The directory is entered by its owner only, and by
/// the new one last.
fn copy(from: &Path, to: &Path, owner: Owner) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (kind, target) = (entry.file_type()?, to.join(entry.file_name()));
        if kind.is_dir() {
            copy(&entry.path(), &target, owner)?;
        } else if kind.is_file() {
            fs::copy(entry.path(), &target)?;
            give(&target, owner)?;
        } else {
            return Err(io::Error::other(format!("{} is neither a file nor a directory", entry.path().display())));
        }
    }
    give(to, owner)
}

fn give(path: &Path, owner: Owner) -> io::Result<()> {
    owner.map_or(Ok(()), |(uid, gid)| lchown(path, Some(uid), Some(gid)))
}
