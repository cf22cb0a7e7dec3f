//! Which pages are read one after another, and which at the same time. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::input::Page;

/// Pages of one browser, and of one file of records.
pub(super) const PART_PAGES_MAX: usize = 100;

/// Pages that one browser after the other reads.
#[derive(Default)]
struct Lane {
    hosts: BTreeSet<String>,
    /// Of one host each.
    strands: Vec<Vec<Page>>,
    pages: usize,
}

/// At most `concurrency` lanes, each in parts; in no more than `per_host` of them are pages of one host.
pub(super) fn lanes(pages: Vec<Page>, concurrency: u32, per_host: u32) -> Vec<Vec<Vec<Page>>> {
    let most = concurrency.max(1) as usize;
    let mut of_host: BTreeMap<String, Vec<Page>> = BTreeMap::new();
    for page in pages {
        of_host.entry(page.host()).or_default().push(page);
    }
    let mut strands: Vec<(String, Vec<Page>)> = Vec::new();
    for (host, pages) in of_host {
        let many = (per_host.max(1) as usize).min(most).min(pages.len());
        let mut own = vec![Vec::new(); many];
        for (at, page) in pages.into_iter().enumerate() {
            own[at % many].push(page);
        }
        strands.extend(own.into_iter().map(|strand| (host.clone(), strand)));
    }
    // The longest first, each to the lane with the least: they end at about the same time.
    strands.sort_by_key(|(_, strand)| std::cmp::Reverse(strand.len()));
    let mut lanes: Vec<Lane> = std::iter::repeat_with(Lane::default).take(most.min(strands.len())).collect();
    for (host, strand) in strands {
        let free = lanes.iter_mut().filter(|lane| !lane.hosts.contains(&host));
        if let Some(lane) = free.min_by_key(|lane| lane.pages) {
            lane.hosts.insert(host);
            lane.pages += strand.len();
            lane.strands.push(strand);
        }
    }
    lanes.into_iter().map(|lane| parts(lane.strands)).collect()
}

/// Hosts take turns, so that one is left alone while another is read.
fn parts(strands: Vec<Vec<Page>>) -> Vec<Vec<Page>> {
    let mut strands: Vec<_> = strands.into_iter().map(Vec::into_iter).collect();
    let mut all = Vec::new();
    loop {
        let before = all.len();
        all.extend(strands.iter_mut().filter_map(Iterator::next));
        if all.len() == before {
            break;
        }
    }
    all.chunks(PART_PAGES_MAX).map(<[Page]>::to_vec).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `a` times its number, and so on.
    fn pages(hosts: &[(&str, u32)]) -> Vec<Page> {
        let urls = hosts.iter().flat_map(|(host, many)| (0..*many).map(move |n| format!("https://{host}.example/{n}")));
        urls.zip(0..).map(|(url, number)| Page { number, url }).collect()
    }

    /// Of each lane: the hosts of its pages in order.
    fn hosts(lanes: &[Vec<Vec<Page>>]) -> Vec<String> {
        let first = |page: &Page| page.host().chars().next().unwrap_or_default();
        lanes.iter().map(|lane| lane.iter().flatten().map(first).collect()).collect()
    }

    #[test]
    fn pages_of_one_host_lie_in_as_many_lanes_as_may_be() {
        assert_eq!(hosts(&lanes(pages(&[("a", 4), ("b", 2), ("c", 1)]), 2, 1)), ["aaaa", "bcb"]);
        assert_eq!(hosts(&lanes(pages(&[("a", 4)]), 8, 1)), ["aaaa"], "one browser, whatever the concurrency");
        assert_eq!(hosts(&lanes(pages(&[("a", 4)]), 8, 3)), ["aa", "a", "a"]);
        assert_eq!(hosts(&lanes(pages(&[("a", 4)]), 2, 9)), ["aa", "aa"]);
        assert_eq!(hosts(&lanes(pages(&[("a", 2), ("b", 2)]), 1, 1)), ["abab"], "in turns");
    }

    #[test]
    fn no_page_is_lost_and_parts_are_bounded() {
        let many = pages(&[("a", 250), ("b", 130), ("c", 7), ("d", 1)]);
        let lanes = lanes(many.clone(), 3, 2);
        assert!(lanes.iter().flatten().all(|part| (1..=PART_PAGES_MAX).contains(&part.len())));
        let mut numbers: Vec<u32> = lanes.iter().flatten().flatten().map(|page| page.number).collect();
        numbers.sort_unstable();
        assert_eq!(numbers, (0..many.len() as u32).collect::<Vec<_>>());
        for host in ["a.example:443", "b.example:443"] {
            let with = lanes.iter().filter(|lane| lane.iter().flatten().any(|page| page.host() == host));
            assert_eq!(with.count(), 2, "{host}");
        }
    }
}
