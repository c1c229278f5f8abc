//! What `needs-restarting` of the RPM world prints, for what already reads it: processes, services, or
//! whether to reboot; with its exit code.

use crate::model::owner::OwnerKind;
use crate::model::plan::Action;
use crate::model::report::{Overall, Report};
use crate::model::text::escape;
use crate::model::verdict::Verdict;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// Nothing stale was found, but not everything could be looked at: not an answer of theirs.
const INCOMPLETE: u8 = 4;

/// One line a process: its pid and its command line, which the report does not keep.
pub fn processes(report: &Report, commands: &BTreeMap<i32, Vec<Vec<u8>>>) -> (String, u8) {
    let ignored: BTreeSet<i32> = report
        .owners
        .iter()
        .filter(|row| row.decision.ladder == [Action::Ignore])
        .flat_map(|row| row.pids.iter().copied())
        .collect();
    let mut lines = BTreeMap::new();
    for row in report.processes.iter().filter(|row| row.verdict >= Verdict::Stale) {
        let pid = row.process.key.pid;
        let words = commands.get(&pid).filter(|words| !words.is_empty());
        let command = match words {
            Some(words) => words.iter().map(|word| escape(word)).collect::<Vec<_>>().join(" "),
            None => format!("[{}]", escape(&row.process.comm)),
        };
        if !ignored.contains(&pid) {
            lines.insert(pid, command);
        }
    }
    let text = lines.iter().map(|(pid, command)| format!("{pid} : {command}\n")).collect();
    (text, code(report, lines.is_empty()))
}

/// One line a service.
pub fn services(report: &Report) -> (String, u8) {
    let stale = report.owners.iter().filter(|row| row.verdict >= Verdict::Stale);
    let told = stale.filter(|row| row.owner.kind == OwnerKind::Service && row.decision.ladder != [Action::Ignore]);
    let names: BTreeSet<&str> = told.map(|row| row.owner.name.as_str()).collect();
    (names.iter().map(|name| format!("{name}\n")).collect(), code(report, names.is_empty()))
}

fn code(report: &Report, nothing: bool) -> u8 {
    match (nothing, report.overall()) {
        (false, _) => 1,
        (true, Overall::Incomplete) => INCOMPLETE,
        (true, Overall::Fresh | Overall::Stale | Overall::Tainted) => 0,
    }
}

/// Whether to reboot: 1, and the packages that ask for it.
pub fn reboot_hint(report: &Report) -> (String, u8) {
    if report.reboot.reasons.is_empty() {
        let text = "No core libraries or services have been updated since boot-up.\n\
                    Reboot should not be necessary.\n";
        return (text.to_owned(), 0);
    }
    let mut text = "Core libraries or services have been updated since boot-up:\n".to_owned();
    for name in &report.reboot.packages {
        let _ = writeln!(text, "  * {}", escape(name.as_bytes()));
    }
    text.push_str("\nReboot is required to fully utilize these updates.\n");
    for reason in &report.reboot.reasons {
        let _ = writeln!(text, "  {}", escape(reason.as_bytes()));
    }
    (text, 1)
}
