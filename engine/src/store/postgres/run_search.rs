//! Lists and counts of runs over history of any size: each request reads a bounded number of rows.
//!
//! What has an index of its own (a subject, a parent, what went wrong, attributes) is looked for there. Other filters are held against a
//! window of the newest rows; where it has too few, the page ends where the window does, and the next one goes on behind it.

use std::sync::LazyLock;

use serde_json::{Map, Value};
use sqlx::Postgres;
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::QueryAs;
use sqlx::types::Json;
use uuid::Uuid;
use valet_core::Timestamp;
use valet_core::id::RunId;

use super::queries::RunRecord;
use super::{PgStore, StoreError, bounded};
use crate::access::Reach;
use crate::bounds::{RUNS_COUNTED_MAX, RUNS_LOOKED_AT_MAX};

/// Which runs.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub struct RunFilter {
    pub workflow: Option<String>,
    pub statuses: Option<Vec<String>>,
    pub subject: Option<String>,
    /// Names with values, all of them.
    pub attributes: Option<Map<String, Value>>,
    pub error_code: Option<String>,
    pub parent: Option<RunId>,
    pub created_from: Option<Timestamp>,
    /// Not included.
    pub created_before: Option<Timestamp>,
    #[serde(skip)]
    pub reach: Reach,
    #[serde(skip)]
    pub among: Among,
}

/// Which runs are looked at at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Among {
    #[default]
    All,
    Live,
    Ended,
}

/// Where a page ended.
pub type Place = (Timestamp, Uuid);

/// Some runs, and where the next page begins.
pub struct RunPage {
    pub runs: Vec<RunRecord>,
    pub next: Option<Place>,
}

/// How many runs, by status.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct LiveCount {
    pub status: String,
    pub runs: i64,
}

/// How many runs that began in one part of a time, by status.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct EndedCount {
    pub bucket: i32,
    pub status: String,
    pub runs: i64,
}

/// Where runs are looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    Newest,
    Subject,
    WentWrong,
    Parent,
    Attributes,
}

impl By {
    /// The index that leads to the fewest rows, as far as a filter tells.
    fn of(filter: &RunFilter) -> Self {
        let is_wrong = |status: &String| matches!(status.as_str(), "failed" | "cancelled" | "timed_out");
        if filter.parent.is_some() {
            Self::Parent
        } else if filter.subject.is_some() {
            Self::Subject
        } else if filter.error_code.is_some() || filter.statuses.as_ref().is_some_and(|all| all.iter().all(is_wrong)) {
            Self::WentWrong
        } else {
            Self::Newest
        }
    }

    /// All rows that fit are read, in whatever order; `OFFSET 0` keeps the planner from walking all runs in theirs instead.
    fn is_whole(self) -> bool {
        matches!(self, Self::Parent | Self::Attributes)
    }

    fn put_into(self, among: Among, text: &str, [subject, attributes, parent]: [&str; 3]) -> String {
        let condition = match self {
            Self::Newest => None,
            Self::Subject => Some(format!("subject = {subject}")),
            Self::WentWrong => Some("status <> 'succeeded'".to_owned()),
            Self::Parent => Some(format!("parent_run = {parent} OFFSET 0")),
            Self::Attributes => {
                Some(format!("tenant = $1 AND attributes @> {attributes}::jsonb AND attributes <> '{{}}' OFFSET 0"))
            }
        };
        let of = |table: &str, left_out: Among| match &condition {
            _ if among == left_out => format!("(SELECT * FROM {table} WHERE false)"),
            Some(condition) => format!("(SELECT * FROM {table} WHERE {condition})"),
            None => table.to_owned(),
        };
        let ended = of("finished_runs", Among::Live);
        let text = text.replace("finished_runs AS ended", &format!("{ended} AS ended"));
        text.replace("FROM runs AS live", &format!("FROM {} AS live", of("runs", Among::Ended)))
    }
}

const AMONG: [Among; 3] = [Among::All, Among::Live, Among::Ended];
const ALL: [By; 5] = [By::Newest, By::Subject, By::WentWrong, By::Parent, By::Attributes];

/// One statement for each place where runs are looked for.
type OfPlaces = Vec<String>;

struct Statements {
    /// Each by which runs are looked at.
    list: Vec<OfPlaces>,
    window: Vec<OfPlaces>,
    count: Vec<OfPlaces>,
    count_live: OfPlaces,
    count_ended: OfPlaces,
}

static STATEMENTS: LazyLock<Statements> = LazyLock::new(|| {
    let places = |among: Among, text: &str, parameters: [&str; 3]| -> OfPlaces {
        ALL.iter().map(|by| by.put_into(among, text, parameters)).collect()
    };
    let each = |text: &str, parameters: [&str; 3]| -> Vec<OfPlaces> {
        AMONG.iter().map(|&among| places(among, text, parameters)).collect()
    };
    let list = include_str!("../sql/list_runs.sql");
    let of_list = ["$10", "$11", "$13"];
    Statements {
        list: each(list, of_list),
        window: each(include_str!("../sql/run_window.sql"), ["$6", "NULL", "$7"]),
        count: each(&format!("SELECT count(*) FROM (\n{list}\n) AS fitting"), of_list),
        count_live: places(Among::All, include_str!("../sql/count_live_runs.sql"), ["$3", "$4", "$6"]),
        count_ended: places(Among::All, include_str!("../sql/count_ended_runs.sql"), ["$3", "$4", "$6"]),
    }
});

