//! A relay before Redis whose connections can fall silent without being closed, as behind a firewall that forgot them.

use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};

pub struct Proxy {
    pub address: String,
    /// Counted up to silence the connections that exist.
    silenced: watch::Sender<u64>,
    relay: JoinHandle<()>,
}

impl Proxy {
    pub async fn start(target: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (silenced, watcher) = watch::channel(0);
        let relay = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(relay(client, target.clone(), watcher.clone()));
            }
        });
        Self { address, silenced, relay }
    }

    pub fn silence(&self) {
        self.silenced.send_modify(|count| *count += 1);
    }
}

async fn relay(mut client: TcpStream, target: String, mut silenced: watch::Receiver<u64>) {
    silenced.mark_unchanged();
    let mut server = TcpStream::connect(target).await.unwrap();
    tokio::select! {
        _ = tokio::io::copy_bidirectional(&mut client, &mut server) => {}
        Ok(()) = silenced.changed() => {
            // Both ends stay open, and nothing passes any more.
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.relay.abort();
    }
}
