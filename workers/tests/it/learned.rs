//! A form that was filled before: what it taught is used, what was written is read back all the same, and what moved is kept anew.

use std::collections::BTreeMap;

use valet_workers::browser::BrowserAgent;
use valet_workers::form::{Learned, fill_page_knowing, signature};
use valet_workers::sandbox::SandboxProvider as _;

use super::ada::ada;
use super::rig::Rig;
use super::site::{Page, Site};

/// A form of the same questions each time; ids, names and what is around it are its builder's.
fn form(ids: [&str; 3], around: &str, more: &str) -> Page {
    let [first, last, phone] = ids;
    Page::Html(format!(
        "<!doctype html><title>Apply</title><h1>Apply for Gardener</h1><{around}><form method=post action=/send>
         <label for='{first}'>First name *</label><input id='{first}' name='n-{first}' required>
         <label for='{last}'>Last name *</label><input id='{last}' name='n-{last}' required>
         <label for='{phone}'>Phone *</label><input id='{phone}' name='n-{phone}' type=tel required>
         <button>Submit application</button></form></{around}>{more}"
    ))
}

/// Takes digits alone, which is not how the applicant writes the number.
const DIGITS_ALONE: &str = "<script>const p = document.querySelector('[type=tel]');
    p.addEventListener('input', () => p.setCustomValidity(/^[0-9]*$/.test(p.value) ? '' : 'Digits only'));</script>";

#[tokio::test(flavor = "multi_thread")]
async fn a_form_seen_before_is_filled_as_it_took_it_and_read_back_and_what_moved_is_kept_anew() {
    let (rig, site) = (Rig::new(), Site::start().await);
    let (sandbox, agent) = rig.browser(&[&site]).await;
    let ada = ada(&rig, sandbox.id, &[]).await;
    let mut learned = Learned::default();
    let mut tries = Vec::new();
    let mut name = String::new();
    let visits = [(["f1", "l1", "p1"], "div"), (["f1", "l1", "p1"], "div"), (["f2", "l2", "p2"], "main")];
    for (visit, (ids, around)) in visits.into_iter().enumerate() {
        site.put(&format!("/{visit}"), form(ids, around, DIGITS_ALONE));
        agent.navigate(&site.url(&format!("/{visit}"))).await.expect("opened");
        agent.take_log();
        let filled = fill_page_knowing(&agent, &ada, &mut learned).await.expect("filled");
        assert!(filled.is_ready(), "{:?}", filled.applied);
        tries.push(agent.take_log().len());
        name = signature(&filled.snapshot).expect("a form");
        let shown: BTreeMap<&str, &str> =
            filled.snapshot.controls.iter().map(|control| (control.id.as_str(), control.value.as_str())).collect();
        assert_eq!(shown[ids[0]], "Ada", "visit {visit}");
        assert!(shown[ids[2]].chars().all(|c| c.is_ascii_digit()), "visit {visit}: {shown:?}");
    }
    assert!(tries[1] < tries[0], "the second time nothing is tried in vain: {tries:?}");
    let first = learned.success(&name, "first name").expect("it is known");
    assert_eq!((first.taken, first.refused, first.healed), (3, 0, 1));
    let action = first.action.expect("an action");
    assert!(action.target.candidates.contains(&"#f2".to_owned()), "{action:?}");
    let kept = serde_json::to_string(&learned).expect("JSON");
    for value in ["Ada", "O'Brien", "555"] {
        assert!(!kept.contains(value), "{kept}");
    }
    rig.provider.destroy(&sandbox.id).await.expect("destroyed");
}
