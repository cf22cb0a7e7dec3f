//! Questions of a page as a JSON Schema form, and a person's answers back as answers of the application.

use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::input::Answer;
use super::steps::{Obstacle, ObstacleAnswer, Question};

/// The form of a task: a property `q1`, `q2` … a question, so that no label has to be a key.
pub(super) fn form(questions: &[Question]) -> Value {
    let mut properties = Map::new();
    for (index, question) in questions.iter().enumerate() {
        properties.insert(key(index), property(question));
    }
    let required: Vec<String> = (0..questions.len()).map(key).collect();
    json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": false })
}

fn property(question: &Question) -> Value {
    let mut property = json!({ "type": "string", "title": question.label, "minLength": 1, "maxLength": 10_000 });
    if question.kind == "yes_no" && question.options.is_empty() {
        property["enum"] = json!(["Yes", "No"]);
    } else if !question.options.is_empty() {
        property["enum"] = json!(question.options);
    } else if question.kind == "long_text" {
        property["x-multiline"] = json!(true);
    }
    let mut hints: Vec<&str> = question.error.iter().map(String::as_str).collect();
    if question.kind == "file" {
        property["pattern"] = json!("^file_[0-9a-f]{32}$");
        hints.push("Store the file (`valet files upload PATH`) and give its id: file_…");
    }
    if !hints.is_empty() {
        property["description"] = json!(hints.join(" "));
    }
    property
}

/// A person's answers under the questions' own words: what the agent looks them up by.
pub(super) fn answers(questions: &[Question], answer: &Value) -> Vec<Answer> {
    questions
        .iter()
        .enumerate()
        .filter_map(|(index, question)| {
            let text = answer.get(key(index))?.as_str()?;
            Some(Answer { question: question.label.clone(), answer: text.to_owned() })
        })
        .collect()
}

/// The form of a task that clears the way: a property a field, or whether it is done where nothing can be typed.
pub(super) fn obstacle(obstacle: &Obstacle) -> Value {
    if obstacle.fields.is_empty() {
        return yes_no("solved", "Solved in the browser itself?");
    }
    let mut properties = Map::new();
    for (index, field) in obstacle.fields.iter().enumerate() {
        let mut property = json!({ "type": "string", "title": field.label, "minLength": 1, "maxLength": 1_000 });
        if field.secret {
            property["format"] = json!("password");
            property["writeOnly"] = json!(true);
        }
        if !field.help.is_empty() {
            property["description"] = json!(field.help);
        }
        properties.insert(key(index), property);
    }
    let required: Vec<String> = (0..obstacle.fields.len()).map(key).collect();
    json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": false })
}

pub(super) fn obstacle_answers(obstacle: &Obstacle, answer: &Value) -> Vec<ObstacleAnswer> {
    let given = obstacle.fields.iter().enumerate().filter_map(|(index, field)| {
        let value = answer.get(key(index))?.as_str()?.to_owned();
        Some(ObstacleAnswer { key: field.key.clone(), value })
    });
    given.collect()
}

pub(super) fn approval() -> Value {
    yes_no("approve", "Send this application?")
}

pub(super) fn submitted() -> Value {
    yes_no("submitted", "Did the site receive the application?")
}

pub(super) fn again() -> Value {
    yes_no("again", "Try again now, with a fresh browser?")
}

fn yes_no(name: &str, title: &str) -> Value {
    json!({
        "type": "object",
        "properties": { name: { "type": "boolean", "title": title } },
        "required": [name],
        "additionalProperties": false
    })
}

pub(super) fn file(id: Option<Uuid>) -> Option<String> {
    id.map(|id| format!("file_{}", id.simple()))
}

fn key(index: usize) -> String {
    format!("q{}", index + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_come_back_under_the_questions_own_words() {
        let question = |label: &str, options: &[&str]| Question {
            label: label.to_owned(),
            kind: "text".to_owned(),
            options: options.iter().map(ToString::to_string).collect(),
            error: None,
        };
        let questions = [question("Why us?", &[]), question("Shift?", &["Day", "Night"])];
        let form = form(&questions);
        assert_eq!(form["properties"]["q2"]["enum"], json!(["Day", "Night"]));
        let answers = answers(&questions, &json!({ "q1": "Because.", "q2": "Night" }));
        assert_eq!(answers[0], Answer { question: "Why us?".into(), answer: "Because.".into() });
        assert_eq!(answers[1].question, "Shift?");
    }

    #[test]
    fn a_question_for_a_file_takes_a_files_id() {
        let question = Question {
            label: "Résumé".to_owned(),
            kind: "file".to_owned(),
            options: Vec::new(),
            error: Some("Please upload a PDF.".to_owned()),
        };
        let property = &form(&[question])["properties"]["q1"];
        assert_eq!(property["pattern"], "^file_[0-9a-f]{32}$");
        let description = property["description"].as_str().unwrap();
        assert!(description.starts_with("Please upload a PDF. Store the file"), "{description}");
    }
}
