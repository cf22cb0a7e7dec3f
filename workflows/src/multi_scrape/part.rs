//! `multi-scrape-part`: some pages in one browser, one after another.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use valet_core::context::Finalizer;
use valet_core::workflow::{Door, InputProblem};
use valet_core::{Context, Failure, StepFailure, Stop, Timestamp, Workflow};

use super::input::{Keep, Page, Take};
use super::lanes::PART_PAGES_MAX;
use super::steps::{Read, Record, ScrapePage, WriteRecords};
use crate::job_application::steps::{
    Cleanup, DIRECT, NO_TIER, Place, Provision, Provisioned, SANDBOX_LOST, SelectTier, TierChoice, Want,
};
use crate::job_url;

/// Browsers that may go away one after the other without a page being read.
const LOST_IN_A_ROW_MAX: u32 = 5;
/// Times that the sites of one part may put it off.
const PUT_OFF_MAX: u32 = 10_000;
/// A browser is kept for a site that opens within this; else it ends, and another one begins then.
const KEEP_OPEN_MAX: Duration = Duration::from_mins(2);
/// A browser that no step used ends by itself after this.
const LEASE_S: u64 = 3600;
/// A full machine is asked for room after this long, then after twice as long, up to the longest.
const ROOM_AGAIN_MIN: Duration = Duration::from_secs(5);
const ROOM_AGAIN_MAX: Duration = Duration::from_mins(1);
/// A day.
const ROOM_LOOKS_MAX: u32 = 24 * 60;

/// See the module.
pub struct ScrapePartWorkflow;

/// The input of `multi-scrape-part`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Part {
    #[schemars(length(min = 1, max = 100))]
    pub pages: Vec<Page>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    pub take: Vec<Take>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub keep: BTreeSet<Keep>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    pub allowed_domains: Vec<String>,
    /// The output holds the records too.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub inline: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PartEnd {
    pub read: u32,
    /// `file_…`: the records.
    pub file: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub records: Vec<Record>,
}

impl Workflow for ScrapePartWorkflow {
    const NAME: &'static str = "multi-scrape-part";
    type Input = Part;
    type Output = PartEnd;

    async fn run(ctx: Context, part: Part) -> Result<PartEnd, Stop> {
        let (inline, many) = (part.inline, part.pages.len());
        let mut reading = Reading::new(&ctx, part);
        reading.all().await?;
        let mut records = reading.records;
        records.sort_by_key(|record| record.number);
        let read = records.iter().filter(|record| record.error.is_none()).count() as u32;
        ctx.set_status(format!("{read} of {many} pages were read"));
        let file = ctx.step(WriteRecords { records: records.clone() }).await?;
        let records = if inline { records } else { Vec::new() };
        Ok(PartEnd { read, file: format!("file_{}", file.simple()), records })
    }

    fn check(input: &Part, door: &Door) -> Vec<InputProblem> {
        let problem = |(index, page): (usize, &Page)| {
            let message = job_url::problem(&page.url, door)?;
            Some(InputProblem { field: format!("/pages/{index}/url"), message })
        };
        let problems = input.pages.iter().enumerate().filter_map(problem);
        problems.take(PART_PAGES_MAX).collect()
    }
}

/// Why a browser reads no more.
enum Halt {
    /// Nothing is left.
    Done,
    Lost(Failure),
    /// All sites that are left want to be visited later.
    Rest(Timestamp),
}

struct Reading<'a> {
    ctx: &'a Context,
    part: Part,
    /// Which of the part's pages are not read yet, by their places in it.
    left: VecDeque<usize>,
    /// Hosts that are not to be visited before.
    closed: BTreeMap<String, Timestamp>,
    records: Vec<Record>,
    put_off: u32,
}

impl<'a> Reading<'a> {
    fn new(ctx: &'a Context, part: Part) -> Self {
        let left = (0..part.pages.len()).collect();
        Self { ctx, part, left, closed: BTreeMap::new(), records: Vec::new(), put_off: 0 }
    }

    async fn all(&mut self) -> Result<(), Stop> {
        let (mut lost, mut want) = (0, Want::Cheapest);
        while let Some(first) = self.left.front().copied() {
            let tier = match self.ctx.step(self.selecting(first, &want)).await {
                Ok(tier) => tier,
                // What the page's site allows cannot be had; others may allow more.
                Err(StepFailure::Failed(why)) if why.code == NO_TIER => {
                    self.left.pop_front();
                    self.fail(first, &why);
                    continue;
                }
                Err(failure) => return Err(failure.into()),
            };
            let place =
                Place { sandbox: self.ctx.id(), tier: tier.tier.clone(), host: tier.host.clone(), record: false };
            let cleanup = self.ctx.finally(Cleanup { at: place.clone() });
            let before = self.records.len();
            let halt = self.in_browser(&place, &tier).await?;
            clean_up(self.ctx, cleanup).await?;
            lost = if self.records.len() > before { 0 } else { lost };
            match halt {
                Halt::Done => return Ok(()),
                Halt::Rest(until) => {
                    want = Want::Cheapest;
                    self.until(until).await;
                }
                Halt::Lost(why) => {
                    lost += 1;
                    if lost == LOST_IN_A_ROW_MAX {
                        self.give_up(&why);
                        return Ok(());
                    }
                    self.ctx.log(format!("the browser is lost, another takes its place: {why}"));
                    want = Want::Same { tier: tier.tier };
                }
            }
        }
        Ok(())
    }

    fn selecting(&self, first: usize, want: &Want) -> SelectTier {
        SelectTier {
            job_url: self.part.pages[first].url.clone(),
            max_cost: None,
            want: want.clone(),
            browser: first as u32,
            // It hands in applications, and reads no pages.
            without: vec![DIRECT.to_owned()],
            untimed: true,
        }
    }

