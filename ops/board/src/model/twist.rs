//! What sets a form apart from a plain one. A kind of form has at most one twist; how it shows is drawn from the seed.

use serde::Serialize;

use super::FormKind;
use crate::draw::Draw;
use crate::wording::twist as words;

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Twist {
    None,
    Frame(Framing),
    Check(HumanCheck),
    Guard(Guard),
    Conditional(Hiding),
    Late(Lateness),
    Closed(Closure),
    Double(SlowAnswer),
    Code(EmailCode),
    Login(SignIn),
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Framing {
    /// Frames around the form: one, or one in another.
    pub depth: u32,
    /// What the frame is called, where it has a name.
    pub title: Option<&'static str>,
    /// Another frame on the page asks for an address to write to.
    pub newsletter: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckPlace {
    BeforeForm,
    /// After the form was sent; only then it counts.
    BeforeEnd,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PictureStyle {
    Inline,
    Image,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HumanCheck {
    pub place: CheckPlace,
    pub picture: PictureStyle,
    pub letters: usize,
    pub heading: &'static str,
    pub instruction: &'static str,
    pub label: &'static str,
    pub button: &'static str,
    pub wrong: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum GuardPlace {
    /// Nothing of the company is shown.
    Posting,
    /// The posting is for everybody, the form is not.
    Form,
}

/// How a browser without a window gives itself away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Tell {
    /// Its name in the request.
    UserAgent,
    /// It has neither a pointing device nor a touch screen.
    Pointer,
    /// Its window is larger than its screen, or the screen has the size that no screen has had for long.
    Screen,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Guard {
    pub place: GuardPlace,
    pub tell: Tell,
    pub heading: &'static str,
    pub sentence: &'static str,
    /// Shown while a script looks at the browser.
    pub waiting: &'static str,
}

/// How a question is hidden until it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Hiding {
    /// Not displayed and disabled, so that it is not sent.
    Disabled,
    /// Not part of the page.
    Absent,
    /// Not displayed only; it is sent empty.
    Undisplayed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LatePart {
    Fields,
    Button,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Lateness {
    pub part: LatePart,
    pub after_ms: u32,
    /// The server takes its time; otherwise the page waits before it asks.
    pub by_server: bool,
    /// The part is replaced by its like this long after it came.
    pub moves_after_ms: Option<u32>,
    pub hint: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ClosedPlace {
    /// The posting says it.
    Posting,
    /// The posting has its button; the page behind it says it.
    BehindApply,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Closure {
    pub place: ClosedPlace,
    pub heading: &'static str,
    pub sentence: &'static str,
    /// The page without a form is answered with 410 instead of 200.
    pub gone: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SlowAnswer {
    pub after_ms: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CodeStyle {
    /// `493017`
    Digits,
    /// `KX4-9TB`
    Letters,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EmailCode {
    pub style: CodeStyle,
    /// Wrong codes until a new one has to be sent.
    pub attempts: u32,
    pub heading: &'static str,
    pub instruction: &'static str,
    pub label: &'static str,
    pub button: &'static str,
    pub wrong: &'static str,
    pub resend: &'static str,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SignIn {
    /// The user is called by an e-mail address instead of a name.
    pub by_email: bool,
    pub heading: &'static str,
    pub user_label: &'static str,
    pub password_label: &'static str,
    pub button: &'static str,
    pub wrong: &'static str,
    /// Wrong credentials are answered with 401 instead of 200.
    pub refused_with_401: bool,
}

impl Twist {
    pub fn draw(draw: &mut Draw, form: FormKind) -> Self {
        match form {
            FormKind::Simple | FormKind::Steps => Self::None,
            FormKind::Frame => Self::Frame(Framing::draw(draw)),
            FormKind::Check => Self::Check(HumanCheck::draw(draw)),
            FormKind::Guarded => Self::Guard(Guard::draw(draw)),
            FormKind::Conditional => {
                Self::Conditional(draw.pick(&[Hiding::Disabled, Hiding::Absent, Hiding::Undisplayed]))
            }
            FormKind::Late => Self::Late(Lateness::draw(draw)),
            FormKind::Closed => Self::Closed(Closure::draw(draw)),
            FormKind::Double => Self::Double(SlowAnswer { after_ms: draw.number(1_000..4_001) }),
            FormKind::Code => Self::Code(EmailCode::draw(draw)),
            FormKind::Login => Self::Login(SignIn::draw(draw)),
        }
    }
}

impl Framing {
    fn draw(draw: &mut Draw) -> Self {
        Self {
            depth: draw.number(1..3),
            title: draw.chance(60).then(|| draw.pick(words::FRAME_TITLES)),
            newsletter: draw.chance(50),
        }
    }
}

impl HumanCheck {
    fn draw(draw: &mut Draw) -> Self {
        Self {
            place: draw.pick(&[CheckPlace::BeforeForm, CheckPlace::BeforeEnd]),
            picture: draw.pick(&[PictureStyle::Inline, PictureStyle::Image]),
            letters: draw.number(5..7) as usize,
            heading: draw.pick(words::CHECK_HEADINGS),
            instruction: draw.pick(words::CHECK_INSTRUCTIONS),
            label: draw.pick(words::CHECK_LABELS),
            button: draw.pick(words::CHECK_BUTTONS),
            wrong: draw.pick(words::CHECK_WRONG),
        }
    }
}

impl Guard {
    fn draw(draw: &mut Draw) -> Self {
        let (heading, sentence) = draw.pick(words::BLOCKED);
        Self {
            place: draw.pick(&[GuardPlace::Posting, GuardPlace::Form]),
            tell: draw.pick(&[Tell::UserAgent, Tell::UserAgent, Tell::Pointer, Tell::Screen]),
            heading,
            sentence,
            waiting: draw.pick(words::BROWSER_WAITING),
        }
    }
}

impl Lateness {
    fn draw(draw: &mut Draw) -> Self {
        Self {
            part: draw.pick(&[LatePart::Fields, LatePart::Fields, LatePart::Button]),
            after_ms: draw.number(300..2_501),
            by_server: draw.chance(50),
            moves_after_ms: draw.chance(40).then(|| draw.number(200..900)),
            hint: draw.pick(words::LOADING),
        }
    }
}

impl Closure {
    fn draw(draw: &mut Draw) -> Self {
        let (heading, sentence) = draw.pick(words::CLOSED);
        Self {
            place: draw.pick(&[ClosedPlace::Posting, ClosedPlace::BehindApply]),
            heading,
            sentence,
            gone: draw.chance(30),
        }
    }
}

impl EmailCode {
    fn draw(draw: &mut Draw) -> Self {
        Self {
            style: draw.pick(&[CodeStyle::Digits, CodeStyle::Digits, CodeStyle::Letters]),
            attempts: draw.number(3..6),
            heading: draw.pick(words::CODE_HEADINGS),
            instruction: draw.pick(words::CODE_INSTRUCTIONS),
            label: draw.pick(words::CODE_LABELS),
            button: draw.pick(words::CODE_BUTTONS),
            wrong: draw.pick(words::CODE_WRONG),
            resend: draw.pick(words::CODE_RESEND),
        }
    }
}

impl SignIn {
    fn draw(draw: &mut Draw) -> Self {
        let by_email = draw.chance(60);
        let user_labels = if by_email { words::SIGN_IN_EMAILS } else { words::SIGN_IN_NAMES };
        Self {
            by_email,
            heading: draw.pick(words::SIGN_IN_HEADINGS),
            user_label: draw.pick(user_labels),
            password_label: draw.pick(words::SIGN_IN_PASSWORDS),
            button: draw.pick(words::SIGN_IN_BUTTONS),
            wrong: draw.pick(words::SIGN_IN_WRONG),
            refused_with_401: draw.chance(40),
        }
    }
}
