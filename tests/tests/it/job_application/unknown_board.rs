//! The agent knows forms, not this board: nothing that only the practice board has, its paths, hosts, classes, drawn names and invented
//! sentences, stands in the sources of the workers or the workflows. Words that any form has ("First name") are nobody's mark.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use valet_board::{Board, BoardConfig, Expectation, FormKind, IdStyle, NameStyle};

/// Seeds whose drawings are looked at.
const SEEDS: u32 = 60;
/// Class names that pages of all kinds have; a rule for one of them is a rule for all.
const EVERYBODYS_CLASSES: &[&str] = &[
    "actions",
    "button",
    "company",
    "error",
    "field",
    "form",
    "hint",
    "label",
    "mark",
    "note",
    "notice",
    "secondary",
    "section",
    "summary",
];
/// The board's addresses, and the crate itself.
const ADDRESSES: &[&str] = &["/_oracle", "/confirmation/", "valet_board", "valet-board"];
/// A sentence of fewer words may be anybody's.
const SENTENCE_WORDS_MIN: usize = 4;
/// Drawn names that are shorter could be part of anything.
const NAME_CHARS_MIN: usize = 6;

/// What gives the board away.
#[derive(Default)]
struct Marks {
    /// Anywhere, whatever the case.
    texts: BTreeSet<String>,
    /// As selectors.
    classes: BTreeSet<String>,
}

impl Marks {
    async fn of_the_board() -> Self {
        let mut marks = Self::default();
        marks.texts.extend(ADDRESSES.iter().map(ToString::to_string));
        marks.texts.extend(FormKind::ALL.iter().map(|form| format!("/jobs/{}", form.as_str())));
        let board = Board::start(BoardConfig::new(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))).await.expect("a board");
        for form in FormKind::ALL {
            for seed in 1..=SEEDS {
                marks.of_expectation(&Expectation::of(form, seed));
                for page in ["", "/apply"] {
                    let url = format!("{}/jobs/{}/{seed}{page}", board.base_url(), form.as_str());
                    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
                    let html = client.get(url).send().await.expect("a page").text().await.expect("its text");
                    marks.of_page(&html);
                }
            }
        }
        board.stop().await.expect("the board stops");
        marks
    }

    fn of_expectation(&mut self, expected: &Expectation) {
        let sentences = [expected.free_question.as_deref().unwrap_or_default(), expected.confirmation.sentence];
        let invented = sentences.into_iter().filter(|text| text.split_whitespace().count() >= SENTENCE_WORDS_MIN);
        self.texts.extend(invented.chain([expected.company]).map(plain));
        let look = &expected.look;
        let drawn_names = matches!(look.names, NameStyle::Numbered | NameStyle::Opaque | NameStyle::Cards);
        let drawn_ids = look.ids != IdStyle::FromName;
        for field in &expected.fields {
            let name = Some(&field.name).filter(|_| drawn_names);
            let id = Some(&field.id).filter(|_| drawn_ids);
            let drawn = name.into_iter().chain(id).filter(|text| text.len() >= NAME_CHARS_MIN);
            self.texts.extend(drawn.map(|text| plain(text)));
        }
    }

    fn of_page(&mut self, html: &str) {
        for list in values(html, "class=\"") {
            let own = list.split_whitespace().filter(|class| class.len() > 1 && !EVERYBODYS_CLASSES.contains(class));
            self.classes.extend(own.map(ToOwned::to_owned));
        }
        let attributes = html.split([' ', '>', '=']).filter(|word| word.starts_with("data-"));
        self.texts.extend(attributes.map(plain));
    }

    /// Those that stand in a source.
    fn within(&self, source: &str) -> Vec<String> {
        let source = plain(source);
        let texts = self.texts.iter().filter(|text| source.contains(text.as_str())).cloned();
        let classes = self.classes.iter().filter(|class| selects(&source, class)).map(|class| format!(".{class}"));
        texts.chain(classes).collect()
    }
}

/// Lower case, every run of spaces one space.
fn plain(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
}

fn values<'a>(html: &'a str, before: &str) -> impl Iterator<Item = &'a str> {
    html.split(before).skip(1).filter_map(|rest| rest.split('"').next())
}

/// Whether a selector for the class is in the source: `.class`, `[class*=class]`, `class="class"`; not a Rust field of that name.
fn selects(source: &str, class: &str) -> bool {
    let class = class.to_lowercase();
    source.match_indices(&class).any(|(at, _)| {
        let (before, after) = (&source[..at], &source[at + class.len()..]);
        let ends = !after.starts_with(|c: char| c.is_alphanumeric() || c == '-' || c == '_');
        let dotted = before.strip_suffix('.').is_some_and(|rest| {
            !rest.ends_with(|c: char| c.is_alphanumeric() || matches!(c, ')' | ']' | '_' | '?' | '.' | ' '))
        });
        let compared = ["class=\"", "class='", "class*=", "class~=", "class^=", "class="];
        ends && (dotted || compared.iter().any(|way| before.ends_with(way)))
    })
}

fn sources(root: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![root.join("workers/src"), root.join("workflows/src"), root.join("workflows/examples")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder of sources") {
            let path = entry.expect("an entry").path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    files.extend(["workers/Cargo.toml", "workflows/Cargo.toml"].map(|file| root.join(file)));
    files
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_the_boards_own_stands_in_the_agent_or_the_workflow() {
    valet::cli::install_tls();
    let marks = Marks::of_the_board().await;
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
    let files = sources(root);
    assert!(files.len() > 60, "only {} sources were found", files.len());
    let found: Vec<String> = files
        .iter()
        .flat_map(|file| {
            let source = std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
            marks.within(&source).into_iter().map(|mark| format!("{}: {mark}", file.display())).collect::<Vec<_>>()
        })
        .collect();
    assert!(found.is_empty(), "marks of the practice board:\n{}", found.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_mark_would_be_found() {
    valet::cli::install_tls();
    let marks = Marks::of_the_board().await;
    let expected = Expectation::of(FormKind::Steps, 1);
    let question = expected.free_question.clone().expect("a question");
    let drawn = (1..=SEEDS)
        .map(|seed| Expectation::of(FormKind::Simple, seed))
        .find(|expected| expected.look.names == NameStyle::Opaque)
        .expect("a form with opaque names");
    let name = &drawn.fields[0].name;
    for planted in [
        "format!(\"{base}/jobs/steps/7\")".to_owned(),
        format!("if label == \"{question}\" {{"),
        format!("company = \"{}\"", expected.company),
        format!("\"#{name}\""),
        "document.querySelector('.pills input')".to_owned(),
        "[class*=undisplayed]".to_owned(),
        "box.closest('[data-opens-file]')".to_owned(),
    ] {
        assert!(!marks.within(&planted).is_empty(), "{planted} goes unnoticed");
    }
    let fair =
        "label = [\"first name\"]; \"Submit application\"; control.error; '[class*=error i]'; name.outside.pills";
    assert_eq!(marks.within(fair), [""; 0]);
}
