//! What runs inside a sandbox says of itself to the engine. An answer that may be another one later is asked for again, with growing pauses;
//! the event keeps its id, so that the engine takes it once.

use std::time::Duration;

use backon::{ExponentialBuilder, Retryable as _};
use reqwest::{Client, StatusCode};
use valet_protocol::api::SandboxEvent;
use valet_protocol::problem::Problem;
use valet_protocol::worker::Callback;

/// One try.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// Pauses between tries, and their number: an engine that is restarted, or fails over, is back within them.
const PAUSE_MIN: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(30);
const TRIES_MAX: usize = 10;
/// Of an answer that is no problem document.
const DETAIL_CHARS_MAX: usize = 300;

#[derive(Debug, thiserror::Error)]
pub enum CallbackError {
    #[error("the client could not be made")]
    Client(#[source] reqwest::Error),
    #[error("the engine did not answer: {0}")]
    Silent(#[source] reqwest::Error),
    #[error("the engine cannot take it now ({status}): {detail}")]
    Busy { status: u16, detail: String },
    #[error("the engine did not take it ({status}): {detail}")]
    Refused { status: u16, detail: String },
}

impl CallbackError {
    fn may_pass(&self) -> bool {
        matches!(self, Self::Silent(_) | Self::Busy { .. })
    }
}

/// Sends events of one sandbox.
pub struct CallbackSender {
    http: Client,
    callback: Callback,
    pauses: ExponentialBuilder,
}

impl CallbackSender {
    pub fn new(callback: Callback) -> Result<Self, CallbackError> {
        // Fails only if the process has chosen a provider already, which is as good.
        drop(rustls::crypto::ring::default_provider().install_default());
        // The token goes to the engine and nowhere else.
        let http = Client::builder().timeout(ANSWER_WITHIN).redirect(reqwest::redirect::Policy::none()).no_proxy();
        // A machine without certificate authorities can still speak to an engine over plain HTTP.
        let http = if callback.url.starts_with("http:") { http.tls_certs_only([]) } else { http };
        let pauses = ExponentialBuilder::default()
            .with_min_delay(PAUSE_MIN)
            .with_max_delay(PAUSE_MAX)
            .with_max_times(TRIES_MAX - 1)
            .with_jitter();
        Ok(Self { http: http.build().map_err(CallbackError::Client)?, callback, pauses })
    }

    /// With other pauses before the second try.
    #[must_use]
    pub fn with_pause_min(mut self, pause: Duration) -> Self {
        self.pauses = self.pauses.with_min_delay(pause);
        self
    }

    /// Until the engine took it, or never will.
    pub async fn send(&self, event: &SandboxEvent) -> Result<(), CallbackError> {
        let told = (|| self.try_once(event)).retry(self.pauses).when(CallbackError::may_pass);
        told.notify(|error, pause| tracing::warn!(%error, ?pause, "an event of this sandbox is sent again")).await
    }

    async fn try_once(&self, event: &SandboxEvent) -> Result<(), CallbackError> {
        let request = self.http.post(&self.callback.url).bearer_auth(&self.callback.token).json(event);
        let answer = request.send().await.map_err(CallbackError::Silent)?;
        let status = answer.status();
        if status.is_success() {
            return Ok(());
        }
        let text = answer.text().await.unwrap_or_default();
        let detail = serde_json::from_str::<Problem>(&text)
            .map_or_else(|_| text.chars().take(DETAIL_CHARS_MAX).collect(), |problem| problem.to_string());
        let busy =
            status.is_server_error() || [StatusCode::TOO_MANY_REQUESTS, StatusCode::REQUEST_TIMEOUT].contains(&status);
        let status = status.as_u16();
        Err(if busy { CallbackError::Busy { status, detail } } else { CallbackError::Refused { status, detail } })
    }
}

#[cfg(test)]
mod tests {
    use backon::BackoffBuilder as _;

    use super::*;

    /// Before an engine that never comes back is given up.
    const PAUSES_MAX: Duration = Duration::from_mins(5);

    #[test]
    fn pauses_grow_are_bounded_and_differ_between_sandboxes() {
        let callback = Callback { url: "http://127.0.0.1:1/".to_owned(), token: "vr_1".to_owned() };
        let sender = CallbackSender::new(callback).expect("a sender");
        let [one, other] = [(); 2].map(|()| sender.pauses.build().take(2 * TRIES_MAX).collect::<Vec<_>>());
        assert_eq!(one.len(), TRIES_MAX - 1);
        assert!(one[0] >= PAUSE_MIN && one.windows(2).take(4).all(|pair| pair[0] < pair[1]), "{one:?}");
        assert!(one.iter().sum::<Duration>() < PAUSES_MAX, "{one:?}");
        // An engine that comes back is not asked by all of its sandboxes at once.
        assert_ne!(one, other);
    }
}
