//! `explain`: the evidence, the verdict and the rule for one pid, unit or path.

use super::desk::{Desk, Known};
use super::look::{machine, Looked};
use super::report::{decide_or_say, Deciding};
use crate::cli::Format;
use crate::model::judge::{Claimed, FileView, Standing, VerdictOf};
use crate::model::plan::{all_by_owner, by_owner, Group};
use crate::model::text::{escape, escape_path};
use crate::model::time::rfc3339;
use crate::model::verdict::{Cause, Verdict};
use crate::render::json;
use crate::run::scan::Extent;
use anyhow::{bail, Result};
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// What is to be explained.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Target {
    Pid(i32),
    Path(PathBuf),
    Unit(String),
}

impl Target {
    fn of(typed: &OsStr) -> Target {
        let text = typed.to_string_lossy();
        match text.parse() {
            Ok(pid) => Target::Pid(pid),
            Err(_) if text.starts_with('/') => Target::Path(PathBuf::from(typed)),
            Err(_) if text.contains('.') => Target::Unit(text.into_owned()),
            Err(_) => Target::Unit(format!("{text}.service")),
        }
    }
}

/// The explanation and the exit code, that of a report on just this.
pub fn explain(desk: &Desk<'_>, typed: &OsStr) -> Result<(String, u8)> {
    let known = desk.known()?;
    let looked = machine(desk, &known, Extent::All)?;
    if desk.common.format == Format::Json {
        return Ok(as_json(desk, &known, looked, &Target::of(typed)));
    }
    match Target::of(typed) {
        Target::Pid(pid) => process(desk, &looked, pid),
        Target::Unit(name) => unit(desk, &looked, &name),
        Target::Path(path) => file(&looked, &known, &path),
    }
}

/// The report, cut down to the processes that are meant.
fn as_json(desk: &Desk<'_>, known: &Known, looked: Looked, target: &Target) -> (String, u8) {
    let mut report = looked.report(desk, known);
    report.processes.retain(|row| match target {
        Target::Pid(pid) => row.process.key.pid == *pid,
        Target::Unit(name) => row.process.owner.name == *name,
        Target::Path(path) => row.causes.iter().any(|cause| cause.path == *path),
    });
    let paths: Vec<PathBuf> =
        report.processes.iter().flat_map(|row| &row.causes).map(|cause| cause.path.clone()).collect();
    report.replacements.retain(|row| paths.contains(&row.path));
    decide_or_say(desk, &mut report);
    let code = report.exit_code();
    (json::render(&report, code), code)
}

fn code(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Fresh => 0,
        Verdict::Stale => 1,
        Verdict::Tainted => 3,
        Verdict::Unknown => 4,
    }
}

fn process(desk: &Desk<'_>, looked: &Looked, pid: i32) -> Result<(String, u8)> {
    let Some(row) = looked.verdicts.iter().find(|row| row.process.key.pid == pid) else {
        bail!("no process {pid} (or a kernel thread)");
    };
    let mut out = String::new();
    tell_process(&mut out, row);
    if row.verdict >= Verdict::Stale {
        tell_rules(&mut out, desk, std::slice::from_ref(row))?;
    }
    Ok((out, code(row.verdict)))
}

fn unit(desk: &Desk<'_>, looked: &Looked, name: &str) -> Result<(String, u8)> {
    let members: Vec<VerdictOf> =
        looked.verdicts.iter().filter(|row| row.process.owner.name == name).cloned().collect();
    if members.is_empty() {
        bail!("{name} has no process");
    }
    let mut out = String::new();
    for row in &members {
        tell_process(&mut out, row);
    }
    tell_rules(&mut out, desk, &members)?;
    Ok((out, members.iter().map(|row| row.verdict).max().map_or(0, code)))
}

fn tell_process(out: &mut String, row: &VerdictOf) {
    let process = &row.process;
    let _ = writeln!(out, "pid {} {}: {}", process.key.pid, escape(&process.comm), row.verdict);
    if let Some(exe) = &process.exe {
        let _ = writeln!(out, "    program   {}", escape_path(exe));
    }
    let _ = writeln!(
        out,
        "    owner     {} {} (cgroup {})",
        process.owner.kind,
        process.owner.name,
        escape(&process.cgroup)
    );
    for cause in &row.causes {
        tell_cause(out, cause);
    }
    if let Some(gap) = &row.gap {
        let _ = writeln!(out, "    unknown   {gap}");
    }
    if row.identical > 0 {
        let _ = writeln!(out, "    {} of its files were replaced by the same content", row.identical);
    }
}

fn tell_cause(out: &mut String, cause: &Cause) {
    let package = cause.package.as_deref().map(|name| format!(" of {name}")).unwrap_or_default();
    let _ = writeln!(
        out,
        "    {:9} {}{package}: {}, content {}",
        cause.kind,
        escape_path(&cause.path),
        cause.method,
        cause.content
    );
    let inode = |id: Option<crate::model::file::FileId>| match id {
        Some(id) => format!("inode {} on {}:{}", id.ino, id.dev >> 32, id.dev & 0xffff_ffff),
        None => "nothing".to_owned(),
    };
    if cause.mapped.is_some() {
        let _ = writeln!(out, "              mapped {}; the path names {}", inode(cause.mapped), inode(cause.current));
    }
    let _ = writeln!(out, "              {}", cause.evidence);
}

