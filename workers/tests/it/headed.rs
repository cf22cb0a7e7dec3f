//! The second tier: a browser with a window, on an X server of its own.

use uuid::Uuid;
use valet_workers::browser::BrowserAgent;
use valet_workers::gate::{BrowserKind, DisplayRef};
use valet_workers::sandbox::{FenceNumber, SandboxError, SandboxId, SandboxKind, SandboxProvider};

use super::rig::{Raw, Rig, kill, request, with_either_browser};
use super::site::Site;

with_either_browser!(
    a_browser_with_a_window_does_not_say_it_is_headless,
    a_window_outlives_its_gate_and_nothing_of_its_display_is_left_after_a_kill,
);

async fn a_browser_with_a_window_does_not_say_it_is_headless(kind: BrowserKind) {
    let rig = Rig::of(kind);
    let site = Site::start().await;
    let url = site.page("/page", "<title>window</title>");
    let mut asked = request(Uuid::now_v7(), &[&site]);
    asked.headless = false;
    let sandbox = rig.provider.provision(&asked).await.expect("a sandbox");
    assert_eq!(sandbox.kind, SandboxKind::LocalHeaded);
    let raw = Raw::new(rig.provider.attach(&sandbox.id, FenceNumber(1)).await.expect("attached"));
    let agent = raw.script("return navigator.userAgent").await;
    let name = if kind == BrowserKind::Firefox { "Firefox/" } else { "Chrome/" };
    assert!(agent.as_str().is_some_and(|agent| agent.contains(name) && !agent.contains("Headless")), "{agent}");
    let screen = raw.script("return [screen.width, screen.height]").await;
    assert_eq!(screen, serde_json::json!([1440, 1000]));
    rig.agent(sandbox.id, 2).await.navigate(&url).await.expect("opened");

    let display = rig.state(sandbox.id).display.expect("a display");
    assert!(display.server.is_alive() && display.has_its_socket());
    assert!(!opens_without_the_cookie(display), "other users of the machine do not see the pages");
    rig.other_worker().destroy(&sandbox.id).await.expect("destroyed");
    assert!(!display.server.is_alive() && rig.processes(sandbox.id.0) == 0);
    assert!(!display.has_its_socket(), "its socket is gone");
}

async fn a_window_outlives_its_gate_and_nothing_of_its_display_is_left_after_a_kill(kind: BrowserKind) {
    let rig = Rig::of(kind);
    let mut asked = request(Uuid::now_v7(), &[]);
    asked.headless = false;
    let sandbox = rig.provider.provision(&asked).await.expect("a sandbox");
    let before = rig.state(sandbox.id);
    kill(before.gate).await;
    let raw = Raw::new(rig.provider.attach(&sandbox.id, FenceNumber(1)).await.expect("attached"));
    assert_eq!(raw.script("return 1 + 1").await, 2);
    assert_eq!(rig.state(sandbox.id).display, before.display);
    let display = before.display.expect("a display");
    kill(Some(display.server)).await;
    rig.provider.destroy(&sandbox.id).await.expect("destroyed");
    assert!(rig.processes(sandbox.id.0) == 0 && !display.has_its_socket());
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_x_server_a_window_is_refused_by_the_name_of_its_package() {
    let rig = Rig::with(|config| config.xvfb = "/nowhere/Xvfb".into());
    let mut asked = request(Uuid::now_v7(), &[]);
    asked.headless = false;
    match rig.provider.provision(&asked).await {
        Err(SandboxError::StartFailed { reason, .. }) => assert!(reason.contains("`xvfb`"), "{reason}"),
        other => panic!("{other:?}"),
    }
    assert!(!rig.dir(asked.sandbox_id).exists());
    rig.provider.destroy(&SandboxId(asked.sandbox_id)).await.expect("destroyed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_without_a_driver_says_which_setting_names_it() {
    let rig = Rig::with(|config| config.driver = "/nowhere/chromedriver".into());
    let asked = request(Uuid::now_v7(), &[]);
    match rig.provider.provision(&asked).await {
        Err(SandboxError::StartFailed { reason, .. }) => {
            let names = |word: &str| reason.contains(word);
            assert!(
                names("/nowhere/chromedriver") && (names("VALET_CHROMEDRIVER") || names("VALET_GECKODRIVER")),
                "{reason}"
            );
        }
        other => panic!("{other:?}"),
    }
    assert!(!rig.dir(asked.sandbox_id).exists());
}

/// The X11 connection setup of a client that has no cookie; the server answers with 1 where it lets it in.
fn opens_without_the_cookie(display: DisplayRef) -> bool {
    use std::io::{Read as _, Write as _};
    let mut stream = std::os::unix::net::UnixStream::connect(format!("/tmp/.X11-unix/X{}", display.number))
        .expect("the display's socket");
    stream.set_read_timeout(Some(std::time::Duration::from_secs(10))).expect("a bound");
    // Little-endian, protocol 11.0, no authorization.
    stream.write_all(&[b'l', 0, 11, 0, 0, 0, 0, 0, 0, 0, 0, 0]).expect("sent");
    let mut answer = [0];
    stream.read_exact(&mut answer).expect("an answer");
    answer == [1]
}
