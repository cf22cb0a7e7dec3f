//! The capabilities a session is opened with: the browser's flags and preferences.
//!
//! They are the gate's alone. A worker cannot open a session, so it cannot leave one of these out.

use std::net::SocketAddr;

use nix::unistd::Uid;
use serde_json::{Value, json};

use super::config::GateConfig;

/// The driver's own limits, shorter than the gate's so that its more precise error arrives first.
const SCRIPT_TIMEOUT_MS: u64 = 45_000;
const PAGE_LOAD_TIMEOUT_MS: u64 = 75_000;

/// Starts a browser.
pub fn new_session(config: &GateConfig, proxy: SocketAddr) -> Value {
    session(&json!({
        "w3c": true,
        "binary": config.browser,
        "args": arguments(config, proxy),
        "prefs": preferences(config),
    }))
}

/// Joins a browser that was started by [`new_session`] of an earlier driver.
pub fn joining_session(debugger_address: &str) -> Value {
    session(&json!({"w3c": true, "debuggerAddress": debugger_address}))
}

fn session(options: &Value) -> Value {
    json!({"capabilities": {"firstMatch": [{}], "alwaysMatch": {
        "browserName": "chrome",
        "pageLoadStrategy": "normal",
        "acceptInsecureCerts": false,
        "unhandledPromptBehavior": "dismiss and notify",
        "timeouts": {"script": SCRIPT_TIMEOUT_MS, "pageLoad": PAGE_LOAD_TIMEOUT_MS, "implicit": 0},
        "goog:chromeOptions": options,
    }}})
}

fn arguments(config: &GateConfig, proxy: SocketAddr) -> Vec<String> {
    let (width, height) = config.window_px;
    let mut arguments = vec![
        format!("--user-data-dir={}", config.profile_dir().display()),
        format!("--window-size={width},{height}"),
        // Everything, loopback too, goes through the gate's forward proxy; names are resolved there.
        format!("--proxy-server=http://{proxy}"),
        "--proxy-bypass-list=<-loopback>".into(),
        format!("--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE {}", proxy.ip()),
        "--force-webrtc-ip-handling-policy=disable_non_proxied_udp".into(),
        "--webrtc-ip-handling-policy=disable_non_proxied_udp".into(),
        "--disable-quic".into(),
        // Nothing that speaks to anybody by itself.
        "--disable-background-networking".into(),
        "--disable-component-update".into(),
        "--disable-domain-reliability".into(),
        "--disable-sync".into(),
        "--disable-default-apps".into(),
        "--disable-client-side-phishing-detection".into(),
        "--disable-breakpad".into(),
        "--metrics-recording-only".into(),
        "--no-pings".into(),
        "--no-first-run".into(),
        "--no-default-browser-check".into(),
        "--disable-gpu".into(),
        "--disable-dev-shm-usage".into(),
        "--disable-search-engine-choice-screen".into(),
        "--disable-features=Translate,OptimizationHints,MediaRouter,DialMediaRouteProvider,AutofillServerCommunication,InterestFeedContentSuggestions"
            .into(),
        "--password-store=basic".into(),
        "--use-mock-keychain".into(),
        "--lang=en-US".into(),
    ];
    if config.headless {
        arguments.push("--headless=new".into());
    }
    if Uid::effective().is_root() {
        // Chromium refuses to start as root with its sandbox.
        arguments.push("--no-sandbox".into());
    }
    arguments
}

fn preferences(config: &GateConfig) -> Value {
    json!({
        "credentials_enable_service": false,
        "profile.password_manager_enabled": false,
        "autofill.profile_enabled": false,
        "autofill.credit_card_enabled": false,
        "webrtc.ip_handling_policy": "disable_non_proxied_udp",
        "webrtc.multiple_routes_enabled": false,
        "webrtc.nonproxied_udp_enabled": false,
        "profile.default_content_setting_values.notifications": 2,
        "profile.default_content_setting_values.geolocation": 2,
        "profile.default_content_setting_values.media_stream": 2,
        "search.suggest_enabled": false,
        "dns_prefetching.enabled": false,
        "download.default_directory": config.downloads_dir(),
        "download.prompt_for_download": false,
    })
}
