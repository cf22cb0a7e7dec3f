//! The line between a worker and its servers, which can be cut: what connections there are stay open, and nothing passes any more.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

/// A server on this machine answers a connection at once, or not at all.
const CONNECT_MAX: Duration = Duration::from_secs(5);

/// Dropping it closes its connections.
pub struct Line {
    address: SocketAddr,
    cut: watch::Sender<bool>,
    relay: JoinHandle<()>,
}

impl Line {
    pub async fn to(server: SocketAddr) -> std::io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let (cut, is_cut) = watch::channel(false);
        let relay = tokio::spawn(async move {
            // As many as one worker opens; they end with the line.
            let mut connections = JoinSet::new();
            loop {
                tokio::select! {
                    accepted = listener.accept() => match accepted {
                        Ok((client, _)) => drop(connections.spawn(pass(client, server, is_cut.clone()))),
                        Err(_) => return,
                    },
                    Some(_) = connections.join_next() => {}
                }
            }
        });
        Ok(Self { address, cut, relay })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on nothing passes, on new connections either, and nobody is told.
    pub fn cut(&self) {
        self.cut.send_replace(true);
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.relay.abort();
    }
}

async fn pass(mut client: TcpStream, server: SocketAddr, mut is_cut: watch::Receiver<bool>) {
    let Ok(Ok(mut server)) = timeout(CONNECT_MAX, TcpStream::connect(server)).await else { return };
    tokio::select! {
        biased;
        _ = is_cut.wait_for(|cut| *cut) => {}
        _ends_with_either_side = copy_bidirectional(&mut client, &mut server) => return,
    }
    // Both sockets stay open, and silent.
    std::future::pending::<()>().await;
}
