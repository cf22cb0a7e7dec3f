//! What the browser may reach: a list of hosts, and which of their addresses.
//!
//! Two questions, both of which must be answered yes: is this host and port allowed by name, and is the address it resolved to one that
//! this machine may dial for a browser. Pure; the forward proxy asks, the default dialer asks again.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Ports meant by a rule that names none.
const WEB_PORTS: [u16; 2] = [80, 443];

#[derive(Debug, Error, PartialEq, Eq)]
#[error("`{text}` is not {wanted}")]
pub struct BadRule {
    text: String,
    wanted: &'static str,
}

/// A host and a port, written `host:port`; hosts are lower case without a trailing dot, IPv6 in brackets.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HostPort {
    pub host: String,
    pub port: u16,
}

impl HostPort {
    pub fn new(host: &str, port: u16) -> Self {
        Self { host: normal_host(host), port }
    }
}

impl FromStr for HostPort {
    type Err = BadRule;

    fn from_str(text: &str) -> Result<Self, BadRule> {
        let bad = || BadRule { text: text.to_owned(), wanted: "`host:port`" };
        let (host, port) = text.rsplit_once(':').ok_or_else(bad)?;
        let port = port.parse().map_err(|_| bad())?;
        if !plausible_host(host) {
            return Err(bad());
        }
        Ok(Self::new(host, port))
    }
}

impl TryFrom<String> for HostPort {
    type Error = BadRule;

    fn try_from(text: String) -> Result<Self, BadRule> {
        text.parse()
    }
}

impl From<HostPort> for String {
    fn from(target: HostPort) -> Self {
        target.to_string()
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
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
        let bad = || BadRule { text: text.to_owned(), wanted: "`host`, `host:port` or `*.suffix`" };
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

fn normal_host(host: &str) -> String {
    host.trim_start_matches('[').trim_end_matches(']').trim_end_matches('.').to_ascii_lowercase()
}

fn plausible_host(host: &str) -> bool {
    !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || "-._:[]".contains(c))
}

/// Globally routable unicast, by the IANA special-purpose registries (RFC 6890 and successors). Unknown kinds are not public.
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    // This host, private, loopback; carrier-grade NAT, private; link-local and metadata, private.
    let local = matches!(a, 0 | 10 | 127)
        || matches!((a, b), (100, 64..=127) | (172, 16..=31))
        || matches!((a, b), (169, 254) | (192, 168));
    // Protocol assignments, documentation, 6to4 relays; benchmarks, documentation; multicast, reserved, broadcast.
    let special = local
        || matches!((a, b, c), (192, 0, 0 | 2) | (192, 88, 99))
        || matches!((a, b, c), (198, 18 | 19, _) | (198, 51, 100) | (203, 0, 113))
        || a >= 224;
    !special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    if let Some(v4) = address.to_ipv4_mapped() {
        return is_public_v4(v4);
    }
    let [a, b, ..] = address.segments();
    let global_unicast = a & 0xe000 == 0x2000;
    // 2001::/23 protocol assignments and Teredo, 2001:db8::/32 documentation, 2002::/16 6to4 carries any IPv4 address, 3fff::/20 documentation.
    let special = (a == 0x2001 && (b < 0x0200 || b == 0x0db8)) || a == 0x2002 || (a == 0x3fff && b < 0x1000);
    global_unicast && !special
}

#[cfg(test)]
mod tests {
    use super::{EgressRule, HostPort, is_public};

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
    fn only_public_addresses_are_public() {
        let check =
            |address: &str, expect: bool| assert_eq!(is_public(address.parse().expect("address")), expect, "{address}");
        for private in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "224.0.0.1",
            "255.255.255.255",
            "198.18.0.1",
            "::1",
            "::",
            "fe80::1",
            "fc00::1",
            "fd00:ec2::254",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "2001:db8::1",
            "2001::1",
            "ff02::1",
            "::127.0.0.1",
        ] {
            check(private, false);
        }
        for public in ["8.8.8.8", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "2a00:1450:4001::1", "::ffff:8.8.8.8"]
        {
            check(public, true);
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
