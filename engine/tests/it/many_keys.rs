//! What a limit gives out, over ten thousand keys at random, held against a second implementation that knows the rules only: so many at
//! once, so many tokens, by priority, in turn, by time.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use sqlx::PgPool;
use uuid::Uuid;
use valet_core::limits::LimitKey;
use valet_engine::bounds::KEYS_PER_ADMISSION_MAX;
use valet_engine::codec::MasterKey;
use valet_engine::store::DueStore as _;
use valet_engine::store::postgres::PgStore;

use super::app::SECRET;
use super::database;

const KEYS: usize = 10_000;
/// Steps that wait for a key, at most.
const WAITING_MAX: usize = 6;
/// How often what is at work ends and the rest is asked for again.
const ROUNDS: usize = 4;
const SEED: u64 = 20_261_123;
/// Tokens come so seldom that none does while the test runs.
const TOKEN_EVERY_S: f64 = 3_600.0;

/// A limit of a step.
#[derive(Clone, Copy)]
struct Rule {
    name: &'static str,
    most: Option<u32>,
    burst: Option<u32>,
    is_shared: bool,
}

const RULES: [Rule; 4] = [
    Rule { name: "at-once", most: Some(2), burst: None, is_shared: false },
    Rule { name: "tokens", most: None, burst: Some(3), is_shared: false },
    Rule { name: "both", most: Some(3), burst: Some(2), is_shared: false },
    Rule { name: "in-turn", most: Some(1), burst: None, is_shared: true },
];

#[derive(Clone)]
struct Waiting {
    run: Uuid,
    priority: i16,
    turn: f64,
    came_s: f64,
}

/// A key, as the second implementation has it.
struct Key {
    rule: Rule,
    waiting: Vec<Waiting>,
    at_work: BTreeSet<Uuid>,
    /// Of a bucket; a part of a token is none.
    tokens: f64,
}

impl Key {
    /// Who begins now.
    fn next(&mut self) -> Vec<Uuid> {
        self.waiting.sort_by(|a, b| {
            let turns = a.turn.total_cmp(&b.turn);
            b.priority.cmp(&a.priority).then(turns).then(a.came_s.total_cmp(&b.came_s)).then(a.run.cmp(&b.run))
        });
        let mut begun = Vec::new();
        while !self.waiting.is_empty() {
            let is_full = self.rule.most.is_some_and(|most| self.at_work.len() >= most as usize);
            if is_full || (self.rule.burst.is_some() && self.tokens < 1.0) {
                break;
            }
            self.tokens -= 1.0;
            let run = self.waiting.remove(0).run;
            self.at_work.insert(run);
            begun.push(run);
        }
        begun
    }
}

fn at_random(random: &mut StdRng) -> BTreeMap<String, Key> {
    let key = |index: usize| {
        let rule = RULES[index % RULES.len()];
        let waiting = (0..random.random_range(0..=WAITING_MAX)).map(|_| Waiting {
            run: Uuid::from_u128(random.random()),
            priority: random.random_range(0..3),
            turn: if rule.is_shared { f64::from(random.random_range(1..=8_u8)) / 4.0 } else { 0.0 },
            came_s: f64::from(random.random_range(0..50_u8)),
        });
        let waiting = waiting.collect();
        // Some buckets are not full: half a token is on its way.
        let spent = rule.burst.map_or(0, |burst| random.random_range(0..=burst));
        let tokens = rule.burst.map_or(0.0, |burst| f64::from(burst - spent) + if spent > 0 { 0.5 } else { 0.0 });
        (format!("key {index:05}"), Key { rule, waiting, at_work: BTreeSet::new(), tokens })
    };
    (0..KEYS).map(key).collect()
}

