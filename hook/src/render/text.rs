//! The report for people: calm, aligned, worst first, the cause and the next step in one line.

use crate::model::claim::Package;
use crate::model::health::{Check, Health};
use crate::model::owner::{Owner, OwnerKind};
use crate::model::plan::Action;
use crate::model::report::{OwnerRow, Proof, Report};
use crate::model::text::{escape, escape_path};
use crate::model::verdict::{Cause, CauseKind, Method, Verdict};
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

/// Which command asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// Who runs old files.
    Report,
    /// What would be done.
    Plan,
    /// What was done.
    Apply,
}

const RED: &str = "31";
const YELLOW: &str = "33";
const GREEN: &str = "32";
const BOLD: &str = "1";
const FAINT: &str = "2";

impl Style {
    fn paint(&self, code: &str, text: &str) -> String {
        match self.color {
            true => format!("\x1b[{code}m{text}\x1b[0m"),
            false => text.to_owned(),
        }
    }
}

/// The whole report.
pub fn render(report: &Report, asked: Asked, style: &Style) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "{}", style.paint(BOLD, &headline(report)));
    for row in report.owners.iter().filter(|row| asked != Asked::Report || row.decision.ladder != [Action::Ignore]) {
        out.push('\n');
        owner(&mut out, report, row, asked, style);
    }
    unknown(&mut out, report, style);
    fresh(&mut out, report, style);
    for gap in &report.gaps {
        let _ = writeln!(out, "\nnot looked at: {}: {}", escape(gap.what.as_bytes()), escape(gap.why.as_bytes()));
    }
    if let Some(next) = next_step(report, asked) {
        let _ = writeln!(out, "\n{next}");
    }
    out
}

/// The report in one line, for the hook's output.
pub fn one_line(report: &Report) -> String {
    headline(report)
}

fn count(number: usize, one: &str, many: &str) -> String {
    match number {
        1 => format!("1 {one}"),
        number => format!("{number} {many}"),
    }
}

