//! The ways forms want a phone number written. Pure.

use super::places::{self, Country};

/// Most likely first. `apart` when the country's code has a field of its own.
pub fn ways_to_write(phone: &str, country: Option<&Country>, apart: bool) -> Vec<String> {
    let digits: String = phone.chars().filter(char::is_ascii_digit).collect();
    let (dial, national) = split(phone, &digits, country);
    let mut ways = Vec::new();
    let mut add = |way: String| {
        if !way.is_empty() && !ways.contains(&way) {
            ways.push(way);
        }
    };
    if !apart {
        add(phone.trim().to_owned());
    }
    if let Some(dial) = dial.filter(|_| !apart) {
        add(format!("+{dial}{national}"));
    }
    add(national.clone());
    if let [a, b, c, d, e, f, rest @ ..] = national.as_bytes()
        && rest.len() == 4
        && dial.is_none_or(|dial| dial == "1")
    {
        let part = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        add(format!("{}-{}-{}", part(&[*a, *b, *c]), part(&[*d, *e, *f]), part(rest)));
        add(format!("({}) {}-{}", part(&[*a, *b, *c]), part(&[*d, *e, *f]), part(rest)));
    }
    ways
}

/// The country's code of a number, by its own `+`, else by the applicant's country.
pub fn dial_code<'a>(phone: &str, country: Option<&'a Country>) -> Option<&'a str> {
    let digits: String = phone.chars().filter(char::is_ascii_digit).collect();
    split(phone, &digits, country).0
}

fn split<'a>(phone: &str, digits: &str, country: Option<&'a Country>) -> (Option<&'a str>, String) {
    let own = country.map(|country| country.dial);
    if phone.trim_start().starts_with('+') || digits.starts_with("00") {
        let digits = digits.strip_prefix("00").unwrap_or(digits);
        if let Some(rest) = own.and_then(|dial| digits.strip_prefix(dial)) {
            return (own, rest.to_owned());
        }
        return places::split_dial(digits)
            .map_or((None, digits.to_owned()), |(dial, rest)| (Some(dial), rest.to_owned()));
    }
    // "1 555 010 1234": the code without its plus.
    if own == Some("1") && digits.len() == 11 && digits.starts_with('1') {
        return (own, digits[1..].to_owned());
    }
    (own, digits.to_owned())
}

#[cfg(test)]
mod tests {
    use super::{dial_code, ways_to_write};
    use crate::form::places::country;

    #[test]
    fn a_number_loses_its_code_where_the_code_has_a_field() {
        let check = |phone: &str, land: &str, apart: bool, first: &str| {
            assert_eq!(ways_to_write(phone, country(land), apart)[0], first, "{phone} {land} {apart}");
        };
        check("+1 (555) 010-1234", "US", true, "5550101234");
        check("+1 (555) 010-1234", "US", false, "+1 (555) 010-1234");
        check("555-010-1234", "US", true, "5550101234");
        check("+44 20 7946 0000", "US", true, "2079460000");
        check("1 555 010 1234", "US", true, "5550101234");
        assert_eq!(dial_code("+44 20 7946 0000", country("US")), Some("44"));
        assert_eq!(dial_code("555 010 1234", country("US")), Some("1"));
        assert_eq!(dial_code("555 010 1234", None), None);
    }
}
