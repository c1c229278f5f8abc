//! The evidence about processes and files for people: nothing is left out, equal things are said once.

use super::text::{name_of, package_words, root_words, Style};
use crate::model::claim::Package;
use crate::model::file::FileId;
use crate::model::judge::{Doubt, Judged, VerdictOf};
use crate::model::plan::Decision;
use crate::model::text::{escape, escape_path};
use crate::model::verdict::{Cause, CauseKind, Verdict};
use crate::render::style::INDENT;
use std::path::Path;

/// Columns of a line's name, so that what it says begins where a report's paths do.
const NAME: usize = 10;

/// A line with a name; what does not fit stands below its text.
pub fn line(out: &mut String, name: &str, words: &str, style: &Style) {
    style.paragraph(out, &format!("{INDENT}{name:NAME$} "), words);
}

/// Processes with their evidence; those that differ in nothing but their pid are told of together.
pub fn processes(rows: &[VerdictOf], packages: &[Package], style: &Style) -> String {
    let mut groups: Vec<Vec<&VerdictOf>> = Vec::new();
    for row in rows {
        match groups.iter_mut().find(|group| are_alike(group[0], row)) {
            Some(group) => group.push(row),
            None => groups.push(vec![row]),
        }
    }
    let texts: Vec<String> = groups.iter().map(|group| process(group, packages, style)).collect();
    texts.join("\n")
}

fn are_alike(a: &VerdictOf, b: &VerdictOf) -> bool {
    let (one, other) = (&a.process, &b.process);
    (&one.comm, &one.exe, one.uid, &one.cgroup) == (&other.comm, &other.exe, other.uid, &other.cgroup)
        && (a.verdict, &a.gap, a.identical, &a.causes) == (b.verdict, &b.gap, b.identical, &b.causes)
}

fn process(group: &[&VerdictOf], packages: &[Package], style: &Style) -> String {
    let mut out = String::new();
    let first = group[0];
    let process = &first.process;
    let pids: Vec<String> = group.iter().map(|row| row.process.key.pid.to_string()).collect();
    let word = if pids.len() == 1 { "pid" } else { "pids" };
    let who = format!("{word} {} {}", pids.join(", "), escape(&process.comm));
    let painted = match first.verdict {
        Verdict::Tainted => style.bad(&who),
        Verdict::Fresh => style.good(&who),
        Verdict::Stale | Verdict::Unknown => style.note(&who),
    };
    style.paragraph(&mut out, "", &format!("{who}: {}", first.verdict));
    out = out.replacen(&who, &painted, 1);
    if let Some(exe) = &process.exe {
        line(&mut out, "program", &escape_path(exe), style);
    }
    let cgroup = format!("{} (cgroup {})", name_of(&process.owner), escape(&process.cgroup));
    line(&mut out, "owner", &cgroup, style);
    for one in &first.causes {
        cause(&mut out, one, packages, style);
    }
    if let Some(Doubt { why, .. }) = &first.gap {
        line(&mut out, "unknown", why, style);
    }
    if first.identical > 0 {
        let words = format!("{} of its files were replaced by the same content", first.identical);
        style.paragraph(&mut out, INDENT, &words);
    }
    out
}

fn cause(out: &mut String, cause: &Cause, packages: &[Package], style: &Style) {
    line(out, cause.kind.word(), &escape_path(&cause.path), style);
    let package = cause.package.as_deref().map(|name| format!("{}, ", package_words(name, packages)));
    let root = root_words(cause.root);
    let method = format!("{}{}, content {}{root}", package.unwrap_or_default(), cause.method, cause.content);
    line(out, "", &method, style);
    let inode = |id: Option<FileId>| match id {
        Some(id) => format!("inode {} on {}:{}", id.ino, id.dev >> 32, id.dev & 0xffff_ffff),
        None => "nothing".to_owned(),
    };
    if cause.mapped.is_some() {
        let words = format!("mapped {}; the path names {}", inode(cause.mapped), inode(cause.current));
        line(out, "", &words, style);
    }
    line(out, "", &cause.evidence, style);
}

/// Which rule decides, why it is not followed, and why the rules before it do not decide.
pub fn decision(owner: &str, decision: &Decision, passed: &[String], style: &Style) -> String {
    let words: Vec<&str> = decision.ladder.iter().map(|action| action.word()).collect();
    let mut out = format!("{}\n", style.bold(&format!("policy for {owner}: {}", words.join(", else "))));
    let source = if decision.source.is_empty() { String::new() } else { format!(" ({})", decision.source) };
    style.paragraph(&mut out, INDENT, &format!("decided by \"{}\"{source}", decision.rule));
    if let Some(skip) = &decision.skip {
        style.paragraph(&mut out, &format!("{INDENT}left alone all the same: "), skip);
    }
    for note in &decision.notes {
        style.paragraph(&mut out, INDENT, note);
    }
    for rule in passed {
        style.paragraph(&mut out, &format!("{INDENT}not by "), rule);
    }
    out
}

/// How a file that nobody maps was replaced, as somebody who read it or has it open knows, or the picture that
/// was taken before.
pub fn unmapped(path: &Path, users: &[(&VerdictOf, &Cause)], judged: Option<&Judged>, style: &Style) -> String {
    let mut out = String::new();
    style.paragraph(&mut out, &format!("{}: ", escape_path(path)), "no process maps it");
    for (row, cause) in users {
        line(&mut out, "method", &format!("{}: {}", cause.method, cause.evidence), style);
        let name = if cause.kind == CauseKind::Script { "read by" } else { "open in" };
        let (pid, comm) = (row.process.key.pid, escape(&row.process.comm));
        line(&mut out, name, &format!("{pid} {comm} ({}, {})", row.verdict, cause.certainty), style);
    }
    if let (Some(Judged { method, evidence }), []) = (judged, users) {
        line(&mut out, "method", &format!("{method}: {evidence}"), style);
    }
    out
}

/// Who maps a file, worst verdict first.
pub fn users(rows: &[&VerdictOf], style: &Style) -> String {
    let mut out = String::new();
    for verdict in [Verdict::Tainted, Verdict::Stale, Verdict::Unknown, Verdict::Fresh] {
        let these = rows.iter().filter(|row| row.verdict == verdict);
        let names = these.map(|row| format!("{} {}", row.process.key.pid, escape(&row.process.comm)));
        let names: Vec<String> = names.collect();
        if !names.is_empty() {
            line(&mut out, "mapped by", &format!("{} ({verdict})", names.join(", ")), style);
        }
    }
    out
}
