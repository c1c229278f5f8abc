//! The report for people: calm, aligned, worst first, the cause and the next step in one line.

use crate::model::claim::Package;
use crate::model::health::{Check, Health};
use crate::model::old::Way;
use crate::model::owner::{Owner, OwnerKind};
use crate::model::plan::{Action, Outcome};
use crate::model::report::{OwnerRow, Proof, Report};
use crate::model::text::{escape, escape_path};
use crate::model::verdict::{Cause, CauseKind, Certainty, Method, PathRoot, Verdict};
pub use crate::render::style::Style;
use crate::render::style::INDENT;
use std::fmt::Write as _;

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

/// Processes of one owner that are named without `--verbose`.
const MOST_NAMED: usize = 20;

/// The whole report.
pub fn render(report: &Report, asked: Asked, style: &Style) -> String {
    let mut out = String::new();
    style.paragraph(&mut out, "", &headline(report));
    if style.color {
        out = format!("{}\n", style.bold(out.trim_end()));
    }
    if style.verbose {
        out.push_str(&way(report));
    }
    for row in report.owners.iter().filter(|row| asked != Asked::Report || row.decision.ladder != [Action::Ignore]) {
        out.push('\n');
        out.push_str(&owner(report, row, asked, style));
    }
    unknown(&mut out, report, style);
    fresh(&mut out, report, style);
    for gap in &report.gaps {
        out.push('\n');
        let words = format!("{}: {}", escape(gap.what.as_bytes()), escape(gap.why.as_bytes()));
        style.paragraph(&mut out, "not looked at: ", &words);
    }
    reboot(&mut out, report, style);
    for (index, (command, why)) in next_steps(report, asked).iter().enumerate() {
        out.push_str(if index == 0 { "\n" } else { "" });
        let first = if index == 0 { "Next: " } else { "  or: " };
        let whole = format!("{first}{command}    ({why})");
        match whole.chars().count() <= style.columns {
            true => {
                let _ = writeln!(out, "{first}{}    ({why})", style.bold(command));
            }
            false => {
                let _ = writeln!(out, "{first}{}", style.bold(command));
                style.paragraph(&mut out, "      ", &format!("({why})"));
            }
        }
    }
    out
}

fn reboot(out: &mut String, report: &Report, style: &Style) {
    let reboot = &report.reboot;
    if reboot.reasons.is_empty() {
        return;
    }
    let name = if reboot.soft { "soft reboot needed" } else { "reboot needed" };
    let _ = writeln!(out, "\n{}", style.note(name));
    for reason in &reboot.reasons {
        style.paragraph(out, INDENT, &escape(reason.as_bytes()));
    }
}

/// The report in one line, for the hook's output.
pub fn one_line(report: &Report) -> String {
    headline(report)
}

/// What could not be looked at, in one line; empty where there is nothing of it.
pub fn unlooked(report: &Report) -> String {
    let gaps = report.gaps.iter().map(|gap| format!("{}: {}", gap.what, gap.why));
    let unknown = report.processes.iter().filter(|row| row.verdict == Verdict::Unknown);
    let processes = unknown.map(|row| {
        let why = row.doubt();
        format!("pid {} {}: {why}", row.process.key.pid, escape(&row.process.comm))
    });
    let all: Vec<String> = gaps.chain(processes).map(|what| escape(what.as_bytes())).collect();
    match all.is_empty() {
        true => String::new(),
        false => format!("not looked at: {}", all.join("; ")),
    }
}

/// That others run other old files, of which this report is not.
pub fn others(number: usize) -> String {
    match number {
        0 => String::new(),
        number => {
            let others = count(number, "other process runs", "other processes run");
            format!("\n{others} old files of before: `reexec report` names them.\n")
        }
    }
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
        true if matches!(report.way, Way::Inodes(_)) => {
            "Nothing uses the files that were replaced (their inodes were asked).".to_owned()
        }
        true => format!("Nothing runs an old file ({looked}{identical})."),
        false => format!("{} ({looked}{identical}).", capital(&said.join(", "))),
    }
}

