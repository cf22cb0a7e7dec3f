//! One shared connection that is replaced when it breaks.
//!
//! Every call is bounded in time, connecting included; nothing is retried here except once, on a fresh connection,
//! when the old one turns out to be closed. How often to try again is the caller's business.

use std::time::Duration;

use redis::{
    AsyncConnectionConfig, Client, Cmd, FromRedisValue, Pipeline, RedisError, ScriptInvocation,
    aio::MultiplexedConnection,
};
use tokio::{sync::Mutex, time::timeout};

use crate::{QueueError, bounds::CONNECT_LIMIT};

pub(crate) struct Link {
    client: Client,
    config: AsyncConnectionConfig,
    limit: Duration,
    current: Mutex<Current>,
}

#[derive(Default)]
struct Current {
    generation: u64,
    connection: Option<MultiplexedConnection>,
}

/// A connection and the number by which it is discarded.
pub(crate) struct Lease {
    pub connection: MultiplexedConnection,
    pub generation: u64,
}

impl Link {
    /// `limit` bounds each call as a whole, and each answer of a leased connection.
    pub fn new(client: Client, limit: Duration) -> Self {
        let config =
            AsyncConnectionConfig::new().set_connection_timeout(Some(CONNECT_LIMIT)).set_response_timeout(Some(limit));
        Self { client, config, limit, current: Mutex::default() }
    }

    pub async fn lease(&self) -> Result<Lease, RedisError> {
        let mut current = self.current.lock().await;
        let connection = if let Some(connection) = &current.connection {
            connection.clone()
        } else {
            let fresh = self.client.get_multiplexed_async_connection_with_config(&self.config);
            let fresh = fresh.await?;
            current.generation += 1;
            current.connection.insert(fresh).clone()
        };
        Ok(Lease { connection, generation: current.generation })
    }

    /// Lets the next lease open a new connection, unless that happened already.
    pub async fn discard(&self, generation: u64) {
        let mut current = self.current.lock().await;
        if current.generation == generation {
            current.connection = None;
        }
    }

    /// Sends one request and waits for its answer, all within the link's limit.
    pub async fn call<T: FromRedisValue>(&self, request: Request<'_>) -> Result<T, QueueError> {
        let late = QueueError::TimedOut { limit: self.limit };
        match timeout(self.limit, self.call_unbounded(&request)).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(error)) if !error.is_timeout() => return Err(error.into()),
            Ok(Err(_)) | Err(_) => {}
        }
        // A peer that vanished without closing looks like this: the next call gets a new connection.
        self.current.lock().await.connection = None;
        Err(late)
    }

    async fn call_unbounded<T: FromRedisValue>(&self, request: &Request<'_>) -> Result<T, RedisError> {
        let mut lease = self.lease().await?;
        let first = request.send(&mut lease.connection).await;
        let Err(error) = &first else { return first };
        if !(error.is_io_error() || error.is_unrecoverable_error()) {
            return first;
        }
        self.discard(lease.generation).await;
        if !error.is_connection_dropped() {
            return first;
        }
        // The server closed the connection while it was idle (a restart, a kill): that says nothing about now.
        let mut lease = self.lease().await?;
        let second = request.send(&mut lease.connection).await;
        if second.as_ref().is_err_and(RedisError::is_io_error) {
            self.discard(lease.generation).await;
        }
        second
    }
}

/// What can be sent over a link. Every request must be harmless when it is executed twice.
pub(crate) enum Request<'a> {
    Command(&'a Cmd),
    Pipeline(&'a Pipeline),
    Script(&'a ScriptInvocation<'a>),
}

impl Request<'_> {
    async fn send<T: FromRedisValue>(&self, connection: &mut MultiplexedConnection) -> Result<T, RedisError> {
        match self {
            Self::Command(command) => command.query_async(connection).await,
            Self::Pipeline(pipeline) => pipeline.query_async(connection).await,
            Self::Script(script) => script.invoke_async(connection).await,
        }
    }
}
