//! What authors of workflows test with: an engine in memory whose time skips, and the contract that every workflow keeps.
//!
//! The engine is the core itself, with the test in the place of database, workers and people. Nothing here does IO, and no
//! test waits. A workflow is run with [`TestEngine`]; [`contract!`] holds it to what an engine will do to it.
//!
//! ```
//! use schemars::JsonSchema;
//! use serde::{Deserialize, Serialize};
//! use valet_core::{Context, Step, Stop, Workflow};
//! use valet_testing::{TestEngine, retry};
//!
//! #[derive(Serialize, Deserialize)]
//! struct Charge {
//!     cents: u32,
//! }
//!
//! impl Step for Charge {
//!     const NAME: &'static str = "charge";
//!     type Output = String;
//! }
//!
//! #[derive(Deserialize, JsonSchema)]
//! struct Bill {
//!     cents: u32,
//!     days: u64,
//! }
//!
//! struct Billing;
//!
//! impl Workflow for Billing {
//!     const NAME: &'static str = "billing";
//!     type Input = Bill;
//!     type Output = String;
//!
//!     async fn run(ctx: Context, bill: Bill) -> Result<String, Stop> {
//!         ctx.sleep(std::time::Duration::from_hours(24 * bill.days)).await;
//!         Ok(ctx.step(Charge { cents: bill.cents }).await?)
//!     }
//! }
//!
//! let run = TestEngine::new()
//!     .on_step(|charge: Charge, attempt| match attempt {
//!         1 => Err(retry("bank_closed")),
//!         _ => Ok(format!("charged {}", charge.cents)),
//!     })
//!     .run::<Billing>(&serde_json::json!({ "cents": 300, "days": 30 }))?;
//! assert_eq!(run.output::<String>(), "charged 300");
//! assert_eq!(run.took().as_secs() / 86_400, 30);
//! # Ok::<(), valet_testing::Trouble>(())
//! ```

mod answers;
pub mod bounds;
mod contract;
mod engine;
mod meddling;
mod stored;
mod test_run;
mod trouble;
mod world;

pub use answers::{Operator, Person, blocked, done, fail, lost, retry};
pub use contract::{Contract, Scenario};
pub use engine::TestEngine;
pub use test_run::TestRun;
pub use trouble::Trouble;
