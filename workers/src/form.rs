//! Reading a page and planning what to write into its form, without any model.
//!
//! Everything but [`apply`], [`press`], [`unlock`] and [`read_page`] is pure: a [`Snapshot`] goes in, a page kind or a plan comes out. Rules are general and their wording is data;
//! nothing here knows a particular site. It abstains when unsure: an optional question it does not understand stays empty, a required one
//! is handed to a person. A wrong value in an application costs more than a pause.

mod answers;
pub mod applicant;
pub mod apply;
mod bank;
mod barrier;
pub mod block;
pub mod buttons;
mod captcha_widget;
mod classify_field;
mod context_repair;
mod decoy;
pub mod field;
pub mod field_kind;
mod form_kind;
pub mod learned;
mod main_form;
pub mod obstacle;
pub mod page_kind;
mod phone;
mod places;
pub mod plan;
pub mod press;
pub mod question;
mod reading;
pub mod snapshot;
#[cfg(test)]
mod tests;
mod text;
pub mod unlock;
mod values;
mod wording;

pub use applicant::{Address, Answer, Applicant, Document, DocumentKind, Links, WorkAuthorization};
pub use apply::{Applied, FieldFailure, FilledPage, apply_plan, fill_page, fill_page_knowing};
pub use bank::{Kept, answers_to_keep, kept_answers};
pub use block::{Block, BlockClass, block};
pub use buttons::{NextButton, NextKind};
pub(crate) use classify_field::label_words;
pub use field::{Field, InputKind, read_fields};
pub use field_kind::FieldKind;
pub use learned::{KeptAction, Learned, Lesson, Success, signature};
pub use obstacle::{Obstacle, ObstacleField, ObstacleKind, obstacle};
pub use page_kind::{PageKind, PageReport, classify};
pub use plan::{FieldPlan, Plan, plan, question_about};
pub use press::{Advance, Complaint, Moved, advance, complaints};
pub use question::{Question, QuestionKind, Reason, schema_of};
pub use reading::read_page;
pub use snapshot::{SNAPSHOT_JS, Snapshot};
pub(crate) use text::words;
pub use unlock::{Answered, answer_obstacle};
pub(crate) use values::{Say, say};
