//! The command line as a whole: which verb, with which settings, ends with which exit code.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::bench::BenchCommand;
use crate::cli;
use crate::registry::Registry;
use crate::roles::{asked_to_stop, engine, up, worker};
use crate::settings::{Settings, Source, reference};
use crate::{bench, classify, hooks, replay_check, sandbox_event, simulate, telemetry, tls};

/// Durable workflows for work that needs a browser and sometimes a person.
#[derive(Parser)]
#[command(name = "valet", version, about, max_term_width = 100)]
struct Program {
    #[command(flatten)]
    global: cli::Global,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Start everything on this machine and file one application on the local job board
    Up(up::UpCommand),
    /// Run an engine
    Engine {
        /// Address to serve on [default: the setting engine.listen]
        #[arg(long)]
        listen: Option<String>,
        /// Bring the schema up to date first
        #[arg(long)]
        migrate: bool,
        /// Pause everything before anything is granted, until `valet resume engine`
        #[arg(long)]
        start_paused: bool,
    },
    /// Run a worker
    Worker {
        /// Queues to pull, separated by commas
        #[arg(long)]
        queues: Option<String>,
        /// Steps to run at once
        #[arg(long)]
        slots: Option<u32>,
        /// Name, for people
        #[arg(long)]
        name: Option<String>,
    },
    /// Bring the database's schema up to date
    Migrate,
    /// Run the engine's loops under seeded faults and compare with a reference
    Simulate(simulate::SimulateCommand),
    /// Measure
    #[command(subcommand)]
    Bench(BenchCommand),
    /// Tell what the controls of saved pages are for
    Classify(classify::ClassifyCommand),
    /// Check or show the configuration
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Print the OpenAPI document
    Openapi,
    /// Say what happens in a sandbox; for what runs inside one
    SandboxEvent(sandbox_event::SandboxEventCommand),
    /// Guard one browser's driver; started by workers
    #[command(hide = true)]
    Gate {
        #[arg(long)]
        config: PathBuf,
    },
    #[command(flatten)]
    Operate(cli::Verb),
}

#[derive(Subcommand)]
enum ConfigCommand {
    /// Read everything and say what is wrong
    Check,
    /// Print every value and where it came from
    Show,
    /// Print the reference of all settings
    Reference,
}

/// Runs the program: parses the arguments, sets logs up, carries the verb out, ends the process with its exit code.
pub fn main(registry: Registry) -> ! {
    let program = Program::parse();
    cli::install_tls();
    let code = match (Settings::read(), tokio::runtime::Builder::new_multi_thread().enable_all().build()) {
        (Ok(settings), Ok(runtime)) => runtime.block_on(carry_out(program, settings, registry)),
        (Err(error), _) => fail(&error),
        (_, Err(error)) => fail(&error),
    };
    std::process::exit(i32::from(code))
}

