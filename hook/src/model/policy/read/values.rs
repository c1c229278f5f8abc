//! Single values and lists of them: patterns, words, actions, durations, numbers.

use super::Reader;
use crate::model::policy::duration;
use crate::model::policy::matching::MatchKey;
use crate::model::policy::node::{Node, Place, Problem, Value};
use crate::model::policy::pattern::{NamePattern, PathPattern, PatternError};
use crate::model::text::escape;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// Bounds of `deadline`: a D-Bus call needs some milliseconds, an upgrade must end the same day.
pub(super) const DEADLINE_BOUNDS: RangeInclusive<Duration> =
    Duration::from_millis(100)..=Duration::from_secs(24 * 3600);

impl Reader<'_> {
    /// One value or a list of values; `None` where one of them could not be read.
    pub(super) fn one_or_list<T>(
        &mut self,
        node: &Node,
        mut read: impl FnMut(&mut Self, &Node) -> Option<T>,
    ) -> Option<Vec<T>> {
        let nodes = match &node.value {
            Value::List(nodes) if nodes.is_empty() => {
                self.problem(
                    Problem::at(node.place, "an empty list matches nothing")
                        .hint("leave the key out, or say what to match"),
                );
                return None;
            }
            Value::List(nodes) => nodes.as_slice(),
            _ => std::slice::from_ref(node),
        };
        // All are read, so that each problem is told.
        let values: Vec<_> = nodes.iter().map(|node| read(self, node)).collect();
        values.into_iter().collect()
    }

    pub(super) fn names(&mut self, key: MatchKey, node: &Node) -> Option<Vec<NamePattern>> {
        self.one_or_list(node, |reader, node| match &node.value {
            Value::Text(text) => reader.pattern(node, NamePattern::new(text)),
            Value::Number(number) if key == MatchKey::User => reader.pattern(node, NamePattern::new(number)),
            Value::Number(_) | Value::Bool(_) => {
                reader.problem(node.unexpected("a pattern").hint("put it in quotes"));
                None
            }
            Value::Null | Value::List(_) | Value::Map(_) => {
                reader.problem(node.unexpected("a pattern"));
                None
            }
        })
    }

    pub(super) fn paths(&mut self, node: &Node) -> Option<Vec<PathPattern>> {
        self.one_or_list(node, |reader, node| match &node.value {
            Value::Text(text) => reader.pattern(node, PathPattern::new(text)),
            _ => {
                reader.problem(node.unexpected("a pattern on paths"));
                None
            }
        })
    }

    fn pattern<T>(&mut self, node: &Node, pattern: Result<T, PatternError>) -> Option<T> {
        match pattern {
            Ok(pattern) => Some(pattern),
            Err(error) => {
                let problem = Problem::at(node.place, format!("not a pattern: {error}"));
                self.problem(match error {
                    PatternError::Relative => {
                        problem.hint("begin with / or **/, or leave out every / to match file names")
                    }
                    PatternError::Empty | PatternError::TooLong | PatternError::Syntax(_) => problem,
                });
                None
            }
        }
    }

    pub(super) fn kinds<T: Words>(&mut self, key: MatchKey, node: &Node) -> Option<Vec<T>> {
        self.one_or_list(node, |reader, node| reader.word(node, key.word(), T::ALL))
    }

    pub(super) fn word<T: FromStr>(&mut self, node: &Node, what: &str, words: &[&str]) -> Option<T> {
        let Value::Text(text) = &node.value else {
            self.problem(node.unexpected("a word").hint(one_of("", words)));
            return None;
        };
        match text.parse() {
            Ok(word) => Some(word),
            Err(_) => {
                self.problem(unknown(what, node.place, text, words));
                None
            }
        }
    }

    pub(super) fn absolute(&mut self, node: &Node) -> Option<PathBuf> {
        match &node.value {
            Value::Text(text) if text.starts_with('/') && !text.ends_with('/') => return Some(PathBuf::from(text)),
            _ => self.problem(node.unexpected("the absolute path of a file")),
        }
        None
    }

    pub(super) fn truth(&mut self, node: &Node) -> Option<bool> {
        if let Value::Bool(truth) = node.value {
            return Some(truth);
        }
        self.problem(node.unexpected("true or false").hint("write true or false"));
        None
    }

    pub(super) fn number(&mut self, node: &Node, bounds: &RangeInclusive<usize>) -> Option<usize> {
        let problem = match &node.value {
            Value::Number(text) => match text.parse() {
                Ok(number) if bounds.contains(&number) => return Some(number),
                _ => Problem::at(node.place, format!("{text} is out of bounds")),
            },
            _ => node.unexpected("a number"),
        };
        self.problem(problem.hint(format!("from {} to {}", bounds.start(), bounds.end())));
        None
    }

    pub(super) fn duration(&mut self, node: &Node, bounds: &RangeInclusive<Duration>) -> Option<Duration> {
        const FORMS: &str = "a number and a unit: 500ms, 5s, 2m, 1h";
        let problem = match &node.value {
            Value::Text(text) => match duration::parse(text) {
                Some(duration) if bounds.contains(&duration) => return Some(duration),
                Some(_) => Problem::at(node.place, format!("{text} is out of bounds")).hint(format!(
                    "from {} to {}",
                    duration::print(*bounds.start()),
                    duration::print(*bounds.end())
                )),
                None => {
                    let printed = escape(text.as_bytes());
                    Problem::at(node.place, format!("not a duration: \"{printed}\"")).hint(FORMS)
                }
            },
            Value::Number(number) => Problem::at(node.place, format!("{number} has no unit")).hint(FORMS),
            _ => node.unexpected("a duration").hint(FORMS),
        };
        self.problem(problem);
        None
    }
}

/// Enums of fixed words that a `match` key may take.
pub(super) trait Words: FromStr {
    const ALL: &'static [&'static str];
}

macro_rules! takes_words {
    ($($name:path),+) => { $(impl Words for $name { const ALL: &'static [&'static str] = <$name>::WORDS; })+ };
}
takes_words!(
    crate::model::owner::OwnerKind,
    crate::model::verdict::CauseKind,
    crate::model::verdict::Method,
    crate::model::verdict::Verdict
);

pub(super) fn one_of(what: &str, words: &[&str]) -> String {
    let separator = if what.is_empty() { "" } else { ": " };
    format!("{what}{separator}one of: {}", words.join(", "))
}

/// Characters of an unknown word that are printed: it may be a megabyte.
const SHOWN_CHARS: usize = 40;

pub(super) fn unknown(what: &str, place: Place, word: &str, words: &[&str]) -> Problem {
    let mut printed = escape(word.as_bytes());
    if printed.chars().count() > SHOWN_CHARS {
        printed = printed.chars().take(SHOWN_CHARS).chain(['…']).collect();
    }
    Problem::at(place, format!("unknown {what} \"{printed}\"")).hint(one_of("", words))
}
