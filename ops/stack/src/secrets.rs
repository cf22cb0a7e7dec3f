//! The servers' passwords: drawn once, kept in one file that only its owner can read.

use std::fmt;
use std::fs;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::StackError;
use crate::files;

#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Secrets {
    /// Postgres's superuser, used by this crate only.
    pub(crate) postgres_admin: String,
    /// Postgres's role `valet`.
    pub(crate) postgres_valet: String,
    pub(crate) redis: String,
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secrets(..)")
    }
}

impl Secrets {
    /// Reads the file, or draws new secrets when there is none and no data need the old ones.
    pub(crate) fn load_or_draw(path: &Path, postgres_data: &Path) -> Result<Self, StackError> {
        match Self::load(path) {
            Err(StackError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                if postgres_data.exists() {
                    return Err(StackError::SecretsLost { secrets: path.to_owned(), data: postgres_data.to_owned() });
                }
                let drawn = Self { postgres_admin: draw(), postgres_valet: draw(), redis: draw() };
                drawn.save(path)?;
                Ok(drawn)
            }
            loaded => loaded,
        }
    }

    pub(crate) fn load(path: &Path) -> Result<Self, StackError> {
        let text = fs::read_to_string(path).map_err(StackError::io("read", path))?;
        serde_json::from_str(&text).map_err(|error| StackError::io("understand", path)(error.into()))
    }

    pub(crate) fn save(&self, path: &Path) -> Result<(), StackError> {
        let text = serde_json::to_string_pretty(self).map_err(|error| StackError::io("write", path)(error.into()))?;
        files::replace(path, &text, None)
    }

    /// For other servers on a copy of the same data: a Redis is reached by whoever has its port and its password.
    pub(crate) fn with_another_redis(self) -> Self {
        Self { redis: draw(), ..self }
    }
}

/// 192 random bits as hexadecimal digits: nothing in it needs quoting in SQL, a URL or a configuration file.
fn draw() -> String {
    hex(&rand::random::<[u8; 24]>())
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    use fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
