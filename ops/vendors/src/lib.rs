//! Vendors on this machine: a server for each whose interface Valet speaks, with its states, delays, limits and faults.
//!
//! What a vendor says and is told is written down as data in `contracts/`, each field with its source. Every request and every answer of a
//! server here is held against that ([`contract`]), so that neither a server nor whoever calls it can drift to please the other:
//! [`Served::violations`] is empty, or one of them is wrong.
//!
//! It knows no other part of Valet.

pub mod contract;
mod faults;
pub mod fly;
mod form;
pub mod greenhouse;
pub mod lever;
mod limit;
pub mod recruitee;
mod served;

pub use contract::Violation;
pub use faults::{Fault, Faults};
pub use fly::Fly;
pub use form::{File, Form};
pub use greenhouse::Greenhouse;
pub use lever::Lever;
pub use recruitee::Recruitee;
pub use served::{Call, Served};

/// The contracts, by vendor.
pub const CONTRACTS: [(&str, &str); 4] = [
    ("fly", fly::CONTRACT),
    ("greenhouse", greenhouse::CONTRACT),
    ("lever", lever::CONTRACT),
    ("recruitee", recruitee::CONTRACT),
];
