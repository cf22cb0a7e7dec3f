//! The connection handed to an apalis storage: it passes everything through and keeps note of the fetches.
//!
//! The storage keeps its state to itself. Whether a fetch is on its way, and how many tickets it brought, is what the
//! [gate](super::gate) must know in order never to start a fetch that nobody asked for.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use redis::{
    Cmd, Pipeline, RedisFuture, Value,
    aio::{ConnectionLike, MultiplexedConnection},
};

#[derive(Clone)]
pub(super) struct Wire {
    connection: MultiplexedConnection,
    meter: Arc<Meter>,
}

#[derive(Default)]
pub(super) struct Meter {
    in_flight: AtomicUsize,
    fetched: AtomicUsize,
}

impl Meter {
    /// Whether a command was sent that is not answered yet.
    pub fn is_busy(&self) -> bool {
        self.in_flight.load(Ordering::Acquire) > 0
    }

    /// How many tickets the last fetch brought; asked once per fetch.
    pub fn take_fetched(&self) -> usize {
        self.fetched.swap(0, Ordering::AcqRel)
    }
}

impl Wire {
    pub fn new(connection: MultiplexedConnection, meter: Arc<Meter>) -> Self {
        Self { connection, meter }
    }
}

/// Counts a command as in flight until it is answered or its future is dropped.
struct Flight<'a>(&'a Meter);

impl<'a> Flight<'a> {
    fn begin(meter: &'a Meter) -> Self {
        meter.in_flight.fetch_add(1, Ordering::AcqRel);
        Self(meter)
    }
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::AcqRel);
    }
}

/// The answer of apalis' fetch script is `[[data...], [meta...]]`; no other command of a storage answers like it.
fn tickets_in(answer: &Value) -> Option<usize> {
    match answer {
        Value::Array(parts) => match parts.as_slice() {
            [Value::Array(data), Value::Array(meta)] if data.len() == meta.len() => Some(meta.len()),
            _ => None,
        },
        _ => None,
    }
}

impl ConnectionLike for Wire {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        Box::pin(async move {
            let _flight = Flight::begin(&self.meter);
            let answer = self.connection.req_packed_command(cmd).await?;
            if let Some(count) = tickets_in(&answer) {
                self.meter.fetched.store(count, Ordering::Release);
            }
            Ok(answer)
        })
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        Box::pin(async move {
            let _flight = Flight::begin(&self.meter);
            self.connection.req_packed_commands(pipeline, offset, count).await
        })
    }

    fn get_db(&self) -> i64 {
        self.connection.get_db()
    }
}
