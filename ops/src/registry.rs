//! What a program brings: workflows, and the handlers of their steps.

use valet_core::{Step, Workflow};
use valet_workers::runtime::{Handlers, StepContext, StepError};

/// Workflows and handlers of one build of a program, besides those that Valet ships.
///
/// # Panics
/// Registering two handlers for one step stops the program at its start.
#[derive(Clone)]
pub struct Registry {
    pub(crate) workflows: valet_core::Registry,
    pub(crate) handlers: Handlers,
}

impl Registry {
    /// `build` grows with every change of the program's workflows: a run is not taken back to code older than what moved
    /// it on last.
    pub fn new(build: u32) -> Self {
        // Both numbers only grow, so their sum does.
        let build = valet_workflows::BUILD + i64::from(build);
        Self { workflows: valet_workflows::registry().with_build(build), handlers: Handlers::new() }
    }

    #[must_use]
    pub fn workflow<W: Workflow>(mut self) -> Self {
        self.workflows = self.workflows.with::<W>();
        self
    }

    /// Registers what workers of this program do for the step `S`.
    #[must_use]
    pub fn step<S, F, Fut>(mut self, handler: F) -> Self
    where
        S: Step,
        F: Fn(StepContext, S) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<S::Output, StepError>> + Send + 'static,
    {
        self.handlers = self.handlers.on(handler);
        self
    }
}
