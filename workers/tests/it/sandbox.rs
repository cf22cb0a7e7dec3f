//! The life of a local sandbox, cut off at any point.

use std::sync::{Arc, Barrier};
use std::time::Duration;

use uuid::Uuid;
use valet_workers::browser::{BrowserAgent, Selectors};
use valet_workers::gate::browser_tmp;
use valet_workers::sandbox::local::LocalProvider;
use valet_workers::sandbox::{FenceNumber, SandboxError, SandboxId, SandboxProvider, SandboxState};

use super::rig::{Rig, eventually, kill, request};
use super::site::Site;

#[tokio::test(flavor = "multi_thread")]
async fn a_second_provision_finds_the_first_and_destroy_leaves_nothing() {
    let rig = Rig::new();
    let asked = request(Uuid::now_v7(), &[]);
    let first = rig.provider.provision(&asked).await.expect("a sandbox");
    let again = rig.other_worker().provision(&asked).await.expect("the same sandbox");
    assert_eq!((first.id, &first.session_id), (again.id, &again.session_id));
    assert!(first.session_id.is_some() && first.debugger_address.is_some());
    let listed = rig.provider.list().await.expect("a list");
    assert_eq!(listed.iter().map(|s| (s.id, s.state)).collect::<Vec<_>>(), [(first.id, SandboxState::Ready)]);
    assert!(rig.processes(asked.sandbox_id) > 3, "gate, driver and browser are found by the folder");

    rig.other_worker().destroy(&first.id).await.expect("destroyed");
    assert_eq!(rig.processes(asked.sandbox_id), 0);
    assert!(!rig.dir(asked.sandbox_id).exists());
    assert!(rig.provider.list().await.expect("a list").is_empty());
    rig.provider.destroy(&first.id).await.expect("destroying again succeeds");
    assert!(
        matches!(rig.provider.provision(&asked).await, Err(SandboxError::Destroyed(_))),
        "a late provision leaks no browser"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_in_a_deep_folder_leaves_nothing_outside_of_it_either() {
    let folder = tempfile::TempDir::with_prefix("vlt").expect("a temporary folder");
    let root = folder.path().join("a-folder-far-down-in-somebodys-home/sandboxes");
    let provider = Rig::provider_at(&root);
    let asked = request(Uuid::now_v7(), &[]);
    let sandbox = provider.provision(&asked).await.expect("a sandbox");
    let tmp = browser_tmp(&root.join(asked.sandbox_id.to_string()));
    assert!(!tmp.starts_with(&root) && std::fs::read_dir(&tmp).expect("in use").next().is_some(), "{}", tmp.display());
    provider.destroy(&sandbox.id).await.expect("destroyed");
    assert!(!tmp.exists() && !root.join(asked.sandbox_id.to_string()).exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_never_was_can_be_destroyed() {
    let rig = Rig::new();
    let id = SandboxId(Uuid::now_v7());
    rig.provider.destroy(&id).await.expect("destroyed");
    assert!(matches!(rig.provider.attach(&id, FenceNumber(1)).await, Err(SandboxError::NotFound(_))));
    assert!(matches!(rig.provider.renew(&id, Duration::from_secs(1)).await, Err(SandboxError::NotFound(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_cut_off_at_any_moment_is_listed_cleaned_and_can_be_repeated() {
    let rig = Rig::new();
    for cut_ms in [0, 5, 30, 120, 300, 600, 1000] {
        let asked = request(Uuid::now_v7(), &[]);
        // Dropping the future leaves what a killed worker leaves: nothing after this point is carried out.
        let _ = tokio::time::timeout(Duration::from_millis(cut_ms), rig.provider.provision(&asked)).await;
        if rig.dir(asked.sandbox_id).exists() {
            assert!(
                rig.provider.list().await.expect("a list").iter().any(|s| s.id.0 == asked.sandbox_id),
                "cut at {cut_ms} ms"
            );
        }
        if cut_ms % 2 == 0 && cut_ms >= 300 {
            let sandbox = rig.other_worker().provision(&asked).await.expect("started again");
            assert_eq!(sandbox.state, SandboxState::Ready, "cut at {cut_ms} ms");
        }
        rig.other_worker().destroy(&SandboxId(asked.sandbox_id)).await.expect("destroyed");
        assert_eq!(rig.processes(asked.sandbox_id), 0, "cut at {cut_ms} ms");
        assert!(!rig.dir(asked.sandbox_id).exists());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sandbox_whose_gate_was_killed_is_unguarded_and_can_be_cleaned() {
    let rig = Rig::new();
    let sandbox = rig.sandbox(&[]).await;
    let gate = rig.state(sandbox.id).gate;
    kill(gate).await;
    let provider = rig.other_worker();
    eventually("the gate is gone", || !gate.expect("a gate").is_alive()).await;
    assert_eq!(provider.list().await.expect("a list")[0].state, SandboxState::Unguarded);
    assert!(rig.processes(sandbox.id.0) > 0, "the browser is still there");
    provider.destroy(&sandbox.id).await.expect("destroyed");
    assert_eq!(rig.processes(sandbox.id.0), 0);
    assert!(matches!(provider.attach(&sandbox.id, FenceNumber(1)).await, Err(SandboxError::NotFound(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn several_workers_at_once_never_start_more_sandboxes_than_the_machine_has_places() {
    let rig = Rig::with(|config| config.max_sandboxes = Some(2));
    let provider = || {
        let mut config = Rig::config_at(rig.root());
        config.max_sandboxes = Some(2);
        // Nothing is started: the gate "runs" and never has a browser, so that only the counting is at work.
        config.gate_command = vec!["/bin/sleep".into(), "60".into()];
        config.start_within = Duration::from_secs(3);
        LocalProvider::new(config)
    };
    let workers: Vec<_> = (0..8).map(|_| provider()).collect();
    let asked: Vec<_> = (0..8).map(|_| request(Uuid::now_v7(), &[])).collect();
    let provisions = workers.iter().zip(&asked).map(|(worker, asked)| worker.provision(asked));
    let answers = futures::future::join_all(provisions).await;
    let full = answers.iter().filter(|answer| matches!(answer, Err(SandboxError::Full { max: 2 }))).count();
    assert_eq!(full, 6, "{answers:?}");
    assert!(answers.iter().filter_map(|answer| answer.as_ref().err()).all(SandboxError::is_retryable));
    for asked in &asked {
        rig.provider.destroy(&SandboxId(asked.sandbox_id)).await.expect("destroyed");
    }
    // Places that were given back are there for others; a sandbox that has its place keeps it.
    let again = request(Uuid::now_v7(), &[]);
    let sandbox = rig.provider.provision(&again).await.expect("a sandbox");
    rig.sandbox(&[]).await;
    assert!(matches!(rig.provider.provision(&request(Uuid::now_v7(), &[])).await, Err(SandboxError::Full { max: 2 })));
    assert_eq!(rig.provider.provision(&again).await.expect("found again").session_id, sandbox.session_id);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_has_one_id_whoever_asks_first() {
    use std::os::unix::fs::PermissionsExt as _;
    let rig = Rig::new();
    let root = rig.root().join("not/made/yet");
    let start = Arc::new(Barrier::new(8));
    let asking = (0..8).map(|_| {
        let (root, start) = (root.clone(), Arc::clone(&start));
        std::thread::spawn(move || {
            let provider = Rig::provider_at(&root);
            start.wait();
            provider.host_id().expect("an id")
        })
    });
    let ids: Vec<String> = asking.collect::<Vec<_>>().into_iter().map(|asks| asks.join().expect("joined")).collect();
    assert!(ids[0].len() == 12 && ids[0].chars().all(|c| c.is_ascii_hexdigit()), "{ids:?}");
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    assert_eq!(Rig::provider_at(&root).host_id().expect("the same after a restart"), ids[0]);
    assert_ne!(rig.provider.host_id().expect("another root"), ids[0]);
    let mode = std::fs::metadata(root.join(".host")).expect("a file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(std::fs::read_dir(&root).expect("the root").count(), 1, "no drafts are left");
    std::fs::write(root.join(".host"), "x").expect("damaged");
    assert!(Rig::provider_at(&root).host_id().is_err(), "a damaged id is told, not replaced");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_record_is_for_its_owner_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let rig = Rig::new();
    let sandbox = rig.sandbox(&[]).await;
    for name in ["sandbox.json", "gate.json", "gate-state.json"] {
        let mode = std::fs::metadata(rig.dir(sandbox.id.0).join(name)).expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    let state = std::fs::read_to_string(rig.dir(sandbox.id.0).join("gate-state.json")).expect("a state");
    assert!(!state.contains("secret") && !state.contains("key"));
    rig.provider.destroy(&sandbox.id).await.expect("destroyed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_that_ends_takes_the_browser_with_it() {
    let rig = Rig::new();
    let sandbox = rig.sandbox(&[]).await;
    rig.provider.renew(&sandbox.id, Duration::from_secs(1)).await.expect("renewed");
    eventually("the lease ends everything", || rig.processes(sandbox.id.0) == 0).await;
    assert_eq!(rig.provider.list().await.expect("a list")[0].state, SandboxState::Lost);
    rig.provider.destroy(&sandbox.id).await.expect("destroyed");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_outlives_the_worker_and_another_finds_what_was_typed() {
    let rig = Rig::new();
    let site = Site::start().await;
    let url = site.page("/form", "<title>t</title><form><label>Name <input id=n></label></form>");
    let (sandbox, agent) = rig.browser(&[&site]).await;
    agent.navigate(&url).await.expect("opened");
    agent.fill_field(&Selectors::css("#n"), "Ada").await.expect("filled");
    drop(agent);
    let other = rig.agent(sandbox.id, 2).await;
    let page = other.snapshot().await.expect("a page");
    assert_eq!(page.controls[0].value, "Ada");
    assert_eq!(other.current_url().await.expect("an address"), url);
    rig.provider.destroy(&sandbox.id).await.expect("destroyed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_staged_file_keeps_to_its_folder() {
    let rig = Rig::new();
    let sandbox = rig.sandbox(&[]).await;
    let path = rig.provider.stage_file(&sandbox.id, Uuid::nil(), "cv.pdf", b"%PDF").await.expect("staged");
    assert!(path.starts_with(rig.dir(sandbox.id.0)) && std::fs::read(&path).expect("a file") == b"%PDF");
    for name in ["../cv.pdf", "/etc/passwd", "", "..", "a/b"] {
        assert!(
            matches!(
                rig.provider.stage_file(&sandbox.id, Uuid::nil(), name, b"").await,
                Err(SandboxError::InvalidRequest(_))
            ),
            "{name}"
        );
    }
    rig.provider.destroy(&sandbox.id).await.expect("destroyed");
}
