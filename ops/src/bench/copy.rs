//! Rows in Postgres' binary COPY format, so that history is filled at the server's pace.
//!
//! <https://www.postgresql.org/docs/15/sql-copy.html>, "Binary Format": a header, then for each row its number of fields and each
//! field's length and bytes, then -1.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// Microseconds from the Unix epoch to 2000-01-01, from which Postgres counts.
const EPOCH_US: i64 = 946_684_800_000_000;

/// Rows of one table on their way.
pub struct Rows {
    statement: &'static str,
    columns: i16,
    bytes: Vec<u8>,
    count: u64,
}

impl Rows {
    /// `statement` ends with `FROM STDIN WITH (FORMAT binary)` and names `columns` columns.
    pub fn new(statement: &'static str, columns: i16) -> Self {
        Self { statement, columns, bytes: HEADER.to_vec(), count: 0 }
    }

    /// Begins a row: exactly its columns must follow.
    pub fn row(&mut self) -> &mut Self {
        self.bytes.extend_from_slice(&self.columns.to_be_bytes());
        self.count += 1;
        self
    }

    fn field(&mut self, bytes: &[u8]) -> &mut Self {
        // A field of a row that was made here is far below 2 GiB.
        self.bytes.extend_from_slice(&(bytes.len() as i32).to_be_bytes());
        self.bytes.extend_from_slice(bytes);
        self
    }

    pub fn null(&mut self) -> &mut Self {
        self.bytes.extend_from_slice(&(-1_i32).to_be_bytes());
        self
    }

    pub fn uuid(&mut self, value: Uuid) -> &mut Self {
        self.field(value.as_bytes())
    }

    pub fn text(&mut self, value: &str) -> &mut Self {
        self.field(value.as_bytes())
    }

    pub fn optional_text(&mut self, value: Option<&str>) -> &mut Self {
        match value {
            Some(value) => self.text(value),
            None => self.null(),
        }
    }

    pub fn bytes(&mut self, value: &[u8]) -> &mut Self {
        self.field(value)
    }

    /// With the version of `jsonb`'s format in front.
    pub fn jsonb(&mut self, value: &str) -> &mut Self {
        self.field(&[&[1], value.as_bytes()].concat())
    }

    pub fn bool(&mut self, value: bool) -> &mut Self {
        self.field(&[u8::from(value)])
    }

    pub fn smallint(&mut self, value: i16) -> &mut Self {
        self.field(&value.to_be_bytes())
    }

    pub fn int(&mut self, value: i32) -> &mut Self {
        self.field(&value.to_be_bytes())
    }

    pub fn bigint(&mut self, value: i64) -> &mut Self {
        self.field(&value.to_be_bytes())
    }

    pub fn instant(&mut self, value: DateTime<Utc>) -> &mut Self {
        self.field(&(value.timestamp_micros() - EPOCH_US).to_be_bytes())
    }

    /// Sends all rows; that the server took fewer is an error.
    pub async fn send(mut self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        self.bytes.extend_from_slice(&(-1_i16).to_be_bytes());
        let mut copy = connection.copy_in_raw(self.statement).await?;
        copy.send(self.bytes.as_slice()).await?;
        let taken = copy.finish().await?;
        if taken != self.count {
            return Err(sqlx::Error::Protocol(format!("{taken} of {} rows were taken", self.count)));
        }
        Ok(())
    }
}
