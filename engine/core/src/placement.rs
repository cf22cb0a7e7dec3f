//! Which physical queue a step's tickets go to: its own queue, and beside it one for each host, set of required labels, or
//! worker that steps are bound to. Workers pull those that they fit, so that none fetches a ticket that it must not claim.
//!
//! The names say what they are for: `<queue>.on.<host>`, `<queue>.with.<label>.<value>…`, `<queue>.of.<session>`.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::bounds::{
    LABEL_BYTES_MAX, LABELS_REQUIRED_MAX, NAME_BYTES_MAX, PREFERENCE_WEIGHT_MAX, PREFERENCES_MAX, WORKER_QUEUES_MAX,
};
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

/// Labels that a step would rather find at its worker, and what they count.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PreferredLabels {
    /// All of them, or the worker has nothing of the weight.
    pub labels: BTreeMap<String, String>,
    #[schemars(range(min = 1, max = 100))]
    pub weight: i32,
}

/// Where the preferred workers of a step of `queue` listen: the queues of all sets of labels that workers may have, those with the
/// greatest sum of weights first. Empty: no worker is better than another.
pub fn preferred_queues(
    queue: &str,
    required: &BTreeMap<String, String>,
    preferred: &[PreferredLabels],
) -> Vec<String> {
    let plain = unlabelled(queue);
    let preferred = &preferred[..preferred.len().min(PREFERENCES_MAX)];
    let mut sums: BTreeMap<String, i32> = BTreeMap::new();
    for chosen in 1_u32..(1 << preferred.len()) {
        let some = preferred.iter().enumerate().filter(|(bit, _)| chosen & (1 << bit) != 0);
        let Some(labels) = all_of(required, some.map(|(_, one)| &one.labels)) else { continue };
        // Whoever has the labels of two may have those of a third.
        let has = |one: &&PreferredLabels| one.labels.iter().all(|(name, value)| labels.get(name) == Some(value));
        let sum = preferred.iter().filter(has).map(|one| one.weight).sum();
        sums.insert(queue_with_labels(plain, &labels), sum);
    }
    sums.remove(&queue_with_labels(plain, required));
    let mut queues: Vec<(String, i32)> = sums.into_iter().collect();
    queues.sort_by(|(name, sum), (other, of_other)| of_other.cmp(sum).then_with(|| name.cmp(other)));
    queues.into_iter().map(|(name, _)| name).collect()
}

/// These labels together; `None`: no worker has them, for one name has two values.
fn all_of<'a>(
    required: &BTreeMap<String, String>,
    sets: impl Iterator<Item = &'a BTreeMap<String, String>>,
) -> Option<BTreeMap<String, String>> {
    let mut all = required.clone();
    for (name, value) in sets.flatten() {
        if all.insert(name.clone(), value.clone()).is_some_and(|before| before != *value) {
            return None;
        }
    }
    Some(all)
}