fn headline(report: &Report) -> String {
    let summary = &report.summary;
    let looked = format!("{} looked at in {} ms", count(summary.scanned, "process", "processes"), summary.millis);
    let identical = match summary.identical {
        0 => String::new(),
        number => format!(", {} replaced by the same content", count(number, "file", "files")),
    };
    let mut said = Vec::new();
    if summary.tainted > 0 {
        said.push(format!(
            "{} a file that was overwritten in place and may crash",
            count(summary.tainted, "process maps", "processes map")
        ));
    }
    if summary.stale > 0 {
        said.push(format!("{} old files", count(summary.stale, "process runs", "processes run")));
    }
    if summary.unknown > 0 {
        said.push(format!("{} could not be told", count(summary.unknown, "process", "processes")));
    }
    match said.is_empty() {
        true => format!("Nothing runs an old file ({looked}{identical})."),
        false => format!("{} ({looked}{identical}).", capital(&said.join(", "))),
    }
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// An owner's name for people.
pub fn name_of(owner: &Owner) -> String {
    let user = |owner: &Owner| owner.uid.map(|uid| format!(" of user {uid}")).unwrap_or_default();
    match owner.kind {
        OwnerKind::Service => owner.name.clone(),
        OwnerKind::UserService => format!("{}{}", owner.name, user(owner)),
        OwnerKind::Session => {
            let number =
                owner.name.strip_prefix("session-").and_then(|name| name.strip_suffix(".scope")).unwrap_or(&owner.name);
            format!("session {number}{}", user(owner))
        }
        OwnerKind::Container => format!("container {} ({})", owner.name, owner.runtime.as_deref().unwrap_or("unknown")),
        OwnerKind::Init => "init (PID 1)".to_owned(),
        OwnerKind::UserManager => format!("manager{}", user(owner)),
        OwnerKind::Loose => "no unit".to_owned(),
    }
}

fn owner(out: &mut String, report: &Report, row: &OwnerRow, asked: Asked, style: &Style) {
    let color = match (row.proof, row.verdict) {
        (Some(Proof::Fresh), _) => GREEN,
        (_, Verdict::Tainted) => RED,
        _ => YELLOW,
    };
    let name = style.paint(color, &name_of(&row.owner));
    let verdict = match row.verdict {
        Verdict::Tainted => "  tainted",
        _ => "",
    };
    let _ = writeln!(out, "{name}{verdict}  {}", fate(row, asked));
    if style.verbose && !row.decision.rule.is_empty() {
        let _ = writeln!(out, "    rule \"{}\"{}", row.decision.rule, source(row));
    }
    for step in &row.steps {
        let line = format!(
            "    {} {} after {}: {}",
            step.action,
            step.outcome,
            millis(step.millis),
            escape(step.message.as_bytes())
        );
        let _ = writeln!(out, "{line}");
    }
    let members: Vec<_> = report
        .processes
        .iter()
        .filter(|process| process.process.owner == row.owner && process.verdict >= Verdict::Stale)
        .collect();
    let names: Vec<String> = members
        .iter()
        .map(|process| format!("{} {}", process.process.key.pid, escape(&process.process.comm)))
        .collect();
    if !names.is_empty() {
        wrapped(out, &names, style.columns);
    }
    let (code, data): (Vec<&Cause>, Vec<&Cause>) = row.causes.iter().partition(|cause| cause.kind != CauseKind::Data);
    for cause in code.into_iter().chain(data) {
        cause_line(out, report, cause, style);
    }
}

fn source(row: &OwnerRow) -> String {
    match row.decision.source.is_empty() {
        true => String::new(),
        false => format!(" ({})", row.decision.source),
    }
}

/// What will be or was done, in some words.
fn fate(row: &OwnerRow, asked: Asked) -> String {
    if let Some(proof) = row.proof {
        return match proof {
            Proof::Fresh => "proven fresh".to_owned(),
            Proof::StillStale => "still runs an old file".to_owned(),
            Proof::Draining => "old processes are finishing their work".to_owned(),
            Proof::Down => "is down".to_owned(),
            Proof::Gone => "ended".to_owned(),
            Proof::Unknown => "could not be proven".to_owned(),
        };
    }
    if let Some(skip) = &row.decision.skip {
        return format!("left alone: {skip}");
    }
    let words: Vec<&str> = row.decision.ladder.iter().map(|action| action.word()).collect();
    match row.decision.ladder.as_slice() {
        [] => String::new(),
        [Action::Report] | [Action::Ignore] => format!("reported only (rule \"{}\")", row.decision.rule),
        [Action::RebootHint] => format!("needs a reboot (rule \"{}\")", row.decision.rule),
        _ if asked == Asked::Apply => format!("nothing was done (rule \"{}\")", row.decision.rule),
        _ => format!("will {} (rule \"{}\")", words.join(", else "), row.decision.rule),
    }
}

fn millis(number: u64) -> String {
    match number {
        0..=999 => format!("{number} ms"),
        _ => format!("{}.{} s", number / 1000, number % 1000 / 100),
    }
}

/// Items with commas, broken at the width.
fn wrapped(out: &mut String, items: &[String], columns: usize) {
    const INDENT: &str = "    ";
    let mut line = INDENT.to_owned();
    for (index, item) in items.iter().enumerate() {
        let comma = if index + 1 < items.len() { "," } else { "" };
        if line.len() > INDENT.len() && line.chars().count() + item.chars().count() + 2 > columns {
            let _ = writeln!(out, "{line}");
            line = INDENT.to_owned();
        }
        if line.len() > INDENT.len() {
            line.push(' ');
        }
        let _ = write!(line, "{item}{comma}");
    }
    let _ = writeln!(out, "{line}");
}

fn cause_line(out: &mut String, report: &Report, cause: &Cause, style: &Style) {
    let path = escape_path(&cause.path);
    let mut how = method_words(cause);
    if let Some(package) = &cause.package {
        how = format!("{}, {how}", package_words(package, report));
    }
    let first = format!("    {:10} {path}", cause.kind.word());
    match first.chars().count() + how.chars().count() + 2 <= style.columns {
        true => {
            let _ = writeln!(out, "{first}  {}", style.paint(FAINT, &how));
        }
        false => {
            let _ = writeln!(out, "{first}\n               {}", style.paint(FAINT, &how));
        }
    }
    if style.verbose && !cause.evidence.is_empty() {
        let _ = writeln!(out, "               {}", style.paint(FAINT, &cause.evidence));
    }
}

fn method_words(cause: &Cause) -> String {
    match cause.method {
        Method::Unknown => "replaced".to_owned(),
        Method::Overwritten if cause.kind != CauseKind::Script => {
            "overwritten in place: restart it before it crashes".to_owned()
        }
        method => method.word().to_owned(),
    }
}

fn package_words(name: &str, report: &Report) -> String {
    let packages: &[Package] = report.transaction.as_ref().map_or(&[], |transaction| &transaction.packages);
    let row = packages.iter().find(|package| package.name == name);
    match row.map(|package| (package.old.as_deref(), package.new.as_deref())) {
        Some((Some(old), Some(new))) => format!("{name} {old} \u{2192} {new}"),
        Some((Some(old), None)) => format!("{name} {old}, removed"),
        Some((None, Some(new))) => format!("{name} \u{2192} {new}"),
        _ => name.to_owned(),
    }
}

fn unknown(out: &mut String, report: &Report, style: &Style) {
    for row in report.processes.iter().filter(|row| row.verdict == Verdict::Unknown) {
        let process = &row.process;
        let _ = writeln!(
            out,
            "\n{}  could not be told: {}",
            style.paint(
                FAINT,
                &format!("pid {} {} ({})", process.key.pid, escape(&process.comm), name_of(&process.owner))
            ),
            row.gap.as_deref().unwrap_or("unknown")
        );
    }
}

fn fresh(out: &mut String, report: &Report, style: &Style) {
    let rows: Vec<String> = report
        .processes
        .iter()
        .filter(|row| row.verdict == Verdict::Fresh)
        .map(|row| format!("{} {}", row.process.key.pid, escape(&row.process.comm)))
        .collect();
    if !rows.is_empty() {
        let _ = writeln!(out, "\nfresh");
        wrapped(out, &rows, style.columns);
    }
}

fn next_step(report: &Report, asked: Asked) -> Option<String> {
    let acting = report.owners.iter().filter(|row| row.decision.acts()).count();
    let down = report.owners.iter().find(|row| row.proof == Some(Proof::Down));
    match asked {
        Asked::Report | Asked::Plan if acting > 0 => {
            Some(format!("Next: reexec apply    (acts on {}, and proves it)", count(acting, "of them", "of them")))
        }
        Asked::Report | Asked::Plan if report.summary.stale + report.summary.tainted > 0 => {
            Some("Next: say in /etc/reexec/policy.yaml what may be restarted, or restart it by hand".to_owned())
        }
        Asked::Apply => down.map(|row| format!("Next: systemctl status {}", row.owner.name)),
        Asked::Report | Asked::Plan => None,
    }
}

/// What the doctor found, aligned.
pub fn doctor(checks: &[Check], style: &Style) -> String {
    let width = checks.iter().map(|check| check.what.chars().count()).max().unwrap_or(0);
    let mut out = String::new();
    for check in checks {
        let (word, color) = match check.health {
            Health::Good => ("ok  ", GREEN),
            Health::Less => ("note", YELLOW),
            Health::Bad => ("BAD ", RED),
        };
        let _ =
            writeln!(out, "{}  {:width$}  {}", style.paint(color, word), check.what, escape(check.found.as_bytes()));
        if !check.mend.is_empty() {
            let _ = writeln!(out, "      {:width$}  mend it: {}", "", check.mend);
        }
    }
    out
}
