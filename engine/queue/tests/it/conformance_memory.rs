//! The suite against the queue in memory.

use std::future::{Ready, ready};

use async_trait::async_trait;
use valet_queue::{MemoryQueue, QueueName, TicketPull, TicketPush, TicketSource, conformance::Subject};

fn memory() -> Ready<impl Subject> {
    ready(MemoryQueueSubject(MemoryQueue::new()))
}

struct MemoryQueueSubject(MemoryQueue);

#[async_trait]
impl Subject for MemoryQueueSubject {
    fn push(&self) -> &dyn TicketPush {
        &self.0
    }

    fn source(&self) -> &dyn TicketSource {
        &self.0
    }

    async fn flush(&self) {
        self.0.flush();
    }

    async fn traces(&self, queue: &QueueName) -> usize {
        let depths = self.0.depths(std::slice::from_ref(queue)).await.unwrap();
        usize::try_from(depths[0].waiting + self.0.handed_out()).unwrap()
    }

    fn doomed(&self, queue: &QueueName) -> (Box<dyn TicketPull>, Box<dyn FnOnce() + Send>) {
        // What a process holds in memory dies with it: there is nothing to do.
        (self.0.open(queue), Box::new(|| {}))
    }
}

valet_queue::conformance_tests!(memory);
