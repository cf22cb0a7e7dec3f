//! `multi-scrape`: reads many pages and takes from each what was asked for, a few at once, at the pace that their sites' policies set.
//!
//! The run deals the pages out to lanes. A lane is one part after the other, each a child run (`multi-scrape-part`) with a browser of its own
//! that goes from page to page; each page is a durable step, so that what was read is not read again.

pub mod input;
mod lanes;
mod part;
pub mod steps;

use serde::{Deserialize, Serialize};
use valet_core::workflow::{Door, InputProblem};
use valet_core::{Context, Failure, Stop, Workflow};

use input::{Page, Scrape};
pub use part::{Part, PartEnd, ScrapePartWorkflow};
use steps::{PageError, Record};

/// Records that the output itself holds; those of larger runs are in files only.
const INLINE_PAGES_MAX: usize = 100;

/// See the module.
pub struct MultiScrapeWorkflow;

/// The output of `multi-scrape`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Scraped {
    /// Different ones.
    pub pages: u32,
    pub read: u32,
    pub failed: u32,
    /// One for each part.
    pub files: Vec<RecordsFile>,
    /// In the order of the input, of runs with few pages.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub records: Vec<Record>,
    pub seconds: f64,
}

/// Records of some pages, JSON, one a line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordsFile {
    pub pages: u32,
    /// `file_…`; none where its run did not come to its end.
    pub file: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<PageError>,
}

impl Workflow for MultiScrapeWorkflow {
    const NAME: &'static str = "multi-scrape";
    type Input = Scrape;
    type Output = Scraped;

    async fn run(ctx: Context, input: Scrape) -> Result<Scraped, Stop> {
        let started_at = ctx.now();
        let pages = input::pages(&input.urls);
        let count = pages.len();
        let inline = count <= INLINE_PAGES_MAX;
        let lanes = lanes::lanes(pages, input.concurrency, input.per_host);
        ctx.set_status(format!("reading {count} pages, {} at once", lanes.len()));
        let lanes = lanes.into_iter().map(|lane| through(&ctx, &input, lane, inline)).collect();
        let ends: Vec<(Vec<Page>, Result<PartEnd, Failure>)> = ctx.all(lanes).await.into_iter().flatten().collect();
        let mut scraped = Scraped { pages: count as u32, ..Scraped::default() };
        for (pages, end) in ends {
            scraped.add(&pages, end);
        }
        scraped.records.sort_by_key(|record| record.number);
        if !inline {
            scraped.records.clear();
        }
        scraped.seconds = (ctx.now() - started_at).as_seconds_f64();
        ctx.set_status(format!("{} of {count} pages were read", scraped.read));
        Ok(scraped)
    }

    fn check(input: &Scrape, door: &Door) -> Vec<InputProblem> {
        input::problems(input, door)
    }
}

/// One part after the other. One that fails takes no other along.
async fn through(
    ctx: &Context,
    input: &Scrape,
    lane: Vec<Vec<Page>>,
    inline: bool,
) -> Vec<(Vec<Page>, Result<PartEnd, Failure>)> {
    let mut ends = Vec::with_capacity(lane.len());
    for pages in lane {
        let part = Part {
            pages: pages.clone(),
            take: input.take.clone(),
            keep: input.keep.clone(),
            allowed_domains: input.allowed_domains.clone(),
            inline,
        };
        let end = ctx.child::<_, PartEnd>(ScrapePartWorkflow::NAME, &part).await;
        ends.push((pages, end));
    }
    ends
}

impl Scraped {
    fn add(&mut self, pages: &[Page], end: Result<PartEnd, Failure>) {
        let many = pages.len() as u32;
        match end {
            Ok(end) => {
                self.read += end.read;
                self.failed += many.saturating_sub(end.read);
                self.files.push(RecordsFile { pages: many, file: Some(end.file), error: None });
                self.records.extend(end.records);
            }
            Err(why) => {
                self.failed += many;
                self.records.extend(pages.iter().map(|page| Record::failed(page, &why)));
                let error = PageError { code: why.code, message: why.message };
                self.files.push(RecordsFile { pages: many, file: None, error: Some(error) });
            }
        }
    }
}
