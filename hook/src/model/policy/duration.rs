//! Durations as the admin writes them: `500ms`, `5s`, `2m`, `1h`.

use std::time::Duration;

/// Unit and its milliseconds, the largest first.
const UNITS: &[(&str, u64)] = &[("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

/// More digits than any accepted value has; keeps the arithmetic far from overflow.
const MAX_DIGITS: usize = 9;

/// Reads one number and one unit, nothing around them.
pub fn parse(text: &str) -> Option<Duration> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    if digits == 0 || digits > MAX_DIGITS {
        return None;
    }
    let (number, unit) = text.split_at(digits);
    let (_, millis) = UNITS.iter().find(|(word, _)| *word == unit)?;
    Some(Duration::from_millis(number.parse::<u64>().ok()? * millis))
}

/// The shortest form that reads back; parts of a millisecond are dropped.
pub fn print(duration: Duration) -> String {
    let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    if millis == 0 {
        return "0s".to_owned();
    }
    let (unit, size) = UNITS.iter().find(|(_, size)| millis % size == 0).unwrap_or(&("ms", 1));
    format!("{}{unit}", millis / size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_one_number_and_one_unit() {
        for (text, millis) in [
            ("500ms", Some(500)),
            ("0s", Some(0)),
            ("5s", Some(5000)),
            ("2m", Some(120_000)),
            ("1h", Some(3_600_000)),
            ("999999999h", Some(999_999_999 * 3_600_000)),
            ("9999999999h", None),
            ("5", None),
            ("s", None),
            ("", None),
            ("-5s", None),
            ("+5s", None),
            ("1.5s", None),
            ("5 s", None),
            ("5S", None),
            ("1h30m", None),
            ("5d", None),
            ("٥s", None),
        ] {
            assert_eq!(parse(text), millis.map(Duration::from_millis), "{text}");
        }
    }

    #[test]
    fn a_printed_duration_reads_back() {
        for text in ["500ms", "1500ms", "0s", "5s", "90s", "2m", "1h", "36h"] {
            assert_eq!(parse(text).map(print).as_deref(), Some(text));
        }
    }
}
