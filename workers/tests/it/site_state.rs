//! What a site keeps in one browser is in the next one, before its first page, whoever made either.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use valet_workers::browser::{BrowserAgent as _, SiteState, Unusable, WebDriverAgent};
use valet_workers::gate::BrowserKind;
use valet_workers::sandbox::SandboxProvider as _;

use super::rig::{Rig, with_either_browser};
use super::site::{Page, Site};

/// Long ago: no cookie of these tests has ended then.
const NOW: Duration = Duration::from_hours(400_000);
const OLDEST: Duration = Duration::from_hours(1);
/// Both together, with 200 cookies; the mark to reach is 300 ms, here on a machine that may have other things to do.
const MOVE_MAX: Duration = Duration::from_secs(3);
const COOKIES: usize = 200;
/// An answer's head has so many.
const PER_PAGE: usize = 60;

const WRITES: &str = "<title>Welcome</title><p>Welcome back<script>
    localStorage.setItem('theme', 'dark'); sessionStorage.setItem('step', '2');</script>";
const READS: &str = "<title>-</title><p>Hello<script>
    document.title = localStorage.getItem('theme') + ' ' + sessionStorage.getItem('step') + ' ' + document.cookie.includes('account');</script>";

with_either_browser!(
    a_site_knows_the_next_browser,
    two_hundred_cookies_take_no_time,
    nothing_of_a_foreign_state_is_used
);

async fn kept(agent: &WebDriverAgent) -> Value {
    let state = agent.take_state(NOW).await.expect("taken").expect("a site's page");
    serde_json::to_value(state).expect("JSON")
}

fn read(kept: Value, site: &Site) -> Result<SiteState, Unusable> {
    SiteState::read(kept, &site.host_port(), NOW, OLDEST)
}

async fn a_site_knows_the_next_browser(kind: BrowserKind) {
    let site = Site::start().await;
    let cookies = [
        "account=a-17; Path=/; HttpOnly; SameSite=Lax; Max-Age=86400",
        "visit=v-3; Path=/",
        "gone=x; Path=/; Max-Age=0",
    ];
    site.put("/sign-in", Page::Cookies(cookies.map(str::to_owned).to_vec(), WRITES.to_owned()));
    site.page("/home", READS);
    let rig = Rig::of(kind);
    let (first, agent) = rig.browser(&[&site]).await;
    assert_eq!(agent.take_state(NOW).await.expect("looked"), None, "no site's page");
    agent.navigate(&site.url("/sign-in")).await.expect("opened");
    let kept = kept(&agent).await;
    drop(agent);
    rig.provider.destroy(&first.id).await.expect("destroyed");

    let (second, agent) = rig.browser(&[&site]).await;
    agent.put_state(&read(kept.clone(), &site).expect("a state")).await.expect("put");
    let home = agent.navigate(&site.url("/home")).await.expect("opened");
    let mut told: Vec<String> = site.cookies("/home").split("; ").map(str::to_owned).collect();
    told.sort();
    assert_eq!(told, ["account=a-17", "visit=v-3"], "the first request for a page already");
    assert_eq!(home.title, "dark 2 false", "storage too, and no script sees the account");
    let again = agent.take_state(NOW).await.expect("taken").expect("a site's page");
    assert_eq!(again, serde_json::from_value(kept).expect("a state"), "nothing was lost or added on the way");
    drop(agent);
    rig.provider.destroy(&second.id).await.expect("destroyed");
}

async fn two_hundred_cookies_take_no_time(kind: BrowserKind) {
    let site = Site::start().await;
    // A browser keeps 180 cookies of one host at most.
    let count = COOKIES.min(if kind == BrowserKind::Firefox { 150 } else { 170 });
    for page in 0..count.div_ceil(PER_PAGE) {
        let cookies =
            (page * PER_PAGE..count.min((page + 1) * PER_PAGE)).map(|n| format!("c{n}={}; Path=/", "v".repeat(40)));
        site.put(&format!("/{page}"), Page::Cookies(cookies.collect(), "<title>c</title>".to_owned()));
    }
    site.page("/home", "<title>home</title>");
    let rig = Rig::of(kind);
    let (first, agent) = rig.browser(&[&site]).await;
    for page in 0..count.div_ceil(PER_PAGE) {
        agent.navigate(&site.url(&format!("/{page}"))).await.expect("opened");
    }
    let begun = Instant::now();
    let kept = kept(&agent).await;
    let taken = begun.elapsed();
    drop(agent);
    rig.provider.destroy(&first.id).await.expect("destroyed");

    let (second, agent) = rig.browser(&[&site]).await;
    let state = read(kept, &site).expect("a state");
    assert_eq!(state.cookies(), count);
    let begun = Instant::now();
    agent.put_state(&state).await.expect("put");
    let put = begun.elapsed();
    println!("{kind:?}: {count} cookies taken within {taken:?}, put within {put:?}");
    assert!(taken + put < MOVE_MAX, "{taken:?} {put:?}");
    agent.navigate(&site.url("/home")).await.expect("opened");
    assert_eq!(site.cookies("/home").split("; ").count(), count);
    drop(agent);
    rig.provider.destroy(&second.id).await.expect("destroyed");
}

async fn nothing_of_a_foreign_state_is_used(kind: BrowserKind) {
    let (site, other) = (Site::start().await, Site::start().await);
    site.put("/", Page::Cookies(vec!["account=a; Path=/; Max-Age=60".to_owned()], "<title>-</title>".to_owned()));
    let rig = Rig::of(kind);
    let (sandbox, agent) = rig.browser(&[&site]).await;
    agent.navigate(&site.url("/")).await.expect("opened");
    let kept = kept(&agent).await;
    assert_eq!(read(kept.clone(), &other), Err(Unusable::Foreign));
    let later = SiteState::read(kept, &site.host_port(), NOW + OLDEST * 2, OLDEST);
    assert_eq!(later, Err(Unusable::Expired));
    assert_eq!(read(json!(7), &site), Err(Unusable::Corrupt));
    drop(agent);
    rig.provider.destroy(&sandbox.id).await.expect("destroyed");
}
