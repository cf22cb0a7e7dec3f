//! Serves one saved page at a time on loopback, to the browser that reads it.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Response, StatusCode};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// Nothing is loaded, nothing runs, and no frame or redirect leads elsewhere.
const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; sandbox allow-same-origin";

#[derive(Default)]
struct Shown {
    path: String,
    html: Bytes,
    content_type: &'static str,
}

pub struct PageServer {
    pub address: SocketAddr,
    shown: Arc<Mutex<Shown>>,
    count: u64,
    serving: JoinHandle<()>,
}

impl PageServer {
    pub async fn start() -> Result<Self, std::io::Error> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let shown = Arc::new(Mutex::new(Shown::default()));
        let serving = tokio::spawn(serve(listener, Arc::clone(&shown)));
        Ok(Self { address, shown, count: 0, serving })
    }

    /// Shows this page and no other; its address says nothing about it.
    pub fn show(&mut self, html: Vec<u8>) -> String {
        self.count += 1;
        let path = format!("/{}", self.count);
        // Other encodings are what the page itself says.
        let content_type = if std::str::from_utf8(&html).is_ok() { "text/html; charset=utf-8" } else { "text/html" };
        let url = format!("http://{}{path}", self.address);
        *self.shown.lock() = Shown { path, html: html.into(), content_type };
        url
    }
}

impl Drop for PageServer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(listener: TcpListener, shown: Arc<Mutex<Shown>>) {
    while let Ok((stream, _)) = listener.accept().await {
        let shown = Arc::clone(&shown);
        tokio::spawn(async move {
            let service = service_fn(|request: hyper::Request<hyper::body::Incoming>| {
                let answer = answer(&shown.lock(), request.uri().path());
                async move { Ok::<_, Infallible>(answer) }
            });
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

fn answer(shown: &Shown, path: &str) -> Response<Full<Bytes>> {
    let (status, body) = if path == shown.path {
        (StatusCode::OK, shown.html.clone())
    } else {
        // The page's icon and whatever else a browser asks for by itself.
        (StatusCode::NOT_FOUND, Bytes::new())
    };
    Response::builder()
        .status(status)
        .header(CONTENT_TYPE, shown.content_type)
        .header(CACHE_CONTROL, "no-store")
        .header(CONTENT_SECURITY_POLICY, POLICY)
        .body(Full::new(body))
        .unwrap_or_else(|_| Response::new(Full::default()))
}