    async fn in_browser(&mut self, at: &Place, tier: &TierChoice) -> Result<Halt, Stop> {
        if let Some(lost) = self.provision(at, tier).await? {
            return Ok(Halt::Lost(lost));
        }
        loop {
            let (page, until) = match self.next() {
                Next::Page(page) => (page, None),
                Next::At(page, until) => (page, Some(until)),
                Next::None => return Ok(Halt::Done),
            };
            if let Some(until) = until {
                if (until - self.ctx.now()).to_std().unwrap_or_default() > KEEP_OPEN_MAX {
                    return Ok(Halt::Rest(until));
                }
                self.until(until).await;
            }
            self.status();
            let step = ScrapePage {
                at: at.clone(),
                page: self.part.pages[page].clone(),
                visit: page as u32,
                take: self.part.take.clone(),
                keep: self.part.keep.clone(),
            };
            match self.ctx.step(step).await {
                Ok(Read::Page(record)) => {
                    self.left.retain(|left| *left != page);
                    self.records.push(record);
                }
                Ok(Read::Later(wait)) => {
                    self.put_off += 1;
                    if self.put_off == PUT_OFF_MAX {
                        let why = format!("the sites put the pages off {PUT_OFF_MAX} times: {}", wait.why);
                        self.give_up(&Failure::new("site_closed", why));
                        return Ok(Halt::Done);
                    }
                    self.closed.insert(self.part.pages[page].host(), wait.until);
                }
                Err(failure) => match lost(failure) {
                    Ok(why) => return Ok(Halt::Lost(why)),
                    Err(why) => {
                        self.left.retain(|left| *left != page);
                        self.fail(page, &why);
                    }
                },
            }
        }
    }

    /// Starts the browser; a machine that is full is asked again. What is told is why there is none.
    async fn provision(&self, at: &Place, tier: &TierChoice) -> Result<Option<Failure>, Stop> {
        let pages = self.left.iter().map(|page| self.part.pages[*page].host()).collect::<BTreeSet<String>>();
        let allowed_hosts: Vec<String> = pages.into_iter().chain(self.part.allowed_domains.iter().cloned()).collect();
        let mut pause = ROOM_AGAIN_MIN;
        for _ in 0..ROOM_LOOKS_MAX {
            self.ctx.set_status(format!("starting a browser ({})", at.tier));
            let provision = Provision {
                at: at.clone(),
                allowed_hosts: allowed_hosts.clone(),
                lease_s: LEASE_S,
                price: tier.price.clone(),
            };
            let why = match self.ctx.step(provision).await {
                Ok(Provisioned::Ready { .. }) => return Ok(None),
                Ok(Provisioned::Full { max }) => format!("the machine has its {max} browsers"),
                Ok(Provisioned::Spent { .. }) if tier.price.stops => {
                    let why = format!("browsers of `{}` cost all that they may in a day", at.tier);
                    return Err(Stop::failed("day_budget_spent", why));
                }
                Ok(Provisioned::Spent { .. }) => "browsers cost all that they may in a day".to_owned(),
                Ok(Provisioned::Resting { why }) => why,
                Err(failure) => return lost(failure).map(Some).map_err(Stop::Failed),
            };
            self.ctx.set_status(format!("waiting for a browser: {why}"));
            self.ctx.sleep(pause).await;
            pause = (pause * 2).min(ROOM_AGAIN_MAX);
        }
        Err(Stop::failed("no_capacity", "the machine had no room for one more browser for a day"))
    }

    /// The first page whose host may be visited now, or the one that may be soonest.
    fn next(&self) -> Next {
        let now = self.ctx.now();
        let opens = |page: &usize| self.closed.get(&self.part.pages[*page].host()).copied().filter(|at| *at > now);
        if let Some(page) = self.left.iter().find(|page| opens(page).is_none()) {
            return Next::Page(*page);
        }
        let soonest = self.left.iter().filter_map(|page| Some((opens(page)?, *page))).min();
        soonest.map_or(Next::None, |(until, page)| Next::At(page, until))
    }

    async fn until(&self, until: Timestamp) {
        self.ctx.set_status(format!("waiting until {} for a site", until.format("%Y-%m-%d %H:%M:%S UTC")));
        self.ctx.sleep_until(until).await;
    }

    fn status(&self) {
        let (read, all) = (self.records.len(), self.part.pages.len());
        self.ctx.set_status(format!("reading page {} of {all}", read + 1));
    }

    fn fail(&mut self, page: usize, why: &Failure) {
        self.records.push(Record::failed(&self.part.pages[page], why));
    }

    fn give_up(&mut self, why: &Failure) {
        while let Some(page) = self.left.pop_front() {
            self.fail(page, why);
        }
    }
}

enum Next {
    Page(usize),
    At(usize, Timestamp),
    None,
}

/// `Ok`: the browser or its machine is gone, and the page is read in another one.
fn lost(failure: StepFailure) -> Result<Failure, Failure> {
    match failure {
        StepFailure::NotStarted(why) => Ok(why),
        StepFailure::Failed(why) | StepFailure::Exhausted(why) if why.code == SANDBOX_LOST => Ok(why),
        other => Err(other.failure().clone()),
    }
}

/// A machine that is gone took what was on it along.
async fn clean_up(ctx: &Context, cleanup: Finalizer) -> Result<(), Stop> {
    match cleanup.now().await {
        Err(StepFailure::NotStarted(why)) => {
            ctx.log(format!("nothing is left to clean up: {why}"));
            Ok(())
        }
        other => Ok(other?),
    }
}
