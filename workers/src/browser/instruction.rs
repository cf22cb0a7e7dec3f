//! Instructions in words: a small grammar, and which element of a page is meant. Pure.
//!
//! ```text
//! click "Apply"                        press Enter in "Search"
//! fill "First name" with "Ada"         type "Ada" into "First name"
//! select "Germany" in "Country"        select "Country" as %country%
//! check "I agree"                      uncheck "Send me news"
//! upload %resume% to "Resume"          scroll to "Education"
//! wait 500 ms
//! ```
//!
//! `%name%` stands for a value given beside the words, so that no value need be written into them. Where several elements fit about equally
//! well nothing is done: the answer is the candidates, best first.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::action::{Action, ActionKind, ActionValue, Key, Selectors};
use crate::form::{Field, InputKind, Say, Snapshot, label_words, read_fields, say, words};

/// What a candidate must score to be taken, and how far it must be ahead of the next.
const ENOUGH: f32 = 0.6;
const MARGIN: f32 = 0.15;
/// Names that only share words are worth this much of the same name.
const SHARED_PART: f32 = 0.7;
/// A name that holds all the words and more.
const LONGER_PART: f32 = 0.85;
const DISABLED_PART: f32 = 0.6;
/// Of an element that is where a page leads elsewhere, and of one of another sort than was said.
const ELSEWHERE_PART: f32 = 0.9;
const OTHER_ROLE_PART: f32 = 0.6;
const CANDIDATES_MAX: usize = 5;
const WAIT_MS_MAX: u64 = 10_000;

/// Words with the values they name. Its `Debug` tells the words and the names: values are personal.
#[derive(Clone, Serialize, Deserialize)]
pub struct Words {
    pub text: String,
    #[serde(default)]
    pub values: BTreeMap<String, String>,
}

impl Words {
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), values: BTreeMap::new() }
    }

    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.values.insert(name.to_owned(), value.to_owned());
        self
    }
}

impl fmt::Debug for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Words").field("text", &self.text).field("values", &self.values.keys()).finish()
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum GrammarError {
    #[error("an instruction begins with click, fill, select, check, uncheck, upload, press, scroll or wait")]
    Verb,
    #[error("the element's name is missing: write it in quotes")]
    Name,
    #[error("the value is missing: write it in quotes or as %name%")]
    Value,
    #[error("no value is called %{0}%")]
    Unknown(String),
    #[error("a quote is not closed")]
    Quote,
    #[error("keys are Enter, Tab, Escape, Space, ArrowDown and ArrowUp")]
    Key,
    #[error("a time to wait is a number of ms or s, ten seconds at most")]
    Time,
}

/// An instruction that was understood, before it is known which element it means.
#[derive(Clone, PartialEq, Eq)]
pub struct Command {
    pub kind: ActionKind,
    /// The element's name; empty where none is needed.
    pub name: String,
    pub role: Option<Role>,
    pub value: Option<Value>,
}

#[derive(Clone, PartialEq, Eq)]
pub enum Value {
    Text(String),
    Checked(bool),
    Key(Key),
    WaitMs(u64),
}

/// What sort of element was said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Button,
    Link,
    Field,
}

/// One element that may be meant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    pub name: String,
    /// `button`, `link` or the sort of field.
    pub role: String,
    /// 0 to 1.
    pub score: f32,
    pub evidence: Vec<String>,
    /// Finds it again.
    pub target: Selectors,
}

/// Why no element was taken.
#[derive(Clone, Debug, PartialEq)]
pub enum Unresolved {
    /// Several fit; best first.
    Ambiguous(Vec<Candidate>),
    /// None fits; the nearest, best first.
    NotFound(Vec<Candidate>),
    /// It is there and cannot take the value.
    Unfit(Box<Candidate>),
}

