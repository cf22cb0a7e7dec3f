//! Decisions on pages given as data.

use serde_json::{Value, json};

use super::applicant::{Answer, Applicant, Document, DocumentKind, WorkAuthorization};
use super::buttons::NextKind;
use super::field::read_fields;
use super::page_kind::PageKind;
use super::plan::{Plan, plan};
use super::question::{QuestionKind, Reason, schema_of};
use super::snapshot::Snapshot;
use crate::browser::{ActionKind, ActionValue};

fn page(controls: &Value, buttons: &Value) -> Snapshot {
    let number = |list: &Value, from: usize| -> Value {
        let items = list.as_array().expect("a list").iter().enumerate();
        let fill = |(place, item): (usize, &Value)| {
            let mut item = item.clone();
            item["order"] = json!(from + place);
            item["enabled"] = item.get("enabled").cloned().unwrap_or(json!(true));
            item["form"] = item.get("form").cloned().unwrap_or(json!(0));
            item["selectors"] = json!([format!("#e{}", from + place)]);
            if item.get("tab_stop").is_none() {
                item["tab_stop"] = json!(true);
            }
            if item.get("label").is_some() && item.get("label_source").is_none() {
                item["label_source"] = json!("label");
            }
            item
        };
        items.map(fill).collect()
    };
    let page = json!({"controls": number(controls, 0), "buttons": number(buttons, 100), "forms": [{}, {"landmark": "footer"}]});
    serde_json::from_value(page).expect("a snapshot")
}

fn submit() -> Value {
    json!([{"type": "submit", "text": "Submit application"}])
}

fn planned(controls: &Value) -> Plan {
    plan(&page(controls, &submit()), &ada())
}

fn ada() -> Applicant {
    Applicant {
        first_name: "Ada".into(),
        last_name: "Lovelace".into(),
        email: "ada@example.test".into(),
        work_authorization: Some(WorkAuthorization { authorized: true, countries: vec!["US".into()], text: None }),
        needs_sponsorship: Some(false),
        documents: vec![Document {
            id: "cv".into(),
            kind: DocumentKind::Resume,
            path: "/up/cv.pdf".into(),
            filename: "cv.pdf".into(),
        }],
        ..Applicant::default()
    }
}

fn fills(plan: &Plan) -> Vec<(&str, &str)> {
    plan.fills.iter().map(|fill| (fill.label.as_str(), fill.value.as_str())).collect()
}

fn asked(plan: &Plan) -> Vec<(&str, Reason)> {
    plan.unknown.iter().map(|question| (question.label.as_str(), question.reason)).collect()
}

fn radios(set: &str, question: &str, options: [&str; 2]) -> [Value; 2] {
    options.map(|option| json!({"type": "radio", "set": set, "set_question": question, "label": option, "name": set}))
}

#[test]
fn what_a_person_reads_counts_more_than_a_name() {
    let plan = planned(&json!([
        {"type": "text", "label": "Last name", "name": "first_name"},
        {"type": "text", "label": "First name", "name": "x1"},
        {"type": "text", "label": "Why roses?", "name": "email"},
    ]));
    assert_eq!(fills(&plan), [("Last name", "Lovelace"), ("First name", "Ada")]);
}

#[test]
fn somebody_elses_fields_stay_empty() {
    let plan = planned(&json!([
        {"type": "text", "label": "Full name"},
        {"type": "text", "label": "Name", "section": "Emergency contact"},
        {"type": "email", "label": "Email", "group": "Reference 1"},
        {"type": "text", "label": "Company name"},
        {"type": "text", "label": "Manager's email"},
    ]));
    assert_eq!(fills(&plan), [("Full name", "Ada Lovelace")]);
}

