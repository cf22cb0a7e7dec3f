//! The faults that a simulation steers.

use valet_queue::{
    Fault, MemoryQueue, Ticket, TicketPush, TicketSource,
    conformance::{queue, tickets, up_to},
};

async fn delivered(memory: &MemoryQueue, count: u32) -> Vec<u32> {
    let name = queue("steps");
    for ticket in tickets(count) {
        memory.push(&[(name.clone(), vec![ticket])]).await.unwrap();
    }
    if memory.depths(std::slice::from_ref(&name)).await.unwrap()[0].waiting == 0 {
        return Vec::new();
    }
    let batch = memory.open(&name).next_batch(up_to(100)).await.unwrap();
    batch
        .into_iter()
        .map(|delivered| {
            delivered.ack.ack();
            delivered.ticket.seq
        })
        .collect()
}

fn even(ticket: &Ticket, fault: Fault) -> Fault {
    if ticket.seq.is_multiple_of(2) { fault } else { Fault::Deliver }
}

#[tokio::test]
async fn each_fault_does_what_it_says() {
    let with = |fault| MemoryQueue::with_faults(move |_, ticket| even(ticket, fault));
    assert_eq!(delivered(&with(Fault::Deliver), 4).await, [0, 1, 2, 3]);
    assert_eq!(delivered(&with(Fault::Lose), 4).await, [1, 3]);
    assert_eq!(delivered(&with(Fault::Double), 4).await, [0, 0, 1, 2, 2, 3]);
    assert_eq!(delivered(&with(Fault::Overtake(1)), 4).await, [0, 2, 1, 3]);
    assert_eq!(delivered(&with(Fault::Overtake(9)), 4).await, [2, 0, 1, 3]);
    assert_eq!(delivered(&MemoryQueue::with_faults(|_, _| Fault::Lose), 4).await, [0; 0]);
}

#[tokio::test]
async fn a_queue_that_is_away_refuses_pushes_and_loses_nothing() {
    let (memory, name) = (MemoryQueue::new(), queue("steps"));
    let batch = [(name.clone(), tickets(1))];
    memory.push(&batch).await.unwrap();
    memory.set_away(true);
    assert!(memory.push(&batch).await.is_err());
    assert!(memory.epoch().await.is_err());
    let mut puller = memory.open(&name);
    {
        let waiting = puller.next();
        tokio::pin!(waiting);
        assert!(futures::poll!(&mut waiting).is_pending());
        memory.set_away(false);
        assert!(waiting.await.is_some());
    }
    assert_eq!((memory.handed_out(), memory.dropped()), (0, 1));
}
