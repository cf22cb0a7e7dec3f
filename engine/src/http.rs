//! The HTTP surface: `/api/v1` for people and producers, `/worker/v1` for workers, and the health of the engine.
//!
//! Handlers extract, call a command or a query, and answer: no rules and no SQL here.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use axum::Router;
use axum::extract::connect_info::IntoMakeServiceWithConnectInfo;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::header::HeaderName;
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use futures::FutureExt as _;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::sync::Notify;
use utoipa::openapi::path::Operation;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{ContentBuilder, Ref, RefOr, ResponseBuilder};
use utoipa::{Modify, OpenApi};
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouterExt as _};
use utoipa_axum::routes;
use valet_core::workflow::Door;
use valet_outward::OutwardConfig;

use crate::blobs::Blobs;
use crate::bounds::{BULK_BYTES_MAX, FILE_BYTES_MAX, FORM_BYTES_MAX, REQUEST_BYTES_MAX, WORKER_REQUEST_BYTES_MAX};
use crate::deliverer::{self, LazyOutward};
use crate::engine::Engine;
use crate::store::postgres::PgStore;

mod audit;
mod auth;
mod body;
mod bulk;
mod bulk_operations;
mod bulk_work;
mod completions;
mod cursor;
mod declared;
mod desk;
mod doing;
mod event_triggers;
mod events;
mod fault;
mod files;
mod foreign_schema;
mod forks;
mod health;
mod hooks;
mod human_tasks;
mod incoming_webhooks;
mod key;
mod limits;
mod mask;
mod operations;
mod outgoing_webhooks;
mod pauses;
mod places;
mod problem_codes;
mod pushed_events;
mod query;
mod recent;
mod resources;
mod route_scopes;
mod rules;
mod run_search;
mod run_view;
mod runs;
mod sandbox_events;
mod scheduler;
mod schedules;
mod schema;
mod session;
mod session_cookie;
mod subjects;
mod tiers;
mod tokens;
mod triggers;
mod wait;
mod work_limits;
mod worker;
mod workflows;

pub use auth::FixedToken;
pub use bulk_work::{look as look_at_bulk_operations, run as run_bulk_operations};
pub use fault::Fault;
pub use limits::{Limits, Rate};
pub use problem_codes::{PROBLEM_CODES, ProblemCode};
pub use scheduler::{look as look_at_schedules, run as run_schedules};
pub use triggers::run as run_triggers;

/// What handlers share.
pub struct App {
    pub engine: Arc<Engine<PgStore>>,
    tokens: auth::Tokens,
    pub door: Door,
    pub blobs: Blobs,
    pub metrics: Option<PrometheusHandle>,
    schemas: HashMap<String, schema::InputSchema>,
    pace: limits::Pace,
    places: Arc<places::Places>,
    secure_cookies: bool,
    desk: desk::Desk,
    /// Tells the housekeeper that an erasure was asked for.
    pub erasures: Arc<Notify>,
    /// Where outgoing webhooks lead.
    pub outward: Arc<LazyOutward>,
    /// Tells the deliverer that something is due.
    pub deliveries: Arc<Notify>,
    /// Tells the scheduler that a schedule may be due earlier than it knows.
    schedules: Notify,
    /// Tells that a bulk operation may have a turn earlier than is known.
    bulk: Notify,
}

/// What the caller of [`App::new`] decides.
pub struct AppConfig {
    /// Besides those in the database.
    pub tokens: Vec<FixedToken>,
    pub door: Door,
    pub blobs: Blobs,
    pub metrics: Option<PrometheusHandle>,
    pub limits: Limits,
    /// Browsers reach this engine through TLS: cookies are to go no other way.
    pub secure_cookies: bool,
    /// How far outgoing webhooks reach.
    pub outward: OutwardConfig,
}

/// A workflow's schema that is no schema.
#[derive(Debug, thiserror::Error)]
#[error("the input schema of workflow `{workflow}` cannot be used: {message}")]
pub struct SchemaError {
    workflow: String,
    message: String,
}

