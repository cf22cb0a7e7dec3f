//! Where programs lie that Valet starts: in PATH, and in the folders in which their own installers put them.

use std::path::{Path, PathBuf};

/// Below the cache folder: what `ops/test` and `ops/up` build with cargo.
const BUILT: &str = "valet/tools/bin";

/// Folders in the order in which they are looked through. The variables are the system's ways, and no settings of Valet's.
pub fn folders() -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let home = std::env::home_dir();
    let below_home = |name: &str| home.as_deref().map(|home| home.join(name));
    let named = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|folder| folder.is_absolute());
    let cargo = named("CARGO_HOME").or_else(|| below_home(".cargo")).map(|folder| folder.join("bin"));
    let cache = named("XDG_CACHE_HOME").or_else(|| below_home(".cache")).map(|folder| folder.join(BUILT));
    std::env::split_paths(&path).chain(cargo).chain(cache).collect()
}

/// A bare name is looked up, as a shell does; one that is not found, and a path, stay what they are.
pub fn find(name: &Path) -> PathBuf {
    if name.components().count() > 1 {
        return name.to_owned();
    }
    let found = folders().into_iter().map(|folder| folder.join(name)).find(|file| file.is_file());
    found.unwrap_or_else(|| name.to_owned())
}
