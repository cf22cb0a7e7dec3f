//! A form that refuses what the profile says: the person is asked about just that, and what they say is sent once.

use serde_json::json;
use valet_board::{Expectation, FormKind, Meaning, Rule};

use super::applicant::differences;
use super::house::House;

/// A form that wants web addresses with their scheme; the profile has them without.
fn strict(form: FormKind) -> u32 {
    let asks = |seed: &u32| {
        let linkedin = Expectation::of(form, *seed).field(Meaning::Linkedin).map(|field| field.rule);
        linkedin == Some(Rule::AddressWithScheme)
    };
    (200..1_000).find(asks).expect("one of many seeds")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_the_form_refuses_is_asked_of_a_person_and_sent_once() {
    let house = House::start(2).await;
    for form in FormKind::PLAIN {
        let seed = strict(form);
        let run = house
            .applicant()
            .start_with(form, seed, |profile| {
                for (name, link) in
                    [("linkedin", "www.linkedin.com/in/zoe-example"), ("github", "github.com/zoe-example")]
                {
                    profile["links"][name] = json!(link);
                }
            })
            .await;
        let filed = house.follow(form, seed, &run).await;
        assert_eq!(filed.run.run.status, "succeeded", "{form:?}/{seed}: {:?}", filed.run.error);
        let expected = Expectation::of(form, seed);
        assert_eq!(differences(&expected, &filed.received), [""; 0], "{form:?}/{seed}");
        let label = &expected.field(Meaning::Linkedin).expect("chosen for it").label;
        let asked = filed.asked.iter().filter(|task| task.form.to_string().contains(label.as_str())).count();
        assert_eq!(asked, 1, "{form:?}/{seed}: {:?}", filed.asked);
    }
}
