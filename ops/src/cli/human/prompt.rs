//! Questions asked one by one at a terminal.

use std::io::{self, BufRead, Write};

use serde_json::{Map, Value};

use super::form::{Field, Form, Kind, plain};
use crate::cli::bounds::TRIES_MAX;
use crate::cli::style::Style;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum PromptError {
    #[error("the answers ended before the questions; nothing was sent")]
    Ended,
    #[error("`{0}` got no fitting answer; nothing was sent")]
    TooManyTries(String),
    #[error("cannot talk to the terminal: {0}")]
    Io(#[from] io::Error),
}

/// Where the questions are put and answered.
pub(super) struct Terminal<I, O> {
    pub input: I,
    pub out: O,
    /// Reads a line that is not shown while it is typed.
    pub hidden: fn() -> io::Result<String>,
}

/// Asks every question. An empty line skips one that is optional.
pub(super) fn ask<I: BufRead, O: Write>(
    form: &Form,
    style: Style,
    terminal: &mut Terminal<I, O>,
) -> Result<Map<String, Value>, PromptError> {
    let mut answer = Map::new();
    for (index, field) in form.fields.iter().enumerate() {
        let out = &mut terminal.out;
        writeln!(out, "\n{}", style.bold(&format!("{}/{}  {}", index + 1, form.fields.len(), title(field))))?;
        if let Some(description) = &field.description {
            writeln!(out, "     {}", style.warn(description))?;
        }
        if let Some(value) = ask_field(field, terminal)? {
            answer.insert(field.name.clone(), value);
        }
    }
    Ok(answer)
}

fn title(field: &Field) -> String {
    if field.required { field.title.clone() } else { format!("{} (optional)", field.title) }
}

fn ask_field<I: BufRead, O: Write>(field: &Field, terminal: &mut Terminal<I, O>) -> Result<Option<Value>, PromptError> {
    let Terminal { input, out, hidden } = terminal;
    for (number, option) in (1..).zip(options(&field.kind)) {
        writeln!(out, "  {number:>2}) {}", plain(option))?;
    }
    for _ in 0..TRIES_MAX {
        write!(out, "{}> ", hint(&field.kind))?;
        out.flush()?;
        let words = match field.kind {
            Kind::Text { several_lines: true } => read_lines(input)?,
            Kind::Secret => hidden()?,
            _ => read_line(input)?.ok_or(PromptError::Ended)?,
        };
        if words.trim().is_empty() {
            if !field.required {
                return Ok(None);
            }
            writeln!(out, "  this question needs an answer")?;
            continue;
        }
        match field.value(&named(&field.kind, words.trim())) {
            Ok(value) => return Ok(Some(value)),
            Err(why) => writeln!(out, "  {why}")?,
        }
    }
    Err(PromptError::TooManyTries(field.title.clone()))
}

fn options(kind: &Kind) -> &[Value] {
    match kind {
        Kind::Choice(options) | Kind::Choices(options) => options,
        _ => &[],
    }
}

fn hint(kind: &Kind) -> &'static str {
    match kind {
        Kind::Text { several_lines: false } => "",
        Kind::Secret => "(not shown) ",
        Kind::Text { several_lines: true } => "(several lines, end with an empty one) ",
        Kind::Choices(_) => "(numbers, separated by commas) ",
        Kind::YesNo => "(y/n) ",
        Kind::Choice(_) | Kind::Integer | Kind::Number => "(a number) ",
        Kind::Json => "(JSON) ",
    }
}

/// Numbers of options as the options themselves; an option's own words go first.
fn named(kind: &Kind, words: &str) -> String {
    let options = options(kind);
    let name = |word: &str| {
        let is_option = options.iter().any(|option| plain(option) == word);
        let number = word.parse::<usize>().ok().filter(|_| !is_option).and_then(|number| number.checked_sub(1));
        number.and_then(|index| options.get(index)).map_or_else(|| word.to_owned(), plain)
    };
    match kind {
        Kind::Choice(_) => name(words),
        Kind::Choices(_) => words.split(',').map(|word| name(word.trim())).collect::<Vec<_>>().join(","),
        _ => words.to_owned(),
    }
}

fn read_line(input: &mut impl BufRead) -> Result<Option<String>, PromptError> {
    let mut line = String::new();
    let read = input.read_line(&mut line)?;
    Ok((read > 0).then(|| line.trim_end_matches(['\n', '\r']).to_owned()))
}

/// Up to an empty line or the end of the input.
fn read_lines(input: &mut impl BufRead) -> Result<String, PromptError> {
    let mut lines = Vec::new();
    loop {
        match read_line(input)? {
            None if lines.is_empty() => return Err(PromptError::Ended),
            None => break,
            Some(line) if line.is_empty() => break,
            Some(line) => lines.push(line),
        }
    }
    Ok(lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn form() -> Form {
        Form::read(&json!({
            "required": ["q1", "q2", "q3", "q4"],
            "properties": {
                "q1": { "type": "string", "title": "Why us?", "x-multiline": true },
                "q2": { "type": "string", "title": "Shift?", "enum": ["Day", "Night"], "description": "choose again" },
                "q3": { "type": "boolean", "title": "Visa?" },
                "q4": { "type": "array", "title": "Languages", "items": { "enum": ["Rust", "Go", "C"] } },
                "q5": { "type": "string", "title": "Anything else?" },
                "q6": { "type": "string", "title": "Password", "format": "password" },
            }
        }))
        .unwrap()
    }

    fn asked(words: &str) -> (Result<Map<String, Value>, PromptError>, String) {
        let hidden = || Ok("hunter2".to_owned());
        let mut terminal = Terminal { input: words.as_bytes(), out: Vec::new(), hidden };
        let answer = ask(&form(), Style::default(), &mut terminal);
        (answer, String::from_utf8(terminal.out).unwrap())
    }

    #[test]
    fn every_question_is_asked_until_its_answer_fits() {
        let (answer, shown) = asked("\nFirst line.\nSecond.\n\n3\n2\nmaybe\ny\n1, c\n\n");
        let expected =
            json!({ "q1": "First line.\nSecond.", "q2": "Night", "q3": true, "q4": ["Rust", "C"], "q6": "hunter2" });
        assert_eq!(Value::Object(answer.unwrap()), expected);
        for part in [
            "1/6  Why us?\n(several lines, end with an empty one) >   this question needs an answer",
            "2/6  Shift?\n     choose again\n   1) Day\n   2) Night\n(a number) >   choose one of: Day, Night",
            "(y/n) >   say yes or no",
            "5/6  Anything else? (optional)\n> ",
            "6/6  Password (optional)\n(not shown) > ",
        ] {
            assert!(shown.contains(part), "{part:?} is not in {shown}");
        }
    }

    #[test]
    fn an_input_that_ends_sends_nothing() {
        for words in ["", "a\n\n1\n", "a\n"] {
            assert!(matches!(asked(words).0, Err(PromptError::Ended)), "{words:?}");
        }
    }

    #[test]
    fn somebody_who_never_fits_is_not_asked_for_ever() {
        let words = format!("a\n\n{}", "9\n".repeat(1_000));
        assert!(matches!(asked(&words).0, Err(PromptError::TooManyTries(title)) if title == "Shift?"));
    }
}
