//! How text is laid out: columns, colours, lines that are broken between words.

use std::fmt::Write as _;

/// How to write.
#[derive(Debug, Clone, Copy)]
pub struct Style {
    /// Columns there are.
    pub columns: usize,
    /// Whether to use colours.
    pub color: bool,
    /// Whether to say on what evidence.
    pub verbose: bool,
}

/// Lines below the name of what they tell of.
pub const INDENT: &str = "    ";

// Of the eight colours that every terminal has those that can be read on dark and on light. Yellow and
// cyan cannot on white, nor blue on black, as xterm and the Linux console have them. No colour alone
// says anything that a word does not say too.
const RED: &str = "31";
const MAGENTA: &str = "35";
const GREEN: &str = "32";
const BOLD: &str = "1";
const FAINT: &str = "2";

impl Style {
    fn paint(&self, code: &str, text: &str) -> String {
        match self.color && !text.is_empty() {
            true => format!("\x1b[{code}m{text}\x1b[0m"),
            false => text.to_owned(),
        }
    }

    /// What is read first.
    pub fn bold(&self, text: &str) -> String {
        self.paint(BOLD, text)
    }

    /// What is read last.
    pub fn faint(&self, text: &str) -> String {
        self.paint(FAINT, text)
    }

    /// What is as it should be.
    pub fn good(&self, text: &str) -> String {
        self.paint(GREEN, text)
    }

    /// What wants to be looked at.
    pub fn note(&self, text: &str) -> String {
        self.paint(MAGENTA, text)
    }

    /// What is broken or dangerous.
    pub fn bad(&self, text: &str) -> String {
        self.paint(RED, text)
    }

    /// Items with commas, each whole, on as many lines as they need.
    pub fn wrap(&self, out: &mut String, items: &[String]) {
        let mut words: Vec<String> = items.iter().map(|item| format!("{item},")).collect();
        if let Some(last) = words.last_mut() {
            last.pop();
            self.fill(out, INDENT, INDENT, &words);
        }
    }

    /// Text behind a beginning that only the first line has; the others stand below its text.
    pub fn paragraph(&self, out: &mut String, first: &str, text: &str) {
        let words: Vec<String> = text.split(' ').map(str::to_owned).collect();
        let below = " ".repeat(first.chars().count().min(self.columns / 2));
        self.fill(out, first, &below, &words);
    }

    /// Words broken at the width. A word that is wider than a line stands alone on one.
    fn fill(&self, out: &mut String, first: &str, below: &str, words: &[String]) {
        let (mut line, mut empty) = (first.to_owned(), true);
        for word in words {
            let room = self.columns.saturating_sub(line.chars().count());
            if !empty && word.chars().count() + 1 > room {
                let _ = writeln!(out, "{}", line.trim_end());
                (line, empty) = (below.to_owned(), true);
            }
            if !empty {
                line.push(' ');
            }
            line.push_str(word);
            empty = false;
        }
        let _ = writeln!(out, "{}", line.trim_end());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NARROW: Style = Style { columns: 20, color: false, verbose: false };

    #[test]
    fn lines_are_broken_between_words_and_never_inside() {
        let mut out = String::new();
        NARROW.paragraph(&mut out, "  next: ", "one two three four");
        assert_eq!(out, "  next: one two\n        three four\n");
        out.clear();
        NARROW.wrap(&mut out, &["10 nginx".into(), "11 nginx".into(), "4711 a-very-long-name".into()]);
        assert_eq!(out, "    10 nginx,\n    11 nginx,\n    4711 a-very-long-name\n");
        out.clear();
        NARROW.wrap(&mut out, &[]);
        assert_eq!(out, "");
    }

    #[test]
    fn colours_are_only_where_they_are_asked_for() {
        assert_eq!(NARROW.bad("x"), "x");
        assert_eq!(Style { color: true, ..NARROW }.bad("x"), "\x1b[31mx\x1b[0m");
    }
}
