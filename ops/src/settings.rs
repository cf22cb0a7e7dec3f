//! Configuration: one file plus `VALET_*`, read and checked once at start. The table below is the reference.

use std::collections::BTreeMap;
use std::fmt;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

mod limits;

/// One setting, as `valet config reference` prints it.
pub struct Setting {
    /// `section.name` in the file.
    pub key: &'static str,
    pub variable: &'static str,
    pub default: Option<&'static str>,
    /// Never shown by `valet config show`.
    pub secret: bool,
    pub meaning: &'static str,
}

const fn setting(
    key: &'static str,
    variable: &'static str,
    default: Option<&'static str>,
    meaning: &'static str,
) -> Setting {
    Setting { key, variable, default, secret: false, meaning }
}

const fn secret(key: &'static str, variable: &'static str, meaning: &'static str) -> Setting {
    Setting { key, variable, default: None, secret: true, meaning }
}

/// Folders above the working directory in which the place of `valet up` is looked for.
pub const FOLDERS_ABOVE_MAX: usize = 32;

/// Every setting there is.
pub const SETTINGS: &[Setting] = &[
    setting("data.dir", "VALET_DATA_DIR", Some(".valet"), "folder for what `valet up` keeps"),
    setting("engine.listen", "VALET_LISTEN", Some("127.0.0.1:7300"), "address of the engine's HTTP surface"),
    setting(
        "engine.start_paused",
        "VALET_START_PAUSED",
        Some("false"),
        "`true`: the whole engine is paused before anything is granted, until `valet resume engine`; also `--start-paused`",
    ),
    setting(
        "http.tls_cert_file",
        "VALET_TLS_CERT_FILE",
        None,
        "PEM file with the engine's certificate and its chain; with its key: the engine serves https, and reads both again \
         when they change",
    ),
    setting(
        "http.tls_key_file",
        "VALET_TLS_KEY_FILE",
        None,
        "PEM file with the private key of the engine's certificate",
    ),
    setting(
        "http.ca_file",
        "VALET_CA_FILE",
        None,
        "PEM file with certificate authorities that commands, workers and webhooks trust besides the system's",
    ),
    secret("database.url", "VALET_DATABASE_URL", "Postgres 15 or later; `valet up` starts one where this is not set"),
    secret("redis.url", "VALET_REDIS_URL", "Redis 7 or later; `valet up` starts one where this is not set"),
    setting("redis.prefix", "VALET_REDIS_PREFIX", Some("valet"), "first part of every key in Redis"),
    setting(
        "secrets.key_file",
        "VALET_SECRET_KEY_FILE",
        Some(".valet/secret.key"),
        "file with the master key: 64 hexadecimal digits",
    ),
    setting("tokens.api_file", "VALET_TOKEN_FILE", Some(".valet/token"), "file with the token of people and producers"),
    setting(
        "tokens.worker_file",
        "VALET_WORKER_TOKEN_FILE",
        Some(".valet/worker-token"),
        "file with the workers' token",
    ),
    setting(
        "files.dir",
        "VALET_FILES_DIR",
        Some(".valet/files"),
        "folder for sealed files and artifacts, of one engine, or shared by all; not used where `files.url` is set",
    ),
    setting(
        "files.url",
        "VALET_FILES_URL",
        None,
        "bucket for sealed files and artifacts, for engines on several machines: `s3://bucket` or `s3://bucket/folder`",
    ),
    setting(
        "files.s3_endpoint",
        "VALET_S3_ENDPOINT",
        None,
        "where the bucket is not Amazon's: `https://objects.example.com`",
    ),
    setting("files.s3_region", "VALET_S3_REGION", Some("us-east-1"), "region of the bucket"),
    setting("files.s3_access_key_id", "VALET_S3_ACCESS_KEY_ID", None, "who writes to the bucket"),
    secret("files.s3_secret_access_key", "VALET_S3_SECRET_ACCESS_KEY", "the key of whoever writes to the bucket"),
    setting(
        "retention.hours",
        "VALET_RETENTION_HOURS",
        Some("2160"),
        "how long ended runs are kept, with their children, tasks and artifacts, counted from the end of the last of them; \
         0: for ever",
    ),
    setting(
        "door.allow_hosts",
        "VALET_ALLOW_HOSTS",
        Some(""),
        "`host:port,…`: private places that job URLs and browsers may reach",
    ),
    setting(
        "door.secure_cookies",
        "VALET_SECURE_COOKIES",
        Some("false"),
        "`true` where browsers come through TLS: the console's cookie goes no other way",
    ),
    setting(
        "door.public_url",
        "VALET_PUBLIC_URL",
        None,
        "where callers outside reach the engines, for callback URLs; default: the address that it serves on",
    ),
    setting(
        "limits.token_rate_per_s",
        "VALET_TOKEN_RATE_PER_S",
        Some("1000"),
        "requests a second of one token; 0: no limit",
    ),
    setting("limits.token_burst", "VALET_TOKEN_BURST", Some("2000"), "requests of one token at once"),
    setting(
        "limits.tenant_rate_per_s",
        "VALET_TENANT_RATE_PER_S",
        Some("5000"),
        "requests a second of all tokens of one tenant; 0: no limit",
    ),
    setting("limits.tenant_burst", "VALET_TENANT_BURST", Some("10000"), "requests of one tenant at once"),
    setting(
        "limits.tenant_streams",
        "VALET_TENANT_STREAMS",
        Some("250"),
        "event streams and waiting requests of one tenant at one engine, 1 to 1000",
    ),
    setting(
        "client.url",
        "VALET_URL",
        Some("http://127.0.0.1:7300"),
        "engines that workers and commands talk to, separated by commas",
    ),
    secret("hooks.webhook_url", "VALET_WEBHOOK_URL", "address that is told what happens to runs and human tasks"),
    setting(
        "hooks.webhook_secret_file",
        "VALET_WEBHOOK_SECRET_FILE",
        Some(".valet/webhook-secret"),
        "file with the key that signs webhooks",
    ),
    setting(
        "hooks.allow_hosts",
        "VALET_HOOK_ALLOW_HOSTS",
        Some(""),
        "`host:port,…`: private places that webhooks may reach; others must have a public address",
    ),
    setting("hooks.command", "VALET_HOOK_COMMAND", None, "program that is run for each event, which it reads as JSON"),
    setting("hooks.due_soon_s", "VALET_DUE_SOON_S", Some("3600"), "how long before its deadline a task is `due_soon`"),
    setting("worker.name", "VALET_WORKER_NAME", Some("worker"), "name of a worker, for people"),
    setting("worker.queues", "VALET_QUEUES", Some("browser,default"), "queues that a worker pulls"),
    setting(
        "worker.labels",
        "VALET_LABELS",
        Some(""),
        "labels of a worker that steps may require: `gpu=yes,zone=eu`; it pulls a queue more for every set of them",
    ),
    setting("worker.slots", "VALET_SLOTS", Some("4"), "steps that a worker runs at once, 1 to 4096"),
    setting(
        "worker.hand_over",
        "VALET_HAND_OVER",
        Some("true"),
        "`false`: a worker takes each step by its ticket and none along with the finish before it; to measure",
    ),
    setting("worker.sandbox_dir", "VALET_SANDBOX_DIR", Some(".valet/sandboxes"), "folder of local browsers"),
    setting("worker.sandboxes", "VALET_SANDBOXES", Some("50"), "browsers on this machine at once, 1 to 1000"),
    setting(
        "worker.human_pace",
        "VALET_HUMAN_PACE",
        Some("true"),
        "`false`: browsers with a window are used as fast as those without, not at a person's pace",
    ),
    setting(
        "worker.site_states",
        "VALET_SITE_STATES",
        Some("true"),
        "`false`: what a site keeps in a subject's browser (cookies, storage) is not kept for the next one",
    ),
    setting("worker.browser", "VALET_BROWSER", Some("chromium"), "kind of new local browsers: `chromium` or `firefox`"),
    setting("browser.chromium", "VALET_CHROMIUM", Some("chromium"), "Chromium's program"),
    setting("browser.chromedriver", "VALET_CHROMEDRIVER", Some("chromedriver"), "ChromeDriver's program"),
    setting("browser.firefox", "VALET_FIREFOX", Some("firefox"), "Firefox's program"),
    setting("browser.geckodriver", "VALET_GECKODRIVER", Some("geckodriver"), "geckodriver's program"),
    setting("browser.xvfb", "VALET_XVFB", Some("Xvfb"), "Xvfb's program, for browsers with a window"),
    setting(
        "greenhouse.url",
        "VALET_GREENHOUSE_URL",
        Some("https://boards-api{region}.greenhouse.io"),
        "Greenhouse's job boards; `{region}` becomes nothing, or `.eu`",
    ),
    secret(
        "greenhouse.keys",
        "VALET_GREENHOUSE_KEYS",
        "`board=key,…`: employers' Job Board API keys; jobs of these boards are applied for without a browser",
    ),
    setting(
        "lever.url",
        "VALET_LEVER_URL",
        Some("https://api{region}.lever.co"),
        "Lever's postings; `{region}` becomes nothing, or `.eu`",
    ),
    secret(
        "lever.keys",
        "VALET_LEVER_KEYS",
        "`site=key,…`: employers' Postings API keys; jobs of these sites are applied for without a browser",
    ),
    setting(
        "recruitee.url",
        "VALET_RECRUITEE_URL",
        Some("https://{company}.recruitee.com"),
        "Recruitee's careers sites, which take applications without a key; `{company}` becomes the company",
    ),
    setting("fly.url", "VALET_FLY_URL", Some("https://api.machines.dev"), "Fly's Machines API"),
    secret(
        "fly.token",
        "VALET_FLY_TOKEN",
        "token of the app at Fly whose machines are sandboxes; without it there is no tier `fly`",
    ),
    setting("fly.app", "VALET_FLY_APP", Some("valet-sandbox"), "the app at Fly"),
    setting(
        "fly.image",
        "VALET_FLY_IMAGE",
        Some("registry.fly.io/valet-sandbox:latest"),
        "image with a browser and its gate",
    ),
    setting("fly.regions", "VALET_FLY_REGIONS", Some("iad,ord,lax"), "regions at Fly, the first that has room"),
    setting("fly.pool", "VALET_FLY_POOL", Some("0"), "machines that wait, unstarted, for the next sandboxes"),
    setting(
        "fly.live_view",
        "VALET_FLY_LIVE_VIEW",
        None,
        "address of a machine's screen, with `{app}` and `{machine}`; without it nobody looks at one",
    ),
    setting("log.format", "VALET_LOG_FORMAT", Some("text"), "`text` or `json`"),
    setting("log.filter", "VALET_LOG", Some("info"), "log filter, such as `info,valet_engine=debug`"),
];

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    Default,
    File(PathBuf),
    Variable(&'static str),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Variable(name) => f.write_str(name),
        }
    }
}