/// All statements of lists and counts, as they are sent.
pub fn statements() -> impl Iterator<Item = &'static str> {
    let Statements { list, window, count, count_live, count_ended } = &*STATEMENTS;
    // No window is taken of what is read whole.
    let windows = window.iter().flat_map(|places| ALL.iter().zip(places));
    let windows = windows.filter(|(by, _)| !by.is_whole()).map(|(_, text)| text);
    let lists = list.iter().chain(count).flatten();
    lists.chain(windows).chain(count_live).chain(count_ended).map(String::as_str)
}

impl PgStore {
    /// At most `most` runs behind `after`, newest first. Perhaps fewer with more behind them: `next` says so.
    pub async fn list_runs(
        &self,
        tenant: &str,
        filter: &RunFilter,
        after: Option<Place>,
        most: u32,
    ) -> Result<RunPage, StoreError> {
        let by = By::of(filter);
        let is_simple = matches!(by, By::Newest) && is_all(filter);
        let end = if is_simple || by.is_whole() {
            None
        } else {
            self.window_end(tenant, filter, by, after, RUNS_LOOKED_AT_MAX).await?
        };
        let (runs, next) = self.looked_up(tenant, filter, by, (after, end), most).await?;
        let Some(end) = end.filter(|_| next.is_none()) else { return Ok(RunPage { runs, next }) };
        if by == By::Newest && filter.attributes.is_some() {
            // Few of the newest have them: then there are few, and their index knows them all.
            let (runs, next) = self.looked_up(tenant, filter, By::Attributes, (after, None), most).await?;
            return Ok(RunPage { runs, next });
        }
        Ok(RunPage { runs, next: Some(end) })
    }

    /// The place tells that there are more.
    async fn looked_up(
        &self,
        tenant: &str,
        filter: &RunFilter,
        by: By,
        (after, end): (Option<Place>, Option<Place>),
        most: u32,
    ) -> Result<(Vec<RunRecord>, Option<Place>), StoreError> {
        let text = &STATEMENTS.list[filter.among as usize][by as usize];
        let query = listed::<RunRecord>(text, tenant, filter, (after, end), most);
        let mut runs = bounded(query.fetch_all(&self.pool)).await?;
        let full = runs.len() > most as usize;
        runs.truncate(most as usize);
        let next = runs.last().filter(|_| full).map(|last| (last.created_at, last.id));
        Ok((runs, next))
    }

    /// The last of so many rows, if there are so many.
    async fn window_end(
        &self,
        tenant: &str,
        filter: &RunFilter,
        by: By,
        after: Option<Place>,
        rows: u32,
    ) -> Result<Option<Place>, StoreError> {
        let query = sqlx::query_as::<_, Place>(STATEMENTS.window[filter.among as usize][by as usize].as_str())
            .bind(tenant)
            .bind(after.map(|(at, _)| at))
            .bind(after.map(|(_, id)| id))
            .bind(filter.created_from)
            .bind(filter.created_before)
            .bind(&filter.subject)
            .bind(filter.parent.map(|run| run.0))
            .bind(i64::from(rows));
        bounded(query.fetch_optional(&self.pool)).await
    }

    /// How many runs there are, and whether there may be more: of the newest so many.
    pub async fn count_runs(&self, tenant: &str, filter: &RunFilter, most: u32) -> Result<(u64, bool), StoreError> {
        let by = match By::of(filter) {
            By::Newest if filter.attributes.is_some() => By::Attributes,
            by => by,
        };
        let end = if by.is_whole() { None } else { self.window_end(tenant, filter, by, None, most).await? };
        let text = &STATEMENTS.count[filter.among as usize][by as usize];
        let (count,) = bounded(listed::<(i64,)>(text, tenant, filter, (None, end), most).fetch_one(&self.pool)).await?;
        let count = count.unsigned_abs();
        Ok((count.min(most.into()), end.is_some() || count > most.into()))
    }

    /// Live runs by status, of the newest [`RUNS_COUNTED_MAX`].
    pub async fn count_live_runs(&self, tenant: &str, filter: &RunFilter) -> Result<Vec<LiveCount>, StoreError> {
        let by = counted_by(filter);
        let query = sqlx::query_as::<_, LiveCount>(STATEMENTS.count_live[by as usize].as_str())
            .bind(tenant)
            .bind(&filter.workflow)
            .bind(&filter.subject)
            .bind(filter.attributes.as_ref().map(Json))
            .bind(&filter.error_code)
            .bind(filter.parent.map(|run| run.0))
            .bind(&filter.reach.workflows)
            .bind(&filter.reach.subjects)
            .bind(i64::from(RUNS_COUNTED_MAX));
        bounded(query.fetch_all(&self.pool)).await
    }

