//! Windows: spans of the week in which a rule may act, in a time zone and with its summer time.

use crate::model::file::Stamp;
use crate::model::verdict::words;
use jiff::civil::{Date, Time, Weekday};
use jiff::tz::TimeZone;
use jiff::Timestamp;

words! {
    /// The days of the week.
    Day {
        /// Monday.
        Mon = "mon",
        /// Tuesday.
        Tue = "tue",
        /// Wednesday.
        Wed = "wed",
        /// Thursday.
        Thu = "thu",
        /// Friday.
        Fri = "fri",
        /// Saturday.
        Sat = "sat",
        /// Sunday.
        Sun = "sun",
    }
}

impl Day {
    const ALL: [Day; 7] = [Day::Mon, Day::Tue, Day::Wed, Day::Thu, Day::Fri, Day::Sat, Day::Sun];

    /// The days from this to that one, over the end of the week where it comes first.
    pub fn up_to(self, last: Day) -> Vec<Day> {
        let first = self as usize;
        let count = (last as usize + 7 - first) % 7 + 1;
        (0..count).map(|step| Day::ALL[(first + step) % 7]).collect()
    }

    fn is(self, weekday: Weekday) -> bool {
        weekday.to_monday_zero_offset() as usize == self as usize
    }
}

/// A span of some days of the week. It belongs to the day that it begins on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    /// The days that it begins on.
    pub days: Vec<Day>,
    /// When it begins.
    pub from: Time,
    /// When it ends: on the next day where that is not later than `from`.
    pub to: Time,
    /// The time zone as it was written; `None`: the machine's.
    pub timezone: Option<String>,
    /// The time zone's rules.
    pub zone: TimeZone,
}

/// Days that are looked ahead: a week, and one more for a day that a zone leaves out.
const AHEAD: i64 = 9;

impl Window {
    /// The span that begins on this day. In the hour that is left out in spring a moment is moved by
    /// that hour, but a window keeps its length; of an hour that comes twice the first one counts.
    fn on(&self, date: Date) -> Option<(Timestamp, Timestamp)> {
        if !self.days.iter().any(|day| day.is(date.weekday())) {
            return None;
        }
        let last = if self.to > self.from { date } else { date.tomorrow().ok()? };
        let moment = |date: Date, time: Time| {
            Some(self.zone.to_ambiguous_zoned(date.to_datetime(time)).compatible().ok()?.timestamp())
        };
        let (start, end) = (moment(date, self.from)?, moment(last, self.to)?);
        let length = last.to_datetime(self.to).duration_since(date.to_datetime(self.from));
        Some((start, if end > start { end } else { start.checked_add(length).ok()? }))
    }

    fn spans(&self, now: Stamp) -> Option<(Timestamp, Vec<(Timestamp, Timestamp)>)> {
        let now = Timestamp::from_nanosecond(now).ok()?;
        let today = self.zone.to_datetime(now).date();
        let days = (-1..AHEAD).filter_map(|ahead| today.checked_add(jiff::Span::new().days(ahead)).ok());
        Some((now, days.filter_map(|date| self.on(date)).collect()))
    }

    /// Whether it is open at this moment.
    pub fn contains(&self, now: Stamp) -> bool {
        self.spans(now).is_some_and(|(now, spans)| spans.iter().any(|(start, end)| *start <= now && now < *end))
    }

    /// When it opens next.
    pub fn opens_after(&self, now: Stamp) -> Option<Stamp> {
        let (now, spans) = self.spans(now)?;
        spans.iter().map(|(start, _)| *start).filter(|start| *start > now).min().map(Timestamp::as_nanosecond)
    }

    /// A moment in its time zone, to the minute, for people.
    pub fn words(&self, moment: Stamp) -> String {
        let Ok(moment) = Timestamp::from_nanosecond(moment) else { return String::new() };
        moment.to_zoned(self.zone.clone()).strftime("%a %Y-%m-%d %H:%M %Z").to_string()
    }
}

