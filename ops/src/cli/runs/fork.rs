//! `valet runs fork`

use clap::Args;
use uuid::Uuid;
use valet_protocol::api::ForkRequest;

use crate::cli::client::Client;
use crate::cli::document;
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::output::Output;

#[derive(Args, Clone, Debug)]
pub struct Fork {
    /// Id of the run to begin with
    id: String,
    /// How many entries of its journal to keep, as `valet runs replay ID --step` numbers them; 0: begin anew
    #[arg(long, value_name = "NUMBER")]
    entry: u32,
    /// Another input; only with `--entry 0`
    #[arg(long, value_name = "JSON")]
    input: Option<String>,
    /// Have an effect once more that the run may have had
    #[arg(long)]
    repeat_effects: bool,
    /// The same key forks once, however often the command is repeated
    #[arg(long, value_name = "IDEMPOTENCY_KEY")]
    key: Option<String>,
}

pub async fn run(args: Fork, client: &Client, output: &Output) -> Result<Exit, CliError> {
    let Fork { id, entry, input, repeat_effects, key } = args;
    let input = input.map(|input| document::parse("--input", &input)).transpose()?;
    let request = ForkRequest { entry, input, repeat_effects };
    let key = key.unwrap_or_else(|| Uuid::new_v4().to_string());
    let forked = client.fork(&id, &request, &key).await?;
    output.either(&forked, |_| forked.id.clone())?;
    if forked.entry < entry {
        let kept = forked.entry;
        output.note(&format!("kept {kept} of {entry} entries: what comes then belongs to {id} and cannot be shared"));
    }
    Ok(Exit::Done)
}
