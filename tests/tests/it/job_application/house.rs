//! A whole Valet with a job board: Postgres, Redis, one engine and one worker as processes, the board in the test's own.

use std::fmt::Display;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::Instant;
use valet::cli::client::ClientError;
use valet::cli::{Client, ClientConfig, install_tls};
use valet_board::{Application, Board, BoardConfig, Expectation, Filter, FormKind};
use valet_protocol::api::{RunDetail, StartRunRequest, TaskView};
use valet_stack::Stack;
use valet_tests::Process;
use valet_tests::bounds::{LOG_LINES_SHOWN, PORT_DRAWS, PORTS, SOON, START_MAX};
use valet_tests::process::{Launch, naming};
use valet_tests::wait::{until, until_true};
use valet_workers::sandbox::process::{end_sandbox, of_sandbox};

use super::applicant;
use crate::it::PROGRAM;

/// One application, crashes and the waits for lost leases included.
pub const APPLICATION_MAX: Duration = Duration::from_mins(2);
/// How long a run is left alone between two looks at it.
pub const LOOK_EVERY: Duration = Duration::from_millis(40);
/// Browsers that a failed test left.
const BROWSERS_END_MAX: Duration = Duration::from_secs(5);

pub struct House {
    pub board: Board,
    pub client: Arc<Client>,
    pub engine: Process,
    pub worker: Process,
    /// Whoever is asked for letters, a code or a password mistypes the first time.
    pub first_answers_are_wrong: bool,
    resume: String,
    environment: Vec<(&'static str, String)>,
    folder: TempDir,
    pub stack: Stack,
}

/// An application as it came to its end.
pub struct Filed {
    pub run: RunDetail,
    /// What people were asked, in order.
    pub asked: Vec<TaskView>,
    pub took: Duration,
    /// What the board took from this form and seed.
    pub received: Vec<Application>,
}

impl House {
    pub async fn start(slots: u32) -> Self {
        Self::start_set(slots, Vec::new()).await
    }