impl App {
    pub fn new(engine: Arc<Engine<PgStore>>, config: AppConfig) -> Result<Arc<Self>, SchemaError> {
        let mut schemas = HashMap::new();
        for definition in engine.registry.iter() {
            let compiled = schema::InputSchema::compile(&definition.input_schema)
                .map_err(|message| SchemaError { workflow: definition.name.to_owned(), message })?;
            schemas.insert(definition.name.to_owned(), compiled);
        }
        Ok(Arc::new(Self {
            engine,
            tokens: auth::Tokens::new(config.tokens),
            door: config.door,
            blobs: config.blobs,
            metrics: config.metrics,
            schemas,
            pace: limits::Pace::new(&config.limits),
            places: places::Places::new(config.limits.tenant_streams),
            secure_cookies: config.secure_cookies,
            desk: desk::Desk::default(),
            erasures: Arc::default(),
            outward: deliverer::lazily(config.outward),
            deliveries: Arc::default(),
            schedules: Notify::new(),
            bulk: Notify::new(),
        }))
    }

    /// Event streams and waiting requests that are open now.
    pub fn streams_open(&self) -> usize {
        self.places.open()
    }
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Valet",
        description = "Durable workflows for work that needs a browser and sometimes a person. Errors are \
                       application/problem+json with a stable `code`; all codes are in engine/ERRORS.md.",
        license(name = "MIT OR Apache-2.0")
    ),
    modifiers(&Credentials),
    security(("token" = []), ("session" = []))
)]
struct Document;

struct Credentials;

impl Modify for Credentials {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let components = document.components.get_or_insert_with(Default::default);
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        components.add_security_scheme("token", SecurityScheme::Http(scheme));
        let detail =
            "POST /api/v1/session sets it. What changes something shows the session's `csrf` in `X-Valet-Csrf`.";
        let cookie = ApiKeyValue::with_description(session_cookie::NAME, detail);
        components.add_security_scheme("session", SecurityScheme::ApiKey(ApiKey::Cookie(cookie)));
    }
}

