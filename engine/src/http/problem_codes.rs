//! Every code that a problem may have: what it means, and what to do. `engine/ERRORS.md` is written from it.

/// A code, the statuses that it comes with, what happened and what to do.
pub type ProblemCode = (&'static str, &'static [u16], &'static str);

/// By code.
pub const PROBLEM_CODES: [ProblemCode; 140] = [
    (
        "bad_request",
        &[400, 405, 406, 408, 411, 414, 431],
        "The request cannot be read at all: look at its path, query, headers and body.",
    ),
    ("bad_value", &[400], "The database refuses a value, a NUL in a text for one."),
    ("blob_store_unavailable", &[503], "The folder or bucket of files cannot be used. Come again."),
    (
        "build_too_old",
        &[409],
        "The run waits for a newer build than this engine's. Ask an engine of that build, or wait until one is there.",
    ),
    ("bulk_active", &[409], "The bulk operation goes on. Pause or stop it first."),
    ("bulk_ended", &[409], "The bulk operation is over: nothing can be changed any more."),
    (
        "bulk_operation_not_found",
        &[404],
        "There is no such bulk operation, it is older than 30 days, or the token does not reach its runs.",
    ),
    ("busy", &[429], "So many commands wait for this run that no more are taken. Come again."),
    ("cannot_undo", &[409], "What this operation did cannot be taken back."),
    ("channel_full", &[429], "The run has taken none of so many signals of this name yet. Come again once it has."),
    (
        "child_workflow_unknown",
        &[409],
        "A task starts a workflow that nobody declared, or that the token does not reach. Declare it first.",
    ),
    ("completed_before", &[409], "The completion's token was used before, with another key."),
    ("completion_not_found", &[404], "The token is wrong, or the run waits for it no more."),
    ("contended", &[503], "Others changed the run again and again in between. Come again."),
    ("csrf", &[403], "A request with the console's cookie lacks the header `X-Valet-Csrf`, or has another session's."),
    (
        "database_unavailable",
        &[503],
        "The database cannot be reached, or did not answer in time. Come again; with an idempotency key nothing is done twice.",
    ),
    ("delivery_not_found", &[404], "The webhook has no such delivery; they are kept for 30 days."),
    ("does_not_fit", &[409], "This build cannot follow the run's journal; the detail says where and why."),
    ("entry_not_found", &[404], "The journal has fewer entries: a fork begins with one that is there."),
    ("erased", &[410], "The subject was erased, and what was kept of it cannot be read any more."),
    ("event_not_found", &[404], "There is no such event, it is older than 30 days, or the token does not reach it."),
    ("expression_failed", &[422], "An expression comes to nothing for this input. The field names the expression."),
    ("file_empty", &[400], "The file has no bytes."),
    ("file_missing", &[400], "The form has no part `file`."),
    ("file_not_found", &[404], "There is no such file, or its bytes are gone."),
    ("filter_required", &[422], "A bulk operation without a filter would be about everything. Say which runs."),
    ("foreign_cursor", &[400], "The cursor is of another filter. Begin anew without one."),
    ("idempotency_key_reused", &[409], "The key was used for another request. Use a new one."),
    ("internal", &[500], "The engine failed. Its log has the request's id."),
    ("invalid_action", &[422], "This is of another action of bulk operations."),
    (
        "invalid_body",
        &[400, 422],
        "The body is JSON, but not of the form that the route takes. The field names the place.",
    ),
    ("invalid_count", &[400], "A request has too few or too many items."),
    ("invalid_cursor", &[400], "This is no cursor of this list. Take `next_cursor` of the page before."),
    ("invalid_definition", &[422], "The declared workflow has faults. `errors` names each with its place."),
    ("invalid_event", &[422], "The event has faults. `errors` names each with its place."),
    ("invalid_event_id", &[400], "`Last-Event-ID` or `after` is none of this stream's ids."),
    ("invalid_filter", &[400], "A filter of the query does not parse. The field names it."),
    ("invalid_form", &[400], "The form with the file cannot be read."),
    ("invalid_id", &[400], "This is no id of its kind: ids begin with it, such as `run_`."),
    ("invalid_idempotency_key", &[400], "An idempotency key has 1 to 255 visible ASCII characters."),
    (
        "invalid_input",
        &[422],
        "The input or the answer does not fit its schema. `errors` names each fault with its place.",
    ),
    ("invalid_json", &[400], "The body is no JSON."),
    ("invalid_key", &[400], "A resource's key has 1 to 128 bytes and no NUL."),
    ("invalid_kind", &[400], "A subject has no items of this kind."),
    ("invalid_labels", &[400], "Labels are few and short, without NUL."),
    (
        "invalid_limit",
        &[400, 422],
        "400: a page has 1 to 200 rows. 422: the limit has faults, `errors` names each with its place.",
    ),
    ("invalid_max", &[400], "A worker asks for 1 to 128 steps."),
    ("invalid_name", &[400], "A name is too long, empty, or has characters that names of its kind have not."),
    ("invalid_order", &[400], "`order` is `oldest` or `newest`."),
    ("invalid_patterns", &[400], "There are too many patterns of sites, or one is none."),
    ("invalid_query", &[400], "A parameter of the query is unknown or does not parse. The field names it."),
    (
        "invalid_queue",
        &[400],
        "A queue's name has 1 to 64 of a-z, A-Z, 0-9, `.`, `_` and `-`; queues of labels are not named.",
    ),
    ("invalid_rate", &[422], "A bulk operation acts on 1 to 10,000 runs a second."),
    ("invalid_reason", &[422], "The reason is too long."),
    ("invalid_schedule", &[422], "The schedule has faults. `errors` names each with its place."),
    ("invalid_site", &[400], "A site is `host` or `host:port`."),
    ("invalid_slots", &[400], "A worker has 1 to 4,096 slots."),
    ("invalid_step", &[400], "A step is named by the number that it has in its run."),
    ("invalid_subject", &[400], "A subject's name has 1 to 128 bytes."),
    ("invalid_tenant", &[400], "A tenant's name has 1 to 128 bytes."),
    ("invalid_tier", &[400], "Names of tiers and policies are short, and without NUL."),
    ("invalid_trigger", &[422], "The event trigger has faults. `errors` names each with its place."),
    ("invalid_version", &[400], "The request names a version where all go together, or none where one is needed."),
    ("invalid_wait", &[400], "`wait` is like `30s`, `500ms` or `30`, a minute at most."),
    ("invalid_webhook", &[422], "The webhook has faults. `errors` names each with its place."),
    ("invalid_worker", &[400], "A worker is named by its session or its name."),
    ("item_not_found", &[404], "The subject has no such item, or no such version of it."),
    ("limit_key_not_found", &[404], "Nothing of this key runs, waits or is cooled down."),
    ("limit_not_found", &[404], "There is no limit of this name."),
    (
        "limit_unsettled",
        &[503],
        "The limit is kept, but an engine did not say in time that it knows it. The same request again waits anew.",
    ),
    ("method_not_allowed", &[405], "The route has other methods."),
    ("missing_signature", &[401], "The delivery does not prove itself: the header of its webhook's proof is missing."),
    (
        "name_taken",
        &[409],
        "There is one of this name that the token does not reach, or a token of this name. Choose another.",
    ),
    ("no_fence", &[400], "This change of a resource needs its fence."),
    ("no_run", &[409], "The sandbox works for no run now."),
    ("no_step", &[400], "Only who holds a step may have a resource for its run."),
    ("not_claimed", &[400], "Resources of this kind are reserved, and not claimed."),
    ("not_started", &[409], "The run did not start, and another request under its key did not either. Come again."),
    ("nothing_to_retry", &[409], "The run is not stuck, and none of its steps ran out of attempts."),
    ("nul_in_text", &[400], "A text has a NUL, which the database does not keep."),
    ("out_of_reach", &[403], "The token is limited to other workflows or subjects."),
    (
        "pause_unsettled",
        &[503],
        "The pause is kept, but an engine did not say in time that it knows it. The same request again waits anew.",
    ),
    (
        "protocol_version",
        &[426],
        "The worker speaks another version of the protocol. Use a build of the engine's version.",
    ),
    (
        "rate_limited",
        &[429],
        "Too many requests of this token, tenant or address. `Retry-After` says when to come again.",
    ),
    (
        "repeats_effect",
        &[409],
        "The fork would do a step again that is marked `effect_once`. Allow it by `repeat_effects`, or begin later.",
    ),
    ("replayed", &[409], "The delivery's signature was used for another one."),
    ("resource_kind_not_found", &[404], "There are no resources of this kind."),
    ("route_not_found", &[404], "There is no such route; the document is at `/api/v1/openapi.json`."),
    ("rule_changed", &[409], "Somebody changed the rule in between. Look at it again, and put what is to hold now."),
    ("rule_kind_not_found", &[404], "There are no rules of this kind."),
    ("rule_not_found", &[404], "There is no such rule."),
    ("run_closing", &[409], "The run cleans up and takes nothing else any more."),
    ("run_ended", &[409], "The run has ended."),
    ("run_exists", &[409], "There is a run of this id."),
    ("run_not_found", &[404], "There is no such run, or the token does not reach it."),
    ("sandbox_ended", &[409], "The sandbox has ended."),
    ("sandbox_not_found", &[404], "There is no such sandbox."),
    ("schedule_not_found", &[404], "There is no schedule of this name."),
    ("schedule_paused", &[409], "The schedule is paused. Let it go on first."),
    ("session_ended", &[409], "The worker's session is over. Open another."),
    ("session_not_found", &[404], "There is no such session, it is over, or it is another tenant's."),
    ("stale", &[409], "The attempt is not current: its lease ended, or another result was accepted."),
    ("step_at_work", &[409], "A worker is at the step. Wait until its attempt ends, or kill the run."),
    ("step_not_found", &[404], "The run has no such step that is still open."),
    ("subject_erasing", &[409], "The subject is being erased. Wait for its end, or name another."),
    ("subject_not_found", &[404], "Nothing is kept of this subject."),
    ("task_ended", &[409], "The task is over. `outcome`, `by` and `at` say how, by whom and when."),
    ("task_not_found", &[404], "There is no such task, or the token does not reach its run."),
    ("task_taken", &[409], "Another has claimed the task: `by` and `at` say who and when."),
    ("tenant_not_found", &[404], "Nothing is known of this tenant."),
    ("token_not_found", &[404], "There is no such token."),
    ("too_deep", &[400], "The JSON is nested too deeply."),
    ("too_large", &[400, 413], "The body, the file or a value is larger than the route takes."),
    ("too_many", &[400], "A resource question asks for too many at once."),
    (
        "too_many_bulk_operations",
        &[409],
        "So many bulk operations are under way that no more are taken. Wait for one to end.",
    ),
    ("too_many_limits", &[409], "The tenant has as many limits as it may. Remove one first."),
    ("too_many_pauses", &[409], "There are as many pauses as there may be. End one first."),
    ("too_many_queues", &[400], "The worker's queues and labels make too many queues. Send fewer of either."),
    ("too_many_rules", &[409], "The tenant has as many rules of this kind as it may. Remove one first."),
    ("too_many_schedules", &[409], "The tenant has as many schedules as it may. Remove one first."),
    ("too_many_streams", &[429], "Too many streams are open of this token or tenant. Close one."),
    ("too_many_triggers", &[409], "The tenant has as many event triggers as it may. Remove one first."),
    ("too_many_webhooks", &[409], "The tenant has as many webhooks as it may. Remove one first."),
    ("too_many_workflows", &[409], "The tenant has declared as many workflows as it may."),
    ("too_old", &[400], "The delivery was signed too long ago, or its sender's clock is wrong."),
    ("trigger_not_found", &[404], "There is no event trigger of this name."),
    ("unauthorized", &[401], "There is no token, or one that is wrong, revoked or over."),
    ("unknown_field", &[400], "The form has a part that the route does not take."),
    ("unknown_state", &[400], "Resources of this kind have no such state."),
    ("unsupported_media_type", &[415], "Send `application/json`."),
    ("wait_not_found", &[404], "The run waits for no event there."),
    (
        "webhook_changed",
        &[409],
        "The webhook does something else since the delivery was first taken. Let its sender deliver it under another id.",
    ),
    ("webhook_not_found", &[404], "There is no webhook of this name."),
    ("webhook_paused", &[503], "The webhook is paused: deliver again later."),
    ("worker_not_found", &[404], "There is no such worker."),
    ("workflow_in_code", &[409], "A workflow of this name is compiled in: declare yours under another."),
    ("workflow_not_found", &[404], "There is no workflow of this name, or the token does not reach it."),
    ("write_only", &[403], "Secrets go in and do not come out: only steps of the subject are given them."),
    ("wrong_scope", &[403], "The token may not do this: its role lacks the scope that the problem names."),
    ("wrong_signature", &[401], "The delivery's signature is not of this webhook's secret."),
];

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};

    use super::*;

    /// Where a code stands as a text, right behind it or behind a status.
    const CONSTRUCTORS: [&str; 6] =
        ["bad_request(", "conflict(", "not_found(", "Fault::new(", "Self::new(", "Self::away("];

    fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() {
                sources(&entry, found);
            } else if entry.extension().is_some_and(|extension| extension == "rs") {
                found.push(entry);
            }
        }
    }

    /// The code that a constructor's arguments begin with.
    fn code(arguments: &str) -> Option<&str> {
        let arguments = arguments.trim_start();
        let behind_status =
            arguments.strip_prefix("StatusCode::").and_then(|rest| rest.split_once(',')).map(|(_, rest)| rest);
        let text = behind_status.unwrap_or(arguments).trim_start().strip_prefix('"')?;
        text.split_once('"').map(|(code, _)| code)
    }

    #[test]
    fn each_code_of_the_sources_is_in_the_catalogue() {
        let mut files = Vec::new();
        sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/http"), &mut files);
        let mut seen = 0;
        for file in files.into_iter().filter(|file| !file.ends_with("problem_codes.rs")) {
            let text = fs::read_to_string(&file).unwrap();
            for constructor in CONSTRUCTORS {
                for (at, _) in text.match_indices(constructor) {
                    let Some(word) = code(&text[at + constructor.len()..]) else { continue };
                    let code = if constructor == "not_found(" { format!("{word}_not_found") } else { word.to_owned() };
                    assert!(PROBLEM_CODES.iter().any(|(known, ..)| *known == code), "{code} of {}", file.display());
                    seen += 1;
                }
            }
        }
        assert!(seen > 100, "{seen}");
        assert!(PROBLEM_CODES.is_sorted_by(|a, b| a.0 < b.0), "by code, each once");
    }

    #[test]
    fn the_document_is_written_from_the_catalogue() {
        let mut text = "# Errors\n\nEach error is `application/problem+json` (RFC 9457): `code` for programs, `detail` for people, `field` for the place, \
                        `request_id` for the log.\nWhat follows is every code, with the statuses that it comes with. Written from \
                        `src/http/problem_codes.rs`, by its test.\n\n| code | status | what happened, what to do |\n| --- | --- | --- |\n"
            .to_owned();
        text.extend(PROBLEM_CODES.iter().map(|(code, statuses, words)| {
            let statuses = statuses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            format!("| `{code}` | {statuses} | {words} |\n")
        }));
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("ERRORS.md");
        if std::env::var_os("VALET_WRITE_DOCUMENTS").is_some() {
            fs::write(&path, &text).unwrap();
        }
        assert_eq!(fs::read_to_string(&path).unwrap_or_default(), text, "VALET_WRITE_DOCUMENTS=1 writes it");
    }
}
