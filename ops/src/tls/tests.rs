//! The listener with clients that behave and clients that do not, on loopback.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use axum::routing::get;
use axum::serve::ListenerExt as _;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep, timeout};

use super::*;

/// Whatever a test waits for comes within this time, or never.
const SOON: Duration = Duration::from_secs(20);

/// An authority, and a pair of files that it signed for 127.0.0.1.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self { issuer: CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap() }
    }

    fn sign(&self) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }

    fn client(&self) -> reqwest::Client {
        crate::cli::install_tls();
        let own = reqwest::Certificate::from_pem(self.issuer.pem().as_bytes()).unwrap();
        // A new connection for each request: its handshake is what is tested.
        let builder = reqwest::Client::builder().no_proxy().timeout(SOON).pool_max_idle_per_host(0);
        builder.tls_certs_only([own]).build().unwrap()
    }
}

/// Where a pair lies.
struct Pair {
    folder: TempDir,
}

impl Pair {
    fn write((certificate, key): &(String, String)) -> Self {
        let pair = Self { folder: tempfile::tempdir().unwrap() };
        std::fs::write(pair.files().certificate, certificate).unwrap();
        std::fs::write(pair.files().key, key).unwrap();
        pair
    }

    fn files(&self) -> TlsFiles {
        TlsFiles { certificate: self.folder.path().join("tls.crt"), key: self.folder.path().join("tls.key") }
    }

    fn settings(&self) -> Settings {
        let mut settings = Settings::from_parts(None, |_| None).unwrap();
        settings.set(CERTIFICATE, self.files().certificate.display().to_string());
        settings.set(KEY, self.files().key.display().to_string());
        settings
    }
}

/// Serves `/`, which says whom it talks to.
async fn serve(pair: &Pair, bounds: ListenerBounds) -> SocketAddr {
    let tcp = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = tcp.local_addr().unwrap();
    let listener = TlsListener::start(tcp, Renewing::load(pair.files()).unwrap(), bounds).unwrap();
    let peer = |ConnectInfo(peer): ConnectInfo<SocketAddr>| async move { peer.ip().to_string() };
    let service = Router::new().route("/", get(peer)).into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async move { axum::serve(listener.tap_io(|_| {}), service).await });
    address
}

async fn ask(client: &reqwest::Client, address: SocketAddr) -> Result<String, reqwest::Error> {
    client.get(format!("https://{address}/")).send().await?.text().await
}

#[tokio::test]
async fn who_trusts_the_authority_is_served_and_seen_and_who_does_not_hangs_up() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let address = serve(&Pair::write(&authority.sign()), ListenerBounds::default()).await;
    assert_eq!(ask(&authority.client(), address).await.unwrap(), "127.0.0.1");
    assert!(ask(&stranger.client(), address).await.unwrap_err().is_connect());
}

#[tokio::test]
async fn plain_http_is_hung_up_on_and_others_are_served() {
    let authority = Authority::new();
    let address = serve(&Pair::write(&authority.sign()), ListenerBounds::default()).await;
    let mut plain = TcpStream::connect(address).await.unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut said = Vec::new();
    // The end, or a reset: what matters is that it comes, and without an answer.
    let _ = timeout(SOON, plain.read_to_end(&mut said)).await.expect("the connection ends");
    assert!(!said.windows(4).any(|four| four == b"HTTP"), "{said:?}");
    assert_eq!(ask(&authority.client(), address).await.unwrap(), "127.0.0.1");
}

#[tokio::test]
async fn clients_that_never_finish_their_handshake_hold_up_nobody() {
    let authority = Authority::new();
    // Patience without end: only tasks of their own help.
    let bounds = ListenerBounds { handshake_within: Duration::from_hours(1), ..ListenerBounds::default() };
    let address = serve(&Pair::write(&authority.sign()), bounds).await;
    let mut silent = Vec::new();
    for _ in 0..100 {
        silent.push(TcpStream::connect(address).await.unwrap());
    }
    assert_eq!(ask(&authority.client(), address).await.unwrap(), "127.0.0.1");
    drop(silent);
}

#[tokio::test]
async fn handshakes_are_bounded_in_number_and_time() {
    let authority = Authority::new();
    let handshake_within = Duration::from_millis(500);
    let bounds = ListenerBounds { handshake_within, handshakes_max: 3, ..ListenerBounds::default() };
    let address = serve(&Pair::write(&authority.sign()), bounds).await;
    let started = Instant::now();
    let mut silent = Vec::new();
    for _ in 0..3 {
        silent.push(TcpStream::connect(address).await.unwrap());
    }
    // All places are taken: the next is served once a silent one was given up.
    assert_eq!(ask(&authority.client(), address).await.unwrap(), "127.0.0.1");
    assert!(started.elapsed() >= handshake_within, "{:?}", started.elapsed());
    for mut one in silent {
        let ended = timeout(SOON, one.read(&mut [0])).await.expect("a silent client is hung up on");
        assert!(matches!(ended, Ok(0) | Err(_)), "{ended:?}");
    }
}

