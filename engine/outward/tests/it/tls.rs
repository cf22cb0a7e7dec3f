//! https: by the name that was asked for, over the address that was checked.

use std::net::SocketAddr;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use valet_outward::{Outward, OutwardConfig, OutwardError};

use super::network::{Network, SOMEWHERE, get};

/// A server with a certificate for one name, which gives every request the same answer; and its authority.
async fn serve_tls(name: &str, answer: &'static str) -> (SocketAddr, CertificateDer<'static>) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("an authority");
    let key = KeyPair::generate().expect("a key");
    let leaf = CertificateParams::new([name.to_owned()]).expect("a name").signed_by(&key, &authority);
    let chain = vec![leaf.expect("a certificate").der().clone()];
    let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .expect("a pair");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream.write_all(answer.as_bytes()).await;
            let _ = stream.shutdown().await;
        }
    });
    (address, authority.der().clone())
}

#[tokio::test]
async fn https_speaks_to_the_name_and_trusts_who_it_is_told_to_trust() {
    let network = Network::new();
    for name in ["site.example", "other.example"] {
        network.name(name, &[&[SOMEWHERE]]);
    }
    let (real, authority) = serve_tls("site.example", "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
    network.server(SOMEWHERE, real);
    let trusting = Outward::new(OutwardConfig { authorities: vec![authority], ..network.config() });
    let answer = trusting.send(get("https://site.example/")).await.expect("an answer");
    assert_eq!(answer.bytes().await.expect("a body"), "ok");
    let wrong_name = trusting.send(get("https://other.example/")).await;
    assert!(matches!(wrong_name, Err(OutwardError::Failed(_))), "{wrong_name:?}");
    let stranger = network.outward().send(get("https://site.example/")).await;
    assert!(matches!(stranger, Err(OutwardError::Failed(_) | OutwardError::NoAuthorities(_))), "{stranger:?}");
}

#[tokio::test]
async fn https_does_not_lead_to_http() {
    let network = Network::new();
    network.name("site.example", &[&[SOMEWHERE]]);
    let leads = "HTTP/1.1 302 Found\r\nlocation: http://site.example/\r\ncontent-length: 0\r\n\r\n";
    let (real, authority) = serve_tls("site.example", leads).await;
    network.server(SOMEWHERE, real);
    let outward = Outward::new(OutwardConfig { authorities: vec![authority], ..network.config() });
    let refused = outward.send(get("https://site.example/")).await;
    assert!(matches!(refused, Err(OutwardError::Downgrade)), "{refused:?}");
    assert_eq!(network.dialled(), [format!("{SOMEWHERE}:443")]);
}
