//! A real Postgres whose clock the tests set: the real store's SQL as it is, at the instants of a simulated history.
//!
//! Statements call `now()` and its like without a schema. On connections whose search path names the schema `steered` first
//! and `pg_catalog` last, they find the functions made here, which read one row. The schema's tables are made on such a
//! connection too, so that their columns' defaults read the same clock.

use std::sync::Arc;

use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use valet_core::Timestamp;
use valet_engine::codec::MasterKey;
use valet_engine::store::postgres::{PgStore, migrate};
use valet_stack::Stack;

/// Every function without arguments by which a statement may ask for the time. Words of the grammar (`CURRENT_TIMESTAMP`)
/// cannot be steered: a statement that used one would be found by its answers.
const CLOCKS: [&str; 4] = ["now", "transaction_timestamp", "statement_timestamp", "clock_timestamp"];

/// A server of its own, which ends with it.
pub struct Server(Stack);

impl Server {
    pub async fn start() -> Self {
        Self(Stack::temporary(false).await.expect("the private servers start"))
    }

    /// An empty database with this build's schema.
    pub async fn database(&self, name: &str) -> Database {
        let url = self.0.create_database(name).await.expect("a database");
        let mut clock = PgConnection::connect(&url).await.expect("a connection");
        let steer = "CREATE SCHEMA steered; CREATE UNLOGGED TABLE steered.clock (at timestamptz NOT NULL); \
            INSERT INTO steered.clock VALUES ('2000-01-01Z')";
        run(&mut clock, steer.to_owned()).await;
        for function in CLOCKS {
            // In PL/pgSQL, which keeps its plan.
            let make = format!(
                "CREATE FUNCTION steered.{function}() RETURNS timestamptz LANGUAGE plpgsql STABLE AS \
                 'BEGIN RETURN (SELECT at FROM steered.clock); END'"
            );
            run(&mut clock, make).await;
        }
        let mark = if url.contains('?') { '&' } else { '?' };
        let url = format!("{url}{mark}options[search_path]=steered,public,pg_catalog");
        migrate(&url).await.expect("migrations");
        let store = PgStore::connect(&url, MasterKey::new(&[7; 32]), 1).await.expect("a store");
        Database { store, clock, at: None }
    }

    pub async fn drop_database(&self, name: &str) {
        self.0.drop_database(name).await.expect("it is removed");
    }
}

/// A database, the real store on it, and its clock.
pub struct Database {
    pub store: Arc<PgStore>,
    clock: PgConnection,
    at: Option<Timestamp>,
}

impl Database {
    /// From now on it is this instant.
    pub async fn set_clock(&mut self, at: Timestamp) {
        if self.at.replace(at) != Some(at) {
            let set = sqlx::query("UPDATE steered.clock SET at = $1").bind(at);
            set.execute(&mut self.clock).await.expect("the clock is set");
        }
    }
}

async fn run(connection: &mut PgConnection, sql: String) {
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await.expect("the statement runs");
}
