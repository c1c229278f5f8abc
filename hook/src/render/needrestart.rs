//! The batch lines and the Nagios output of needrestart 3.6, for what already reads them.
//!
//! The grammar is that of its `README.batch.md`, `README.nagios.md` and source. Where it hides
//! something we say it all the same, in lines of the same form that come last: stale processes without
//! a unit (`NEEDRESTART-PID`, which needrestart prints for users only), and in Nagios mode what was
//! overwritten in place and what could not be looked at.

use crate::model::owner::{Owner, OwnerKind};
use crate::model::plan::Action;
use crate::model::reboot::{KernelStatus, MicrocodeStatus};
use crate::model::report::{OwnerRow, Report};
use crate::model::text::escape;
use crate::model::verdict::Verdict;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// The version whose grammar this is.
const GRAMMAR: &str = "3.6";

/// What is told of: needrestart's `-k`, `-w` and `-l`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parts {
    /// The running kernel against the installed ones.
    pub kernel: bool,
    /// The processor's microcode.
    pub microcode: bool,
    /// Who runs old files.
    pub processes: bool,
}

impl Parts {
    /// All of them, as where none is asked for by name.
    pub const ALL: Parts = Parts { kernel: true, microcode: true, processes: true };
}

/// Stale owners as needrestart sorts them.
struct Lists {
    services: Vec<String>,
    containers: Vec<String>,
    sessions: Vec<String>,
    loose: BTreeMap<String, Vec<i32>>,
}

impl Lists {
    fn of(report: &Report, parts: Parts) -> Lists {
        let told = || report.owners.iter().filter(|row| parts.processes && is_told(row));
        let named = |name: fn(&Report, &Owner) -> Option<String>| -> BTreeSet<String> {
            told().filter_map(|row| name(report, &row.owner)).collect()
        };
        let mut services: Vec<String> = named(service).into_iter().collect();
        services.sort_by_key(|name| name.to_lowercase());
        let mut containers: Vec<String> = named(container).into_iter().collect();
        containers.sort_by_key(|name| name.to_lowercase());
        let mut loose: BTreeMap<String, Vec<i32>> = BTreeMap::new();
        let is_loose = |row: &&OwnerRow| row.owner.kind == OwnerKind::Loose;
        for pid in told().filter(is_loose).flat_map(|row| &row.pids) {
            let process = report.processes.iter().find(|row| row.process.key.pid == *pid);
            let comm = process.map(|row| printable(&row.process.comm)).unwrap_or_default();
            loose.entry(comm).or_default().push(*pid);
        }
        Lists { services, containers, sessions: named(session).into_iter().collect(), loose }
    }
}

/// What still runs old files, and what nobody wants to hear of.
fn is_told(row: &OwnerRow) -> bool {
    row.verdict >= Verdict::Stale && row.decision.ladder != [Action::Ignore]
}

/// As needrestart prints names of processes: what is no printable ASCII is a question mark.
fn printable(name: &[u8]) -> String {
    name.iter().map(|&byte| if (0x20..=0x7e).contains(&byte) { char::from(byte) } else { '?' }).collect()
}

fn service(report: &Report, owner: &Owner) -> Option<String> {
    match owner.kind {
        OwnerKind::Service => Some(owner.name.clone()),
        OwnerKind::Init => {
            let init = report.processes.iter().find(|row| row.process.owner.kind == OwnerKind::Init);
            let program = init.and_then(|row| row.process.exe.as_deref());
            let systemd = program.is_none_or(|path| path.to_string_lossy().contains("systemd"));
            Some(if systemd { "systemd-manager" } else { "sysv-init" }.to_owned())
        }
        OwnerKind::UserService
        | OwnerKind::UserManager
        | OwnerKind::Session
        | OwnerKind::Container
        | OwnerKind::Loose => None,
    }
}

fn container(_: &Report, owner: &Owner) -> Option<String> {
    if owner.kind != OwnerKind::Container {
        return None;
    }
    Some(match owner.runtime.as_deref() {
        Some("machine") | None => owner.name.clone(),
        Some(kind @ ("lxc" | "lxd")) => format!("{} {}", kind.to_uppercase(), owner.name),
        Some(kind) => format!("{kind} {}", owner.name),
    })
}

