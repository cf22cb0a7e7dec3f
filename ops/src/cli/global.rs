//! Which engine, whose token, for whom the output is: the options that every verb has.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use clap::Args;
use reqwest::Url;

use super::bounds::TOKEN_BYTES_MAX;
use super::client::{Client, ClientConfig, is_loopback};
use super::error::{CliError, at_file};
use crate::settings::{FOLDERS_ABOVE_MAX, running_engines};
use crate::tls::authorities_of;

/// Where `valet up` leaves the token, below the folder it was started in.
const TOKEN_PLACE: &str = ".valet/token";
/// The engine's own default.
const DEFAULT_URL: &str = "http://127.0.0.1:7300";

#[derive(Args, Clone, Default)]
pub struct Global {
    /// Engine to talk to; several, separated by commas: the first that answers [default: the one of `valet up` here or
    /// above, else http://127.0.0.1:7300]
    #[arg(long, global = true, env = "VALET_URL", value_name = "URL", help_heading = "Connection")]
    pub url: Option<String>,

    /// Token of the API [env: VALET_TOKEN]; a file keeps it out of the list of processes
    // The environment is read in `token`: a flag goes before a variable, whichever of the two it names.
    #[arg(long, global = true, value_name = "TOKEN", help_heading = "Connection")]
    pub token: Option<String>,

    /// File that holds the token [env: VALET_TOKEN_FILE] [default: .valet/token here or above, for engines on this machine]
    #[arg(long, global = true, value_name = "FILE", conflicts_with = "token", help_heading = "Connection")]
    pub token_file: Option<PathBuf>,

    /// PEM file with authorities to trust besides the system's [env: VALET_CA_FILE]
    // The setting stands in for it (`program.rs`), so that the file `valet.toml` counts too.
    #[arg(long, global = true, value_name = "FILE", help_heading = "Connection")]
    pub ca_file: Option<PathBuf>,

    /// Print JSON for programs, and nothing else, on standard output
    #[arg(long, global = true)]
    pub json: bool,
}

impl Global {
    pub fn urls(&self) -> Result<Vec<Url>, CliError> {
        let running = || std::env::current_dir().ok().and_then(|here| running_engines(&here));
        let given = self.url.clone().filter(|url| !url.trim().is_empty());
        let url = given.or_else(running).unwrap_or_else(|| DEFAULT_URL.to_owned());
        ClientConfig::parse_urls(&url).map_err(|message| CliError::usage(format!("--url: {message}")))
    }

    /// The client of `--url`, with the token that is found.
    pub fn client(&self) -> Result<Client, CliError> {
        let urls = self.urls()?;
        let token = self.token(&urls, |name| std::env::var(name).ok().filter(|value| !value.trim().is_empty()))?;
        let authorities =
            authorities_of(self.ca_file.as_deref()).map_err(|error| CliError::usage(error.to_string()))?;
        Ok(Client::trusting(ClientConfig { urls, token }, authorities)?)
    }

    /// A flag, else a variable, else the place of `valet up`.
    fn token(&self, urls: &[Url], variable: impl Fn(&str) -> Option<String>) -> Result<Option<String>, CliError> {
        if let Some(token) = &self.token {
            return Ok(Some(token.clone()));
        }
        if let Some(file) = &self.token_file {
            return read_token(file).map(Some);
        }
        if let Some(token) = variable("VALET_TOKEN") {
            return Ok(Some(token));
        }
        if let Some(file) = variable("VALET_TOKEN_FILE") {
            return read_token(Path::new(&file)).map(Some);
        }
        let here = std::env::current_dir().unwrap_or_default();
        Ok(default_token(&here, urls).and_then(|file| read_token(&file).ok()))
    }
}

/// The token of this machine's own engine is not shown to another machine.
fn default_token(here: &Path, urls: &[Url]) -> Option<PathBuf> {
    if !urls.iter().all(is_loopback) {
        return None;
    }
    here.ancestors().take(FOLDERS_ABOVE_MAX).map(|folder| folder.join(TOKEN_PLACE)).find(|file| file.is_file())
}

fn read_token(file: &Path) -> Result<String, CliError> {
    let mut text = String::new();
    fs::File::open(file)
        .and_then(|file| file.take(TOKEN_BYTES_MAX).read_to_string(&mut text))
        .map_err(at_file("read the token in", file))?;
    let token = text.trim();
    if token.is_empty() {
        return Err(CliError::usage(format!("the token file {} is empty", file.display())));
    }
    Ok(token.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn urls(text: &str) -> Result<Vec<Url>, String> {
        ClientConfig::parse_urls(text)
    }

    #[test]
    fn engines_are_a_list_of_plain_addresses() {
        assert_eq!(urls("http://a:1, https://b/base/ ,").unwrap().len(), 2);
        for bad in ["", " , ", "a:1", "ftp://a", "http://user:secret@a", "http://a/?x=1", "127.0.0.1:7300"] {
            let message = urls(bad).expect_err(bad);
            assert!(!message.contains("secret"), "{message}");
        }
    }

    #[test]
    fn the_token_of_valet_up_is_found_above_and_stays_on_this_machine() {
        let root = tempfile::tempdir().unwrap();
        let deep = root.path().join("a/b");
        fs::create_dir_all(&deep).unwrap();
        fs::create_dir(root.path().join(".valet")).unwrap();
        fs::write(root.path().join(TOKEN_PLACE), "  secret\n").unwrap();
        for local in ["http://127.0.0.1:7300", "http://localhost:1", "http://[::1]:1"] {
            let found = default_token(&deep, &urls(local).unwrap()).unwrap();
            assert_eq!(read_token(&found).unwrap(), "secret");
        }
        assert_eq!(default_token(&deep, &urls("http://127.0.0.1:7300,http://example.org").unwrap()), None);
    }

    #[test]
    fn a_flag_goes_before_a_variable() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        fs::write(&file, "of the file").unwrap();
        let variable = |name: &str| match name {
            "VALET_TOKEN" => Some("of the variable".to_owned()),
            _ => Some("/there/is/no/such/file".to_owned()),
        };
        let urls = urls("http://127.0.0.1:1").unwrap();
        let by_file = Global { token_file: Some(file), ..Global::default() };
        assert_eq!(by_file.token(&urls, variable).unwrap().as_deref(), Some("of the file"));
        assert_eq!(Global::default().token(&urls, variable).unwrap().as_deref(), Some("of the variable"));
        let other = |name: &str| variable(name).filter(|_| name == "VALET_TOKEN_FILE");
        assert!(Global::default().token(&urls, other).is_err());
    }

    #[test]
    fn a_file_of_authorities_that_was_named_must_be_there() {
        let global = Global { ca_file: Some("/there/is/no/such/file".into()), ..Global::default() };
        let error = global.client().err().expect("it is refused");
        assert_eq!(error.exit(), crate::cli::Exit::Usage);
        assert!(error.to_string().contains("/there/is/no/such/file cannot be read"), "{error}");
    }

    #[test]
    fn a_token_file_that_was_named_must_be_there_and_hold_a_token() {
        let folder = tempfile::tempdir().unwrap();
        let empty = folder.path().join("empty");
        fs::write(&empty, "\n").unwrap();
        assert!(read_token(&empty).unwrap_err().to_string().contains("is empty"));
        let missing = read_token(&folder.path().join("none")).unwrap_err();
        assert!(missing.to_string().starts_with("cannot read the token in "), "{missing}");
    }
}
