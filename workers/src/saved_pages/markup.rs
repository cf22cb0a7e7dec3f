//! Labels of people in a saved page: taken out before the page is read. Pure.

use std::fmt::Write as _;

/// The attribute that holds the right answer.
const ANSWER: &str = "data-manual-scoring";
/// The attribute that names a control instead, so that an answer can say which one it is about.
const MARK: &str = "data-control";

/// A page without its answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Marked {
    pub html: String,
    /// The label of the control that is marked `c1`, of `c2` and so on.
    pub labels: Vec<String>,
}

/// Replaces every answer by a mark.
pub fn mark(html: &str) -> Marked {
    let mut marked = Marked { html: String::with_capacity(html.len()), labels: Vec::new() };
    let mut rest = html;
    while let Some(at) = rest.find(ANSWER) {
        let (before, after) = (&rest[..at], &rest[at + ANSWER.len()..]);
        marked.html.push_str(before);
        rest = match value_of(after) {
            Some((value, length)) if before.ends_with(|c: char| c.is_ascii_whitespace() || c == '/') => {
                marked.labels.push(value.to_owned());
                let _ = write!(marked.html, "{MARK}=\"c{}\"", marked.labels.len());
                &after[length..]
            }
            // Not an attribute: the word in a text. Left out all the same, since it is told to nobody.
            _ => after,
        };
    }
    marked.html.push_str(rest);
    marked
}

/// An attribute's value after its name, and how much of the text it takes with its `=` and quotes.
fn value_of(after: &str) -> Option<(&str, usize)> {
    let open = after.trim_start().strip_prefix('=')?.trim_start();
    let begun = after.len() - open.len();
    let quoted = |quote: char| {
        let inner = open.strip_prefix(quote)?;
        inner.find(quote).map(|end| (&inner[..end], begun + end + 2))
    };
    quoted('"').or_else(|| quoted('\'')).or_else(|| {
        let end = open.find(|c: char| c.is_ascii_whitespace() || c == '>').unwrap_or(open.len());
        (!open.starts_with(['"', '\''])).then(|| (&open[..end], begun + end))
    })
}

#[cfg(test)]
mod tests {
    use super::{Marked, mark};

    #[test]
    fn an_answer_is_replaced_by_a_mark_however_it_is_written() {
        let check = |html: &str, expect: &str, labels: &[&str]| {
            let labels = labels.iter().map(|&label| label.to_owned()).collect();
            assert_eq!(mark(html), Marked { html: expect.to_owned(), labels }, "{html}");
        };
        check(r#"<input data-manual-scoring="phone" id=a>"#, r#"<input data-control="c1" id=a>"#, &["phone"]);
        check("<input data-manual-scoring='totp'>", r#"<input data-control="c1">"#, &["totp"]);
        check("<input data-manual-scoring = unknown>", r#"<input data-control="c1">"#, &["unknown"]);
        check(
            r#"<a data-manual-scoring="x y"><b data-manual-scoring="z">"#,
            r#"<a data-control="c1"><b data-control="c2">"#,
            &["x y", "z"],
        );
        check("a data-manual-scoring in a text", "a  in a text", &[]);
        check("plain", "plain", &[]);
    }
}
