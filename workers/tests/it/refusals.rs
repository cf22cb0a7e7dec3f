//! How pages refuse a form, and the press that comes too late.

use valet_workers::browser::{BrowserAgent as _, BrowserError};
use valet_workers::form::{Applicant, Moved, advance, fill_page};
use valet_workers::sandbox::SandboxProvider as _;

use super::rig::Rig;
use super::site::{Page, Site};

fn ada() -> Applicant {
    Applicant { first_name: "Ada".into(), last_name: "Lovelace".into(), ..Applicant::default() }
}

/// A form of three fields; `above` stands before it, `shift` are attributes of the field in question.
fn form(action: &str, above: &str, shift: &str) -> String {
    format!(
        "<title>Apply</title><h1>Apply</h1>{above}<form method=post action={action}>
         <label>First name <input name=first value=Ada></label><label>Last name <input name=last value=Lovelace></label>
         <label for=s1>Night shifts</label><input id=s1 name=shift {shift}><button>Submit application</button></form>"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_field_is_found_wherever_the_page_tells_of_it() {
    let rig = Rig::new();
    let site = Site::start().await;
    let cases = [
        ("/inline", "", "aria-invalid=true aria-describedby=e1><b id=e1>Say how many</b", "Say how many"),
        (
            "/summary",
            "<div role=alert><h2>There is a problem</h2><ul><li><a href='#s1'>Night shifts</a>: say how many</li></ul></div>",
            "",
            "Night shifts: say how many",
        ),
        ("/marked", "", "aria-invalid=true", "the page marks this as wrong"),
        ("/named", "<p role=alert>Night shifts needs a number.</p>", "", "Night shifts needs a number."),
    ];
    let (sandbox, agent) = rig.browser(&[&site]).await;
    for (path, above, shift, message) in cases {
        site.put(path, Page::Html(form(path, above, shift)));
        agent.navigate(&site.page(&format!("{path}/open"), form(path, "", ""))).await.expect("opened");
        let filled = fill_page(&agent, &ada()).await.expect("filled");
        let back = advance(&agent, &filled.snapshot, filled.plan.next.as_ref().expect("a button")).await.expect("sent");
        assert_eq!(back.moved, Moved::Refused, "{path}");
        let said: Vec<(&str, &str)> =
            back.complaints.iter().map(|complaint| (complaint.label.as_str(), complaint.message.as_str())).collect();
        assert_eq!(said, [("Night shifts", message)], "{path}");
    }
    rig.provider.destroy(&sandbox.id).await.expect("destroyed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_button_is_not_pressed_on_a_page_that_came_later() {
    let rig = Rig::new();
    let site = Site::start().await;
    site.put("/sent", Page::Thanks("<title>Done</title><h1>Application received</h1>".into()));
    let (sandbox, agent) = rig.browser(&[&site]).await;
    agent.navigate(&site.page("/one", form("/sent", "", ""))).await.expect("opened");
    let filled = fill_page(&agent, &ada()).await.expect("filled");
    let next = filled.plan.next.as_ref().expect("a button");
    // The same selectors lead to the next page's button by now.
    agent.navigate(&site.page("/two", form("/sent", "", ""))).await.expect("opened");
    let late = advance(&agent, &filled.snapshot, next).await;
    assert!(matches!(late, Err(BrowserError::NotFound { .. })), "{late:?}");
    assert!(site.forms("/sent").is_empty(), "nothing was pressed");
    let now = agent.snapshot().await.expect("read");
    advance(&agent, &now, next).await.expect("pressed where it was read");
    assert_eq!(site.forms("/sent").len(), 1);
    rig.provider.destroy(&sandbox.id).await.expect("destroyed");
}
