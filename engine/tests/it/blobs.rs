//! Where sealed bytes lie: a folder and a bucket do the same.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use uuid::Uuid;
use valet_engine::blobs::{BlobError, Blobs, Bucket};

/// The program of moto's server, which speaks as S3 does.
const MOTO: &str = "VALET_MOTO";
const BUCKET: &str = "valet-test";

/// What is told of where it listens, with the port that it drew.
const RUNNING_ON: &str = "Running on http://127.0.0.1:";
const START_MAX: Duration = Duration::from_mins(1);

struct Moto {
    endpoint: String,
    _server: Child,
}

impl Moto {
    async fn start() -> Self {
        let program = std::env::var(MOTO).unwrap_or_else(|_| "moto_server".to_owned());
        let mut server = Command::new(&program)
            .args(["-H", "127.0.0.1", "-p", "0"])
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("{program} ({MOTO}; `pip install 'moto[server]'`): {error}"));
        let mut lines = BufReader::new(server.stderr.take().expect("its words")).lines();
        let port = async {
            while let Some(line) = lines.next_line().await.expect("text") {
                if let Some((_, rest)) = line.split_once(RUNNING_ON) {
                    return rest.chars().take_while(char::is_ascii_digit).collect::<String>();
                }
            }
            panic!("{program} ended");
        };
        let port = tokio::time::timeout(START_MAX, port).await.expect("a server that listens");
        // Nobody reads its words from here on, and it must not wait for somebody who does.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let moto = Self { endpoint: format!("http://127.0.0.1:{port}"), _server: server };
        let answer = moto.send(&format!("PUT /{BUCKET}")).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        moto
    }

    /// One request as it is written; it is not asked who sends it.
    async fn send(&self, line: &str) -> String {
        let address = self.endpoint.trim_start_matches("http://");
        let mut stream = TcpStream::connect(address).await.expect("connected");
        let request = format!("{line} HTTP/1.1\r\nHost: {address}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("written");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("an answer");
        answer
    }

    fn blobs(&self, url: &str) -> Result<Blobs, BlobError> {
        Blobs::bucket(&Bucket {
            url: url.to_owned(),
            endpoint: Some(self.endpoint.clone()),
            region: "us-east-1".to_owned(),
            access_key_id: "valet".to_owned(),
            secret_access_key: "zwetschge".to_owned(),
        })
    }
}

async fn keeps_what_it_is_given(blobs: &Blobs) {
    let (id, other) = (Uuid::now_v7(), Uuid::now_v7());
    assert!(blobs.get(id).await.is_err(), "nothing is there yet");
    let large = vec![7; 3 * 1024 * 1024];
    for bytes in [b"sealed".to_vec(), Vec::new(), large] {
        blobs.put(id, bytes.clone()).await.expect("kept");
        assert!(blobs.get(id).await.expect("found") == bytes, "{} bytes", bytes.len());
    }
    blobs.put(other, b"other".to_vec()).await.expect("kept");
    for _ in 0..2 {
        blobs.remove(id).await.expect("gone, also when it was");
    }
    assert!(blobs.get(id).await.is_err());
    assert_eq!(blobs.get(other).await.expect("found"), b"other");

    assert!(blobs.marks().await.expect("marks").is_empty());
    for (subject, mark) in [("ada", "1"), ("ada", "2"), ("eve", "3")] {
        blobs.put_mark("tenant", subject, mark.as_bytes().to_vec()).await.expect("kept");
    }
    let mut marks = blobs.marks().await.expect("marks");
    marks.sort();
    assert_eq!(marks, [b"2", b"3"], "one a subject");
}

#[tokio::test]
async fn a_folder_keeps_what_it_is_given() {
    let folder = tempfile::tempdir().expect("a folder");
    keeps_what_it_is_given(&Blobs::folder(folder.path()).expect("a folder")).await;
}

#[tokio::test]
async fn in_a_bucket_is_kept_what_it_is_given() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let moto = Moto::start().await;
    let own = moto.blobs(&format!("s3://{BUCKET}/one/")).expect("a bucket");
    keeps_what_it_is_given(&own).await;
    keeps_what_it_is_given(&moto.blobs(&format!("s3://{BUCKET}/other")).expect("a bucket")).await;
    assert_eq!(own.marks().await.expect("marks").len(), 2, "folders of a bucket know nothing of each other");
    keeps_what_it_is_given(&moto.blobs(&format!("s3://{BUCKET}")).expect("a bucket")).await;

    let missing = moto.blobs("s3://there-is-none").expect("nothing is asked of it yet");
    let error = missing.put(Uuid::now_v7(), b"x".to_vec()).await.expect_err("no such bucket").to_string();
    assert!(!error.contains("zwetschge"), "{error}");
    for url in ["https://bucket", "s3://", "s3:///folder", "bucket"] {
        assert!(matches!(moto.blobs(url), Err(BlobError::Address(_))), "{url}");
    }
}