/// What is wrong with the configuration, with the name and the fix.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    #[error("the configuration file {path} cannot be read: {source}")]
    Unreadable { path: PathBuf, source: std::io::Error },
    #[error("the configuration file {path} is not TOML: {message}")]
    NotToml { path: PathBuf, message: String },
    #[error("the configuration file {path} has the unknown setting `{key}`; `valet config reference` lists them")]
    Unknown { path: PathBuf, key: String },
    #[error("{path} cannot be written: {source}")]
    Unwritable { path: PathBuf, source: std::io::Error },
    #[error("{variable} (`{key}` in the file) is not set: {meaning}")]
    Missing { variable: &'static str, key: &'static str, meaning: &'static str },
    #[error("{variable} (`{key}` in the file) is wrong: {problem}")]
    Wrong { variable: &'static str, key: &'static str, problem: String },
    #[error("the file {path} of {variable} cannot be read: {source}; `valet up` makes one")]
    SecretFile { variable: &'static str, path: PathBuf, source: std::io::Error },
}

/// All values with their sources.
#[derive(Clone, Debug)]
pub struct Settings {
    values: BTreeMap<&'static str, (String, Source)>,
    /// What a running `valet up` left word of; in place of defaults.
    running: BTreeMap<&'static str, (String, Source)>,
}

/// In the data folder: where the parts of a running `valet up` are, so that workers, engines and commands started beside
/// it find them by themselves.
const RUNNING_FILE: &str = "running.toml";

impl Settings {
    /// Reads the file (`VALET_CONFIG`, else `valet.toml` if it is there) and then the variables.
    pub fn read() -> Result<Self, SettingsError> {
        let named = std::env::var_os("VALET_CONFIG").map(PathBuf::from);
        let path = named.or_else(|| Some(PathBuf::from("valet.toml")).filter(|path| path.exists()));
        let file = match path {
            Some(path) => {
                let text = std::fs::read_to_string(&path)
                    .map_err(|source| SettingsError::Unreadable { path: path.clone(), source })?;
                Some((path, text))
            }
            None => None,
        };
        let mut settings = Self::from_parts(file, |name| std::env::var(name).ok())?;
        let running = settings.path("data.dir")?.join(RUNNING_FILE);
        if let Ok(text) = std::fs::read_to_string(&running) {
            read_file(&running, &text, &mut settings.running)?;
        }
        Ok(settings)
    }

    /// For what starts servers of its own.
    pub fn forget_running(&mut self) {
        self.running.clear();
    }

    /// Leaves word of what runs, readable by its owner only; removed when the answer is dropped.
    pub fn announce(&self, keys: &[&'static str]) -> Result<Announcement, SettingsError> {
        let path = self.path("data.dir")?.join(RUNNING_FILE);
        let mut text = "# Written by `valet up`; gone when it ends.\n".to_owned();
        for key in keys {
            let value = toml::Value::String(self.text(key)?.to_owned());
            let _ = writeln!(text, "{key} = {value}");
        }
        crate::secrets::replace(&path, &text)
            .map_err(|source| SettingsError::Unwritable { path: path.clone(), source })?;
        Ok(Announcement { path })
    }

    /// The same from given parts; an empty variable counts as not set.
    pub fn from_parts(
        file: Option<(PathBuf, String)>,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, SettingsError> {
        let mut values = BTreeMap::new();
        for setting in SETTINGS {
            if let Some(default) = setting.default {
                values.insert(setting.key, (default.to_owned(), Source::Default));
            }
        }
        if let Some((path, text)) = file {
            read_file(&path, &text, &mut values)?;
        }
        for setting in SETTINGS {
            if let Some(value) = variable(setting.variable).filter(|value| !value.is_empty()) {
                values.insert(setting.key, (value, Source::Variable(setting.variable)));
            }
        }
        Ok(Self { values, running: BTreeMap::new() })
    }

    /// Overrides a value, as a command-line flag does.
    pub fn set(&mut self, key: &'static str, value: String) {
        self.values.insert(key, (value, Source::Variable("the command line")));
    }

    pub fn source(&self, key: &str) -> Option<&Source> {
        self.value(key).map(|(_, source)| source)
    }

    /// The value of a setting without a default, if it is set.
    pub fn find(&self, key: &str) -> Option<&str> {
        self.value(key).map(|(value, _)| value.as_str())
    }

    fn value(&self, key: &str) -> Option<&(String, Source)> {
        let given = self.values.get(key);
        let default = given.is_none_or(|(_, source)| *source == Source::Default);
        self.running.get(key).filter(|_| default).or(given)
    }

    pub fn text(&self, key: &'static str) -> Result<&str, SettingsError> {
        self.find(key).ok_or_else(|| {
            let setting = lookup(key);
            SettingsError::Missing { variable: setting.variable, key, meaning: setting.meaning }
        })
    }

    pub fn path(&self, key: &'static str) -> Result<PathBuf, SettingsError> {
        self.text(key).map(PathBuf::from)
    }

    pub fn list(&self, key: &'static str) -> Result<Vec<String>, SettingsError> {
        let text = self.text(key)?;
        Ok(text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(ToOwned::to_owned).collect())
    }

    pub fn number(&self, key: &'static str, low: u32, high: u32) -> Result<u32, SettingsError> {
        let text = self.text(key)?;
        text.parse()
            .ok()
            .filter(|n| (low..=high).contains(n))
            .ok_or_else(|| wrong(key, format!("`{text}` is not a number from {low} to {high}")))
    }

    pub fn flag(&self, key: &'static str) -> Result<bool, SettingsError> {
        let text = self.text(key)?;
        text.parse().map_err(|_| wrong(key, format!("`{text}` is neither `true` nor `false`")))
    }

    pub fn address(&self, key: &'static str) -> Result<std::net::SocketAddr, SettingsError> {
        let text = self.text(key)?;
        text.parse().map_err(|_| wrong(key, format!("`{text}` is not an address such as 127.0.0.1:7300")))
    }

    /// The contents of a file that holds a secret.
    pub fn secret_file(&self, key: &'static str) -> Result<String, SettingsError> {
        let path = self.path(key)?;
        let variable = lookup(key).variable;
        std::fs::read_to_string(&path).map(|text| text.trim().to_owned()).map_err(|source| SettingsError::SecretFile {
            variable,
            path,
            source,
        })
    }

    /// Lines `key = value  # source`, secrets covered.
    pub fn show(&self) -> String {
        let mut lines = String::new();
        for setting in SETTINGS {
            let line = match self.value(setting.key) {
                Some((_, source)) if setting.secret => format!("{} = •••  # {source}\n", setting.key),
                Some((value, source)) => format!("{} = {value:?}  # {source}\n", setting.key),
                None => format!("{} is not set\n", setting.key),
            };
            lines.push_str(&line);
        }
        lines
    }
}

/// The word that [`Settings::announce`] left.
#[derive(Debug)]
pub struct Announcement {
    path: PathBuf,
}

impl Drop for Announcement {
    fn drop(&mut self) {
        // One that stays names servers that are gone; the next `valet up` replaces it.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// The engines of a `valet up` that runs in this folder or above.
pub fn running_engines(here: &Path) -> Option<String> {
    let default = lookup("data.dir").default?;
    let text = here
        .ancestors()
        .take(FOLDERS_ABOVE_MAX)
        .find_map(|folder| std::fs::read_to_string(folder.join(default).join(RUNNING_FILE)).ok())?;
    let table: toml::Table = text.parse().ok()?;
    table.get("client")?.get("url")?.as_str().map(ToOwned::to_owned)
}

pub fn wrong(key: &'static str, problem: String) -> SettingsError {
    SettingsError::Wrong { variable: lookup(key).variable, key, problem }
}

/// The settings as Markdown.
pub fn reference() -> String {
    let mut text = String::from("| in `valet.toml` | variable | default | meaning |\n| --- | --- | --- | --- |\n");
    for setting in SETTINGS {
        let default = setting.default.map_or_else(|| "–".to_owned(), |d| format!("`{d}`"));
        let row = format!("| `{}` | `{}` | {default} | {} |\n", setting.key, setting.variable, setting.meaning);
        text.push_str(&row);
    }
    text
}

fn lookup(key: &str) -> &'static Setting {
    // Keys are written in this crate only; a test reads every one of them.
    SETTINGS.iter().find(|setting| setting.key == key).expect("every key is in the table")
}

fn read_file(
    path: &Path,
    text: &str,
    values: &mut BTreeMap<&'static str, (String, Source)>,
) -> Result<(), SettingsError> {
    let table: toml::Table = text.parse().map_err(|e: toml::de::Error| SettingsError::NotToml {
        path: path.to_owned(),
        message: e.message().to_owned(),
    })?;
    for (section, entries) in table {
        let unknown = |key: String| SettingsError::Unknown { path: path.to_owned(), key };
        let toml::Value::Table(entries) = entries else { return Err(unknown(section)) };
        for (name, value) in entries {
            let key = format!("{section}.{name}");
            let setting = SETTINGS.iter().find(|s| s.key == key).ok_or_else(|| unknown(key))?;
            let value = scalar(value).ok_or_else(|| {
                let problem = "must be a text, a number, a boolean or a list of texts".to_owned();
                SettingsError::Wrong { variable: setting.variable, key: setting.key, problem }
            })?;
            values.insert(setting.key, (value, Source::File(path.to_owned())));
        }
    }
    Ok(())
}

/// A value as the text that a variable would hold.
fn scalar(value: toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Float(number) => Some(number.to_string()),
        toml::Value::Boolean(yes) => Some(yes.to_string()),
        toml::Value::Array(items) => {
            let texts: Option<Vec<&str>> = items.iter().map(toml::Value::as_str).collect();
            texts.map(|texts| texts.join(","))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn read(file: Option<&str>, variables: &[(&str, &str)]) -> Result<Settings, SettingsError> {
        let file = file.map(|text| (PathBuf::from("valet.toml"), text.to_owned()));
        let variables: BTreeMap<String, String> =
            variables.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Settings::from_parts(file, |name| variables.get(name).cloned())
    }

    #[test]
    fn a_variable_beats_the_file_and_the_file_beats_the_default() {
        let file = "[worker]\nslots = 8\nqueues = [\"a\", \"b\"]\n";
        let settings = read(Some(file), &[("VALET_SLOTS", "16"), ("VALET_LISTEN", "")]).unwrap();
        assert_eq!(settings.number("worker.slots", 1, 100).unwrap(), 16);
        assert_eq!(settings.list("worker.queues").unwrap(), ["a", "b"]);
        assert_eq!(settings.text("engine.listen").unwrap(), "127.0.0.1:7300");
    }

    #[test]
    fn what_runs_here_stands_in_for_defaults_until_it_ends() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().display().to_string();
        let mut up = read(None, &[("VALET_DATA_DIR", &dir)]).unwrap();
        up.set("redis.url", "redis://:pass\"word@127.0.0.1:1".to_owned());
        up.set("client.url", "http://127.0.0.1:2".to_owned());
        let word = up.announce(&["redis.url", "client.url"]).unwrap();
        let path = folder.path().join(RUNNING_FILE);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);

        let mut beside = read(None, &[("VALET_URL", "http://elsewhere")]).unwrap();
        read_file(&path, &std::fs::read_to_string(&path).unwrap(), &mut beside.running).unwrap();
        assert_eq!(beside.text("redis.url").unwrap(), "redis://:pass\"word@127.0.0.1:1");
        assert_eq!(beside.source("redis.url"), Some(&Source::File(path.clone())));
        assert_eq!(beside.text("client.url").unwrap(), "http://elsewhere", "what is given goes before");
        beside.forget_running();
        assert_eq!(beside.find("redis.url"), None);

        drop(word);
        assert!(!path.exists());
    }

    #[test]
    fn a_bad_value_names_the_variable_and_the_range() {
        let settings = read(None, &[("VALET_SLOTS", "many")]).unwrap();
        let error = settings.number("worker.slots", 1, 4096).unwrap_err().to_string();
        assert!(error.contains("VALET_SLOTS") && error.contains("1 to 4096"), "{error}");
        let error = settings.text("database.url").unwrap_err().to_string();
        assert!(error.contains("VALET_DATABASE_URL"), "{error}");
    }

    #[test]
    fn an_unknown_setting_is_refused_by_name() {
        let error = read(Some("[worker]\nslot = 8\n"), &[]).unwrap_err().to_string();
        assert!(error.contains("worker.slot"), "{error}");
    }

    #[test]
    fn show_covers_secrets() {
        let settings = read(None, &[("VALET_DATABASE_URL", "postgres://u:hunter2@h/db")]).unwrap();
        assert!(!settings.show().contains("hunter2"));
    }
}
