//! Chromium behind chromedriver: the browser's flags and preferences, and how a new driver finds it.
//!
//! Flags and preferences are the gate's alone. A worker cannot open a session, so it cannot leave one of these out.

use std::ffi::OsString;
use std::net::SocketAddr;

use nix::unistd::Uid;
use serde_json::{Value, json};

use super::config::GateConfig;
use super::family::{Family, session};

const OPTIONS: &str = "goog:chromeOptions";

pub struct Chrome;

impl Family for Chrome {
    fn driver_arguments(&self, config: &GateConfig, _join: Option<&str>) -> Vec<OsString> {
        let log = config.logs_dir().join("chromedriver.log");
        vec!["--port=0".into(), format!("--log-path={}", log.display()).into()]
    }

    fn environment(&self) -> &'static [(&'static str, &'static str)] {
        &[]
    }

    /// "ChromeDriver was started successfully on port 12345."
    fn port_in(&self, line: &str) -> Option<u16> {
        let (before, port) = line.rsplit_once("on port ")?;
        before.contains("started successfully").then(|| port.trim_end_matches('.').parse().ok())?
    }

    fn new_session(&self, config: &GateConfig, proxy: SocketAddr) -> Value {
        let options = json!({
            "w3c": true,
            "binary": config.browser,
            "args": arguments(config, proxy),
            "prefs": preferences(config),
        });
        session("chrome", Some((OPTIONS, options)))
    }

    fn joining_session(&self, join: &str) -> Value {
        session("chrome", Some((OPTIONS, json!({"w3c": true, "debuggerAddress": join}))))
    }

    fn tab_names_last(&self) -> bool {
        true
    }

    fn process_id(&self, capabilities: &Value) -> Option<i64> {
        capabilities["goog:processID"].as_i64()
    }

    fn join_address(&self, _config: &GateConfig, capabilities: &Value) -> Option<String> {
        capabilities[OPTIONS]["debuggerAddress"].as_str().map(str::to_owned)
    }
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
        // The address bar's lists are pages of their own in newer Chromiums, kept ready though nobody types there: a second of a core
        // at each start, and 70 MB.
        "--disable-features=Translate,OptimizationHints,MediaRouter,DialMediaRouteProvider,AutofillServerCommunication,InterestFeedContentSuggestions,WebUIOmniboxPopup,WebUIOmniboxAimPopup"
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

#[cfg(test)]
mod tests {
    use super::{Chrome, Family as _};

    #[test]
    fn the_port_is_read_from_the_one_line_that_tells_it() {
        assert_eq!(Chrome.port_in("ChromeDriver was started successfully on port 34567."), Some(34567));
        assert_eq!(Chrome.port_in("Starting ChromeDriver 156.0.8078.79 on port 0"), None);
        assert_eq!(Chrome.port_in("was started successfully on port 99999."), None);
    }
}
