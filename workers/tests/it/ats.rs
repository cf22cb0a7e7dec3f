//! The agent on pages in the styles of hiring sites, drawn from seeds: what it knows arrives as it must, what nobody can know is asked, and
//! nothing is sent twice or by mistake.

mod fixture;
mod scripts;
mod styles;

use std::collections::BTreeMap;
use std::time::Duration;

use valet_workers::browser::{AgentLimits, BrowserAgent, WebDriverAgent};
use valet_workers::form::{
    Answer, Applicant, DocumentKind, NextKind, PageKind, advance, answer_obstacle, fill_page, obstacle, plan, read_page,
};
use valet_workers::sandbox::{SandboxId, SandboxProvider};

use self::fixture::{ANSWER, CODE, Fixture, LOGIN_PASSWORD};
use self::styles::{STYLES, Style};
use super::ada::ada;
use super::rig::Rig;
use super::site::Site;

/// How many seeds each style is drawn from.
const SEEDS: &str = "VALET_ATS_SEEDS";
const SEEDS_USUAL: u64 = 1;
/// Only styles whose name contains this.
const ONLY: &str = "VALET_ATS_ONLY";
/// Browsers at work at once.
const LANES: usize = 2;
/// Looks at pages; the longest way has a posting, an account, three steps and two questions.
const LOOKS_MAX: u32 = 16;

/// One application; what was not as it must be.
struct Lane {
    agent: WebDriverAgent,
    ada: Applicant,
}

impl Lane {
    async fn open(rig: &Rig, site: &Site, other: &Site) -> (Self, SandboxId) {
        let sandbox = rig.sandbox(&[site, other]).await;
        let limits = AgentLimits { stuck: Duration::from_secs(3), ..AgentLimits::default() };
        let agent = rig.agent_with(sandbox.id, 1, limits).await;
        let ada = ada(rig, sandbox.id, &[(DocumentKind::Resume, "ada-cv.pdf")]).await;
        (Self { agent, ada }, sandbox.id)
    }

    /// Goes through a form as a run does, and answers what a person would.
    async fn apply(&self, fixture: &Fixture<'_>, start: &str) -> Result<Vec<String>, String> {
        let told = |error: valet_workers::browser::BrowserError| error.to_string();
        self.agent.navigate(&fixture.site.url(start)).await.map_err(told)?;
        let mut applicant = self.ada.clone();
        let mut asked = Vec::new();
        for _ in 0..LOOKS_MAX {
            let page = read_page(&self.agent).await.map_err(told)?;
            if let Some(way) = obstacle(&page) {
                let answers: BTreeMap<String, String> = way
                    .fields
                    .iter()
                    .map(|field| {
                        let answer = match (field.secret, way.fields.len()) {
                            (true, 1) => CODE,
                            (true, _) => LOGIN_PASSWORD,
                            (false, _) => "ada@example.test",
                        };
                        (field.key.clone(), answer.to_owned())
                    })
                    .collect();
                answer_obstacle(&self.agent, &page, &answers).await.map_err(told)?;
                continue;
            }
            let planned = plan(&page, &Applicant::default());
            match planned.page.kind {
                PageKind::Confirmation => return Ok(asked),
                PageKind::Posting => {
                    let next = planned.next.ok_or("the posting has no way on")?;
                    advance(&self.agent, &page, &next).await.map_err(told)?;
                    continue;
                }
                PageKind::Form | PageKind::Step | PageKind::Review => {}
                other => return Err(format!("{other:?} at {}: {:?}", page.url, planned.page.evidence)),
            }
            let filled = fill_page(&self.agent, &applicant).await.map_err(told)?;
            if !filled.plan.unknown.is_empty() {
                for question in &filled.plan.unknown {
                    asked.push(question.label.trim_end_matches(':').to_owned());
                    applicant.answers.push(Answer { question: question.key.clone(), answer: ANSWER.into() });
                }
                continue;
            }
            if let Some(failure) = filled.applied.failed.first() {
                return Err(format!("{}: {}", failure.label, failure.reason));
            }
            let next = filled.plan.next.clone().ok_or("the form has no way on")?;
            let sends = next.kind == NextKind::Submit;
            let after = advance(&self.agent, &filled.snapshot, &next).await.map_err(told)?;
            if after.page.kind == PageKind::Confirmation {
                return Ok(asked);
            }
            if sends && !matches!(after.page.kind, PageKind::Code | PageKind::Form | PageKind::Step) {
                return Err(format!("sent, and then {:?}: {:?} {:?}", after.page, after.complaints, after.alerts));
            }
        }
        Err("it has no end".into())
    }
}

async fn one(rig: &Rig, (name, style): (&str, Style), seed: u64) -> Vec<String> {
    let (site, other) = (Site::start().await, Site::start().await);
    let mut fixture = Fixture::new(&site, &other, seed);
    let way = style(&mut fixture);
    let (lane, sandbox) = Lane::open(rig, &site, &other).await;
    let asked = lane.apply(&fixture, way.start).await;
    drop(lane);
    rig.provider.destroy(&sandbox).await.expect("destroyed");
    let mut faults = match asked {
        Ok(asked) if asked == [fixture.question] => Vec::new(),
        Ok(asked) => vec![format!("asked {asked:?} instead of {:?}", fixture.question)],
        Err(error) => vec![error],
    };
    let at = if way.elsewhere { &other } else { &site };
    let took: Vec<(&str, &Site)> = way.takes.iter().map(|path| (*path, at)).collect();
    faults.extend(fixture.faults(&took));
    faults.into_iter().map(|fault| format!("{name}, seed {seed}: {fault}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn applications_in_all_styles_arrive_as_they_must() {
    let seeds = std::env::var(SEEDS).map_or(SEEDS_USUAL, |seeds| seeds.parse().expect("a number of seeds"));
    let only = std::env::var(ONLY).unwrap_or_default();
    let rig = Rig::new();
    let mut work: Vec<((&str, Style), u64)> = Vec::new();
    for seed in 0..seeds {
        work.extend(STYLES.into_iter().filter(|(name, _)| name.contains(&only)).map(|style| (style, seed)));
    }
    let per_lane = work.len().div_ceil(LANES);
    let lanes = work.chunks(per_lane.max(1)).map(async |chunk| {
        let mut faults = Vec::new();
        for (style, seed) in chunk {
            faults.extend(one(&rig, *style, *seed).await);
        }
        faults
    });
    let faults: Vec<String> = futures::future::join_all(lanes).await.concat();
    assert!(faults.is_empty(), "{} faults in {} applications\n{}", faults.len(), work.len(), faults.join("\n"));
}
