//! Which addresses belong to the public internet, and which lead inside: to this machine, its network, a cloud's metadata.
//!
//! Whoever dials on behalf of somebody else asks here: the door about job URLs, the browser's gate, the way out of engines
//! and workers.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A text that should name a place.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{text}` is not `host:port`")]
pub struct BadHostPort {
    text: String,
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
    type Err = BadHostPort;

    fn from_str(text: &str) -> Result<Self, BadHostPort> {
        let bad = || BadHostPort { text: text.to_owned() };
        let (host, port) = text.rsplit_once(':').ok_or_else(bad)?;
        let port = port.parse().map_err(|_| bad())?;
        if !plausible_host(host) {
            return Err(bad());
        }
        Ok(Self::new(host, port))
    }
}

impl TryFrom<String> for HostPort {
    type Error = BadHostPort;

    fn try_from(text: String) -> Result<Self, BadHostPort> {
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

/// A host as it is compared: lower case, without brackets and without the dot of the root.
pub fn normal_host(host: &str) -> String {
    host.trim_start_matches('[').trim_end_matches(']').trim_end_matches('.').to_ascii_lowercase()
}

/// Whether a text can be a host at all.
pub fn plausible_host(host: &str) -> bool {
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
    // 2001::/23 protocol assignments and Teredo, 2001:db8::/32 documentation, 2002::/16 6to4 carries any IPv4 address,
    // 3fff::/20 documentation.
    let special = (a == 0x2001 && (b < 0x0200 || b == 0x0db8)) || a == 0x2002 || (a == 0x3fff && b < 0x1000);
    global_unicast && !special
}

#[cfg(test)]
mod tests {
    use super::is_public;

    #[test]
    fn only_public_addresses_are_public() {
        let check =
            |address: &str, expect: bool| assert_eq!(is_public(address.parse().expect("address")), expect, "{address}");
        for private in [
            "127.0.0.1",
            "10.1.2.3",
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
            "::ffff:10.0.0.1",
            "64:ff9b::a9fe:a9fe",
            "2002:a9fe:a9fe::",
            "172.16.0.1",
            "192.0.2.1",
            "198.51.100.7",
            "203.0.113.9",
            "192.88.99.1",
            "240.0.0.1",
            "fec0::1",
            "3fff::1",
            "100::1",
        ] {
            check(private, false);
        }
        for public in ["8.8.8.8", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "2a00:1450:4001::1", "::ffff:8.8.8.8"]
        {
            check(public, true);
        }
    }
}
