//! Files from an engine onto this disk: readable by their owner only, since they may be personal.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::bounds::FILE_NAMES_MAX;
use super::error::{CliError, at_file};

const FILE_MODE: u32 = 0o600;
const FOLDER_MODE: u32 = 0o700;

pub fn make_folder(folder: &Path) -> Result<(), CliError> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true).mode(FOLDER_MODE).create(folder).map_err(at_file("make the folder", folder))
}

/// Under a path that the person named: what is there is replaced.
pub fn at_path(path: &Path, bytes: &[u8]) -> Result<(), CliError> {
    let mut options = fs::OpenOptions::new();
    let file = options.write(true).create(true).truncate(true).mode(FILE_MODE).open(path);
    file.and_then(|mut file| file.write_all(bytes)).map_err(at_file("write", path))
}

/// Under the engine's name for it, or that name with a number: nothing is overwritten. The same bytes are saved once.
pub fn in_folder(folder: &Path, name: &str, bytes: &[u8]) -> Result<PathBuf, CliError> {
    let name = plain_name(name);
    for number in 1..=FILE_NAMES_MAX {
        let path = folder.join(numbered(&name, number));
        let mut options = fs::OpenOptions::new();
        match options.write(true).create_new(true).mode(FILE_MODE).open(&path) {
            Ok(mut file) => {
                file.write_all(bytes).map_err(at_file("write", &path))?;
                return Ok(path);
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                if holds(&path, bytes) {
                    return Ok(path);
                }
            }
            Err(error) => return Err(at_file("write", path)(error)),
        }
    }
    let taken = io::Error::new(io::ErrorKind::AlreadyExists, "too many files of this name are there");
    Err(at_file("write", folder.join(name))(taken))
}

/// A name cannot leave the folder, whatever the engine says.
fn plain_name(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let clean: String = last.chars().filter(|c| !c.is_control()).collect();
    match clean.trim_start_matches('.') {
        "" => "file".to_owned(),
        clean => clean.to_owned(),
    }
}

fn numbered(name: &str, number: u32) -> String {
    match (number, name.rsplit_once('.')) {
        (1, _) => name.to_owned(),
        (_, Some((stem, extension))) if !stem.is_empty() => format!("{stem}-{number}.{extension}"),
        _ => format!("{name}-{number}"),
    }
}

fn holds(path: &Path, bytes: &[u8]) -> bool {
    let same_length = fs::metadata(path).is_ok_and(|file| file.is_file() && file.len() == bytes.len() as u64);
    same_length && fs::read(path).is_ok_and(|there| there == bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn nothing_is_overwritten_and_nothing_is_saved_twice() {
        let folder = tempfile::tempdir().unwrap();
        let save = |bytes: &[u8]| {
            let path = in_folder(folder.path(), "page.png", bytes).unwrap();
            path.file_name().unwrap().to_str().unwrap().to_owned()
        };
        assert_eq!(
            [save(b"one"), save(b"two"), save(b"one"), save(b"two")],
            ["page.png", "page-2.png", "page.png", "page-2.png"]
        );
        let mode = fs::metadata(folder.path().join("page.png")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, FILE_MODE);
    }

    #[test]
    fn a_name_cannot_leave_its_folder() {
        let folder = tempfile::tempdir().unwrap();
        for (name, saved) in
            [("../../etc/passwd", "passwd"), ("..", "file"), ("C:\\x\\.bashrc", "bashrc"), ("a\n/b", "b")]
        {
            assert_eq!(in_folder(folder.path(), name, b"x").unwrap(), folder.path().join(saved));
            fs::remove_file(folder.path().join(saved)).unwrap();
        }
    }
}
