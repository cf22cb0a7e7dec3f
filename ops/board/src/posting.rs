//! A job posting drawn from a seed: what the list and the posting page show, and its schema.org description.

use serde_json::{Value, json};

use crate::draw::Draw;
use crate::wording::posting as words;

#[derive(Clone, Debug, PartialEq)]
pub struct Posting {
    pub title: String,
    pub company: &'static str,
    pub city: &'static str,
    /// With its article, as in a sentence: "the United States".
    pub country: &'static str,
    pub introduction: &'static str,
    pub tasks: Vec<&'static str>,
    pub wishes: Vec<&'static str>,
    /// Label and value, in the order of the page.
    pub facts: Vec<(&'static str, String)>,
    pub schema: Value,
}

impl Posting {
    pub fn draw(draw: &mut Draw) -> Self {
        let (role, department) = draw.pick(words::TITLES);
        let title = format!("{}{role}", draw.pick(words::LEVELS));
        let company = draw.pick(words::COMPANIES);
        let place = draw.pick(words::PLACES);
        let (employment, employment_code) = draw.pick(words::EMPLOYMENT);
        let workplace = draw.pick(words::WORKPLACES);
        let low = draw.number(42..75) * 1000;
        let high = low + draw.number(6..25) * 1000;
        let number = format!("R-{}", draw.number(10_000..99_999));
        let month = draw.number(1..10);
        let day = draw.number(1..28);
        let posted = format!("2026-0{month}-{day:02}");
        let introduction = draw.pick(words::INTRODUCTIONS);
        let tasks = some(draw, words::TASKS, 4);
        let wishes = some(draw, words::WISHES, 3);

        let mut facts = vec![
            ("Location", format!("{}, {}", place.city, place.country.trim_start_matches("the "))),
            ("Employment type", employment.to_owned()),
            ("Department", department.to_owned()),
            ("Workplace", workplace.to_owned()),
            ("Salary", format!("{} {},000 to {},000 a year", place.currency, low / 1000, high / 1000)),
            ("Job number", number.clone()),
            ("Posted", posted.clone()),
        ];
        draw.shuffle(&mut facts);
        facts.truncate(draw.number(5..8) as usize);

        let schema = json!({
            "@context": "https://schema.org/",
            "@type": "JobPosting",
            "title": title,
            "description": format!("<p>{introduction}</p><ul><li>{}</li></ul>", tasks.join("</li><li>")),
            "identifier": { "@type": "PropertyValue", "name": company, "value": number },
            "datePosted": posted,
            "validThrough": "2035-12-31T23:59:59Z",
            "employmentType": employment_code,
            "hiringOrganization": { "@type": "Organization", "name": company },
            "jobLocation": {
                "@type": "Place",
                "address": {
                    "@type": "PostalAddress",
                    "addressLocality": place.city,
                    "addressCountry": place.code,
                },
            },
            "baseSalary": {
                "@type": "MonetaryAmount",
                "currency": place.currency,
                "value": { "@type": "QuantitativeValue", "minValue": low, "maxValue": high, "unitText": "YEAR" },
            },
            "directApply": true,
        });
        Self { title, company, city: place.city, country: place.country, introduction, tasks, wishes, facts, schema }
    }
}

fn some(draw: &mut Draw, from: &[&'static str], count: usize) -> Vec<&'static str> {
    let mut all = from.to_vec();
    draw.shuffle(&mut all);
    all.truncate(count);
    all
}
