//! A receiver of webhooks: keeps what it is sent, and answers as the test says.

use std::sync::{Arc, Mutex, PoisonError};

use ring::hmac;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// Largest notice taken.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// One `POST`, as it came.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// `Valet-Event`
    pub event: String,
    /// `webhook-id`
    pub message: String,
    pub body: Value,
    pub reply: Reply,
    signature: String,
    text: String,
}

impl Delivery {
    /// As a receiver checks it: HMAC-SHA256 over the time and the text.
    pub fn is_signed_with(&self, secret: &str) -> bool {
        let Some((seconds, tag)) = self.signature.strip_prefix("t=").and_then(|rest| rest.split_once(",v1=")) else {
            return false;
        };
        let byte = |at: usize| tag.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok());
        let tag: Option<Vec<u8>> = (0..tag.len()).step_by(2).map(byte).collect();
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        let signed = format!("{seconds}.{}", self.text);
        tag.is_some_and(|tag| hmac::verify(&key, signed.as_bytes(), &tag).is_ok())
    }
}

/// What becomes of a notice. It is kept in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    Taken,
    Refused,
    /// The sender waits until it gives up, or ends.
    Never,
}

type Decide = dyn Fn(&Value) -> Reply + Send + Sync;

/// Listens until it is dropped.
pub struct Receiver {
    url: String,
    deliveries: Arc<Mutex<Vec<Delivery>>>,
    listening: JoinHandle<()>,
}

impl Receiver {
    pub async fn start(decide: impl Fn(&Value) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let url = format!("http://{}/a-secret-path", listener.local_addr().expect("an address"));
        let deliveries = Arc::<Mutex<Vec<Delivery>>>::default();
        let (kept, decide): (_, Arc<Decide>) = (Arc::clone(&deliveries), Arc::new(decide));
        let listening = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (kept, decide) = (Arc::clone(&kept), Arc::clone(&decide));
                // A sender that is killed breaks its own connection only.
                tokio::spawn(async move { serve(stream, &kept, &*decide).await });
            }
        });
        Self { url, deliveries, listening }
    }

    pub fn url(&self) -> String {
        self.url.clone()
    }

    /// `host:port`, which lies inside.
    pub fn place(&self) -> String {
        self.url.trim_start_matches("http://").split('/').next().expect("a host").to_owned()
    }

    pub fn deliveries(&self) -> Vec<Delivery> {
        self.deliveries.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

async fn serve(stream: TcpStream, kept: &Mutex<Vec<Delivery>>, decide: &Decide) {
    let mut stream = BufReader::new(stream);
    while let Some(mut delivery) = read(&mut stream).await {
        delivery.reply = decide(&delivery.body);
        let reply = delivery.reply;
        kept.lock().unwrap_or_else(PoisonError::into_inner).push(delivery);
        let status = match reply {
            Reply::Taken => "204 No Content",
            Reply::Refused => "500 Internal Server Error",
            Reply::Never => {
                let _ = stream.read(&mut [0]).await;
                return;
            }
        };
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// The next request of a connection; `None` at its end.
async fn read(stream: &mut BufReader<TcpStream>) -> Option<Delivery> {
    let (mut event, mut message, mut signature, mut length) = (String::new(), String::new(), String::new(), 0);
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        let Some((name, value)) = line.split_once(": ") else { continue };
        match name.to_ascii_lowercase().as_str() {
            "valet-event" => value.clone_into(&mut event),
            "webhook-id" => value.clone_into(&mut message),
            "valet-signature" => value.clone_into(&mut signature),
            "content-length" => length = value.parse().ok()?,
            _ => {}
        }
    }
    assert!(length <= BODY_BYTES_MAX, "a notice of {length} bytes");
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes).await.ok()?;
    let text = String::from_utf8(bytes).expect("a notice is UTF-8");
    let body = serde_json::from_str(&text).expect("a notice is JSON");
    Some(Delivery { event, message, body, reply: Reply::Taken, signature, text })
}
