//! What a bracketed command did, before the report of who runs the old.

use super::style::{Style, INDENT};
use crate::model::marks::{Change, How};
use crate::model::text::{escape, escape_path};
use serde_json::{json, Value};
use std::fmt::Write as _;

/// Files that are named without `--verbose`.
const MOST_NAMED: usize = 20;

/// What there is to say of the command.
#[derive(Debug, Clone, Copy)]
pub struct Did<'a> {
    /// Its exit code.
    pub code: u8,
    /// How it ended, in words.
    pub ended: &'a str,
    /// Files in use that it replaced.
    pub changes: &'a [Change],
    /// How many sources of running interpreters it wrote.
    pub texts: usize,
    /// What could not be looked at, and what is done later.
    pub notes: &'a [String],
}

/// For people.
pub fn text(did: &Did<'_>, style: &Style) -> String {
    let mut out = String::new();
    let failed = if did.code == 0 { String::new() } else { format!("the command {}; ", did.ended) };
    let files = match did.changes.len() {
        0 => "no file in use was replaced".to_owned(),
        1 => "1 file in use was replaced".to_owned(),
        number => format!("{number} files in use were replaced"),
    };
    let texts = match did.texts {
        0 => String::new(),
        1 => ", 1 source of a running interpreter was written".to_owned(),
        number => format!(", {number} sources of running interpreters were written"),
    };
    style.paragraph(&mut out, "", &format!("{failed}{files}{texts}."));
    let most = if style.verbose { usize::MAX } else { MOST_NAMED };
    let width = did.changes.iter().take(most).map(|change| change.how.word().len()).max().unwrap_or(0);
    for change in did.changes.iter().take(most) {
        let word = format!("{:width$}", change.how.word());
        let word = if change.how == How::Overwritten { style.bad(&word) } else { word };
        let _ = writeln!(out, "{INDENT}{word}  {}", escape_path(&change.path));
        if style.verbose && !change.evidence.is_empty() {
            style.paragraph(&mut out, "      ", &change.evidence);
        }
    }
    if did.changes.len() > most {
        let _ = writeln!(out, "{INDENT}and {} more (-v)", did.changes.len() - most);
    }
    for note in did.notes {
        style.paragraph(&mut out, &style.note("note: "), &escape(note.as_bytes()));
    }
    out
}

/// For machines: the field `command` of the report.
pub fn value(did: &Did<'_>) -> Value {
    let change = |change: &Change| json!({ "path": escape_path(&change.path), "how": change.how.word(), "evidence": change.evidence });
    json!({
        "exit_code": did.code,
        "ended": did.ended,
        "changes": did.changes.iter().map(change).collect::<Vec<_>>(),
        "sources": did.texts,
        "notes": did.notes,
    })
}
