//! Whose hiring system a job's address belongs to, and which job it names there. Pure, by exact hosts: a host that looks like a vendor's is
//! another one.

use serde::{Deserialize, Serialize};
use url::{Host, Url};

/// A vendor of hiring systems.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum System {
    Greenhouse,
    Lever,
    Ashby,
    Workday,
    SmartRecruiters,
    Workable,
    Icims,
    Jobvite,
    BambooHr,
    Recruitee,
    Oracle,
    SuccessFactors,
}

impl System {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Greenhouse => "greenhouse",
            Self::Lever => "lever",
            Self::Ashby => "ashby",
            Self::Workday => "workday",
            Self::SmartRecruiters => "smartrecruiters",
            Self::Workable => "workable",
            Self::Icims => "icims",
            Self::Jobvite => "jobvite",
            Self::BambooHr => "bamboohr",
            Self::Recruitee => "recruitee",
            Self::Oracle => "oracle",
            Self::SuccessFactors => "successfactors",
        }
    }

    /// Whether applications may be handed to the vendor itself, with an employer's key or without.
    pub fn takes_applications(self) -> bool {
        matches!(self, Self::Greenhouse | Self::Lever | Self::Recruitee)
    }
}

/// Where a vendor keeps the job.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Region {
    #[default]
    Global,
    Eu,
}

/// A job as its hiring system names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobPlace {
    pub system: System,
    /// The employer's board, site, tenant or company there. `None`: the address does not tell, as where a board is embedded in the employer's
    /// own page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub board: Option<String>,
    /// `None`: the address is no job's, such as a list of all jobs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub posting: Option<String>,
    #[serde(default)]
    pub region: Region,
    /// The employer's own page shows the vendor's form.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub embedded: bool,
}

/// What an address says about its job; `None`: it is no known vendor's.
pub fn detect(job_url: &str) -> Option<JobPlace> {
    let url = Url::parse(job_url).ok()?;
    if !matches!(url.scheme(), "http" | "https") {
        return None;
    }
    let Host::Domain(host) = url.host()? else { return None };
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    let address = Address::of(&url, &host);
    READERS.iter().find_map(|read| read(&address)).or_else(|| embedded(&address))
}

/// A URL in parts, as the readers below look at it.
struct Address<'a> {
    host: &'a str,
    /// Decoded, none empty.
    path: Vec<String>,
    query: Vec<(String, String)>,
}

impl<'a> Address<'a> {
    fn of(url: &Url, host: &'a str) -> Self {
        let decode = |part: &str| {
            // As a query's value is decoded, but for what stands for itself in a path.
            let escaped = format!("part={}", part.replace('+', "%2B").replace('&', "%26"));
            url::form_urlencoded::parse(escaped.as_bytes())
                .next()
                .map(|(_, text)| text.into_owned())
                .unwrap_or_default()
        };
        let path = url.path_segments().into_iter().flatten().filter(|part| !part.is_empty()).map(decode).collect();
        let query = url.query_pairs().map(|(name, value)| (name.into_owned(), value.into_owned())).collect();
        Self { host, path, query }
    }

    fn part(&self, index: usize) -> Option<&str> {
        self.path.get(index).map(String::as_str)
    }

    fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(known, value)| known == name && !value.is_empty()).map(|(_, value)| value.as_str())
    }

    /// What stands before `.{domain}`, if it is one label.
    fn below(&self, domain: &str) -> Option<&str> {
        let label = self.host.strip_suffix(domain)?.strip_suffix('.')?;
        (!label.is_empty() && !label.contains('.')).then_some(label)
    }

    /// The part after a named one.
    fn after(&self, name: &str) -> Option<&str> {
        let at = self.path.iter().position(|part| part == name)?;
        self.part(at + 1)
    }
}

fn place(system: System, board: Option<&str>, posting: Option<&str>) -> JobPlace {
    let owned = |text: Option<&str>| text.map(ToOwned::to_owned);
    JobPlace { system, board: owned(board), posting: owned(posting), region: Region::Global, embedded: false }
}

