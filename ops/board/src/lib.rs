//! A made-up job board with real forms. Browsers apply on it; tests ask its oracle what really arrived. Every form is
//! drawn from a seed: other names, other words, another layout, the same meaning.
//!
//! It never talks to anything outside, and no page tells what the oracle knows. `valet up` starts it for the quick tour,
//! tests start their own.
//!
//! The way of a request: `routes` reads it, `model` draws the form of its address, `guard` turns browsers away, `gate`
//! and `flow` decide what a sent page means for its `visit`, `render` writes the answer, and `oracle` keeps what was sent.
//! What only a person would know, such as letters, codes and passwords, the oracle tells in place of that person.

mod board;
mod body;
pub mod bounds;
mod check;
mod clock;
mod credentials;
mod draw;
mod expect;
mod flow;
mod gate;
mod guard;
mod inbox;
mod journal;
mod letters;
mod meaning;
mod model;
mod oracle;
mod posting;
mod render;
mod routes;
mod upload;
mod visit;
mod wording;

pub use board::{Board, BoardConfig, BoardError};
pub use clock::Clock;
pub use credentials::Credentials;
pub use expect::{Expectation, ExpectedConfirmation, ExpectedField};
pub use guard::Blocks;
pub use inbox::Mail;
pub use journal::JournalError;
pub use meaning::Meaning;
pub use model::FormKind;
pub use model::field::{Choice, Condition, FileLook, Labelling, Rule};
pub use model::look::{Behaviour, Decoys, ErrorPlace, FactStyle, Honeypot, Layout, Look, Mark};
pub use model::naming::{IdStyle, NameStyle};
pub use model::twist::{
    CheckPlace, ClosedPlace, Closure, CodeStyle, EmailCode, Framing, Guard, GuardPlace, Hiding, HumanCheck, LatePart,
    Lateness, PictureStyle, SignIn, SlowAnswer, Tell, Twist,
};
pub use oracle::{Application, DecoyUses, Filter, Received, ReceivedFile};
pub use routes::OpenCheck;
pub use visit::VisitState;
