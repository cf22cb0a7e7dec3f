//! What the browser may reach: a list of hosts, and which of their addresses.
//!
//! Two questions, both of which must be answered yes: is this host and port allowed by name, and is the address it resolved to one that
//! this machine may dial for a browser. Pure; the forward proxy asks, the default dialer asks again.

use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use thiserror::Error;
pub use valet_core::address::HostPort;
use valet_core::address::{is_public, normal_host, plausible_host};

/// Ports meant by a rule that names none.
const WEB_PORTS: [u16; 2] = [80, 443];

#[derive(Debug, Error, PartialEq, Eq)]
#[error("`{text}` is not `host`, `host:port` or `*.suffix`")]
pub struct BadRule {
    text: String,
}

/// `host`, `host:port`, `*.suffix` or `*.suffix:port`. Without a port: 80 and 443. `*.suffix` does not mean the suffix itself.
#[derive(Clone, Debug, PartialEq, Eq)]
struct HostRule {
    host: String,
    any_subdomain: bool,
    port: Option<u16>,
}

impl FromStr for HostRule {
    type Err = BadRule;

    fn from_str(text: &str) -> Result<Self, BadRule> {
        let bad = || BadRule { text: text.to_owned() };
        let (any_subdomain, rest) = text.strip_prefix("*.").map_or((false, text), |rest| (true, rest));
        let bare_ipv6 = rest.parse::<Ipv6Addr>().is_ok() || rest.ends_with(']');
        let (host, port) = match rest.rsplit_once(':') {
            Some((host, port)) if !bare_ipv6 => (host, Some(port.parse().map_err(|_| bad())?)),
            _ => (rest, None),
        };
        if !plausible_host(host) || host.contains('*') {
            return Err(bad());
        }
        Ok(Self { host: normal_host(host), any_subdomain, port })
    }
}

impl HostRule {
    fn matches(&self, target: &HostPort) -> bool {
        let port = self.port.map_or_else(|| WEB_PORTS.contains(&target.port), |port| port == target.port);
        let host = if self.any_subdomain {
            target.host.strip_suffix(&self.host).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
        } else {
            target.host == self.host
        };
        port && host
    }
}

/// The whole rule of one sandbox.
#[derive(Clone, Debug, Default)]
pub struct EgressRule {
    hosts: Vec<HostRule>,
    private: Vec<HostPort>,
}

impl EgressRule {
    /// `allowed_hosts` in the forms of [`HostRule`]; `allow_private` are targets whose private or loopback addresses may be dialled.
    pub fn new(allowed_hosts: &[String], allow_private: &[HostPort]) -> Result<Self, BadRule> {
        let hosts = allowed_hosts.iter().map(|text| text.parse()).collect::<Result<_, _>>()?;
        Ok(Self { hosts, private: allow_private.to_vec() })
    }

    pub fn allows(&self, target: &HostPort) -> bool {
        self.hosts.iter().any(|rule| rule.matches(target))
    }

    pub fn allows_address(&self, target: &HostPort, address: IpAddr) -> bool {
        is_public(address) || self.private.contains(target)
    }
}

#[cfg(test)]
mod tests {
    use super::{EgressRule, HostPort};

    fn rule(hosts: &[&str]) -> EgressRule {
        EgressRule::new(&hosts.iter().map(|h| (*h).to_owned()).collect::<Vec<_>>(), &[]).expect("rule")
    }

    #[test]
    fn a_rule_means_the_host_and_port_it_says() {
        let check = |hosts: &str, target: &str, expect: bool| {
            assert_eq!(rule(&[hosts]).allows(&target.parse().expect("target")), expect, "{hosts} {target}");
        };
        check("jobs.example", "jobs.example:443", true);
        check("jobs.example", "JOBS.example.:80", true);
        check("jobs.example", "jobs.example:8443", false);
        check("jobs.example:8443", "jobs.example:8443", true);
        check("jobs.example:8443", "jobs.example:443", false);
        check("jobs.example", "evil-jobs.example:443", false);
        check("jobs.example", "jobs.example.evil:443", false);
        check("*.example", "jobs.example:443", true);
        check("*.example", "a.b.example:443", true);
        check("*.example", "example:443", false);
        check("*.example", "notexample:443", false);
        check("*.example", ".example:443", false);
        check("127.0.0.1:4000", "127.0.0.1:4000", true);
        check("127.0.0.1:4000", "127.0.0.1:4001", false);
        check("[::1]:4000", "[::1]:4000", true);
    }

    #[test]
    fn a_rule_that_means_everything_is_refused() {
        for text in ["*", "*.*", "", "*.", "http://x", "a b", "host:port", "user@host"] {
            assert!(EgressRule::new(&[text.to_owned()], &[]).is_err(), "{text}");
        }
    }

    #[test]
    fn a_private_address_is_opened_for_one_host_and_port_only() {
        let board: HostPort = "127.0.0.1:4000".parse().expect("target");
        let rule = EgressRule::new(&[], std::slice::from_ref(&board)).expect("rule");
        let loopback = "127.0.0.1".parse().expect("address");
        assert!(rule.allows_address(&board, loopback));
        assert!(!rule.allows_address(&"127.0.0.1:4001".parse().expect("target"), loopback));
        assert!(!rule.allows_address(&"jobs.example:4000".parse().expect("target"), loopback));
    }
}
