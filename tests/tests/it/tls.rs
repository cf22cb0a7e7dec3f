//! An engine that serves https, and the commands and workers that reach it.

use std::net::SocketAddr;
use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::json;
use tokio::sync::oneshot;
use valet::cli::client::ClientError;
use valet::cli::{Client, ClientConfig};
use valet::roles::{engine, worker};
use valet::settings::Settings;
use valet::tls::client_authorities;
use valet_protocol::api::StartRunRequest;
use valet_stack::Stack;
use valet_tests::bounds::{END_MAX, LOAD_MAX};
use valet_tests::wait::until;
use valet_workers::runtime::Handlers;

/// An authority's certificate, and a certificate for 127.0.0.1 that it signed, as files.
fn write_certificates(folder: &Path) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("an authority");
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(["127.0.0.1".to_owned()]).expect("a name");
    let certificate = params.signed_by(&key, &authority).expect("a certificate");
    for (name, pem) in [("ca.pem", authority.pem()), ("tls.crt", certificate.pem()), ("tls.key", key.serialize_pem())] {
        std::fs::write(folder.join(name), pem).expect("a file is written");
    }
}

fn settings(stack: &Stack, folder: &Path) -> Settings {
    let file = |name: &str| folder.join(name).display().to_string();
    for (name, prefix) in [("secret.key", ""), ("token", "vt_"), ("worker-token", "vw_")] {
        valet::secrets::ensure(&folder.join(name), prefix).expect("a secret is written");
    }
    write_certificates(folder);
    let mut settings = Settings::from_parts(None, |_| None).expect("defaults");
    for (key, value) in [
        ("database.url", stack.database_url().to_owned()),
        ("redis.url", stack.redis_url().to_owned()),
        ("secrets.key_file", file("secret.key")),
        ("tokens.api_file", file("token")),
        ("tokens.worker_file", file("worker-token")),
        ("files.dir", file("files")),
        ("http.tls_cert_file", file("tls.crt")),
        ("http.tls_key_file", file("tls.key")),
        ("worker.queues", "bench".to_owned()),
        ("worker.sandbox_dir", file("sandboxes")),
    ] {
        settings.set(key, value);
    }
    settings
}

fn client(settings: &Settings, url: &str) -> Client {
    let config = ClientConfig {
        urls: ClientConfig::parse_urls(url).expect("a URL"),
        token: Some(settings.secret_file("tokens.api_file").expect("the token")),
    };
    Client::trusting(config, client_authorities(settings).expect("authorities")).expect("a client")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_started_and_worked_over_https_by_those_who_trust_the_engine() {
    let folder = tempfile::tempdir().expect("a folder");
    let stack = Stack::temporary(false).await.expect("the private servers start");
    let mut settings = settings(&stack, folder.path());
    engine::migrate_database(&settings).await.expect("the schema");
    let anywhere = SocketAddr::from(([127, 0, 0, 1], 0));
    let engine = engine::start(&settings, valet_workflows::registry(), anywhere).await.expect("an engine");
    assert!(engine.url().starts_with("https://127.0.0.1:"), "{}", engine.url());

    let stranger = client(&settings, &engine.url()).readiness(0).await;
    let Err(ClientError::Unreachable(tried)) = stranger else { panic!("who does not know the authority is served") };
    assert!(tried[0].why.contains("certificate"), "{tried:?}");
    let plain = client(&settings, &engine.url().replace("https", "http")).readiness(0).await;
    assert!(matches!(plain, Err(ClientError::Unreachable(_))), "there is no plain HTTP");

    settings.set("http.ca_file", folder.path().join("ca.pem").display().to_string());
    settings.set("client.url", engine.url());
    let client = client(&settings, &engine.url());
    assert!(client.readiness(0).await.expect("an answer").parts.ready);
    let (stop, stopped) = oneshot::channel::<()>();
    let working = tokio::spawn(async move {
        let shutdown = async { drop(stopped.await) };
        worker::run(&settings, Handlers::new(), shutdown).await
    });
    let request = StartRunRequest { input: json!({ "steps": 3 }), ..StartRunRequest::default() };
    let run = client.start("bench", &request, "a").await.expect("a run starts").id;
    until("the run to succeed", LOAD_MAX, async || {
        let run = client.run(&run).await.map_err(|error| error.to_string())?;
        if run.run.status == "succeeded" { Ok(()) } else { Err(run.run.status) }
    })
    .await;
    stop.send(()).expect("the worker runs");
    let drained = tokio::time::timeout(END_MAX, working).await.expect("the worker ends").expect("its task ends");
    assert_eq!(drained.expect("it drained").abandoned, 0);
    engine.stop().await;
    stack.stop().await.expect("the servers stop");
}
