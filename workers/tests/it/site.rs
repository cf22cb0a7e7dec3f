//! A site on loopback: pages by path, and a record of every request and of every form received.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, Multipart, Request, State};
use axum::http::header::{CONTENT_TYPE, COOKIE, LOCATION, SET_COOKIE};
use axum::http::{Method, StatusCode};
use axum::response::{AppendHeaders, Html, IntoResponse, Response};
use futures::{StreamExt as _, stream};
use tokio::net::TcpListener;

/// A form as the server received it: names and values in order; for a file `name` and its file name.
pub type Received = Vec<(String, String)>;

#[derive(Default)]
struct Shared {
    pages: Mutex<HashMap<String, Page>>,
    requests: Mutex<Vec<String>>,
    cookies: Mutex<HashMap<String, String>>,
    forms: Mutex<Vec<(String, Received)>>,
}

#[derive(Clone)]
pub enum Page {
    Html(String),
    Status(u16, String),
    /// Takes a form and shows the page.
    Thanks(String),
    /// Shows the first page while one of these fields is empty, else the second.
    Demands(Vec<&'static str>, String, String),
    /// Never answers.
    Hangs,
    /// Sends its headers and this much, and never the rest.
    Breaks(String),
    /// Answers this late.
    Slow(Duration, String),
    Redirect(String),
    Script(String),
    /// Sets these cookies.
    Cookies(Vec<String>, String),
}

pub struct Site {
    pub port: u16,
    shared: Arc<Shared>,
    server: tokio::task::JoinHandle<()>,
}

impl Site {
    pub async fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a loopback port");
        let port = listener.local_addr().expect("its address").port();
        let shared = Arc::new(Shared::default());
        let router = Router::new().fallback(answer).with_state(Arc::clone(&shared));
        let server = tokio::spawn(async move { axum::serve(listener, router).await.expect("serving") });
        Self { port, shared, server }
    }

    pub fn page(&self, path: &str, html: impl Into<String>) -> String {
        self.put(path, Page::Html(html.into()))
    }

    pub fn put(&self, path: &str, page: Page) -> String {
        self.shared.pages.lock().unwrap().insert(path.to_owned(), page);
        self.url(path)
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    pub fn host_port(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub fn requests(&self) -> Vec<String> {
        self.shared.requests.lock().unwrap().clone()
    }

    /// The cookies that the last request for this path came with.
    pub fn cookies(&self, path: &str) -> String {
        self.shared.cookies.lock().unwrap().get(path).cloned().unwrap_or_default()
    }

    pub fn forms(&self, path: &str) -> Vec<Received> {
        self.shared.forms.lock().unwrap().iter().filter(|(at, _)| at == path).map(|(_, form)| form.clone()).collect()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn answer(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    shared.requests.lock().unwrap().push(format!("{} {path}", request.method()));
    let cookies = request.headers().get(COOKIE).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    shared.cookies.lock().unwrap().insert(path.clone(), cookies);
    let page = shared.pages.lock().unwrap().get(&path).cloned();
    let mut received = Vec::new();
    if request.method() == Method::POST {
        received = receive(request).await;
        shared.forms.lock().unwrap().push((path, received.clone()));
    }
    match page {
        Some(Page::Html(html) | Page::Thanks(html)) => Html(html).into_response(),
        Some(Page::Status(status, html)) => {
            (StatusCode::from_u16(status).expect("a status"), Html(html)).into_response()
        }
        Some(Page::Demands(names, again, then)) => {
            let has = |name: &&str| received.iter().any(|(key, value)| key == name && !value.is_empty());
            if names.iter().all(has) { Html(then).into_response() } else { Html(again).into_response() }
        }
        Some(Page::Hangs) => std::future::pending().await,
        Some(Page::Breaks(part)) => {
            let chunk = stream::iter([Ok::<_, Infallible>(Bytes::from(part))]);
            ([(CONTENT_TYPE, "text/html")], Body::from_stream(chunk.chain(stream::pending()))).into_response()
        }
        Some(Page::Slow(delay, html)) => {
            tokio::time::sleep(delay).await;
            Html(html).into_response()
        }
        Some(Page::Redirect(to)) => (StatusCode::FOUND, [(LOCATION, to)]).into_response(),
        Some(Page::Script(script)) => ([(CONTENT_TYPE, "text/javascript")], script).into_response(),
        Some(Page::Cookies(cookies, html)) => {
            let headers = AppendHeaders(cookies.into_iter().map(|cookie| (SET_COOKIE, cookie)));
            (headers, Html(html)).into_response()
        }
        None => (StatusCode::NOT_FOUND, Html("<title>Not found</title><h1>404 Not found</h1>")).into_response(),
    }
}

async fn receive(request: Request) -> Received {
    let multipart = request.headers().get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"multipart/"));
    if !multipart {
        let body = Bytes::from_request(request, &()).await.expect("a body");
        return url::form_urlencoded::parse(&body).into_owned().collect();
    }
    let mut parts = Multipart::from_request(request, &()).await.expect("a multipart body");
    let mut form = Vec::new();
    while let Some(part) = parts.next_field().await.expect("a part") {
        let name = part.name().unwrap_or_default().to_owned();
        let file = part.file_name().map(str::to_owned);
        let text = part.text().await.expect("its text");
        form.push((name, file.unwrap_or(text)));
    }
    form
}