#[test]
fn yes_and_no_are_said_as_the_question_turns_them() {
    let check = |question: &str, options: [&str; 2], expect: Option<&str>| {
        let plan = planned(&json!(radios("r", question, options)));
        assert_eq!(plan.fills.first().map(|fill| fill.value.as_str()), expect, "{question}");
    };
    let plain = ["Yes", "No"];
    check("Are you legally authorized to work in the US?", plain, Some("Yes"));
    check("Will you require visa sponsorship?", plain, Some("No"));
    check("Will you require sponsorship to be authorized to work in the US?", plain, Some("No"));
    check("Are you authorized to work in the US without sponsorship?", plain, Some("Yes"));
    check("Are you authorized to work in Canada?", plain, None);
    check(
        "Work authorization",
        ["I am authorized to work", "I am not authorized to work"],
        Some("I am authorized to work"),
    );
    check("Do you need sponsorship?", ["Maybe", "Later"], None);
}

#[test]
fn nothing_is_agreed_to_or_disclosed_without_an_answer() {
    let controls = json!([
        {"type": "text", "label": "First name"},
        {"type": "checkbox", "label": "I agree to the privacy policy *"},
        {"type": "checkbox", "label": "Send me job alerts"},
        {"type": "select", "label": "Gender *", "options": [{"label": "Select"}, {"label": "Female", "value": "f"}, {"label": "Male", "value": "m"}]},
    ]);
    let mut plan = planned(&controls);
    assert_eq!(fills(&plan), [("First name", "Ada")]);
    assert_eq!(asked(&plan), [("I agree to the privacy policy", Reason::NoAnswer), ("Gender", Reason::NoAnswer)]);
    assert_eq!(plan.unknown[1].kind, QuestionKind::Choice);
    assert_eq!(plan.unknown[1].options, ["Female", "Male"]);

    let answers = [("I agree to the privacy policy", "yes"), ("gender", "Female")];
    let answers = answers.map(|(question, answer)| Answer { question: question.into(), answer: answer.into() });
    plan = super::plan(&page(&controls, &submit()), &Applicant { answers: answers.into(), ..ada() });
    assert!(plan.unknown.is_empty());
    let ticked = plan.fills.iter().find(|fill| fill.label.starts_with("I agree")).expect("the box");
    assert_eq!(ticked.actions[0].kind, ActionKind::Check);
    assert_eq!(ticked.actions[0].value, Some(ActionValue::Checked(true)));
}

#[test]
fn an_answer_goes_before_what_is_known_of_the_applicant() {
    let controls = json!([{"type": "email", "label": "Email address"}]);
    let answers = vec![Answer { question: "email address".into(), answer: "other@example.test".into() }];
    let plan = plan(&page(&controls, &submit()), &Applicant { answers, ..ada() });
    assert_eq!(fills(&plan), [("Email address", "other@example.test")]);
}

#[test]
fn a_file_that_is_not_taken_is_asked_for() {
    let plan = planned(&json!([
        {"type": "text", "label": "First name"},
        {"type": "file", "label": "Resume *", "accept": ".docx"},
    ]));
    assert_eq!(asked(&plan), [("Resume", Reason::NoOption)]);
    let plan = planned(
        &json!([{"type": "file", "label": "Choose file", "nearby": "Resume/CV", "hidden": "size", "label_visible": true}]),
    );
    assert_eq!(fills(&plan), [("Choose file", "cv.pdf")]);
}

#[test]
fn a_trap_is_left_alone() {
    let plan = planned(&json!([
        {"type": "text", "label": "First name"},
        {"type": "text", "label": "Last name", "hidden": "display"},
        {"type": "text", "label": "Email", "container": "Email Please leave this blank"},
        {"type": "email", "label": "Email", "tab_stop": false, "autocomplete": "off"},
    ]));
    assert_eq!(fills(&plan), [("First name", "Ada")]);
    assert!(plan.unknown.is_empty());
}

