//! Saved pages: what the agent makes of forms that were stored as files, and how right it is where people have labelled them.
//!
//! The same browser, snapshot and classifier as in an application. Pages are served on loopback to a browser that may reach nothing else,
//! with a policy that lets them load nothing and run nothing: a page is read as it was saved, and nobody hears of it.

mod markup;
mod reader;
mod score;
mod server;

pub use reader::{Compared, ControlAnswer, PageAnswers, PageFailure, ReadError, SavedPage, SavedPages, pages_below};
pub use score::{Labelled, Score, TypeScore, score};
