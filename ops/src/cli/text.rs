//! Foreign text on a terminal: made harmless, measured, cut.
//!
//! Titles, questions and confirmations come from web pages; an escape sequence in them must not reach the terminal.

use unicode_width::UnicodeWidthStr;

/// One line without control characters and without marks that reorder text.
pub fn line(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    for word in text.split(|c: char| c.is_whitespace() || is_unsafe(c)).filter(|word| !word.is_empty()) {
        if !clean.is_empty() {
            clean.push(' ');
        }
        clean.push_str(word);
    }
    clean
}

/// Several lines; line breaks and indentation stay.
pub fn block(text: &str) -> String {
    text.chars().filter(|c| *c == '\n' || !is_unsafe(*c)).collect()
}

fn is_unsafe(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Columns on a terminal.
pub fn width(text: &str) -> usize {
    UnicodeWidthStr::width(text)
}

/// At most so many columns; what was cut ends with `…`.
pub fn cut(text: &str, columns_max: usize) -> String {
    if width(text) <= columns_max {
        return text.to_owned();
    }
    let mut cut = String::new();
    for c in text.chars() {
        cut.push(c);
        if width(&cut) >= columns_max {
            cut.pop();
            break;
        }
    }
    cut.push('…');
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_escape_sequence_reaches_the_terminal() {
        assert_eq!(line("a\x1b[2Jb\r\n\tc\u{202e}d  e "), "a [2Jb c d e");
        assert_eq!(block("a\x1b]0;x\x07\n  b\r"), "a]0;x\n  b");
    }

    #[test]
    fn cutting_counts_columns_and_not_bytes() {
        assert_eq!(cut("Ingénieur", 9), "Ingénieur");
        assert_eq!(cut("Ingénieur", 5), "Ingé…");
        assert_eq!(width("求人"), 4);
        assert_eq!(cut("求人票", 5), "求人…");
        assert_eq!(cut("求人票", 4), "求…");
    }
}