/// Reads `HH:MM`, and `24:00` for the end of a day.
pub fn time_of_day(text: &str) -> Option<Time> {
    let (hours, minutes) = text.split_once(':')?;
    if hours.len() != 2 || minutes.len() != 2 || !text.bytes().all(|byte| byte.is_ascii_digit() || byte == b':') {
        return None;
    }
    if text == "24:00" {
        return Some(Time::midnight());
    }
    Time::new(hours.parse().ok()?, minutes.parse().ok()?, 0, 0).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(days: &[Day], from: &str, to: &str) -> Window {
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        let (from, to) = (time_of_day(from).unwrap(), time_of_day(to).unwrap());
        Window { days: days.to_vec(), from, to, timezone: Some("Europe/Berlin".into()), zone }
    }

    fn stamp(text: &str) -> Stamp {
        text.parse::<Timestamp>().unwrap().as_nanosecond()
    }

    #[test]
    fn a_window_is_open_on_its_days_in_its_zone() {
        let nights = window(&Day::Mon.up_to(Day::Fri), "02:00", "05:00");
        let late = window(&[Day::Sat], "22:00", "03:00");
        for (window, moment, open) in [
            // Friday 2026-11-27, winter: one hour before UTC.
            (&nights, "2026-11-27T00:59:59Z", false),
            (&nights, "2026-11-27T01:00:00Z", true),
            (&nights, "2026-11-27T03:59:59Z", true),
            (&nights, "2026-11-27T04:00:00Z", false),
            (&nights, "2026-11-28T02:00:00Z", false),
            // In summer it is two.
            (&nights, "2026-07-03T00:00:00Z", true),
            (&nights, "2026-07-03T03:00:00Z", false),
            // Over midnight: it belongs to Saturday.
            (&late, "2026-11-28T21:00:00Z", true),
            (&late, "2026-11-29T01:59:59Z", true),
            (&late, "2026-11-29T02:00:00Z", false),
            (&late, "2026-11-28T01:00:00Z", false),
        ] {
            assert_eq!(window.contains(stamp(moment)), open, "{moment}");
        }
        assert_eq!(nights.opens_after(stamp("2026-11-27T02:00:00Z")), Some(stamp("2026-11-30T01:00:00Z")));
        assert_eq!(nights.words(stamp("2026-11-30T01:00:00Z")), "Mon 2026-11-30 02:00 CET");
    }

    #[test]
    fn the_hour_that_is_left_out_and_the_one_that_comes_twice() {
        let every_day = Day::Mon.up_to(Day::Sun);
        // 2026-03-29: 02:00 becomes 03:00 at 01:00 UTC; 2026-10-25: 03:00 becomes 02:00 at 01:00 UTC.
        for (from, to, start, end) in [
            ("02:00", "03:00", "2026-03-29T01:00:00Z", "2026-03-29T02:00:00Z"),
            ("02:30", "02:45", "2026-03-29T01:30:00Z", "2026-03-29T01:45:00Z"),
            ("01:00", "04:00", "2026-03-29T00:00:00Z", "2026-03-29T02:00:00Z"),
            ("02:00", "03:00", "2026-10-25T00:00:00Z", "2026-10-25T02:00:00Z"),
            ("02:30", "03:30", "2026-10-25T00:30:00Z", "2026-10-25T02:30:00Z"),
            ("00:00", "24:00", "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"),
        ] {
            let window = window(&every_day, from, to);
            let (start, end) = (stamp(start), stamp(end));
            let date = window.zone.to_datetime(Timestamp::from_nanosecond(start).unwrap()).date();
            let (first, last) = window.on(date).unwrap();
            assert_eq!((first.as_nanosecond(), last.as_nanosecond()), (start, end), "{from} to {to}");
        }
    }

    #[test]
    fn days_and_times_are_read_strictly() {
        assert_eq!(Day::Fri.up_to(Day::Mon), [Day::Fri, Day::Sat, Day::Sun, Day::Mon]);
        assert_eq!(Day::Wed.up_to(Day::Wed), [Day::Wed]);
        for (text, valid) in
            [("02:00", true), ("24:00", true), ("24:01", false), ("2:00", false), ("02:60", false), ("+2:00", false)]
        {
            assert_eq!(time_of_day(text).is_some(), valid, "{text}");
        }
    }
}
