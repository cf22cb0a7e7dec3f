//! What goes wrong between a vendor and whoever calls it, in the order in which it is to come.

use std::collections::VecDeque;
use std::time::Duration;

use axum::body::Body;
use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderValue, Method, Response, StatusCode};
use bytes::Bytes;
use futures::stream::{self, StreamExt as _};
use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// 429, with or without a word for how long.
    TooMany { retry_after_s: Option<u32> },
    /// Nothing is done.
    Status(u16),
    /// The connection breaks before anything is done.
    NotHeard,
    /// It is done, and the connection breaks in the middle of the answer.
    AnswerLost,
    /// It is done, and the answer comes in pieces over this time.
    SlowBody(Duration),
    /// It is done, and what comes back is no JSON.
    Malformed,
}

/// Which calls meet a fault.
#[derive(Default)]
pub struct Faults {
    coming: Mutex<VecDeque<(Option<Method>, Fault)>>,
    random: Mutex<Option<Random>>,
}

struct Random {
    draw: StdRng,
    share: f64,
    of: Vec<Fault>,
}

impl Faults {
    /// The next call meets it.
    pub fn push(&self, fault: Fault) {
        self.coming.lock().push_back((None, fault));
    }

    /// The next call with this method meets it.
    pub fn push_on(&self, method: Method, fault: Fault) {
        self.coming.lock().push_back((Some(method), fault));
    }

    /// From now on a share of all calls meets one of these.
    pub fn at_random(&self, seed: u64, share: f64, of: &[Fault]) {
        *self.random.lock() = Some(Random { draw: StdRng::seed_from_u64(seed), share, of: of.to_vec() });
    }

    pub fn none(&self) {
        self.coming.lock().clear();
        *self.random.lock() = None;
    }

    pub(crate) fn next(&self, method: &Method) -> Option<Fault> {
        let mut coming = self.coming.lock();
        if let Some((wanted, _)) = coming.front() {
            let meets = wanted.as_ref().is_none_or(|wanted| wanted == method);
            return if meets { coming.pop_front().map(|(_, fault)| fault) } else { None };
        }
        let mut random = self.random.lock();
        let random = random.as_mut()?;
        let meets = random.draw.random_bool(random.share);
        let index = random.draw.random_range(0..random.of.len());
        meets.then(|| random.of[index])
    }
}

impl Fault {
    pub(crate) fn is_done(self) -> bool {
        matches!(self, Self::AnswerLost | Self::SlowBody(_) | Self::Malformed)
    }

    /// What the caller gets in place of `answer`, which is empty where nothing was done.
    pub(crate) fn instead(self, status: StatusCode, answer: &Bytes) -> Response<Body> {
        let mut response = match self {
            Self::TooMany { .. } => json(StatusCode::TOO_MANY_REQUESTS, r#"{"error":"too many requests"}"#),
            Self::Status(status) => {
                json(StatusCode::from_u16(status).unwrap_or_default(), r#"{"error":"it is broken"}"#)
            }
            Self::NotHeard => broken(StatusCode::OK, &Bytes::new()),
            Self::AnswerLost => broken(status, answer),
            Self::SlowBody(time) => slow(status, answer, time),
            Self::Malformed => json(status, r#"<html>{"oops": "#),
        };
        if let Self::TooMany { retry_after_s: Some(seconds) } = self {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

fn json(status: StatusCode, text: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    response.headers_mut().insert("content-type", HeaderValue::from_static("application/json"));
    response
}

/// Ends in the middle: the server breaks the connection when its body fails.
fn broken(status: StatusCode, answer: &Bytes) -> Response<Body> {
    let begun = answer.slice(..answer.len() / 2);
    let pieces = stream::iter([Ok(begun), Err(std::io::Error::other("the connection broke"))]);
    let mut response = Response::new(Body::from_stream(pieces));
    *response.status_mut() = status;
    response
}

fn slow(status: StatusCode, answer: &Bytes, time: Duration) -> Response<Body> {
    const PIECES: usize = 8;
    let size = (answer.len() / PIECES).max(1);
    let pieces: Vec<Bytes> = answer.chunks(size).map(Bytes::copy_from_slice).collect();
    let pause = time / u32::try_from(pieces.len().max(1)).unwrap_or(1);
    let body = stream::iter(pieces).then(move |piece| async move {
        tokio::time::sleep(pause).await;
        Ok::<_, std::io::Error>(piece)
    });
    let mut response = Response::new(Body::from_stream(body));
    *response.status_mut() = status;
    response
}