/// The verbs, each with other words for it.
const VERBS: [(&str, ActionKind); 18] = [
    ("click", ActionKind::Click),
    ("open", ActionKind::Click),
    ("fill", ActionKind::Fill),
    ("type", ActionKind::Fill),
    ("write", ActionKind::Fill),
    ("enter", ActionKind::Fill),
    ("select", ActionKind::Select),
    ("choose", ActionKind::Select),
    ("pick", ActionKind::Select),
    ("check", ActionKind::Check),
    ("tick", ActionKind::Check),
    ("uncheck", ActionKind::Check),
    ("untick", ActionKind::Check),
    ("upload", ActionKind::Upload),
    ("attach", ActionKind::Upload),
    ("press", ActionKind::Press),
    ("scroll", ActionKind::Scroll),
    ("wait", ActionKind::Wait),
];
/// Between a value and the element it goes into: then the value comes first.
const INTO: [&str; 4] = ["in", "into", "to", "for"];

/// A piece of an instruction.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Word(String),
    Quoted(String),
    Named(String),
}

/// Understands the words; values that they name are taken from `words.values`.
pub fn parse(words: &Words) -> Result<Command, GrammarError> {
    let pieces = pieces(&words.text)?;
    let (first, rest) = pieces.split_first().ok_or(GrammarError::Verb)?;
    let Piece::Word(verb) = first else { return Err(GrammarError::Verb) };
    let &(verb, kind) = VERBS.iter().find(|(name, _)| name == verb).ok_or(GrammarError::Verb)?;
    let said: Vec<&str> = rest
        .iter()
        .filter_map(|piece| if let Piece::Word(word) = piece { Some(word.as_str()) } else { None })
        .collect();
    let role = said.iter().find_map(|word| match *word {
        "button" => Some(Role::Button),
        "link" => Some(Role::Link),
        "field" | "box" | "list" | "dropdown" | "checkbox" => Some(Role::Field),
        _ => None,
    });
    let given = |name: &String| words.values.get(name).cloned().ok_or_else(|| GrammarError::Unknown(name.clone()));
    let mut operands = Vec::new();
    for piece in rest {
        match piece {
            Piece::Quoted(text) => operands.push((text.clone(), false)),
            Piece::Named(name) => operands.push((given(name)?, true)),
            Piece::Word(_) => {}
        }
    }
    let single = |name: Option<(String, bool)>, value| {
        let name = name.map(|(text, _)| text).filter(|text| !text.trim().is_empty()).ok_or(GrammarError::Name)?;
        Ok(Command { kind, name, role, value })
    };
    match kind {
        ActionKind::Wait => {
            let value = Some(Value::WaitMs(time(&said)?));
            Ok(Command { kind, name: String::new(), role: None, value })
        }
        ActionKind::Press => {
            let key = said.iter().find_map(|word| key(word)).ok_or(GrammarError::Key)?;
            let name = operands.into_iter().next().map(|(text, _)| text).unwrap_or_default();
            Ok(Command { kind, name, role, value: Some(Value::Key(key)) })
        }
        ActionKind::Click | ActionKind::Scroll => single(operands.into_iter().next(), None),
        ActionKind::Check => single(operands.into_iter().next(), Some(Value::Checked(!verb.starts_with("un")))),
        ActionKind::Fill | ActionKind::Select | ActionKind::Upload => {
            let mut operands = operands.into_iter();
            let (first, second) = (operands.next(), operands.next());
            let first = first.ok_or(GrammarError::Name)?;
            let second = second.ok_or(if first.1 { GrammarError::Name } else { GrammarError::Value })?;
            let value_first = first.1 || !second.1 && said.iter().any(|word| INTO.contains(word));
            let (name, value) = if value_first { (second, first) } else { (first, second) };
            single(Some(name), Some(Value::Text(value.0)))
        }
    }
}