#[tokio::test]
async fn a_renewed_certificate_is_shown_without_a_restart() {
    let (first, second) = (Authority::new(), Authority::new());
    let pair = Pair::write(&first.sign());
    let bounds = ListenerBounds { look_every: Duration::from_millis(20), ..ListenerBounds::default() };
    let address = serve(&pair, bounds).await;
    assert!(ask(&first.client(), address).await.is_ok());
    assert!(ask(&second.client(), address).await.is_err());
    let renewed = second.sign();
    std::fs::write(pair.files().certificate, renewed.0).unwrap();
    std::fs::write(pair.files().key, renewed.1).unwrap();
    let started = Instant::now();
    while ask(&second.client(), address).await.is_err() {
        assert!(started.elapsed() < SOON, "the renewed certificate is not shown");
        sleep(Duration::from_millis(20)).await;
    }
    assert!(ask(&first.client(), address).await.is_err(), "the old one is gone");
}

#[test]
fn half_a_renewal_changes_nothing_until_it_is_whole() {
    let authority = Authority::new();
    let pair = Pair::write(&authority.sign());
    let renewing = Arc::new(Renewing::load(pair.files()).unwrap());
    assert!(!renewing.renew().unwrap(), "nothing changed");
    let (certificate, key) = authority.sign();
    std::fs::write(pair.files().certificate, certificate).unwrap();
    assert!(renewing.renew().unwrap_err().to_string().contains("is not the key of the certificate"));
    assert!(renewing.renew().is_err(), "it is looked at again");
    std::fs::write(pair.files().key, key).unwrap();
    assert!(renewing.renew().unwrap());
    assert!(!renewing.renew().unwrap());
}

#[test]
fn what_is_wrong_with_a_pair_names_the_setting() {
    let authority = Authority::new();
    let said = |settings: &Settings| certificate(settings).unwrap_err().to_string();
    let pair = || Pair::write(&authority.sign());

    let whole = pair();
    assert!(certificate(&whole.settings()).unwrap().is_some());
    assert!(certificate(&Settings::from_parts(None, |_| None).unwrap()).unwrap().is_none());
    for (given, variable, key) in [(CERTIFICATE, "VALET_TLS_KEY_FILE", KEY), (KEY, "VALET_TLS_CERT_FILE", CERTIFICATE)]
    {
        let mut alone = Settings::from_parts(None, |_| None).unwrap();
        alone.set(given, whole.files().certificate.display().to_string());
        assert!(said(&alone).contains(variable) && said(&alone).contains(key), "{}", said(&alone));
    }

    let other_key = pair();
    std::fs::write(other_key.files().key, authority.sign().1).unwrap();
    let (text, file) = (said(&other_key.settings()), other_key.files().key.display().to_string());
    assert!(text.contains("VALET_TLS_KEY_FILE") && text.contains(&file) && text.contains("is not the key"), "{text}");

    let no_key = pair();
    std::fs::remove_file(no_key.files().key).unwrap();
    let text = said(&no_key.settings());
    assert!(text.contains("VALET_TLS_KEY_FILE") && text.contains("cannot be read"), "{text}");

    let no_pem = pair();
    std::fs::write(no_pem.files().certificate, "certificate").unwrap();
    let text = said(&no_pem.settings());
    assert!(text.contains("VALET_TLS_CERT_FILE") && text.contains("holds no certificate"), "{text}");
}

#[test]
fn a_file_of_authorities_that_cannot_be_used_names_the_setting() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    let mut settings = Settings::from_parts(None, |_| None).unwrap();
    assert!(client_authorities(&settings).unwrap().is_empty());
    settings.set(AUTHORITIES, file.display().to_string());
    assert!(client_authorities(&settings).unwrap_err().to_string().contains("VALET_CA_FILE"));
    std::fs::write(&file, "").unwrap();
    assert!(client_authorities(&settings).unwrap_err().to_string().contains("holds no certificate"));
    let two = format!("{}{}", Authority::new().issuer.pem(), Authority::new().issuer.pem());
    std::fs::write(&file, two).unwrap();
    assert_eq!(client_authorities(&settings).unwrap().len(), 2);
}
