//! `valet sandbox-event`: for what runs inside a sandbox, to say what happens there.

use clap::{Args, ValueEnum};
use serde_json::Value;
use uuid::Uuid;
use valet_protocol::api::{SandboxEvent, SandboxEventKind};
use valet_protocol::worker::Callback;
use valet_workers::sandbox::callback::{CallbackError, CallbackSender};

/// Where to, and with what, the worker that made the sandbox says.
#[derive(Args, Clone)]
pub struct SandboxEventCommand {
    event: Kind,
    /// The event's own id; sent again under it, it is the same event [default: a new one]
    #[arg(long)]
    id: Option<String>,
    /// Which step
    #[arg(long)]
    step: Option<String>,
    /// For people
    #[arg(long)]
    message: Option<String>,
    /// More, as JSON
    #[arg(long)]
    data: Option<Value>,
    /// Where the engine listens to this sandbox
    #[arg(long, env = "VALET_CALLBACK_URL")]
    url: String,
    #[arg(long, env = "VALET_CALLBACK_TOKEN", hide_env_values = true)]
    token: String,
}

#[derive(Clone, Copy, ValueEnum)]
#[value(rename_all = "snake_case")]
enum Kind {
    StepStarted,
    StepCompleted,
    CaptchaDetected,
    Error,
    Completed,
}

/// Tries until the engine took it, or never will.
pub async fn run(command: SandboxEventCommand) -> Result<(), CallbackError> {
    let SandboxEventCommand { event, id, step, message, data, url, token } = command;
    let event = match event {
        Kind::StepStarted => SandboxEventKind::StepStarted,
        Kind::StepCompleted => SandboxEventKind::StepCompleted,
        Kind::CaptchaDetected => SandboxEventKind::CaptchaDetected,
        Kind::Error => SandboxEventKind::Error,
        Kind::Completed => SandboxEventKind::Completed,
    };
    let id = id.unwrap_or_else(|| Uuid::now_v7().to_string());
    CallbackSender::new(Callback { url, token })?.send(&SandboxEvent { id, event, step, message, data }).await
}
