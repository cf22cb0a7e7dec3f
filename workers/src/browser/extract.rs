//! Facts a page states about itself: schema.org structured data first, then labelled values. Each carries where it is from.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::form::Snapshot;

/// A description is kept this far; the rest is on the page.
const TEXT_MAX_CHARS: usize = 4000;
/// Structured data may nest graphs in graphs.
const DEPTH_MAX: usize = 6;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Provenance {
    /// A `JobPosting` in JSON-LD.
    JsonLd,
    /// `itemprop` attributes (HTML §5).
    Microdata,
    DefinitionList,
    Table,
    /// "Label: value" in running text.
    Text,
    Heading,
    Title,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExtractedField {
    pub name: String,
    pub value: String,
    pub provenance: Provenance,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extracted {
    /// Best source first; a name may occur once per source.
    pub fields: Vec<ExtractedField>,
}

impl Extracted {
    pub fn get(&self, name: &str) -> Option<&ExtractedField> {
        let wanted = plain(name);
        self.fields.iter().find(|field| plain(&field.name) == wanted)
    }

    pub fn named(&self, names: &[&str]) -> Vec<ExtractedField> {
        names.iter().filter_map(|name| self.get(name).cloned()).collect()
    }

    fn add(&mut self, name: &str, value: &str, provenance: Provenance) {
        let value = value.split_whitespace().collect::<Vec<_>>().join(" ");
        let known = self.fields.iter().any(|field| field.provenance == provenance && plain(&field.name) == plain(name));
        if !value.is_empty() && !known {
            let value = value.chars().take(TEXT_MAX_CHARS).collect();
            self.fields.push(ExtractedField { name: name.to_owned(), value, provenance });
        }
    }
}

pub fn extract(page: &Snapshot) -> Extracted {
    let mut found = Extracted::default();
    for posting in page.json_ld.iter().filter_map(|value| job_posting(value, 0)) {
        read_posting(posting, &mut found);
    }
    for pair in &page.pairs {
        let provenance = match pair.source.as_str() {
            "microdata" => Provenance::Microdata,
            "dl" => Provenance::DefinitionList,
            "table" => Provenance::Table,
            _ => Provenance::Text,
        };
        found.add(&pair.label, &pair.value, provenance);
    }
    if let Some(heading) = page.headings.iter().find(|heading| heading.level == 1) {
        found.add("title", &heading.text, Provenance::Heading);
    }
    found.add("title", &page.title, Provenance::Title);
    found
}

/// The first object of type `JobPosting`, in lists and graphs too.
fn job_posting(value: &Value, depth: usize) -> Option<&Value> {
    if depth > DEPTH_MAX {
        return None;
    }
    match value {
        Value::Array(items) => items.iter().find_map(|item| job_posting(item, depth + 1)),
        Value::Object(object) => {
            let is_type =
                |kind: &Value| kind.as_str().is_some_and(|kind| kind.rsplit(['/', ':']).next() == Some("JobPosting"));
            let kind = object.get("@type");
            if kind.is_some_and(|kind| is_type(kind) || kind.as_array().is_some_and(|kinds| kinds.iter().any(is_type)))
            {
                return Some(value);
            }
            ["@graph", "mainEntity"]
                .iter()
                .filter_map(|key| object.get(*key))
                .find_map(|inner| job_posting(inner, depth + 1))
        }
        _ => None,
    }
}

fn read_posting(posting: &Value, found: &mut Extracted) {
    let mut add = |name: &str, value: &str| found.add(name, value, Provenance::JsonLd);
    for name in ["title", "datePosted", "validThrough", "employmentType", "jobLocationType", "industry", "directApply"]
    {
        add(name, &text(&posting[name]));
    }
    add("description", &without_tags(&text(&posting["description"])));
    add("company", &text(&posting["hiringOrganization"]["name"]));
    if posting["hiringOrganization"].is_string() {
        add("company", &text(&posting["hiringOrganization"]));
    }
    let identifier = &posting["identifier"];
    add("identifier", &text(if identifier.is_object() { &identifier["value"] } else { identifier }));
    let location = if posting["jobLocation"].is_array() { &posting["jobLocation"][0] } else { &posting["jobLocation"] };
    let address = &location["address"];
    let parts = ["streetAddress", "addressLocality", "addressRegion", "postalCode", "addressCountry"];
    let spoken: Vec<String> = parts
        .iter()
        .map(|part| text(if address[*part].is_object() { &address[*part]["name"] } else { &address[*part] }))
        .filter(|part| !part.is_empty())
        .collect();
    add("location", &if address.is_string() { text(address) } else { spoken.join(", ") });
    let salary = &posting["baseSalary"];
    let value = &salary["value"];
    let amount = match (text(&value["minValue"]), text(&value["maxValue"]), text(&value["value"])) {
        (min, max, _) if !min.is_empty() && !max.is_empty() => format!("{min}-{max}"),
        (min, _, value) => {
            if value.is_empty() {
                min
            } else {
                value
            }
        }
    };
    let amount = if amount.is_empty() { text(value) } else { amount };
    if !amount.is_empty() {
        add("salary", &format!("{} {amount} {}", text(&salary["currency"]), text(&value["unitText"])));
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Bool(truth) => truth.to_string(),
        Value::Array(items) => items.iter().map(text).filter(|item| !item.is_empty()).collect::<Vec<_>>().join(", "),
        _ => String::new(),
    }
}

/// Descriptions are HTML, often escaped once more.
fn without_tags(html: &str) -> String {
    let unescaped = html.replace("&lt;", "<").replace("&gt;", ">").replace("&nbsp;", " ").replace("&amp;", "&");
    let mut text = String::with_capacity(unescaped.len());
    let mut inside = false;
    for c in unescaped.chars() {
        match c {
            '<' => inside = true,
            '>' if inside => {
                inside = false;
                text.push(' ');
            }
            c if !inside => text.push(c),
            _ => {}
        }
    }
    text
}

fn plain(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).collect::<String>().to_lowercase()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Provenance, extract};
    use crate::form::{Snapshot, snapshot::Pair};

    #[test]
    fn structured_data_wins_and_every_fact_tells_its_source() {
        let page = Snapshot {
            title: "Jobs".into(),
            json_ld: vec![json!({"@context": "https://schema.org", "@graph": [
                {"@type": "WebSite", "name": "x"},
                {"@type": ["JobPosting"], "title": "Gardener", "hiringOrganization": {"name": "Roots"},
                 "description": "&lt;p&gt;Grow &amp;amp; tend&lt;/p&gt;",
                 "jobLocation": [{"address": {"addressLocality": "Lund", "addressCountry": {"name": "Sweden"}}}],
                 "baseSalary": {"currency": "SEK", "value": {"minValue": 10, "maxValue": 20, "unitText": "HOUR"}}},
            ]})],
            pairs: vec![
                Pair { label: "Reference".into(), value: "R-1".into(), source: "dl".into() },
                Pair { label: "Title".into(), value: "Other".into(), source: "text".into() },
            ],
            ..Snapshot::default()
        };
        let found = extract(&page);
        let check = |name: &str, value: &str, provenance: Provenance| {
            let field = found.get(name).unwrap_or_else(|| panic!("{name} is missing"));
            assert_eq!((field.value.as_str(), field.provenance), (value, provenance));
        };
        check("title", "Gardener", Provenance::JsonLd);
        check("company", "Roots", Provenance::JsonLd);
        check("location", "Lund, Sweden", Provenance::JsonLd);
        check("salary", "SEK 10-20 HOUR", Provenance::JsonLd);
        check("reference", "R-1", Provenance::DefinitionList);
        assert_eq!(found.named(&["Reference", "nothing"]).len(), 1);
    }
}
