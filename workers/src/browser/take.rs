//! What a page holds at the places that somebody names by selectors, and the files behind its links.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::BrowserError;
use super::webdriver::WebDriverAgent;

const TAKE_JS: &str = include_str!("take.js");
const FETCH_JS: &str = include_str!("fetch.js");

/// Of one selector; what is more is on the page.
const ITEMS_MAX: usize = 50;
const TEXT_CHARS_MAX: usize = 4_000;

/// A place on a page.
#[derive(Clone, Debug, Serialize)]
pub struct Wanted {
    /// CSS; ` >>> ` enters an open shadow root.
    pub selector: String,
    /// Instead of the text.
    pub attribute: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Taken {
    /// Of the answer that the document came with, where the browser tells.
    pub status: Option<u16>,
    /// Of each wanted place, in its order; `None`: that is no selector.
    pub taken: Vec<Option<Vec<String>>>,
}

/// What became of a file that was asked for.
#[derive(Clone, Debug)]
pub enum Fetched {
    File { content: Vec<u8>, content_type: String },
    TooLarge { bytes: u64 },
    Refused { status: Option<u16> },
}

#[derive(Deserialize)]
struct Answer {
    content: Option<String>,
    content_type: Option<String>,
    bytes: Option<u64>,
    status: Option<u16>,
}

impl WebDriverAgent {
    /// Reads these places of the document on top.
    pub async fn take(&self, wanted: &[Wanted]) -> Result<Taken, BrowserError> {
        let mut session = self.session().await;
        session.enter(&[]).await?;
        let arguments = vec![json!(wanted), json!(ITEMS_MAX), json!(TEXT_CHARS_MAX)];
        let taken = session.script("take", TAKE_JS, arguments).await?;
        serde_json::from_value(taken)
            .map_err(|error| BrowserError::Protocol(format!("what was taken has another shape: {error}")))
    }

    /// Fetches what is behind a link of the page, as the page may.
    pub async fn fetch(&self, address: &str, bytes_max: usize) -> Result<Fetched, BrowserError> {
        let mut session = self.session().await;
        session.enter(&[]).await?;
        let answer = session.script("fetch", FETCH_JS, vec![json!(address), json!(bytes_max)]).await?;
        let answer: Answer = serde_json::from_value(answer)
            .map_err(|error| BrowserError::Protocol(format!("a fetched file has another shape: {error}")))?;
        Ok(match answer {
            Answer { content: Some(content), content_type, .. } => {
                let content = STANDARD.decode(content).map_err(|error| BrowserError::Protocol(error.to_string()))?;
                Fetched::File { content, content_type: content_type.unwrap_or_default() }
            }
            Answer { bytes: Some(bytes), .. } => Fetched::TooLarge { bytes },
            Answer { status, .. } => Fetched::Refused { status },
        })
    }
}
