//! Which job URLs may be given at all. The worker's egress rule decides again, with the resolved address.

use std::net::IpAddr;

use url::{Host, Url};
use valet_core::address::is_public;
use valet_core::workflow::Door;

/// What is wrong with a job URL, as a sentence with the fix; `None`: nothing.
pub fn problem(text: &str, door: &Door) -> Option<String> {
    let Ok(url) = Url::parse(text) else {
        return Some("must be an absolute URL, such as https://jobs.example.com/123".to_owned());
    };
    if !matches!(url.scheme(), "http" | "https") {
        return Some("must begin with http:// or https://".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Some("must not hold a user name or password".to_owned());
    }
    let Some(host) = url.host() else { return Some("must name a host".to_owned()) };
    if is_opened(&url, door) || !is_private(&host) {
        return None;
    }
    let place = authority(&url);
    Some(format!("{place} is a private address; VALET_ALLOW_HOSTS={place} opens it"))
}

/// `host:port` of a URL, with the scheme's port where none is written.
pub fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    format!("{host}:{}", url.port_or_known_default().unwrap_or_default())
}

fn is_opened(url: &Url, door: &Door) -> bool {
    let place = authority(url);
    door.allow_hosts.contains(&place)
}

fn is_private(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(name) => {
            let name = name.trim_end_matches('.').to_ascii_lowercase();
            let private = ["localhost", "local", "internal", "lan", "home.arpa", "localdomain"];
            // A name without a dot is resolved by search domains: somewhere inside.
            !name.contains('.') || private.iter().any(|p| name == *p || name.ends_with(&format!(".{p}")))
        }
        Host::Ipv4(ip) => !is_public(IpAddr::V4(*ip)),
        Host::Ipv6(ip) => !is_public(IpAddr::V6(*ip)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(url: &str) -> bool {
        problem(url, &Door::default()).is_some()
    }

    #[test]
    fn public_http_urls_pass() {
        for url in ["https://jobs.example.com/1", "http://203.1.112.9:8080/x", "https://[2606:4700::1]/"] {
            assert_eq!(problem(url, &Door::default()), None, "{url}");
        }
    }

    #[test]
    fn other_schemes_and_private_places_are_refused() {
        let urls = [
            "ftp://example.com/",
            "file:///etc/passwd",
            "javascript:alert(1)",
            "jobs.example.com/1",
            "http://localhost:8080/",
            "http://127.0.0.1/",
            "http://127.1/",
            "http://2130706433/",
            "http://0x7f.0.0.1/",
            "http://10.0.0.8/",
            "http://169.254.169.254/latest/meta-data",
            "http://[::1]/",
            "http://[::ffff:10.0.0.1]/",
            "http://[fe80::1]/",
            "http://[fd00::1]/",
            "http://intranet/",
            "http://db.internal/",
            "http://printer.local./",
            "https://user:pw@jobs.example.com/",
        ];
        for url in urls {
            assert!(refused(url), "{url}");
        }
    }

    #[test]
    fn an_opened_place_is_opened_with_its_port_only() {
        let door = Door { allow_hosts: vec!["127.0.0.1:8080".to_owned()] };
        assert_eq!(problem("http://127.0.0.1:8080/jobs", &door), None);
        assert!(problem("http://127.0.0.1:8081/jobs", &door).is_some());
        assert!(problem("http://127.0.0.2:8080/jobs", &door).is_some());
    }
}
