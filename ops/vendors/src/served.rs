//! One vendor's server: its routes behind the faults and the contract, on one address, until it is dropped.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Query, Request, State};
use axum::http::{Method, Response, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::contract::{Contract, Violation};
use crate::faults::Faults;

/// Résumés are some megabytes at most.
const BODY_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Calls that are remembered.
const CALLS_MAX: usize = 100_000;

/// A request that came in, and how it was answered.
#[derive(Clone, Debug)]
pub struct Call {
    pub at: Instant,
    pub method: Method,
    pub path: String,
    pub status: u16,
}

pub struct Served {
    address: SocketAddr,
    watch: Arc<Watch>,
    _stop: oneshot::Sender<()>,
}

struct Watch {
    contract: Contract,
    faults: Faults,
    calls: Mutex<Vec<Call>>,
}

impl Served {
    /// Serves on a free port of loopback, or on the one that is asked for.
    pub(crate) async fn start(contract: &str, routes: Router, port: u16) -> std::io::Result<Self> {
        let contract = Contract::read(contract).map_err(std::io::Error::other)?;
        let watch = Arc::new(Watch { contract, faults: Faults::default(), calls: Mutex::default() });
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        let address = listener.local_addr()?;
        let routes = routes.layer(from_fn_with_state(Arc::clone(&watch), watched));
        let (stop, stopped) = oneshot::channel::<()>();
        tokio::spawn(async move {
            tokio::select! {
                _ = axum::serve(listener, routes) => {}
                _ = stopped => {}
            }
        });
        Ok(Self { address, watch, _stop: stop })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Without a slash at its end.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn faults(&self) -> &Faults {
        &self.watch.faults
    }

    /// What one side or the other did that the contract does not have.
    pub fn violations(&self) -> Vec<Violation> {
        self.watch.contract.violations()
    }

    pub fn calls(&self) -> Vec<Call> {
        self.watch.calls.lock().clone()
    }
}

async fn watched(State(watch): State<Arc<Watch>>, request: Request, next: Next) -> Response<Body> {
    let (head, body) = request.into_parts();
    let (method, path) = (head.method.clone(), head.uri.path().to_owned());
    let note = |status: StatusCode| {
        let mut calls = watch.calls.lock();
        if calls.len() < CALLS_MAX {
            calls.push(Call {
                at: Instant::now(),
                method: method.clone(),
                path: path.clone(),
                status: status.as_u16(),
            });
        }
    };
    let Ok(body) = to_bytes(body, BODY_BYTES_MAX).await else {
        note(StatusCode::PAYLOAD_TOO_LARGE);
        return plain(StatusCode::PAYLOAD_TOO_LARGE);
    };
    let fault = watch.faults.next(&method);
    if let Some(fault) = fault.filter(|fault| !fault.is_done()) {
        let response = fault.instead(StatusCode::OK, &axum::body::Bytes::new());
        note(response.status());
        return response;
    }
    let query = Query::<Vec<(String, String)>>::try_from_uri(&head.uri).map(|query| query.0).unwrap_or_default();
    watch.contract.request(&method, (&path, &query), &head.headers, &body).await;
    let response = next.run(Request::from_parts(head, Body::from(body))).await;
    let (head, body) = response.into_parts();
    let body = to_bytes(body, BODY_BYTES_MAX).await.unwrap_or_default();
    watch.contract.answer(&method, &path, head.status, &body);
    note(head.status);
    match fault {
        Some(fault) => fault.instead(head.status, &body),
        None => Response::from_parts(head, Body::from(body)),
    }
}

fn plain(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}