    /// With settings of its own.
    pub async fn start_set(slots: u32, settings: Vec<(&'static str, String)>) -> Self {
        Self::start_with(slots, settings, None).await
    }

    /// Where another private place, `host:port`, may be reached besides the board.
    pub async fn start_reaching(slots: u32, place: &str) -> Self {
        Self::start_with(slots, Vec::new(), Some(place)).await
    }

    async fn start_with(slots: u32, settings: Vec<(&'static str, String)>, place: Option<&str>) -> Self {
        install_tls();
        let stack = Stack::temporary(false).await.expect("the private servers start");
        let board = Board::start(BoardConfig::new(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))).await.expect("a board");
        let folder = tempfile::Builder::new().prefix("valet-test-").tempdir().expect("a temporary folder");
        for (name, prefix) in [("secret.key", ""), ("token", "vt_"), ("worker-token", "vw_")] {
            valet::secrets::ensure(&folder.path().join(name), prefix).expect("a secret is written");
        }
        let listen = format!("127.0.0.1:{}", free_port());
        let mut environment = environment(&stack, folder.path(), &listen, &board, slots);
        let places = place.map(|place| ("VALET_ALLOW_HOSTS", format!("{},{place}", board.address())));
        environment.extend(settings.into_iter().chain(places));
        let launch = |name: &str, arguments: &[&str]| process(name, arguments, &environment, folder.path());
        let mut engine = launch("engine", &["engine", "--migrate", "--listen", &listen]);
        let mut worker = launch("worker", &["worker"]);
        let token = std::fs::read_to_string(folder.path().join("token")).expect("the token is there").trim().to_owned();
        let urls = ClientConfig::parse_urls(&format!("http://{listen}")).expect("an address");
        let client = Arc::new(Client::new(ClientConfig { urls, token: Some(token) }).expect("a client"));
        engine.start();
        ready(&client).await;
        worker.start();
        let file = client.upload(applicant::RESUME_NAME, applicant::RESUME.to_vec(), None).await.expect("a file");
        let first_answers_are_wrong = false;
        Self { board, client, engine, worker, first_answers_are_wrong, resume: file.id, environment, folder, stack }
    }

    /// One more worker on the same machine, not started.
    pub fn another_worker(&self, name: &str) -> Process {
        process(name, &["worker", "--name", name], &self.environment, self.folder.path())
    }

    /// A worker of another machine, as far as Valet can tell: with browsers of its own. Not started.
    pub fn worker_of_another_host(&self, name: &str) -> Process {
        let own = self.folder.path().join(format!("sandboxes-of-{name}")).display().to_string();
        let elsewhere = |(key, value): &(&'static str, String)| {
            (*key, if *key == "VALET_SANDBOX_DIR" { own.clone() } else { value.clone() })
        };
        let environment: Vec<_> = self.environment.iter().map(elsewhere).collect();
        process(name, &["worker", "--name", name], &environment, self.folder.path())
    }

    pub async fn engine_ready(&self) {
        ready(&self.client).await;
    }

    /// The engine for somebody who kills and starts it while the house is in use.
    pub fn take_engine(&mut self) -> Process {
        std::mem::replace(&mut self.engine, unstarted())
    }

    /// kill -9, and the same again.
    pub async fn restart_worker(&mut self) {
        self.worker.kill().await;
        self.worker.start();
    }

    pub async fn restart_engine(&mut self) {
        self.engine.kill().await;
        self.engine.start();
        ready(&self.client).await;
    }

    /// The id of the résumé that applicants have.
    pub fn resume(&self) -> &str {
        &self.resume
    }

    pub fn applicant(&self) -> Applicant {
        Applicant { client: Arc::clone(&self.client), base: self.board.base_url(), resume: self.resume.clone() }
    }

    pub fn received(&self, form: FormKind, seed: u32) -> Vec<Application> {
        self.board.received().list(&Filter::of(form, seed))
    }

    /// Follows a run to its end. People are asked on the way: they know the answer to the board's own question, and look at the board's
    /// record to tell whether an application arrived.
    pub async fn follow(&self, form: FormKind, seed: u32, run: &str) -> Filed {
        let begun = Instant::now();
        let mut asked: Vec<TaskView> = Vec::new();
        loop {
            if let Some(run) = self.look(form, seed, run, &mut asked).await {
                return Filed { run, asked, took: begun.elapsed(), received: self.received(form, seed) };
            }
            assert!(begun.elapsed() < APPLICATION_MAX, "{form:?}/{seed}: {run} goes on and on");
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Looks at a run once and answers what people are asked; the run when it has ended.
    pub async fn look(&self, form: FormKind, seed: u32, run: &str, asked: &mut Vec<TaskView>) -> Option<RunDetail> {
        // An engine that was killed is on its way back.
        let detail = self.client.run(run).await.ok()?;
        for task in detail.tasks.iter().filter(|task| task.state == "open") {
            if asked.iter().any(|earlier| earlier.id == task.id) {
                continue;
            }
            let again = asked.iter().any(|earlier| earlier.reason == task.reason);
            let answer = self.answer(form, seed, task, self.first_answers_are_wrong && !again);
            if self.client.answer(&task.id, answer, &task.id).await.is_ok() {
                asked.push(task.clone());
            }
        }
        Some(detail).filter(|detail| detail.run.ended_at.is_some())
    }

    /// What the applicant would say: where the form asks for something that the profile spoke of badly, they put it right.
    fn answer(&self, form: FormKind, seed: u32, task: &TaskView, wrongly: bool) -> Value {
        if task.reason == "in_doubt" {
            return json!({ "submitted": !self.received(form, seed).is_empty() });
        }
        if task.reason == "review" {
            return json!({ "approve": true });
        }
        if let Some(secrets) = self.secrets(form, seed, task) {
            let told = |(name, secret): (&String, String)| {
                let told =
                    if wrongly { secret.chars().map(|c| if c == '7' { '1' } else { '7' }).collect() } else { secret };
                (name.clone(), json!(told))
            };
            let names = task.form["properties"].as_object().expect("a form with properties").keys();
            return Value::Object(names.zip(secrets).map(told).collect());
        }
        let expected = Expectation::of(form, seed);
        let properties = task.form["properties"].as_object().expect("a form with properties");
        let answers = properties.iter().map(|(name, property)| {
            let field = expected.fields.iter().find(|field| property["title"] == field.label);
            let answer = field.and_then(applicant::wanted).unwrap_or("the board has no such field");
            (name.clone(), json!(answer))
        });
        Value::Object(answers.collect())
    }
}

impl House {
    /// What a person sees in the picture, finds in the mailbox, or knows by heart.
    fn secrets(&self, form: FormKind, seed: u32, task: &TaskView) -> Option<Vec<String>> {
        match task.reason.as_str() {
            "captcha" => Some(vec![self.board.checks(form, seed).pop().expect("a picture was shown").answer]),
            // Everybody here has one mailbox: other applications get their codes at the same time.
            "code" => {
                let mut own = self.board.inbox(applicant::EMAIL);
                own.retain(|mail| mail.form == form && mail.seed == seed);
                Some(vec![own.pop().expect("a mail was sent").code])
            }
            "login" => {
                let known = self.board.credentials(seed);
                Some(vec![known.user, known.password])
            }
            _ => None,
        }
    }

    /// What a process is started with.
    pub fn setting(&self, name: &str) -> &str {
        let found = self.environment.iter().rfind(|(known, _)| *known == name);
        &found.unwrap_or_else(|| panic!("no {name}")).1
    }

    /// Where the folders of browsers lie while they live.
    pub fn sandboxes(&self) -> PathBuf {
        self.folder.path().join("sandboxes")
    }

    /// Folders of browsers that are there.
    pub fn browsers_left(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.sandboxes()).into_iter().flatten().flatten();
        let sandbox = |path: &PathBuf| {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            path.is_dir() && !name.starts_with('.')
        };
        entries.map(|entry| entry.path()).filter(sandbox).collect()
    }

    /// Processes of browsers that have this name, as the kernel keeps it: 15 characters.
    pub fn in_sandboxes(&self, name: &str) -> Vec<i32> {
        let named =
            |pid: &i32| std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm.trim() == name);
        let processes = self.browsers_left().into_iter().flat_map(|folder| of_sandbox(&folder));
        processes.map(|process| process.pid).filter(named).collect()
    }

    /// Neither a folder nor a process of any browser.
    pub async fn no_browser_is_left(&self, after: impl Display) {
        let root = self.sandboxes();
        let marker = format!("{}/", root.display());
        until_true(&format!("{after}: the browser's processes to be gone"), SOON, async || naming(&marker).is_empty())
            .await;
        let folders = std::fs::read_dir(&root).expect("the folder of sandboxes").flatten();
        let names = folders.map(|entry| entry.file_name().to_string_lossy().into_owned());
        let left: Vec<String> = names.filter(|name| !name.starts_with('.')).collect();
        assert_eq!(left, Vec::<String>::new(), "{after}: folders are left");
    }

    /// Waits until a worker is at this step of the run.
    pub async fn until_step(&self, run: &str, name: &str) {
        until(&format!("{name} of {run} to begin"), START_MAX, async || {
            let steps = self.client.run(run).await.map_err(|error| error.to_string())?.steps;
            if steps.iter().any(|step| step.name == name && step.state == "running") {
                Ok(())
            } else {
                Err(format!("{steps:?}"))
            }
        })
        .await;
    }
}

/// What it takes to apply.
#[derive(Clone)]
pub struct Applicant {
    client: Arc<Client>,
    base: String,
    resume: String,
}

impl Applicant {
    /// The id of the run that applies there.
    pub async fn start(&self, form: FormKind, seed: u32) -> String {
        self.start_with(form, seed, |_| {}).await
    }

