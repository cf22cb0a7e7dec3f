//! The engines that a worker may speak to, and which of them to ask.
//!
//! Any engine takes any message. A run's messages prefer one engine, chosen by rendezvous hashing so that all workers
//! agree without talking: that engine has the run's workflow code in memory. An engine that failed is avoided for a
//! while, never given up.

use std::sync::Arc;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use parking_lot::Mutex;
use tokio::time::Instant;
use valet_core::id::RunId;

use super::bounds::{BACKOFF_MAX, BACKOFF_MIN, ENGINE_AVOIDED};
use super::transport::Transport;

pub(super) struct Engines {
    list: Vec<Engine>,
}

struct Engine {
    transport: Arc<dyn Transport>,
    hash: u64,
    avoided_until: Mutex<Option<Instant>>,
}

impl Engines {
    /// `transports` must not be empty.
    pub fn new(transports: Vec<Arc<dyn Transport>>) -> Self {
        let engine = |transport: Arc<dyn Transport>| Engine {
            hash: hash_text(transport.engine()),
            transport,
            avoided_until: Mutex::new(None),
        };
        Self { list: transports.into_iter().map(engine).collect() }
    }

    /// The engine to ask about `key` (see [`run_key`]); `not` has just failed to answer, so it comes last.
    fn choose(&self, key: u64, not: Option<usize>) -> usize {
        if self.list.len() == 1 {
            return 0;
        }
        let now = Instant::now();
        let rank = |&(index, engine): &(usize, &Engine)| {
            let avoided = engine.avoided_until.lock().is_some_and(|until| now < until);
            (Some(index) != not, !avoided, mix(engine.hash ^ key))
        };
        self.list.iter().enumerate().max_by_key(rank).map_or(0, |(index, _)| index)
    }

    /// The way of one message to an engine that takes it.
    pub fn route(&self, key: u64) -> Route<'_> {
        let growing = ExponentialBuilder::default()
            .with_min_delay(BACKOFF_MIN)
            .with_max_delay(BACKOFF_MAX)
            .with_jitter()
            .with_jitter_seed(key)
            .without_max_times();
        Route { engines: self, key, engine: self.choose(key, None), others: self.list.len() - 1, growing, pauses: None }
    }
}

/// Which engine a message is tried on, and the pauses between its tries: none before each other engine was asked once,
/// then growing ones. Their jitter is seeded by the key, so that the slots of a worker do not come back all at once.
pub(super) struct Route<'a> {
    engines: &'a Engines,
    key: u64,
    engine: usize,
    others: usize,
    growing: ExponentialBuilder,
    /// Made at the first pause: most messages need none.
    pauses: Option<ExponentialBackoff>,
}

impl Route<'_> {
    pub fn engine(&self) -> usize {
        self.engine
    }

    pub fn transport(&self) -> &dyn Transport {
        self.engines.list[self.engine].transport.as_ref()
    }

    pub fn answered(&self) {
        if self.engines.list.len() > 1 {
            *self.engines.list[self.engine].avoided_until.lock() = None;
        }
    }

    /// The engine did not answer as it should: avoid it. Answers the pause before the next try.
    pub fn failed(&mut self) -> Duration {
        *self.engines.list[self.engine].avoided_until.lock() = Some(Instant::now() + ENGINE_AVOIDED);
        self.again()
    }

    /// The engine is well but could not take this message. Answers the pause before the next try.
    pub fn again(&mut self) -> Duration {
        self.engine = self.engines.choose(self.key, Some(self.engine));
        if let Some(left) = self.others.checked_sub(1) {
            self.others = left;
            return Duration::ZERO;
        }
        let growing = self.growing;
        self.pauses.get_or_insert_with(|| growing.build()).next().unwrap_or(BACKOFF_MAX)
    }
}

/// What a run's messages are routed by.
pub(super) fn run_key(run: RunId) -> u64 {
    let (high, low) = run.0.as_u64_pair();
    mix(high ^ mix(low))
}

/// FNV-1a: the same on every worker, whatever its build.
fn hash_text(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// The finalizer of SplitMix64: every bit of the input reaches every bit of the output.
fn mix(mut value: u64) -> u64 {
    value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::runtime::http::{HttpTransport, WorkerToken};

    fn engines(ports: &[u16]) -> Engines {
        let door = |port: &u16| {
            let transport = HttpTransport::new(&format!("http://127.0.0.1:{port}"), &WorkerToken::new("t")).unwrap();
            Arc::new(transport) as Arc<dyn Transport>
        };
        Engines::new(ports.iter().map(door).collect())
    }

    fn run(n: u128) -> u64 {
        run_key(RunId(uuid::Uuid::from_u128(n)))
    }

    #[test]
    fn workers_that_list_the_engines_in_another_order_choose_the_same_and_all_are_used() {
        let (one, other) = (engines(&[1, 2, 3]), engines(&[3, 1, 2]));
        let mut used: HashMap<String, u32> = HashMap::new();
        for n in 0..3_000 {
            let chosen = one.route(run(n)).transport().engine().to_owned();
            assert_eq!(other.route(run(n)).transport().engine(), chosen);
            *used.entry(chosen).or_default() += 1;
        }
        assert_eq!(used.len(), 3);
        assert!(used.values().all(|count| (800..1_200).contains(count)), "{used:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_failed_engine_is_avoided_for_a_while_and_no_other_run_moves() {
        let engines = engines(&[1, 2, 3]);
        let before: Vec<usize> = (0..300).map(|n| engines.route(run(n)).engine()).collect();
        let failed = before[0];
        assert_eq!(engines.route(run(0)).failed(), Duration::ZERO, "another engine is asked at once");
        for (n, was) in before.iter().enumerate() {
            let is = engines.route(run(n as u128)).engine();
            assert!(if *was == failed { is != failed } else { is == *was }, "run {n}: {was} became {is}");
        }
        tokio::time::advance(ENGINE_AVOIDED).await;
        let after: Vec<usize> = (0..300).map(|n| engines.route(run(n)).engine()).collect();
        assert_eq!(before, after);
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_grow_and_stay_below_their_bound_however_often_a_message_fails() {
        let engines = engines(&[1, 2]);
        let mut route = engines.route(run(7));
        let pauses: Vec<Duration> = (0..40).map(|_| route.failed()).collect();
        assert_eq!(pauses[0], Duration::ZERO);
        assert!(pauses[1] >= BACKOFF_MIN);
        // The jitter adds at most one shortest pause.
        assert!(pauses.iter().all(|pause| *pause <= BACKOFF_MAX * 2), "{pauses:?}");
        assert!(pauses[39] >= BACKOFF_MAX);
    }
}