#[test]
fn the_button_that_goes_on_is_told_from_all_others() {
    let check = |buttons: Value, expect: Option<(NextKind, &str)>| {
        let page = page(&json!([{"type": "text", "label": "First name"}]), &buttons);
        let plan = plan(&page, &ada());
        let found = plan.next.as_ref().map(|next| (next.kind, next.text.as_str()));
        assert_eq!(found, expect, "{buttons}");
    };
    let other = [
        json!({"type": "submit", "text": "Save draft"}),
        json!({"type": "button", "text": "Cancel"}),
        json!({"type": "submit", "text": "Search", "form": null, "landmark": "header"}),
        json!({"type": "submit", "text": "Submit", "form": 1}),
        json!({"type": "link", "text": "Next job"}),
        json!({"type": "button", "text": "Upload"}),
        json!({"type": "submit", "text": "Sign in to apply"}),
        json!({"type": "submit", "text": "Apply with LinkedIn"}),
    ];
    check(json!(other), None);
    let with = |button: Value| Value::Array(other.iter().cloned().chain([button]).collect());
    check(with(json!({"type": "submit", "text": "Send application"})), Some((NextKind::Submit, "Send application")));
    check(with(json!({"type": "button", "text": "Save & continue"})), Some((NextKind::Next, "Save & continue")));
    check(with(json!({"type": "button", "text": "Review and submit"})), Some((NextKind::Next, "Review and submit")));
    check(with(json!({"type": "submit", "text": "Los!"})), Some((NextKind::Submit, "Los!")));
    check(json!([{"type": "submit", "text": "Next", "enabled": false}]), Some((NextKind::Next, "Next")));
}

#[test]
fn only_the_application_is_filled() {
    let plan = plan(
        &page(
            &json!([
                {"type": "search", "label": "Search jobs", "form": null, "landmark": "header"},
                {"type": "text", "label": "First name"},
                {"type": "email", "label": "Email"},
                {"type": "email", "label": "Email", "form": 1},
            ]),
            &json!([{"type": "submit", "text": "Apply"}, {"type": "submit", "text": "Subscribe", "form": 1}]),
        ),
        &ada(),
    );
    assert_eq!(fills(&plan), [("First name", "Ada"), ("Email", "ada@example.test")]);
}

#[test]
fn keys_are_unique_and_the_schema_asks_for_each() {
    let page = page(
        &json!([
            {"type": "textarea", "label": "Please explain *", "section": "Travel"},
            {"type": "textarea", "label": "Please explain *", "section": "Night shifts"},
            {"type": "number", "label": "Years with roses *"},
            {"type": "text", "label": "", "required": true},
        ]),
        &submit(),
    );
    let keys: Vec<String> = read_fields(&page).into_iter().map(|field| field.key).collect();
    assert_eq!(keys, ["travel please explain", "night shifts please explain", "years with roses", "field"]);
    let plan = plan(&page, &ada());
    let schema = schema_of(&plan.unknown);
    assert_eq!(schema["required"].as_array().map(Vec::len), Some(4));
    assert_eq!(schema["properties"]["years with roses"]["type"], "number");
}

#[test]
fn a_place_is_told_as_fully_as_it_is_asked_for() {
    let check = |label: &str, name: &str, expect: &str| {
        let address = super::Address {
            city: "Berlin".into(),
            state: "Berlin".into(),
            country: "Germany".into(),
            ..super::Address::default()
        };
        let controls = json!([{"type": "text", "label": label, "name": name}, {"type": "email", "label": "Email"}]);
        let plan = plan(&page(&controls, &submit()), &Applicant { address, ..ada() });
        assert_eq!(fills(&plan)[0], (label, expect), "{name}");
    };
    check("Where are you based? (city)", "x", "Berlin");
    check("Current location (city)", "location", "Berlin");
    check("City of residence", "location", "Berlin");
    check("Town or city", "x", "Berlin");
    check("Location", "x", "Berlin, Germany");
    check("Location", "city", "Berlin, Germany");
    check("Location (city, state)", "x", "Berlin, Germany");
}

#[test]
fn a_country_is_chosen_where_its_option_explains_itself() {
    let options = ["", "Austria", "Germany (Deutschland)", "Great Britain"];
    let options = options.map(|label| json!({"label": label, "value": label}));
    let address = super::Address { country: "Germany".into(), ..super::Address::default() };
    let controls =
        json!([{"type": "text", "label": "First name"}, {"type": "select", "label": "Country *", "options": options}]);
    let plan = plan(&page(&controls, &submit()), &Applicant { address, ..ada() });
    assert_eq!(fills(&plan)[1], ("Country *", "Germany (Deutschland)"));
}

