//! Workflows as authors write them, and the registry that an engine runs from.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::callbacks::Callbacks;
use crate::context::Context;
use crate::declared;
use crate::payload::Payload;
use crate::resources::ResourceKind;
use crate::step::{Failure, StepFailure};

/// How workflow code ends when it does not succeed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Stop {
    #[error("{0}")]
    Failed(Failure),
    /// Somebody or something did not come in time: the run ends as `timed_out`.
    #[error("{0}")]
    TimedOut(Failure),
    /// The run goes on in a new journal with this input: see [`Context::continue_as`].
    #[error("the run goes on with another input")]
    Continue(Payload),
}

impl Stop {
    pub fn failed(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Failed(Failure::new(code, message))
    }

    pub fn timed_out(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::TimedOut(Failure::new(code, message))
    }
}

impl From<StepFailure> for Stop {
    fn from(failure: StepFailure) -> Self {
        Self::Failed(failure.failure().clone())
    }
}

/// One thing that is wrong with an input, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct InputProblem {
    /// JSON pointer to the field.
    pub field: String,
    pub message: String,
}

/// A stored file that an input names, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedFile {
    /// JSON pointer to the field.
    pub field: String,
    /// `file_…`
    pub file: String,
}

/// What the operator allows at the door (`VALET_ALLOW_HOSTS`).
#[derive(Clone, Debug, Default)]
pub struct Door {
    /// `host:port` pairs that may be reached although they are private.
    pub allow_hosts: Vec<String>,
}

/// A workflow: an ordinary `async fn` over durable operations.
pub trait Workflow: Send + Sync + 'static {
    /// Stable name, also the path segment of its routes.
    const NAME: &'static str;
    type Input: DeserializeOwned + JsonSchema;
    type Output: Serialize;

    fn run(ctx: Context, input: Self::Input) -> impl Future<Output = Result<Self::Output, Stop>> + Send + 'static;

    /// Rules that a schema cannot say. Called at the door, before anything is stored.
    fn check(input: &Self::Input, door: &Door) -> Vec<InputProblem> {
        let _ = (input, door);
        Vec::new()
    }

    /// The stored files that the input names. A start with one that is not there is refused.
    fn files(input: &Self::Input) -> Vec<NamedFile> {
        let _ = input;
        Vec::new()
    }
}

/// The future of one run's code.
pub type CodeFuture = Pin<Box<dyn Future<Output = Result<Payload, Stop>> + Send>>;

type Start = dyn Fn(Context, &Payload) -> Result<CodeFuture, serde_json::Error> + Send + Sync;
type Check = dyn Fn(&Payload, &Door) -> Vec<InputProblem> + Send + Sync;
type Files = dyn Fn(&Payload) -> Vec<NamedFile> + Send + Sync;

/// A workflow with its types erased.
pub struct Definition {
    pub name: &'static str,
    pub input_schema: serde_json::Value,
    /// What each run holds of it; code is shared.
    pub(crate) weight_bytes: usize,
    start: Box<Start>,
    check: Box<Check>,
    files: Box<Files>,
}

impl Definition {
    fn of<W: Workflow>() -> Self {
        Self {
            name: W::NAME,
            input_schema: schemars::schema_for!(W::Input).to_value(),
            weight_bytes: 0,
            start: Box::new(|ctx, input| {
                let input: W::Input = input.read()?;
                let code = W::run(ctx, input);
                Ok(Box::pin(async move {
                    let output = code.await?;
                    Payload::of(&output)
                        .map_err(|e| Stop::failed("bad_output", format!("the workflow's output is not JSON: {e}")))
                }))
            }),
            check: Box::new(|input, door| match input.read::<W::Input>() {
                Ok(input) => W::check(&input, door),
                Err(e) => vec![InputProblem { field: String::new(), message: e.to_string() }],
            }),
            files: Box::new(|input| input.read::<W::Input>().map(|input| W::files(&input)).unwrap_or_default()),
        }
    }

    /// Of a run that carries out what its journal declares. It was checked at the door.
    pub(crate) fn declared(definition: &Payload) -> Self {
        let definition = definition.clone();
        Self {
            name: "declared",
            input_schema: serde_json::Value::Bool(true),
            // The text, and what was made of it.
            weight_bytes: definition.len_bytes() * 4,
            start: Box::new(move |ctx, input| declared::start(ctx, &definition, input)),
            check: Box::new(|_, _| Vec::new()),
            files: Box::new(|_| Vec::new()),
        }
    }

