//! The board over real HTTP, as an applicant and as a test see it.

#[path = "it/applicant.rs"]
mod applicant;
#[path = "it/applying.rs"]
mod applying;
#[path = "it/bad_input.rs"]
mod bad_input;
#[path = "it/browser.rs"]
mod browser;
#[path = "it/dom.rs"]
mod dom;
#[path = "it/looks.rs"]
mod looks;
#[path = "it/restart.rs"]
mod restart;