fn pieces(text: &str) -> Result<Vec<Piece>, GrammarError> {
    let mut pieces = Vec::new();
    let mut rest = text.trim();
    while let Some(first) = rest.chars().next() {
        let closing = match first {
            '"' => Some('"'),
            '\u{201c}' => Some('\u{201d}'),
            '%' => Some('%'),
            _ => None,
        };
        let (piece, after) = if let Some(closing) = closing {
            let inside = &rest[first.len_utf8()..];
            let end = inside.find(closing).ok_or(GrammarError::Quote)?;
            let text = inside[..end].to_owned();
            let piece = if first == '%' { Piece::Named(text) } else { Piece::Quoted(text) };
            (piece, &inside[end + closing.len_utf8()..])
        } else {
            let end =
                rest.find(|c: char| c.is_whitespace() || matches!(c, '"' | '\u{201c}' | '%')).unwrap_or(rest.len());
            (Piece::Word(rest[..end].to_lowercase()), &rest[end..])
        };
        pieces.push(piece);
        rest = after.trim_start();
    }
    Ok(pieces)
}

fn key(word: &str) -> Option<Key> {
    Some(match word {
        "enter" | "return" => Key::Enter,
        "tab" => Key::Tab,
        "escape" | "esc" => Key::Escape,
        "space" => Key::Space,
        "arrowdown" | "down" => Key::ArrowDown,
        "arrowup" | "up" => Key::ArrowUp,
        _ => return None,
    })
}

fn time(said: &[&str]) -> Result<u64, GrammarError> {
    let joined = said.concat();
    let digits: String = joined.chars().take_while(char::is_ascii_digit).collect();
    let number: u64 = digits.parse().map_err(|_| GrammarError::Time)?;
    let ms = match &joined[digits.len()..] {
        "ms" | "milliseconds" | "" => number,
        "s" | "seconds" | "second" => number.saturating_mul(1000),
        _ => return Err(GrammarError::Time),
    };
    if ms <= WAIT_MS_MAX { Ok(ms) } else { Err(GrammarError::Time) }
}

/// The actions that do what was said on this page: one, or several for a choice of more than one box.
pub fn resolve(page: &Snapshot, command: &Command) -> Result<Vec<Action>, Unresolved> {
    let bare = |target, value| Action { kind: command.kind, target, description: String::new(), value: Some(value) };
    match &command.value {
        Some(Value::WaitMs(ms)) => return Ok(vec![bare(Selectors::default(), ActionValue::WaitMs(*ms))]),
        // To whatever has the focus.
        Some(Value::Key(key)) if command.name.is_empty() => {
            return Ok(vec![bare(Selectors::css("body"), ActionValue::Key(*key))]);
        }
        _ => {}
    }
    let fields = read_fields(page);
    let (candidate, element) = choose(page, &fields, command)?;
    let on_it = |value| {
        let (target, description) = (candidate.target.clone(), candidate.name.clone());
        vec![Action { kind: command.kind, target, description, value }]
    };
    let said = match (&command.value, element) {
        (Some(Value::Key(key)), _) => return Ok(on_it(Some(ActionValue::Key(*key)))),
        (Some(Value::Checked(checked)), _) => return Ok(on_it(Some(ActionValue::Checked(*checked)))),
        (Some(Value::Text(text)), Element::Field(field)) => Some((text, field)),
        (None, _) => return Ok(on_it(None)),
        _ => None,
    };
    let saying = said.and_then(|(text, field)| {
        let filename = text.rsplit(['/', '\\']).next().unwrap_or(text).to_owned();
        let what = match command.kind {
            ActionKind::Upload => Say::File(PathBuf::from(text), filename),
            _ => Say::Text(vec![text.clone()]),
        };
        say(page, field, &what)
    });
    saying.map(|saying| saying.actions).ok_or_else(|| Unresolved::Unfit(Box::new(candidate)))
}

/// The same action on the element that now goes by its name, for one whose element is not where it was. `None` unless that is certain.
pub fn heal(page: &Snapshot, action: &Action) -> Option<Action> {
    if action.description.trim().is_empty() || matches!(action.kind, ActionKind::Wait) {
        return None;
    }
    let command = Command { kind: action.kind, name: action.description.clone(), role: None, value: None };
    let fields = read_fields(page);
    let (candidate, _) = choose(page, &fields, &command).ok()?;
    // What it is called is all that is left to know it by: another name is another element.
    let same = words(&candidate.name) == words(&action.description);
    same.then(|| Action { target: candidate.target, ..action.clone() })
}