/// Which rule decides about an owner, and why the ones before it do not.
fn tell_rules(out: &mut String, desk: &Desk<'_>, rows: &[VerdictOf]) -> Result<()> {
    let policy = desk.policy()?.policy;
    let mut deciding = Deciding::typed(desk, &policy);
    let stale = by_owner(rows);
    let groups = if stale.is_empty() { all_by_owner(rows) } else { stale };
    let units = deciding.units_of(&groups);
    let evidence = deciding.evidence(&units);
    for group in groups {
        tell_decision(out, &group, &group.decide(&policy, &evidence), group.passed_rules(&policy, &evidence));
    }
    Ok(())
}

fn tell_decision(out: &mut String, group: &Group<'_>, decision: &crate::model::plan::Decision, passed: Vec<String>) {
    let words: Vec<&str> = decision.ladder.iter().map(|action| action.word()).collect();
    let source = if decision.source.is_empty() { String::new() } else { format!(" ({})", decision.source) };
    let _ = writeln!(out, "policy for {} {}: {}", group.owner.kind, group.owner.name, words.join(", else "));
    let _ = writeln!(out, "    decided by \"{}\"{source}", decision.rule);
    if let Some(skip) = &decision.skip {
        let _ = writeln!(out, "    left alone all the same: {skip}");
    }
    for rule in passed {
        let _ = writeln!(out, "    not by {rule}");
    }
}

fn file(looked: &Looked, known: &Known, path: &Path) -> Result<(String, u8)> {
    let mut out = String::new();
    let means =
        |view: &FileView| view.sighting.path() == path || view.aside.as_ref().is_some_and(|aside| aside.path == path);
    let views = looked.seen.files.iter().enumerate().filter(|(_, view)| means(view));
    let mut worst = Verdict::Fresh;
    for (index, view) in views {
        tell_file(&mut out, view);
        for (candidate, row) in looked.seen.candidates.iter().zip(&looked.verdicts) {
            if candidate.uses.iter().any(|usage| usage.file as usize == index) {
                let names_it = row.causes.iter().any(|cause| cause.path == path);
                worst = worst.max(if names_it { row.verdict } else { Verdict::Fresh });
                let _ = writeln!(
                    out,
                    "    mapped by pid {} {} ({})",
                    row.process.key.pid,
                    escape(&row.process.comm),
                    row.verdict
                );
            }
        }
    }
    if out.is_empty() {
        let _ = writeln!(out, "{}: no process maps it", escape_path(path));
    }
    for snapshot in known.snapshots.iter().filter(|snapshot| snapshot.path == path) {
        let born = snapshot.facts.born.map(rfc3339).unwrap_or_else(|| "an unknown time".to_owned());
        let _ = writeln!(out, "    before a transaction since boot: inode {}, born {born}", snapshot.facts.id.ino);
    }
    Ok((out, code(worst)))
}

fn tell_file(out: &mut String, view: &FileView) {
    let sighting = &view.sighting;
    let _ = writeln!(out, "{}", escape_path(sighting.path()));
    let (method, evidence) = match &view.standing {
        Standing::Live(_) => ("untouched".to_owned(), "the path names the inode that is mapped".to_owned()),
        Standing::Replaced { judged, .. } => {
            (view.recorded.unwrap_or(judged.method).to_string(), judged.evidence.clone())
        }
        Standing::Gone => ("removed".to_owned(), "the path names nothing".to_owned()),
        Standing::Covered => (
            "unknown".to_owned(),
            "the file is there, but its path does not lead to it: something is mounted over it".to_owned(),
        ),
        Standing::NoFile => ("no file".to_owned(), "memory that only looks like a file".to_owned()),
        Standing::Hidden(why) => ("unknown".to_owned(), why.clone()),
    };
    let _ = writeln!(out, "    method    {method}: {evidence}");
    if let Some(aside) = &view.aside {
        let _ = writeln!(out, "    in place  {}: {}", escape_path(&aside.path), aside.clue.words());
    }
    if view.examined && !matches!(view.standing, Standing::Live(_)) {
        let _ = writeln!(out, "    content   {}", view.content);
    }
    let _ = writeln!(out, "    mapped    inode {} ({})", sighting.printed.ino, escape(&sighting.name));
    let claimed = match view.claimed {
        Claimed::No => "nobody says that it was replaced",
        Claimed::Tree => "a trigger says that something below one of its folders was replaced",
        Claimed::File => "a trigger says that it was replaced",
        Claimed::Earlier => "an earlier transaction since boot replaced it",
    };
    let package = view.package.as_deref().unwrap_or("none that is known");
    let _ = writeln!(out, "    package   {package}; {claimed}");
    if let Some(as_packaged) = view.as_packaged {
        let _ = writeln!(out, "    bytes     {}", if as_packaged { "as packaged" } else { "not those of the package" });
    }
}
