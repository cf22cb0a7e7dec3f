//! The list of jobs and the posting page.

use std::fmt::Write as _;

use super::{Esc, company, framed, plain};
use crate::model::look::FactStyle;
use crate::model::twist::{ClosedPlace, Framing, Twist};
use crate::model::{FormKind, FormModel};
use crate::wording::twist as words;

/// The list, or what a search found.
pub fn list(models: &[FormModel], searched: Option<&str>) -> String {
    let mut body = String::from("<h1>Open positions</h1>");
    match searched {
        Some(words) => {
            let _ = write!(body, "<p class=\"company\">Jobs with \u{201c}{}\u{201d}</p>", Esc(words));
        }
        None => body.push_str("<p class=\"company\">Made-up companies with real forms.</p>"),
    }
    body.push_str("<ul class=\"jobs\">");
    for model in models {
        let posting = &model.posting;
        let tag = match model.form {
            FormKind::Simple => "one page".to_owned(),
            FormKind::Steps => format!("{} steps", model.pages.len()),
            FormKind::Frame => "in a frame".to_owned(),
            FormKind::Check => "human check".to_owned(),
            FormKind::Guarded => "guarded".to_owned(),
            FormKind::Conditional => "conditional".to_owned(),
            FormKind::Late => "loads late".to_owned(),
            FormKind::Closed => "closed".to_owned(),
            FormKind::Double => "answers slowly".to_owned(),
            FormKind::Code => "e-mail code".to_owned(),
            FormKind::Login => "sign-in".to_owned(),
        };
        let _ = write!(
            body,
            "<li><span class=\"tag\">{tag}</span><a href=\"{}\">{}</a><br><span>{}, {}</span></li>",
            Esc(&model.posting_path()),
            Esc(&posting.title),
            Esc(posting.company),
            Esc(posting.city),
        );
    }
    body.push_str("</ul>");
    if models.is_empty() {
        body.push_str("<p>No job was found.</p>");
    }
    plain("Open positions", &body)
}

pub fn posting(model: &FormModel) -> String {
    let posting = &model.posting;
    let mut body = format!(
        "<script type=\"application/ld+json\">{}</script><article><h1>{}</h1><p class=\"company\">{}</p>",
        // A closing tag inside the data would end the script element.
        posting.schema.to_string().replace('<', "\\u003c"),
        Esc(&posting.title),
        Esc(posting.company),
    );
    body.push_str(&facts(model));
    let _ = write!(body, "<h2>About the job</h2><p>{}</p><ul>", Esc(posting.introduction));
    for task in &posting.tasks {
        let _ = write!(body, "<li>{}</li>", Esc(task));
    }
    body.push_str("</ul><h2>What we look for</h2><ul>");
    for wish in &posting.wishes {
        let _ = write!(body, "<li>{}</li>", Esc(wish));
    }
    body.push_str("</ul>");
    match &model.twist {
        Twist::Frame(framing) => body.push_str(&framed_form(model, framing)),
        Twist::Closed(closure) if closure.place == ClosedPlace::Posting => {
            let _ = write!(
                body,
                "<div class=\"notice\" role=\"status\"><h2>{}</h2><p>{}</p></div>",
                Esc(closure.heading),
                Esc(closure.sentence)
            );
        }
        _ => body.push_str(&apply(model)),
    }
    body.push_str("</article>");
    company(model, &format!("{} at {}", posting.title, posting.company), &body)
}

fn apply(model: &FormModel) -> String {
    let address = format!("{}/apply", model.posting_path());
    let label = Esc(model.buttons.apply);
    if model.behaviour.apply_is_button {
        format!(
            "<form class=\"actions\" method=\"get\" action=\"{}\"><button type=\"submit\">{label}</button></form>",
            Esc(&address)
        )
    } else {
        format!("<p class=\"actions\"><a class=\"button\" href=\"{}\">{label}</a></p>", Esc(&address))
    }
}

fn framed_form(model: &FormModel, framing: &Framing) -> String {
    let mut html = format!("<h2>{}</h2>", words::FRAME_HEADING);
    if framing.newsletter {
        html.push_str("<iframe src=\"/newsletter\" title=\"Newsletter\" width=\"100%\" height=\"140\"></iframe>");
    }
    let within = if framing.depth > 1 { "embed" } else { "apply" };
    html + &frame(model, framing, within)
}

/// The page between the posting and a form that is two frames deep.
pub fn embedded(model: &FormModel, framing: &Framing) -> String {
    framed(model, &frame(model, framing, "apply"))
}

fn frame(model: &FormModel, framing: &Framing, within: &str) -> String {
    let title = framing.title.map_or(String::new(), |title| format!(" title=\"{}\"", Esc(title)));
    // Tall enough for most forms; longer ones scroll.
    format!(
        "<iframe src=\"{}/{within}\"{title} width=\"100%\" height=\"1400\" style=\"border: 0\"></iframe>",
        Esc(&model.posting_path())
    )
}

fn facts(model: &FormModel) -> String {
    let (open, close) = match model.look.facts {
        FactStyle::DefinitionList => ("<dl class=\"facts\">", "</dl>"),
        FactStyle::Table => ("<table class=\"facts\"><tbody>", "</tbody></table>"),
        FactStyle::Lines => ("<ul class=\"facts\">", "</ul>"),
    };
    let mut html = open.to_owned();
    for (label, value) in &model.posting.facts {
        let (label, value) = (Esc(label), Esc(value));
        let _ = match model.look.facts {
            FactStyle::DefinitionList => write!(html, "<dt>{label}</dt><dd>{value}</dd>"),
            FactStyle::Table => write!(html, "<tr><th scope=\"row\">{label}</th><td>{value}</td></tr>"),
            FactStyle::Lines => write!(html, "<li><strong>{label}:</strong> {value}</li>"),
        };
    }
    html + close
}
