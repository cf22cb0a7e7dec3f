//! Carries out one action: find the element, do it as a person would, read it back, and fall back to the element's own setter.

use std::path::Path;
use std::time::{Duration, Instant};

use fantoccini::actions::{InputSource as _, KeyAction, KeyActions, MOUSE_BUTTON_LEFT, MouseActions, PointerAction};
use serde::Deserialize;
use serde_json::{Value, json};

use super::session::{Found, Session};
use super::{Acted, Action, ActionKind, ActionValue, BrowserError, OptionChoice, Pace, Selectors};

/// A list that opens on a click is there after this, or it asks a server that is too slow.
const LIST_WITHIN: Duration = Duration::from_secs(5);
const LIST_POLL: Duration = Duration::from_millis(60);
/// Pages may hand a chosen file to a script that shows its name a moment later.
const UPLOAD_SHOWN_WITHIN: Duration = Duration::from_secs(10);
/// A longer pause is a durable sleep, not an action.
const WAIT_MAX: Duration = Duration::from_secs(10);
/// A button that moves is waited for, and so is what covers it, this long; then it is pressed where it is, or not at all.
const STEADY_WITHIN: Duration = Duration::from_secs(2);
const STEADY_POLL: Duration = Duration::from_millis(50);
/// How long a hand takes to an element.
const HAND_MOVES_FOR: Duration = Duration::from_millis(120);
/// Characters a command types at a person's pace: at most half a minute's.
const TYPED_AT_ONCE: usize = 200;
/// Typing more than this is left to the setter: the driver types a character at a time.
const TYPED_MAX_CHARS: usize = 4000;

#[derive(Debug, Deserialize)]
struct State {
    tag: String,
    #[serde(rename = "type")]
    type_: String,
    role: String,
    editable: bool,
    value: String,
    checked: bool,
    files: Vec<String>,
    enabled: bool,
    read_only: bool,
    rendered: bool,
    complaint: String,
}

impl State {
    /// Types whose text form depends on the locale or has no keyboard form.
    fn is_set_only(&self) -> bool {
        self.editable
            || matches!(self.type_.as_str(), "date" | "month" | "week" | "time" | "datetime-local" | "color" | "range")
    }
}