fn people() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(workflows::list))
        .routes(routes!(workflows::show, declared::register))
        .routes(routes!(declared::show_version))
        .routes(routes!(workflows::start))
        .routes(routes!(run_search::list))
        .routes(routes!(run_search::count))
        .routes(routes!(bulk::start_runs).layer(DefaultBodyLimit::max(BULK_BYTES_MAX)))
        .routes(routes!(bulk_operations::list, bulk_operations::create))
        .routes(routes!(bulk_operations::show))
        .routes(routes!(bulk_operations::pause))
        .routes(routes!(bulk_operations::resume))
        .routes(routes!(bulk_operations::cancel))
        .routes(routes!(bulk_operations::undo))
        .routes(routes!(bulk_operations::set_rate))
        .routes(routes!(runs::show))
        .routes(routes!(runs::pause))
        .routes(routes!(runs::resume))
        .routes(routes!(runs::cancel))
        .routes(routes!(runs::retry))
        .routes(routes!(runs::kill))
        .routes(routes!(runs::skip))
        .routes(routes!(runs::edit))
        .routes(routes!(runs::signal))
        .routes(routes!(forks::fork))
        .routes(routes!(runs::set_budget))
        .routes(routes!(completions::complete))
        .routes(routes!(runs::artifacts))
        .routes(routes!(events::stream))
        .routes(routes!(human_tasks::list))
        .routes(routes!(human_tasks::show))
        .routes(routes!(human_tasks::claim))
        .routes(routes!(human_tasks::release))
        .routes(routes!(human_tasks::answer))
        .routes(routes!(human_tasks::reject))
        .routes(routes!(files::upload).layer(DefaultBodyLimit::max(FILE_BYTES_MAX + FORM_BYTES_MAX)))
        .routes(routes!(files::download))
        .routes(routes!(operations::queues))
        .routes(routes!(operations::workers))
        .routes(routes!(pauses::list))
        .routes(routes!(pauses::pause_workflow))
        .routes(routes!(pauses::resume_workflow))
        .routes(routes!(pauses::pause_queue))
        .routes(routes!(pauses::resume_queue))
        .routes(routes!(pauses::pause_worker))
        .routes(routes!(pauses::resume_worker))
        .routes(routes!(pauses::pause_tenant))
        .routes(routes!(pauses::resume_tenant))
        .routes(routes!(pauses::pause_engine))
        .routes(routes!(pauses::resume_engine))
        .routes(routes!(pushed_events::list, pushed_events::push))
        .routes(routes!(pushed_events::show))
        .routes(routes!(pushed_events::replay))
        .routes(routes!(event_triggers::list))
        .routes(routes!(event_triggers::show, event_triggers::put, event_triggers::remove))
        .routes(routes!(incoming_webhooks::list))
        .routes(routes!(incoming_webhooks::show, incoming_webhooks::put, incoming_webhooks::remove))
        .routes(routes!(incoming_webhooks::failures))
        .routes(routes!(hooks::deliver))
        .routes(routes!(outgoing_webhooks::list))
        .routes(routes!(outgoing_webhooks::show, outgoing_webhooks::put, outgoing_webhooks::remove))
        .routes(routes!(outgoing_webhooks::deliveries))
        .routes(routes!(outgoing_webhooks::redeliver))
        .routes(routes!(schedules::list))
        .routes(routes!(schedules::show, schedules::put, schedules::remove))
        .routes(routes!(schedules::pause))
        .routes(routes!(schedules::resume))
        .routes(routes!(schedules::trigger))
        .routes(routes!(schedules::backfill))
        .routes(routes!(schedules::fires))
        .routes(routes!(tokens::list, tokens::create))
        .routes(routes!(tokens::revoke))
        .routes(routes!(tokens::whoami))
        .routes(routes!(audit::list))
        .routes(routes!(work_limits::list))
        .routes(routes!(work_limits::show, work_limits::put, work_limits::remove))
        .routes(routes!(work_limits::keys))
        .routes(routes!(work_limits::cool_down))
        .routes(routes!(rules::list))
        .routes(routes!(rules::put, rules::remove))
        .routes(routes!(tiers::metrics))
        .routes(routes!(resources::sandboxes))
        .routes(routes!(resources::kill_sandbox))
        .routes(routes!(sandbox_events::take))
        .routes(routes!(subjects::show))
        .routes(routes!(subjects::list, subjects::put))
        .routes(routes!(subjects::show_item, subjects::remove))
        .routes(routes!(subjects::restore))
        .routes(routes!(subjects::uses))
        .routes(routes!(subjects::list_files))
        .routes(routes!(subjects::erase))
        .routes(routes!(session::open, session::show, session::close))
        .routes(routes!(health::healthz))
        .routes(routes!(health::readyz))
}

/// The document that describes the API.
pub fn openapi() -> utoipa::openapi::OpenApi {
    let mut document = people().split_for_parts().1;
    for item in document.paths.paths.values_mut() {
        let operations = [&mut item.get, &mut item.post, &mut item.put, &mut item.patch, &mut item.delete];
        operations.into_iter().flatten().for_each(describe_errors);
    }
    document
}

/// Errors are problem+json, and some may come from any route that needs a token, or that takes something of the caller's.
fn describe_errors(operation: &mut Operation) {
    let is_open = operation.security.is_some();
    let of_tokens = [
        ("401", "No token, or one that is not known"),
        ("403", "A token of another scope"),
        ("429", "Too many requests; come back after `Retry-After`"),
        ("503", "A part is away; come back after `Retry-After`"),
    ];
    let of_bodies = [("413", "The body is too large"), ("415", "The body is of another type")];
    let of_json = ("422", "The body is not in order; each fault is told with its field");
    let unread = ("400", "The path, the query, a header or the body cannot be read");
    let body = operation.request_body.as_ref();
    let takes_json =
        body.is_some_and(|body| matches!(body, RefOr::T(body) if body.content.contains_key("application/json")));
    let takes_anything = body.is_some() || operation.parameters.as_ref().is_some_and(|all| !all.is_empty());
    let told = of_tokens.into_iter().filter(|_| !is_open);
    let told = told.chain(of_bodies.into_iter().filter(|_| body.is_some())).chain(takes_json.then_some(of_json));
    let told: Vec<_> = told.chain(takes_anything.then_some(unread)).collect();
    let responses = &mut operation.responses.responses;
    for (status, response) in responses.iter_mut() {
        if let RefOr::T(response) = response
            && status.starts_with(['4', '5'])
            && !is_open
            && let Some(content) = response.content.swap_remove("application/json")
        {
            response.content.insert("application/problem+json".to_owned(), content);
        }
    }
    for (status, description) in told {
        let problem = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
        let response = ResponseBuilder::new().description(description);
        let response = response.content("application/problem+json", problem).build();
        responses.entry(status.to_owned()).or_insert(RefOr::T(response));
    }
}

