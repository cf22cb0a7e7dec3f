//! Files that are not there, or that the site does not take: said at the door, or asked of a person; never sent wrong.

use serde_json::{Value, json};
use valet::cli::client::RunFilter;
use valet_board::{Expectation, FormKind};
use valet_tests::bounds::START_MAX;
use valet_tests::wait::until;

use super::applicant::{RESUME, RESUME_NAME, differences};
use super::house::House;

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_not_there_is_refused_at_the_door() {
    let house = House::start(1).await;
    let missing = "file_00000000000000000000000000000001";
    let started = house
        .applicant()
        .try_start_input(FormKind::Simple, 3, |input| {
            let resume = input["documents"][0].clone();
            input["documents"] = json!([resume, { "kind": "cover_letter", "file": missing }]);
        })
        .await;
    let refused = started.expect_err("there is no such file").to_string();
    assert!(refused.contains("/input/documents/1/file"), "{refused}");
    assert!(refused.contains("POST /api/v1/files"), "the fix is named: {refused}");
    let runs = house.client.runs(&RunFilter::default(), None, 10).await.expect("the list of runs").runs;
    assert!(runs.is_empty(), "no run is left behind: {runs:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_the_form_refuses_is_asked_of_a_person_and_only_theirs_is_sent() {
    let house = House::start(1).await;
    for (form, seed) in [(FormKind::Simple, 5), (FormKind::Steps, 6)] {
        let refused =
            house.client.upload("resume.exe", b"MZ, no r\xc3\xa9sum\xc3\xa9".to_vec(), None).await.expect("a file");
        let run =
            house.applicant().start_input(form, seed, |input| input["documents"][0]["file"] = json!(refused.id)).await;
        let task = until("the file to be asked for", START_MAX, async || {
            let detail = house.client.run(&run).await.map_err(|error| error.to_string())?;
            let asks_for_file = |form: &Value| {
                form["properties"].as_object().is_some_and(|fields| fields.values().any(is_file_question))
            };
            let open = detail.tasks.into_iter().find(|task| task.state == "open" && asks_for_file(&task.form));
            open.ok_or_else(|| format!("{} {:?}", detail.run.status, detail.error))
        })
        .await;
        // An answer that is no file is refused, and the task stays open.
        let properties = task.form["properties"].as_object().expect("a form");
        let answer = |file: &str| {
            let expected = Expectation::of(form, seed);
            let answers = properties.iter().map(|(name, property)| {
                let field = expected.fields.iter().find(|field| property["title"] == field.label);
                let said = if is_file_question(property) {
                    file.to_owned()
                } else {
                    field.and_then(super::applicant::wanted).expect("a field of the board").to_owned()
                };
                (name.clone(), json!(said))
            });
            Value::Object(answers.collect())
        };
        house.client.answer(&task.id, answer("my new one.pdf"), "a").await.expect_err("not a file's id");
        let right = house.client.upload(RESUME_NAME, RESUME.to_vec(), None).await.expect("a file");
        house.client.answer(&task.id, answer(&right.id), "b").await.expect("answered");
        let filed = house.follow(form, seed, &run).await;
        assert_eq!(filed.run.run.status, "succeeded", "{form:?}/{seed}: {:?}", filed.run.error);
        assert_eq!(differences(&Expectation::of(form, seed), &filed.received), [""; 0], "{form:?}/{seed}");
    }
}

fn is_file_question(property: &Value) -> bool {
    property["pattern"].as_str().is_some_and(|pattern| pattern.starts_with("^file_"))
}