#[derive(Clone, Copy)]
enum Element<'a> {
    Field(&'a Field),
    /// A button, a link, or one box of several.
    Single,
}

fn choose<'a>(page: &Snapshot, fields: &'a [Field], command: &Command) -> Result<(Candidate, Element<'a>), Unresolved> {
    let mut ranked = elements(page, fields, command);
    ranked.retain(|(candidate, _)| candidate.score > 0.0);
    ranked.sort_by(|a, b| b.0.score.total_cmp(&a.0.score));
    let listed = |ranked: Vec<(Candidate, Element<'a>)>| {
        ranked.into_iter().map(|(candidate, _)| candidate).take(CANDIDATES_MAX).collect()
    };
    match ranked.first() {
        Some((best, _)) if best.score >= ENOUGH => {}
        _ => return Err(Unresolved::NotFound(listed(ranked))),
    }
    if ranked.get(1).is_some_and(|(next, _)| ranked[0].0.score - next.score < MARGIN) {
        return Err(Unresolved::Ambiguous(listed(ranked)));
    }
    Ok(ranked.swap_remove(0))
}

/// What the command could be about, each with how well it fits.
fn elements<'a>(page: &Snapshot, fields: &'a [Field], command: &Command) -> Vec<(Candidate, Element<'a>)> {
    let mut found = Vec::new();
    let kind = command.kind;
    for field in fields.iter().filter(|field| field.usable(page) && takes(kind, field.input)) {
        let control = field.first(page);
        let names = [field.label.as_str(), &control.label, &control.placeholder, &control.name, &control.id];
        let role = field.input.as_str();
        let fit = rate(command, &names, Role::Field, false);
        let whole = !matches!(field.input, InputKind::Radio | InputKind::Checkboxes) || kind == ActionKind::Select;
        if whole {
            let target = Selectors { frame: control.frame.clone(), candidates: control.selectors.clone() };
            found.push((candidate(&field.label, role, fit, target), Element::Field(field)));
            continue;
        }
        for option in &field.options {
            let Some(control) = option.member.map(|member| &page.controls[member]) else { continue };
            let fit = rate(command, &[&option.label], Role::Field, false);
            let target = Selectors { frame: control.frame.clone(), candidates: control.selectors.clone() };
            found.push((candidate(&option.label, role, fit, target), Element::Single));
        }
    }
    if matches!(kind, ActionKind::Click | ActionKind::Press | ActionKind::Scroll) {
        let mut hrefs: Vec<(&str, &str)> = Vec::new();
        for button in page.buttons.iter().filter(|button| button.hidden.is_empty()) {
            // Two links with the same words to the same page are one.
            let link = (button.text.as_str(), button.href.as_str());
            if !button.href.is_empty() && hrefs.contains(&link) {
                continue;
            }
            hrefs.push(link);
            let role = if button.type_ == "link" { Role::Link } else { Role::Button };
            let elsewhere = matches!(button.landmark.as_str(), "header" | "footer" | "navigation");
            let mut fit = rate(command, &[&button.text, &button.id, &button.name], role, elsewhere);
            if !button.enabled {
                fit.score *= DISABLED_PART;
                fit.evidence.push("it is disabled".to_owned());
            }
            let target = Selectors { frame: button.frame.clone(), candidates: button.selectors.clone() };
            let role = if role == Role::Link { "link" } else { "button" };
            found.push((candidate(&button.text, role, fit, target), Element::Single));
        }
    }
    found
}

fn candidate(name: &str, role: &str, fit: Fit, target: Selectors) -> Candidate {
    Candidate { name: name.to_owned(), role: role.to_owned(), score: fit.score, evidence: fit.evidence, target }
}

