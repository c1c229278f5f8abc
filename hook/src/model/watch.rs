//! When the update service looks: by the clock, with chance in it, and when somebody asks, but never more
//! often than the admin allows.

use super::verdict::words;
use std::time::Duration;

/// The word that our own program is called with when the update service takes note of the files in use: in a
/// process of its own, so that what a look takes is given back.
pub const NOTE: &str = "__note";

/// How often it looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Time between two looks when nobody asks.
    pub every: Duration,
    /// How much of chance may be added to that: the machines of a fleet do not all come at once.
    pub jitter: Duration,
    /// Least time between two looks, however often somebody asks.
    pub gap: Duration,
}

/// When the next look is due. Times are those since the start, by a clock that nobody sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Agenda {
    pace: Pace,
    last: Option<Duration>,
    next: Duration,
    asked: bool,
}

impl Agenda {
    /// The first look comes with only the chance's delay; `chance` is from 0 to 1.
    pub fn new(pace: Pace, chance: f64) -> Agenda {
        Agenda { pace, last: None, next: pace.jitter.mul_f64(chance.clamp(0.0, 1.0)), asked: false }
    }

    /// Somebody wants a look.
    pub fn ask(&mut self) {
        self.asked = true;
    }

    /// Whether a look is wanted already: further wishes change nothing, and need not be read.
    pub fn is_asked(&self) -> bool {
        self.asked
    }

    /// How long to wait for the next look; zero: now.
    pub fn wait(&self, now: Duration) -> Duration {
        let allowed = self.last.map_or(Duration::ZERO, |last| last + self.pace.gap);
        let due = if self.asked { allowed } else { self.next.max(allowed) };
        due.saturating_sub(now)
    }

    /// A look was begun at this time.
    pub fn looked(&mut self, now: Duration, chance: f64) {
        self.last = Some(now);
        self.asked = false;
        self.next = now + self.pace.every + self.pace.jitter.mul_f64(chance.clamp(0.0, 1.0));
    }
}

words! {
    /// What the end of a source's check says.
    Answer {
        /// There is something to install.
        Yes = "yes",
        /// Nothing new.
        No = "no",
        /// Not now; the next look tries again (75 is EX_TEMPFAIL of sysexits.h).
        Later = "later",
        /// It did not work.
        Failed = "failed",
    }
}

impl Answer {
    /// By the exit code.
    pub fn of(code: i32) -> Answer {
        match code {
            0 => Answer::Yes,
            1 => Answer::No,
            75 => Answer::Later,
            _ => Answer::Failed,
        }
    }
}

/// Whether a folder's name can be that of a source: it stands in logs and in commands.
pub fn is_source_name(name: &str) -> bool {
    let first = name.starts_with(|first: char| first.is_ascii_alphanumeric());
    first && name.len() <= 64 && name.chars().all(|c| c.is_ascii_alphanumeric() || ['-', '_', '.'].contains(&c))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACE: Pace =
        Pace { every: Duration::from_secs(3600), jitter: Duration::from_secs(600), gap: Duration::from_secs(60) };

    fn seconds(number: u64) -> Duration {
        Duration::from_secs(number)
    }

    #[test]
    fn a_wish_brings_a_look_at_once_but_never_within_the_gap() {
        let mut agenda = Agenda::new(PACE, 0.5);
        assert_eq!(agenda.wait(seconds(0)), seconds(300));
        agenda.ask();
        assert_eq!(agenda.wait(seconds(1)), seconds(0));
        agenda.looked(seconds(1), 0.5);
        assert_eq!(agenda.wait(seconds(1)), seconds(3900));
        // A million of them are one.
        for _ in 0..1_000_000 {
            agenda.ask();
        }
        assert_eq!(agenda.wait(seconds(2)), seconds(59));
        assert_eq!(agenda.wait(seconds(61)), seconds(0));
        agenda.looked(seconds(61), 0.0);
        assert_eq!((agenda.is_asked(), agenda.wait(seconds(61))), (false, seconds(3600)));
    }

    #[test]
    fn exit_codes_are_those_that_are_documented() {
        let answers = [0, 1, 75, 2, 127].map(Answer::of);
        assert_eq!(answers, [Answer::Yes, Answer::No, Answer::Later, Answer::Failed, Answer::Failed]);
    }

    #[test]
    fn names_of_sources_are_plain() {
        let names = ["apt", "10-apt", "a.b_c", "", ".git", "-x", "a b", "a/b", "\u{e9}"];
        let expected = [true, true, true, false, false, false, false, false, false];
        assert_eq!(names.map(is_source_name), expected);
    }
}
