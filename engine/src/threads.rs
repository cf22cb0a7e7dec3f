//! Threads for executors, outside any async runtime: workflow code may be slow, and must not hold up IO.
//!
//! Code that blocks its thread cannot be interrupted. The thread is given up: another one takes its seat, and the run is
//! parked. When the old thread comes back after all, it finds its seat taken, drops what it holds and ends.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::mpsc;
use valet_core::Registry;
use valet_core::id::RunId;

use crate::bounds::POLL_MAX;
use crate::executor::{Channels, Executor, Message};

/// How often the watchdog looks. It counts its own looks, not the clock: a machine that was suspended or starved, and the
/// watchdog with it, is no reason to park anybody's run.
const LOOK_EVERY: Duration = Duration::from_millis(100);
const LOOKS_MAX: u32 = (POLL_MAX.as_millis() / LOOK_EVERY.as_millis()) as u32;

/// An executor with the thread that serves it.
pub struct Seat {
    name: String,
    registry: Registry,
    executor: Mutex<Executor<Channels>>,
    /// Held by whoever waits for the next message, never while a job is carried out.
    inbox: Mutex<mpsc::UnboundedReceiver<Message>>,
    at_work: Mutex<AtWork>,
}

#[derive(Default)]
struct AtWork {
    /// Counts the threads that had this seat; an older one has lost it.
    holder: u32,
    job: Option<CurrentJob>,
}

struct CurrentJob {
    run: RunId,
    workflow: String,
    looks: u32,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // No workflow code runs under these locks, so that a panic cannot leave them half-changed.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Seat {
    /// Starts a thread that serves `executor` until `inbox` closes.
    pub fn take(
        index: usize,
        executor: Executor<Channels>,
        inbox: mpsc::UnboundedReceiver<Message>,
    ) -> io::Result<Arc<Self>> {
        let seat = Arc::new(Self {
            name: format!("valet-run-{index}"),
            registry: executor.registry().clone(),
            executor: Mutex::new(executor),
            inbox: Mutex::new(inbox),
            at_work: Mutex::default(),
        });
        seat.spawn(0)?;
        Ok(seat)
    }

    fn spawn(self: &Arc<Self>, holder: u32) -> io::Result<()> {
        let seat = Arc::clone(self);
        std::thread::Builder::new().name(self.name.clone()).spawn(move || seat.serve(holder)).map(drop)
    }

    fn serve(&self, holder: u32) {
        // A new holder first does what the one before it left.
        while self.carry_out(holder) {
            let Some(message) = lock(&self.inbox).blocking_recv() else { return };
            lock(&self.executor).handle(message);
        }
    }

    /// Carries out every job at hand; false when this thread lost its seat meanwhile.
    fn carry_out(&self, holder: u32) -> bool {
        loop {
            let Some(job) = lock(&self.executor).next_job() else { return true };
            let current = CurrentJob { run: job.run, workflow: job.workflow().to_owned(), looks: 0 };
            lock(&self.at_work).job = Some(current);
            let done = job.carry_out(&self.registry);
            let mut at_work = lock(&self.at_work);
            if at_work.holder != holder {
                return false;
            }
            at_work.job = None;
            drop(at_work);
            lock(&self.executor).done(done);
        }
    }

    /// One look of the watchdog.
    fn look(self: &Arc<Self>) {
        let mut at_work = lock(&self.at_work);
        let Some(job) = at_work.job.as_mut() else { return };
        job.looks += 1;
        if job.looks <= LOOKS_MAX {
            return;
        }
        let Some(blocked) = at_work.job.take() else { return };
        at_work.holder += 1;
        let holder = at_work.holder;
        drop(at_work);
        tracing::error!(run = %blocked.run, workflow = blocked.workflow, "workflow code blocks its thread: the run is parked");
        lock(&self.executor).blocked(blocked.run, &blocked.workflow);
        if let Err(error) = self.spawn(holder) {
            // Without a thread this partition stands still; the machine is out of them, and a restart is the way out.
            tracing::error!(%error, "no thread to replace the blocked one");
        }
    }
}

/// Looks after all seats until their threads are gone.
pub fn watch(seats: &[Arc<Seat>]) -> io::Result<()> {
    let seats: Vec<Weak<Seat>> = seats.iter().map(Arc::downgrade).collect();
    let look = move || {
        loop {
            std::thread::sleep(LOOK_EVERY);
            let alive: Vec<Arc<Seat>> = seats.iter().filter_map(Weak::upgrade).collect();
            if alive.is_empty() {
                return;
            }
            alive.iter().for_each(Seat::look);
        }
    };
    std::thread::Builder::new().name("valet-watchdog".to_owned()).spawn(look).map(drop)
}