fn session(report: &Report, owner: &Owner) -> Option<String> {
    let what = match owner.kind {
        OwnerKind::Session => {
            let number = owner.name.strip_prefix("session-").and_then(|name| name.strip_suffix(".scope"));
            format!("session #{}", number.unwrap_or(&owner.name))
        }
        OwnerKind::UserService | OwnerKind::UserManager => "user manager service".to_owned(),
        OwnerKind::Service | OwnerKind::Init | OwnerKind::Container | OwnerKind::Loose => return None,
    };
    let uid = owner.uid?;
    let user = report.processes.iter().find(|row| row.process.uid == Some(uid));
    let user = user.and_then(|row| row.process.user.clone()).unwrap_or_else(|| uid.to_string());
    Some(format!("{user} @ {what}"))
}

fn kernel_number(status: KernelStatus) -> Option<u8> {
    match status {
        KernelStatus::Skipped => None,
        KernelStatus::Unknown => Some(0),
        KernelStatus::Current => Some(1),
        KernelStatus::Rebuilt => Some(2),
        KernelStatus::Outdated => Some(3),
    }
}

fn microcode_number(status: MicrocodeStatus) -> Option<u8> {
    match status {
        MicrocodeStatus::Skipped => None,
        MicrocodeStatus::Unknown => Some(0),
        MicrocodeStatus::Current => Some(1),
        MicrocodeStatus::Outdated => Some(2),
    }
}

/// What `needrestart -b` prints.
pub fn batch(report: &Report, parts: Parts) -> String {
    let mut out = format!("NEEDRESTART-VER: {GRAMMAR}\n");
    let mut line = |key: &str, value: &str| {
        let _ = writeln!(out, "NEEDRESTART-{key}: {value}");
    };
    let (kernel, microcode) = (&report.reboot.kernel, &report.reboot.microcode);
    if let Some(number) = kernel_number(kernel.status).filter(|_| parts.kernel) {
        line("KCUR", &escape(kernel.running.as_bytes()));
        if let Some(expected) = expected_kernel(report) {
            line("KEXP", &expected);
        }
        line("KSTA", &number.to_string());
    }
    if let Some(number) = microcode_number(microcode.status).filter(|_| parts.microcode) {
        line("UCSTA", &number.to_string());
        for (key, revision) in [("UCCUR", microcode.current), ("UCEXP", microcode.available)] {
            if let Some(revision) = revision {
                line(key, &microcode.print(revision));
            }
        }
    }
    let lists = Lists::of(report, parts);
    lists.services.iter().for_each(|name| line("SVC", name));
    lists.containers.iter().for_each(|name| line("CONT", name));
    lists.sessions.iter().for_each(|name| line("SESS", name));
    for (name, pids) in &lists.loose {
        line("PID", &format!("{name}={}", joined(pids)));
    }
    out
}

/// A kernel that was booted newer than all that are installed expects itself: readers compare the two.
fn expected_kernel(report: &Report) -> Option<String> {
    let kernel = &report.reboot.kernel;
    let expected = match kernel.status {
        KernelStatus::Current => Some(kernel.running.as_str()),
        KernelStatus::Skipped | KernelStatus::Unknown | KernelStatus::Rebuilt | KernelStatus::Outdated => {
            kernel.expected.as_deref()
        }
    };
    expected.map(|release| escape(release.as_bytes()))
}

fn joined(pids: &[i32]) -> String {
    pids.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

/// States of a Nagios plugin, the worst last: what could not be looked at never hides what was found
/// (needrestart sorts by number, and there it does).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum State {
    Ok,
    Unknown,
    Warning,
    Critical,
}

impl State {
    fn word(self) -> &'static str {
        ["OK", "UNKN", "WARN", "CRIT"][self as usize]
    }

    fn code(self) -> u8 {
        [0, 3, 1, 2][self as usize]
    }

    /// The mark behind a figure.
    fn mark(self) -> &'static str {
        match self {
            State::Warning => " (!)",
            State::Critical => " (!!)",
            State::Ok | State::Unknown => "",
        }
    }
}

/// One part of the first line.
struct Part {
    name: &'static str,
    said: String,
    state: State,
    figure: Option<String>,
}

impl Part {
    /// A count, with needrestart's state for more than none.
    fn count(name: &'static str, number: usize, state: State, bounds: &str) -> Part {
        let state = if number == 0 { State::Ok } else { state };
        let said = if number == 0 { "none".to_owned() } else { format!("{number}{}", state.mark()) };
        Part { name, said, state, figure: Some(format!("{name}={number}{bounds}")) }
    }
}

