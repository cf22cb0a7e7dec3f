//! The house as its design draws it: imports go one way, the core is pure, and nothing else lies at the top.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// From the lowest: a crate imports only from its own folder or a lower one.
const FOLDERS: [&str; 5] = ["engine", "workflows", "workers", "ops", "tests"];

/// Names at the top, dotfiles and what git ignores aside.
const TOP: [&str; 12] = [
    "CHANGELOG.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "README.md",
    "engine",
    "migrations",
    "ops",
    "tests",
    "workers",
    "workflows",
];

/// All that the core may use: data, no runtime, clock, random source, SQL or network. Of `cel` the parser, without its features
/// that read a clock or match patterns.
const CORE_MAY_USE: [&str; 8] = ["cel", "chrono", "schemars", "serde", "serde_json", "sha2", "thiserror", "uuid"];

/// Crates that stand apart: they know no other crate of the workspace.
const ALONE: [&str; 5] = ["valet-core", "valet-queue", "valet-board", "valet-vendors", "valet-stack"];

/// What tests of lower crates may stand on although it lies higher: real servers, and the workflows that ship. Nothing of
/// it is built into them.
const FOR_TESTS: [&str; 3] = ["valet-stack", "valet-vendors", "valet-workflows"];

/// What no crate of a folder uses, and why.
const BANNED: [(&str, &[&str], &str); 4] = [
    ("engine", &["fantoccini", "webdriver"], "the engine knows no browser"),
    ("workflows", &["tokio", "sqlx", "redis", "reqwest", "axum", "fantoccini"], "workflow code does no IO"),
    ("workers", &["sqlx"], "workers hold no database credentials"),
    ("workers", &["valet-engine"], "workers speak to engines over the worker protocol only"),
];

/// Words that read a clock, draw a random number or do IO.
const IMPURE: [&str; 15] = [
    "std::fs",
    "TcpStream",
    "UdpSocket",
    "ToSocketAddrs",
    "std::env",
    "std::process",
    "std::thread",
    "std::io",
    "SystemTime::now",
    "Instant::now",
    "Utc::now",
    "Uuid::new_v4",
    "Uuid::now_v7",
    "rand::",
    "tokio::",
];

struct Manifest {
    name: String,
    /// In the workspace.
    folder: String,
    /// What is built into it, or builds it.
    dependencies: Vec<String>,
    /// What only its tests use.
    for_tests: Vec<String>,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests lie in the workspace").to_owned()
}

fn read_toml(path: &Path) -> toml::Table {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.parse().unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn manifests() -> Vec<Manifest> {
    let workspace = read_toml(&root().join("Cargo.toml"));
    let members = workspace["workspace"]["members"].as_array().expect("the workspace has members");
    let folders = members.iter().map(|member| member.as_str().expect("a member is a path"));
    folders.map(|folder| manifest(folder, &read_toml(&root().join(folder).join("Cargo.toml")))).collect()
}

fn manifest(folder: &str, table: &toml::Table) -> Manifest {
    let name = table["package"]["name"].as_str().expect("a package has a name").to_owned();
    let targets = table.get("target").and_then(toml::Value::as_table).into_iter().flat_map(toml::Table::values);
    let sections: Vec<&toml::Table> =
        targets.map(|target| target.as_table().expect("a target is a table")).chain([table]).collect();
    let of = |kinds: &[&str]| sections.iter().flat_map(|section| packages(section, kinds)).collect();
    let (dependencies, for_tests) = (of(&["dependencies", "build-dependencies"]), of(&["dev-dependencies"]));
    Manifest { name, folder: folder.to_owned(), dependencies, for_tests }
}

/// Packages that a section's tables of dependencies name, whatever they are called there.
fn packages(section: &toml::Table, kinds: &[&str]) -> Vec<String> {
    let tables = kinds.iter().filter_map(|kind| section.get(*kind)?.as_table());
    let package = |(name, how): (&String, &toml::Value)| {
        how.get("package").and_then(toml::Value::as_str).unwrap_or(name).to_owned()
    };
    tables.flatten().map(package).collect()
}

fn rank(folder: &str) -> usize {
    let top = folder.split('/').next().unwrap_or(folder);
    FOLDERS.iter().position(|known| *known == top).unwrap_or_else(|| panic!("`{folder}` is no folder of the design"))
}

/// Every import that the design forbids.
fn forbidden(manifests: &[Manifest]) -> Vec<String> {
    let folders: BTreeMap<&str, &str> = manifests.iter().map(|m| (m.name.as_str(), m.folder.as_str())).collect();
    let mut found = Vec::new();
    for importer in manifests {
        let shipped = importer.dependencies.iter().map(|name| (name.as_str(), false));
        let tested = importer.for_tests.iter().map(|name| (name.as_str(), true));
        for (dependency, for_tests) in shipped.chain(tested) {
            let folder = folders.get(dependency).copied();
            let mut reasons: Vec<&str> =
                folder.and_then(|folder| direction(importer, dependency, folder, for_tests)).into_iter().collect();
            if !for_tests {
                reasons.extend(substance(importer, dependency, folder.is_some()));
            }
            found.extend(reasons.into_iter().map(|why| format!("{} → {dependency}: {why}", importer.name)));
        }
    }
    found
}

/// Why a crate of the workspace must not be imported from where the importer stands.
fn direction(importer: &Manifest, dependency: &str, folder: &str, for_tests: bool) -> Option<&'static str> {
    let upwards = rank(folder) > rank(&importer.folder);
    if upwards && !(for_tests && FOR_TESTS.contains(&dependency)) {
        return Some("imports go one way: tests → ops → workers → workflows → engine");
    }
    // A user's program is tested with the harness, as the tests themselves are.
    if dependency == "valet-tests" && !(for_tests && importer.folder.starts_with("tests/")) {
        return Some("nothing imports tests");
    }
    if dependency == "valet-simulation" && rank(&importer.folder) < rank("ops") {
        return Some("only the program offers the simulation");
    }
    None
}

