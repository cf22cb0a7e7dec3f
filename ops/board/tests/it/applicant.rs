//! An applicant without a browser: reads a page, fills its form by the truth about it, and sends it as browsers do.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Once;
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, COOKIE, LOCATION, SET_COOKIE};
use reqwest::multipart::{Form, Part};
use reqwest::{Client, Response, StatusCode};
use valet_board::{Board, BoardConfig, Expectation, ExpectedField, FormKind, Meaning};

use crate::dom::{self, Element, Node};

pub const RESUME: &[u8] = b"%PDF-1.7 a short life";
/// SHA-256 of [`RESUME`], computed elsewhere.
pub const RESUME_SHA256: &str = "65b269286f2c24f7c627f49995d4eb078451f356725ddeb595c93ad6528c9162";

pub fn loopback() -> BoardConfig {
    BoardConfig::new(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
}

pub async fn board() -> Board {
    Board::start(loopback()).await.expect("a board on a free port")
}

pub fn client() -> Client {
    static PROVIDER: Once = Once::new();
    PROVIDER.call_once(|| {
        // Only a second installation fails.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
    Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .timeout(Duration::from_secs(30))
        .build()
        .expect("a client")
}

/// What a sensible profile answers.
pub fn answer(field: &ExpectedField) -> String {
    let wanted = match field.meaning {
        Meaning::FirstName => "Zoë",
        Meaning::LastName => "O'Hara",
        Meaning::FullName => "Zoë O'Hara",
        Meaning::Email | Meaning::EmailConfirm => "zoe@example.com",
        Meaning::Phone => "+49 30 1234567",
        Meaning::Street => "Some Street 12",
        Meaning::City => "Köln",
        Meaning::PostalCode => "10115",
        Meaning::Country => "Germany",
        Meaning::State => "Berlin",
        Meaning::Linkedin => "https://www.linkedin.com/in/zoe",
        Meaning::Website => "https://zoe.example.com",
        Meaning::Github => "https://github.com/zoe",
        Meaning::WorkAuthorization | Meaning::Consent => "yes",
        Meaning::Sponsorship => "no",
        Meaning::StartDate => "2027-02-01",
        Meaning::Salary => "70,000",
        Meaning::HowHeard => "LinkedIn",
        Meaning::FreeQuestion => "The first line\nand <b>the second</b>.",
        Meaning::CoverLetter => "Dear team,\nhello.",
        Meaning::Resume => "",
    };
    wanted.to_owned()
}

/// What the form sends for an answer.
pub fn sent_value(field: &ExpectedField, page: &Element) -> String {
    let wanted = answer(field);
    if field.control == "checkbox" {
        let control = page.by_id(&field.id).expect("the checkbox");
        return control.get("value").expect("a checkbox has a value").to_owned();
    }
    field.options.iter().find(|option| option.canonical == wanted).map_or(wanted, |option| option.value.clone())
}

/// A page with its form ready to be sent.
pub struct OpenPage {
    pub url: String,
    pub status: StatusCode,
    pub root: Element,
    pub values: Vec<(String, String)>,
    pub files: Vec<(String, String, Vec<u8>)>,
}

pub struct Applicant {
    pub client: Client,
    pub base: String,
    pub expected: Expectation,
    pub cookies: BTreeMap<String, String>,
}

impl Applicant {
    pub fn new(board: &Board, form: FormKind, seed: u32) -> Self {
        Self {
            client: client(),
            base: board.base_url(),
            expected: Expectation::of(form, seed),
            cookies: BTreeMap::new(),
        }
    }

    pub fn path(&self) -> String {
        format!("/jobs/{}/{}", self.expected.form.as_str(), self.expected.seed)
    }

    /// The first page of the form, whatever stands before it.
    pub async fn open(&mut self) -> OpenPage {
        let page = self.get(&format!("{}/apply", self.path())).await;
        self.passed(page).await
    }

    pub async fn get(&mut self, path: &str) -> OpenPage {
        let response = self
            .client
            .get(format!("{}{path}", self.base))
            .header(COOKIE, self.cookie_header())
            .send()
            .await
            .expect("an answer");
        self.follow(path.to_owned(), response).await
    }

    /// Fills all fields of the page with the answers of a sensible profile.
    pub fn fill(&self, page: &mut OpenPage) {
        let names: Vec<String> = controls(form_of(&page.root))
            .into_iter()
            .filter_map(|control| control.get("name").map(str::to_owned))
            .collect();
        let asked = |field: &&ExpectedField| self.expected.asks(field, &|field| Some(answer(field)));
        for field in self.expected.fields.iter().filter(|field| names.contains(&field.name)).filter(asked) {
            if field.control == "file" {
                let file = ("cv.pdf".to_owned(), RESUME.to_vec());
                page.files.retain(|(name, _, _)| *name != field.name);
                page.files.push((field.name.clone(), file.0, file.1));
            } else {
                let value = sent_value(field, &page.root);
                page.set(&field.name, &value);
            }
        }
    }

    /// The form that this page has apart from the application, with what would be sent if nobody touched it.
    pub async fn send_beside(&mut self, page: &OpenPage, action: &str, typed: &[(&str, &str)]) -> OpenPage {
        let form = page.root.find(|element| {
            element.tag == "form" && element.get("action").is_some_and(|found| found.ends_with(action))
        });
        let form = form.unwrap_or_else(|| panic!("no form that sends to {action} in: {}", page.text()));
        let mut values = form_values(form);
        for (name, value) in typed {
            values.retain(|(known, _)| known != name);
            values.push(((*name).to_owned(), (*value).to_owned()));
        }
        let url = form.get("action").expect("an address").to_owned();
        let request = self.client.post(format!("{}{url}", self.base)).header(COOKIE, self.cookie_header());
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(&values).finish();
        let request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(body);
        let response = request.send().await.expect("an answer");
        self.follow(url, response).await
    }

    /// What comes after everything that stands before this form or its end. The oracle tells what a person would know.
    pub async fn passed(&mut self, page: OpenPage) -> OpenPage {
        let asks = |page: &OpenPage, action: &str| {
            page.root.find(|element| element.get("action").is_some_and(|found| found.ends_with(action))).is_some()
        };
        let (form, seed) = (self.expected.form, self.expected.seed);
        if asks(&page, "/clearance") {
            let window = [
                ("fine", "1"),
                ("touch", "0"),
                ("width", "1440"),
                ("height", "900"),
                ("outer_width", "1200"),
                ("outer_height", "800"),
            ];
            self.send_beside(&page, "/clearance", &window).await
        } else if asks(&page, "/sign-in") {
            let known = self.oracle(&format!("login/{seed}")).await;
            let (user, password) = (text(&known["user"]), text(&known["password"]));
            self.send_beside(&page, "/sign-in", &[("user", &user), ("password", &password)]).await
        } else if asks(&page, "/check") {
            let known = self.oracle(&format!("check/{form}/{seed}")).await;
            let answer = text(&known.as_array().expect("a list").last().expect("an open check")["answer"]);
            self.send_beside(&page, "/check", &[("answer", &answer)]).await
        } else if asks(&page, "/code") {
            let mails = self.oracle("inbox?email=zoe%40example.com").await;
            let mine = mails.as_array().expect("a list").iter().rfind(|mail| mail["seed"] == seed).expect("a mail");
            let code = text(&mine["code"]);
            self.send_beside(&page, "/code", &[("code", &code)]).await
        } else if let Some(later) = later(&page.root) {
            self.arrived(page, &later).await
        } else {
            page
        }
    }

    /// The page when its late part is there.
    async fn arrived(&mut self, mut page: OpenPage, address: &str) -> OpenPage {
        let request = self.client.get(format!("{}{address}", self.base)).header(COOKIE, self.cookie_header());
        let part = request.send().await.expect("an answer").text().await.expect("a part of a page");
        put_later(&mut page.root, &part);
        page.root.check();
        page.values = successful_values(&page.root);
        page
    }

    pub async fn oracle(&self, what: &str) -> serde_json::Value {
        let response = self.client.get(format!("{}/_oracle/{what}", self.base)).send().await.expect("an answer");
        assert!(response.status().is_success(), "{what}");
        response.json().await.expect("JSON")
    }

    pub async fn send(&mut self, page: &OpenPage) -> OpenPage {
        let response = self.post(page).await;
        self.follow(page.url.clone(), response).await
    }

    pub async fn post(&self, page: &OpenPage) -> Response {
        let form = form_of(&page.root);
        let action = form.get("action").expect("an address to send to");
        let request = self.client.post(format!("{}{action}", self.base)).header(COOKIE, self.cookie_header());
        let request = if form.get("enctype") == Some("multipart/form-data") {
            let mut multipart = Form::new();
            for (name, value) in &page.values {
                multipart = multipart.text(name.clone(), value.replace('\n', "\r\n"));
            }
            for (name, filename, content) in &page.files {
                let part = Part::bytes(content.clone()).file_name(filename.clone());
                multipart = multipart.part(name.clone(), part);
            }
            request.multipart(multipart)
        } else {
            let values = page.values.iter().map(|(name, value)| (name, value.replace('\n', "\r\n")));
            let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(values).finish();
            request.header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(body)
        };
        request.send().await.expect("an answer")
    }

    /// Fills and sends page after page, and gives the page before the last sending.
    pub async fn up_to_the_end(&mut self) -> OpenPage {
        let mut page = self.open().await;
        for _ in 1..self.expected.pages {
            self.fill(&mut page);
            page = self.send(&page).await;
            assert_eq!(page.status, StatusCode::OK, "{}", page.root.text());
        }
        self.fill(&mut page);
        page
    }

    async fn follow(&mut self, mut url: String, mut response: Response) -> OpenPage {
        for _ in 0..3 {
            for cookie in response.headers().get_all(SET_COOKIE) {
                let cookie = cookie.to_str().expect("a readable cookie");
                let (name, rest) = cookie.split_once('=').expect("a cookie has a value");
                let value = rest.split(';').next().unwrap_or_default();
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
            let Some(location) = response.headers().get(LOCATION) else {
                break;
            };
            url = location.to_str().expect("a readable address").to_owned();
            response = self
                .client
                .get(format!("{}{url}", self.base))
                .header(COOKIE, self.cookie_header())
                .send()
                .await
                .expect("an answer");
        }
        let status = response.status();
        let root = dom::read(&response.text().await.expect("a page"));
        let mut page = OpenPage { url, status, values: Vec::new(), files: Vec::new(), root };
        page.values = successful_values(&page.root);
        page
    }

    fn cookie_header(&self) -> String {
        let pairs: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        pairs.join("; ")
    }
}

impl OpenPage {
    pub fn set(&mut self, name: &str, value: &str) {
        self.values.retain(|(set, _)| set != name);
        self.values.push((name.to_owned(), value.to_owned()));
    }

    pub fn text(&self) -> String {
        self.root.text()
    }
}

pub fn form_of(root: &Element) -> &Element {
    application_form(root).unwrap_or_else(|| panic!("no application form in: {}", root.text()))
}

pub fn application_form(root: &Element) -> Option<&Element> {
    root.find(|element| element.tag == "form" && element.get("action").is_some_and(|action| action.contains("/apply/")))
}

/// The same form, to tamper with it.
pub fn application_form_mut(root: &mut Element) -> Option<&mut Element> {
    for node in &mut root.children {
        if let Node::Element(element) = node {
            if element.get("action").is_some_and(|action| action.contains("/apply/")) {
                return Some(element);
            }
            if let Some(form) = application_form_mut(element) {
                return Some(form);
            }
        }
    }
    None
}

/// Where the late part of a page comes from.
pub fn later(root: &Element) -> Option<String> {
    root.find(|element| element.has("data-later")).and_then(|later| later.get("data-later")).map(str::to_owned)
}

fn put_later(element: &mut Element, part: &str) {
    for node in &mut element.children {
        if let Node::Element(inner) = node {
            if inner.attributes.remove("data-later").is_some() {
                inner.children = dom::read_part(part);
                return;
            }
            put_later(inner, part);
        }
    }
}

fn text(value: &serde_json::Value) -> String {
    value.as_str().expect("a text").to_owned()
}

pub fn controls(form: &Element) -> Vec<&Element> {
    form.all().into_iter().filter(|element| ["input", "select", "textarea"].contains(&element.tag.as_str())).collect()
}

/// What a browser would send if nobody touched the form and pressed its main button.
fn successful_values(root: &Element) -> Vec<(String, String)> {
    application_form(root).map(form_values).unwrap_or_default()
}

fn form_values(form: &Element) -> Vec<(String, String)> {
    let mut values = Vec::new();
    for control in controls(form) {
        let Some(name) = control.get("name") else {
            continue;
        };
        let value = match (control.tag.as_str(), control.get("type").unwrap_or_default()) {
            ("input", "file" | "submit") => None,
            ("input", "radio" | "checkbox") => {
                control.has("checked").then(|| control.get("value").unwrap_or("on").to_owned())
            }
            ("input", _) => Some(control.get("value").unwrap_or_default().to_owned()),
            ("select", _) => Some(selected(control)),
            // The line break after the opening tag is not part of the text.
            _ => Some(control.text().trim_start_matches('\n').to_owned()),
        };
        if let Some(value) = value {
            values.push((name.to_owned(), value));
        }
    }
    values
}

fn selected(select: &Element) -> String {
    let options: Vec<&Element> = select.all();
    options
        .iter()
        .find(|option| option.has("selected"))
        .or(options.first())
        .and_then(|option| option.get("value"))
        .unwrap_or_default()
        .to_owned()
}
