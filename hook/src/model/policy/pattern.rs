//! Patterns on names and on paths.

use crate::model::text;
use std::path::Path;

/// Longer than any unit name (255) and than most paths; a pattern is typed by a person.
const MAX_PATTERN_CHARS: usize = 1024;

/// Why a text is no pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PatternError {
    /// Nothing in it.
    Empty,
    /// Longer than anybody types.
    TooLong,
    /// A path pattern with a `/` that begins with neither `/` nor `**/` names no path.
    Relative,
    /// What the pattern language says.
    Syntax(&'static str),
}

impl std::fmt::Display for PatternError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            PatternError::Empty => f.write_str("an empty pattern matches nothing"),
            PatternError::TooLong => write!(f, "longer than {MAX_PATTERN_CHARS} characters"),
            PatternError::Relative => f.write_str("not an absolute path"),
            PatternError::Syntax(message) => f.write_str(message),
        }
    }
}

fn compile(text: &str) -> Result<glob::Pattern, PatternError> {
    if text.is_empty() {
        return Err(PatternError::Empty);
    }
    if text.chars().count() > MAX_PATTERN_CHARS {
        return Err(PatternError::TooLong);
    }
    glob::Pattern::new(text).map_err(|error| PatternError::Syntax(error.msg))
}

/// A pattern on a unit, slice, container, package or user: `*` matches everything, `/` too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamePattern(glob::Pattern);

impl NamePattern {
    /// Reads a pattern of `*`, `?` and `[…]`.
    pub fn new(text: &str) -> Result<NamePattern, PatternError> {
        compile(text).map(NamePattern)
    }

    /// Whether this name is meant: as it is, or as reports print it.
    ///
    /// systemd's own names have backslashes (`app-x\x2dterm.service`), which reports print
    /// doubled: the admin may copy from either.
    pub fn matches(&self, name: &str) -> bool {
        self.0.matches(name) || self.0.matches(&text::escape(name.as_bytes()))
    }

    /// Whether this unit is meant. Where services have no `.service` behind their name, because no
    /// systemd runs, a policy that was written with it holds all the same.
    pub fn matches_unit(&self, unit: &str) -> bool {
        self.matches(unit) || (!unit.contains('.') && self.matches(&format!("{unit}.service")))
    }

    /// Whether it is a name and not a pattern.
    pub fn is_literal(&self) -> bool {
        !self.0.as_str().contains(['*', '?', '['])
    }

    /// As the admin wrote it.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

/// A pattern on a path, in the printed form of [`text::escape_path`].
///
/// As in a shell with `globstar`, `*`, `?` and `[…]` stay within one folder and `**` spans
/// folders: `/usr/lib/*` is what lies right in it, `/usr/lib/**` what lies below at any depth.
/// As in a `.gitignore`, a pattern without any `/` is asked of the file's name alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathPattern(glob::Pattern);

const IN_ONE_FOLDER: glob::MatchOptions =
    glob::MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: false };

impl PathPattern {
    /// Reads a pattern of `*`, `**`, `?` and `[…]`.
    pub fn new(text: &str) -> Result<PathPattern, PatternError> {
        let pattern = compile(text)?;
        if text.contains('/') && !text.starts_with('/') && !text.starts_with("**/") {
            return Err(PatternError::Relative);
        }
        Ok(PathPattern(pattern))
    }

    /// Whether this path is meant.
    pub fn matches(&self, path: &Path) -> bool {
        // On the printed form: `glob::Pattern::matches_path` answers "no" for every non-UTF-8
        // path, which would let a file name escape an `ignore` rule.
        let printed = text::escape_path(path);
        let asked =
            if self.as_str().contains('/') { printed.as_str() } else { printed.rsplit('/').next().unwrap_or_default() };
        self.0.matches_with(asked, IN_ONE_FOLDER)
    }

    /// As the admin wrote it.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::text::path_of;

    #[test]
    fn a_name_pattern_spans_everything() {
        for (pattern, name, expected) in [
            ("nginx.service", "nginx.service", true),
            ("nginx.service", "nginx.service2", false),
            ("*", "", true),
            ("*", "a/b", true),
            ("getty@*", "getty@tty1.service", true),
            ("php[78]-fpm*", "php8-fpm.service", true),
            ("a?c", "abc", true),
            ("Web", "web", false),
            (r"app-x\x2dterm.service", r"app-x\x2dterm.service", true),
            (r"app-x\\x2dterm.service", r"app-x\x2dterm.service", true),
        ] {
            let matches = NamePattern::new(pattern).unwrap().matches(name);
            assert_eq!(matches, expected, "{pattern} {name}");
        }
    }

    #[test]
    fn a_path_pattern_spans_folders_only_by_two_stars() {
        for (pattern, path, expected) in [
            ("/usr/lib/*", "/usr/lib/libz.so.1", true),
            ("/usr/lib/*", "/usr/lib/x86_64-linux-gnu/libz.so.1", false),
            ("/usr/lib/**", "/usr/lib/libz.so.1", true),
            ("/usr/lib/**", "/usr/lib/x86_64-linux-gnu/a/libz.so.1", true),
            ("/usr/lib/**", "/usr/libexec/a", false),
            ("/usr/lib/**/libz.so*", "/usr/lib/x86_64-linux-gnu/libz.so.1", true),
            ("/usr/lib/**/libz.so*", "/usr/lib/libz.so.1", true),
            ("**/nginx", "/usr/sbin/nginx", true),
            ("/opt/*/bin/x", "/opt/app/bin/x", true),
            ("/opt/*/bin/x", "/opt/app/v1/bin/x", false),
            ("libz.so*", "/usr/lib/x86_64-linux-gnu/libz.so.1", true),
            ("*ssl*", "/usr/lib/libssl.so.3", true),
            ("*ssl*", "/opt/ssl/bin/x", false),
            ("*", "/any/thing", true),
            ("**", "/any/thing", true),
            ("/usr/lib/.*", "/usr/lib/.hidden", true),
            ("/usr/lib/*", "/usr/lib/.hidden", true),
        ] {
            let matches = PathPattern::new(pattern).unwrap().matches(Path::new(path));
            assert_eq!(matches, expected, "{pattern} {path}");
        }
    }

    #[test]
    fn a_name_that_is_not_text_does_not_escape_its_pattern() {
        let path = path_of(b"/opt/app/\xff\n");
        assert!(PathPattern::new("/opt/app/*").unwrap().matches(&path));
        assert!(PathPattern::new(r"/opt/app/\xff\x0a").unwrap().matches(&path));
    }

    #[test]
    fn what_matches_nothing_is_no_pattern() {
        for (pattern, expected) in
            [("", PatternError::Empty), ("usr/lib/*", PatternError::Relative), ("*/lib", PatternError::Relative)]
        {
            assert_eq!(PathPattern::new(pattern), Err(expected));
        }
        assert_eq!(NamePattern::new(&"a".repeat(2000)), Err(PatternError::TooLong));
        assert!(matches!(NamePattern::new("a**b"), Err(PatternError::Syntax(_))));
        assert!(matches!(NamePattern::new("a[b"), Err(PatternError::Syntax(_))));
    }

    #[test]
    fn a_literal_is_a_name() {
        for (pattern, expected) in [("a.service", true), ("a@*", false), ("a?", false), ("[a]", false)] {
            assert_eq!(NamePattern::new(pattern).unwrap().is_literal(), expected);
        }
    }
}
