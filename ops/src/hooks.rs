//! Ways out for notices: a signed webhook, and a program on this machine.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use reqwest::Url;
use ring::hmac;
use serde_json::Value;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;
use valet_engine::notify::Listener;
use valet_engine::ports::{Clock, Machine};
use valet_engine::store::postgres::notices::DueNotice;

use crate::settings::{Settings, SettingsError, wrong};

/// From the connection's start to the end of the answer.
const WEBHOOK_WAIT_MAX: Duration = Duration::from_secs(10);
/// A program that runs longer is killed.
const COMMAND_WAIT_MAX: Duration = Duration::from_secs(25);
/// What a failed program said that goes into the error.
const STDERR_CHARS_MAX: usize = 200;

/// The listeners that are configured.
pub fn listeners(settings: &Settings) -> Result<Vec<Arc<dyn Listener>>, SettingsError> {
    let mut listeners: Vec<Arc<dyn Listener>> = Vec::new();
    if let Some(url) = settings.find("hooks.webhook_url") {
        let url: Url = url.parse().map_err(|e| wrong("hooks.webhook_url", format!("not a URL: {e}")))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(wrong("hooks.webhook_url", "the address begins with http:// or https://".to_owned()));
        }
        let key = settings.secret_file("hooks.webhook_secret_file")?;
        listeners.push(Arc::new(Webhook::new(url, &key)));
    }
    if let Some(program) = settings.find("hooks.command") {
        listeners.push(Arc::new(HookCommand { program: PathBuf::from(program) }));
    }
    Ok(listeners)
}

/// `POST`s each notice. `Valet-Signature: t=<seconds>,v1=<hex>` is HMAC-SHA256 over `<seconds>.<body>`; a receiver
/// checks it and that the time is near. Redirects are not followed: they could lead the notice elsewhere.
struct Webhook {
    http: reqwest::Client,
    url: Url,
    key: hmac::Key,
}

impl Webhook {
    fn new(url: Url, key: &str) -> Self {
        let http = reqwest::Client::builder().timeout(WEBHOOK_WAIT_MAX).redirect(reqwest::redirect::Policy::none());
        Self {
            // Fails only where TLS cannot be set up, which the program did before.
            http: http.build().unwrap_or_default(),
            url,
            key: hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes()),
        }
    }
}

fn signature(key: &hmac::Key, seconds: i64, body: &str) -> String {
    use std::fmt::Write as _;
    let tag = hmac::sign(key, format!("{seconds}.{body}").as_bytes());
    tag.as_ref().iter().fold(format!("t={seconds},v1="), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[async_trait]
impl Listener for Webhook {
    fn name(&self) -> &'static str {
        "webhook"
    }

    async fn deliver(&self, notice: &DueNotice, document: &Value) -> Result<(), String> {
        let body = document.to_string();
        let signature = signature(&self.key, Machine.now().timestamp(), &body);
        let request = self
            .http
            .post(self.url.clone())
            .header("content-type", "application/json")
            .header("valet-event", &notice.kind)
            .header("valet-signature", signature)
            .body(body);
        // The address may hold a secret: it is left out of errors.
        let answer = request.send().await.map_err(|error| error.without_url().to_string())?;
        if answer.status().is_success() {
            return Ok(());
        }
        Err(format!("the receiver answered {}", answer.status().as_u16()))
    }
}

/// Runs a program with the notice on its standard input; it gets the kind as its argument. Exit code 0: delivered.
struct HookCommand {
    program: PathBuf,
}

#[async_trait]
impl Listener for HookCommand {
    fn name(&self) -> &'static str {
        "command"
    }

    async fn deliver(&self, notice: &DueNotice, document: &Value) -> Result<(), String> {
        let mut child = Command::new(&self.program)
            .arg(&notice.kind)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| format!("{} cannot be run: {error}", self.program.display()))?;
        if let Some(mut input) = child.stdin.take() {
            // A program that does not read is none the worse for it.
            let _ = input.write_all(document.to_string().as_bytes()).await;
        }
        let ended = tokio::time::timeout(COMMAND_WAIT_MAX, child.wait_with_output()).await;
        let output = ended
            .map_err(|_| format!("killed after {} s", COMMAND_WAIT_MAX.as_secs()))?
            .map_err(|error| error.to_string())?;
        if output.status.success() {
            return Ok(());
        }
        let said: String = String::from_utf8_lossy(&output.stderr).chars().take(STDERR_CHARS_MAX).collect();
        Err(format!("{}: {}", output.status, said.trim()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_what_a_receiver_computes() {
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"key");
        // printf '1700000000.{}' | openssl dgst -sha256 -hmac key
        let expected = "t=1700000000,v1=9d713ed406bb7076d4123f0dc2c39d2df5c654ed4b0cd56b52c8b4c940bd63ae";
        assert_eq!(signature(&key, 1_700_000_000, "{}"), expected);
    }
}