/// All routes of one engine.
pub fn router(app: Arc<App>) -> Router {
    let (people, _) = people().split_for_parts();
    let people = people.merge(health::undocumented()).layer(DefaultBodyLimit::max(REQUEST_BYTES_MAX));
    let workers = worker::routes().layer(DefaultBodyLimit::max(WORKER_REQUEST_BYTES_MAX));
    people
        .merge(workers)
        .fallback(|| async { Fault::not_found("route", "there is no such route; see /api/v1/openapi.json") })
        .method_not_allowed_fallback(|| async { Fault::method_not_allowed() })
        .layer(middleware::from_fn_with_state(Arc::clone(&app), auth::require))
        .layer(middleware::from_fn(observe))
        .with_state(app)
}

/// The routes for a listener, which tells them who connects. Those `beside` the engine's own want no token: they know nothing of runs.
pub fn service(app: Arc<App>, beside: Router) -> IntoMakeServiceWithConnectInfo<Router, SocketAddr> {
    router(app).merge(beside.layer(middleware::from_fn(observe))).into_make_service_with_connect_info()
}

/// The request's id: the caller's, else a new one; in the answer and in every log line of the request.
async fn observe(mut request: Request, next: Next) -> Response {
    use tracing::Instrument;

    let header = HeaderName::from_static("x-request-id");
    let given = request.headers().get(&header).and_then(|v| v.to_str().ok()).filter(|v| v.len() <= 64);
    let id = given.map_or_else(|| uuid::Uuid::now_v7().simple().to_string(), ToOwned::to_owned);
    let path = request
        .extensions()
        .get::<axum::extract::MatchedPath>()
        .map_or_else(|| "unmatched".to_owned(), |path| path.as_str().to_owned());
    let method = request.method().clone();
    request.extensions_mut().insert(RequestId(id.clone()));
    let span = tracing::info_span!("request", id = %id, %method, path = %path);
    let started = tokio::time::Instant::now();
    // A handler that panics ends its own request, and says so in the form of every other error.
    let running = AssertUnwindSafe(next.run(request)).catch_unwind().instrument(span);
    let mut response = running.await.unwrap_or_else(|_| Fault::internal().into_response());
    let labels =
        [("method", method.as_str().to_owned()), ("path", path), ("status", response.status().as_u16().to_string())];
    metrics::histogram!("valet_http_seconds", &labels).record(started.elapsed().as_secs_f64());
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(header, value);
    }
    fault::into_problem(response, &id)
}

/// The id under which a request is logged.
#[derive(Clone)]
pub struct RequestId(pub String);

/// `204 No Content`.
fn no_content() -> Response {
    StatusCode::NO_CONTENT.into_response()
}

#[cfg(test)]
mod tests {
    use axum::body::{Body, to_bytes};
    use axum::routing::get;
    use tower::Service as _;

    use super::*;

    #[tokio::test]
    async fn a_handler_that_panics_answers_500_with_the_requests_id() {
        async fn broken() -> StatusCode {
            std::panic::panic_any("a secret")
        }
        let mut router: Router = Router::new().route("/", get(broken)).layer(middleware::from_fn(observe));
        let request = Request::builder().header("x-request-id", "r-1").body(Body::empty()).unwrap();
        let response = router.call(request).await.unwrap();
        assert_eq!(response.status(), 500);
        let problem = to_bytes(response.into_body(), 10_000).await.unwrap();
        let problem: valet_protocol::problem::Problem = serde_json::from_slice(&problem).unwrap();
        assert_eq!((problem.code.as_str(), problem.request_id.as_deref()), ("internal", Some("r-1")));
        assert!(!problem.detail.contains("secret"));
    }
}
