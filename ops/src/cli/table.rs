//! Aligned columns for people.

use super::style::Style;
use super::text;

/// Columns of one cell; longer text is cut.
const CELL_COLUMNS_MAX: usize = 60;

/// A cell: text from anywhere, and how it is marked.
pub struct Cell {
    text: String,
    mark: fn(Style, &str) -> String,
    right: bool,
}

impl Cell {
    pub fn new(value: impl AsRef<str>) -> Self {
        Self {
            text: text::cut(&text::line(value.as_ref()), CELL_COLUMNS_MAX),
            mark: |_, text| text.to_owned(),
            right: false,
        }
    }

    /// A number, aligned at its end.
    pub fn number(value: &impl ToString) -> Self {
        Self { right: true, ..Self::new(value.to_string()) }
    }

    pub fn marked(value: impl AsRef<str>, mark: fn(Style, &str) -> String) -> Self {
        Self::new(value).mark(mark)
    }

    pub fn mark(self, mark: fn(Style, &str) -> String) -> Self {
        Self { mark, ..self }
    }
}

impl<T: AsRef<str>> From<T> for Cell {
    fn from(value: T) -> Self {
        Self::new(value)
    }
}

/// A head and rows. Columns that are empty in every row are left out.
pub struct Table {
    head: Vec<&'static str>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    pub fn new(head: impl IntoIterator<Item = &'static str>) -> Self {
        Self { head: head.into_iter().collect(), rows: Vec::new() }
    }

    pub fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        self.rows.push(cells.into_iter().collect());
    }

    pub fn render(&self, style: Style) -> String {
        let shown: Vec<(usize, usize)> = (0..self.head.len()).filter_map(|i| Some((i, self.columns(i)?))).collect();
        let mut lines = vec![Vec::new()];
        for (column, columns) in &shown {
            let head = self.head[*column];
            let right = self.rows.iter().any(|row| row.get(*column).is_some_and(|cell| cell.right));
            lines[0].push(pad(head, &style.dim(head), *columns, right));
        }
        for row in &self.rows {
            let cell = |(column, columns): &(usize, usize)| match row.get(*column) {
                Some(cell) => pad(&cell.text, &(cell.mark)(style, &cell.text), *columns, cell.right),
                None => " ".repeat(*columns),
            };
            lines.push(shown.iter().map(cell).collect());
        }
        lines.iter().fold(String::new(), |mut text, line| {
            text.push_str(line.join("  ").trim_end());
            text.push('\n');
            text
        })
    }

    /// The width of a column; none if no row has anything in it.
    fn columns(&self, column: usize) -> Option<usize> {
        let widest = self.rows.iter().filter_map(|row| row.get(column)).map(|cell| text::width(&cell.text)).max()?;
        (widest > 0).then(|| widest.max(text::width(self.head[column])))
    }
}

/// The marked text in its column: marks have no width.
fn pad(plain: &str, marked: &str, columns: usize, right: bool) -> String {
    let space = " ".repeat(columns.saturating_sub(text::width(plain)));
    if right { format!("{space}{marked}") } else { format!("{marked}{space}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new(["NAME", "NOTE", "COUNT", "WHY"]);
        table.row([Cell::marked("ok", Style::status), "".into(), Cell::number(&5), "求人 at\x1b[2J night".into()]);
        table.row([Cell::marked("running", Style::status), "".into(), Cell::number(&12_345), "".into()]);
        table
    }

    #[test]
    fn columns_align_and_empty_ones_are_left_out() {
        let text = table().render(Style { color: false });
        assert_eq!(text, "NAME     COUNT  WHY\nok           5  求人 at [2J night\nrunning  12345\n");
    }

    #[test]
    fn colour_changes_no_column() {
        let text = table().render(Style { color: true });
        assert!(text.contains("\x1b[32mok\x1b[0m           5"), "{text:?}");
        let plain = text.replace("\x1b[32m", "").replace("\x1b[36m", "").replace("\x1b[2m", "").replace("\x1b[0m", "");
        assert_eq!(plain, table().render(Style { color: false }));
    }
}
