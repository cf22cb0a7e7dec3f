//! What every provider of sandboxes must stand, whoever it is: one suite, with faults between it and whoever asks.
//!
//! A provider joins by one [`Subject`]. `VALET_PROVIDER_CYCLES=500` draws more lives than the few of a usual run.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use uuid::Uuid;
use valet_core::RunId;
use valet_workers::sandbox::guarded::Guarded;
use valet_workers::sandbox::local::LocalProvider;
use valet_workers::sandbox::{
    Attachment, FailureClass, FenceNumber, ProvisionRequest, Sandbox, SandboxError, SandboxId, SandboxKind,
    SandboxProvider, SandboxState,
};

use super::fly::Cloud;
use super::rig::{Rig, request};

const CYCLES: &str = "VALET_PROVIDER_CYCLES";
const CYCLES_USUAL: u64 = 8;
/// As often as an operator's patience lasts; each attempt meets at most one fault.
const ATTEMPTS_MAX: u32 = 20;

/// A provider under test.
pub trait Subject {
    type Provider: SandboxProvider + 'static;

    fn provider(&self) -> Self::Provider;

    /// What of this sandbox is left where it was, besides what the provider tells.
    fn left_of(&self, id: SandboxId) -> usize;
}

impl Subject for Rig {
    type Provider = LocalProvider;

    fn provider(&self) -> LocalProvider {
        self.other_worker()
    }

    fn left_of(&self, id: SandboxId) -> usize {
        self.processes(id.0) + usize::from(self.dir(id.0).exists())
    }
}

/// What goes wrong between whoever asks and the provider, in one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    None,
    /// The provider never heard of it.
    NotHeard,
    /// It did as it was asked, and the answer was lost.
    AnswerLost,
    /// It did not do it, and nobody knows.
    Unknown,
    TooMany,
    NoQuota,
    Denied,
}

/// Faults on the way to a provider, in the order in which they are to come.
struct Faulty<P> {
    provider: P,
    coming: Mutex<VecDeque<Fault>>,
    /// Requests that the provider heard.
    requests: AtomicU32,
}

impl<P: SandboxProvider> Faulty<P> {
    fn new(provider: P, coming: impl IntoIterator<Item = Fault>) -> Arc<Self> {
        Arc::new(Self { provider, coming: Mutex::new(coming.into_iter().collect()), requests: AtomicU32::new(0) })
    }

    fn next(&self) -> Fault {
        self.coming.lock().pop_front().unwrap_or(Fault::None)
    }

    async fn through<T>(
        &self,
        id: SandboxId,
        call: impl Future<Output = Result<T, SandboxError>>,
    ) -> Result<T, SandboxError> {
        let provider = self.provider.name();
        let lost = || SandboxError::Ambiguous { provider, id, reason: "the connection broke".into() };
        match self.next() {
            Fault::None => call.await,
            Fault::NotHeard => Err(SandboxError::Silent { id, reason: "no route".into() }),
            Fault::Unknown => Err(lost()),
            Fault::AnswerLost => match call.await {
                Ok(_) => Err(lost()),
                Err(error) => Err(error),
            },
            Fault::TooMany => Err(SandboxError::Rate { provider, again_in: Duration::from_millis(1) }),
            Fault::NoQuota => Err(SandboxError::Quota { provider, detail: "0 left".into() }),
            Fault::Denied => Err(SandboxError::Auth { provider, detail: "401".into() }),
        }
    }
}

#[async_trait]
impl<P: SandboxProvider> SandboxProvider for Faulty<P> {
    fn name(&self) -> &'static str {
        self.provider.name()
    }

    fn kind(&self) -> SandboxKind {
        self.provider.kind()
    }

    async fn request(&self, request: &ProvisionRequest) -> Result<Sandbox, SandboxError> {
        let call = async {
            self.requests.fetch_add(1, Ordering::Relaxed);
            self.provider.request(request).await
        };
        self.through(SandboxId(request.sandbox_id), call).await
    }

    async fn ready(&self, id: &SandboxId) -> Result<Sandbox, SandboxError> {
        self.through(*id, self.provider.ready(id)).await
    }

    async fn attach(&self, id: &SandboxId, fence: FenceNumber) -> Result<Attachment, SandboxError> {
        self.provider.attach(id, fence).await
    }

    async fn renew(&self, id: &SandboxId, lease: Duration) -> Result<(), SandboxError> {
        self.provider.renew(id, lease).await
    }

    async fn stage_file(
        &self,
        id: &SandboxId,
        file: Uuid,
        name: &str,
        content: &[u8],
    ) -> Result<PathBuf, SandboxError> {
        self.provider.stage_file(id, file, name, content).await
    }

    async fn destroy(&self, id: &SandboxId) -> Result<(), SandboxError> {
        self.through(*id, self.provider.destroy(id)).await
    }

    async fn list(&self) -> Result<Vec<Sandbox>, SandboxError> {
        self.through(SandboxId(Uuid::nil()), self.provider.list()).await
    }
}