/// Whether the inodes or the processes were asked, and of how many was known what they map, a line each.
fn way(report: &Report) -> String {
    let resting = match report.summary.resting {
        0 => String::new(),
        1 => "1 process has not run since an earlier look: it maps what it mapped then\n".to_owned(),
        number => format!("{number} processes have not run since an earlier look: they map what they mapped then\n"),
    };
    let way = match &report.way {
        Way::Inodes(number) => {
            let number = count(*number, "file", "files");
            format!("asked the inodes of {number} that were replaced: nobody has one of them open or mapped\n")
        }
        Way::Processes(why) if why.is_empty() => String::new(),
        Way::Processes(why) => format!("looked at the processes, since {}\n", escape(why.as_bytes())),
    };
    way + &resting
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

/// One owner: its name, what will be or was done, its processes and the old files.
pub fn owner(report: &Report, row: &OwnerRow, asked: Asked, style: &Style) -> String {
    let mut out = String::new();
    let name = match (row.proof, row.verdict) {
        (Some(Proof::Fresh), _) => style.good(&name_of(&row.owner)),
        (_, Verdict::Tainted) => style.bad(&name_of(&row.owner)),
        _ => style.note(&name_of(&row.owner)),
    };
    let tainted = if row.verdict == Verdict::Tainted { "  tainted" } else { "" };
    // Colours have no width: the line is broken as if there were none.
    let plain = format!("{}{tainted}  ", name_of(&row.owner));
    let mut first = String::new();
    style.paragraph(&mut first, &plain, &fate(row, asked));
    out.push_str(&first.replacen(&name_of(&row.owner), &name, 1));
    if style.verbose && !row.decision.rule.is_empty() {
        style.paragraph(&mut out, INDENT, &format!("rule \"{}\"{}", row.decision.rule, source(row)));
    }
    if row.steps.is_empty() {
        row.decision.notes.iter().for_each(|note| style.paragraph(&mut out, INDENT, note));
    }
    for step in &row.steps {
        let message = escape(step.message.as_bytes());
        let words = format!("{} {} after {}: {message}", step.action, step.outcome, millis(step.millis));
        style.paragraph(&mut out, INDENT, &words);
    }
    let members = report
        .processes
        .iter()
        .filter(|process| process.process.owner == row.owner && process.verdict >= Verdict::Stale);
    let mut names: Vec<String> =
        members.map(|process| format!("{} {}", process.process.key.pid, escape(&process.process.comm))).collect();
    if names.len() > MOST_NAMED && !style.verbose {
        let rest = names.split_off(MOST_NAMED).len();
        names.push(format!("and {rest} more (-v)"));
    }
    style.wrap(&mut out, &names);
    causes(&mut out, report, row, style);
    out
}

fn source(row: &OwnerRow) -> String {
    match row.decision.source.is_empty() {
        true => String::new(),
        false => format!(" ({})", row.decision.source),
    }
}

/// Whether the user was told, and that is all.
fn told(row: &OwnerRow) -> bool {
    row.steps.last().is_some_and(|step| step.action == Action::Notify && step.outcome == Outcome::Done)
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
        _ if told(row) => format!("its user was told (rule \"{}\")", row.decision.rule),
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

/// The old files of an owner, worst first, those of one package together. What is so of several in a row is
/// said once, below the last of them; or beside each where there is room.
fn causes(out: &mut String, report: &Report, row: &OwnerRow, style: &Style) {
    const BELOW: &str = "               ";
    let mut sorted: Vec<&Cause> = row.causes.iter().collect();
    let harmless = |cause: &Cause| (cause.kind == CauseKind::Data, cause.method != Method::Overwritten);
    sorted.sort_by_key(|cause| (harmless(cause), cause.kind, cause.package.is_none(), cause.package.clone()));
    let lines: Vec<(String, String, &str)> = sorted
        .iter()
        .map(|cause| {
            let package = cause.package.as_deref().map(|name| format!("{}, ", package_words(name, packages(report))));
            let evidence = if style.verbose { cause.evidence.as_str() } else { "" };
            let first = format!("{INDENT}{:10} {}", cause.kind.word(), escape_path(&cause.path));
            (first, package.unwrap_or_default() + &method_words(cause) + root_words(cause.root), evidence)
        })
        .collect();
    let width = |text: &str| text.chars().count();
    let widest = lines.iter().map(|(first, ..)| width(first)).max().unwrap_or(0);
    let is_beside =
        lines.iter().all(|(_, how, evidence)| evidence.is_empty() && widest + 2 + width(how) <= style.columns);
    for (index, (first, how, evidence)) in lines.iter().enumerate() {
        if is_beside {
            let _ = writeln!(out, "{first:widest$}  {}", style.faint(how));
            continue;
        }
        let _ = writeln!(out, "{first}");
        if lines.get(index + 1).is_some_and(|(_, next, why)| (next, why) == (how, evidence)) {
            continue;
        }
        let mut below = String::new();
        for words in [how.as_str(), evidence].iter().filter(|words| !words.is_empty()) {
            style.paragraph(&mut below, BELOW, words);
        }
        for line in below.lines() {
            let text = line.trim_start();
            let _ = writeln!(out, "{}{}", &line[..line.len() - text.len()], style.faint(text));
        }
    }
}

fn packages(report: &Report) -> &[Package] {
    report.transaction.as_ref().map_or(&[], |transaction| &transaction.packages)
}

/// Where the path is meant from, if not from the host's root.
pub fn root_words(root: PathRoot) -> &'static str {
    match root {
        PathRoot::Host => "",
        PathRoot::Own => "; its own file, not the host's",
        PathRoot::Mounted => "; mounted into it, not its own",
    }
}

fn method_words(cause: &Cause) -> String {
    match cause.method {
        method if cause.certainty == Certainty::Likely => match method {
            Method::Unknown => "replaced (likely read)".to_owned(),
            method => format!("{method} (likely read)"),
        },
        Method::Unknown => "replaced".to_owned(),
        Method::Overwritten if cause.kind != CauseKind::Script => {
            "overwritten in place: restart it before it crashes".to_owned()
        }
        method => method.word().to_owned(),
    }
}

/// A package, and what its versions were and are, as far as these say.
pub fn package_words(name: &str, packages: &[Package]) -> String {
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
        let who = format!("pid {} {} ({})", process.key.pid, escape(&process.comm), name_of(&process.owner));
        let why = format!("could not be told: {}", row.doubt());
        out.push('\n');
        style.paragraph(out, &format!("{who}  "), &why);
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
        style.wrap(out, &rows);
    }
}

