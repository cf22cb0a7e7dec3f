//! Saved pages through the program: what it writes of them, and how right it is about real ones.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::process::Command;
use tokio::time::timeout;

use super::PROGRAM;

/// Some hundred pages in one browser, on a machine that does much else.
const WITHIN: Duration = Duration::from_mins(5);
/// Saved pages of real sites with labels of people; without it they are not measured.
const FORMS_DIR: &str = "VALET_FORMS_DIR";
/// Of the answers that name a contact or address type, and of the labels of these types. A wrong value costs more than an empty field.
const PRECISION_MIN: &str = "0.97";
const RECALL_MIN: &str = "0.92";

async fn valet(folder: &Path, arguments: &[&str]) -> (bool, String) {
    let mut command = Command::new(PROGRAM);
    command.args(arguments).current_dir(folder).stdin(Stdio::null()).kill_on_drop(true);
    let ended = timeout(WITHIN, command.output()).await.unwrap_or_else(|_| panic!("{arguments:?} hangs"));
    let output = ended.expect("the program starts");
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.success(), format!("{}{errors}", String::from_utf8_lossy(&output.stdout)))
}

#[tokio::test]
async fn each_control_of_a_saved_page_gets_a_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let pages = folder.path().join("pages");
    std::fs::create_dir(&pages).expect("a folder");
    let form =
        "<form><label>First name <input data-control=a></label><input type=hidden name=email><input name=q7></form>";
    std::fs::write(pages.join("form.html"), form).expect("written");
    let (fine, told) = valet(folder.path(), &["classify", "pages", "--out", "answers.jsonl", "--json"]).await;
    assert!(fine, "{told}");
    let counts: Value = serde_json::from_str(&told).expect("one document");
    assert_eq!((&counts["pages"], &counts["controls"]), (&Value::from(1), &Value::from(2)));
    let lines = std::fs::read_to_string(folder.path().join("answers.jsonl")).expect("answers");
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).expect("a document")).collect();
    assert_eq!(lines[0]["page"], "form.html");
    assert_eq!((&lines[0]["control"], &lines[0]["type"]), (&Value::from("a"), &Value::from("firstName")));
    assert!(lines[0]["confidence"].as_f64() > Some(0.5) && lines[0]["evidence"][0].is_string(), "{}", lines[0]);
    assert_eq!((&lines[1]["control"], &lines[1]["type"]), (&Value::from("input[name=\"q7\"]"), &Value::Null));

    let (fine, told) = valet(folder.path(), &["classify", "nowhere", "--out", "answers.jsonl"]).await;
    assert!(!fine && told.contains("nowhere"), "{told}");
}

#[tokio::test]
async fn real_forms_are_understood() {
    let Some(folder) = std::env::var_os(FORMS_DIR) else {
        eprintln!("not measured: {FORMS_DIR} names no folder of saved pages");
        return;
    };
    let folder = folder.to_str().expect("UTF-8");
    let wanted = ["--precision-min", PRECISION_MIN, "--recall-min", RECALL_MIN];
    let here = std::env::temp_dir();
    let (fine, told) = valet(&here, &[&["bench", "forms", folder, "--json", "--misses"], &wanted[..]].concat()).await;
    assert!(fine, "{told}");
    let document = told.lines().find(|line| line.starts_with('{')).expect("a document");
    eprintln!("{document}");
}
