//! Reads saved pages one after the other in one browser of the local tier.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::Serialize;
use thiserror::Error;
use uuid::Uuid;

use super::markup::mark;
use super::score::Labelled;
use super::server::PageServer;
use crate::browser::{AgentLimits, BrowserAgent, BrowserError, WebDriverAgent};
use crate::form::snapshot::Control;
use crate::form::{Field, FieldKind, Snapshot, read_fields};
use crate::sandbox::{FenceNumber, ProvisionRequest, SandboxError, SandboxId, SandboxProvider};

/// A browser that nobody renews ends by itself after this; it is renewed with a page that comes so much later.
const LEASE: Duration = Duration::from_mins(3);
const RENEW_AFTER: Duration = Duration::from_secs(45);
/// Folders within folders; a link that leads in circles ends here.
const DEPTH_MAX: usize = 16;
/// A page of more is no form anybody saved.
const PAGE_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Nothing runs in a saved page and nothing is on its way: what is loaded is at rest.
const AT_REST: AgentLimits = AgentLimits {
    attach: Duration::from_secs(10),
    command: Duration::from_secs(65),
    navigation: Duration::from_secs(95),
    quiet: Duration::ZERO,
    settle: Duration::from_secs(5),
    loading: Duration::ZERO,
    revealed: Duration::ZERO,
    moved: Duration::ZERO,
    stuck: Duration::ZERO,
    stuck_submit: Duration::ZERO,
    pace: None,
};

