//! Saved pages: read as they were saved, with nobody told.

use std::collections::BTreeMap;

use serde_json::json;
use tempfile::TempDir;
use valet_workers::saved_pages::{SavedPages, pages_below, score};

use super::rig::Rig;
use super::site::Site;

fn folder_with(pages: &[(&str, &str)]) -> TempDir {
    let folder = TempDir::new().expect("a folder");
    for (name, html) in pages {
        let file = folder.path().join(name);
        std::fs::create_dir_all(file.parent().expect("a parent")).expect("a folder");
        std::fs::write(file, html).expect("written");
    }
    folder
}

#[tokio::test(flavor = "multi_thread")]
async fn a_saved_page_is_read_and_no_connection_is_tried() {
    let rig = Rig::new();
    let outside = Site::start().await;
    let there = outside.page("/there", "there");
    let names_it = format!(
        "<meta http-equiv=refresh content='0; url={there}'><base href='{there}/'>
         <link rel=preconnect href='{there}'><link rel=stylesheet href='https://styles.example.test/a.css'>
         <script src='{there}'></script><script>fetch('{there}'); location.href = '{there}'</script>
         <img src='{there}'><img src='//images.example.test/a.png'><iframe src='{there}'></iframe>
         <video src='{there}' autoplay></video>
         <body onload=\"document.body.innerHTML = ''\" style=\"background: url('{there}')\">
         <form action='{there}'><label>First name <input data-control=first></label>
         <div style='display: none'><label for=m>E-mail</label><input id=m></div></form>"
    );
    let folder = folder_with(&[("page.html", &names_it), ("notes.txt", "no page")]);
    let pages = pages_below(folder.path()).expect("a folder of pages");
    assert_eq!(pages.iter().map(|page| page.name.as_str()).collect::<Vec<_>>(), ["page.html"]);

    let mut browser = SavedPages::open(&rig.provider).await.expect("a browser");
    let answers = browser.read(&pages[0]).await.expect("a browser").expect("a page");
    let found: Vec<_> = answers.controls.iter().map(|answer| json!([answer.control, answer.kind])).collect();
    assert_eq!(found, [json!(["first", "firstName"]), json!(["#m", "emailAddress"])], "hidden controls too");

    let sandbox = browser.sandbox().expect("a sandbox");
    let egress = rig.egress(sandbox).await;
    // The browser's makers are asked for by the browser itself; what the page names by nobody.
    let refused = egress["last_refused"].to_string();
    for named in ["example.test", outside.host_port().as_str()] {
        assert!(!refused.contains(named), "nothing of the page was asked for: {egress}");
    }
    assert_eq!(outside.requests(), [] as [String; 0]);
    browser.close().await.expect("closed");
    assert_eq!(rig.processes(sandbox.0), 0, "no browser is left");
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_compared_with_labels_that_the_page_does_not_show() {
    let rig = Rig::new();
    let folder = folder_with(&[
        (
            "a/sign_up.html",
            "<form><label>Last name <input name=x data-manual-scoring=\"lastName\"></label>
             <label>City <input name=city data-manual-scoring='addressCity'></label>
             <label>Lucky number <input name=phone data-manual-scoring=unknown></label></form>",
        ),
        ("b.HTM", "<p>Nothing to fill in"),
    ]);
    let pages = pages_below(folder.path()).expect("a folder of pages");
    let mut browser = SavedPages::open(&rig.provider).await.expect("a browser");
    let mut labels = BTreeMap::new();
    for page in &pages {
        let compared = browser.compare(page).await.expect("a browser").expect("a page");
        let answers = compared.labelled.iter().map(|one| json!([one.label, one.answer]));
        labels.insert(page.name.as_str(), answers.collect::<Vec<_>>());
    }
    browser.close().await.expect("closed");
    assert_eq!(labels["b.HTM"], [] as [serde_json::Value; 0]);
    let first = &labels["a/sign_up.html"];
    assert_eq!(first[..2], [json!(["lastName", "lastName"]), json!(["addressCity", "addressCity"])]);
    assert_ne!(first[2], json!(["unknown", "phone"]), "a label beats a name");
}

/// Forms as they are written everywhere: old tables, well-known frameworks, a dozen languages, fields that look like contact fields and
/// are none. None of them is anybody's page.
#[tokio::test(flavor = "multi_thread")]
async fn forms_in_common_styles_are_understood() {
    let rig = Rig::new();
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/pages/common");
    let pages = pages_below(&folder).expect("a folder of pages");
    let mut browser = SavedPages::open(&rig.provider).await.expect("a browser");
    let counted = score([]).by_type;
    let (mut labelled, mut wrong) = (Vec::new(), Vec::new());
    for page in &pages {
        let compared = browser.compare(page).await.expect("a browser").expect("a page");
        for (at, one) in compared.labelled.iter().enumerate() {
            let answer = one.answer.map_or("nothing", |kind| kind.as_str());
            if answer != one.label && (counted.contains_key(answer) || counted.contains_key(one.label.as_str())) {
                wrong.push(format!("{} c{}: {}, answered {answer}", page.name, at + 1, one.label));
            }
        }
        labelled.push(compared.labelled);
    }
    browser.close().await.expect("closed");
    let figures = score(labelled.iter().map(Vec::as_slice));
    assert!(figures.labels > 200, "{}", figures.labels);
    assert_eq!((figures.precision, figures.recall), (1.0, 1.0), "{}", wrong.join("\n"));
}
