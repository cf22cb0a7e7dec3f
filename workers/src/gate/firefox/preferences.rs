//! Firefox's preferences: everything through the gate's forward proxy, and nothing the browser says or keeps of its own accord.
//!
//! The egress rule holds without most of them, since the proxy refuses what is not allowed; they keep the browser from asking.

use std::net::SocketAddr;

use serde_json::{Map, Value, json};

use super::super::config::GateConfig;

/// Ask every time, allow, and this.
const DENY: u8 = 2;
/// A proxy that is named here, not found by the system.
const PROXY_NAMED: u8 = 1;
/// No names over HTTPS, by choice: nothing turns it on again.
const TRR_OFF: u8 = 5;
/// Into the folder that is named, not the desktop or the last one.
const DOWNLOADS_NAMED: u8 = 2;

pub fn of(config: &GateConfig, proxy: SocketAddr) -> Map<String, Value> {
    let own = [proxied(proxy), silent(), without_services(), keeps_nothing(), like_a_page_reader(config)];
    own.into_iter()
        .filter_map(|group| if let Value::Object(group) = group { Some(group) } else { None })
        .flatten()
        .collect()
}

/// Every byte of a page goes through the proxy; names are resolved there.
fn proxied(proxy: SocketAddr) -> Value {
    json!({
        "network.proxy.type": PROXY_NAMED,
        "network.proxy.http": proxy.ip().to_string(),
        "network.proxy.http_port": proxy.port(),
        "network.proxy.ssl": proxy.ip().to_string(),
        "network.proxy.ssl_port": proxy.port(),
        "network.proxy.no_proxies_on": "",
        "network.proxy.allow_hijacking_localhost": true,
        "network.proxy.failover_direct": false,
        "network.proxy.allow_bypass": false,
        "network.proxy.socks_remote_dns": true,
        "network.dns.disabled": true,
        "network.trr.mode": TRR_OFF,
        "network.dns.disablePrefetch": true,
        "network.dns.disablePrefetchFromHTTPS": true,
        "network.http.http3.enable": false,
        "media.peerconnection.enabled": false,
        "media.navigator.enabled": false,
    })
}

/// Nothing is fetched that no page asked for.
fn silent() -> Value {
    json!({
        "network.http.speculative-parallel-limit": 0,
        "network.prefetch-next": false,
        "network.predictor.enabled": false,
        "network.captive-portal-service.enabled": false,
        "network.connectivity-service.enabled": false,
        "browser.urlbar.speculativeConnect.enabled": false,
        "browser.places.speculativeConnect.enabled": false,
        "browser.urlbar.quicksuggest.enabled": false,
        "browser.urlbar.merino.enabled": false,
        "browser.search.suggest.enabled": false,
        "browser.search.update": false,
        "browser.region.update.enabled": false,
        "browser.region.network.url": "",
        "browser.topsites.contile.enabled": false,
        "browser.newtabpage.enabled": false,
        "browser.newtabpage.activity-stream.feeds.topsites": false,
        "browser.newtabpage.activity-stream.feeds.section.topstories": false,
        "browser.newtabpage.activity-stream.showSponsored": false,
        "browser.newtabpage.activity-stream.showSponsoredTopSites": false,
        "browser.send_pings": false,
        "security.OCSP.enabled": 0,
        "security.remote_settings.intermediates.enabled": false,
        "security.remote_settings.crlite_filters.enabled": false,
        // As it is asked for: what a page's address says is not tried another way first.
        "dom.security.https_first": false,
        "dom.security.https_first_schemeless": false,
    })
}

/// None of the maker's services.
fn without_services() -> Value {
    json!({
        "app.update.auto": false,
        "app.update.background.enabled": false,
        "app.update.disabledForTesting": true,
        "app.normandy.enabled": false,
        "app.shield.optoutstudies.enabled": false,
        "messaging-system.rsexperimentloader.enabled": false,
        "nimbus.rollouts.enabled": false,
        "toolkit.telemetry.enabled": false,
        "toolkit.telemetry.unified": false,
        "toolkit.telemetry.archive.enabled": false,
        "toolkit.telemetry.server": "",
        "toolkit.telemetry.newProfilePing.enabled": false,
        "datareporting.healthreport.uploadEnabled": false,
        "datareporting.policy.dataSubmissionEnabled": false,
        "datareporting.usage.uploadEnabled": false,
        "browser.safebrowsing.malware.enabled": false,
        "browser.safebrowsing.phishing.enabled": false,
        "browser.safebrowsing.blockedURIs.enabled": false,
        "browser.safebrowsing.downloads.enabled": false,
        "browser.safebrowsing.downloads.remote.enabled": false,
        "browser.safebrowsing.provider.google.updateURL": "",
        "browser.safebrowsing.provider.google4.updateURL": "",
        "browser.safebrowsing.provider.google5.updateURL": "",
        "browser.safebrowsing.provider.mozilla.updateURL": "",
        "extensions.update.enabled": false,
        "extensions.getAddons.cache.enabled": false,
        "extensions.systemAddon.update.enabled": false,
        "extensions.systemAddon.update.url": "",
        "extensions.blocklist.enabled": false,
        "extensions.pocket.enabled": false,
        "media.gmp-manager.updateEnabled": false,
        "media.gmp-manager.url": "",
        "media.gmp-provider.enabled": false,
        "dom.push.enabled": false,
        "dom.push.connection.enabled": false,
        "dom.push.serverURL": "",
        "identity.fxaccounts.enabled": false,
        "browser.discovery.enabled": false,
        "browser.translations.enable": false,
        "browser.ml.enable": false,
        "network.allow-experiments": false,
    })
}

/// What was typed stays in the page.
fn keeps_nothing() -> Value {
    json!({
        "signon.rememberSignons": false,
        "signon.autofillForms": false,
        "signon.management.page.breach-alerts.enabled": false,
        "browser.formfill.enable": false,
        "extensions.formautofill.addresses.enabled": false,
        "extensions.formautofill.creditCards.enabled": false,
        "browser.sessionstore.resume_from_crash": false,
        // What pages say to their console is not written to the driver's output.
        "browser.dom.window.dump.enabled": false,
        "devtools.console.stdout.chrome": false,
        "devtools.console.stdout.content": false,
    })
}

/// No page of its own in the way, no question to a person who is not there.
fn like_a_page_reader(config: &GateConfig) -> Value {
    json!({
        "browser.startup.page": 0,
        "browser.startup.homepage": "about:blank",
        "browser.startup.homepage_override.mstone": "ignore",
        "browser.aboutwelcome.enabled": false,
        "browser.preonboarding.enabled": false,
        "browser.shell.checkDefaultBrowser": false,
        "browser.uitour.enabled": false,
        "datareporting.policy.dataSubmissionPolicyBypassNotification": true,
        "termsofuse.bypassNotification": true,
        "permissions.default.desktop-notification": DENY,
        "permissions.default.geo": DENY,
        "permissions.default.camera": DENY,
        "permissions.default.microphone": DENY,
        "browser.download.folderList": DOWNLOADS_NAMED,
        "browser.download.dir": config.downloads_dir(),
        "browser.download.useDownloadDir": true,
        "browser.download.always_ask_before_handling_new_types": false,
        "intl.accept_languages": "en-US, en",
        "intl.locale.requested": "en-US",
    })
}
