//! The board over real HTTP, as an applicant and as a test see it.

#[path = "it/applicant.rs"]
mod applicant;
#[path = "it/applying.rs"]
mod applying;
#[path = "it/bad_input.rs"]
mod bad_input;
#[path = "it/bad_pages.rs"]
mod bad_pages;
#[path = "it/browser.rs"]
mod browser;
#[path = "it/dom.rs"]
mod dom;
#[path = "it/gates.rs"]
mod gates;
#[path = "it/looks.rs"]
mod looks;
#[path = "it/restart.rs"]
mod restart;
#[path = "it/twists.rs"]
mod twists;
#[path = "it/windows.rs"]
mod windows;
