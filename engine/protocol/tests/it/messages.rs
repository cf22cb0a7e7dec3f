//! Every message of the worker protocol and of the API.

use std::collections::BTreeSet;

use valet_protocol::{api, problem, worker};

use super::golden::{Golden, Unknown, folder};

use Unknown::{Refused, Tolerated};

/// Between engines and workers of neighbouring versions: both may say more than the other knows.
fn of_the_worker_protocol() -> Vec<Golden> {
    vec![
        Golden::of::<worker::OpenSession>("worker/open_session", &[""], Tolerated),
        Golden::of::<worker::SessionOpened>("worker/session_opened", &[""], Tolerated),
        Golden::of::<worker::Heartbeat>("worker/heartbeat", &["", "/held/0"], Tolerated),
        Golden::of::<worker::HeartbeatAnswer>("worker/heartbeat_answer", &[""], Tolerated),
        Golden::of::<worker::HeartbeatAnswer>("worker/heartbeat_answer_ended", &[""], Tolerated),
        Golden::of::<worker::ClaimBatch>("worker/claim_batch", &["", "/claims/0"], Tolerated),
        Golden::of::<worker::ClaimAnswers>(
            "worker/claim_answers",
            &["", "/answers/0/granted", "/answers/1/refused"],
            Tolerated,
        ),
        Golden::of::<worker::ClaimNext>("worker/claim_next", &[""], Tolerated),
        Golden::of::<worker::ClaimedNext>("worker/claimed_next", &["", "/granted/0"], Tolerated),
        Golden::of::<worker::FinishBatch>(
            "worker/finish_batch",
            &[
                "",
                "/finishes/0",
                "/finishes/0/outcome/done",
                "/finishes/0/hand_over",
                "/finishes/1/outcome/retry",
                "/finishes/1/outcome/retry/error",
                "/finishes/2/outcome/fail",
                "/finishes/3/outcome/blocked",
            ],
            Tolerated,
        ),
        Golden::of::<worker::FinishAnswers>(
            "worker/finish_answers",
            &[
                "",
                "/answers/0/accepted",
                "/answers/0/accepted/next",
                "/answers/1/accepted",
                "/answers/2/refused",
                "/answers/3/again",
            ],
            Tolerated,
        ),
        Golden::of::<worker::EffectBegin>("worker/effect_begin", &[""], Tolerated),
        Golden::of::<worker::EffectAnswer>("worker/effect_answer_go", &[], Tolerated),
        Golden::of::<worker::EffectAnswer>("worker/effect_answer_no", &[], Tolerated),
        Golden::of::<worker::ItemWanted>("worker/item_wanted", &[""], Tolerated),
        Golden::of::<worker::ItemAnswer>("worker/item_answer", &["/item"], Tolerated),
        Golden::of::<worker::ItemAnswer>("worker/item_answer_missing", &[], Tolerated),
        Golden::of::<worker::ItemAnswer>("worker/item_answer_stale", &[], Tolerated),
        Golden::of::<worker::TierAsk>("worker/tier_ask", &["", "/what/visit"], Tolerated),
        Golden::of::<worker::TierAsk>("worker/tier_ask_facts", &["", "/what/facts"], Tolerated),
        Golden::of::<worker::TierAsk>("worker/tier_ask_outcome", &["", "/what/outcome"], Tolerated),
        Golden::of::<worker::TierAsk>("worker/tier_ask_cool_down", &["", "/what/cool_down"], Tolerated),
        Golden::of::<worker::TierAnswer>(
            "worker/tier_answer",
            &["/facts", "/facts/rules/0", "/facts/tallies/0", "/facts/site"],
            Tolerated,
        ),
        Golden::of::<worker::TierAnswer>("worker/tier_answer_done", &[], Tolerated),
        Golden::of::<worker::TierAnswer>("worker/tier_answer_changed", &[], Tolerated),
        Golden::of::<worker::TierAnswer>("worker/tier_answer_stale", &[], Tolerated),
        Golden::of::<worker::ResourceAsk>("worker/resource_ask", &["", "/step", "/what/reserve"], Tolerated),
        Golden::of::<worker::ResourceAsk>("worker/resource_ask_claim", &["", "/what/claim"], Tolerated),
        Golden::of::<worker::ResourceAsk>("worker/resource_ask_renew", &["", "/what/renew"], Tolerated),
        Golden::of::<worker::ResourceAsk>("worker/resource_ask_transition", &["", "/what/transition"], Tolerated),
        Golden::of::<worker::ResourceAsk>("worker/resource_ask_list", &["", "/what/list"], Tolerated),
        Golden::of::<worker::ResourceAsk>("worker/resource_ask_reap", &["", "/what/reap"], Tolerated),
        Golden::of::<worker::ResourceAsk>("worker/resource_ask_live_runs", &["", "/what/live_runs"], Tolerated),
        Golden::of::<worker::ResourceAnswer>(
            "worker/resource_answer",
            &["/resource", "/resource/resource", "/resource/callback"],
            Tolerated,
        ),
        Golden::of::<worker::ResourceAnswer>("worker/resource_answer_taken", &["/taken"], Tolerated),
        Golden::of::<worker::ResourceAnswer>("worker/resource_answer_refused", &["/refused"], Tolerated),
        Golden::of::<worker::ResourceAnswer>("worker/resource_answer_resources", &["/resources/0"], Tolerated),
        Golden::of::<worker::ResourceAnswer>("worker/resource_answer_runs", &[], Tolerated),
        Golden::of::<worker::ResourceAnswer>("worker/resource_answer_spent", &["/spent"], Tolerated),
        Golden::of::<worker::ResourceAnswer>("worker/resource_answer_missing", &[], Tolerated),
        Golden::of::<worker::ResourceAnswer>("worker/resource_answer_stale", &[], Tolerated),
        Golden::of::<worker::ItemNamesWanted>("worker/item_names_wanted", &[""], Tolerated),
        Golden::of::<worker::ItemNamesAnswer>("worker/item_names_answer", &[], Tolerated),
        Golden::of::<worker::ItemNamesAnswer>("worker/item_names_answer_stale", &[], Tolerated),
        Golden::of::<worker::KeepItem>("worker/keep_item", &[""], Tolerated),
        Golden::of::<worker::KeepAnswer>("worker/keep_answer", &["/kept"], Tolerated),
        Golden::of::<worker::KeepAnswer>("worker/keep_answer_stale", &[], Tolerated),
        Golden::of::<worker::BlobStored>("worker/blob_stored", &[""], Tolerated),
    ]
}

