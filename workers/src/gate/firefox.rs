//! Firefox behind geckodriver: how both are called, and how a new driver finds the browser.
//!
//! The browser listens for drivers on a loopback port it writes into its profile (Marionette). One driver at a time has it, and a driver
//! that is gone leaves it as it was.

mod preferences;

use std::ffi::OsString;
use std::net::SocketAddr;

use serde_json::{Value, json};

use super::config::GateConfig;
use super::family::{Family, session};

/// In the profile: the port on which the browser listens for its driver.
const PORT_FILE: &str = "MarionetteActivePort";

pub struct Firefox;

impl Family for Firefox {
    fn driver_arguments(&self, _config: &GateConfig, join: Option<&str>) -> Vec<OsString> {
        let mut arguments: Vec<OsString> = ["--host", "127.0.0.1", "--port", "0"].map(Into::into).into();
        if let Some((_, port)) = join.and_then(|address| address.rsplit_once(':')) {
            arguments.extend(["--connect-existing", "--marionette-port", port].map(Into::into));
        }
        arguments
    }

    fn environment(&self) -> &'static [(&'static str, &'static str)] {
        &[
            // No accessibility bus and no settings of a desktop; neither is there.
            ("NO_AT_BRIDGE", "1"),
            ("GSETTINGS_BACKEND", "memory"),
            ("MOZ_CRASHREPORTER_DISABLE", "1"),
            // Only so does it heed the preference for the server of its maker's settings, which the driver sets to none.
            ("MOZ_REMOTE_SETTINGS_DEVTOOLS", "1"),
        ]
    }

    /// "1795275331304 geckodriver INFO Listening on 127.0.0.1:35393"
    fn port_in(&self, line: &str) -> Option<u16> {
        let (before, address) = line.rsplit_once("Listening on ")?;
        // The browser's own port is told in nearly the same words, on the same output.
        before.contains("geckodriver").then(|| address.trim().parse::<SocketAddr>().ok())?.map(|address| address.port())
    }

    fn new_session(&self, config: &GateConfig, proxy: SocketAddr) -> Value {
        let (width, height) = config.window_px;
        let options = json!({
            "binary": config.browser,
            "args": arguments(config),
            // Without a window there is a screen of these measures.
            "env": {"MOZ_HEADLESS_WIDTH": width.to_string(), "MOZ_HEADLESS_HEIGHT": height.to_string()},
            "prefs": preferences::of(config, proxy),
        });
        session("firefox", Some(("moz:firefoxOptions", options)))
    }

    fn joining_session(&self, _join: &str) -> Value {
        session("firefox", None)
    }

    fn tab_names_last(&self) -> bool {
        false
    }

    fn process_id(&self, capabilities: &Value) -> Option<i64> {
        capabilities["moz:processID"].as_i64()
    }

    fn join_address(&self, config: &GateConfig, _capabilities: &Value) -> Option<String> {
        let port = std::fs::read_to_string(config.profile_dir().join(PORT_FILE)).ok()?;
        Some(SocketAddr::from(([127, 0, 0, 1], port.trim().parse().ok()?)).to_string())
    }
}

fn arguments(config: &GateConfig) -> Vec<String> {
    let (width, height) = config.window_px;
    let mut arguments = vec!["-profile".into(), config.profile_dir().display().to_string()];
    for (name, px) in [("-width", width), ("-height", height)] {
        arguments.extend([name.into(), px.to_string()]);
    }
    if config.headless {
        arguments.push("-headless".into());
    }
    arguments
}

#[cfg(test)]
mod tests {
    use super::{Family as _, Firefox};

    #[test]
    fn the_port_is_the_drivers_and_not_the_browsers() {
        let check = |line: &str, port: Option<u16>| assert_eq!(Firefox.port_in(line), port, "{line}");
        check("1795275331304\tgeckodriver\tINFO\tListening on 127.0.0.1:35393", Some(35393));
        check("1795275333910\tMarionette\tINFO\tListening on port 33487", None);
        check("1795275331304\tgeckodriver\tINFO\tListening on nothing", None);
    }
}