fn marked(run: RunId) -> ProvisionRequest {
    ProvisionRequest { run: Some(run), ..request(Uuid::now_v7(), &[]) }
}

/// As a step does that is tried again.
async fn again_and_again<T>(what: &str, mut call: impl AsyncFnMut() -> Result<T, SandboxError>) -> T {
    let mut last = None;
    for _ in 0..ATTEMPTS_MAX {
        match call().await {
            Ok(done) => return done,
            Err(error) => {
                tokio::time::sleep(error.again_in().unwrap_or_default().min(Duration::from_millis(50))).await;
                last = Some(error);
            }
        }
    }
    panic!("{what} never succeeded: {last:?}")
}

async fn a_life_from_request_to_destroy<S: Subject>(subject: &S) {
    let provider = subject.provider();
    let run = RunId(Uuid::now_v7());
    let asked = marked(run);
    let id = SandboxId(asked.sandbox_id);
    let first = provider.request(&asked).await.expect("a sandbox");
    let again = subject.provider().request(&asked).await.expect("the same sandbox");
    assert_eq!((first.id, again.id), (id, id));
    let ready = provider.ready(&id).await.expect("ready");
    assert_eq!((ready.state, ready.run), (SandboxState::Ready, Some(run)));
    let listed = subject.provider().list().await.expect("a list");
    assert_eq!(listed.iter().map(|s| (s.id, s.run)).collect::<Vec<_>>(), [(id, Some(run))], "with the mark, and once");
    provider.attach(&id, FenceNumber(1)).await.expect("attached");
    let overtaken = provider.attach(&id, FenceNumber(2)).await.expect("taken over");
    assert!(matches!(provider.attach(&id, FenceNumber(1)).await, Err(SandboxError::StaleFence { current: 2, .. })));
    assert!(!format!("{overtaken:?}").contains(&overtaken.webdriver_url), "the way in is no text for logs");
    provider.renew(&id, Duration::from_mins(1)).await.expect("renewed");

    provider.destroy(&id).await.expect("destroyed");
    provider.destroy(&id).await.expect("destroying again succeeds");
    assert_eq!(subject.left_of(id), 0);
    assert!(provider.list().await.expect("a list").is_empty());
    assert!(matches!(provider.request(&asked).await, Err(SandboxError::Destroyed(_))), "a late request makes nothing");
}

/// Whatever a provider cannot do, it says so; what it can, it does for what is there only.
async fn verbs_are_done_or_told_to_be_missing<S: Subject>(subject: &S) {
    let provider = subject.provider();
    let nobody = SandboxId(Uuid::now_v7());
    let told = [
        ("park", provider.park(&nobody).await.err()),
        ("resume", provider.resume(&nobody).await.err()),
        ("stop", provider.stop(&nobody).await.err()),
        ("live_view", provider.live_view(&nobody).await.err()),
    ];
    for (name, error) in told {
        let error = error.unwrap_or_else(|| panic!("`{name}` of what never was"));
        match &error {
            SandboxError::Unsupported { provider: by, verb } => assert_eq!((*by, *verb), (provider.name(), name)),
            error => assert_eq!(error.class(), FailureClass::Gone, "{name}: {error}"),
        }
        assert!(!error.is_retryable(), "{name}");
    }
    for error in [
        provider.ready(&nobody).await.err(),
        provider.attach(&nobody, FenceNumber(1)).await.err(),
        provider.renew(&nobody, Duration::from_secs(1)).await.err(),
    ] {
        assert_eq!(error.expect("nothing is there").class(), FailureClass::Gone);
    }
    provider.destroy(&nobody).await.expect("what never was can be destroyed");
}

