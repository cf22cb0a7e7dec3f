//! `valet files`: files for inputs, and the bytes of any file or artifact.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use valet_protocol::api::FileStored;

use super::bounds::UPLOAD_BYTES_MAX;
use super::client::Client;
use super::error::{CliError, at_file};
use super::exit::Exit;
use super::fields::Fields;
use super::output::Output;
use super::runs::size;
use super::save;

#[derive(Args, Clone, Debug)]
pub struct Files {
    #[command(subcommand)]
    verb: FilesVerb,
}

#[derive(Subcommand, Clone, Debug)]
enum FilesVerb {
    /// Store a file that inputs can name
    Upload {
        path: PathBuf,
        /// Whose file it is [default: default]
        #[arg(long)]
        subject: Option<String>,
    },
    /// Fetch a file or an artifact
    Get {
        /// `file_…`
        id: String,
        /// Where to save it; `-` writes to standard output [default: its own name, here; nothing is overwritten]
        #[arg(long, short, value_name = "PATH")]
        output: Option<PathBuf>,
    },
}

pub async fn run(args: Files, client: &Client, output: &Output) -> Result<Exit, CliError> {
    match args.verb {
        FilesVerb::Upload { path, subject } => {
            let stored = upload(client, &path, subject.as_deref()).await?;
            output.either(&stored, |style| {
                let mut fields = Fields::new(style);
                fields.text("file", &stored.id);
                fields.text("name", &stored.filename);
                fields.text("type", &stored.content_type);
                fields.text("size", &size(stored.size_bytes));
                fields.text("sha256", &stored.sha256);
                fields.render()
            })?;
        }
        FilesVerb::Get { id, output: to } => get(&id, to.as_deref(), client, output).await?,
    }
    Ok(Exit::Done)
}

/// Sends a file of this disk.
pub async fn upload(client: &Client, path: &Path, subject: Option<&str>) -> Result<FileStored, CliError> {
    let mut bytes = Vec::new();
    fs::File::open(path)
        .and_then(|file| file.take(UPLOAD_BYTES_MAX + 1).read_to_end(&mut bytes))
        .map_err(at_file("read", path))?;
    if bytes.len() as u64 > UPLOAD_BYTES_MAX {
        let message =
            format!("{} has more than {UPLOAD_BYTES_MAX} bytes, which is what an engine takes", path.display());
        return Err(CliError::usage(message));
    }
    let name = path.file_name().map_or_else(|| "file".to_owned(), |name| name.to_string_lossy().into_owned());
    Ok(client.upload(&name, bytes, subject).await?)
}

async fn get(id: &str, to: Option<&Path>, client: &Client, output: &Output) -> Result<(), CliError> {
    if to == Some(Path::new("-")) && output.is_json() {
        return Err(CliError::usage("--output - and --json both want standard output"));
    }
    let file = client.download(id).await?;
    let path = match to {
        Some(path) if path == Path::new("-") => return output.bytes(&file.bytes),
        Some(path) => {
            save::at_path(path, &file.bytes)?;
            path.to_owned()
        }
        None => save::in_folder(Path::new(""), file.filename.as_deref().unwrap_or(id), &file.bytes)?,
    };
    let document = serde_json::json!({
        "id": id, "path": path, "content_type": file.content_type, "size_bytes": file.bytes.len()
    });
    output.either(&document, |_| path.display().to_string())
}
