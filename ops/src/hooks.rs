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
use valet_core::address::HostPort;
use valet_engine::bounds::OUTGOING_WAIT_MAX;
use valet_engine::notify::Listener;
use valet_engine::ports::{Clock, Machine};
use valet_engine::store::postgres::notices::DueNotice;
use valet_outward::{Call, HeaderMap, HeaderValue, Method, Outward, OutwardConfig, OutwardError};

use crate::cli::client::is_loopback;
use crate::settings::{Settings, SettingsError, wrong};
use crate::tls;

/// A program that runs longer is killed.
const COMMAND_WAIT_MAX: Duration = Duration::from_secs(25);
/// What a failed program said that goes into the error.
const STDERR_CHARS_MAX: usize = 200;

/// A receiver's answer is its status; whatever it says besides is not read.
const ANSWER_BYTES_MAX: usize = 0;

/// The listeners that are configured.
pub fn listeners(settings: &Settings) -> Result<Vec<Arc<dyn Listener>>, SettingsError> {
    let mut listeners: Vec<Arc<dyn Listener>> = Vec::new();
    if let Some(url) = webhook_url(settings)? {
        let key = settings.secret_file("hooks.webhook_secret_file")?;
        let outward = Outward::new(way_out(settings)?);
        match outward.problem(&url) {
            Some(OutwardError::Refused(place)) => {
                let problem = format!("{place} is a private address; VALET_HOOK_ALLOW_HOSTS={place} opens it");
                return Err(wrong("hooks.webhook_url", problem));
            }
            Some(error) => return Err(wrong("hooks.webhook_url", error.to_string())),
            None => {}
        }
        listeners.push(Arc::new(Webhook::new(outward, url, &key)));
    }
    if let Some(program) = settings.find("hooks.command") {
        listeners.push(Arc::new(HookCommand { program: PathBuf::from(program) }));
    }
    Ok(listeners)
}

/// How far webhooks reach. Redirects are not followed: they could lead elsewhere.
pub fn way_out(settings: &Settings) -> Result<OutwardConfig, SettingsError> {
    Ok(OutwardConfig {
        opened: opened(settings)?,
        authorities: tls::authorities(settings)?,
        time_max: OUTGOING_WAIT_MAX,
        body_bytes_max: ANSWER_BYTES_MAX,
        redirects_max: 0,
        ..OutwardConfig::default()
    })
}

/// For `valet up`, whose webhooks go to a program beside it: opens the place of a webhook on this machine.
pub fn open_loopback(settings: &mut Settings) -> Result<(), SettingsError> {
    let Some(url) = webhook_url(settings)?.filter(is_loopback) else { return Ok(()) };
    let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else { return Ok(()) };
    let mut places = settings.list("hooks.allow_hosts")?;
    places.push(HostPort::new(host, port).to_string());
    settings.set("hooks.allow_hosts", places.join(","));
    Ok(())
}

fn webhook_url(settings: &Settings) -> Result<Option<Url>, SettingsError> {
    let parse = |url: &str| url.parse().map_err(|e| wrong("hooks.webhook_url", format!("not a URL: {e}")));
    settings.find("hooks.webhook_url").map(parse).transpose()
}

fn opened(settings: &Settings) -> Result<Vec<HostPort>, SettingsError> {
    let places = settings.list("hooks.allow_hosts")?;
    let places: Result<Vec<HostPort>, _> = places.iter().map(|place| place.parse()).collect();
    places.map_err(|error| wrong("hooks.allow_hosts", format!("{error}, such as 127.0.0.1:9000")))
}

/// `POST`s each notice. `Valet-Signature: t=<seconds>,v1=<hex>` is HMAC-SHA256 over `<seconds>.<body>`; a receiver
/// checks it and that the time is near. Redirects are not followed: they could lead the notice elsewhere.
struct Webhook {
    outward: Outward,
    url: Url,
    key: hmac::Key,
}