type Reader = fn(&Address<'_>) -> Option<JobPlace>;

const READERS: [Reader; 12] = [
    greenhouse,
    lever,
    ashby,
    workday,
    smart_recruiters,
    workable,
    icims,
    jobvite,
    bamboo_hr,
    recruitee,
    oracle,
    success_factors,
];

fn digits(text: &str) -> bool {
    !text.is_empty() && text.len() <= 20 && text.bytes().all(|b| b.is_ascii_digit())
}

/// Letters, digits, `-`, `_` and `.`, as vendors name boards: safe in a path.
fn word(text: &str) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    !text.is_empty() && text.len() <= 128 && text.bytes().all(fits) && !text.bytes().all(|b| b == b'.')
}

/// 8-4-4-4-12 hexadecimal digits.
fn is_uuid(text: &str) -> bool {
    uuid::Uuid::try_parse(text).is_ok() && text.len() == 36
}

fn greenhouse(at: &Address<'_>) -> Option<JobPlace> {
    let region = match at.host {
        "boards.greenhouse.io" | "job-boards.greenhouse.io" | "boards-api.greenhouse.io" => Region::Global,
        "boards.eu.greenhouse.io" | "job-boards.eu.greenhouse.io" | "boards-api.eu.greenhouse.io" => Region::Eu,
        _ => return None,
    };
    let (board, posting) = if at.part(0) == Some("embed") {
        (at.query("for"), at.query("token").or_else(|| at.query("gh_jid")))
    } else if at.host.starts_with("boards-api.") {
        (at.after("boards"), at.after("jobs"))
    } else {
        (at.part(0), at.after("jobs").or_else(|| at.query("gh_jid")))
    };
    let found = place(System::Greenhouse, board.filter(|b| word(b)), posting.filter(|p| digits(p)));
    Some(JobPlace { region, ..found })
}

fn lever(at: &Address<'_>) -> Option<JobPlace> {
    let (region, first) = match at.host {
        "jobs.lever.co" => (Region::Global, 0),
        "jobs.eu.lever.co" => (Region::Eu, 0),
        "api.lever.co" => (Region::Global, 2),
        "api.eu.lever.co" => (Region::Eu, 2),
        _ => return None,
    };
    let (board, posting) = (at.part(first), at.part(first + 1));
    Some(JobPlace { region, ..place(System::Lever, board.filter(|b| word(b)), posting.filter(|p| is_uuid(p))) })
}

fn ashby(at: &Address<'_>) -> Option<JobPlace> {
    (at.host == "jobs.ashbyhq.com").then(|| place(System::Ashby, at.part(0), at.part(1).filter(|p| is_uuid(p))))
}

fn workday(at: &Address<'_>) -> Option<JobPlace> {
    let cell = |label: &str| label.strip_prefix("wd").is_some_and(digits);
    let posting = || {
        let named = at.after("job").or_else(|| at.after("details")).is_some();
        let title = at.path.iter().rfind(|part| !part.starts_with("apply") && part.contains('_'));
        title.filter(|_| named).and_then(|title| title.rsplit_once('_')).map(|(_, requisition)| requisition)
    };
    if let Some(rest) = at.host.strip_suffix(".myworkdayjobs.com") {
        let (tenant, _) = rest.split_once('.').filter(|(_, rest)| cell(rest))?;
        return Some(place(System::Workday, Some(tenant), posting()));
    }
    let rest = at.host.strip_suffix(".myworkdaysite.com")?;
    cell(rest).then(|| place(System::Workday, at.after("recruiting"), posting()))
}