async fn a_lost_answer_is_settled_by_the_list<S: Subject>(subject: &S) {
    let asked = marked(RunId(Uuid::now_v7()));
    let id = SandboxId(asked.sandbox_id);
    let faulty = Faulty::new(subject.provider(), [Fault::AnswerLost]);
    let guarded = Guarded::new(Arc::clone(&faulty));
    let found = guarded.request(&asked).await.expect("the one that was made");
    assert_eq!((found.id, faulty.requests.load(Ordering::Relaxed)), (id, 1), "never asked for twice");

    // One that was not made is not there: whoever asks may ask again.
    let other = marked(RunId(Uuid::now_v7()));
    faulty.coming.lock().push_back(Fault::Unknown);
    let lost = guarded.request(&other).await.expect_err("nothing was made");
    assert!(matches!(lost, SandboxError::Ambiguous { .. }) && lost.is_retryable(), "{lost:?}");
    // With the list away too, nothing is known, and nothing is made.
    faulty.coming.lock().extend([Fault::AnswerLost, Fault::NotHeard]);
    assert!(guarded.request(&other).await.is_err());
    assert_eq!(guarded.request(&other).await.expect("found").id.0, other.sandbox_id);

    faulty.coming.lock().push_back(Fault::AnswerLost);
    guarded.destroy(&id).await.expect("the list shows that it is gone");
    guarded.destroy(&SandboxId(other.sandbox_id)).await.expect("destroyed");
    assert!(guarded.list().await.expect("a list").is_empty());
}

async fn a_provider_that_fails_again_and_again_is_left_alone<S: Subject>(subject: &S) {
    let failing = [Fault::Denied, Fault::TooMany, Fault::NoQuota, Fault::Denied, Fault::Denied];
    let faulty = Faulty::new(subject.provider(), failing);
    let guarded = Guarded::new(Arc::clone(&faulty));
    let asked = marked(RunId(Uuid::now_v7()));
    let expected =
        [FailureClass::Auth, FailureClass::Rate, FailureClass::Quota, FailureClass::Auth, FailureClass::Auth];
    for class in expected {
        assert_eq!(guarded.resting(), None);
        assert_eq!(guarded.request(&asked).await.expect_err("a fault").class(), class);
    }
    let rest = guarded.request(&asked).await.expect_err("it rests");
    assert!(matches!(rest, SandboxError::Resting { .. }) && rest.again_in().is_some(), "{rest:?}");
    assert!(guarded.resting().is_some());
    assert_eq!(faulty.requests.load(Ordering::Relaxed), 0, "nobody asked it");
    guarded.destroy(&SandboxId(asked.sandbox_id)).await.expect("clean-up goes on");
}

async fn many_lives_with_faults_leave_nothing<S: Subject>(subject: &S) {
    let cycles = std::env::var(CYCLES).map_or(CYCLES_USUAL, |text| text.parse().expect("a number"));
    for seed in 1..=cycles {
        let mut draw = StdRng::seed_from_u64(seed);
        let faults = [Fault::None, Fault::NotHeard, Fault::AnswerLost, Fault::Unknown];
        let coming: Vec<Fault> = (0..6).map(|_| faults[draw.random_range(0..faults.len())]).collect();
        let faulty = Faulty::new(subject.provider(), coming.clone());
        // A worker's own: the next one begins with another.
        let guarded = Guarded::new(Arc::clone(&faulty));
        let asked = marked(RunId(Uuid::now_v7()));
        let id = SandboxId(asked.sandbox_id);
        // Its worker is killed while it asks, or lives.
        if draw.random_range(0..3) == 0 {
            let cut = Duration::from_millis(draw.random_range(0..900));
            let _ = tokio::time::timeout(cut, guarded.provision(&asked)).await;
        } else {
            let made = again_and_again("provision", async || guarded.provision(&asked).await).await;
            assert_eq!(made.id, id, "seed {seed}: {coming:?}");
            let listed = subject.provider().list().await.expect("a list");
            assert_eq!(listed.iter().filter(|s| s.run == asked.run).count(), 1, "seed {seed}: {coming:?}");
        }
        again_and_again("destroy", async || guarded.destroy(&id).await).await;
        assert_eq!(subject.left_of(id), 0, "seed {seed}: {coming:?}");
        assert!(subject.provider().list().await.expect("a list").is_empty(), "seed {seed}: {coming:?}");
    }
}

/// The suite for one provider: a test for each property.
macro_rules! conforms {
    ($provider:ident, $subject:expr) => {
        mod $provider {
            use super::*;

            conforms!(@ $subject;
                a_life_from_request_to_destroy,
                verbs_are_done_or_told_to_be_missing,
                a_lost_answer_is_settled_by_the_list,
                a_provider_that_fails_again_and_again_is_left_alone,
                many_lives_with_faults_leave_nothing,
            );
        }
    };
    (@ $subject:expr; $($property:ident),+ $(,)?) => {$(
        #[tokio::test(flavor = "multi_thread")]
        async fn $property() {
            super::$property(&$subject).await;
        }
    )+};
}

conforms!(local, Rig::new());
conforms!(fly, Cloud::start().await);
