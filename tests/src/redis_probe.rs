//! What tests do to Redis and ask it: empty it, count what it was sent.

use std::collections::BTreeMap;

use redis::aio::MultiplexedConnection;

/// One Redis.
#[derive(Clone)]
pub struct RedisProbe {
    client: redis::Client,
}

impl RedisProbe {
    pub fn new(url: &str) -> Self {
        Self { client: redis::Client::open(url).expect("the URL of Redis") }
    }

    async fn connection(&self) -> MultiplexedConnection {
        self.client.get_multiplexed_async_connection().await.expect("Redis answers")
    }

    /// FLUSHALL: everything in it is gone.
    pub async fn flush_all(&self) {
        let () = redis::cmd("FLUSHALL").query_async(&mut self.connection().await).await.expect("FLUSHALL");
    }

    /// What a producer does.
    pub async fn push(&self, list: &str, text: &str) {
        let mut connection = self.connection().await;
        let _: u64 = redis::cmd("LPUSH").arg(list).arg(text).query_async(&mut connection).await.expect("LPUSH");
    }

    pub async fn get(&self, key: &str) -> Option<String> {
        redis::cmd("GET").arg(key).query_async(&mut self.connection().await).await.expect("GET")
    }

    pub async fn list(&self, key: &str) -> Vec<String> {
        let mut connection = self.connection().await;
        redis::cmd("LRANGE").arg(key).arg(0).arg(-1).query_async(&mut connection).await.expect("LRANGE")
    }

    /// All keys with all that is in them, as text.
    pub async fn everything(&self) -> String {
        let mut connection = self.connection().await;
        let keys: Vec<String> = redis::cmd("KEYS").arg("*").query_async(&mut connection).await.expect("KEYS");
        let mut all = String::new();
        for key in keys {
            let kind: String = redis::cmd("TYPE").arg(&key).query_async(&mut connection).await.expect("TYPE");
            let read = match kind.as_str() {
                "string" => redis::cmd("GET").arg(&key).to_owned(),
                "list" => redis::cmd("LRANGE").arg(&key).arg(0).arg(-1).to_owned(),
                "hash" => redis::cmd("HGETALL").arg(&key).to_owned(),
                "set" => redis::cmd("SMEMBERS").arg(&key).to_owned(),
                "zset" => redis::cmd("ZRANGE").arg(&key).arg(0).arg(-1).to_owned(),
                "stream" => redis::cmd("XRANGE").arg(&key).arg("-").arg("+").to_owned(),
                // It expired meanwhile.
                _ => continue,
            };
            let value: redis::Value = read.query_async(&mut connection).await.expect("what a key holds");
            flatten(&value, &mut all);
            all.push_str(&key);
            all.push('\n');
        }
        all
    }

    pub async fn keys(&self) -> u64 {
        redis::cmd("DBSIZE").query_async(&mut self.connection().await).await.expect("DBSIZE")
    }

    /// Calls by command since the start of Redis, without those of this probe.
    pub async fn calls(&self) -> BTreeMap<String, u64> {
        let mut connection = self.connection().await;
        let text: String = redis::cmd("INFO").arg("commandstats").query_async(&mut connection).await.expect("INFO");
        text.lines().filter_map(read_call).filter(|(command, _)| !OWN.contains(&command.as_str())).collect()
    }
}

/// What the probe itself sends, also while it connects.
const OWN: [&str; 6] = ["info", "dbsize", "flushall", "lpush", "get", "lrange"];

fn flatten(value: &redis::Value, into: &mut String) {
    match value {
        redis::Value::Array(items) | redis::Value::Set(items) => items.iter().for_each(|item| flatten(item, into)),
        redis::Value::Map(pairs) => pairs.iter().for_each(|(key, value)| {
            flatten(key, into);
            flatten(value, into);
        }),
        redis::Value::BulkString(bytes) => into.push_str(&String::from_utf8_lossy(bytes)),
        redis::Value::SimpleString(text) => into.push_str(text),
        _ => {}
    }
    into.push('\n');
}

/// `cmdstat_get:calls=1,usec=…`
fn read_call(line: &str) -> Option<(String, u64)> {
    let (command, rest) = line.strip_prefix("cmdstat_")?.split_once(':')?;
    let calls = rest.strip_prefix("calls=")?.split(',').next()?.parse().ok()?;
    Some((command.to_lowercase(), calls))
}