/// Why the importer must not be built on it.
fn substance(importer: &Manifest, dependency: &str, ours: bool) -> Vec<&'static str> {
    let mut reasons = Vec::new();
    if ours && ALONE.contains(&importer.name.as_str()) {
        reasons.push("it stands alone");
    }
    if ours && importer.name == "valet-protocol" && dependency != "valet-core" {
        reasons.push("the protocol speaks of the core's ids only");
    }
    if importer.name == "valet-core" && !CORE_MAY_USE.contains(&dependency) {
        reasons.push("the core is pure");
    }
    for (folder, names, why) in BANNED {
        if rank(folder) == rank(&importer.folder) && names.contains(&dependency) {
            reasons.push(why);
        }
    }
    reasons
}

#[test]
fn imports_go_one_way_and_the_core_is_pure() {
    let manifests = manifests();
    assert!(manifests.len() >= 10, "the workspace is read");
    assert_eq!(forbidden(&manifests), Vec::<String>::new());
}

#[test]
fn a_forbidden_import_is_found() {
    let crates = |importer: &str, folder: &str, dependency: &str| {
        let member = |name: &str, folder: &str, dependencies: Vec<String>| Manifest {
            name: name.to_owned(),
            folder: folder.to_owned(),
            dependencies,
            for_tests: Vec::new(),
        };
        let known =
            [("valet-engine", "engine"), ("valet-workers", "workers"), ("valet", "ops"), ("valet-tests", "tests")];
        let mut all: Vec<Manifest> = known
            .iter()
            .filter(|(name, _)| *name != importer)
            .map(|(name, folder)| member(name, folder, vec![]))
            .collect();
        all.push(member(importer, folder, vec![dependency.to_owned()]));
        forbidden(&all)
    };
    for (importer, folder, dependency) in [
        ("valet-engine", "engine", "valet-workers"),
        ("valet-engine", "engine", "fantoccini"),
        ("valet-core", "engine/core", "tokio"),
        ("valet-core", "engine/core", "valet-engine"),
        ("valet-workflows", "workflows", "valet-workers"),
        ("valet-workers", "workers", "sqlx"),
        ("valet-workers", "workers", "valet-engine"),
        ("valet", "ops", "valet-tests"),
        ("valet-board", "ops/board", "valet-workers"),
    ] {
        assert!(!crates(importer, folder, dependency).is_empty(), "{importer} → {dependency} is not seen");
    }
    assert!(crates("valet", "ops", "valet-workers").is_empty(), "what is allowed is let through");
}