async fn write(pool: &PgPool, keys: &BTreeMap<String, Key>) {
    for rule in RULES {
        sqlx::query(
            "INSERT INTO limits (tenant, name, workflow, step, most, rate, per_ms, burst, share, changed_by)
             VALUES ('acme', $1, 'w', 's', $2, $3, $4, $5, $6, 'test')",
        )
        .bind(rule.name)
        .bind(rule.most.map(|most| most as i32))
        .bind(rule.burst.map(|_| 1))
        .bind(rule.burst.map(|_| (TOKEN_EVERY_S * 1000.0) as i64))
        .bind(rule.burst.map(|burst| burst as i32))
        .bind(rule.is_shared.then_some("input"))
        .execute(pool)
        .await
        .expect("a limit");
    }
    let waiting: Vec<(&String, &Key, &Waiting)> =
        keys.iter().flat_map(|(name, key)| key.waiting.iter().map(move |step| (name, key, step))).collect();
    let runs: Vec<Uuid> = waiting.iter().map(|(.., step)| step.run).collect();
    sqlx::query(
        "INSERT INTO steps (run_id, seq, shard, tenant, subject, workflow, name, queue, priority, state, attempt, revision, gated,
                            effect_once, timeout_ms, available_at)
         SELECT r, 1, 0, 'acme', 'ada', 'w', 's', 'q', 0, 'blocked', 1, 1, false, false, 1000, now() FROM unnest($1::uuid[]) AS r",
    )
    .bind(&runs)
    .execute(pool)
    .await
    .expect("steps");
    sqlx::query(
        "INSERT INTO slots (run_id, seq, name, tenant, key, of_run, priority, share, turn, since, held)
         SELECT r, 1, n, 'acme', k, false, p, CASE WHEN n = 'in-turn' THEN 'a share' END, t,
                timestamptz '2026-01-01' + c * interval '1 second', false
         FROM unnest($1::uuid[], $2::text[], $3::text[], $4::smallint[], $5::float8[], $6::float8[]) AS w(r, n, k, p, t, c)",
    )
    .bind(&runs)
    .bind(waiting.iter().map(|(_, key, _)| key.rule.name).collect::<Vec<_>>())
    .bind(waiting.iter().map(|(name, ..)| name.as_str()).collect::<Vec<_>>())
    .bind(waiting.iter().map(|(.., step)| step.priority).collect::<Vec<_>>())
    .bind(waiting.iter().map(|(.., step)| step.turn).collect::<Vec<_>>())
    .bind(waiting.iter().map(|(.., step)| step.came_s).collect::<Vec<_>>())
    .execute(pool)
    .await
    .expect("slots");
    let buckets: Vec<(&String, &Key)> = keys.iter().filter(|(_, key)| key.rule.burst.is_some()).collect();
    // A bucket is full again once all that it lacks has come.
    let lacks = |key: &Key| f64::from(key.rule.burst.unwrap_or_default()) - key.tokens;
    sqlx::query(
        "INSERT INTO limit_keys (tenant, name, key, full_at)
         SELECT 'acme', n, k, now() + l * $4 * interval '1 second' FROM unnest($1::text[], $2::text[], $3::float8[]) AS b(n, k, l)",
    )
    .bind(buckets.iter().map(|(_, key)| key.rule.name).collect::<Vec<_>>())
    .bind(buckets.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>())
    .bind(buckets.iter().map(|(_, key)| lacks(key)).collect::<Vec<_>>())
    .bind(TOKEN_EVERY_S)
    .execute(pool)
    .await
    .expect("buckets");
    sqlx::query("ANALYZE").execute(pool).await.expect("statistics");
}

#[tokio::test]
async fn ten_thousand_keys_at_random_give_out_what_a_second_implementation_does() {
    let url = database::migrated().await;
    let (store, pool) =
        (PgStore::connect(&url, MasterKey::new(&SECRET), 2).await.expect("a store"), database::pool(&url).await);
    let mut random = StdRng::seed_from_u64(SEED);
    let mut keys = at_random(&mut random);
    write(&pool, &keys).await;
    let all: Vec<LimitKey> = keys
        .iter()
        .map(|(name, key)| LimitKey { tenant: "acme".to_owned(), limit: key.rule.name.to_owned(), key: name.clone() })
        .collect();
    let mut begun_in_all = 0;
    for round in 0..ROUNDS {
        let mut given: HashMap<Uuid, usize> = HashMap::new();
        for some in all.chunks(KEYS_PER_ADMISSION_MAX) {
            let admitted = store.admit(some, &HashSet::new()).await.expect("an admission");
            for ticket in admitted.tickets {
                *given.entry(ticket.run.0).or_default() += 1;
            }
        }
        assert!(given.values().all(|times| *times == 1), "a step is given out once");
        let mut expected = HashSet::new();
        for (name, key) in &mut keys {
            let begun = key.next();
            let missing: Vec<&Uuid> = begun.iter().filter(|run| !given.contains_key(run)).collect();
            assert!(missing.is_empty(), "round {round}: {name} of {} gives nothing to {missing:?}", key.rule.name);
            expected.extend(begun);
        }
        let more: Vec<&Uuid> = given.keys().filter(|run| !expected.contains(run)).collect();
        assert!(more.is_empty(), "round {round}: {} were given out that may not begin", more.len());
        begun_in_all += expected.len();
        // About half of what is at work ends, which the rows of steps show.
        let mut ended = Vec::new();
        for key in keys.values_mut() {
            key.at_work.retain(|run| {
                let ends = random.random_ratio(1, 2);
                if ends {
                    ended.push(*run);
                }
                !ends
            });
        }
        let deleted =
            sqlx::query("DELETE FROM steps WHERE run_id = ANY($1)").bind(&ended).execute(&pool).await.expect("ends");
        assert_eq!(deleted.rows_affected(), ended.len() as u64);
    }
    assert!(begun_in_all > KEYS, "{begun_in_all} steps began: too few to show anything");
}