#[test]
fn a_value_that_is_there_is_not_written_again() {
    let plan = planned(&json!([
        {"type": "text", "label": "First name", "value": "Ada"},
        {"type": "text", "label": "Last name", "value": "Byron"},
    ]));
    assert_eq!(plan.pending().map(|fill| fill.label.as_str()).collect::<Vec<_>>(), ["Last name"]);
}

#[test]
fn what_is_personal_is_not_printed() {
    let plan = planned(&json!([{"type": "text", "label": "Last name"}, {"type": "email", "label": "Email"}]));
    let printed = format!("{plan:?} {:?}", ada());
    assert!(!printed.contains("Lovelace") && !printed.contains("example.test"), "{printed}");
}

fn told(text: &str, pairs: &Value, buttons: &Value) -> Snapshot {
    let mut page = page(&json!([]), buttons);
    page.text = text.into();
    page.pairs = serde_json::from_value(pairs.clone()).expect("pairs");
    page
}

#[test]
fn a_review_is_told_from_a_posting_by_what_it_shows() {
    let apply = json!([{"type": "submit", "text": "Apply"}]);
    let pair = |label: &str| json!({"label": label, "value": "x", "source": "dl"});
    let check = |pairs: Value, kind: PageKind, next: NextKind| {
        let plan = plan(&told("Gardener", &pairs, &apply), &ada());
        assert_eq!((plan.page.kind, plan.next.map(|next| next.kind)), (kind, Some(next)), "{pairs}");
    };
    check(json!([pair("Location"), pair("Salary"), pair("Email")]), PageKind::Posting, NextKind::Apply);
    check(json!([pair("First name"), pair("Email"), pair("Salary")]), PageKind::Review, NextKind::Submit);
}

#[test]
fn a_confirmation_is_known_by_its_words_or_its_number() {
    let check = |text: &str, kind: PageKind, reference: Option<&str>| {
        let report = super::classify(&told(text, &json!([]), &json!([])));
        assert_eq!((report.kind, report.reference.as_deref()), (kind, reference), "{text}");
    };
    check("Thanks! Your application was received.", PageKind::Confirmation, None);
    check("Your application is with our team. Reference number: GX-4411", PageKind::Confirmation, Some("GX-4411"));
    check("We grow roses. Reference number: GX-4411", PageKind::Unknown, None);
    check("Your application is important to us.", PageKind::Unknown, None);
}

fn kinds(controls: &Value, buttons: &Value) -> Vec<&'static str> {
    read_fields(&page(controls, buttons)).iter().map(|field| field.kind.as_str()).collect()
}

#[test]
fn a_login_is_told_from_a_sign_up_by_what_the_form_says() {
    let check = |controls: Value, buttons: Value, expect: &str| {
        assert_eq!(kinds(&controls, &buttons)[0], expect, "{controls} {buttons}");
    };
    let login = "username OR emailAddress";
    let email = json!([{"type": "email", "label": "Email"}]);
    let with_password = json!([{"type": "email", "label": "Email"}, {"type": "password", "label": "Password"}]);
    let button = |text: &str| json!([{"type": "submit", "text": text}]);
    check(with_password.clone(), button("Sign in"), login);
    check(with_password.clone(), button("Create account"), "emailAddress");
    check(with_password.clone(), button("Einloggen"), login);
    check(with_password.clone(), button("S’inscrire"), "emailAddress");
    // Nothing is said: a name and a password are a login.
    check(with_password.clone(), button("→"), login);
    // What leads elsewhere tells where this is.
    let elsewhere = |link: &str| json!([{"type": "submit", "text": ""}, {"type": "link", "text": link}]);
    check(with_password.clone(), elsewhere("Sign in"), "emailAddress");
    check(with_password, elsewhere("Forgot password?"), login);
    check(email.clone(), button("Log in"), login);
    check(email.clone(), button("Subscribe"), "emailAddress");
    check(email, button("Reset password"), "emailAddress");
    // The first page of a login.
    check(json!([{"type": "email", "label": "Email", "id": "username"}]), button("Continue"), login);
    // Two passwords make an account, and so does a person's name.
    let twice = json!([
        {"type": "email", "label": "Email or phone"}, {"type": "password", "label": "Password"},
        {"type": "password", "label": "Repeat password"},
    ]);
    check(twice, button("Go"), "emailAddress");
}