    /// With a profile that was changed before.
    pub async fn start_with(&self, form: FormKind, seed: u32, change: impl FnOnce(&mut Value)) -> String {
        self.start_input(form, seed, |input| change(&mut input["profile"])).await
    }

    /// With an input that was changed before.
    pub async fn start_input(&self, form: FormKind, seed: u32, change: impl FnOnce(&mut Value)) -> String {
        self.try_start_input(form, seed, change).await.expect("the run starts")
    }

    pub async fn try_start_input(
        &self,
        form: FormKind,
        seed: u32,
        change: impl FnOnce(&mut Value),
    ) -> Result<String, ClientError> {
        let job_url = format!("{}/jobs/{}/{seed}", self.base, form.as_str());
        let mut input = applicant::input(&job_url, &self.resume);
        change(&mut input);
        let request = StartRunRequest { input, ..StartRunRequest::default() };
        Ok(self.client.start("job-application", &request, &job_url).await?.id)
    }
}

impl Drop for House {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for process in [&self.engine, &self.worker] {
                eprintln!("---- the end of the log of {}:\n{}", process.name(), process.log_tail(LOG_LINES_SHOWN));
            }
        }
        let sandboxes = std::fs::read_dir(self.folder.path().join("sandboxes")).into_iter().flatten().flatten();
        let left: Vec<PathBuf> = sandboxes.map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
        // A worker that lives would start what is ended here anew.
        drop(std::mem::replace(&mut self.worker, unstarted()));
        let ended = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            for sandbox in left {
                runtime.block_on(end_sandbox(&sandbox, None, BROWSERS_END_MAX));
            }
        });
        let _ = ended.join();
    }
}