/// Whether an action of this kind is done to a field of this sort.
fn takes(kind: ActionKind, input: InputKind) -> bool {
    match kind {
        ActionKind::Fill => input.is_typed() || input == InputKind::Password,
        ActionKind::Select => input.is_choice(),
        ActionKind::Check => matches!(input, InputKind::Checkbox | InputKind::Checkboxes | InputKind::Radio),
        ActionKind::Upload => input == InputKind::File,
        ActionKind::Click | ActionKind::Press | ActionKind::Scroll => true,
        ActionKind::Wait => false,
    }
}

struct Fit {
    score: f32,
    evidence: Vec<String>,
}

fn rate(command: &Command, names: &[&str], role: Role, elsewhere: bool) -> Fit {
    let wanted = words(&command.name);
    let mut fit = Fit { score: 0.0, evidence: Vec::new() };
    for (at, name) in names.iter().enumerate() {
        // The first name is what a person reads.
        let (likeness, how) = likeness(&wanted, name);
        let score = if at == 0 { likeness } else { likeness * ELSEWHERE_PART };
        if score > fit.score {
            fit = Fit { score, evidence: vec![format!("{how}: {name:?}")] };
        }
    }
    if command.role.is_some_and(|said| said != role) {
        fit.score *= OTHER_ROLE_PART;
        fit.evidence.push("of another sort than was said".to_owned());
    }
    // A press is meant for what is there to be pressed.
    if command.kind == ActionKind::Click && role == Role::Field && command.role.is_none() {
        fit.score *= ELSEWHERE_PART;
    }
    if elsewhere {
        fit.score *= ELSEWHERE_PART;
        fit.evidence.push("in the page's frame".to_owned());
    }
    fit
}

