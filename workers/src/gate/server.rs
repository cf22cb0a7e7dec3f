//! The gate's listener: sorts requests into control verbs and WebDriver commands.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use super::http::{Body, webdriver_error};
use super::proxy::Forwarder;
use super::{Shared, control};

/// A worker keeps one or two; old ones close when their worker does.
const CONNECTIONS_MAX: usize = 64;
/// A client on the same machine sends its headers at once.
const HEADERS_WITHIN: Duration = Duration::from_secs(30);

pub async fn serve(listener: TcpListener, shared: Arc<Shared>, forwarder: Arc<Forwarder>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let _ = stream.set_nodelay(true);
        let (shared, forwarder) = (Arc::clone(&shared), Arc::clone(&forwarder));
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let (shared, forwarder) = (Arc::clone(&shared), Arc::clone(&forwarder));
                async move { Ok::<_, Infallible>(route(&shared, &forwarder, request).await) }
            });
            let _ = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEADERS_WITHIN)
                .serve_connection(TokioIo::new(stream), service)
                .await;
            drop(place);
        });
    }
}

async fn route(shared: &Shared, forwarder: &Arc<Forwarder>, request: Request<Incoming>) -> Response<Body> {
    let path = request.uri().path().to_owned();
    let Some((first, rest)) = path.trim_start_matches('/').split_once('/') else {
        return webdriver_error(StatusCode::NOT_FOUND, "unknown command", "not a path of the gate");
    };
    if first == "control" {
        return control::handle(shared, rest, request).await;
    }
    forwarder.handle(first, format!("/{rest}"), request).await
}
