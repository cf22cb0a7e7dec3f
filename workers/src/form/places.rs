//! Countries, states and dialling codes, by any of the names forms use for them. Pure; the tables are data.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::text::normal;

#[derive(Debug, PartialEq, Eq)]
pub struct Country {
    pub code: &'static str,
    pub code3: &'static str,
    pub dial: &'static str,
    /// The usual name first.
    pub names: Vec<&'static str>,
}

#[derive(Debug, PartialEq, Eq)]
pub struct State {
    pub country: &'static str,
    pub code: &'static str,
    pub name: &'static str,
}

static COUNTRIES: LazyLock<Vec<Country>> = LazyLock::new(|| {
    rows(include_str!("countries.tsv"))
        .filter_map(|row| match row[..] {
            [code, code3, dial, names] => Some(Country { code, code3, dial, names: names.split('|').collect() }),
            _ => None,
        })
        .collect()
});

static STATES: LazyLock<Vec<State>> = LazyLock::new(|| {
    rows(include_str!("states.tsv"))
        .filter_map(|row| match row[..] {
            [country, code, name] => Some(State { country, code, name }),
            _ => None,
        })
        .collect()
});

/// By normalised name; a list of a page has hundreds.
static COUNTRY_NAMES: LazyLock<HashMap<String, usize>> = LazyLock::new(|| {
    let mut names = HashMap::new();
    for (place, country) in COUNTRIES.iter().enumerate() {
        for name in &country.names {
            names.entry(normal(name)).or_insert(place);
        }
    }
    names
});

/// By normalised name, and by code in lower case.
static STATE_NAMES: LazyLock<HashMap<String, usize>> = LazyLock::new(|| {
    let mut names = HashMap::new();
    for (place, state) in STATES.iter().enumerate() {
        names.entry(normal(state.name)).or_insert(place);
        names.entry(state.code.to_lowercase()).or_insert(place);
    }
    names
});

fn rows(table: &'static str) -> impl Iterator<Item = Vec<&'static str>> {
    table.lines().filter(|line| !line.starts_with('#')).map(|line| line.split('\t').collect())
}

/// The country of a name or a code, or of one that explains itself in brackets: "Germany (Deutschland)". A code counts in capitals only, "in"
/// and "me" are words.
pub fn country(text: &str) -> Option<&'static Country> {
    plain_country(text).or_else(|| {
        let (name, explained) = text.trim().strip_suffix(')')?.rsplit_once('(')?;
        // Both must say the same: what is in brackets may as well tell two countries apart ("Guinea (Conakry)").
        plain_country(name).filter(|country| plain_country(explained) == Some(*country))
    })
}

fn plain_country(text: &str) -> Option<&'static Country> {
    let bare = text.trim();
    if matches!(bare.len(), 2 | 3) && bare.chars().all(|c| c.is_ascii_uppercase()) {
        let by_code = COUNTRIES.iter().find(|country| country.code == bare || country.code3 == bare);
        if by_code.is_some() {
            return by_code;
        }
    }
    let wanted = normal(bare);
    if wanted.len() < 2 {
        return None;
    }
    COUNTRY_NAMES.get(&wanted).map(|&place| &COUNTRIES[place])
}

/// Every country a text names, by its names and by the codes forms write in capitals.
pub fn countries_in(text: &str) -> Vec<&'static Country> {
    let padded = format!(" {} ", normal(text));
    let spoken = |name: &&str| normal(name).len() > 2 && padded.contains(&format!(" {} ", normal(name)));
    let capital = |code: &str| {
        text.split(|c: char| !c.is_alphanumeric() && c != '.')
            .any(|word| word.replace('.', "") == code && word.len() > 1)
    };
    COUNTRIES
        .iter()
        .filter(|country| {
            country.names.iter().any(spoken)
                || (matches!(country.code, "US" | "GB" | "CA" | "AE")
                    && (capital(country.code3)
                        || (country.code == "US" && capital("US"))
                        || (country.code == "GB" && capital("UK"))
                        || (country.code == "AE" && capital("UAE"))))
        })
        .collect()
}