impl Session<'_> {
    pub(super) async fn act(&mut self, action: &Action) -> Result<Acted, BrowserError> {
        let done = Acted { verified: false, complaint: String::new() };
        match (action.kind, &action.value) {
            (ActionKind::Wait, Some(ActionValue::WaitMs(ms))) => {
                tokio::time::sleep(Duration::from_millis(*ms).min(WAIT_MAX)).await;
                Ok(done)
            }
            (ActionKind::Click, _) => self.click(&action.target).await.map(|()| done),
            (ActionKind::Scroll, _) => self.find(&action.target).await.map(|_| done),
            (ActionKind::Press, Some(ActionValue::Key(key))) => {
                let (found, _) = self.find(&action.target).await?;
                self.keys(&found, key.code().to_owned()).await.map(|()| done)
            }
            (ActionKind::Fill, Some(ActionValue::Text(text))) => self.fill(&action.target, text).await,
            (ActionKind::Select, Some(ActionValue::Options(choices))) => self.select(&action.target, choices).await,
            (ActionKind::Check, Some(ActionValue::Checked(checked))) => self.check(&action.target, *checked).await,
            (ActionKind::Upload, Some(ActionValue::File(file))) => self.upload(&action.target, file).await,
            _ => Err(BrowserError::BadInput { what: "value for this kind of action" }),
        }
    }

    async fn state(&mut self, found: &Found) -> Result<State, BrowserError> {
        let value = self.dom("state", &[&found.reference]).await?;
        state(value)
    }

    async fn keys(&mut self, found: &Found, text: String) -> Result<(), BrowserError> {
        let (element, bound) = (found.element.clone(), self.limits().command);
        self.command("type", bound, |_| async move { element.send_keys(&text).await }).await
    }

    /// The element with its state, scrolled to.
    async fn take(&mut self, target: &Selectors) -> Result<(Found, State), BrowserError> {
        let (found, now) = self.find(target).await?;
        Ok((found, state(now)?))
    }

    async fn press(&mut self, found: &Found) -> Result<(), BrowserError> {
        self.dom("scroll", &[&found.reference]).await?;
        self.press_here(found).await
    }

    /// [`Self::press`] for an element that was scrolled to by finding it.
    async fn press_here(&mut self, found: &Found) -> Result<(), BrowserError> {
        if let Some(pace) = self.limits().pace
            && self.press_somewhere(found, pace).await?
        {
            return Ok(());
        }
        let (element, bound) = (found.element.clone(), self.limits().command);
        match self.command("click", bound, |_| async move { element.click().await }).await {
            // Firefox's driver waits for the page a press leads to, and says so when that cannot be opened: it was pressed.
            Err(BrowserError::Navigation(_)) => Ok(()),
            pressed => pressed,
        }
    }

    /// A press on a point that a person might have chosen; `false` where something else is at that point, and nothing was pressed.
    async fn press_somewhere(&mut self, found: &Found, pace: Pace) -> Result<bool, BrowserError> {
        let (x, y) = pace.point(self.link.paced);
        self.link.paced += 1;
        let offset = self.dom("aim", &[&found.reference, &json!(x), &json!(y)]).await?;
        let (Some(x), Some(y)) = (offset[0].as_f64(), offset[1].as_f64()) else { return Ok(false) };
        let (element, bound) = (found.element.clone(), self.limits().command);
        let pressed = self.command("press", bound, |client| async move {
            let hand = MouseActions::new("hand".to_owned())
                .then(PointerAction::MoveToElement { element, duration: Some(HAND_MOVES_FOR), x, y })
                .then(PointerAction::Down { button: MOUSE_BUTTON_LEFT })
                .then(PointerAction::Up { button: MOUSE_BUTTON_LEFT });
            client.perform_actions(hand).await
        });
        match pressed.await {
            Ok(()) | Err(BrowserError::Navigation(_)) => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// One command for a part of the text, with a pause before each of its characters.
    async fn type_slowly(&mut self, text: &str, pace: Pace) -> Result<(), BrowserError> {
        let characters: Vec<char> = text.chars().collect();
        for part in characters.chunks(TYPED_AT_ONCE) {
            let mut keys = KeyActions::new("keys".to_owned());
            for &value in part {
                let duration = pace.pause(self.link.paced);
                self.link.paced += 1;
                keys = keys
                    .then(KeyAction::Pause { duration })
                    .then(KeyAction::Down { value })
                    .then(KeyAction::Up { value });
            }
            let bound = self.limits().command;
            self.command("type", bound, |client| async move { client.perform_actions(keys).await }).await?;
        }
        Ok(())
    }

    /// Never through a script: what covers a button is there for a reason a person would see.
    ///
    /// [`BrowserError::NotFound`] and [`BrowserError::NotInteractable`] mean that nothing was pressed; a frame that went away tells so only
    /// where it did before the press.
    async fn click(&mut self, target: &Selectors) -> Result<(), BrowserError> {
        let unpressed = |error| match error {
            BrowserError::FrameGone { .. } => BrowserError::NotFound { target: target.to_string() },
            error => error,
        };
        let (found, before) = self.take(target).await.map_err(unpressed)?;
        if !before.enabled {
            return Err(BrowserError::NotInteractable { target: target.to_string(), reason: "it is disabled".into() });
        }
        let deadline = Instant::now() + STEADY_WITHIN;
        self.steady(&found, deadline).await.map_err(unpressed)?;
        loop {
            // The driver looks at what is in the way before it presses: while it refuses, nothing has been pressed.
            match self.press_here(&found).await {
                Err(BrowserError::NotInteractable { .. }) if Instant::now() < deadline => {
                    tokio::time::sleep(STEADY_POLL).await;
                    self.dom("scroll", &[&found.reference]).await?;
                }
                pressed => return pressed.map_err(|error| named(error, target)),
            }
        }
    }

    /// Waits until the element keeps its place.
    async fn steady(&mut self, found: &Found, deadline: Instant) -> Result<(), BrowserError> {
        let mut place = Value::Null;
        while Instant::now() < deadline {
            let now = self.dom("place", &[&found.reference]).await?;
            if now == place {
                break;
            }
            place = now;
            tokio::time::sleep(STEADY_POLL).await;
        }
        Ok(())
    }

    async fn fill(&mut self, target: &Selectors, text: &str) -> Result<Acted, BrowserError> {
        let (found, before) = self.take(target).await?;
        // What the page hid since it was read is not for a person to write.
        if !before.rendered {
            return Err(BrowserError::NotFound { target: target.to_string() });
        }
        if !before.enabled || before.read_only {
            return Err(BrowserError::NotInteractable {
                target: target.to_string(),
                reason: "it cannot be written".into(),
            });
        }
        let text = typeable(text, before.tag == "textarea" || before.editable);
        if !before.value.is_empty() && same_text(&before, &text) {
            return Ok(Acted { verified: true, complaint: before.complaint });
        }
        let mut after = None;
        // The page may replace the element while it is typed into.
        let typed = !before.is_set_only() && text.chars().count() <= TYPED_MAX_CHARS;
        if typed {
            match self.type_over(&found, &before, &text).await {
                Ok(state) => after = Some(state),
                Err(error) if !error.leaves_the_browser_usable() => return Err(error),
                Err(error) => tracing::debug!(%error, "typing failed, the setter is next"),
            }
        }
        if let Some(state) = after.filter(|state| same_text(state, &text)) {
            return Ok(Acted { verified: true, complaint: state.complaint });
        }
        let found = if typed { self.find(target).await?.0 } else { found };
        let after = state(self.dom("write", &[&found.reference, &json!(text)]).await?)?;
        if same_text(&after, &text) {
            Ok(Acted { verified: true, complaint: after.complaint })
        } else {
            Err(BrowserError::VerifyFailed { wanted: text, found: after.value })
        }
    }

    async fn type_over(&mut self, found: &Found, before: &State, text: &str) -> Result<State, BrowserError> {
        if let Some(pace) = self.limits().pace
            && before.value.is_empty()
        {
            self.press(found).await?;
            self.type_slowly(text, pace).await?;
            let value = self.dom("leave", &[&found.reference]).await?;
            return state(value);
        }
        // Control+A, then the text takes the place of what was there; NULL lets go of Control.
        let keys = if before.value.is_empty() { text.to_owned() } else { format!("\u{e009}a\u{e000}\u{e017}{text}") };
        self.keys(found, keys).await?;
        let value = self.dom("leave", &[&found.reference]).await?;
        state(value)
    }

    async fn select(&mut self, target: &Selectors, choices: &[OptionChoice]) -> Result<Acted, BrowserError> {
        if choices.is_empty() {
            return Err(BrowserError::BadInput { what: "choice" });
        }
        let (found, before) = self.take(target).await?;
        if !before.rendered {
            return Err(BrowserError::NotFound { target: target.to_string() });
        }
        if before.tag != "select" {
            return self.select_in_widget(target, &found, &before, &choices[0]).await;
        }
        let answer = self.dom("choose", &[&found.reference, &json!(choices)]).await?;
        let wanted: Vec<String> = choices.iter().map(|choice| normal(&choice.label)).collect();
        if let Some(missing) = answer["missing"].as_str() {
            return Err(BrowserError::VerifyFailed { wanted: missing.to_owned(), found: "no such option".into() });
        }
        let labels = |answer: &Value| -> Vec<String> {
            answer["selected"]
                .as_array()
                .into_iter()
                .flatten()
                .map(|option| normal(option["label"].as_str().unwrap_or("")))
                .collect()
        };
        let selected = labels(&answer);
        if choices.len() == selected.len()
            && wanted.iter().zip(choices).all(|(label, choice)| {
                selected.contains(label)
                    || answer["selected"]
                        .as_array()
                        .into_iter()
                        .flatten()
                        .any(|option| choice.value.as_deref() == option["value"].as_str())
            })
        {
            return Ok(Acted { verified: true, complaint: String::new() });
        }
        Err(BrowserError::VerifyFailed { wanted: wanted.join(", "), found: selected.join(", ") })
    }

    /// A list built from other elements: open it, narrow it by typing where it can be typed into, choose by text, read it back.
    async fn select_in_widget(
        &mut self,
        target: &Selectors,
        found: &Found,
        before: &State,
        choice: &OptionChoice,
    ) -> Result<Acted, BrowserError> {
        let wanted = normal(&choice.label);
        let texts_before = self.texts_around(found).await?;
        self.press(found).await.map_err(|error| named(error, target))?;
        if (before.tag == "input" || before.role == "searchbox") && !before.read_only {
            self.keys(found, typeable(&choice.label, false)).await?;
        }
        let deadline = Instant::now() + LIST_WITHIN;
        let option = loop {
            let options = self.dom("options", &[&found.reference]).await?;
            let options = options.as_array().cloned().unwrap_or_default();
            let matching = options.iter().find(|option| {
                normal(option["label"].as_str().unwrap_or("")) == wanted && option["disabled"] != json!(true)
            });
            if let Some(option) = matching {
                break self.found(option["element"].clone()).await?;
            }
            if Instant::now() >= deadline {
                let _ = self.keys(found, "\u{e00c}".into()).await;
                let shown: Vec<&str> = options.iter().filter_map(|option| option["label"].as_str()).take(20).collect();
                return Err(BrowserError::VerifyFailed {
                    wanted: choice.label.clone(),
                    found: format!("a list of {shown:?}"),
                });
            }
            tokio::time::sleep(LIST_POLL).await;
        };
        let option = option.ok_or_else(|| BrowserError::Protocol("an option without an element".into()))?;
        self.press(&option).await.map_err(|error| named(error, target))?;
        let (found, _) = self.find(target).await?;
        let texts = self.texts_around(&found).await?;
        if shows_choice(&texts_before, &texts, &wanted) {
            Ok(Acted { verified: true, complaint: String::new() })
        } else {
            Err(BrowserError::VerifyFailed { wanted, found: texts.into_iter().next().unwrap_or_default() })
        }
    }

    /// What an element says, and what is said around it, from the inside out.
    async fn texts_around(&mut self, found: &Found) -> Result<Vec<String>, BrowserError> {
        let texts = self.dom("around", &[&found.reference]).await?;
        Ok(texts.as_array().into_iter().flatten().map(|text| normal(text.as_str().unwrap_or(""))).collect())
    }

    async fn check(&mut self, target: &Selectors, checked: bool) -> Result<Acted, BrowserError> {
        let (found, before) = self.take(target).await?;
        if before.checked == checked {
            return Ok(Acted { verified: true, complaint: String::new() });
        }
        if !before.enabled {
            return Err(BrowserError::NotInteractable { target: target.to_string(), reason: "it is disabled".into() });
        }
        // The box itself, then the label that stands for a box drawn by other means, then the box's own click.
        for by_label in [false, true] {
            let pressed = if by_label {
                let label = self.dom("label", &[&found.reference]).await?;
                let Some(label) = self.found(label).await? else { continue };
                self.press(&label).await
            } else if before.rendered {
                self.press_here(&found).await
            } else {
                continue;
            };
            match pressed {
                Err(error) if !error.leaves_the_browser_usable() => return Err(error),
                _ => {}
            }
            if self.state(&found).await?.checked == checked {
                return Ok(Acted { verified: true, complaint: String::new() });
            }
        }
        let after = state(self.dom("click", &[&found.reference]).await?)?;
        if after.checked == checked {
            Ok(Acted { verified: true, complaint: after.complaint })
        } else {
            Err(BrowserError::VerifyFailed { wanted: checked.to_string(), found: after.checked.to_string() })
        }
    }

    async fn upload(&mut self, target: &Selectors, file: &Path) -> Result<Acted, BrowserError> {
        let filename = file
            .file_name()
            .and_then(|name| name.to_str())
            .ok_or(BrowserError::BadInput { what: "file name" })?
            .to_owned();
        let path = file
            .to_str()
            .filter(|path| !path.contains('\n'))
            .ok_or(BrowserError::BadInput { what: "file path" })?
            .to_owned();
        let (found, before) = self.take(target).await?;
        if before.type_ != "file" {
            return Err(BrowserError::NotInteractable {
                target: target.to_string(),
                reason: "it takes no file".into(),
            });
        }
        if before.files == [filename.clone()] {
            return Ok(Acted { verified: true, complaint: String::new() });
        }
        self.keys(&found, path).await.map_err(|error| named(error, target))?;
        let deadline = Instant::now() + UPLOAD_SHOWN_WITHIN;
        loop {
            // Some pages send the file on at once and take the field away; then they show its name.
            let files = match self.state(&found).await {
                Ok(state) => state.files,
                Err(error) if !error.leaves_the_browser_usable() => return Err(error),
                Err(_) => Vec::new(),
            };
            if files.contains(&filename) || self.dom("mentions", &[&json!(filename)]).await? == json!(true) {
                return Ok(Acted { verified: true, complaint: String::new() });
            }
            if Instant::now() >= deadline {
                return Err(BrowserError::VerifyFailed { wanted: filename, found: files.join(", ") });
            }
            tokio::time::sleep(LIST_POLL).await;
        }
    }
}

fn state(value: Value) -> Result<State, BrowserError> {
    serde_json::from_value(value)
        .map_err(|error| BrowserError::Protocol(format!("an element's state has another shape: {error}")))
}

fn named(error: BrowserError, target: &Selectors) -> BrowserError {
    match error {
        BrowserError::NotInteractable { reason, .. } => {
            BrowserError::NotInteractable { target: target.to_string(), reason }
        }
        BrowserError::NotFound { .. } => BrowserError::NotFound { target: target.to_string() },
        error => error,
    }
}

/// Whether what changed first, from the inside out, says what was chosen now; a list may have been as wanted before.
fn shows_choice(before: &[String], now: &[String], wanted: &str) -> bool {
    let wanted_words: Vec<&str> = wanted.split(' ').collect();
    let says = |text: &String| {
        let words: Vec<&str> = text.split(|c: char| c.is_whitespace()).collect();
        text == wanted || words.windows(wanted_words.len()).any(|window| window == wanted_words)
    };
    match now.iter().zip(before).find(|(now, before)| now != before) {
        Some((changed, _)) => says(changed),
        None => now.iter().any(|text| text == wanted),
    }
}

/// What the keyboard can say: no WebDriver key codes, and no line break where it would submit the form.
fn typeable(text: &str, multiline: bool) -> String {
    text.replace("\r\n", "\n")
        .chars()
        .filter(|c| !('\u{e000}'..='\u{f8ff}').contains(c))
        .map(|c| if c.is_control() && !(multiline && c == '\n') { ' ' } else { c })
        .collect()
}

fn normal(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
}

/// Whether the page shows the text that was meant; a mask may add its own punctuation.
fn same_text(state: &State, wanted: &str) -> bool {
    let found = state.value.replace("\r\n", "\n");
    if found == wanted || found.trim() == wanted.trim() {
        return true;
    }
    if state.type_ == "number" || state.type_ == "range" {
        return matches!((found.parse::<f64>(), wanted.parse::<f64>()), (Ok(a), Ok(b)) if (a - b).abs() < f64::EPSILON);
    }
    if state.editable || state.type_ == "email" {
        return normal(&found) == normal(wanted);
    }
    let bare = |text: &str| text.chars().filter(|c| c.is_alphanumeric()).collect::<String>().to_lowercase();
    // A text of punctuation only has nothing left to compare.
    !bare(wanted).is_empty() && bare(&found) == bare(wanted) && state.tag == "input"
}

#[cfg(test)]
mod tests {
    use super::{State, same_text, shows_choice, typeable};

    fn input(type_: &str, value: &str) -> State {
        State {
            tag: "input".into(),
            type_: type_.into(),
            role: String::new(),
            editable: false,
            value: value.into(),
            checked: false,
            files: Vec::new(),
            enabled: true,
            read_only: false,
            rendered: true,
            complaint: String::new(),
        }
    }

    #[test]
    fn a_mask_may_add_punctuation_but_not_lose_a_digit() {
        let check = |type_: &str, found: &str, wanted: &str, expect: bool| {
            assert_eq!(same_text(&input(type_, found), wanted), expect, "{type_} {found} {wanted}");
        };
        check("tel", "(555) 010-1234", "555 010 1234", true);
        check("tel", "(555) 010-123", "555 010 1234", false);
        check("text", "Ada", "Ada", true);
        check("text", "", "Ada", false);
        check("number", "85000", "85000.0", true);
        check("number", "", "85000", false);
        check("email", "a.da@example.test", "ada@example.test", false);
        check("text", "--", "++", false);
    }

    #[test]
    fn a_list_shows_its_choice_where_it_changed() {
        let check = |before: [&str; 2], now: [&str; 2], wanted: &str, expect: bool| {
            let texts = |texts: [&str; 2]| texts.map(str::to_owned);
            assert_eq!(shows_choice(&texts(before), &texts(now), wanted), expect, "{now:?}");
        };
        check(["", "select"], ["", "no"], "no", true);
        check(["", "select"], ["", "yes"], "no", false);
        check(["", "do you need help now? select"], ["", "do you need help now? yes"], "no", false);
        check(["united states", ""], ["united states", ""], "united states", true);
        check(["", "say no more"], ["", "say no more"], "no", false);
    }

    #[test]
    fn a_line_break_is_typed_only_where_it_is_text() {
        assert_eq!(typeable("a\r\nb", true), "a\nb");
        assert_eq!(typeable("a\nb\u{e007}", false), "a b");
    }
}
