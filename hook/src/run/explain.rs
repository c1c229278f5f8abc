//! `explain`: the evidence, the verdict and the rule for one pid, unit or path.

use super::desk::{Desk, Known};
use super::idle::Idle;
use super::look::{machine, Looked};
use super::report::{decide_or_say, Deciding};
use crate::cli::Format;
use crate::model::judge::{method_since, Claimed, FileView, Judged, Standing, VerdictOf};
use crate::model::owner::Owner;
use crate::model::plan::{all_by_owner, by_owner};
use crate::model::report::Replacement;
use crate::model::text::{escape, escape_path};
use crate::model::time::rfc3339;
use crate::model::verdict::{Cause, Content, Verdict};
use crate::render::text::{self, Style};
use crate::render::{explain, json};
use crate::run::scan::Extent;
use crate::sys::config::Loaded;
use crate::sys::files::{Links, Root};
use crate::sys::inodes::Inodes;
use crate::sys::systemd;
use anyhow::{bail, Result};
use std::ffi::OsStr;
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
pub fn explain(desk: &Desk<'_>, typed: &OsStr, style: &Style) -> Result<(String, u8)> {
    let known = desk.known()?;
    let policy = desk.policy();
    let looked = machine(desk, &known, Extent::All, policy.as_ref().ok().map(|loaded| &loaded.policy))?;
    if desk.common.format == Format::Json {
        return as_json(desk, &known, looked, &Target::of(typed), &policy);
    }
    let story = Story { desk, known: &known, looked: &looked, style };
    match Target::of(typed) {
        Target::Pid(pid) => story.process(pid),
        Target::Unit(name) => story.unit(&name),
        Target::Path(path) => Ok(story.file(&path)),
    }
}

/// The report, cut down to the processes that are meant.
fn as_json(
    desk: &Desk<'_>,
    known: &Known,
    looked: Looked,
    target: &Target,
    policy: &Result<Loaded>,
) -> Result<(String, u8)> {
    let mut report = looked.report(desk, known);
    report.processes.retain(|row| match target {
        Target::Pid(pid) => row.process.key.pid == *pid,
        Target::Unit(name) => is_named(&row.process.owner, name),
        Target::Path(path) => row.causes.iter().any(|cause| cause.path == *path),
    });
    let paths: Vec<PathBuf> =
        report.processes.iter().flat_map(|row| &row.causes).map(|cause| cause.path.clone()).collect();
    report.replacements.retain(|row| paths.contains(&row.path));
    if let (Target::Path(path), true) = (target, report.replacements.is_empty()) {
        report.replacements.extend(unmapped(known, path).map(|judged| Replacement {
            path: path.clone(),
            package: known.package_of(path),
            method: judged.method,
            content: Content::Unknown,
            evidence: judged.evidence,
        }));
    }
    decide_or_say(desk, &mut report, policy);
    if let (Target::Unit(name), true) = (target, report.processes.is_empty()) {
        report.owners.push(Idle::find(desk, name)?.row(desk));
    }
    let code = report.exit_code();
    Ok((json::render(&report, code), code))
}

/// Whether an owner has this name. Without systemd a service is called by its script or folder.
fn is_named(owner: &Owner, name: &str) -> bool {
    owner.name == name || (!systemd::is_running() && name.strip_suffix(".service") == Some(owner.name.as_str()))
}

fn code(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Fresh => 0,
        Verdict::Stale => 1,
        Verdict::Tainted => 3,
        Verdict::Unknown => 4,
    }
}

/// What an explanation is told from.
struct Story<'a> {
    desk: &'a Desk<'a>,
    known: &'a Known,
    looked: &'a Looked,
    style: &'a Style,
}