#[test]
fn a_lone_name_is_told_by_its_neighbours_in_any_language() {
    let check = |labels: &[&str], expect: &[&str]| {
        let controls = labels.iter().map(|label| json!({"type": "text", "label": label})).collect();
        assert_eq!(kinds(&Value::Array(controls), &submit()), expect, "{labels:?}");
    };
    check(&["Name", "Email"], &["fullName", "emailAddress"]);
    check(&["Name", "Last name"], &["firstName", "lastName"]);
    check(&["Prénom", "Nom"], &["firstName", "lastName"]);
    check(&["Vorname", "Name"], &["firstName", "lastName"]);
    check(&["Nombre", "Apellidos"], &["firstName", "lastName"]);
    check(&["Nombre completo"], &["fullName"]);
    check(
        &["Straße und Hausnummer", "PLZ", "Ort", "Land"],
        &["addressStreet", "addressPostalCode", "addressCity", "addressCountryCode"],
    );
    check(
        &["Adresse", "Code postal", "Ville", "Pays"],
        &["addressStreet", "addressPostalCode", "addressCity", "addressCountryCode"],
    );
    check(&["Address", "Address"], &["addressStreet", "addressStreet2"]);
}

#[test]
fn a_part_of_a_date_is_told_by_its_neighbours() {
    let parts = |section: &str, more: Value| {
        let select = |label: &str| json!({"type": "select", "label": label, "section": section, "options": []});
        let mut controls = vec![select("Month"), select("Day"), select("Year")];
        controls.retain(|control| section.is_empty() || control["label"] != "Day" || section == "Birthday");
        controls.extend(more.as_array().cloned().unwrap_or_default());
        kinds(&Value::Array(controls), &submit())
    };
    assert_eq!(parts("Birthday", json!([])), ["birthdayMonth", "birthdayDay", "birthdayYear"]);
    assert_eq!(parts("", json!([])), ["birthdayMonth", "birthdayDay", "birthdayYear"]);
    let card = json!([{"type": "text", "label": "Card number"}]);
    assert_eq!(parts("Card", card)[..2], ["expirationMonth", "expirationYear"]);
}

#[test]
fn identifiers_are_understood_with_what_is_glued_to_them() {
    let check = |name: &str, expect: &str| {
        assert_eq!(kinds(&json!([{"type": "text", "name": name}]), &submit()), [expect], "{name}");
    };
    check("txtemail", "emailAddress");
    check("ctl00$body$txtCity", "addressCity");
    check("billingzip", "addressPostalCode");
    check("phoneno", "phone");
    check("shippingfirstname", "firstName");
    check("q_17", "unknown");
}

#[test]
fn autocomplete_counts_where_it_fits_the_control() {
    let check = |control: Value, expect: &str| {
        assert_eq!(kinds(&json!([control]), &submit()), [expect], "{control}");
    };
    check(json!({"type": "text", "autocomplete": "section-a billing given-name"}), "firstName");
    check(json!({"type": "text", "autocomplete": "new-password", "label": "City"}), "addressCity");
    check(
        json!({"type": "text", "autocomplete": "address-level1", "nearby": "Choose an address", "section": "Choose an address"}),
        "addressProvince",
    );
    check(json!({"type": "text", "placeholder": "you@example.com"}), "emailAddress");
    check(json!({"type": "text", "label": "Username", "placeholder": "you@example.com"}), "username");
    check(json!({"type": "tel", "placeholder": "(555) 555-5555"}), "phone");
    check(json!({"type": "tel", "placeholder": "123-45-6789"}), "unknown");
}