fn smart_recruiters(at: &Address<'_>) -> Option<JobPlace> {
    if !matches!(at.host, "jobs.smartrecruiters.com" | "careers.smartrecruiters.com") {
        return None;
    }
    if at.part(0) == Some("oneclick-ui") {
        return Some(place(System::SmartRecruiters, at.after("company"), at.after("publication")));
    }
    let posting = at.part(1).and_then(|part| part.split('-').next()).filter(|id| digits(id));
    Some(place(System::SmartRecruiters, at.part(0), posting))
}

fn workable(at: &Address<'_>) -> Option<JobPlace> {
    let board = if at.host == "apply.workable.com" {
        at.part(0).filter(|part| *part != "j")
    } else {
        Some(at.below("workable.com").filter(|label| !matches!(*label, "www" | "help" | "resources"))?)
    };
    Some(place(System::Workable, board, at.after("j")))
}

fn icims(at: &Address<'_>) -> Option<JobPlace> {
    let board = at.below("icims.com").filter(|label| *label != "www")?;
    Some(place(System::Icims, Some(board), at.after("jobs").filter(|id| digits(id))))
}

fn jobvite(at: &Address<'_>) -> Option<JobPlace> {
    let board = (at.host == "jobs.jobvite.com").then(|| at.part(0).filter(|part| *part != "careers").or(at.part(1)));
    board.map(|board| place(System::Jobvite, board, at.after("job").or_else(|| at.query("j"))))
}

fn bamboo_hr(at: &Address<'_>) -> Option<JobPlace> {
    let board = at.below("bamboohr.com").filter(|label| !matches!(*label, "www" | "help"))?;
    let posting = at.after("careers").or_else(|| at.query("id")).filter(|id| digits(id));
    Some(place(System::BambooHr, Some(board), posting))
}

fn recruitee(at: &Address<'_>) -> Option<JobPlace> {
    let own = ["www", "docs", "api", "app", "help", "support", "careers"];
    let board = at.below("recruitee.com").filter(|label| !own.contains(label) && word(label))?;
    Some(place(System::Recruitee, Some(board), at.after("o").filter(|slug| word(slug))))
}

fn oracle(at: &Address<'_>) -> Option<JobPlace> {
    if let Some(board) = at.below("taleo.net") {
        return Some(place(System::Oracle, Some(board), at.query("job")));
    }
    // Other services of Oracle's cloud live below the same domain.
    let candidates = at.host.ends_with(".oraclecloud.com") && at.path.iter().any(|part| part == "CandidateExperience");
    candidates.then(|| place(System::Oracle, at.after("sites"), at.after("job").filter(|id| digits(id))))
}

fn success_factors(at: &Address<'_>) -> Option<JobPlace> {
    let cell = |rest: &str| rest.is_empty() || digits(rest);
    let career = |domain: &str| at.below(domain).is_some_and(|label| label.strip_prefix("career").is_some_and(cell));
    if career("successfactors.com") || career("successfactors.eu") {
        return Some(place(System::SuccessFactors, at.query("company"), at.query("career_job_req_id")));
    }
    let board = at.host.strip_suffix(".jobs.hr.cloud.sap").filter(|label| word(label))?;
    Some(place(System::SuccessFactors, Some(board), at.after("job")))
}

/// The employer's own page with a vendor's form in it, by what the vendors' scripts add to the address.
fn embedded(at: &Address<'_>) -> Option<JobPlace> {
    let found = if let Some(id) = at.query("gh_jid").filter(|id| digits(id)) {
        place(System::Greenhouse, None, Some(id))
    } else if let Some(id) = at.query("ashby_jid").filter(|id| is_uuid(id)) {
        place(System::Ashby, None, Some(id))
    } else {
        return None;
    };
    Some(JobPlace { embedded: true, ..found })
}