/// What `needrestart -p` prints, and the plugin's exit code. States are the ones that it ships.
pub fn nagios(report: &Report, wanted: Parts) -> (String, u8) {
    let lists = Lists::of(report, wanted);
    let kernel = kernel_part(report).filter(|_| wanted.kernel);
    let mut parts: Vec<Part> = kernel.into_iter().chain(microcode_part(report).filter(|_| wanted.microcode)).collect();
    if wanted.processes {
        parts.extend(process_parts(report, &lists));
    }
    let worst = parts.iter().map(|part| part.state).max().unwrap_or(State::Ok);
    let said: Vec<String> = parts.iter().map(|part| format!("{}: {}", part.name, part.said)).collect();
    let figures: Vec<&str> = parts.iter().filter_map(|part| part.figure.as_deref()).collect();
    let mut out = format!("{} - {}|{}\n", worst.word(), said.join(", "), figures.join(" "));
    let unlooked = if wanted.processes { unlooked_rows(report) } else { Vec::new() };
    for (name, rows) in [
        ("Services", &lists.services),
        ("Containers", &lists.containers),
        ("Sessions", &lists.sessions),
        ("Processes", &loose_rows(&lists)),
        ("Unknown", &unlooked),
    ] {
        if !rows.is_empty() {
            // Behind a bar Nagios reads figures.
            let _ = writeln!(out, "{name}:\n- {}", rows.join("\n- ").replace('|', "/"));
        }
    }
    (out, worst.code())
}

fn loose_rows(lists: &Lists) -> Vec<String> {
    lists.loose.iter().map(|(name, pids)| format!("{name}[{}]", joined(pids))).collect()
}

/// The figures about processes; those that needrestart does not have only where they are not 0.
fn process_parts(report: &Report, lists: &Lists) -> Vec<Part> {
    let mut parts = vec![
        Part::count("Services", lists.services.len(), State::Warning, ";;0;0"),
        Part::count("Containers", lists.containers.len(), State::Warning, ";;0;0"),
        Part::count("Sessions", lists.sessions.len(), State::Critical, ";0;;0"),
    ];
    let unlooked = report.summary.unknown + report.gaps.len();
    for (name, number, state, bounds) in [
        ("Processes", lists.loose.len(), State::Warning, ";;0;0"),
        ("Tainted", report.summary.tainted, State::Critical, ";;0;0"),
        ("Unknown", unlooked, State::Unknown, ";;;0"),
    ] {
        parts.extend((number > 0).then(|| Part::count(name, number, state, bounds)));
    }
    parts
}

/// What is said where nothing could be looked at.
pub fn nagios_failed(why: &str) -> (String, u8) {
    let first = why.lines().next().unwrap_or_default().replace('|', "/");
    (format!("{} - {}\n", State::Unknown.word(), escape(first.as_bytes())), State::Unknown.code())
}

fn kernel_part(report: &Report) -> Option<Part> {
    let kernel = &report.reboot.kernel;
    let number = kernel_number(kernel.status)?;
    let state = [State::Unknown, State::Ok, State::Critical, State::Critical][usize::from(number)];
    let mut said = escape(kernel.running.as_bytes());
    if kernel.status == KernelStatus::Outdated {
        let _ = write!(said, "!={}", expected_kernel(report).unwrap_or_default());
    }
    said.push_str(state.mark());
    let figure = (number > 0).then(|| format!("Kernel={};0;;0;2", number - 1));
    Some(Part { name: "Kernel", said, state, figure })
}

fn microcode_part(report: &Report) -> Option<Part> {
    let number = microcode_number(report.reboot.microcode.status)?;
    let (word, state) =
        [("unknown", State::Unknown), ("CURRENT", State::Ok), ("OBSOLETE", State::Critical)][usize::from(number)];
    let figure = (number > 0).then(|| format!("Microcode={};0;;0;1", number - 1));
    Some(Part { name: "Microcode", said: format!("{word}{}", state.mark()), state, figure })
}

fn unlooked_rows(report: &Report) -> Vec<String> {
    let gaps = report.gaps.iter().map(|gap| format!("{}: {}", gap.what, gap.why));
    let processes = report.processes.iter().filter(|row| row.verdict == Verdict::Unknown).map(|row| {
        let why = row.doubt();
        format!("{}[{}]: {why}", printable(&row.process.comm), row.process.key.pid)
    });
    gaps.chain(processes).map(|row| escape(row.as_bytes())).collect()
}
