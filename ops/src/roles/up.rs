//! `valet up`: everything on this machine, with one real application filed.

use std::process::ExitCode;

use clap::Args;
use valet_core::Registry;

use crate::settings::Settings;

#[derive(Args)]
pub struct UpCommand {
    /// End after the application
    #[arg(long)]
    once: bool,
}

pub async fn run(command: UpCommand, settings: Settings, registry: Registry) -> ExitCode {
    let _ = (command.once, settings, registry);
    ExitCode::FAILURE
}
