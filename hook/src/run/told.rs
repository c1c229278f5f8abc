//! From what was put in place, or what a command did, to what is printed and the exit code.

use super::bracket::{bracket, Acting};
use super::command::{only, style, Answer};
use super::desk::Desk;
use super::replace;
use crate::cli::{Common, Format, ReplaceArguments};
use crate::model::replace::Replaced;
use crate::model::report::Report;
use crate::render::bracketed::{self as did, Did};
use crate::render::text::{self, Asked};
use crate::render::{json, replaced};
use crate::sys::host;
use std::ffi::OsString;
use std::path::Path;

/// Puts files in place.
pub fn put_in_place(typed: &ReplaceArguments) -> anyhow::Result<Answer> {
    let common = &typed.common;
    only(common, &[Format::Text, Format::Json])?;
    let said = replace::replace(&Desk::open(common), typed)?;
    let code = said.run.as_ref().map_or(0, |run| run.exit_code);
    let report = said.run.as_ref().and_then(|run| Some((run.report.as_ref()?, run.others)));
    Ok(tell(&Done::Replaced(&said.replaced), report, code, common, asked(Acting::Yes)))
}

/// What was done to files, before the report of who runs the old.
enum Done<'a> {
    Replaced(&'a Replaced),
    Did(Did<'a>),
}

/// The command has standard output for itself: what we say to people goes to standard error.
pub fn bracketed(words: &[OsString], dry_run: bool, output: Option<&Path>, common: &Common) -> anyhow::Result<Answer> {
    only(common, &[Format::Text, Format::Json])?;
    let acting = if dry_run { Acting::No } else { Acting::Yes };
    let desk = Desk::open(common);
    let said = bracket(&desk, words, acting)?;
    let (code, ended) = (said.exit_code(), &said.ended);
    let (changes, notes) = (said.changes.as_slice(), said.notes.as_slice());
    let did = Did { code: ended.code, ended: &ended.words, changes, texts: said.texts, notes };
    let report = said.run.as_ref().and_then(|run| Some((run.report.as_ref()?, run.others)));
    let answer = tell(&Done::Did(did), report, code, common, asked(acting));
    Ok(match (output, common.format) {
        (Some(path), _) => {
            desk.store.publish(path, answer.text.as_bytes())?;
            Answer { code, ..Answer::default() }
        }
        (None, Format::Text) => Answer { error: answer.text, code, ..Answer::default() },
        (None, _) => answer,
    })
}

/// Only root acts; who does not is told what would be done.
fn asked(acting: Acting) -> Asked {
    match acting == Acting::Yes && host::uid() == 0 {
        true => Asked::Apply,
        false => Asked::Plan,
    }
}

fn tell(part: &Done<'_>, report: Option<(&Report, usize)>, code: u8, common: &Common, asked: Asked) -> Answer {
    if common.quiet {
        return Answer { code, ..Answer::default() };
    }
    let (name, value, before) = match part {
        Done::Replaced(said) => ("replaced", replaced::value(said), replaced::text(said, &style(common))),
        Done::Did(did) => ("command", did::value(did), did::text(did, &style(common))),
    };
    let text = match common.format {
        Format::Json => {
            let mut all = match report {
                Some((report, _)) => json::value(report, code),
                None => serde_json::json!({ "schema": json::SCHEMA, "tool": json::TOOL, "exit_code": code }),
            };
            all[name] = value;
            format!("{all}\n")
        }
        _ => report.map_or(before.clone(), |(report, others)| {
            let rest = text::render(report, asked, &style(common));
            format!("{before}{}{rest}{}", if before.is_empty() { "" } else { "\n" }, text::others(others))
        }),
    };
    Answer { text, code, ..Answer::default() }
}