fn likeness(wanted: &[String], name: &str) -> (f32, &'static str) {
    let said = words(name);
    if wanted.is_empty() || said.is_empty() {
        return (0.0, "nothing");
    }
    if said == wanted {
        return (1.0, "the same name");
    }
    if label_words(name) == wanted {
        return (0.98, "the same name but for its mark");
    }
    let part = wanted.len() as f32 / said.len() as f32;
    if said.windows(wanted.len()).any(|window| window == wanted) {
        return (LONGER_PART * (0.75 + 0.25 * part), "a longer name");
    }
    let shared = wanted.iter().filter(|word| said.contains(word)).count() as f32;
    (SHARED_PART * shared / (wanted.len().max(said.len()) as f32), "words of the name")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Command, GrammarError, Unresolved, Value, Words, heal, parse, resolve};
    use crate::browser::{Action, ActionKind, ActionValue, Key, Selectors};
    use crate::form::Snapshot;

    fn understood(text: &str) -> Command {
        let words = Words::new(text).with("first_name", "Ada").with("resume", "/up/cv.pdf");
        parse(&words).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn an_instruction_has_a_verb_a_name_and_a_value_in_either_order() {
        let check = |text: &str, kind: ActionKind, name: &str, value: Option<Value>| {
            let command = understood(text);
            assert!(command.kind == kind && command.name == name && command.value == value, "{text}");
        };
        let ada = || Some(Value::Text("Ada".into()));
        check("fill \"First name\" with \"Ada\"", ActionKind::Fill, "First name", ada());
        check("type %first_name% into the \"First name\" field", ActionKind::Fill, "First name", ada());
        check("fill \"First name\" with %first_name%", ActionKind::Fill, "First name", ada());
        check("select \"Ada\" in \"Who\"", ActionKind::Select, "Who", ada());
        check("upload %resume% to \"Resume\"", ActionKind::Upload, "Resume", Some(Value::Text("/up/cv.pdf".into())));
        check("Click the \"Apply\" button", ActionKind::Click, "Apply", None);
        check("uncheck \"News\"", ActionKind::Check, "News", Some(Value::Checked(false)));
        check("press Enter in \"Search\"", ActionKind::Press, "Search", Some(Value::Key(Key::Enter)));
        check("wait 2 s", ActionKind::Wait, "", Some(Value::WaitMs(2000)));
    }

    #[test]
    fn what_is_not_understood_says_what_is_missing() {
        let check = |text: &str, expect: GrammarError| {
            assert_eq!(parse(&Words::new(text)).err(), Some(expect), "{text}");
        };
        check("", GrammarError::Verb);
        check("please apply", GrammarError::Verb);
        check("click Apply", GrammarError::Name);
        check("fill \"Name\"", GrammarError::Value);
        check("fill \"Name\" with %name%", GrammarError::Unknown("name".into()));
        check("click \"Apply", GrammarError::Quote);
        check("press Control in \"x\"", GrammarError::Key);
        check("wait an hour", GrammarError::Time);
        check("wait 60 s", GrammarError::Time);
    }

    fn page() -> Snapshot {
        let control = |order: u32, type_: &str, label: &str, selector: &str| json!({"order": order, "type": type_, "label": label, "label_source": "label", "selectors": [selector], "enabled": true, "tab_stop": true});
        let mut radios = [control(3, "radio", "Yes", "#y"), control(4, "radio", "No", "#n")];
        for radio in &mut radios {
            radio["set"] = json!("s");
            radio["set_question"] = json!("Do you drive?");
        }
        let [yes, no] = radios;
        let button = |order: u32, text: &str, selector: &str, landmark: &str| json!({"order": order, "type": "submit", "text": text, "selectors": [selector], "enabled": true, "landmark": landmark});
        serde_json::from_value(json!({
            "controls": [control(0, "text", "First name *", "#f"), control(1, "text", "Last name", "#l"), control(2, "file", "Resume", "#r"), yes, no],
            "buttons": [button(10, "Apply", "#a", "main"), button(11, "Apply for this job", "#b", "main"), button(12, "Send", "#s", ""), button(13, "Send", "#t", "")],
        }))
        .expect("a snapshot")
    }

    #[test]
    fn the_element_that_is_meant_is_found_by_its_name() {
        let check = |text: &str, selector: &str, value: Option<ActionValue>| {
            let actions = resolve(&page(), &understood(text)).unwrap_or_else(|why| panic!("{text}: {why:?}"));
            let [action] = &actions[..] else { panic!("{text}: one action") };
            assert_eq!((action.target.candidates[0].as_str(), &action.value), (selector, &value), "{text}");
        };
        check("fill \"first name\" with \"Ada\"", "#f", Some(ActionValue::Text("Ada".into())));
        check("click \"Apply\"", "#a", None);
        check("select \"No\" in \"Do you drive?\"", "#n", Some(ActionValue::Checked(true)));
        check("check \"Yes\"", "#y", Some(ActionValue::Checked(true)));
        check("upload \"/up/cv.pdf\" to \"Resume\"", "#r", Some(ActionValue::File("/up/cv.pdf".into())));
    }

    #[test]
    fn of_two_that_fit_none_is_taken() {
        let why = resolve(&page(), &understood("click \"Send\"")).expect_err("two buttons");
        let Unresolved::Ambiguous(candidates) = why else { panic!("{why:?}") };
        let found: Vec<&str> = candidates.iter().map(|one| one.target.candidates[0].as_str()).collect();
        assert_eq!(found, ["#s", "#t"]);

        let why = resolve(&page(), &understood("click \"Withdraw\"")).expect_err("no such button");
        assert!(matches!(why, Unresolved::NotFound(_)), "{why:?}");
        let why = resolve(&page(), &understood("select \"Perhaps\" in \"Do you drive?\"")).expect_err("no such option");
        assert!(matches!(why, Unresolved::Unfit(_)), "{why:?}");
    }

    #[test]
    fn an_action_finds_its_element_again_by_its_name_alone() {
        let action = |description: &str| Action {
            kind: ActionKind::Fill,
            target: Selectors::css("#gone"),
            description: description.into(),
            value: Some(ActionValue::Text("Ada".into())),
        };
        let healed = heal(&page(), &action("Last name")).expect("it is there");
        assert_eq!((healed.target, healed.value), (Selectors::css("#l"), Some(ActionValue::Text("Ada".into()))));
        assert_eq!(heal(&page(), &action("Surname of your mother")), None);
        assert_eq!(heal(&page(), &action("name")), None);
    }
}