async fn carry_out(mut program: Program, mut settings: Settings, registry: Registry) -> u8 {
    match &program.global.ca_file {
        Some(file) => settings.set("http.ca_file", file.display().to_string()),
        None => program.global.ca_file = settings.find("http.ca_file").map(PathBuf::from),
    }
    if let Verb::Operate(verb) = program.verb {
        return operate(verb, program.global, &settings, registry).await;
    }
    if let Verb::Simulate(command) = &program.verb {
        // Without logs: the engines of a simulation meet faults all the time.
        return simulate::run(command, program.global.json);
    }
    if matches!(program.verb, Verb::Up(_) | Verb::Bench(_)) {
        settings.forget_running();
    }
    if matches!(program.verb, Verb::Up(_)) && settings.source("log.filter") == Some(&Source::Default) {
        // People want to see the application, not the servers.
        settings.set("log.filter", "warn".to_owned());
    }
    if let Err(error) = telemetry::init(&settings) {
        return fail(&error);
    }
    match program.verb {
        Verb::Up(command) => up::run(command, settings, registry).await,
        Verb::Engine { listen, migrate, start_paused } => {
            if start_paused {
                settings.set("engine.start_paused", "true".to_owned());
            }
            if let Some(listen) = listen {
                settings.set("engine.listen", listen);
            }
            ended(run_engine(&settings, registry, migrate).await)
        }
        Verb::Worker { queues, slots, name } => {
            let slots = slots.map(|slots| slots.to_string());
            for (key, value) in [("worker.queues", queues), ("worker.slots", slots), ("worker.name", name)] {
                if let Some(value) = value {
                    settings.set(key, value);
                }
            }
            ended(worker::run(&settings, registry.handlers, asked_to_stop()).await.map(drop))
        }
        Verb::Migrate => ended(engine::migrate_database(&settings).await),
        Verb::Bench(command) => bench::run(command, &settings, program.global.json).await,
        Verb::Classify(command) => classify::run(&command, &settings, program.global.json).await,
        Verb::Config(command) => configure(&command, &settings),
        Verb::Openapi => {
            println!("{}", serde_json::to_string_pretty(&valet_engine::http::openapi()).unwrap_or_default());
            0
        }
        Verb::SandboxEvent(command) => ended(sandbox_event::run(command).await),
        Verb::Gate { config } => ended(worker::run_gate(&config).await),
        Verb::Operate(_) | Verb::Simulate(_) => 0,
    }
}

/// What asks the workflows' code is done here; all else any engine's client can do.
async fn operate(verb: cli::Verb, global: cli::Global, settings: &Settings, registry: Registry) -> u8 {
    let json = global.json;
    match &verb {
        cli::Verb::Workflows(workflows) if let Some(check) = workflows.replay_check() => {
            replay_check::run(check, settings, registry, json).await
        }
        cli::Verb::Runs(runs) if let Some(replay) = runs.replay() => {
            cli::replay::run(replay, settings, registry, json).await
        }
        _ => cli::run(verb, global).await,
    }
}

async fn run_engine(settings: &Settings, registry: Registry, migrate: bool) -> Result<(), engine::EngineRoleError> {
    if migrate {
        engine::migrate_database(settings).await?;
    }
    let running = engine::start(settings, registry.workflows, settings.address("engine.listen")?).await?;
    asked_to_stop().await;
    running.stop().await;
    Ok(())
}

fn configure(command: &ConfigCommand, settings: &Settings) -> u8 {
    match command {
        ConfigCommand::Show => print!("{}", settings.show()),
        ConfigCommand::Reference => print!("{}", reference()),
        ConfigCommand::Check => {
            let checks = [
                settings.address("engine.listen").map(drop),
                settings.flag("engine.start_paused").map(drop),
                settings.number("worker.slots", 1, 4096).map(drop),
                settings.flag("worker.hand_over").map(drop),
                settings.text("database.url").map(drop),
                settings.text("redis.url").map(drop),
                settings.secret_file("secrets.key_file").map(drop),
                settings.secret_file("tokens.api_file").map(drop),
                settings.secret_file("tokens.worker_file").map(drop),
                tls::certificate(settings).map(drop),
                tls::authorities(settings).map(drop),
                hooks::listeners(settings).map(drop),
            ];
            let problems: Vec<String> = checks.into_iter().filter_map(Result::err).map(|e| e.to_string()).collect();
            if !problems.is_empty() {
                eprintln!("error: {}", problems.join("\nerror: "));
                return 2;
            }
            println!("the configuration is complete");
        }
    }
    0
}

fn ended<E: std::fmt::Display>(result: Result<(), E>) -> u8 {
    match result {
        Ok(()) => 0,
        Err(error) => fail(&error),
    }
}

fn fail(error: &dyn std::fmt::Display) -> u8 {
    eprintln!("error: {error}");
    2
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::Value;

    /// The console's types are made of it.
    #[test]
    fn the_console_knows_the_api_as_it_is() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("console/openapi.json");
        let kept: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        let document = serde_json::to_value(valet_engine::http::openapi()).unwrap();
        let how =
            "the API has changed: `valet openapi > ops/console/openapi.json`, then `npm run types` in ops/console";
        assert!(kept == document, "{how}");
    }
}
