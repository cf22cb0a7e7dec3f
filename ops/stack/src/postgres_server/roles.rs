//! Valet's role and database.

use super::{PostgresServer, VALET};
use crate::database;
use crate::error::StackError;

/// Makes what is missing. The role may create databases, for tests; it is no superuser.
pub(super) async fn ensure(server: &PostgresServer) -> Result<(), StackError> {
    let options = server.admin_options()?;
    let what = "make the role and database `valet`";
    database::bounded(what, async {
        let mut connection = database::connect(&options).await?;
        let role: Option<i32> = sqlx::query_scalar("SELECT 1 FROM pg_roles WHERE rolname = $1")
            .bind(VALET)
            .fetch_optional(&mut connection)
            .await?;
        if role.is_none() {
            // No statement that defines a role takes parameters; the password is hexadecimal digits.
            let password = &server.secrets.postgres_valet;
            database::run(&mut connection, format!("CREATE ROLE {VALET} LOGIN CREATEDB PASSWORD '{password}'")).await?;
        }
        let database: Option<i32> = sqlx::query_scalar("SELECT 1 FROM pg_database WHERE datname = $1")
            .bind(VALET)
            .fetch_optional(&mut connection)
            .await?;
        if database.is_none() {
            database::run(&mut connection, format!("CREATE DATABASE {VALET} OWNER {VALET}")).await?;
        }
        Ok(())
    })
    .await
}
