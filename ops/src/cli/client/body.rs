//! Answers, read within a bound, as what they are: a document, bytes, or a problem.

use reqwest::{Response, StatusCode, Url};
use serde::de::DeserializeOwned;
use valet_protocol::problem::Problem;

use super::ClientError;
use super::failure::why;
use crate::cli::bounds::ANSWER_BYTES_MAX;
use crate::cli::text;

/// Characters of a foreign answer that are repeated in an error.
const QUOTE_COLUMNS_MAX: usize = 120;

/// The answer itself if it is a good one, else what it says.
pub(super) async fn accepted(response: Response, token_given: bool) -> Result<Response, ClientError> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let url = origin(response.url());
    match (status, problem(response).await?) {
        (StatusCode::UNAUTHORIZED, _) => Err(ClientError::Unauthorized { token_given }),
        (StatusCode::FORBIDDEN, Ok(problem)) => Err(ClientError::Forbidden(problem)),
        (_, Ok(problem)) => Err(ClientError::Refused(problem)),
        (_, Err(text)) => Err(ClientError::NotAnEngine { url, why: format!("it says {status} {text}") }),
    }
}

/// The failure of an engine that cannot serve now.
pub(super) async fn away(response: Response) -> ClientError {
    let (status, url) = (response.status(), origin(response.url()));
    match problem(response).await {
        Ok(Ok(problem)) => ClientError::Away(problem),
        Ok(Err(_)) => {
            let detail = format!("{url} cannot serve now: it says {status}");
            ClientError::Away(Box::new(Problem::new(status.as_u16(), "unavailable", "Unavailable", detail)))
        }
        Err(error) => error,
    }
}

/// The problem, or the beginning of what came in its place.
async fn problem(response: Response) -> Result<Result<Box<Problem>, String>, ClientError> {
    let bytes = bytes(response, ANSWER_BYTES_MAX).await?;
    Ok(serde_json::from_slice(&bytes).map(Box::new).map_err(|_| quote(&bytes)))
}

pub(super) async fn json<T: DeserializeOwned>(response: Response) -> Result<T, ClientError> {
    let url = origin(response.url());
    let bytes = bytes(response, ANSWER_BYTES_MAX).await?;
    serde_json::from_slice(&bytes).map_err(|error| {
        let why = match serde_json::from_slice::<serde_json::Value>(&bytes) {
            Ok(_) => format!("its answer is of another version ({error})"),
            Err(_) => format!("it says {}", quote(&bytes)),
        };
        ClientError::NotAnEngine { url, why }
    })
}

pub(super) async fn bytes(mut response: Response, bytes_max: usize) -> Result<Vec<u8>, ClientError> {
    if response.content_length().is_some_and(|length| length > bytes_max as u64) {
        return Err(ClientError::TooLarge { bytes_max });
    }
    let mut bytes = Vec::new();
    loop {
        match response.chunk().await {
            Ok(None) => return Ok(bytes),
            Ok(Some(chunk)) if bytes.len() + chunk.len() > bytes_max => {
                return Err(ClientError::TooLarge { bytes_max });
            }
            Ok(Some(chunk)) => bytes.extend_from_slice(&chunk),
            Err(error) => return Err(ClientError::AnswerLost { url: origin(response.url()), why: why(&error) }),
        }
    }
}

/// The engine's address without the path of one request.
pub(super) fn origin(url: &Url) -> Url {
    let mut origin = url.clone();
    origin.set_query(None);
    origin.set_path("");
    origin
}

fn quote(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(1_000)]).into_owned();
    format!("“{}”", text::cut(&text::line(&text), QUOTE_COLUMNS_MAX))
}