#[test]
fn every_crate_takes_the_workspace_lints_and_unsafe_code_is_forbidden() {
    let workspace = read_toml(&root().join("Cargo.toml"));
    assert_eq!(workspace["workspace"]["lints"]["rust"]["unsafe_code"].as_str(), Some("forbid"));
    let members = workspace["workspace"]["members"].as_array().expect("the workspace has members");
    for member in members.iter().map(|member| member.as_str().expect("a member is a path")) {
        let lints = read_toml(&root().join(member).join("Cargo.toml")).get("lints").cloned();
        let taken = lints.as_ref().and_then(|lints| lints.get("workspace")).and_then(toml::Value::as_bool);
        assert_eq!(taken, Some(true), "{member}/Cargo.toml wants `[lints]` with `workspace = true`");
    }
}

#[test]
fn core_and_workflows_read_no_clock_and_do_no_io() {
    let mut files = Vec::new();
    for folder in ["engine/core/src", "workflows/src"] {
        sources(&root().join(folder), &mut files);
    }
    assert!(files.len() > 10, "the sources are found");
    for file in files {
        let text = std::fs::read_to_string(&file).expect("a source is read");
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        for (number, line) in code.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//")) {
            let word = IMPURE.iter().find(|word| line.contains(**word));
            assert!(word.is_none(), "{}:{}: {line}", file.display(), number + 1);
        }
    }
}

/// `workflows!` demands a contract; what it would not see is registered nowhere. The simulation's one workflow is held to more
/// than a contract by its own reference.
#[test]
fn every_workflow_is_registered_where_its_contract_is_demanded() {
    let generic = root().join("ops/src/registry.rs");
    let mut files = Vec::new();
    for folder in ["workflows/src", "workers/src", "ops/src", "tests/src", "tests/consumer/src"] {
        sources(&root().join(folder), &mut files);
    }
    let mut demanded = 0;
    for file in files.into_iter().filter(|file| *file != generic) {
        let text = std::fs::read_to_string(&file).expect("a source is read");
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        for word in [".with::<", ".workflow::<"] {
            assert!(!code.contains(word), "{}: register with `workflows!` instead of `{word}..>()`", file.display());
        }
        demanded += code.matches("workflows!(").count();
    }
    assert!(demanded >= 3, "only {demanded} registries: were the sources read?");
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.expect("a folder is read").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn nothing_else_lies_at_the_top() {
    let ignored = std::fs::read_to_string(root().join(".gitignore")).unwrap_or_default();
    let ignored: Vec<&str> = ignored.lines().filter_map(|line| line.strip_prefix('/')).collect();
    let names = std::fs::read_dir(root()).expect("the top is read").map(|entry| entry.expect("a name").file_name());
    let names = names.map(|name| name.to_string_lossy().into_owned());
    let others: Vec<String> = names
        .filter(|name| !name.starts_with('.') && !TOP.contains(&name.as_str()) && !ignored.contains(&name.as_str()))
        .collect();
    assert_eq!(others, Vec::<String>::new(), "top-level names are fixed; configuration of tools goes into dotfiles");
}

/// Every test that the page of threats names is there.
#[test]
fn every_threat_names_tests_that_are_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let page = std::fs::read_to_string(root.join("engine/THREATS.md")).expect("the page");
    let rows = page
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| ---") && !line.starts_with("| Threat"));
    let mut sources = String::new();
    for folder in FOLDERS {
        gather(&root.join(folder), &mut sources);
    }
    let mut threats = 0;
    for row in rows {
        let shown_by = row.trim_end_matches(" |").rsplit(" | ").next().expect("a last column");
        let names: Vec<&str> = shown_by.split('`').skip(1).step_by(2).collect();
        assert!(!names.is_empty(), "no test: {row}");
        for name in names {
            assert!(sources.contains(&format!("fn {name}(")), "there is no test {name}");
        }
        threats += 1;
    }
    assert!(threats > 15, "only {threats} threats: was the page read?");
}

fn gather(folder: &Path, into: &mut String) {
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() && path.file_name().is_some_and(|name| name != "target" && name != "node_modules") {
            gather(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push_str(&std::fs::read_to_string(&path).expect("a source"));
        }
    }
}
