//! Which physical queue a step's tickets go to: its own queue, and beside it one for each host, set of required labels, or
//! worker that steps are bound to. Workers pull those that they fit, so that none fetches a ticket that it must not claim.
//!
//! The names say what they are for: `<queue>.on.<host>`, `<queue>.with.<label>.<value>…`, `<queue>.of.<session>`.

use std::collections::{BTreeMap, BTreeSet};

use crate::bounds::{LABEL_BYTES_MAX, LABELS_REQUIRED_MAX, NAME_BYTES_MAX, WORKER_QUEUES_MAX};
use crate::id::SessionId;

const WITH: &str = ".with.";
const OF: &str = ".of.";

/// The queue of steps that are bound to a host. A worker pulls it beside the queue itself.
pub fn queue_of_host(queue: &str, host: &str) -> String {
    format!("{queue}.on.{host}")
}

/// The queue of steps that require these labels; without any the queue itself.
pub fn queue_with_labels(queue: &str, labels: &BTreeMap<String, String>) -> String {
    if labels.is_empty() {
        return queue.to_owned();
    }
    let words: Vec<String> = labels.iter().map(|(name, value)| format!("{name}.{value}")).collect();
    format!("{queue}{WITH}{}", words.join("."))
}

/// The queue of steps that only this worker may take, whatever labels they require: it is known whether it has them.
pub fn queue_of_session(queue: &str, session: SessionId) -> String {
    format!("{}{OF}{session}", unlabelled(queue))
}

/// The queue without the labels and the worker that its name asks for.
pub fn unlabelled(queue: &str) -> &str {
    let queue = queue.split_once(OF).map_or(queue, |(queue, _)| queue);
    queue.split_once(WITH).map_or(queue, |(queue, _)| queue)
}

/// Whether the queue is one of this worker alone.
pub fn is_of_session(queue: &str, session: SessionId) -> bool {
    queue.split_once(OF).is_some_and(|(_, of)| of == session.to_string())
}

/// The queue is one that only workers with certain labels may pull.
pub fn is_labelled(queue: &str) -> bool {
    queue.contains(WITH) || queue.contains(OF)
}

/// All queues that a worker with these labels pulls for `queues`: each of them, and each with every set of its labels that
/// a step may require. Labels that no step can require take no part. `Err`: how many there would be.
pub fn queues_of_worker(queues: &[String], labels: &BTreeMap<String, String>) -> Result<Vec<String>, usize> {
    let fit: Vec<(&String, &String)> =
        labels.iter().filter(|(name, value)| label_problem(name, value).is_none()).collect();
    let sets = sets(fit.len());
    let plain = queues.iter().filter(|queue| !is_labelled(queue)).count();
    let many = queues.len() + plain.saturating_mul(sets);
    if many > WORKER_QUEUES_MAX && !fit.is_empty() {
        return Err(many);
    }
    let mut all: Vec<String> = queues.to_vec();
    let mut known: BTreeSet<String> = queues.iter().cloned().collect();
    for queue in queues.iter().filter(|queue| !is_labelled(queue)) {
        // Bounded by `many`: there are fewer labels than bits.
        for chosen in 1_u64..(1 << fit.len()) {
            let labels = fit.iter().enumerate().filter(|(bit, _)| chosen & (1 << bit) != 0);
            let labels: BTreeMap<String, String> =
                labels.map(|(_, (name, value))| ((*name).clone(), (*value).clone())).collect();
            let name = queue_with_labels(queue, &labels);
            // A longer one is no queue's name: no step asks for it.
            if labels.len() <= LABELS_REQUIRED_MAX && name.len() <= NAME_BYTES_MAX && known.insert(name.clone()) {
                all.push(name);
            }
        }
    }
    Ok(all)
}

/// How many sets of 1 to [`LABELS_REQUIRED_MAX`] labels there are of `labels`.
fn sets(labels: usize) -> usize {
    let mut of_size = 1_usize;
    let mut all = 0_usize;
    for size in 1..=LABELS_REQUIRED_MAX.min(labels) {
        of_size = of_size.saturating_mul(labels + 1 - size) / size;
        all = all.saturating_add(of_size);
    }
    all
}