/// Which board a page has embedded, by the vendor's script or frame in it: what the page's address does not tell. Two boards are none.
pub fn greenhouse_board_in(html: &str) -> Option<String> {
    const EMBED: &str = ".greenhouse.io/embed/job_";
    let mut boards = html.match_indices(EMBED).filter_map(|(at, _)| {
        let host = html[..at].rsplit(['"', '\'', '/', '=', ' ']).next()?;
        let known = matches!(host, "boards" | "boards.eu" | "job-boards" | "job-boards.eu");
        let address = html[at + EMBED.len()..].split(['"', '\'', ' ', '>', '<']).next()?.replace("&amp;", "&");
        let query = address.split_once('?')?.1.to_owned();
        let board = url::form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "for")?.1.into_owned();
        (known && word(&board)).then_some(board)
    });
    let first = boards.next()?;
    boards.all(|other| other == first).then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(url: &str, system: System, board: &str, posting: &str) {
        let found = detect(url).unwrap_or_else(|| panic!("{url}: nothing"));
        let parts = (found.system, found.board.unwrap_or_default(), found.posting.unwrap_or_default());
        assert_eq!(parts, (system, board.to_owned(), posting.to_owned()), "{url}");
    }

    #[test]
    fn each_vendors_addresses_name_their_job() {
        const ID: &str = "5ac21346-8e0c-4494-8e7a-3eb92ff77902";
        let lever = format!("https://jobs.lever.co/leverdemo/{ID}/apply?lever-source=x");
        let ashby = format!("https://jobs.ashbyhq.com/Acme%20Inc/{ID}/application");
        let one_click = format!("https://jobs.smartrecruiters.com/oneclick-ui/company/Acme/publication/{ID}");
        for (url, system, board, posting) in [
            ("https://boards.greenhouse.io/acme/jobs/127817", System::Greenhouse, "acme", "127817"),
            ("https://JOB-BOARDS.greenhouse.io./acme/jobs/127817?gh_src=1", System::Greenhouse, "acme", "127817"),
            ("https://boards.greenhouse.io/embed/job_app?for=acme&token=127817", System::Greenhouse, "acme", "127817"),
            ("https://boards.greenhouse.io/embed/job_app?token=127817", System::Greenhouse, "", "127817"),
            ("https://boards-api.greenhouse.io/v1/boards/acme/jobs/127817", System::Greenhouse, "acme", "127817"),
            ("https://boards.greenhouse.io/acme", System::Greenhouse, "acme", ""),
            (lever.as_str(), System::Lever, "leverdemo", ID),
            ("https://jobs.lever.co/leverdemo", System::Lever, "leverdemo", ""),
            (ashby.as_str(), System::Ashby, "Acme Inc", ID),
            (
                "https://acme.wd3.myworkdayjobs.com/en-US/careers/job/Berlin/Gardener_R-10001/apply",
                System::Workday,
                "acme",
                "R-10001",
            ),
            (
                "https://wd5.myworkdaysite.com/recruiting/acme/careers/details/Gardener_JR7",
                System::Workday,
                "acme",
                "JR7",
            ),
            (
                "https://jobs.smartrecruiters.com/Acme/743999700000000-gardener",
                System::SmartRecruiters,
                "Acme",
                "743999700000000",
            ),
            (one_click.as_str(), System::SmartRecruiters, "Acme", ID),
            ("https://apply.workable.com/acme/j/0A1B2C3D4E/apply", System::Workable, "acme", "0A1B2C3D4E"),
            ("https://apply.workable.com/j/0A1B2C3D4E", System::Workable, "", "0A1B2C3D4E"),
            ("https://acme.workable.com/j/0A1B2C3D4E", System::Workable, "acme", "0A1B2C3D4E"),
            ("https://careers-acme.icims.com/jobs/1234/gardener/job", System::Icims, "careers-acme", "1234"),
            ("https://jobs.jobvite.com/acme/job/oAbCdEfG/apply", System::Jobvite, "acme", "oAbCdEfG"),
            ("https://acme.bamboohr.com/careers/42", System::BambooHr, "acme", "42"),
            ("https://acme.bamboohr.com/jobs/view.php?id=42", System::BambooHr, "acme", "42"),
            ("https://acme.recruitee.com/o/senior-gardener/c/new", System::Recruitee, "acme", "senior-gardener"),
            (
                "https://e.fa.us2.oraclecloud.com/hcmUI/CandidateExperience/en/sites/CX_1/job/77",
                System::Oracle,
                "CX_1",
                "77",
            ),
            ("https://acme.taleo.net/careersection/2/jobdetail.ftl?job=1900", System::Oracle, "acme", "1900"),
            (
                "https://career5.successfactors.eu/career?company=acme&career_job_req_id=9",
                System::SuccessFactors,
                "acme",
                "9",
            ),
        ] {
            check(url, system, board, posting);
        }
        assert_eq!(detect("https://jobs.eu.lever.co/a").unwrap().region, Region::Eu);
        assert_eq!(detect("https://job-boards.eu.greenhouse.io/a/jobs/1").unwrap().region, Region::Eu);
    }

    #[test]
    fn a_host_that_looks_like_a_vendors_is_another_one() {
        for url in [
            "https://boards.greenhouse.io.example.com/acme/jobs/1",
            "https://boards-greenhouse.io/acme/jobs/1",
            "https://evil.boards.greenhouse.io/acme/jobs/1",
            "https://notgreenhouse.io/acme/jobs/1",
            "https://boards.greenhouse.io@example.com/acme/jobs/1",
            "https://example.com/boards.greenhouse.io/acme/jobs/1",
            "https://example.com/?u=https://jobs.lever.co/a",
            "https://jobs.lever.co.uk/acme",
            "https://a.b.recruitee.com/o/x",
            "https://recruitee.com/o/x",
            "https://docs.recruitee.com/o/x",
            "https://acme.myworkdayjobs.com/x",
            "https://acme.wdx.myworkdayjobs.com/x",
            "https://storage.us2.oraclecloud.com/x",
            "https://careersite.successfactors.com/career?company=a",
            "ftp://boards.greenhouse.io/acme/jobs/1",
            "http://127.0.0.1/acme/jobs/1",
        ] {
            assert_eq!(detect(url), None, "{url}");
        }
    }

    #[test]
    fn what_would_not_stand_in_a_path_is_no_board() {
        for url in [
            "https://boards.greenhouse.io/..%2f..%2fx/jobs/1",
            "https://boards.greenhouse.io/a%3Fb/jobs/1",
            "https://jobs.lever.co/a%20b",
        ] {
            assert_eq!(detect(url).unwrap().board, None, "{url}");
        }
        assert_eq!(detect("https://boards.greenhouse.io/acme/jobs/1e9").unwrap().posting, None);
        assert_eq!(detect("https://acme.recruitee.com/o/%2e%2e").unwrap().posting, None);
    }

    #[test]
    fn an_employers_own_page_may_show_a_vendors_form() {
        let found = detect("https://careers.example.com/open?gh_jid=127817&gh_src=abc").expect("a job");
        assert_eq!((found.system, found.board, found.embedded), (System::Greenhouse, None, true));
        assert_eq!(found.posting.as_deref(), Some("127817"));
        assert_eq!(detect("https://careers.example.com/open?gh_jid=abc"), None);

        let board = |html: &str| greenhouse_board_in(html);
        let script = r#"<script src="https://boards.greenhouse.io/embed/job_board/js?for=acme"></script>"#;
        assert_eq!(board(script).as_deref(), Some("acme"));
        let frame = r"<iframe src='https://job-boards.greenhouse.io/embed/job_app?token=1&amp;for=acme'></iframe>";
        assert_eq!(board(frame).as_deref(), Some("acme"));
        assert_eq!(board(&format!("{script}{frame}")).as_deref(), Some("acme"));
        let other = r#"<script src="https://evil-boards.greenhouse.io/embed/job_board/js?for=other"></script>"#;
        assert_eq!(board(other), None, "another host");
        let two = format!("{script}{}", script.replace("acme", "other"));
        assert_eq!(board(&two), None, "two boards are none");
    }
}
