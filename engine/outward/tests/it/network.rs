//! A small internet: names with scripted answers, and public addresses behind which a server on loopback stands.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpStream};
use valet_outward::{Call, Dial, HeaderMap, Method, Outward, OutwardConfig, Resolve};

/// Public addresses of the documentation's kind are refused, so that these are somebody's. Nothing is sent to them.
pub const SOMEWHERE: &str = "93.184.216.34";
pub const ELSEWHERE: &str = "93.184.216.35";

/// Records what is asked and dialled. An address without a server refuses the connection.
#[derive(Default)]
pub struct Network {
    names: Mutex<BTreeMap<String, VecDeque<Vec<IpAddr>>>>,
    servers: Mutex<BTreeMap<IpAddr, SocketAddr>>,
    asked: Mutex<Vec<String>>,
    dialled: Mutex<Vec<SocketAddr>>,
}

impl Network {
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// What a name resolves to, the first time, the second, and so on; the last answer stays.
    pub fn name(&self, host: &str, answers: &[&[&str]]) {
        let parse = |addresses: &&[&str]| addresses.iter().map(|text| text.parse().expect("an address")).collect();
        self.names.lock().insert(host.to_owned(), answers.iter().map(parse).collect());
    }

    /// Puts a server of this machine behind a public address.
    pub fn server(&self, public: &str, real: SocketAddr) {
        self.servers.lock().insert(public.parse().expect("an address"), real);
    }

    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().clone()
    }

    pub fn dialled(&self) -> Vec<String> {
        self.dialled.lock().iter().map(ToString::to_string).collect()
    }

    /// A way out through this network.
    pub fn config(self: &Arc<Self>) -> OutwardConfig {
        let (resolver, dialer) = (Arc::clone(self), Arc::clone(self));
        OutwardConfig { time_max: Duration::from_secs(10), resolver, dialer, ..OutwardConfig::default() }
    }

    pub fn outward(self: &Arc<Self>) -> Outward {
        Outward::new(self.config())
    }
}

#[async_trait]
impl Resolve for Network {
    async fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        self.asked.lock().push(host.to_owned());
        let mut names = self.names.lock();
        let answers = names.get_mut(host).ok_or(io::ErrorKind::NotFound)?;
        let answer = if answers.len() > 1 { answers.pop_front() } else { answers.front().cloned() };
        answer.ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

#[async_trait]
impl Dial for Network {
    async fn dial(&self, address: SocketAddr) -> io::Result<TcpStream> {
        self.dialled.lock().push(address);
        let real = self.servers.lock().get(&address.ip()).copied();
        TcpStream::connect(real.ok_or(io::ErrorKind::ConnectionRefused)?).await
    }
}

/// A server on loopback that ends with its test.
pub async fn serve(router: Router) -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

pub fn get(url: &str) -> Call {
    call(Method::GET, url, "")
}

pub fn call(method: Method, url: &str, body: &'static str) -> Call {
    Call { method, url: url.parse().expect("a URL"), headers: HeaderMap::new(), body: body.into() }
}
