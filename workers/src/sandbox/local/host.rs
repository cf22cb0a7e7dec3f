//! The name of the machine that a folder of sandboxes lies on: made once, kept in the folder.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use rand::RngExt as _;

const FILE: &str = ".host";

/// Whoever comes first makes it; workers that share the folder share the name.
pub fn host_id(root: &Path) -> io::Result<String> {
    let path = root.join(FILE);
    if let Some(known) = read(&path)? {
        return Ok(known);
    }
    fs::DirBuilder::new().recursive(true).mode(0o700).create(root)?;
    let id: String = rand::rng().random::<[u8; 6]>().iter().map(|byte| format!("{byte:02x}")).collect();
    // Written aside and linked into its place, so that nobody reads half of it and the first one wins.
    let aside = root.join(format!("{FILE}.{id}"));
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&aside)?;
    file.write_all(id.as_bytes())?;
    file.sync_all()?;
    let linked = fs::hard_link(&aside, &path);
    fs::remove_file(&aside)?;
    match linked {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => read(&path)?.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the host's name is not readable")),
    }
}

fn read(path: &Path) -> io::Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => {
            let id = text.trim().to_owned();
            let fits =
                !id.is_empty() && id.len() <= 32 && id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
            let wrong = || {
                io::Error::new(
                    io::ErrorKind::InvalidData,
                    format!("{} holds no host's name; remove it", path.display()),
                )
            };
            if fits { Ok(Some(id)) } else { Err(wrong()) }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_who_ask_at_once_are_told_the_same_name_and_it_stays() {
        let root = tempfile::tempdir().unwrap();
        let names: Vec<String> = std::thread::scope(|scope| {
            let asking: Vec<_> = (0..8).map(|_| scope.spawn(|| host_id(root.path()).unwrap())).collect();
            asking.into_iter().map(|one| one.join().unwrap()).collect()
        });
        assert!(names.iter().all(|name| name == &names[0]), "{names:?}");
        assert_eq!(host_id(root.path()).unwrap(), names[0]);
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1, "nothing else is left");
    }

    #[test]
    fn a_file_that_holds_something_else_is_named() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join(FILE), "No host!").unwrap();
        let error = host_id(root.path()).unwrap_err();
        assert!(error.to_string().contains("host holds no host's name"), "{error}");
    }
}