/// Inputs refuse what they do not know; answers may grow.
fn of_the_api() -> Vec<Golden> {
    vec![
        Golden::of::<api::StartRunRequest>("api/start_run_request", &[""], Refused),
        Golden::of::<api::RunStarted>("api/run_started", &["", "/error"], Tolerated),
        Golden::of::<api::StartRunsRequest>("api/start_runs_request", &[""], Refused),
        Golden::of::<api::RunsStarted>(
            "api/runs_started",
            &["", "/results/0", "/results/1", "/results/1/error"],
            Tolerated,
        ),
        Golden::of::<api::RunCounts>("api/run_counts", &["", "/buckets/0"], Tolerated),
        Golden::of::<api::RunSummary>("api/run_summary", &[""], Tolerated),
        Golden::of::<api::RunPage>("api/run_page", &["", "/runs/0"], Tolerated),
        Golden::of::<api::RunDetail>(
            "api/run_detail",
            &["", "/steps/0", "/tasks/0", "/error", "/forked_from"],
            Tolerated,
        ),
        Golden::of::<api::RunError>("api/run_error", &[""], Tolerated),
        Golden::of::<api::StepView>("api/step_view", &["", "/error"], Tolerated),
        Golden::of::<api::TaskView>("api/task_view", &[""], Tolerated),
        Golden::of::<api::TaskPage>("api/task_page", &["", "/tasks/0"], Tolerated),
        Golden::of::<api::AnswerRequest>("api/answer_request", &[""], Refused),
        Golden::of::<api::ReasonRequest>("api/reason_request", &[""], Refused),
        Golden::of::<api::PauseRequest>("api/pause_request", &[""], Refused),
        Golden::of::<api::ResumeRequest>("api/resume_request", &[""], Refused),
        Golden::of::<api::PauseView>("api/pause_view", &[""], Tolerated),
        Golden::of::<api::PauseList>("api/pause_list", &["", "/pauses/0"], Tolerated),
        Golden::of::<api::KillRequest>("api/kill_request", &[""], Refused),
        Golden::of::<api::ForkRequest>("api/fork_request", &[""], Refused),
        Golden::of::<api::RunForked>("api/run_forked", &[""], Tolerated),
        Golden::of::<api::BudgetRequest>("api/budget_request", &[""], Refused),
        Golden::of::<api::CompletionRequest>("api/completion_request", &[""], Refused),
        Golden::of::<api::EditRequest>("api/edit_request", &[""], Refused),
        Golden::of::<api::SkipRequest>("api/skip_request", &[""], Refused),
        Golden::of::<api::SignalRequest>("api/signal_request", &[""], Refused),
        Golden::of::<api::RunEvent>("api/run_event", &[""], Tolerated),
        Golden::of::<api::WorkflowList>("api/workflow_list", &["", "/workflows/0"], Tolerated),
        Golden::of::<api::WorkflowView>("api/workflow_view", &[""], Tolerated),
        Golden::of::<api::WorkflowRegistered>("api/workflow_registered", &[""], Tolerated),
        Golden::of::<api::FileStored>("api/file_stored", &[""], Tolerated),
        Golden::of::<api::QueueList>("api/queue_list", &["", "/queues/0"], Tolerated),
        Golden::of::<api::CreateTokenRequest>("api/create_token_request", &[""], Refused),
        Golden::of::<api::TokenCreated>("api/token_created", &[""], Tolerated),
        Golden::of::<api::TokenView>("api/token_view", &[""], Tolerated),
        Golden::of::<api::TokenList>("api/token_list", &["", "/tokens/0"], Tolerated),
        Golden::of::<api::WhoAmI>("api/who_am_i", &[""], Tolerated),
        Golden::of::<api::SubjectView>("api/subject_view", &[""], Tolerated),
        Golden::of::<api::PutItemRequest>("api/put_item_request", &[""], Refused),
        Golden::of::<api::ItemStored>("api/item_stored", &[""], Tolerated),
        Golden::of::<api::ItemList>("api/item_list", &["", "/items/0"], Tolerated),
        Golden::of::<api::ItemView>("api/item_view", &[""], Tolerated),
        Golden::of::<api::Item>("api/item", &[""], Tolerated),
        Golden::of::<api::UseList>("api/use_list", &["", "/uses/0"], Tolerated),
        Golden::of::<api::UseView>("api/use_view", &[""], Tolerated),
        Golden::of::<api::AuditEntry>("api/audit_entry", &[""], Tolerated),
        Golden::of::<api::AuditPage>("api/audit_page", &["", "/entries/0"], Tolerated),
        Golden::of::<api::OpenConsoleSession>("api/open_console_session", &[""], Refused),
        Golden::of::<api::ConsoleSession>("api/console_session", &[""], Tolerated),
        Golden::of::<api::WorkerList>("api/worker_list", &["", "/workers/0"], Tolerated),
        Golden::of::<api::Readiness>("api/readiness", &[""], Tolerated),
        Golden::of::<api::ArtifactList>("api/artifact_list", &["", "/artifacts/0"], Tolerated),
        Golden::of::<api::SandboxEvent>("api/sandbox_event", &[""], Refused),
        Golden::of::<api::SandboxView>("api/sandbox_view", &[""], Tolerated),
        Golden::of::<api::SandboxList>("api/sandbox_list", &["", "/sandboxes/0", "/costs/0"], Tolerated),
        Golden::of::<api::RuleView>("api/rule_view", &[""], Tolerated),
        Golden::of::<api::RuleList>("api/rule_list", &["", "/rules/0"], Tolerated),
        Golden::of::<api::TierMetrics>("api/tier_metrics", &["", "/tallies/0", "/sites/0", "/policies/0"], Tolerated),
        Golden::of::<problem::Problem>("api/problem", &["", "/errors/0"], Tolerated),
    ]
}

