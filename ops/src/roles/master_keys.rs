//! The file of master keys: read at the start and again whenever it changed, so that keys are changed while the engine runs.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use valet_engine::codec::MasterKeys;
use valet_engine::store::postgres::PgStore;

use crate::settings::{Settings, SettingsError, wrong};

/// How often is looked at the file.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// The keys as the file has them now.
pub fn read(settings: &Settings) -> Result<MasterKeys, SettingsError> {
    let text = settings.secret_file("secrets.key_file")?;
    MasterKeys::parse(&text).ok_or_else(|| {
        let detail = "each line of the file must hold 64 hexadecimal digits: the current key, then older ones";
        wrong("secrets.key_file", detail.to_owned())
    })
}

/// Takes in what changes, until it is dropped.
pub async fn watch(path: PathBuf, store: Arc<PgStore>) {
    let mut known = tokio::fs::read_to_string(&path).await.ok();
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        take_in(&path, &store, &mut known).await;
    }
}

async fn take_in(path: &Path, store: &PgStore, known: &mut Option<String>) {
    // A file that is being replaced may be away for a moment.
    let Ok(text) = tokio::fs::read_to_string(path).await else { return };
    if known.as_ref() == Some(&text) {
        return;
    }
    match MasterKeys::parse(&text) {
        Some(keys) => {
            tracing::info!(current = keys.current.name, older = keys.older.len(), "the master keys were read again");
            store.set_masters(keys);
        }
        None => {
            tracing::error!(path = %path.display(), "the file of master keys cannot be read: the keys stay as they are");
        }
    }
    *known = Some(text);
}