/// Runs an executor inside the runtime, for simulations on one thread.
pub async fn run_inline(mut executor: Executor<Channels>, mut inbox: mpsc::UnboundedReceiver<Message>) {
    let registry = executor.registry().clone();
    while let Some(message) = inbox.recv().await {
        executor.handle(message);
        while let Some(job) = executor.next_job() {
            let done = job.carry_out(&registry);
            executor.done(done);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Instant;

    use valet_core::command::{Command, StartRun};
    use valet_core::journal::{Entry, StuckReason};
    use valet_core::{Context, Payload, Stop, Workflow};

    use super::*;
    use crate::executor::{Pending, Views, Work};
    use crate::ports::Machine;

    static POLLS: AtomicU32 = AtomicU32::new(0);

    /// Holds its thread for far longer than is allowed, unless it waits for a signal first.
    struct Blocking;

    impl Workflow for Blocking {
        const NAME: &'static str = "blocking";
        type Input = bool;
        type Output = ();

        async fn run(ctx: Context, waits: bool) -> Result<(), Stop> {
            if waits {
                ctx.wait_for::<bool>("go", None).await;
                return Ok(());
            }
            POLLS.fetch_add(1, Ordering::SeqCst);
            std::thread::sleep(Duration::from_secs(4));
            Ok(())
        }
    }

    struct Quick;

    impl Workflow for Quick {
        const NAME: &'static str = "quick";
        type Input = bool;
        type Output = ();

        async fn run(_ctx: Context, _waits: bool) -> Result<(), Stop> {
            Ok(())
        }
    }

    struct Bench {
        inbox: mpsc::UnboundedSender<Message>,
        commits: mpsc::UnboundedReceiver<Pending>,
        loads: mpsc::UnboundedReceiver<RunId>,
    }

    fn run(number: u8) -> RunId {
        RunId::root(valet_core::Timestamp::UNIX_EPOCH, [number; 16])
    }

    impl Bench {
        fn start(&self, number: u8, workflow: &str, waits: bool) {
            let run = run(number);
            let [tenant, subject, plan] = ["default", "somebody", ""].map(ToOwned::to_owned);
            let start = StartRun::new(tenant, subject, workflow.to_owned(), plan, Payload::of(&waits).unwrap());
            let work = Work::new(Command::Start(Box::new(start)), None);
            self.inbox.send(Message::Command { run, work }).unwrap();
        }

        /// The entries of the next commit of this workflow's runs.
        fn committed(&mut self, workflow: &str) -> Vec<Entry> {
            let until = Instant::now() + Duration::from_secs(20);
            while Instant::now() < until {
                if let Ok(pending) = self.commits.try_recv() {
                    if pending.transition.identity.workflow == workflow {
                        return pending.transition.chunk.entries.clone();
                    }
                } else {
                    std::thread::sleep(Duration::from_millis(5));
                }
            }
            panic!("no commit of a `{workflow}` run within 20 s");
        }
    }

    fn bench() -> (Bench, Arc<Seat>) {
        let (inbox, inbox_out) = mpsc::unbounded_channel();
        let (commits_in, commits) = mpsc::unbounded_channel();
        let (loads_in, loads) = mpsc::unbounded_channel();
        let (definitions, discards) = (mpsc::unbounded_channel().0, mpsc::unbounded_channel().0);
        let out = Channels { loads: loads_in, definitions, commits: commits_in, discards };
        let registry = Registry::new(1).with::<Blocking>().with::<Quick>();
        let views = Views { blockages: Arc::default(), holds: Arc::default(), limits: Arc::default() };
        let executor = Executor::new(registry, Arc::new(Machine), views, out, 1_000_000);
        let seat = Seat::take(0, executor, inbox_out).unwrap();
        watch(&[Arc::clone(&seat)]).unwrap();
        (Bench { inbox, commits, loads }, seat)
    }

    #[test]
    fn code_that_blocks_its_thread_is_parked_and_holds_up_nobody_else() {
        let (mut bench, _seat) = bench();
        bench.start(9, "blocking", true);
        assert!(matches!(bench.committed("blocking").as_slice(), [Entry::Started { .. }, ..]));
        bench.inbox.send(Message::Committed(vec![run(9)])).unwrap();
        bench.start(1, "blocking", false);
        bench.start(2, "quick", false);
        let began = Instant::now();
        let quick = bench.committed("quick");
        assert!(quick.iter().any(|entry| matches!(entry, Entry::Ended)), "{quick:?}");
        assert!(began.elapsed() < Duration::from_secs(3), "waited for the blocked thread: {:?}", began.elapsed());

        // The parked run was committed meanwhile or is now; a second one blocks again, and a third is not polled at all.
        let mut parked = 0;
        for number in [3, 4] {
            bench.start(number, "blocking", false);
            let entries = bench.committed("blocking");
            let stuck = Entry::Stuck { why: StuckReason::Blocking };
            parked += usize::from(entries.contains(&stuck));
        }
        assert_eq!(parked, 2);
        assert_eq!(POLLS.load(Ordering::SeqCst), 2, "a quarantined workflow is polled no more");

        // Nor is a run whose code was cached before: it is loaded anew, to be parked.
        let command =
            Command::Signal { name: "go".to_owned(), key: "1".to_owned(), payload: Payload::of(&true).unwrap() };
        bench.inbox.send(Message::Command { run: run(9), work: Work::new(command, None) }).unwrap();
        assert_eq!(bench.loads.blocking_recv(), Some(run(9)));
    }
}