#[test]
fn worker_messages_are_as_their_golden_files_say() {
    of_the_worker_protocol().iter().for_each(Golden::check);
}

#[test]
fn api_messages_are_as_their_golden_files_say() {
    of_the_api().iter().for_each(Golden::check);
}

/// A golden file that no test reads would hold nothing.
#[test]
fn every_golden_file_belongs_to_a_message() {
    let all = of_the_worker_protocol().into_iter().chain(of_the_api());
    let known: BTreeSet<&str> = all.map(|golden| golden.file).collect();
    for name in ["worker", "api"] {
        for entry in std::fs::read_dir(folder(name)).expect("a folder") {
            let file = entry.expect("an entry").file_name().into_string().expect("UTF-8");
            let stem = file.trim_end_matches(".json").trim_end_matches(".least");
            assert!(known.contains(format!("{name}/{stem}").as_str()), "{name}/{file} belongs to nothing");
        }
    }
}

/// A message that is added without a golden file is noticed. Parts of others are held by the file of the whole.
#[test]
fn every_message_has_a_golden_file() {
    const PARTS: [&str; 32] = [
        // Whatever its kind may say.
        "RuleBody",
        "StartRunItem",
        "StartRunResult",
        "RunBucket",
        "Callback",
        "SandboxEventKind",
        "HeldStep",
        "ResourceQuestion",
        "NewResource",
        "WhichResource",
        "SandboxCost",
        "StepCost",
        "ForkedFrom",
        "Held",
        "Standing",
        "Claim",
        "ClaimAnswer",
        "ClaimRefusal",
        "Grant",
        "Finish",
        "HandOver",
        "FinishAnswer",
        "EffectAnswer",
        "QueueView",
        "WorkerView",
        "AtWorkView",
        "ArtifactView",
        "FieldProblem",
        "TierQuestion",
        "TierTally",
        "SiteStanding",
        "PolicyEffect",
    ];
    let all = of_the_worker_protocol().into_iter().chain(of_the_api());
    let held: BTreeSet<String> =
        all.map(|golden| golden.file.split('/').next_back().unwrap_or_default().to_owned()).collect();
    let sources =
        [include_str!("../../src/worker.rs"), include_str!("../../src/api.rs"), include_str!("../../src/problem.rs")];
    let mut found = 0;
    for line in sources.iter().flat_map(|source| source.lines()) {
        let Some(rest) = line.strip_prefix("pub struct ").or_else(|| line.strip_prefix("pub enum ")) else { continue };
        let name = rest.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
        found += 1;
        assert!(PARTS.contains(&name) || held.contains(&snake(name)), "{name} has no golden file");
    }
    assert!(found > 30, "{found} types: were the sources read?");
}

fn snake(name: &str) -> String {
    name.chars().fold(String::new(), |mut snake, c| {
        if c.is_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.extend(c.to_lowercase());
        snake
    })
}

#[test]
fn versions_are_what_the_golden_files_were_written_for() {
    assert_eq!((worker::OLDEST_VERSION, worker::VERSION), (1, 1), "a new version needs golden files of its own");
}
