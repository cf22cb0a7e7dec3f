//! The engines of `--url`: do they answer, are they ready, do they know the token, have they workers.

use reqwest::Url;
use valet_core::Timestamp;
use valet_engine::ports::{Clock, Machine};

use super::Check;
use crate::cli::bounds::CLOCK_SKEW_MAX_S;
use crate::cli::client::{Client, ClientError, Ready};
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::global::Global;

pub(super) async fn checks(global: &Global, urls: &[Url]) -> Vec<Check> {
    let client = match global.client() {
        Ok(client) => client,
        Err(error) => return vec![settings(&error)],
    };
    let mut checks = Vec::new();
    let mut answered = false;
    for (index, url) in urls.iter().enumerate() {
        let name = format!("engine {}", url.as_str().trim_end_matches('/'));
        match client.readiness(index).await {
            Ok(ready) => {
                answered = true;
                checks.extend(parts(&name, &ready, Machine.now()));
            }
            Err(ClientError::Unreachable(tried)) => {
                let why = tried.first().map_or("no answer", |tried| tried.why.as_str());
                let fix = "start it with `valet up`, or name another with --url or VALET_URL";
                checks.push(Check::fail(name, why, fix).exits(Exit::Unreachable));
            }
            Err(error) => {
                let exit = error.exit();
                checks.push(Check::fail(name, error.to_string(), "check --url").exits(exit));
            }
        }
    }
    if answered {
        checks.extend(behind_the_token(&client).await);
    }
    checks
}

fn settings(error: &CliError) -> Check {
    Check::fail("settings", error.to_string(), "check --url, --token, --token-file and their variables")
        .exits(error.exit())
}

fn parts(name: &str, ready: &Ready, now: Timestamp) -> Vec<Check> {
    let state = if ready.parts.ready {
        Check::ok(name, "ready")
    } else {
        Check::fail(name, "answers, but is not ready", "see its parts below").exits(Exit::Unreachable)
    };
    let mut checks = vec![state];
    for (part, word, fix) in [
        (
            "postgres",
            &ready.parts.postgres,
            "start Postgres or check VALET_DATABASE_URL of the engine; runs wait until then",
        ),
        ("redis", &ready.parts.redis, "start Redis or check VALET_REDIS_URL of the engine; no run is lost without it"),
    ] {
        let name = format!("{name}: {part}");
        checks.push(match word.as_str() {
            "ok" => Check::ok(name, "ok"),
            wrong => Check::fail(name, wrong, fix).exits(Exit::Unreachable),
        });
    }
    if ready.parts.paused {
        let found = "paused: it takes everything and grants nothing";
        checks.push(Check::warn(format!("{name}: pause"), found, "`valet resume engine`"));
    }
    checks.extend(ready.clock.map(|engine| clock(name, engine, now)));
    checks
}

/// The header has whole seconds, and the answer took its time: small differences are none.
fn clock(name: &str, engine: Timestamp, now: Timestamp) -> Check {
    let apart_s = (now - engine).num_seconds();
    let name = format!("{name}: clock");
    if apart_s.abs() <= CLOCK_SKEW_MAX_S {
        return Check::ok(name, "as this machine's");
    }
    let found = format!("{} s {} this machine's", apart_s.abs(), if apart_s > 0 { "behind" } else { "ahead of" });
    Check::warn(name, found, "set both clocks by NTP; ages and remaining times shown here are wrong")
}

async fn behind_the_token(client: &Client) -> Vec<Check> {
    let workers = match client.workers().await {
        Ok(workers) => workers.workers,
        Err(ClientError::Unauthorized { token_given }) => {
            let found = if token_given { "the engine does not know it" } else { "none is given" };
            let fix = "give it with --token-file or VALET_TOKEN_FILE; `valet up` prints the file's place";
            return vec![Check::fail("token", found, fix).exits(Exit::Auth)];
        }
        Err(error) => {
            let exit = error.exit();
            return vec![Check::fail("token", error.to_string(), "use a token for people").exits(exit)];
        }
    };
    let mut checks = vec![Check::ok("token", "accepted")];
    let slots: u32 = workers.iter().filter(|worker| !worker.draining).map(|worker| worker.slots).sum();
    checks.push(match (workers.len(), slots) {
        (0, _) => Check::warn("workers", "none", "start one with `valet worker`; runs wait until then"),
        (_, 0) => Check::warn("workers", "all are draining", "start one with `valet worker`; runs wait until then"),
        (count, slots) => Check::ok("workers", format!("{count}, with {slots} slots")),
    });
    if let Ok(list) = client.queues().await {
        for queue in list.queues.iter().filter(|queue| queue.workers == 0 && queue.ready > 0) {
            let found = format!("{} steps are ready and no worker pulls it", queue.ready);
            checks.push(Check::warn(format!("queue {}", queue.name), found, "start a worker for this queue"));
        }
    }
    checks
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;
    use valet_protocol::api::Readiness;

    #[test]
    fn a_part_that_is_away_fails_and_clocks_that_differ_warn() {
        let now: Timestamp = "2026-11-21T06:00:00Z".parse().unwrap();
        let parts_of = |redis: &str, behind_s| Ready {
            parts: Readiness {
                ready: redis == "ok",
                postgres: "ok".to_owned(),
                redis: redis.to_owned(),
                paused: false,
            },
            clock: Some(now - chrono::TimeDelta::seconds(behind_s)),
        };
        let verdicts = |ready: &Ready| parts("engine", ready, now).iter().map(|c| c.verdict).collect::<Vec<_>>();
        assert_eq!(verdicts(&parts_of("ok", 1)), [Verdict::Ok; 4]);
        let away = parts_of("connection refused", 60);
        assert_eq!(verdicts(&away), [Verdict::Fail, Verdict::Ok, Verdict::Fail, Verdict::Warn]);
        let mut paused = parts_of("ok", 1);
        paused.parts.paused = true;
        assert_eq!(verdicts(&paused), [Verdict::Ok, Verdict::Ok, Verdict::Ok, Verdict::Warn, Verdict::Ok]);
        let checks = parts("engine", &away, now);
        assert_eq!(checks[2].found, "connection refused");
        assert_eq!(checks[3].found, "60 s behind this machine's");
    }
}
