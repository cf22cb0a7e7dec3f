//! Words of labels and names, made comparable. Pure.

/// Lower-case words of a text: letters and digits of any script; `'` is dropped inside a word ("I'm" is "im").
pub fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    for c in text.chars() {
        if c.is_alphanumeric() || is_mark(c) {
            word.extend(c.to_lowercase().filter(|c| !is_mark(*c)).map(without_accent));
        } else if !matches!(c, '\'' | '\u{2019}' | '\u{ad}') && !word.is_empty() {
            words.push(std::mem::take(&mut word));
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

/// The Latin letter below an accent, so that "résumé" and "resume" are one word.
fn without_accent(c: char) -> char {
    match c {
        'à'..='å' | 'ā' | 'ă' | 'ą' => 'a',
        'ç' | 'ć' | 'č' => 'c',
        'ď' => 'd',
        'è'..='ë' | 'ē' | 'ę' | 'ě' => 'e',
        'ğ' => 'g',
        'ì'..='ï' | 'ı' => 'i',
        'ł' => 'l',
        'ñ' | 'ń' | 'ň' => 'n',
        'ò'..='ö' | 'ø' | 'ő' => 'o',
        'ř' => 'r',
        'ś' | 'š' | 'ş' => 's',
        'ť' => 't',
        'ù'..='ü' | 'ů' | 'ű' => 'u',
        'ý' | 'ÿ' => 'y',
        'ź' | 'ż' | 'ž' => 'z',
        c => c,
    }
}

/// Combining accents are part of a word and do not count.
fn is_mark(c: char) -> bool {
    ('\u{300}'..='\u{36f}').contains(&c)
}

/// Words of an identifier: `firstName`, `first_name`, `address[line1]` and `ctl00$txtCity` are split where their writers split them.
pub fn name_words(name: &str) -> Vec<String> {
    let mut spaced = String::with_capacity(name.len() + 8);
    let mut last = ' ';
    let mut characters = name.chars().peekable();
    while let Some(c) = characters.next() {
        let starts_word = (c.is_uppercase()
            && (last.is_lowercase()
                || (last.is_uppercase() && characters.peek().is_some_and(|next| next.is_lowercase()))))
            || (c.is_ascii_digit() && last.is_alphabetic())
            || (c.is_alphabetic() && last.is_ascii_digit());
        if starts_word {
            spaced.push(' ');
        }
        spaced.push(c);
        last = c;
    }
    words(&spaced)
}

/// The text's words with single spaces.
pub fn normal(text: &str) -> String {
    words(text).join(" ")
}

/// Something to look for in a text's words. `a b` stands together, `a + b` both somewhere, `au*` begins a word.
#[derive(Clone, Debug)]
pub struct Phrase {
    parts: Vec<Vec<String>>,
    /// Words in all parts together.
    pub length: usize,
}

impl Phrase {
    pub fn parse(text: &str) -> Self {
        let keep = |word: &str| {
            let star = word.ends_with('*');
            let mut plain = words(word).concat();
            if star {
                plain.push('*');
            }
            plain
        };
        let parts: Vec<Vec<String>> =
            text.split(" + ").map(|part| part.split_whitespace().map(keep).collect()).collect();
        let length = parts.iter().map(Vec::len).sum();
        Self { parts, length }
    }

    pub fn is_in(&self, words: &[String]) -> bool {
        self.parts.iter().all(|part| {
            words.windows(part.len()).any(|window| window.iter().zip(part).all(|(word, pattern)| fits(word, pattern)))
        })
    }

    /// Marks the words that belong to it.
    pub fn cover(&self, words: &[String], covered: &mut [bool]) {
        if !self.is_in(words) {
            return;
        }
        for part in &self.parts {
            for (at, window) in words.windows(part.len()).enumerate() {
                if window.iter().zip(part).all(|(word, pattern)| fits(word, pattern)) {
                    covered[at..at + part.len()].fill(true);
                }
            }
        }
    }

    pub fn is_whole(&self, words: &[String]) -> bool {
        self.parts.len() == 1 && words.len() == self.length && self.is_in(words)
    }

    /// Whether an identifier without separators contains it (`txtfirstname`); only for phrases long enough not to be an accident.
    pub fn is_inside(&self, joined: &str) -> bool {
        self.is_inside_from(joined, 7)
    }

    /// The same from another number of letters on.
    pub fn is_inside_from(&self, joined: &str, letters: usize) -> bool {
        let bare: String = self.parts.concat().concat();
        self.parts.len() == 1 && bare.len() >= letters && !bare.contains('*') && joined.contains(&bare)
    }
}

fn fits(word: &str, pattern: &str) -> bool {
    pattern.strip_suffix('*').map_or_else(|| word == pattern, |start| word.starts_with(start))
}

/// The longest of the phrases that is in the words, in words.
pub fn longest(phrases: &[Phrase], words: &[String]) -> Option<usize> {
    phrases.iter().filter(|phrase| phrase.is_in(words)).map(|phrase| phrase.length).max()
}

pub fn any(phrases: &[Phrase], words: &[String]) -> bool {
    phrases.iter().any(|phrase| phrase.is_in(words))
}

#[cfg(test)]
mod tests {
    use super::{Phrase, name_words, words};

    #[test]
    fn identifiers_are_split_where_their_writers_split_them() {
        let check = |name: &str, expect: &str| assert_eq!(name_words(name).join(" "), expect, "{name}");
        check("firstName", "first name");
        check("first_name", "first name");
        check("ctl00$txtCity", "ctl 00 txt city");
        check("addressLine1", "address line 1");
        check("URLField", "url field");
        check("job[applicant][email]", "job applicant email");
    }

    #[test]
    fn a_phrase_is_found_as_it_says() {
        let check = |phrase: &str, text: &str, expect: bool| {
            assert_eq!(Phrase::parse(phrase).is_in(&words(text)), expect, "{phrase} in {text}");
        };
        check("first name", "Your first name *", true);
        check("first name", "name first", false);
        check("authori* + work", "Are you authorised to work here?", true);
        check("authori* + work", "Are you authorised?", false);
        check("i agree", "I'd agree", false);
        check("resume", "Résumé", true);
        check("résumé", "Resume", true);
    }
}
