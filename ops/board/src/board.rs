//! The running board: one listener on one address, from start to stop.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::bounds;
use crate::clock::Clock;
use crate::credentials::Credentials;
use crate::guard::Blocks;
use crate::inbox::Mail;
use crate::journal::{Journal, JournalError};
use crate::model::FormKind;
use crate::oracle::Received;
use crate::routes::{OpenCheck, Site, router};
use crate::visit::VisitState;

#[derive(Clone, Debug)]
pub struct BoardConfig {
    /// Port 0 takes a free one. The oracle shows everything to whoever reaches this address, so keep it on loopback.
    pub bind: SocketAddr,
    /// Postings on the list page; any other seed has its pages too.
    pub listed_postings: u32,
    /// Keeps what was received for the next start. Without it the list is in memory only.
    pub state_file: Option<PathBuf>,
    /// Tells when an application was received.
    pub clock: Clock,
}

impl BoardConfig {
    pub fn new(bind: SocketAddr) -> Self {
        Self { bind, listed_postings: bounds::DEFAULT_LISTED_POSTINGS, state_file: None, clock: Clock::system() }
    }
}

#[derive(Debug, Error)]
pub enum BoardError {
    #[error("cannot listen on {address}")]
    Bind {
        address: SocketAddr,
        #[source]
        source: std::io::Error,
    },
    #[error("cannot use the state file")]
    State(#[from] JournalError),
    #[error("the board's server failed")]
    Serve(#[source] std::io::Error),
    #[error("the board's server ended by a panic")]
    Panicked(#[source] tokio::task::JoinError),
}

/// A board that answers until it is stopped or dropped.
pub struct Board {
    address: SocketAddr,
    site: Arc<Site>,
    stop: Option<oneshot::Sender<()>>,
    server: JoinHandle<std::io::Result<()>>,
}

impl Board {
    pub async fn start(config: BoardConfig) -> Result<Self, BoardError> {
        let (journal, earlier) = match &config.state_file {
            Some(path) => {
                let (journal, earlier) = Journal::open(path).await?;
                (Some(journal), earlier)
            }
            None => (None, Vec::new()),
        };
        let bind_error = |source| BoardError::Bind { address: config.bind, source };
        let listener = TcpListener::bind(config.bind).await.map_err(bind_error)?;
        let address = listener.local_addr().map_err(bind_error)?;
        let received = Received::new(earlier, journal, config.clock);
        let listed = config.listed_postings.min(bounds::MAX_LISTED_POSTINGS);
        let site = Arc::new(Site::new(received, listed));
        let (stop, stopped) = oneshot::channel();
        let shared = Arc::clone(&site);
        let server = axum::serve(listener, router(Arc::clone(&site))).with_graceful_shutdown(async move {
            // A dropped board stops as well.
            let _ = stopped.await;
            shared.stopping.send_replace(true);
        });
        Ok(Self { address, site, stop: Some(stop), server: tokio::spawn(server.into_future()) })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Without a slash at its end.
    pub fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What really arrived.
    pub fn received(&self) -> Received {
        self.site.received.clone()
    }

    /// What this visit has to type at its human check, while it stands before it.
    pub fn check_answer(&self, visit: &str) -> Option<String> {
        self.site.check(visit).map(|check| check.answer)
    }

    /// The visits of a form that stand before its human check, the one used last at the end.
    pub fn checks(&self, form: FormKind, seed: u32) -> Vec<OpenCheck> {
        self.site.checks(form, seed)
    }

    /// The e-mails that forms say they sent to this address, the oldest first.
    pub fn inbox(&self, email: &str) -> Vec<Mail> {
        self.site.inbox.lock().to(Some(email))
    }

    /// Who may sign in at the form `login` with this seed.
    pub fn credentials(&self, seed: u32) -> Credentials {
        Credentials::of(seed)
    }

    /// Visits of a form that are still known, with what each of them has done.
    pub fn visits(&self, form: FormKind, seed: u32) -> Vec<VisitState> {
        let mut states = self.site.visits.lock().states();
        states.retain(|state| (state.form, state.seed) == (form, seed));
        states
    }

    /// Browsers that were turned away.
    pub fn blocks(&self) -> Blocks {
        self.site.blocks.lock().clone()
    }

    /// Ends the server; open connections have a few seconds to finish their answer.
    pub async fn stop(mut self) -> Result<(), BoardError> {
        drop(self.stop.take());
        match tokio::time::timeout(bounds::STOP_TIMEOUT, &mut self.server).await {
            Ok(Ok(served)) => served.map_err(BoardError::Serve),
            Ok(Err(panic)) => Err(BoardError::Panicked(panic)),
            Err(_) => {
                self.server.abort();
                Ok(())
            }
        }
    }
}