pub fn state(text: &str) -> Option<&'static State> {
    let found = STATE_NAMES.get(&normal(text)).or_else(|| STATE_NAMES.get(&text.trim().to_lowercase()));
    found.map(|&place| &STATES[place])
}

/// A state by name or code, in its country where that is known: `WA` is in the United States and in Australia.
pub fn state_in(text: &str, country: Option<&Country>) -> Option<&'static State> {
    let wanted = normal(text);
    STATES.iter().find(|state| {
        (normal(state.name) == wanted || state.code.eq_ignore_ascii_case(text.trim()))
            && country.is_none_or(|country| country.code == state.country)
    })
}

/// The dialling code an option shows: `+44`, `United Kingdom (+44)`, `GB +44`, `0044`.
pub fn dial_code_in(text: &str) -> Option<String> {
    let digits = |rest: &str| {
        rest.trim_start_matches([' ', '('])
            .chars()
            .take_while(|c| c.is_ascii_digit() || matches!(c, ' ' | '-'))
            .filter(char::is_ascii_digit)
            .take(5)
            .collect::<String>()
    };
    let after = |mark: &str| text.find(mark).map(|at| digits(&text[at + mark.len()..]));
    let code = after("+").or_else(|| text.trim().strip_prefix("00").map(digits))?;
    (1..=4).contains(&code.len()).then_some(code)
}

/// Splits an international number into dialling code and the rest, by the longest code there is.
pub fn split_dial(digits: &str) -> Option<(&'static str, &str)> {
    let mut codes: Vec<&'static str> =
        COUNTRIES.iter().map(|country| country.dial).filter(|dial| digits.starts_with(dial)).collect();
    codes.sort_by_key(|dial| std::cmp::Reverse(dial.len()));
    codes.first().map(|dial| (*dial, &digits[dial.len()..]))
}

#[cfg(test)]
mod tests {
    use super::{COUNTRIES, countries_in, country, dial_code_in, split_dial, state_in};

    #[test]
    fn a_country_has_many_names() {
        let check = |text: &str, code: Option<&str>| assert_eq!(country(text).map(|c| c.code), code, "{text}");
        check("United States", Some("US"));
        check("USA", Some("US"));
        check("united states of america", Some("US"));
        check("GB", Some("GB"));
        check("U.K.", Some("GB"));
        check("Deutschland", Some("DE"));
        check("Germany (Deutschland)", Some("DE"));
        check("United States of America (USA)", Some("US"));
        check("Guinea (Equatorial)", None);
        check("in", None);
        check("Select…", None);
        assert!(COUNTRIES.len() > 200);
    }

    #[test]
    fn a_text_tells_its_countries() {
        let check = |text: &str, codes: &[&str]| {
            assert_eq!(countries_in(text).iter().map(|c| c.code).collect::<Vec<_>>(), codes, "{text}");
        };
        check("Are you authorized to work in the United States?", &["US"]);
        check("Are you authorized to work in the US?", &["US"]);
        check("Can you tell us more?", &[]);
        check("Are you authorized to work in the U.S. or Canada?", &["CA", "US"]);
        check("Right to work in the UK", &["GB"]);
    }

    #[test]
    fn dialling_codes_are_read_as_forms_write_them() {
        let check = |text: &str, code: Option<&str>| assert_eq!(dial_code_in(text).as_deref(), code, "{text}");
        check("+44", Some("44"));
        check("United Kingdom (+44)", Some("44"));
        check("US +1", Some("1"));
        check("0049", Some("49"));
        check("United Kingdom", None);
        assert_eq!(split_dial("442079460000"), Some(("44", "2079460000")));
        assert_eq!(split_dial("15550101234"), Some(("1", "5550101234")));
        assert_eq!(split_dial("3581234567"), Some(("358", "1234567")));
    }

    #[test]
    fn a_state_is_found_in_its_country() {
        let us = country("US");
        assert_eq!(state_in("WA", us).map(|s| s.name), Some("Washington"));
        assert_eq!(state_in("wa", country("AU")).map(|s| s.name), Some("Western Australia"));
        assert_eq!(state_in("california", us).map(|s| s.code), Some("CA"));
    }
}
