//! A socket in front of Postgres that loses the answer to a commit: after it happened, before it happened.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use sqlx::postgres::PgConnectOptions;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinHandle;

/// What the statement that commits says and no other does.
const MARK: &[u8] = b"INSERT INTO batches";
/// The server's "ready for query": what was sent before it is done, and committed.
const READY: &[u8] = b"Z\0\0\0\x05";

/// Losses still to come.
#[derive(Default)]
struct Losses {
    answers: AtomicU32,
    requests: AtomicU32,
    happened: AtomicU32,
}

pub struct Proxy {
    pub url: String,
    losses: Arc<Losses>,
    serving: JoinHandle<()>,
    _dir: TempDir,
}

impl Proxy {
    pub fn in_front_of(url: &str) -> Self {
        let options: PgConnectOptions = url.parse().expect("a URL");
        let folder = options.get_socket().expect("a Unix socket").clone();
        let socket = format!(".s.PGSQL.{}", options.get_port());
        let dir = tempfile::tempdir().expect("a directory");
        let listener = UnixListener::bind(dir.path().join(&socket)).expect("a socket");
        let losses = Arc::new(Losses::default());
        let serving = tokio::spawn(serve(listener, folder.join(socket), Arc::clone(&losses)));
        let behind = folder.to_str().expect("UTF-8");
        let before = dir.path().to_str().expect("UTF-8");
        let encoded = |path: &str| path.replace('/', "%2F");
        let url = url.replace(behind, before).replace(&encoded(behind), &encoded(before));
        assert!(url.contains(before) || url.contains(&encoded(before)), "{url} names the socket's folder");
        Self { url, losses, serving, _dir: dir }
    }

    /// The next answers to commits vanish together with their connections; the commits have happened.
    pub fn lose_answers(&self, count: u32) {
        self.losses.answers.store(count, Ordering::SeqCst);
    }

    /// The next commits vanish on their way, together with their connections.
    pub fn lose_requests(&self, count: u32) {
        self.losses.requests.store(count, Ordering::SeqCst);
    }

    pub fn lost(&self) -> u32 {
        self.losses.happened.load(Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(listener: UnixListener, server: PathBuf, losses: Arc<Losses>) {
    while let Ok((client, _)) = listener.accept().await {
        let (server, losses) = (server.clone(), Arc::clone(&losses));
        tokio::spawn(async move {
            if let Ok(server) = UnixStream::connect(server).await {
                relay(client, server, &losses).await;
            }
        });
    }
}

/// Until one side closes or something is lost. Both sides close together.
async fn relay(mut client: UnixStream, mut server: UnixStream, losses: &Losses) {
    let (mut asked, mut told) = (vec![0; 64 * 1024], vec![0; 64 * 1024]);
    // A connection commits once its statement was prepared here and answered.
    let (mut said, mut prepares, mut commits) = (Vec::new(), false, false);
    loop {
        tokio::select! {
            read = client.read(&mut asked) => {
                let Some(bytes) = read.ok().filter(|n| *n > 0).map(|n| &asked[..n]) else { return };
                if !prepares {
                    said.extend_from_slice(bytes);
                    prepares = said.windows(MARK.len()).any(|window| window == MARK);
                } else if commits && take(&losses.requests) {
                    losses.happened.fetch_add(1, Ordering::SeqCst);
                    return;
                }
                if server.write_all(bytes).await.is_err() {
                    return;
                }
            }
            read = server.read(&mut told) => {
                let Some(bytes) = read.ok().filter(|n| *n > 0).map(|n| &told[..n]) else { return };
                let ready = bytes.windows(READY.len()).any(|window| window == READY);
                if commits && ready && take(&losses.answers) {
                    losses.happened.fetch_add(1, Ordering::SeqCst);
                    return;
                }
                commits |= prepares && ready;
                if client.write_all(bytes).await.is_err() {
                    return;
                }
            }
        }
    }
}

fn take(count: &AtomicU32) -> bool {
    count.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
}
