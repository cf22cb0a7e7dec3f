//! Pushing tickets, in the layout of apalis-redis but not by its own script.
//!
//! apalis' push puts every task into `:scheduled`, never wakes anyone, and at a backlog of 8,000 its fetch fails for
//! ever. Here a chunk is one MULTI of plain commands: data, meta, then the list, so that a fetch never meets a
//! ticket without its data; then the depth comes back and a publish wakes the pullers. Each push has fresh ids: apalis
//! silently drops an id it saw before.

use redis::Pipeline;

use super::{Inner, keys::QueueKeys, link::Request};
use crate::{
    QueueDepth, QueueError, QueueName, Ticket,
    bounds::{MAX_PUSH_CHUNK, PASSING_SECONDS},
};

pub(super) async fn push(inner: &Inner, batch: &[(QueueName, Vec<Ticket>)]) -> Result<Vec<QueueDepth>, QueueError> {
    let mut depths = vec![0; batch.len()];
    let mut chunk = Chunk::default();
    for (place, (queue, tickets)) in batch.iter().enumerate() {
        let keys = inner.keys(queue);
        if tickets.is_empty() {
            chunk.ask(place, &keys);
        }
        let mut rest = tickets.as_slice();
        while !rest.is_empty() {
            let (now, later) = rest.split_at(rest.len().min(MAX_PUSH_CHUNK - chunk.size));
            chunk.add(place, &keys, now, queue.is_passing());
            rest = later;
            if chunk.size == MAX_PUSH_CHUNK {
                std::mem::take(&mut chunk).send(inner, &mut depths).await?;
            }
        }
    }
    chunk.send(inner, &mut depths).await?;
    for (queue, tickets) in batch {
        metrics::counter!("valet_tickets_pushed_total", "queue" => queue.family().to_owned())
            .increment(tickets.len() as u64);
    }
    let queues = batch.iter().map(|(queue, _)| queue);
    Ok(queues.zip(depths).map(|(queue, waiting)| QueueDepth { queue: queue.clone(), waiting }).collect())
}

pub(super) async fn depths(inner: &Inner, queues: &[QueueName]) -> Result<Vec<QueueDepth>, QueueError> {
    if queues.is_empty() {
        return Ok(Vec::new());
    }
    let mut pipeline = Pipeline::with_capacity(queues.len());
    for queue in queues {
        pipeline.cmd("LLEN").arg(inner.keys(queue).active);
    }
    let depths: Vec<u64> = inner.commands.call(Request::Pipeline(&pipeline)).await?;
    let named = queues.iter().cloned().zip(depths);
    Ok(named.map(|(queue, waiting)| QueueDepth { queue, waiting }).collect())
}

/// One MULTI under construction. Each command whose answer is kept answers a depth.
#[derive(Default)]
struct Chunk {
    pipeline: Pipeline,
    size: usize,
    /// For each kept answer the place of its queue in the batch.
    places: Vec<usize>,
}

impl Chunk {
    fn ask(&mut self, place: usize, keys: &QueueKeys) {
        self.pipeline.cmd("LLEN").arg(&keys.active);
        self.places.push(place);
    }

    /// `passing`: nobody may be left to take them.
    fn add(&mut self, place: usize, keys: &QueueKeys, tickets: &[Ticket], passing: bool) {
        let ids: Vec<u64> = tickets.iter().map(|_| rand::random()).collect();
        let data = self.pipeline.cmd("HSET").arg(&keys.data);
        for (id, ticket) in ids.iter().zip(tickets) {
            data.arg(*id).arg(ticket.to_wire());
        }
        data.ignore();
        for id in &ids {
            self.pipeline
                .cmd("HSET")
                .arg(format!("{}{id}", keys.meta_prefix))
                .arg(&["attempts", "0", "max_attempts", "1", "status", "Pending"])
                .ignore();
        }
        self.pipeline.cmd("RPUSH").arg(&keys.active).arg(&ids);
        self.places.push(place);
        if passing {
            let meta = ids.iter().map(|id| format!("{}{id}", keys.meta_prefix));
            for key in [keys.data.clone(), keys.active.clone()].into_iter().chain(meta) {
                self.pipeline.cmd("EXPIRE").arg(key).arg(PASSING_SECONDS).ignore();
            }
        }
        self.pipeline.cmd("PUBLISH").arg(&keys.wake_channel).arg("").ignore();
        self.size += tickets.len();
    }

    async fn send(mut self, inner: &Inner, depths: &mut [u64]) -> Result<(), QueueError> {
        if self.places.is_empty() {
            return Ok(());
        }
        self.pipeline.atomic();
        let answers: Vec<u64> = inner.commands.call(Request::Pipeline(&self.pipeline)).await?;
        for (place, depth) in self.places.into_iter().zip(answers) {
            depths[place] = depth;
        }
        Ok(())
    }
}