/// What to type next, and why; the most useful first.
fn next_steps(report: &Report, asked: Asked) -> Vec<(String, String)> {
    let mut steps = Vec::new();
    let named =
        |wanted: &dyn Fn(&&OwnerRow) -> bool| -> Vec<&OwnerRow> { report.owners.iter().filter(wanted).collect() };
    if asked == Asked::Apply {
        for row in named(&|row| row.proof == Some(Proof::Down)).iter().take(2) {
            steps.push((format!("systemctl status {}", row.owner.name), "why it is down".to_owned()));
        }
        for row in named(&|row| matches!(row.proof, Some(Proof::StillStale | Proof::Unknown))).iter().take(1) {
            steps.push((format!("reexec explain {}", row.owner.name), "why it is not proven".to_owned()));
        }
    } else {
        // Whom a note goes to is told by itself; nobody need be asked to type anything for it.
        let changes = |row: &&OwnerRow| row.decision.acts() && row.decision.ladder.iter().any(|step| step.changes());
        let acting = report.owners.iter().filter(changes).count();
        if acting > 0 {
            let why = format!("acts on {}, and proves it", count(acting, "of them", "of them"));
            steps.push(("reexec apply".to_owned(), why));
        }
        // What a rule leaves alone on purpose is not for a restart by hand either.
        let is_open = |row: &&OwnerRow| {
            row.owner.kind == OwnerKind::Service
                && row.decision.ladder == [Action::Report]
                && row.decision.rule == "default"
        };
        if let [first, rest @ ..] = named(&is_open).as_slice() {
            let more = if rest.is_empty() { String::new() } else { format!(", and {} more like it", rest.len()) };
            let why = format!("no rule says what to do about it{more}; see reexec-policy(5)");
            steps.push((format!("systemctl restart {}", first.owner.name), why));
        }
        let loose = named(&|row| row.owner.kind == OwnerKind::Loose && row.verdict >= Verdict::Stale);
        if let (true, Some(pid)) = (steps.is_empty(), loose.first().and_then(|row| row.pids.first())) {
            let why = "why; what belongs to no unit is started anew by hand".to_owned();
            steps.push((format!("reexec explain {pid}"), why));
        }
        if steps.is_empty() && report.owners.iter().any(|row| row.owner.kind == OwnerKind::Session) {
            steps.push(("logout".to_owned(), "sessions get the new files at the next login".to_owned()));
        }
    }
    if !report.reboot.reasons.is_empty() {
        steps.push((report.reboot.command().to_owned(), "for the reasons above".to_owned()));
    }
    steps
}

/// What the doctor found, aligned.
pub fn doctor(checks: &[Check], style: &Style) -> String {
    let width = checks.iter().map(|check| check.what.chars().count()).max().unwrap_or(0);
    let mut out = String::new();
    for check in checks {
        let (word, painted) = match check.health {
            Health::Good => ("ok  ", style.good("ok  ")),
            Health::Less => ("note", style.note("note")),
            Health::Bad => ("BAD ", style.bad("BAD ")),
        };
        let mut lines = String::new();
        style.paragraph(&mut lines, &format!("{word}  {:width$}  ", check.what), &escape(check.found.as_bytes()));
        let _ = write!(out, "{painted}{}", lines.strip_prefix(word).unwrap_or(&lines));
        if !check.mend.is_empty() {
            let _ = writeln!(out, "      {:width$}  mend it: {}", "", style.bold(&check.mend));
        }
    }
    out
}