/// Why this can be no label of a step.
pub fn label_problem(name: &str, value: &str) -> Option<String> {
    let fits = |word: &str| {
        (1..=LABEL_BYTES_MAX).contains(&word.len())
            && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_'))
    };
    if fits(name) && fits(value) {
        return None;
    }
    // They come from outside: what is repeated is bounded.
    let shown = |word: &str| word.chars().take(2 * LABEL_BYTES_MAX).collect::<String>();
    let (name, value) = (shown(name), shown(value));
    Some(format!("the label `{name}` = `{value}`: use 1 to {LABEL_BYTES_MAX} of a-z, 0-9, '-' and '_' for each"))
}

/// Why a step of `queue` cannot require these labels.
pub fn labels_problem(queue: &str, labels: &BTreeMap<String, String>) -> Option<String> {
    if labels.len() > LABELS_REQUIRED_MAX {
        return Some(format!("{} labels; a step requires at most {LABELS_REQUIRED_MAX}", labels.len()));
    }
    if let Some(problem) = labels.iter().find_map(|(name, value)| label_problem(name, value)) {
        return Some(problem);
    }
    let bytes = queue_with_labels(queue, labels).len();
    (!labels.is_empty() && bytes > NAME_BYTES_MAX).then(|| {
        format!("the queue `{queue}` and the labels make a name of {bytes} bytes; at most {NAME_BYTES_MAX}: shorten one of them")
    })
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn labels(of: &[(&str, &str)]) -> BTreeMap<String, String> {
        of.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn queues(of: &[&str]) -> Vec<String> {
        of.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_worker_pulls_a_queue_for_every_set_of_its_labels() {
        let both = labels(&[("zone", "eu"), ("gpu", "yes")]);
        let all = queues_of_worker(&queues(&["q"]), &both).expect("few");
        assert_eq!(all, ["q", "q.with.gpu.yes", "q.with.zone.eu", "q.with.gpu.yes.zone.eu"]);
        assert_eq!(queues_of_worker(&all, &both).expect("few"), all, "asked again it is the same");
        assert_eq!(queue_with_labels("q", &both), all[3]);
        assert_eq!(queues_of_worker(&queues(&["q"]), &labels(&[("Person", "Ann Lee")])).expect("few"), ["q"]);
    }

    #[test]
    fn too_many_queues_are_counted_and_refused() {
        let many: Vec<String> = (0..6).map(|n| format!("l{n}")).collect();
        let many = many.iter().map(|name| (name.clone(), "x".to_owned())).collect();
        // 1 + 6 + 15 + 20 + 15 of four at most.
        assert_eq!(queues_of_worker(&queues(&["q"]), &many).map(|all| all.len()), Ok(57));
        assert_eq!(queues_of_worker(&queues(&["q", "r"]), &many), Err(114));
        assert_eq!(sets(1_000), 41_583_792_250, "counted, not made");
        let wide: Vec<String> = (0..70).map(|n| format!("q{n}")).collect();
        assert_eq!(
            queues_of_worker(&wide, &labels(&[])),
            Ok(wide.clone()),
            "without labels it is the door that counts"
        );
    }

    #[test]
    fn a_workers_own_queue_is_told_from_others() {
        let (mine, other) = (SessionId(Uuid::from_u128(1)), SessionId(Uuid::from_u128(2)));
        let queue = queue_of_session("q.on.h.with.gpu.yes", mine);
        assert_eq!(queue, format!("q.on.h.of.{mine}"));
        assert!(is_of_session(&queue, mine) && !is_of_session(&queue, other) && !is_of_session("q", mine));
        assert_eq!((unlabelled(&queue), unlabelled("q.with.gpu.yes"), unlabelled("q")), ("q.on.h", "q", "q"));
    }

    #[test]
    fn labels_that_make_no_queue_are_told_with_what_is_wrong() {
        let told = |of: &[(&str, &str)]| labels_problem("q", &labels(of)).unwrap_or_default();
        assert_eq!(told(&[("gpu", "yes")]), "");
        assert!(told(&[("GPU", "yes")]).contains("`GPU`"), "{}", told(&[("GPU", "yes")]));
        assert!(told(&[("gpu", "")]).contains("1 to 32"));
        assert!(told(&[("gpu", &"x".repeat(33))]).contains("1 to 32"));
        assert!(told(&[("a", "1"), ("b", "1"), ("c", "1"), ("d", "1"), ("e", "1")]).contains("at most 4"));
        assert!(labels_problem(&"q".repeat(120), &labels(&[("gpu", "yes")])).expect("long").contains("shorten"));
        assert_eq!(labels_problem(&"q".repeat(200), &labels(&[])), None);
    }
}
