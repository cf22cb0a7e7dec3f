#![doc = "valet-workers"]

pub mod browser;
pub mod direct;
pub mod form;
pub mod gate;
pub mod runtime;
pub mod sandbox;
pub mod saved_pages;
pub mod steps;
pub mod vendor;
