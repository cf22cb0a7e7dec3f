//! Accepts connections and does their handshakes in tasks, so that who is slow holds up nobody.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::serve::Listener;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::Renewing;

/// What a listener allows.
#[derive(Clone, Copy, Debug)]
pub struct ListenerBounds {
    /// From the connection to the end of its handshake; a slow phone needs two seconds.
    pub handshake_within: Duration,
    /// Handshakes at once, some tens of KB each. Whoever comes then waits in the system's queue.
    pub handshakes_max: usize,
    /// How often the certificate's files are looked at.
    pub look_every: Duration,
}

impl Default for ListenerBounds {
    fn default() -> Self {
        Self { handshake_within: Duration::from_secs(10), handshakes_max: 512, look_every: Duration::from_secs(30) }
    }
}

/// Connections that are ready to be served and not yet taken; the server takes them at once.
const READY_MAX: usize = 16;

/// A listener whose connections have done their handshake.
pub struct TlsListener {
    address: SocketAddr,
    ready: mpsc::Receiver<(TlsStream<TcpStream>, SocketAddr)>,
    /// Accepting, and looking at the certificate; both end with the listener.
    _loops: JoinSet<()>,
}

impl TlsListener {
    pub fn start(tcp: TcpListener, certificate: Renewing, bounds: ListenerBounds) -> std::io::Result<Self> {
        let address = tcp.local_addr()?;
        let certificate = Arc::new(certificate);
        let acceptor = TlsAcceptor::from(Arc::new(certificate.server_config()));
        let (done, ready) = mpsc::channel(READY_MAX);
        let mut loops = JoinSet::new();
        loops.spawn(accept(tcp, acceptor, done, bounds));
        loops.spawn(certificate.watch(bounds.look_every));
        Ok(Self { address, ready, _loops: loops })
    }
}

async fn accept(
    mut tcp: TcpListener,
    acceptor: TlsAcceptor,
    done: mpsc::Sender<(TlsStream<TcpStream>, SocketAddr)>,
    bounds: ListenerBounds,
) {
    let mut handshakes = JoinSet::new();
    loop {
        tokio::select! {
            // axum's own accept waits a moment after an error, such as too many open files.
            (stream, peer) = Listener::accept(&mut tcp), if handshakes.len() < bounds.handshakes_max => {
                handshakes.spawn(shake_hands(stream, peer, acceptor.clone(), done.clone(), bounds.handshake_within));
            }
            Some(_) = handshakes.join_next(), if !handshakes.is_empty() => {}
        }
    }
}

async fn shake_hands(
    stream: TcpStream,
    peer: SocketAddr,
    acceptor: TlsAcceptor,
    done: mpsc::Sender<(TlsStream<TcpStream>, SocketAddr)>,
    within: Duration,
) {
    // Without this a small answer may wait 40 ms for the client's acknowledgement.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY");
    }
    match tokio::time::timeout(within, acceptor.accept(stream)).await {
        // Fails only when the listener has gone.
        Ok(Ok(stream)) => drop(done.send((stream, peer)).await),
        Ok(Err(error)) => tracing::debug!(%peer, %error, "a TLS handshake failed"),
        Err(_) => tracing::debug!(%peer, "a TLS handshake took too long"),
    }
}

impl Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        match self.ready.recv().await {
            Some(accepted) => accepted,
            // The loop that accepts ends with this listener only.
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        Ok(self.address)
    }
}
