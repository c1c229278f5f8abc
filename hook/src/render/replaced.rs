//! What a replacement has to say, before the report of who runs the old.

use super::style::{Style, INDENT};
use crate::model::replace::{Replaced, ReplacedFile};
use crate::model::text::{escape, escape_path};
use serde_json::{json, Value};
use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

/// For people.
pub fn text(said: &Replaced, style: &Style) -> String {
    let mut out = String::new();
    for line in &said.recovered {
        style.paragraph(&mut out, "", &format!("{}.", escape(line.as_bytes())));
    }
    match (said.files.as_slice(), said.unchanged.len()) {
        ([], 0) => {}
        ([], 1) => {
            let _ = writeln!(out, "{} stands there already; nothing was changed.", escape_path(&said.unchanged[0]));
        }
        ([], all) => {
            let _ = writeln!(out, "All {all} files stand there already; nothing was changed.");
        }
        ([one], 0) => {
            style.paragraph(&mut out, "", &format!("{} {}{}.", verb(said, one), escape_path(&one.path), within(said)))
        }
        (files, same) => {
            let same = if same > 0 { format!("; {same} stood there already") } else { String::new() };
            style.paragraph(&mut out, "", &format!("{} {} files{}{same}.", verb_of(said), files.len(), within(said)));
            for file in files.iter().filter(|_| style.verbose || said.dry_run) {
                let new = if file.was_there { "" } else { "  (new)" };
                let _ = writeln!(out, "{INDENT}{}{new}", escape_path(&file.path));
            }
        }
    }
    for file in &said.files {
        links(&mut out, file, style);
    }
    if let Some(why) = &said.undone {
        let words = format!("the old files have their names again, since {}.", escape(why.as_bytes()));
        style.paragraph(&mut out, &style.bad("Undone: "), &words);
    }
    for note in &said.notes {
        style.paragraph(&mut out, "", &format!("{}.", escape(note.as_bytes())));
    }
    out
}

fn verb(said: &Replaced, file: &ReplacedFile) -> &'static str {
    match (said.dry_run, file.was_there) {
        (true, true) => "Would replace",
        (true, false) => "Would put in place",
        (false, true) => "Replaced",
        (false, false) => "Put in place",
    }
}

fn verb_of(said: &Replaced) -> &'static str {
    match said.dry_run {
        true => "Would replace",
        false => "Replaced",
    }
}

fn within(said: &Replaced) -> String {
    match (said.window, said.files.len()) {
        (None, _) | (_, 0 | 1) => String::new(),
        (Some(window), _) => format!(" within {}", short(window)),
    }
}

fn short(span: Duration) -> String {
    match span.as_micros() {
        micros @ 0..=9_999 => format!("{micros} \u{b5}s"),
        micros => format!("{} ms", micros / 1000),
    }
}

fn links(out: &mut String, file: &ReplacedFile, style: &Style) {
    let mut names: Vec<String> = file.links.iter().map(|path| escape_path(path)).collect();
    if file.hidden_links > 0 {
        names.push(format!("{} that were not found", file.hidden_links));
    }
    if !names.is_empty() {
        let words =
            format!("{} keeps its old content under other names: {}", escape_path(&file.path), names.join(", "));
        style.paragraph(out, &style.note("note: "), &words);
    }
}

/// For machines: the field `replaced` of the report.
pub fn value(said: &Replaced) -> Value {
    let paths = |paths: &[PathBuf]| paths.iter().map(|path| escape_path(path)).collect::<Vec<_>>();
    let file = |file: &ReplacedFile| {
        json!({
            "path": escape_path(&file.path),
            "was_there": file.was_there,
            "links": paths(&file.links),
            "hidden_links": file.hidden_links,
        })
    };
    json!({
        "files": said.files.iter().map(file).collect::<Vec<_>>(),
        "unchanged": paths(&said.unchanged),
        "window_micros": said.window.map(|window| u64::try_from(window.as_micros()).unwrap_or(u64::MAX)),
        "recovered": said.recovered,
        "undone": said.undone,
        "dry_run": said.dry_run,
        "notes": said.notes,
    })
}