/// What is wrong with the preferences of a step of `queue`: where, as a JSON pointer below their list, and what to do.
pub fn preference_problems(
    queue: &str,
    required: &BTreeMap<String, String>,
    preferred: &[PreferredLabels],
) -> Vec<(String, String)> {
    if preferred.len() > PREFERENCES_MAX {
        let told =
            format!("{} preferences; a step has at most {PREFERENCES_MAX}: leave out the least", preferred.len());
        return vec![(String::new(), told)];
    }
    let mut problems = Vec::new();
    for (index, PreferredLabels { labels, weight }) in preferred.iter().enumerate() {
        if labels.is_empty() {
            problems.push((format!("/{index}/labels"), "no labels: name at least one".to_owned()));
        }
        for (name, value) in labels {
            let at = || format!("/{index}/labels/{}", name.replace('~', "~0").replace('/', "~1"));
            if let Some(problem) = label_problem(name, value) {
                problems.push((at(), problem));
            } else if let Some(must) = required.get(name).filter(|must| *must != value) {
                let told =
                    format!("`{name}` = `{value}`, where `{must}` is required: no worker has both, leave it out");
                problems.push((at(), told));
            }
        }
        if !(1..=PREFERENCE_WEIGHT_MAX).contains(weight) {
            problems
                .push((format!("/{index}/weight"), format!("the weight {weight}: use 1 to {PREFERENCE_WEIGHT_MAX}")));
        }
    }
    if !problems.is_empty() || preferred.is_empty() {
        return problems;
    }
    let names: BTreeSet<&String> = required.keys().chain(preferred.iter().flat_map(|one| one.labels.keys())).collect();
    if names.len() > LABELS_REQUIRED_MAX {
        let many = names.len();
        problems.push((
            String::new(),
            format!("{many} names of labels with those that are required; at most {LABELS_REQUIRED_MAX} in all: prefer fewer"),
        ));
    } else if let Some(long) =
        preferred_queues(queue, required, preferred).into_iter().find(|name| name.len() > NAME_BYTES_MAX)
    {
        let bytes = long.len();
        problems.push((
            String::new(),
            format!("the queue `{queue}` and the labels make a name of {bytes} bytes; at most {NAME_BYTES_MAX}: shorten one of them"),
        ));
    }
    problems
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

    fn prefers(of: &[(&[(&str, &str)], i32)]) -> Vec<PreferredLabels> {
        of.iter().map(|(of, weight)| PreferredLabels { labels: labels(of), weight: *weight }).collect()
    }

    #[test]
    fn the_queues_of_preferred_labels_come_by_the_sum_of_their_weights() {
        let order = |required: &[(&str, &str)], of: &[(&[(&str, &str)], i32)]| {
            preferred_queues("q", &labels(required), &prefers(of))
        };
        let (gpu, eu, us) = (&[("gpu", "yes")][..], &[("zone", "eu")][..], &[("zone", "us")][..]);
        assert_eq!(order(&[], &[]), Vec::<String>::new());
        assert_eq!(order(&[], &[(gpu, 10)]), ["q.with.gpu.yes"]);
        assert_eq!(order(&[], &[(gpu, 10), (eu, 30)]), ["q.with.gpu.yes.zone.eu", "q.with.zone.eu", "q.with.gpu.yes"]);
        assert_eq!(
            order(&[], &[(eu, 30), (us, 20), (gpu, 15)]),
            ["q.with.gpu.yes.zone.eu", "q.with.gpu.yes.zone.us", "q.with.zone.eu", "q.with.zone.us", "q.with.gpu.yes"],
            "no worker is in two zones"
        );
        assert_eq!(
            order(&[], &[(&[("gpu", "yes"), ("zone", "eu")], 5), (gpu, 10), (eu, 3)]),
            ["q.with.gpu.yes.zone.eu", "q.with.gpu.yes", "q.with.zone.eu"],
            "18 of three: whoever has the labels of the last two has those of the first"
        );
        assert_eq!(order(&[("gpu", "yes")], &[(eu, 1)]), ["q.with.gpu.yes.zone.eu"], "what is required is had besides");
        assert_eq!(order(&[("gpu", "yes")], &[(gpu, 9)]), Vec::<String>::new(), "every worker that may have it has it");
        let stuck = queue_of_session("q.on.h", SessionId(Uuid::from_u128(1)));
        assert_eq!(preferred_queues(&stuck, &labels(&[]), &prefers(&[(gpu, 1)])), ["q.on.h.with.gpu.yes"]);
    }

    #[test]
    fn every_preferred_queue_is_one_that_workers_with_the_labels_pull() {
        let all = prefers(&[(&[("a", "1")], 1), (&[("b", "1")], 2), (&[("c", "1")], 4)]);
        let required = labels(&[("d", "1")]);
        assert_eq!(preference_problems("q", &required, &all), []);
        let worker = labels(&[("a", "1"), ("b", "1"), ("c", "1"), ("d", "1")]);
        let pulled = queues_of_worker(&queues(&["q"]), &worker).expect("few");
        let preferred = preferred_queues("q", &required, &all);
        assert_eq!((preferred.len(), preferred[0].as_str()), (7, "q.with.a.1.b.1.c.1.d.1"));
        assert!(preferred.iter().all(|queue| pulled.contains(queue)));
    }

    #[test]
    fn preferences_that_cannot_be_are_told_with_their_place_and_what_to_do() {
        let told = |required: &[(&str, &str)], of: &[(&[(&str, &str)], i32)]| {
            let found = preference_problems("q", &labels(required), &prefers(of));
            found.into_iter().map(|(at, told)| format!("{at}: {told}")).collect::<Vec<_>>().join("; ")
        };
        let gpu = &[("gpu", "yes")][..];
        assert_eq!(told(&[], &[(gpu, 1), (gpu, 100)]), "");
        assert_eq!(told(&[], &[(gpu, 0)]), "/0/weight: the weight 0: use 1 to 100");
        assert_eq!(told(&[], &[(gpu, 1), (gpu, 101)]), "/1/weight: the weight 101: use 1 to 100");
        assert_eq!(told(&[], &[(&[], 1)]), "/0/labels: no labels: name at least one");
        assert!(told(&[], &[(&[("G/U", "yes")], 1)]).starts_with("/0/labels/G~1U: the label `G/U`"));
        assert!(told(&[("gpu", "no")], &[(gpu, 1)]).contains("/0/labels/gpu: `gpu` = `yes`, where `no` is required"));
        assert!(told(&[], &[(gpu, 1); 5]).contains("5 preferences; a step has at most 4"));
        let many: &[(&str, &str)] = &[("a", "1"), ("b", "1"), ("c", "1")];
        assert!(told(&[("d", "1"), ("e", "1")], &[(many, 1)]).contains("5 names of labels"));
        let long = preference_problems(&"q".repeat(120), &labels(&[]), &prefers(&[(gpu, 1)]));
        assert!(long[0].1.contains("shorten"), "{long:?}");
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
