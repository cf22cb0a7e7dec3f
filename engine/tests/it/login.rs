//! The console's sessions: opened with a token, ended with it, and of no use to a page of another site.

use axum::http::{Method, header};
use futures::future::join_all;
use serde_json::{Value, json};
use valet_engine::bounds::CONSOLE_SESSIONS_PER_TOKEN_MAX;
use valet_engine::store::DueStore as _;

use super::app::TestApp;
use super::calls::{Answer, Call, OTHER_TENANT, PEOPLE, WORKER};
use super::database;

const PATH: &str = "/api/v1/session";

/// A browser that is signed in.
struct Browser {
    cookie: String,
    csrf: String,
}

impl Browser {
    async fn sign_in(app: &TestApp, token: &str) -> Self {
        Self::of(&attempt(app, token).await.expect(201))
    }

    fn of(answer: &Answer) -> Self {
        let cookie = answer.header("set-cookie").and_then(|cookie| cookie.split(';').next()).expect("a cookie");
        let csrf = answer.json()["csrf"].as_str().expect("a word").to_owned();
        Self { cookie: cookie.to_owned(), csrf }
    }

    /// As a page of another site makes a browser ask: with the cookie only.
    fn forged(&self, call: Call) -> Call {
        call.without(header::AUTHORIZATION).header("cookie", &self.cookie)
    }

    fn own(&self, call: Call) -> Call {
        self.forged(call).header("x-valet-csrf", &self.csrf)
    }
}

async fn attempt(app: &TestApp, token: &str) -> Answer {
    let call = Call::post(PATH).without(header::AUTHORIZATION);
    app.send(call.json(&json!({ "token": token }))).await
}

async fn token(app: &TestApp, body: &Value) -> (String, String) {
    let made = app.send(Call::post("/api/v1/tokens").json(body)).await.expect(201).json();
    (made["id"].as_str().expect("an id").to_owned(), made["secret"].as_str().expect("a secret").to_owned())
}

fn start() -> Call {
    Call::post("/api/v1/workflows/ask/runs").json(&json!({ "input": {} }))
}

async fn sessions(app: &TestApp) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM console_sessions").fetch_one(app.pool()).await.expect("a count")
}

#[tokio::test]
async fn a_person_signs_in_works_and_signs_out() {
    let app = TestApp::start().await;
    let answer = attempt(&app, PEOPLE).await.expect(201);
    assert_eq!((&answer.json()["name"], &answer.json()["tenant"]), (&json!("ada"), &json!("acme")));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let cookie = answer.header("set-cookie").expect("a cookie").to_owned();
    let (secret, flags) = cookie.strip_prefix("valet_session=").and_then(|c| c.split_once("; ")).expect("a value");
    assert_eq!((secret.len(), flags), (64, "HttpOnly; SameSite=Strict; Path=/; Max-Age=43200"));

    let browser = Browser::of(&answer);
    let again = app.send(browser.forged(Call::get(PATH))).await.expect(200);
    assert_eq!((again.json(), again.header("set-cookie")), (answer.json(), None));
    let run = app.send(browser.own(start())).await.expect(201).json()["id"].as_str().expect("an id").to_owned();
    let runs = app.send(browser.forged(Call::get("/api/v1/runs"))).await.expect(200).json();
    assert_eq!(runs["runs"][0]["id"], run.as_str());

    let out = app.send(browser.own(Call::new(Method::DELETE, PATH))).await.expect(204);
    let cleared = "valet_session=; HttpOnly; SameSite=Strict; Path=/; Max-Age=0";
    assert_eq!(out.header("set-cookie"), Some(cleared));
    app.send(browser.forged(Call::get("/api/v1/runs"))).await.problem(401, "unauthorized").at("Cookie");
    assert_eq!(sessions(&app).await, 0);
    let other = TestApp::on(&app.url).await;
    other.send(browser.forged(Call::get("/api/v1/runs"))).await.problem(401, "unauthorized");
}

#[tokio::test]
async fn a_cookie_goes_through_tls_only_where_browsers_come_that_way() {
    let app = TestApp::behind_tls(&database::migrated().await).await;
    let answer = attempt(&app, PEOPLE).await.expect(201);
    assert!(answer.header("set-cookie").is_some_and(|cookie| cookie.ends_with("; Secure")), "{answer:?}");
    let out = Browser::of(&answer).own(Call::new(Method::DELETE, PATH));
    let out = app.send(out).await.expect(204);
    assert!(out.header("set-cookie").is_some_and(|cookie| cookie.ends_with("; Max-Age=0; Secure")), "{out:?}");
}