    /// Makes the run's future. It is not polled here.
    pub fn start(&self, ctx: Context, input: &Payload) -> Result<CodeFuture, serde_json::Error> {
        (self.start)(ctx, input)
    }

    /// What is wrong with an input beyond its schema; empty: nothing.
    pub fn check(&self, input: &Payload, door: &Door) -> Vec<InputProblem> {
        (self.check)(input, door)
    }

    /// The stored files that an input names, once it was found in order.
    pub fn files(&self, input: &Payload) -> Vec<NamedFile> {
        (self.files)(input)
    }
}

/// What is wrong with a rule of this name and value, each with its field and the fix; empty: nothing.
pub type RuleCheck = fn(&str, &serde_json::Value) -> Vec<InputProblem>;

/// The workflows that an engine knows, and the number of the build that brought them.
#[derive(Clone, Default)]
pub struct Registry {
    definitions: BTreeMap<&'static str, Arc<Definition>>,
    rules: BTreeMap<&'static str, RuleCheck>,
    resources: BTreeMap<&'static str, ResourceKind>,
    build: i64,
    callbacks: Arc<Callbacks>,
}

impl Registry {
    /// `build` grows with every deploy; a run is never advanced by an older build than the highest that did.
    pub fn new(build: i64) -> Self {
        Self { build, ..Self::default() }
    }

    #[must_use]
    pub fn with<W: Workflow>(mut self) -> Self {
        self.definitions.insert(W::NAME, Arc::new(Definition::of::<W>()));
        self
    }

    /// A kind of rules that operators may change while runs go on, and what one of them may say.
    #[must_use]
    pub fn with_rule(mut self, kind: &'static str, check: RuleCheck) -> Self {
        self.rules.insert(kind, check);
        self
    }

    /// What checks rules of this kind; `None`: there are none of it.
    pub fn rule(&self, kind: &str) -> Option<RuleCheck> {
        self.rules.get(kind).copied()
    }

    pub fn rule_kinds(&self) -> impl Iterator<Item = &'static str> {
        self.rules.keys().copied()
    }

    /// A kind of resources that runs hold.
    #[must_use]
    pub fn with_resource(mut self, kind: ResourceKind) -> Self {
        self.resources.insert(kind.name, kind);
        self
    }

    pub fn resource(&self, kind: &str) -> Option<&ResourceKind> {
        self.resources.get(kind)
    }

    pub fn resource_kinds(&self) -> impl Iterator<Item = &ResourceKind> {
        self.resources.values()
    }

    /// The same workflows as another build.
    #[must_use]
    pub fn with_build(mut self, build: i64) -> Self {
        self.build = build;
        self
    }

    /// Where somebody outside completes what a run waits for.
    #[must_use]
    pub fn with_callbacks(mut self, callbacks: Callbacks) -> Self {
        self.callbacks = Arc::new(callbacks);
        self
    }

    /// The secret of an engine's tokens; [`Callbacks::with_secret`].
    #[must_use]
    pub fn with_secret(self, secret: [u8; 32]) -> Self {
        let callbacks = Callbacks::clone(&self.callbacks).with_secret(secret);
        self.with_callbacks(callbacks)
    }

    /// Where the API is reached from outside.
    pub fn base_url(&self) -> &str {
        self.callbacks.base_url()
    }

    pub(crate) fn callbacks(&self) -> &Arc<Callbacks> {
        &self.callbacks
    }

    pub fn get(&self, name: &str) -> Option<&Arc<Definition>> {
        self.definitions.get(name)
    }

    /// What a run's code is: its own definition's, else the workflow's of its name.
    pub(crate) fn code_of(&self, workflow: &str, definition: Option<&Payload>) -> Option<Arc<Definition>> {
        match definition {
            Some(definition) => Some(Arc::new(Definition::declared(definition))),
            None => self.get(workflow).cloned(),
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = &Arc<Definition>> {
        self.definitions.values()
    }

    pub fn build(&self) -> i64 {
        self.build
    }
}

/// Registers workflows, each of which must have its contract (`valet_testing::contract!`): without it the crate's tests do
/// not compile. What is built into a program knows nothing of contracts.
///
/// `workflows!(Registry::new(BUILD), with::<First, Second>)`
#[macro_export]
macro_rules! workflows {
    ($registry:expr, $method:ident::<$($workflow:ty),+ $(,)?>) => {{
        #[cfg(test)]
        {
            fn has_a_contract<W: ::valet_testing::Contract>() {}
            $(has_a_contract::<$workflow>();)+
        }
        $registry$(.$method::<$workflow>())+
    }};
}