#[derive(Debug, Error)]
pub enum ReadError {
    #[error("cannot read {}", .0.display())]
    Folder(PathBuf, #[source] std::io::Error),
    #[error("cannot serve pages on loopback")]
    Serve(#[source] std::io::Error),
    #[error("the browser cannot be started: {0}")]
    Sandbox(#[from] SandboxError),
    #[error("the browser does not answer: {0}")]
    Browser(#[source] BrowserError),
}

/// Why one page could not be read; the others can.
#[derive(Debug, Error)]
pub enum PageFailure {
    #[error("cannot be read: {0}")]
    File(#[source] std::io::Error),
    #[error("has more than {} MiB", PAGE_BYTES_MAX >> 20)]
    TooLarge,
    #[error("{0}")]
    Browser(#[from] BrowserError),
}

/// A page's file and its name in reports: the path below the folder.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SavedPage {
    pub name: String,
    pub file: PathBuf,
}

/// What one control is for.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ControlAnswer {
    /// The page's own mark of it, else a CSS path.
    pub control: String,
    /// `None`: abstained.
    #[serde(rename = "type")]
    pub kind: Option<FieldKind>,
    /// 0 to 1.
    pub confidence: f32,
    pub evidence: Vec<String>,
}

#[derive(Clone, Debug)]
pub struct PageAnswers {
    /// In document order.
    pub controls: Vec<ControlAnswer>,
    /// Snapshot and classification; opening the page is not in it.
    pub took: Duration,
}

#[derive(Clone, Debug)]
pub struct Compared {
    pub labelled: Vec<Labelled>,
    pub took: Duration,
}

/// All HTML files of a folder and the folders in it, by name.
pub fn pages_below(folder: &Path) -> Result<Vec<SavedPage>, ReadError> {
    let mut pages = Vec::new();
    collect(folder, "", 0, &mut pages)?;
    pages.sort();
    Ok(pages)
}

fn collect(folder: &Path, prefix: &str, depth: usize, pages: &mut Vec<SavedPage>) -> Result<(), ReadError> {
    let unreadable = |error| ReadError::Folder(folder.to_owned(), error);
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let file = entry.map_err(unreadable)?.path();
        let Some(own) = file.file_name().map(|name| name.to_string_lossy().into_owned()) else { continue };
        let name = format!("{prefix}{own}");
        if file.is_dir() {
            if depth < DEPTH_MAX {
                collect(&file, &format!("{name}/"), depth + 1, pages)?;
            }
        } else if file
            .extension()
            .is_some_and(|kind| kind.eq_ignore_ascii_case("html") || kind.eq_ignore_ascii_case("htm"))
        {
            pages.push(SavedPage { name, file });
        }
    }
    Ok(())
}

/// The file's bytes, unless they are too many.
fn bytes_of(page: &SavedPage) -> Result<Vec<u8>, PageFailure> {
    let size = std::fs::metadata(&page.file).map_err(PageFailure::File)?.len();
    if size > PAGE_BYTES_MAX {
        return Err(PageFailure::TooLarge);
    }
    std::fs::read(&page.file).map_err(PageFailure::File)
}

/// A browser that reads saved pages; it must be [closed](Self::close).
pub struct SavedPages<'a> {
    provider: &'a dyn SandboxProvider,
    server: PageServer,
    sandbox: Option<Reading>,
}

struct Reading {
    id: SandboxId,
    agent: WebDriverAgent,
    renewed: Instant,
}

impl<'a> SavedPages<'a> {
    pub async fn open(provider: &'a dyn SandboxProvider) -> Result<Self, ReadError> {
        let server = PageServer::start().await.map_err(ReadError::Serve)?;
        let mut pages = Self { provider, server, sandbox: None };
        pages.browser().await?;
        Ok(pages)
    }

    /// The sandbox that reads; for tests of what it reaches.
    pub fn sandbox(&self) -> Option<SandboxId> {
        self.sandbox.as_ref().map(|reading| reading.id)
    }

    /// The page as it was saved, without running anything of it.
    pub async fn read(&mut self, page: &SavedPage) -> Result<Result<PageAnswers, PageFailure>, ReadError> {
        match bytes_of(page) {
            Ok(html) => self.read_html(html).await,
            Err(failure) => Ok(Err(failure)),
        }
    }

    /// The page without the labels that people gave its controls, and what was answered to each of these.
    pub async fn compare(&mut self, page: &SavedPage) -> Result<Result<Compared, PageFailure>, ReadError> {
        let marked = match bytes_of(page) {
            Ok(html) => mark(&String::from_utf8_lossy(&html)),
            Err(failure) => return Ok(Err(failure)),
        };
        let answers = self.read_html(marked.html.into_bytes()).await?;
        Ok(answers.map(|PageAnswers { controls, took }| {
            let answer_to = |mark: String| controls.iter().find(|control| control.control == mark)?.kind;
            let labels = marked.labels.into_iter().enumerate();
            let labelled = labels.map(|(at, label)| Labelled { label, answer: answer_to(format!("c{}", at + 1)) });
            Compared { labelled: labelled.collect(), took }
        }))
    }

    /// The outer error is the browser's, the inner one the page's.
    async fn read_html(&mut self, html: Vec<u8>) -> Result<Result<PageAnswers, PageFailure>, ReadError> {
        let url = self.server.show(html);
        let agent = &self.browser().await?.agent;
        let answers = answers_of(agent, &url).await;
        if let Err(error) = &answers
            && !error.leaves_the_browser_usable()
        {
            // The next page gets another browser.
            self.end().await?;
        }
        Ok(answers.map_err(PageFailure::from))
    }

    pub async fn close(mut self) -> Result<(), ReadError> {
        self.end().await
    }

    async fn end(&mut self) -> Result<(), ReadError> {
        if let Some(Reading { id, agent, .. }) = self.sandbox.take() {
            drop(agent);
            self.provider.destroy(&id).await?;
        }
        Ok(())
    }

    async fn browser(&mut self) -> Result<&Reading, ReadError> {
        let reading = match self.sandbox.take() {
            Some(mut reading) => {
                if reading.renewed.elapsed() >= RENEW_AFTER {
                    self.provider.renew(&reading.id, LEASE).await?;
                    reading.renewed = Instant::now();
                }
                reading
            }
            None => self.start().await?,
        };
        Ok(self.sandbox.insert(reading))
    }

    async fn start(&self) -> Result<Reading, ReadError> {
        let place = self.server.address.to_string();
        let request = ProvisionRequest {
            sandbox_id: Uuid::now_v7(),
            allow_private: place.parse().into_iter().collect(),
            run: None,
            allowed_hosts: vec![place],
            headless: true,
            lease: LEASE,
            callback: None,
        };
        let id = self.provider.provision(&request).await?.id;
        let attached = match self.provider.attach(&id, FenceNumber(1)).await {
            Ok(attachment) => WebDriverAgent::attach(attachment, AT_REST).await.map_err(ReadError::Browser),
            Err(error) => Err(error.into()),
        };
        match attached {
            Ok(agent) => Ok(Reading { id, agent, renewed: Instant::now() }),
            Err(error) => {
                self.provider.destroy(&id).await?;
                Err(error)
            }
        }
    }
}

async fn answers_of(agent: &WebDriverAgent, url: &str) -> Result<PageAnswers, BrowserError> {
    agent.navigate(url).await?;
    let begun = Instant::now();
    let page = agent.snapshot().await?;
    let fields = read_fields(&page);
    Ok(PageAnswers { took: begun.elapsed(), controls: controls(&page, &fields) })
}

/// The fields' answers by control, in document order.
fn controls(page: &Snapshot, fields: &[Field]) -> Vec<ControlAnswer> {
    let mut answers: Vec<(usize, ControlAnswer)> = Vec::new();
    for field in fields {
        let kind = field.reported();
        for &member in &field.members {
            let answer = ControlAnswer {
                control: place_of(&page.controls[member]),
                kind: (kind != FieldKind::Unknown).then_some(kind),
                confidence: field.confidence,
                evidence: field.evidence.clone(),
            };
            answers.push((member, answer));
        }
    }
    answers.sort_by_key(|(member, _)| *member);
    answers.into_iter().map(|(_, answer)| answer).collect()
}

fn place_of(control: &Control) -> String {
    if !control.mark.is_empty() {
        return control.mark.clone();
    }
    let within = control.selectors.first().cloned().unwrap_or_default();
    control.frame.iter().cloned().chain([within]).collect::<Vec<_>>().join(" >>> ")
}
