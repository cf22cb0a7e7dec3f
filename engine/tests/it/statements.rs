//! Every statement of the store fits the schema.

use std::path::Path;

use sqlx::{Executor as _, SqlSafeStr as _, Statement as _};
use valet_engine::store::postgres::{commit_statements, search_statements};

use super::database;

#[tokio::test]
async fn every_statement_can_be_prepared_against_the_migrated_schema() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store/sql");
    let mut connection = database::connect(&database::migrated().await).await;
    let mut prepared = 0;
    for entry in std::fs::read_dir(folder).expect("the folder of statements") {
        let path = entry.expect("an entry").path();
        let text = std::fs::read_to_string(&path).expect("a text");
        let parameters = highest_parameter(&text);
        let statement = connection.prepare(sqlx::AssertSqlSafe(text).into_sql_str()).await;
        let statement = statement.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let told = statement.parameters().map(|found| found.either(<[_]>::len, |count| count));
        assert_eq!(told, Some(parameters), "{}: parameters without a gap", path.display());
        prepared += 1;
    }
    assert!(prepared > 30, "only {prepared} statements: is this the folder?");
}

/// What a lower form leaves out is missed by nothing that it keeps. Who sends it tells the types of all parameters, also of those that
/// it does not name.
#[tokio::test]
async fn a_commit_can_be_prepared_in_each_of_its_forms() {
    let mut connection = database::connect(&database::migrated().await).await;
    let whole = connection
        .prepare(commit_statements().last().expect("forms").as_str().into_sql_str())
        .await
        .expect("a statement");
    let types = whole.parameters().and_then(sqlx::Either::left).expect("types").to_vec();
    for text in commit_statements() {
        let prepared = connection.prepare_with(text.as_str().into_sql_str(), &types).await;
        prepared.unwrap_or_else(|error| panic!("{error}: {text}"));
    }
}

#[tokio::test]
async fn runs_can_be_looked_for_in_every_place() {
    let mut connection = database::connect(&database::migrated().await).await;
    let mut prepared = 0;
    for text in search_statements() {
        connection.prepare(text.into_sql_str()).await.unwrap_or_else(|error| panic!("{error}: {text}"));
        prepared += 1;
    }
    assert_eq!(prepared, 49);
}

#[tokio::test]
async fn a_statement_with_an_unknown_column_is_noticed() {
    let mut connection = database::connect(&database::migrated().await).await;
    let bad = "SELECT no_such_column FROM runs WHERE id = $1";
    assert!(connection.prepare(sqlx::AssertSqlSafe(bad).into_sql_str()).await.is_err());
}

/// Statements are sent as they lie in their files, and each file is used.
#[test]
fn every_statement_file_is_used_once_named_for_its_function_or_more() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store");
    let mut sources = String::new();
    for entry in std::fs::read_dir(root.join("postgres")).expect("a folder") {
        sources.push_str(&std::fs::read_to_string(entry.expect("an entry").path()).expect("a text"));
    }
    for entry in std::fs::read_dir(root.join("sql")).expect("a folder") {
        let name = entry.expect("an entry").file_name().into_string().expect("UTF-8");
        assert!(sources.contains(&format!("include_str!(\"../sql/{name}\")")), "{name} is not used");
    }
}

/// The highest `$n` outside of comments.
fn highest_parameter(text: &str) -> usize {
    let code: String = text.lines().map(|line| line.split("--").next().unwrap_or_default()).collect();
    code.split('$')
        .skip(1)
        .filter_map(|rest| rest.chars().take_while(char::is_ascii_digit).collect::<String>().parse().ok())
        .max()
        .unwrap_or(0)
}
