//! Amounts of money, which the API has in millionths of a US dollar.

const MICROS: u64 = 1_000_000;
/// Digits behind the point.
const DIGITS: usize = 6;

/// `$2.50`; more digits only where there are any.
pub fn show(micros: u64) -> String {
    let fraction = format!("{:06}", micros % MICROS);
    let kept = fraction.trim_end_matches('0').len().max(2);
    format!("${}.{}", micros / MICROS, &fraction[..kept])
}

/// `2.5`, `$2.50`.
pub fn read(text: &str) -> Result<u64, String> {
    let bad =
        || format!("`{text}` is no amount: use US dollars such as 2.50, with at most {DIGITS} digits behind the point");
    let (whole, fraction) = text.strip_prefix('$').unwrap_or(text).split_once('.').unwrap_or((text, ""));
    let whole = whole.strip_prefix('$').unwrap_or(whole);
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || fraction.len() > DIGITS || !digits(whole) || !digits(fraction) {
        return Err(bad());
    }
    let fraction: u64 = format!("{fraction:0<6}").parse().map_err(|_| bad())?;
    let whole: u64 = whole.parse().map_err(|_| bad())?;
    whole.checked_mul(MICROS).and_then(|micros| micros.checked_add(fraction)).ok_or_else(bad)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_and_shown_exactly() {
        for (text, micros, shown) in [
            ("2.5", 2_500_000, "$2.50"),
            ("$2.50", 2_500_000, "$2.50"),
            ("$3", 3_000_000, "$3.00"),
            ("0", 0, "$0.00"),
            ("0.000001", 1, "$0.000001"),
            ("18446744073709.551615", u64::MAX, "$18446744073709.551615"),
        ] {
            assert_eq!(read(text), Ok(micros), "{text}");
            assert_eq!(show(micros), shown);
        }
    }

    #[test]
    fn what_is_no_amount_is_refused() {
        for text in ["", "$", ".5", "-1", "1,5", "1.0000001", "1e3", "99999999999999", "1.-5", "$$1"] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
