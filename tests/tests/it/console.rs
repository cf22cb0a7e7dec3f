//! The operators' console in a real browser, against a whole Valet.

mod browser;
mod in_a_browser;