#[tokio::test]
async fn of_a_session_only_hashes_are_stored() {
    let app = TestApp::start().await;
    let browser = Browser::sign_in(&app, PEOPLE).await;
    let rows: Vec<String> =
        sqlx::query_scalar("SELECT s::text FROM console_sessions s").fetch_all(app.pool()).await.expect("rows");
    let (_, secret) = browser.cookie.split_once('=').expect("a value");
    let hexed = |text: &str| text.bytes().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
    for word in [secret, &browser.csrf, PEOPLE, &hexed(secret), &hexed(PEOPLE)] {
        assert!(rows.len() == 1 && !rows[0].contains(word), "{word} in {rows:?}");
    }
    let life: bool = sqlx::query_scalar("SELECT expires_at = created_at + interval '12 hours' FROM console_sessions")
        .fetch_one(app.pool())
        .await
        .expect("a row");
    assert!(life);
}

/// Every route of the document.
#[tokio::test]
async fn a_request_by_cookie_that_changes_something_needs_the_sessions_word() {
    let app = TestApp::start().await;
    let (browser, other) = (Browser::sign_in(&app, PEOPLE).await, Browser::sign_in(&app, PEOPLE).await);
    assert_ne!((&browser.cookie, &browser.csrf), (&other.cookie, &other.csrf));
    let document = app.send(Call::get("/api/v1/openapi.json")).await.expect(200).json();
    let mut walked = 0;
    for (path, item) in document["paths"].as_object().expect("paths") {
        let place = path.replace("{id}", "run_00000000000080008000000000000000").replace("{name}", "ask");
        for verb in item.as_object().expect("an item").keys().filter(|verb| *verb != "get") {
            // Who completes or delivers something shows what is in its path or what it signed, and nothing else.
            let proven = ["/api/v1/completions/{token}", "/api/v1/hooks/{tenant}/{name}", "/api/v1/webhooks/sandbox"];
            let wants_no_session = proven.contains(&path.as_str());
            if wants_no_session || (verb.as_str(), path.as_str()) == ("post", PATH) {
                continue;
            }
            let method = Method::from_bytes(verb.to_uppercase().as_bytes()).expect("a method");
            let call = || browser.forged(Call::new(method.clone(), place.clone())).json(&json!({ "input": {} }));
            app.send(call()).await.problem(403, "csrf").at("x-valet-csrf");
            for wrong in ["", &other.csrf, &browser.csrf[1..], &browser.csrf.to_uppercase()] {
                app.send(call().header("x-valet-csrf", wrong)).await.problem(403, "csrf");
            }
            let allowed = app.send(call().header("x-valet-csrf", &browser.csrf)).await;
            assert!(![401, 403].contains(&allowed.status) || allowed.json()["code"] != "csrf", "{verb} {path}");
            walked += 1;
            if place == PATH {
                app.send(browser.forged(Call::get(PATH))).await.problem(401, "unauthorized");
                return assert!(walked > 5, "{walked} routes");
            }
        }
    }
    panic!("the walk ends with signing out");
}

#[tokio::test]
async fn a_forged_start_starts_nothing_and_reading_needs_no_word() {
    let app = TestApp::start().await;
    let browser = Browser::sign_in(&app, PEOPLE).await;
    app.send(browser.forged(start())).await.problem(403, "csrf");
    assert_eq!(app.runs_stored().await, 0);
    for method in [Method::GET, Method::HEAD] {
        app.send(browser.forged(Call::new(method, "/api/v1/runs"))).await.expect(200);
    }
}

#[tokio::test]
async fn a_token_in_the_header_goes_before_the_cookie() {
    let app = TestApp::start().await;
    let browser = Browser::sign_in(&app, PEOPLE).await;
    let both = |call: Call, token: &str| browser.forged(call).token(token);
    let who = app.send(both(Call::get("/api/v1/whoami"), OTHER_TENANT)).await.expect(200).json();
    assert_eq!(who["tenant"], "umbrella");
    app.send(both(start(), OTHER_TENANT)).await.expect(201);
    app.send(both(Call::get(PATH), OTHER_TENANT)).await.problem(404, "session_not_found");
    app.send(both(Call::get("/api/v1/whoami"), "vt_guessed")).await.problem(401, "unauthorized").at("Authorization");
}

#[tokio::test]
async fn a_worker_and_whoever_has_no_token_get_no_session() {
    let app = TestApp::start().await;
    attempt(&app, WORKER).await.problem(403, "wrong_scope").at("/token");
    for unknown in ["vt_guessed", "", "vl_00"] {
        let refused = attempt(&app, unknown).await.problem(401, "unauthorized").at("/token");
        assert_eq!(refused.header("set-cookie"), None);
    }
    assert_eq!(sessions(&app).await, 0);
    let guessed = Call::get("/api/v1/runs").without(header::AUTHORIZATION);
    for cookie in [format!("valet_session={}", "0".repeat(64)), "valet_session=x".to_owned()] {
        app.send(guessed.clone().header("cookie", cookie)).await.problem(401, "unauthorized");
    }
}

