//! The suite against apalis on a real Redis.

use async_trait::async_trait;
use valet_queue::{ApalisRedis, QueueName, TicketPull, TicketPush, TicketSource, conformance::Subject};

use crate::server::Server;

async fn redis() -> impl Subject {
    let server = Server::start().await;
    let adapter = server.adapter();
    RedisSubject { adapter, server }
}

struct RedisSubject {
    adapter: ApalisRedis,
    server: Server,
}

#[async_trait]
impl Subject for RedisSubject {
    fn push(&self) -> &dyn TicketPush {
        &self.adapter
    }

    fn source(&self) -> &dyn TicketSource {
        &self.adapter
    }

    async fn flush(&self) {
        let _: () = self.server.ask(&["FLUSHALL"]).await;
    }

    async fn traces(&self, queue: &QueueName) -> usize {
        let base = format!("test:queue:{queue}");
        let lists: usize = self.server.ask(&["LLEN", &format!("{base}:active")]).await;
        let data: usize = self.server.ask(&["HLEN", &format!("{base}:data")]).await;
        let metas: Vec<String> = self.server.ask(&["KEYS", &format!("{base}:meta:*")]).await;
        let held: Vec<String> = self.server.ask(&["KEYS", &format!("{base}:inflight:*")]).await;
        lists + data + metas.len() + held.len()
    }

    fn doomed(&self, queue: &QueueName) -> (Box<dyn TicketPull>, Box<dyn FnOnce() + Send>) {
        // A runtime of its own stands for the process: all its tasks end at once, none of them tidies up.
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let adapter = self.server.adapter();
        let puller = {
            let _inside = runtime.enter();
            adapter.open(queue)
        };
        (puller, Box::new(move || runtime.shutdown_background()))
    }
}

valet_queue::conformance_tests!(redis);
