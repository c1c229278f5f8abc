//! Why a text is not YAML, with the usual slips in an admin's words.

use crate::model::policy::{Place, Problem};
use crate::model::text::escape;

/// What is wrong where a YAML reader stopped.
pub(super) fn explain(text: &str, line: usize, column: usize, info: &str) -> Problem {
    // A reader stops at the tab, at the line's end before it, or at the key after it.
    let near = [line, line.saturating_sub(1), line + 1];
    if let Some(place) = near.into_iter().find_map(|line| tab_indent(text, line)) {
        return Problem::at(place, "a tab in the indentation").hint("YAML takes spaces only");
    }
    let found: Vec<char> = line_of(text, line).unwrap_or_default().chars().collect();
    let (from, to) = (column.saturating_sub(2), (column + 1).min(found.len()));
    if let Some(tab) = (from..to).find(|&index| found[index] == '\t') {
        let place = Place { line, column: tab + 1, width: 1 };
        return Problem::at(place, "a tab between words").hint("YAML takes spaces only");
    }
    let message = format!("not YAML: {}", escape(info.as_bytes()));
    if text.split('\n').skip(line.saturating_sub(1)).all(|line| line.trim().is_empty()) {
        return Problem::at(last_place(text), message).hint("is a bracket not closed?");
    }
    let problem = Problem::at(Place { line, column, width: 1 }, message);
    match found.get(column.saturating_sub(1)) {
        Some('*') => problem.hint("a pattern that begins with * needs quotes"),
        _ => problem,
    }
}

/// Where the last word ends.
fn last_place(text: &str) -> Place {
    let (line, last) =
        text.split('\n').enumerate().filter(|(_, line)| !line.trim().is_empty()).last().unwrap_or_default();
    Place { line: line + 1, column: last.trim_end().chars().count().max(1), width: 1 }
}

fn line_of(text: &str, line: usize) -> Option<&str> {
    text.split('\n').nth(line.checked_sub(1)?)
}

fn tab_indent(text: &str, line: usize) -> Option<Place> {
    let found = line_of(text, line)?;
    let content = found.trim_start_matches([' ', '\t']);
    if content.is_empty() || content.starts_with('#') {
        return None;
    }
    let tab = found[..found.len() - content.len()].find('\t')?;
    Some(Place { line, column: tab + 1, width: 1 })
}
