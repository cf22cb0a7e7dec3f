//! Applications through machines at Fly: the local Fly's, in which a gate and a browser of this machine run.

use std::io;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;
use valet_board::{Expectation, FormKind};
use valet_tests::bounds::{SOON, START_MAX};
use valet_tests::wait::{until, until_true};
use valet_vendors::fly::{self, Processes};
use valet_vendors::{Fault, Fly};
use valet_workers::sandbox::local::LocalConfig;
use valet_workers::sandbox::process::MARKER;

use super::applicant::differences;
use super::house::House;
use super::sandboxes::asking_seed;
use crate::it::PROGRAM;

const TOKEN: &str = "a-token-nobody-may-see";
const VIEW: &str = "https://valet-sandbox.example.com/";

fn gate_of_a_machine(folder: &Path, address: Ipv4Addr, config: &Value) -> io::Result<Command> {
    let file = config["files"][0]["raw_value"].as_str().expect("a file");
    let mut gate: Value = serde_json::from_slice(&STANDARD.decode(file).expect("base64"))?;
    for part in ["profile", "uploads", "downloads", "logs"] {
        std::fs::create_dir_all(folder.join(part))?;
    }
    let here = LocalConfig::new(folder.to_owned(), Vec::new());
    gate["sandbox_dir"] = json!(folder);
    gate["kind"] = json!(here.kind);
    gate["driver"] = json!(here.driver);
    gate["browser"] = json!(here.browser);
    (gate["headless"], gate["display"]) = (json!(true), Value::Null);
    let port = gate["listen"].as_str().and_then(|listen| listen.rsplit(':').next()).expect("a port").to_owned();
    gate["listen"] = json!(format!("{address}:{port}"));
    let path = folder.join("gate.json");
    std::fs::write(&path, gate.to_string())?;
    let mut command = Command::new(PROGRAM);
    command.arg("gate").arg("--config").arg(&path).env(MARKER, folder);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    Ok(command)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_goes_on_in_its_machine_after_its_worker_was_killed() {
    let root = TempDir::with_prefix("vlt").expect("a temporary folder");
    let machines = Arc::new(Processes::new(root.path(), gate_of_a_machine));
    let fly = Fly::start(TOKEN, fly::Delays::default(), machines).await.expect("a server");
    let settings = vec![
        ("VALET_FLY_URL", fly.served.url()),
        ("VALET_FLY_TOKEN", TOKEN.to_owned()),
        ("VALET_FLY_REGIONS", "iad,ord".to_owned()),
        ("VALET_FLY_LIVE_VIEW", format!("{VIEW}{{machine}}")),
    ];
    let mut house = House::start_set(1, settings).await;
    for tier in ["local", "local_headed"] {
        house.client.put_rule("tier", tier, &json!({ "enabled": false }), None).await.expect("a rule");
    }
    house.client.put_rule("tier", "fly", &json!({ "usd_per_hour": 3.6 }), None).await.expect("a price");
    // The first region has no room.
    fly.fill(&["iad"]);
    let seed = asking_seed();
    let run = house.applicant().start(FormKind::Steps, seed).await;
    let parked = until("the machine to wait for a person", START_MAX, async || {
        let rows = house.client.sandboxes(false).await.map_err(|error| error.to_string())?.sandboxes;
        rows.iter().find(|row| row.state == "parked").cloned().ok_or_else(|| format!("{rows:?}"))
    })
    .await;
    assert_eq!((parked.tier.as_str(), parked.provider.as_str(), parked.host.as_deref()), ("fly", "fly", None));
    let there = fly.machines();
    let [(machine, "started", region)] = &there[..] else { panic!("one machine: {there:?}") };
    assert_eq!(region, "ord");
    until("somebody to be told where it is seen", SOON, async || {
        let open = house.client.run(&run).await.map_err(|error| error.to_string())?.tasks;
        let told = open.iter().any(|task| task.context["live_view"] == format!("{VIEW}{machine}"));
        if told { Ok(()) } else { Err(format!("{open:?}")) }
    })
    .await;

    // What runs in the machine has all it needs to speak of it.
    let config = fly.config_of(machine).expect("its configuration");
    let named = |name: &str| (name.to_owned(), config["env"][name].as_str().expect(name).to_owned());
    let mut speaks = tokio::process::Command::new(PROGRAM);
    speaks.args(["sandbox-event", "step_started"]).envs(["VALET_CALLBACK_URL", "VALET_CALLBACK_TOKEN"].map(named));
    let spoken = speaks.output().await.expect("it runs");
    assert!(spoken.status.success(), "{}", String::from_utf8_lossy(&spoken.stderr));
    let rows = house.client.sandboxes(false).await.expect("a list").sandboxes;
    assert_eq!(rows[0].state, "in_use");

    house.worker.kill().await;
    house.worker.start();
    for fault in [Fault::Status(502), Fault::AnswerLost, Fault::TooMany { retry_after_s: None }] {
        fly.served.faults().push(fault);
    }
    let filed = house.follow(FormKind::Steps, seed, &run).await;
    assert_eq!(filed.run.run.status, "succeeded", "{:?}", filed.run.error);
    assert_eq!(filed.run.output.as_ref().expect("a receipt")["tier"], "fly");
    assert_eq!(differences(&Expectation::of(FormKind::Steps, seed), &filed.received), [""; 0]);
    assert_eq!(filed.received.len(), 1, "sent once");
    until_true("the machine to be gone", SOON, async || fly.machines().is_empty()).await;
    assert_eq!(fly.ever_made("valet_sandbox", &parked.id), 1, "it went on in the one that it had");
    assert_eq!(fly.served.violations(), []);
    until("its row to say so", SOON, async || {
        let rows = house.client.sandboxes(true).await.map_err(|error| error.to_string())?.sandboxes;
        let told = rows.iter().all(|row| row.state == "destroyed" && row.cost_usd_micros > 0);
        if told && rows.len() == 1 { Ok(()) } else { Err(format!("{rows:?}")) }
    })
    .await;
    assert!(!house.worker.log_tail(10_000).contains(TOKEN), "the token is nowhere");
    house.no_browser_is_left("an application elsewhere").await;
}
