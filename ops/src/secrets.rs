//! Files that only their owner reads: the master key and the two tokens, which `valet up` makes on first use.

use std::fmt::Write as _;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Bytes of a secret.
const SECRET_BYTES: usize = 32;

/// Makes the file with a fresh secret if it is not there; never changes one.
pub fn ensure(path: &Path, prefix: &str) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let opened = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let mut file = match opened {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => return Ok(()),
        Err(error) => return Err(error),
    };
    let mut text = prefix.to_owned();
    for byte in rand::random::<[u8; SECRET_BYTES]>() {
        let _ = write!(text, "{byte:02x}");
    }
    text.push('\n');
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// Writes the file anew, readable by its owner only; whoever reads it sees the old text or the new one.
pub fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    let fresh = path.with_extension("new");
    let _ = std::fs::remove_file(&fresh);
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&fresh, path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_secret_is_made_once_and_only_its_owner_reads_it() {
        let folder = std::env::temp_dir().join(format!("valet-secrets-{}", std::process::id()));
        let path = folder.join("token");
        ensure(&path, "vt_").unwrap();
        let first = std::fs::read_to_string(&path).unwrap();
        ensure(&path, "vt_").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), first);
        assert!(first.starts_with("vt_") && first.trim().len() == 3 + 64);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::remove_dir_all(folder).unwrap();
    }
}
