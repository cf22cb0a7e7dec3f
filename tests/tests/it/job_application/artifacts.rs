//! What is kept of an application for whoever looks into it later: pictures, readings, actions, and moving pictures where they were asked for.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use valet_board::FormKind;
use valet_protocol::api::ArtifactView;

use super::house::{Filed, House};

const RECORDING_BYTES_MAX: u64 = 20_000_000;

impl House {
    /// By their names, with the steps that left them.
    async fn artifacts(&self, filed: &Filed) -> BTreeMap<String, (String, ArtifactView)> {
        let steps: BTreeMap<u32, &str> = filed.run.steps.iter().map(|step| (step.seq, step.name.as_str())).collect();
        let kept = self.client.artifacts(&filed.run.run.id).await.expect("the artifacts").artifacts;
        kept.into_iter()
            .map(|artifact| {
                let step = artifact.step.and_then(|seq| steps.get(&seq)).expect("a step left it");
                (artifact.filename.clone(), ((*step).to_owned(), artifact))
            })
            .collect()
    }

    async fn bytes(&self, artifact: &ArtifactView) -> Vec<u8> {
        self.client.download(&artifact.id).await.expect("it opens").bytes
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_page_leaves_what_it_was_and_what_was_done_on_it() {
    let house = House::start(1).await;
    let (form, seed) = (FormKind::Steps, 7);
    let run = house.applicant().start_input(form, seed, |input| input["record"] = json!(true)).await;
    let filed = house.follow(form, seed, &run).await;
    assert_eq!(filed.run.run.status, "succeeded", "{:?}", filed.run.error);
    let kept = house.artifacts(&filed).await;
    let names: Vec<&str> = kept.keys().map(String::as_str).collect();
    for (name, step) in [
        ("page-1-before.png", "fill-page"),
        ("page-1-after.png", "fill-page"),
        ("page-1-snapshot.json", "fill-page"),
        ("page-1-actions.json", "fill-page"),
        ("before-submit.png", "fill-page"),
        ("confirmation.png", "submit"),
        ("fill-page-recording.png", "fill-page"),
        ("submit-recording.png", "submit"),
    ] {
        let (left_by, _) = kept.get(name).unwrap_or_else(|| panic!("no {name} in {names:?}"));
        assert_eq!(left_by, step, "{name}");
    }

    let actions = house.bytes(&kept["page-1-actions.json"].1).await;
    let actions: Vec<Value> = serde_json::from_slice(&actions).expect("JSON");
    assert!(!actions.is_empty());
    for action in &actions {
        assert!(action["took_ms"].is_u64() && action["at_ms"].is_u64() && action["outcome"].is_string(), "{action}");
    }
    let snapshot: Value = serde_json::from_slice(&house.bytes(&kept["page-1-snapshot.json"].1).await).expect("JSON");
    assert!(snapshot["controls"].as_array().is_some_and(|controls| !controls.is_empty()));

    let (_, recording) = &kept["fill-page-recording.png"];
    assert!(recording.size_bytes <= RECORDING_BYTES_MAX, "{recording:?}");
    assert_eq!(recording.content_type, "image/png");
    let film = house.bytes(recording).await;
    let control = film.windows(4).position(|part| part == b"acTL").expect("it moves");
    let frames = u32::from_be_bytes(film[control + 4..control + 8].try_into().expect("a number"));
    assert!(frames >= 1, "{frames}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_leaves_the_pages_source_and_nothing_is_filmed_unasked() {
    let house = House::start(1).await;
    let run = house.applicant().start(FormKind::Closed, 2).await;
    let filed = house.follow(FormKind::Closed, 2, &run).await;
    assert_eq!(filed.run.run.status, "failed");
    let kept = house.artifacts(&filed).await;
    for name in ["stopped.png", "stopped-page.html", "stopped-snapshot.json", "stopped-actions.json"] {
        assert!(kept.contains_key(name), "no {name} in {:?}", kept.keys());
    }
    assert!(String::from_utf8_lossy(&house.bytes(&kept["stopped-page.html"].1).await).contains("<html"));
    assert!(!kept.keys().any(|name| name.contains("recording")), "{:?}", kept.keys());
}
