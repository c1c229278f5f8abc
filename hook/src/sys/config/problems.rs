//! How a broken policy is told: file, line, column, the line itself, and what would be right.

use crate::model::policy::{Place, Problem};
use crate::model::text::escape_path;
use std::fmt;
use std::path::{Path, PathBuf};

/// One problem of one file.
///
/// ```text
/// /etc/reexec/policy.d/20-web.yaml:12:11: unknown action "reboot"
///    |
/// 12 |   action: reboot
///    |           ^^^^^^ one of: ignore, report, reload, restart, reexec-manager, reboot-hint
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// The file, or the folder that could not be read.
    pub file: PathBuf,
    /// What is wrong, and where.
    pub problem: Problem,
    /// The line that it is on.
    excerpt: Option<Excerpt>,
}

/// A part of a line, and what to underline in it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Excerpt {
    text: String,
    /// Characters before the underlined ones.
    before: usize,
    width: usize,
}

/// Columns of a line that are shown: a line of a hostile file may be a megabyte.
const SHOWN: usize = 100;

/// Columns shown before the underlined ones when the line is cut.
const SHOWN_BEFORE: usize = 40;

impl Excerpt {
    fn cut(line: &str, place: Place) -> Excerpt {
        let at = place.column.saturating_sub(1);
        let skipped = if at < SHOWN { 0 } else { at - SHOWN_BEFORE };
        // One column each, or the underline would slip.
        let plain = |c: char| if c.is_control() { ' ' } else { c };
        let text: String = line.chars().skip(skipped).take(SHOWN).map(plain).collect();
        let before = at - skipped;
        let room = text.chars().count().saturating_sub(before).max(1);
        Excerpt { text: text.trim_end().to_owned(), before, width: place.width.min(room) }
    }
}

impl ConfigError {
    /// A problem at its place in the file's text.
    pub(super) fn in_text(file: &Path, text: &str, problem: Problem) -> ConfigError {
        let excerpt = problem.place.and_then(|place| {
            let line = text.split('\n').nth(place.line.checked_sub(1)?)?;
            Some(Excerpt::cut(line, place))
        });
        ConfigError { file: file.to_owned(), problem, excerpt }
    }

    /// A problem of the whole file.
    pub(super) fn of_file(file: &Path, message: impl Into<String>) -> ConfigError {
        ConfigError { file: file.to_owned(), problem: Problem::of_file(message), excerpt: None }
    }

    /// The problem on one line, for a journal or a summary.
    pub fn headline(&self) -> String {
        let file = escape_path(&self.file);
        let message = &self.problem.message;
        match self.problem.place {
            Some(Place { line, column, .. }) => format!("{file}:{line}:{column}: {message}"),
            None => format!("{file}: {message}"),
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.headline())?;
        let hint = self.problem.hint.as_deref().unwrap_or_default();
        let (Some(excerpt), Some(place)) = (&self.excerpt, self.problem.place) else {
            return if hint.is_empty() { Ok(()) } else { write!(f, " ({hint})") };
        };
        let line = place.line.to_string();
        let margin = line.len();
        let carets = "^".repeat(excerpt.width);
        let underline = format!("{}{carets} {hint}", " ".repeat(excerpt.before));
        write!(f, "\n{:margin$} |\n{line} | {}\n{:margin$} | {}", "", excerpt.text, "", underline.trim_end())
    }
}

impl std::error::Error for ConfigError {}

/// Every problem of every file; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors(pub(super) Vec<ConfigError>);

impl ConfigErrors {
    /// The problems, in the order of the files.
    pub fn iter(&self) -> std::slice::Iter<'_, ConfigError> {
        self.0.iter()
    }

    /// The first problem on one line, and how many more there are.
    pub fn headline(&self) -> String {
        let first = self.0.first().map(ConfigError::headline).unwrap_or_default();
        match self.0.len().saturating_sub(1) {
            0 => first,
            more => format!("{first} (and {more} more)"),
        }
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}
