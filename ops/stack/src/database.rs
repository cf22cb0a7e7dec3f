//! The few statements that this crate sends to Postgres, each within a bound.

use std::str::FromStr;
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection};

use crate::bounds;
use crate::error::StackError;

pub(crate) fn options(url: &str) -> Result<PgConnectOptions, StackError> {
    PgConnectOptions::from_str(url)
        // They would show a role's password to whoever reads the debug log.
        .map(ConnectOptions::disable_statement_logging)
        .map_err(|source| StackError::Statement { what: "understand the URL to connect to", source })
}

pub(crate) async fn connect(options: &PgConnectOptions) -> Result<PgConnection, sqlx::Error> {
    PgConnection::connect_with(options).await
}

/// Runs a statement that was put together from checked names.
pub(crate) async fn run(connection: &mut PgConnection, sql: String) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await.map(drop)
}

pub(crate) async fn bounded<T>(
    what: &'static str,
    statement: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, StackError> {
    tokio::time::timeout(bounds::STATEMENT, statement)
        .await
        .map_err(|_| StackError::StatementHung { what, after: bounds::STATEMENT })?
        .map_err(|source| StackError::Statement { what, source })
}

/// The server's version, which only a server that is ready tells. The error is the reason as text.
pub(crate) async fn version(options: &PgConnectOptions, bound: Duration) -> Result<String, String> {
    let ask = async {
        let mut connection = connect(options).await?;
        let version: String = sqlx::query_scalar("SHOW server_version").fetch_one(&mut connection).await?;
        connection.close().await?;
        Ok::<_, sqlx::Error>(version)
    };
    match tokio::time::timeout(bound, ask).await {
        Ok(Ok(version)) => Ok(version.split(' ').next().unwrap_or_default().to_owned()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no answer within {} s", bound.as_secs())),
    }
}

/// Names go into statements as they are, so that only harmless ones are let through.
fn checked(name: &str) -> Result<&str, StackError> {
    let mut characters = name.chars();
    let fine = characters.next().is_some_and(|c| c.is_ascii_lowercase())
        && characters.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        && name.len() <= 63;
    fine.then_some(name).ok_or_else(|| StackError::DatabaseName(name.to_owned()))
}

pub(crate) async fn create(url: &str, name: &str) -> Result<(), StackError> {
    let options = options(url)?;
    let sql = format!("CREATE DATABASE {}", checked(name)?);
    bounded("create a database", async { run(&mut connect(&options).await?, sql).await }).await
}

/// Ends the sessions that still use it.
pub(crate) async fn remove(url: &str, name: &str) -> Result<(), StackError> {
    let options = options(url)?;
    let name = checked(name)?;
    // `WITH (FORCE)` is refused while the server's own cleaner is at work there; a plain DROP ends that one, and nothing else.
    let end = format!(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}' AND usename = current_user"
    );
    let sql = format!("DROP DATABASE IF EXISTS {name}");
    bounded("drop a database", async {
        let mut connection = connect(&options).await?;
        run(&mut connection, end).await?;
        run(&mut connection, sql).await
    })
    .await
}

/// The same server's URL for another database.
pub(crate) fn url_of(url: &str, name: &str) -> Result<String, StackError> {
    Ok(options(url)?.database(checked(name)?).to_url_lossy().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_names_become_databases() {
        for fine in ["a", "valet_test_1"] {
            assert!(checked(fine).is_ok());
        }
        for bad in ["", "1a", "A", "a-b", "a\"; DROP TABLE x", &"a".repeat(64)] {
            assert!(checked(bad).is_err(), "{bad}");
        }
    }
}
