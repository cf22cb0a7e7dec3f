#![doc = "valet-workers"]

pub mod browser;
pub mod form;
pub mod gate;
pub mod runtime;
pub mod sandbox;
pub mod saved_pages;
pub mod steps;
