//! What can go wrong between a client and an engine.

use reqwest::Url;
use valet_protocol::problem::Problem;

use crate::cli::exit::Exit;

/// An engine that was asked in vain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tried {
    pub url: Url,
    pub why: String,
}

/// Why a request has no good answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("cannot reach the engine: {}; start one with `valet up`, or name one with --url or VALET_URL", list(.0))]
    Unreachable(Vec<Tried>),
    /// The engine is there and cannot serve now.
    #[error("{}", sentence(.0))]
    Away(Box<Problem>),
    #[error(
        "the token is missing or not known to this engine; give it with --token-file or VALET_TOKEN_FILE (`valet up` prints the file's place)"
    )]
    Unauthorized { token_given: bool },
    #[error("{}", sentence(.0))]
    Forbidden(Box<Problem>),
    #[error("{}", sentence(.0))]
    Refused(Box<Problem>),
    #[error("{url} does not answer like an engine: {why}; check --url")]
    NotAnEngine { url: Url, why: String },
    /// Whether the engine did what it was asked is not known.
    #[error("the answer of {url} got lost ({why}); look with `valet runs list` before you try again")]
    AnswerLost { url: Url, why: String },
    #[error("the stream of events broke and could not be opened again: {0}")]
    StreamLost(String),
    #[error("the answer has more than {bytes_max} bytes")]
    TooLarge { bytes_max: usize },
    #[error("the token holds characters that cannot be sent; check its file")]
    BadToken,
    #[error("cannot set up HTTP: {0}")]
    Setup(#[source] reqwest::Error),
}

impl ClientError {
    pub fn exit(&self) -> Exit {
        match self {
            Self::Unreachable(_) | Self::Away(_) | Self::NotAnEngine { .. } | Self::AnswerLost { .. } => {
                Exit::Unreachable
            }
            Self::StreamLost(_) => Exit::Unreachable,
            Self::Unauthorized { .. } | Self::Forbidden(_) | Self::BadToken => Exit::Auth,
            Self::Refused(_) | Self::TooLarge { .. } | Self::Setup(_) => Exit::Failed,
        }
    }

    /// The engine's own word for what is wrong, such as `run_not_found`.
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Away(problem) | Self::Forbidden(problem) | Self::Refused(problem) => Some(&problem.code),
            _ => None,
        }
    }
}

fn list(tried: &[Tried]) -> String {
    let each = |tried: &Tried| format!("{} ({})", tried.url.as_str().trim_end_matches('/'), tried.why);
    tried.iter().map(each).collect::<Vec<_>>().join(", ")
}

/// A problem as one sentence with its places: `must be a URL at /input/job_url; at /input/subject: is required (invalid_input)`.
fn sentence(problem: &Problem) -> String {
    let mut text = lowercase_first(&problem.detail);
    if let Some(field) = &problem.field {
        text = format!("{text} at {field}");
    }
    let first =
        problem.errors.iter().position(|e| Some(&e.field) == problem.field.as_ref() && e.message == problem.detail);
    for (index, fault) in problem.errors.iter().enumerate() {
        if Some(index) != first {
            text = format!("{text}; {} at {}", lowercase_first(&fault.message), fault.field);
        }
    }
    let request = problem.request_id.as_deref().filter(|_| problem.status >= 500);
    match request {
        Some(request) => format!("{text} ({}, request {request})", problem.code),
        None => format!("{text} ({})", problem.code),
    }
}

/// Sentences of libraries begin with a capital; words that are written in capitals stay.
fn lowercase_first(text: &str) -> String {
    let mut chars = text.chars();
    match (chars.next(), chars.clone().next()) {
        (Some(first), Some(second)) if first.is_uppercase() && second.is_lowercase() => {
            first.to_lowercase().chain(chars).collect()
        }
        _ => text.to_owned(),
    }
}

/// The innermost cause says it best: `Connection refused (os error 111)`.
pub(super) fn why(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "no answer in time".to_owned();
    }
    let mut source: &dyn std::error::Error = error;
    while let Some(inner) = source.source() {
        source = inner;
    }
    let text = source.to_string();
    let text = text.split(" (os error").next().unwrap_or(&text);
    lowercase_first(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use valet_protocol::problem::FieldProblem;

    fn problem(detail: &str) -> Problem {
        Problem::new(422, "invalid_input", "Unprocessable Content", detail)
    }

    #[test]
    fn a_problem_is_one_lowercase_sentence_that_names_every_place_once() {
        let mut problem = problem("Must be a URL").at("/input/job_url");
        problem.errors = vec![
            FieldProblem { field: "/input/job_url".into(), message: "Must be a URL".into() },
            FieldProblem { field: "/input/subject".into(), message: "\"subject\" is required".into() },
        ];
        let text = ClientError::Refused(Box::new(problem)).to_string();
        assert_eq!(text, "must be a URL at /input/job_url; \"subject\" is required at /input/subject (invalid_input)");
    }

    #[test]
    fn words_in_capitals_stay_and_a_failure_of_the_engine_names_its_request() {
        let mut problem = problem("JSON is nested too deep");
        assert!(sentence(&problem).starts_with("JSON is"));
        (problem.status, problem.request_id) = (500, Some("0a1b".into()));
        assert!(sentence(&problem).ends_with("(invalid_input, request 0a1b)"));
    }

    #[test]
    fn every_kind_of_failure_has_its_exit_code() {
        let refused = || Box::new(problem("no"));
        assert_eq!(ClientError::Unreachable(Vec::new()).exit(), Exit::Unreachable);
        assert_eq!(ClientError::Away(refused()).exit(), Exit::Unreachable);
        assert_eq!(ClientError::Unauthorized { token_given: false }.exit(), Exit::Auth);
        assert_eq!(ClientError::Forbidden(refused()).exit(), Exit::Auth);
        assert_eq!(ClientError::Refused(refused()).exit(), Exit::Failed);
        assert_eq!(ClientError::Refused(refused()).code(), Some("invalid_input"));
    }
}
