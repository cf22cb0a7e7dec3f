//! Lists that come in pages.

use clap::Args;

use super::bounds::{PAGE_ROWS_MAX, ROWS_MAX};
use super::client::ClientError;
use super::error::CliError;
use super::output::Output;

/// How much of a list.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub struct Paging {
    /// Rows to show [default: 50]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=ROWS_MAX as i64))]
    pub limit: Option<u32>,

    /// Show all, up to 20000 rows
    #[arg(long, conflicts_with = "limit")]
    pub all: bool,

    /// Go on where another list ended
    #[arg(long, value_name = "CURSOR")]
    pub cursor: Option<String>,
}

const ROWS_DEFAULT: usize = 50;
/// Requests for one list that finds little: ten million runs.
const PAGES_MAX: usize = 500;

/// Rows of one or more pages, and where the list goes on.
pub struct Rows<T> {
    pub rows: Vec<T>,
    pub next_cursor: Option<String>,
}

impl Paging {
    /// Asks for pages until there are as many rows as wanted. `page` takes a cursor and a number of rows.
    pub async fn collect<T>(
        &self,
        mut page: impl AsyncFnMut(Option<&str>, u32) -> Result<Rows<T>, ClientError>,
    ) -> Result<Rows<T>, CliError> {
        let want = if self.all { ROWS_MAX } else { self.limit.map_or(ROWS_DEFAULT, |limit| limit as usize) };
        let mut all = Rows { rows: Vec::new(), next_cursor: self.cursor.clone() };
        // A page may be empty where one request looks at no more; the bound holds whatever an engine answers.
        for _ in 0..want.max(PAGES_MAX) {
            let rows = (want - all.rows.len()).min(PAGE_ROWS_MAX);
            let next = page(all.next_cursor.as_deref(), rows as u32).await?;
            all.rows.extend(next.rows);
            all.next_cursor = next.next_cursor;
            if all.next_cursor.is_none() || all.rows.len() >= want {
                break;
            }
        }
        Ok(all)
    }
}

/// Tells people how to see the rest.
pub fn note_more(output: &Output, next_cursor: Option<&str>) {
    if let Some(cursor) = next_cursor {
        output.note(&format!("there are more: --all, --limit N, or go on with --cursor {cursor}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn collected(paging: &Paging, there_are: usize) -> (Rows<usize>, Vec<u32>) {
        let mut asked = Vec::new();
        let rows = paging
            .collect(async |cursor, rows| {
                asked.push(rows);
                let from: usize = cursor.map_or(0, |cursor| cursor.parse().unwrap());
                let to = (from + rows as usize).min(there_are);
                Ok(Rows { rows: (from..to).collect(), next_cursor: (to < there_are).then(|| to.to_string()) })
            })
            .await
            .unwrap();
        (rows, asked)
    }

    #[tokio::test]
    async fn pages_join_without_a_gap_and_stop_at_what_was_asked() {
        let limit = |limit| Paging { limit: Some(limit), ..Paging::default() };
        let (rows, asked) = collected(&limit(450), 1_000).await;
        assert_eq!((rows.rows, asked), ((0..450).collect(), vec![200, 200, 50]));
        assert_eq!(rows.next_cursor.as_deref(), Some("450"));

        let (rows, _) = collected(&Paging { all: true, ..Paging::default() }, 401).await;
        assert_eq!((rows.rows.len(), rows.next_cursor), (401, None));

        let from = Paging { cursor: Some("990".into()), ..Paging::default() };
        let (rows, asked) = collected(&from, 1_000).await;
        assert_eq!((rows.rows, asked), ((990..1_000).collect(), vec![50]));
    }
}
