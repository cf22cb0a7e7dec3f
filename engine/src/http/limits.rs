//! How often somebody may come: requests of a token and of a tenant, and unknown tokens of an address.
//!
//! Each is a bucket that refills steadily and holds a burst. Workers are not limited: a finish that is turned away is work
//! done twice. Each engine counts for itself.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use axum::http::StatusCode;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::Fault;
use crate::bounds::{
    PACED_MAX, TENANT_BURST, TENANT_RATE_PER_S, TENANT_STREAMS, TOKEN_BURST, TOKEN_RATE_PER_S, UNKNOWN_TOKEN_EVERY,
    UNKNOWN_TOKENS_BURST,
};
use crate::store::postgres::tokens::TokenHash;

/// So many requests a second, and so many at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// 0: no limit.
    pub per_s: u32,
    /// At least 1.
    pub burst: u32,
}

/// What one engine allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    pub token: Rate,
    pub tenant: Rate,
    /// Event streams and waiting requests of one tenant, of the engine's `EVENT_STREAMS_MAX`.
    pub tenant_streams: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            token: Rate { per_s: TOKEN_RATE_PER_S, burst: TOKEN_BURST },
            tenant: Rate { per_s: TENANT_RATE_PER_S, burst: TENANT_BURST },
            tenant_streams: TENANT_STREAMS,
        }
    }
}

/// The buckets of one engine.
pub(super) struct Pace {
    tokens: Buckets<TokenHash>,
    tenants: Buckets<String>,
    unknown: Buckets<Network>,
}

impl Pace {
    pub fn new(limits: &Limits) -> Self {
        let unknown = Shape { every: UNKNOWN_TOKEN_EVERY, burst: UNKNOWN_TOKENS_BURST };
        Self {
            tokens: Buckets::new(Shape::of(limits.token), PACED_MAX),
            tenants: Buckets::new(Shape::of(limits.tenant), PACED_MAX),
            unknown: Buckets::new(Some(unknown), PACED_MAX),
        }
    }

    /// Counts a request. One that its token's limit refuses takes nothing from its tenant.
    pub fn request(&self, token: &TokenHash, tenant: &str) -> Result<(), Fault> {
        let now = Instant::now();
        self.tokens.take(token, now).map_err(|wait| {
            limited("token", "this token comes more often than the engine allows one (`limits.token_rate_per_s`)", wait)
        })?;
        self.tenants.take(tenant, now).map_err(|wait| {
            let detail =
                "the tokens of this tenant come more often than the engine allows (`limits.tenant_rate_per_s`)";
            limited("tenant", detail, wait)
        })
    }

    /// Counts a token that is not known. Only these are refused: who shares the address and has a token still gets in.
    pub fn unknown_token(&self, from: Option<IpAddr>) -> Result<(), Fault> {
        let Some(from) = from else { return Ok(()) };
        self.unknown.take(&Network::of(from), Instant::now()).map_err(|wait| {
            limited("address", "too many unknown tokens came from this address; check the token and come back", wait)
        })
    }
}

fn limited(which: &'static str, detail: &str, wait: Duration) -> Fault {
    metrics::counter!("valet_http_limited_total", "limit" => which).increment(1);
    Fault::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", detail).after(wait)
}

/// Whose an address is: with IPv6 one line has 2^64 of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Network(IpAddr);

impl Network {
    fn of(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX)).into(),
            v4 @ IpAddr::V4(_) => v4,
        })
    }
}

/// One more each `every`, up to `burst`.
#[derive(Clone, Copy)]
struct Shape {
    every: Duration,
    burst: u32,
}

impl Shape {
    fn of(rate: Rate) -> Option<Self> {
        (rate.per_s > 0).then(|| Self { every: Duration::from_secs(1) / rate.per_s, burst: rate.burst.max(1) })
    }
}

/// A bucket for each key, known by the instant at which it is full again: a full one needs no memory.
struct Buckets<K> {
    /// `None`: no limit.
    shape: Option<Shape>,
    keys_max: usize,
    full_at: Mutex<HashMap<K, Instant>>,
}