    /// Ended runs that began in a time, by status and by which of its parts of `width_s` seconds they began in. Of the newest
    /// [`RUNS_COUNTED_MAX`]: the instant tells from when on, where there are more.
    pub async fn count_ended_runs(
        &self,
        tenant: &str,
        filter: &RunFilter,
        (from, before): (Timestamp, Timestamp),
        width_s: f64,
    ) -> Result<(Vec<EndedCount>, Option<Timestamp>), StoreError> {
        let by = counted_by(filter);
        let query = sqlx::query_as::<_, EndedCount>(STATEMENTS.count_ended[by as usize].as_str())
            .bind(tenant)
            .bind(&filter.workflow)
            .bind(&filter.subject)
            .bind(filter.attributes.as_ref().map(Json))
            .bind(&filter.error_code)
            .bind(filter.parent.map(|run| run.0))
            .bind(&filter.reach.workflows)
            .bind(&filter.reach.subjects)
            .bind(from)
            .bind(before)
            .bind(width_s)
            .bind(i64::from(RUNS_COUNTED_MAX));
        let counts = bounded(query.fetch_all(&self.pool)).await?;
        if by.is_whole() {
            return Ok((counts, None));
        }
        let within = RunFilter { created_from: Some(from), created_before: Some(before), ..filter.clone() };
        let end = self.window_end(tenant, &within, by, None, RUNS_COUNTED_MAX).await?;
        Ok((counts, end.map(|(at, _)| at)))
    }
}

/// What a statement of a list wants to know.
fn listed<'q, T: for<'r> sqlx::FromRow<'r, PgRow>>(
    text: &'static str,
    tenant: &'q str,
    filter: &'q RunFilter,
    (after, end): (Option<Place>, Option<Place>),
    most: u32,
) -> QueryAs<'q, Postgres, T, PgArguments> {
    sqlx::query_as::<_, T>(text)
        .bind(tenant)
        .bind(after.map(|(at, _)| at))
        .bind(after.map(|(_, id)| id))
        .bind(end.map(|(at, _)| at))
        .bind(end.map(|(_, id)| id))
        .bind(filter.created_from)
        .bind(filter.created_before)
        .bind(&filter.workflow)
        .bind(&filter.statuses)
        .bind(&filter.subject)
        .bind(filter.attributes.as_ref().map(Json))
        .bind(&filter.error_code)
        .bind(filter.parent.map(|run| run.0))
        .bind(&filter.reach.workflows)
        .bind(&filter.reach.subjects)
        .bind(i64::from(most) + 1)
}

fn counted_by(filter: &RunFilter) -> By {
    match By::of(filter) {
        By::Newest if filter.attributes.is_some() => By::Attributes,
        // Those that went well are counted too.
        By::WentWrong if filter.error_code.is_none() => By::Newest,
        by => by,
    }
}

/// Whether it lets every run of the time through.
fn is_all(filter: &RunFilter) -> bool {
    let RunFilter { workflow, statuses, subject, attributes, error_code, parent, reach, .. } = filter;
    let texts = [workflow, subject, error_code];
    texts.iter().all(|text| text.is_none())
        && statuses.is_none()
        && attributes.is_none()
        && parent.is_none()
        && reach.workflows.is_none()
        && reach.subjects.is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_looked_for_where_there_are_few_rows() {
        let wrong = |statuses: &[&str]| RunFilter {
            statuses: Some(statuses.iter().map(|&status| status.to_owned()).collect()),
            ..RunFilter::default()
        };
        assert_eq!(By::of(&RunFilter::default()), By::Newest);
        assert_eq!(By::of(&wrong(&["failed", "timed_out"])), By::WentWrong);
        assert_eq!(By::of(&wrong(&["failed", "succeeded"])), By::Newest);
        assert_eq!(By::of(&RunFilter { subject: Some("ada".to_owned()), ..wrong(&["failed"]) }), By::Subject);
        assert_eq!(By::of(&RunFilter { parent: Some(RunId(Uuid::nil())), ..RunFilter::default() }), By::Parent);
    }

    #[test]
    fn every_statement_but_the_plain_ones_looks_elsewhere() {
        let plain = include_str!("../sql/list_runs.sql");
        let list = |among: Among, by: By| STATEMENTS.list[among as usize][by as usize].as_str();
        assert_eq!(list(Among::All, By::Newest), plain);
        let (live, ended) = ("FROM runs AS live", "FROM finished_runs AS ended");
        for by in &ALL[1..] {
            let text = list(Among::All, *by);
            assert!(!text.contains(live) && !text.contains(ended), "{text}");
        }
        assert!(list(Among::Live, By::Newest).contains(live) && !list(Among::Live, By::Newest).contains(ended));
        assert!(!list(Among::Ended, By::Newest).contains(live) && list(Among::Ended, By::Newest).contains(ended));
    }
}