impl Webhook {
    fn new(outward: Outward, url: Url, key: &str) -> Self {
        Self { outward, url, key: hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes()) }
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
        let header = |text: &str| HeaderValue::from_str(text).map_err(|error| error.to_string());
        let mut headers = HeaderMap::new();
        headers.insert("content-type", HeaderValue::from_static("application/json"));
        headers.insert("valet-event", header(&notice.kind)?);
        headers.insert("valet-signature", header(&signature)?);
        let call = Call { method: Method::POST, url: self.url.clone(), headers, body: body.into() };
        // The address may hold a secret: errors name its host only.
        let answer = self.outward.send(call).await.map_err(|error| error.to_string())?;
        if answer.status.is_success() {
            return Ok(());
        }
        Err(format!("the receiver answered {}", answer.status.as_u16()))
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

    fn webhook(url: &str, opened: &str) -> (tempfile::TempDir, Settings) {
        let folder = tempfile::tempdir().unwrap();
        let secret = folder.path().join("secret");
        std::fs::write(&secret, "key").unwrap();
        let mut settings = Settings::from_parts(None, |_| None).unwrap();
        settings.set("hooks.webhook_url", url.to_owned());
        settings.set("hooks.webhook_secret_file", secret.display().to_string());
        settings.set("hooks.allow_hosts", opened.to_owned());
        (folder, settings)
    }

    #[test]
    fn a_webhook_inside_is_refused_at_start_unless_its_place_is_opened() {
        for (url, place) in [
            ("http://127.0.0.1:9000/secret", "127.0.0.1:9000"),
            ("http://localhost/secret", "localhost:80"),
            ("https://[::1]:9000/secret", "[::1]:9000"),
            ("http://169.254.169.254/secret", "169.254.169.254:80"),
        ] {
            let (_folder, settings) = webhook(url, "");
            let error = listeners(&settings).err().expect("it is refused").to_string();
            assert!(error.contains(&format!("VALET_HOOK_ALLOW_HOSTS={place}")), "{error}");
            assert!(error.contains("VALET_WEBHOOK_URL") && !error.contains("secret"), "{error}");
            let (_folder, settings) = webhook(url, &format!("db.example:1, {place}"));
            assert_eq!(listeners(&settings).unwrap().len(), 1, "{place} is opened");
        }
        let (_folder, settings) = webhook("https://hooks.example/x", "");
        assert_eq!(listeners(&settings).unwrap().len(), 1, "what a name leads to is seen when it is called");
    }

    #[test]
    fn a_webhook_setting_that_cannot_work_is_named() {
        for (url, opened, variable) in [
            ("hooks.example/x", "", "VALET_WEBHOOK_URL"),
            ("ftp://hooks.example/x", "", "VALET_WEBHOOK_URL"),
            ("http://hooks.example/x", "127.0.0.1", "VALET_HOOK_ALLOW_HOSTS"),
        ] {
            let (_folder, settings) = webhook(url, opened);
            let error = listeners(&settings).err().expect("it is refused").to_string();
            assert!(error.contains(variable), "{error}");
        }
    }

    #[test]
    fn valet_up_opens_a_webhook_beside_it_and_no_other() {
        for (url, expect) in [("http://127.0.0.1:9000/x", "127.0.0.1:9000"), ("http://10.0.0.1/x", "")] {
            let (_folder, mut settings) = webhook(url, "");
            open_loopback(&mut settings).unwrap();
            assert_eq!(settings.text("hooks.allow_hosts").unwrap(), expect);
        }
    }

    #[test]
    fn a_signature_is_what_a_receiver_computes() {
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"key");
        // printf '1700000000.{}' | openssl dgst -sha256 -hmac key
        let expected = "t=1700000000,v1=9d713ed406bb7076d4123f0dc2c39d2df5c654ed4b0cd56b52c8b4c940bd63ae";
        assert_eq!(signature(&key, 1_700_000_000, "{}"), expected);
    }
}