impl<K: Eq + Hash> Buckets<K> {
    fn new(shape: Option<Shape>, keys_max: usize) -> Self {
        Self { shape, keys_max, full_at: Mutex::default() }
    }

    /// Takes one, or says how long until there is one.
    fn take<Q>(&self, key: &Q, now: Instant) -> Result<(), Duration>
    where
        K: Borrow<Q>,
        Q: ?Sized + Eq + Hash + ToOwned<Owned = K>,
    {
        let Some(Shape { every, burst }) = self.shape else { return Ok(()) };
        let mut all = self.full_at.lock();
        let known = all.get_mut(key);
        let full_at = known.as_ref().map_or(now, |at| **at).max(now) + every;
        let allowed = now + every * burst;
        if full_at > allowed {
            return Err(full_at - allowed);
        }
        if let Some(known) = known {
            *known = full_at;
        } else {
            if all.len() >= self.keys_max {
                make_room(&mut all, now, self.keys_max / 2);
            }
            all.insert(key.to_owned(), full_at);
        }
        Ok(())
    }
}

/// Forgets what is full, and if that does not do, the fullest. Half at a time, so that it is seldom done.
fn make_room<K: Eq + Hash>(all: &mut HashMap<K, Instant>, now: Instant, most: usize) {
    all.retain(|_, full_at| *full_at > now);
    if all.len() <= most {
        return;
    }
    let mut instants: Vec<Instant> = all.values().copied().collect();
    let fullest = all.len() - most;
    let (_, last, _) = instants.select_nth_unstable(fullest - 1);
    let last = *last;
    all.retain(|_, full_at| *full_at > last);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buckets(per_s: u32, burst: u32, keys_max: usize) -> Buckets<String> {
        Buckets::new(Shape::of(Rate { per_s, burst }), keys_max)
    }

    #[test]
    fn a_burst_passes_and_then_one_each_interval() {
        let (buckets, now) = (buckets(4, 3, 10), Instant::now());
        for n in 0..3 {
            assert_eq!(buckets.take("a", now), Ok(()), "{n}");
        }
        assert_eq!(buckets.take("a", now), Err(Duration::from_millis(250)));
        assert_eq!(buckets.take("b", now), Ok(()), "another has its own");
        let soon = now + Duration::from_millis(249);
        assert_eq!(buckets.take("a", soon), Err(Duration::from_millis(1)), "what was refused took nothing");
        let then = now + Duration::from_millis(250);
        assert_eq!(buckets.take("a", then), Ok(()));
        assert_eq!(buckets.take("a", then), Err(Duration::from_millis(250)));
        let much_later = now + Duration::from_hours(1);
        let passed = (0..10).filter(|_| buckets.take("a", much_later).is_ok()).count();
        assert_eq!(passed, 3, "a rest earns no more than the burst");
    }

    #[test]
    fn nobody_is_limited_where_the_rate_is_zero() {
        let (buckets, now) = (buckets(0, 1, 10), Instant::now());
        assert!((0..1_000).all(|_| buckets.take("a", now).is_ok()));
        assert_eq!(buckets.full_at.lock().len(), 0);
    }

    #[test]
    fn keys_are_bounded_and_who_is_at_the_limit_stays_so() {
        let (buckets, now) = (buckets(1, 2, 8), Instant::now());
        for _ in 0..2 {
            assert_eq!(buckets.take("greedy", now), Ok(()));
        }
        for n in 0..1_000 {
            assert_eq!(buckets.take(n.to_string().as_str(), now), Ok(()));
            assert!(buckets.full_at.lock().len() <= 8);
        }
        assert!(buckets.take("greedy", now).is_err());
        let later = now + Duration::from_secs(5);
        for n in 0..8 {
            assert_eq!(buckets.take(n.to_string().as_str(), later), Ok(()));
        }
        assert!(!buckets.full_at.lock().contains_key("greedy"), "idle ones went first");
    }

    #[test]
    fn an_address_is_told_by_its_line() {
        let of = |text: &str| Network::of(text.parse().unwrap());
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff::9"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
    }
}
