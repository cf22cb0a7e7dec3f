//! Writes the list of the bundle's files, so that they are built into the program. Without a bundle the list is empty.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

fn main() {
    let here = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let watched = here.join("bundle");
    // The folder is always there: what is not would be looked for with every build.
    println!("cargo::rerun-if-changed={}", watched.display());
    let bundle = watched.join("app");
    let mut paths = Vec::new();
    gather(&bundle, &mut paths);
    paths.sort();
    let mut list = "&[\n".to_owned();
    for path in paths.iter().filter(|path| path.extension().is_none_or(|extension| extension != "gz")) {
        let name = path.strip_prefix(&bundle).expect("it lies in the bundle").to_str().expect("a name is UTF-8");
        let plain = path.to_str().expect("a path is UTF-8");
        let zipped = format!("{plain}.gz");
        let is_zipped = paths.iter().any(|path| path.as_os_str() == zipped.as_str());
        let gzip = if is_zipped { format!("Some(include_bytes!({zipped:?}))") } else { "None".to_owned() };
        let _ = writeln!(list, "    File {{ name: {name:?}, plain: include_bytes!({plain:?}), gzip: {gzip} }},");
    }
    list.push(']');
    let target = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets it")).join("files.rs");
    std::fs::write(&target, list).expect("the build's own folder can be written");
}

/// All but hidden ones: what the bundler notes for itself.
fn gather(folder: &Path, into: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten().filter(|entry| !entry.file_name().to_string_lossy().starts_with('.')) {
        let path = entry.path();
        if path.is_dir() {
            gather(&path, into);
        } else {
            into.push(path);
        }
    }
}