fn unstarted() -> Process {
    process("ended", &[], &[], Path::new("."))
}

fn process(name: &str, arguments: &[&str], environment: &[(&'static str, String)], folder: &Path) -> Process {
    Process::new(Launch {
        name: name.to_owned(),
        program: PathBuf::from(PROGRAM),
        arguments: arguments.iter().map(ToString::to_string).collect(),
        environment: environment.to_vec(),
        folder: folder.to_owned(),
    })
}

async fn ready(client: &Client) {
    until("the engine to be ready", START_MAX, async || match client.readiness(0).await {
        Ok(ready) if ready.parts.ready => Ok(()),
        Ok(ready) => Err(format!("{:?}", ready.parts)),
        Err(error) => Err(error.to_string()),
    })
    .await;
}

fn environment(stack: &Stack, folder: &Path, listen: &str, board: &Board, slots: u32) -> Vec<(&'static str, String)> {
    let file = |name: &str| folder.join(name).display().to_string();
    vec![
        ("VALET_DATABASE_URL", stack.database_url().to_owned()),
        ("VALET_REDIS_URL", stack.redis_url().to_owned()),
        ("VALET_SECRET_KEY_FILE", file("secret.key")),
        ("VALET_TOKEN_FILE", file("token")),
        ("VALET_WORKER_TOKEN_FILE", file("worker-token")),
        ("VALET_FILES_DIR", file("files")),
        ("VALET_SANDBOX_DIR", file("sandboxes")),
        // The pace itself is tested with the browser; here it would only take time.
        ("VALET_HUMAN_PACE", "false".to_owned()),
        ("VALET_URL", format!("http://{listen}")),
        ("VALET_ALLOW_HOSTS", board.address().to_string()),
        ("VALET_QUEUES", "browser,default".to_owned()),
        ("VALET_SLOTS", slots.to_string()),
        ("VALET_LOG", "info,valet_workers=debug".to_owned()),
    ]
}

/// Free now; whoever takes it first fails to listen and says so.
fn free_port() -> u16 {
    (0..PORT_DRAWS)
        .map(|_| rand::random_range(PORTS))
        .find(|&port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok())
        .expect("a free port on loopback")
}