#[tokio::test]
async fn a_session_reaches_no_further_than_its_token() {
    let app = TestApp::start().await;
    app.send(start()).await.expect(201);
    let viewer = json!({ "name": "v", "role": "viewer", "subjects": ["ada"] });
    let browser = Browser::sign_in(&app, &token(&app, &viewer).await.1).await;
    let who = app.send(browser.forged(Call::get(PATH))).await.expect(200).json();
    assert_eq!((&who["scopes"], &who["subjects"]), (&json!(["read"]), &json!(["ada"])));
    let runs = app.send(browser.forged(Call::get("/api/v1/runs"))).await.expect(200).json();
    assert_eq!(runs["runs"], json!([]));
    app.send(browser.own(start())).await.problem(403, "wrong_scope");
}

#[tokio::test]
async fn a_revoked_token_ends_its_sessions_at_once_and_elsewhere_after_a_moment() {
    let app = TestApp::start().await;
    let other = TestApp::on(&app.url).await;
    let (id, secret) = token(&app, &json!({ "name": "v", "role": "viewer" })).await;
    let (browser, own) = (Browser::sign_in(&app, &secret).await, Browser::sign_in(&app, PEOPLE).await);
    let look = || browser.forged(Call::get("/api/v1/runs"));
    app.send(look()).await.expect(200);
    other.send(look()).await.expect(200);
    app.send(Call::new(Method::DELETE, format!("/api/v1/tokens/{id}"))).await.expect(204);
    let revoked = tokio::time::Instant::now();
    app.send(look()).await.problem(401, "unauthorized");
    database::until("the other engine to refuse the session", async || {
        (other.send(look()).await.status == 401).then_some(())
    })
    .await;
    assert!(revoked.elapsed().as_secs() < 4, "{:?}", revoked.elapsed());
    app.send(own.forged(Call::get("/api/v1/runs"))).await.expect(200);
}

/// What an engine knows for a moment is no matter here: each look is an engine's first. They start before, since a start tidies.
#[tokio::test]
async fn a_session_ends_with_its_token_or_its_own_time_and_is_removed() {
    let app = TestApp::start().await;
    let (_, secret) = token(&app, &json!({ "name": "v", "role": "viewer", "expires_in_s": 60 })).await;
    let (brief, own) = (Browser::sign_in(&app, &secret).await, Browser::sign_in(&app, PEOPLE).await);
    let (second, third) = (TestApp::on(&app.url).await, TestApp::on(&app.url).await);
    let run = async |sql: &'static str| sqlx::query(sql).execute(app.pool()).await.expect("a change");
    run("UPDATE tokens SET expires_at = now() - interval '1 second'").await;
    second.send(brief.forged(Call::get("/api/v1/runs"))).await.problem(401, "unauthorized");
    second.send(own.forged(Call::get("/api/v1/runs"))).await.expect(200);

    let over = "UPDATE console_sessions SET expires_at = now() - interval '1 second' \
                WHERE token_hash <> (SELECT hash FROM tokens)";
    assert_eq!(run(over).await.rows_affected(), 1);
    third.send(own.forged(Call::get("/api/v1/runs"))).await.problem(401, "unauthorized");
    assert_eq!(sessions(&app).await, 2);
    app.store.tidy(app.engine.clock.now()).await.expect("tidy");
    assert_eq!(sessions(&app).await, 1, "only what is over is removed");
}

#[tokio::test]
async fn one_token_has_so_many_sessions_and_the_oldest_makes_room() {
    let app = TestApp::start().await;
    let most = i64::from(CONSOLE_SESSIONS_PER_TOKEN_MAX);
    let first = Browser::sign_in(&app, PEOPLE).await;
    let others = Browser::sign_in(&app, OTHER_TENANT).await;
    for _ in 0..CONSOLE_SESSIONS_PER_TOKEN_MAX / 10 {
        join_all((0..10).map(|_| attempt(&app, PEOPLE))).await.into_iter().for_each(|a| drop(a.expect(201)));
    }
    let last = Browser::sign_in(&app, PEOPLE).await;
    // Those that came at the same instant may have seen each other too late.
    let stored = sessions(&app).await - 1;
    assert!((most - 10..=most).contains(&stored), "{stored}");
    app.send(last.forged(Call::get(PATH))).await.expect(200);
    app.send(others.forged(Call::get(PATH))).await.expect(200);
    app.send(first.forged(Call::get(PATH))).await.problem(401, "unauthorized");
}