impl Story<'_> {
    fn process(&self, pid: i32) -> Result<(String, u8)> {
        let Some(row) = self.looked.verdicts.iter().find(|row| row.process.key.pid == pid) else {
            bail!("no process {pid} (or a kernel thread)");
        };
        let rows = std::slice::from_ref(row);
        let mut out = explain::processes(rows, &self.known.packages, self.style);
        if row.verdict >= Verdict::Stale {
            out.push_str(&self.rules(rows)?);
        }
        Ok((out, code(row.verdict)))
    }

    fn unit(&self, name: &str) -> Result<(String, u8)> {
        let members: Vec<VerdictOf> =
            self.looked.verdicts.iter().filter(|row| is_named(&row.process.owner, name)).cloned().collect();
        if members.is_empty() {
            return Ok((Idle::find(self.desk, name)?.explain(self.desk, self.style)?, 0));
        }
        let out = explain::processes(&members, &self.known.packages, self.style) + &self.rules(&members)?;
        Ok((out, members.iter().map(|row| row.verdict).max().map_or(0, code)))
    }

    /// Which rule decides about an owner, and why the ones before it do not.
    fn rules(&self, rows: &[VerdictOf]) -> Result<String> {
        let policy = self.desk.policy()?.policy;
        let mut deciding = Deciding::typed(self.desk, &policy);
        let stale = by_owner(rows);
        let groups = if stale.is_empty() { all_by_owner(rows) } else { stale };
        let units = deciding.units_of(&groups);
        let evidence = deciding.evidence(&units);
        let told = groups.iter().map(|group| {
            let decision = group.decide(&policy, &evidence);
            let passed = group.passed_rules(&policy, &evidence);
            format!("\n{}", explain::decision(&text::name_of(group.owner), &decision, &passed, self.style))
        });
        Ok(told.collect())
    }

    fn file(&self, path: &Path) -> (String, u8) {
        let mut out = String::new();
        let means = |view: &FileView| {
            view.sighting.path() == path || view.aside.as_ref().is_some_and(|aside| aside.path == path)
        };
        // One inode is seen once in each mount namespace; what is said of it is said once.
        let mut told: Vec<(String, Vec<&VerdictOf>)> = Vec::new();
        for (index, view) in self.looked.seen.files.iter().enumerate().filter(|(_, view)| means(view)) {
            let rows = self.looked.seen.candidates.iter().zip(&self.looked.verdicts);
            let users = rows.filter(|(one, _)| one.uses.iter().any(|usage| usage.file as usize == index));
            let users: Vec<&VerdictOf> = users.map(|(_, row)| row).collect();
            let cause = users.iter().flat_map(|row| &row.causes).find(|cause| cause.path == path);
            let facts = facts_of(view, cause, self.style);
            match told.iter_mut().find(|(text, _)| *text == facts) {
                Some((_, all)) => all.extend(users),
                None => told.push((facts, users)),
            }
        }
        for (facts, users) in &told {
            out.push_str(facts);
            out.push_str(&explain::users(users, self.style));
        }
        let all = self.looked.verdicts.iter().flat_map(|row| row.causes.iter().map(move |cause| (row, cause)));
        let named: Vec<(&VerdictOf, &Cause)> = all.filter(|(_, cause)| cause.path == path).collect();
        let worst = named.iter().map(|(row, _)| row.verdict).fold(Verdict::Fresh, Verdict::max);
        if out.is_empty() {
            out = explain::unmapped(path, &named, unmapped(self.known, path).as_ref(), self.style);
        }
        for snapshot in self.known.snapshots.iter().filter(|snapshot| snapshot.path == path) {
            let born = snapshot.facts.born.map(rfc3339).unwrap_or_else(|| "an unknown time".to_owned());
            let words = format!("before a transaction since boot: inode {}, born {born}", snapshot.facts.id.ino);
            explain::line(&mut out, "was", &words, self.style);
        }
        (out, code(worst))
    }
}

/// How a claimed file that nobody maps was replaced, by the picture that was taken before; `None` without one.
fn unmapped(known: &Known, path: &Path) -> Option<Judged> {
    let before = known.snapshots.iter().rfind(|snapshot| snapshot.path == path)?;
    let now = Root::Own.look(path, Links::Keep);
    let old = Inodes::default().facts(before);
    Some(method_since(&before.facts, old.as_ref(), &now, !Root::Own.on_overlay(path)))
}

fn facts_of(view: &FileView, cause: Option<&Cause>, style: &Style) -> String {
    let sighting = &view.sighting;
    let mut out = format!("{}\n", style.bold(&escape_path(sighting.path())));
    let mut line = |name: &str, words: &str| explain::line(&mut out, name, words, style);
    let (method, evidence) = match &view.standing {
        // What makes a process stale although the path names what it maps: it was written to, or moved.
        Standing::Live(_) if cause.is_some() => {
            cause.map(|cause| (cause.method.to_string(), cause.evidence.clone())).unwrap_or_default()
        }
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
    line("method", &format!("{method}: {evidence}"));
    if let Some(aside) = &view.aside {
        line("in place", &format!("{}: {}", escape_path(&aside.path), aside.clue.words()));
    }
    if view.examined && !matches!(view.standing, Standing::Live(_)) {
        line("content", view.content.word());
    }
    line("mapped", &format!("inode {} ({})", sighting.printed.ino, escape(&sighting.name)));
    let claimed = match view.claimed {
        Claimed::No => "nobody says that it was replaced",
        Claimed::Tree => "a trigger says that something below one of its folders was replaced",
        Claimed::File => "a trigger says that it was replaced",
        Claimed::Earlier => "an earlier transaction since boot replaced it",
    };
    line("package", &format!("{}; {claimed}", view.package.as_deref().unwrap_or("none that is known")));
    if let Some(as_packaged) = view.as_packaged {
        line("bytes", if as_packaged { "as packaged" } else { "not those of the package" });
    }
    out
}
