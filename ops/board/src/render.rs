//! HTML from the form model. Everything that is not written in this module's templates goes through [`Esc`]. Pages load
//! nothing from elsewhere.

pub mod browse;
mod field;
mod follow;
pub mod form;
pub mod gate;
pub mod guard;
mod late;
pub mod outcome;

use std::fmt;

use crate::model::FormModel;
use crate::model::twist::Twist;

const STYLE: &str = include_str!("render/style.css");

/// Text inside an element or a quoted attribute.
pub struct Esc<'a>(pub &'a str);

impl fmt::Display for Esc<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        while let Some(index) = rest.find(['&', '<', '>', '"', '\'']) {
            f.write_str(&rest[..index])?;
            f.write_str(match rest.as_bytes()[index] {
                b'&' => "&amp;",
                b'<' => "&lt;",
                b'>' => "&gt;",
                b'"' => "&quot;",
                _ => "&#39;",
            })?;
            rest = &rest[index + 1..];
        }
        f.write_str(rest)
    }
}

/// A page of the board itself, such as the list of jobs.
pub fn plain(title: &str, body: &str) -> String {
    let header = r#"<header class="site"><a class="brand" href="/">Local job board</a></header>"#;
    document(title, "#2b4c5e", header, body, FOOTER_NOTE)
}

/// A page that belongs to nobody in particular.
pub fn plain_bare(title: &str, body: &str) -> String {
    document(title, "#2b4c5e", "", body, "")
}

/// A page of the application: the company's, or what its posting shows in a frame.
pub fn application(model: &FormModel, title: &str, body: &str) -> String {
    match model.twist {
        Twist::Frame(_) => document(title, model.look.accent, "", body, ""),
        _ => company(model, title, body),
    }
}

/// What a frame of a company's page shows apart from the form.
pub fn framed(model: &FormModel, body: &str) -> String {
    document("", model.look.accent, "", body, "")
}

/// The form that asks for an address to write to.
pub fn newsletter() -> String {
    document("Newsletter", "#2b4c5e", "", NEWSLETTER, "")
}

/// A page of the company that a form belongs to, with its header, footer and decoys.
pub fn company(model: &FormModel, title: &str, body: &str) -> String {
    let decoys = &model.decoys;
    let mut header = format!(
        r#"<header class="site"><a class="brand" href="/">{}</a><nav><a href="/">All jobs</a>"#,
        Esc(model.posting.company)
    );
    if decoys.login {
        header.push_str(r#"<a href="/login">Log in</a>"#);
    }
    header.push_str("</nav>");
    if decoys.search {
        header.push_str(SEARCH);
    }
    if decoys.language {
        header.push_str(LANGUAGE);
    }
    header.push_str("</header>");

    let mut footer = String::new();
    if decoys.newsletter {
        footer.push_str(NEWSLETTER);
    }
    footer.push_str(FOOTER_NOTE);
    document(title, model.look.accent, &header, body, &footer)
}

fn document(title: &str, accent: &str, header: &str, body: &str, footer: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta name=\"robots\" content=\"noindex\"><title>{}</title>\
         <style>:root {{ --accent: {accent}; }}\n{STYLE}</style></head>\
         <body>{header}<main>{body}</main><footer class=\"site\">{footer}</footer></body></html>\n",
        Esc(title)
    )
}

const FOOTER_NOTE: &str = "<p>This board is made up. Nothing that is sent here leaves this machine.</p>";

const SEARCH: &str = "<form class=\"site-search\" role=\"search\" method=\"get\" action=\"/search\">\
     <input type=\"search\" id=\"site-search\" name=\"q\" aria-label=\"Search jobs\" placeholder=\"Search jobs\">\
     <button type=\"submit\">Search</button></form>";

const LANGUAGE: &str = "<form class=\"site-language\" method=\"get\" action=\"/language\">\
     <select id=\"site-language\" name=\"lang\" aria-label=\"Language\"><option value=\"en\" selected>English</option>\
     <option value=\"de\">Deutsch</option><option value=\"fr\">Français</option></select>\
     <button type=\"submit\">Go</button></form>";

const NEWSLETTER: &str = "<form class=\"site-newsletter\" method=\"post\" action=\"/newsletter\">\
     <label for=\"site-newsletter\">Get new jobs by email</label>\
     <input type=\"email\" id=\"site-newsletter\" name=\"email\" placeholder=\"Email address\">\
     <button type=\"submit\">Subscribe</button></form>";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_become_markup() {
        let escaped = Esc(r#"<b a="1" c='2'>&é</b>"#).to_string();
        assert_eq!(escaped, "&lt;b a=&quot;1&quot; c=&#39;2&#39;&gt;&amp;é&lt;/b&gt;");
    }
}
