//! Sites: how a place is named, which patterns match it, whose application system it is.

use url::{Host, Url};

/// A place that browsers go to, as it is counted and as policies name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    host: String,
    /// None: the scheme's own.
    port: Option<u16>,
    /// A name, of which a part may be a wildcard; addresses have none.
    is_name: bool,
}

impl Site {
    /// `None`: the URL names no host.
    pub fn of(url: &str) -> Option<Self> {
        let url = Url::parse(url).ok()?;
        let is_name = matches!(url.host()?, Host::Domain(_));
        let host = url.host_str()?.trim_end_matches('.').to_ascii_lowercase();
        Some(Self { host, port: url.port(), is_name })
    }

    pub fn host(&self) -> &str {
        &self.host
    }

    /// `host`, or `host:port` where it is not the scheme's own.
    pub fn name(&self) -> String {
        match self.port {
            Some(port) => format!("{}:{port}", self.host),
            None => self.host.clone(),
        }
    }

    /// Every pattern that matches it, the most telling first.
    pub fn patterns(&self) -> Vec<String> {
        let mut hosts = vec![self.host.clone()];
        if self.is_name {
            let parts = self.host.match_indices('.').map(|(at, _)| format!("*{}", &self.host[at..]));
            hosts.extend(parts);
        }
        let with_port = |host: &String| self.port.map(|port| format!("{host}:{port}"));
        let mut patterns: Vec<String> =
            hosts.iter().flat_map(|host| with_port(host).into_iter().chain([host.clone()])).collect();
        patterns.push("*".to_owned());
        patterns
    }

    pub fn matches(&self, pattern: &str) -> bool {
        self.patterns().iter().any(|own| own == pattern)
    }
}

/// What is wrong with a pattern, as a sentence with the fix.
pub(super) fn pattern_problem(pattern: &str) -> Option<&'static str> {
    const HOW: &str =
        "must be `*`, `host`, `*.suffix`, or one of these with `:port`, in lower case, such as `*.example.com`";
    if pattern == "*" {
        return None;
    }
    let (host, port) = match pattern.rsplit_once(':') {
        // The address of an IPv6 host is in brackets.
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (pattern, None),
    };
    let bare = host.strip_prefix("*.").unwrap_or(host);
    let fits = !bare.is_empty()
        && !bare.starts_with('.')
        && !bare.ends_with('.')
        && bare
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '-' | '_' | '[' | ']' | ':'))
        && port.is_none_or(|port| port.parse::<u16>().is_ok());
    (!fits).then_some(HOW)
}

/// Application systems by the hosts that they serve from.
const SYSTEMS: [(&str, &[&str]); 13] = [
    ("greenhouse", &["greenhouse.io"]),
    ("lever", &["lever.co"]),
    ("workday", &["myworkdayjobs.com", "myworkdaysite.com"]),
    ("ashby", &["ashbyhq.com"]),
    ("workable", &["workable.com"]),
    ("smartrecruiters", &["smartrecruiters.com"]),
    ("recruitee", &["recruitee.com"]),
    ("icims", &["icims.com"]),
    ("jobvite", &["jobvite.com"]),
    ("bamboohr", &["bamboohr.com"]),
    ("oracle", &["oraclecloud.com", "taleo.net"]),
    ("successfactors", &["successfactors.com", "successfactors.eu", "jobs.hr.cloud.sap"]),
    ("linkedin", &["linkedin.com"]),
];

/// Whose application system a host is, by its name.
pub fn ats_of(site: &Site) -> Option<&'static str> {
    let is_below = |domain: &&str| {
        let rest = site.host.strip_suffix(*domain);
        rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    };
    SYSTEMS.iter().find(|(_, domains)| domains.iter().any(is_below)).map(|(system, _)| *system)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(url: &str) -> Site {
        Site::of(url).expect("a host")
    }

    #[test]
    fn the_most_telling_pattern_comes_first() {
        let check = |url: &str, expected: &[&str]| assert_eq!(site(url).patterns(), expected, "{url}");
        check("https://jobs.Example.com./7", &["jobs.example.com", "*.example.com", "*.com", "*"]);
        check("http://a.b:81/", &["a.b:81", "a.b", "*.b:81", "*.b", "*"]);
        check("http://127.0.0.1:4444/x", &["127.0.0.1:4444", "127.0.0.1", "*"]);
        check("http://[::1]:4444/x", &["[::1]:4444", "[::1]", "*"]);
        assert_eq!(Site::of("about:blank"), None);
        assert_eq!((site("https://a.b/").name(), site("https://a.b:444/").name()), ("a.b".into(), "a.b:444".into()));
        assert_eq!(site("https://a.b:443/").name(), "a.b", "the scheme's own port names no other place");
    }

    #[test]
    fn patterns_that_nothing_can_match_are_refused() {
        for fine in ["*", "example.com", "*.example.com", "*.example.com:8080", "127.0.0.1:4444", "[::1]:80", "[::1]"] {
            assert_eq!(pattern_problem(fine), None, "{fine}");
        }
        for wrong in
            ["", "*.", "Example.com", "https://example.com", "example.com/jobs", "a.*.b", "a:b", "a:99999", ".b"]
        {
            assert!(pattern_problem(wrong).is_some(), "{wrong}");
        }
    }

    #[test]
    fn a_system_is_known_by_its_own_hosts_only() {
        for (url, expected) in [
            ("https://boards.greenhouse.io/x/jobs/7", Some("greenhouse")),
            ("https://jobs.lever.co/x/7", Some("lever")),
            ("https://acme.wd3.myworkdayjobs.com/careers", Some("workday")),
            ("https://notgreenhouse.io/", None),
            ("https://jobs.example.com/", None),
        ] {
            assert_eq!(ats_of(&site(url)), expected, "{url}");
        }
    }
}
