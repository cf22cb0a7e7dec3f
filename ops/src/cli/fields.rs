//! Names and values below each other.

use super::style::Style;
use super::text;

/// Names on the left, values on the right.
pub struct Fields {
    style: Style,
    rows: Vec<(&'static str, String)>,
}

impl Fields {
    pub fn new(style: Style) -> Self {
        Self { style, rows: Vec::new() }
    }

    /// Text from anywhere.
    pub fn text(&mut self, name: &'static str, value: &str) {
        self.rows.push((name, text::line(value)));
    }

    /// Text of our own that is marked already.
    pub fn marked(&mut self, name: &'static str, value: &str) {
        self.rows.push((name, value.to_owned()));
    }

    pub fn render(&self) -> String {
        let columns = self.rows.iter().map(|(name, _)| text::width(name)).max().unwrap_or_default();
        let line = |(name, value): &(&str, String)| {
            let space = " ".repeat(columns - text::width(name));
            format!("{}{space}  {value}\n", self.style.dim(name))
        };
        self.rows.iter().map(line).collect()
    }
}
