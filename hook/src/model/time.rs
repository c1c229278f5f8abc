//! Moments and spans as people and machines write them. No clock is asked here.

use super::file::Stamp;

/// A moment as RFC 3339 in UTC, to the second.
pub fn rfc3339(moment: Stamp) -> String {
    let seconds = i64::try_from(moment / 1_000_000_000).unwrap_or(0);
    jiff::Timestamp::from_second(seconds).map(|time| time.to_string()).unwrap_or_default()
}

/// A span for people: two figures at most.
pub fn span(nanos: u128) -> String {
    let seconds = nanos / 1_000_000_000;
    match seconds {
        0 => format!("{} ms", nanos / 1_000_000),
        1..=119 => format!("{seconds} s"),
        120..=7199 => format!("{} min", seconds / 60),
        7200..=172_799 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}
