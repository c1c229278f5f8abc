//! To which processes of an owner signals go: the facts of a look, for who sends them.

use super::steps::Due;
use crate::model::judge::VerdictOf;
use crate::model::plan::Outcome;
use crate::model::policy::Signalling;
use crate::model::process::ProcessKey;
use crate::model::verdict::Verdict;
use crate::sys::services;
use crate::sys::signals::Signals;
use std::path::PathBuf;

/// The signals for an owner; `None` where nobody of it is stale.
pub fn signals(due: &Due<'_>, sequence: &[Signalling]) -> Option<Signals> {
    let stale: Vec<&VerdictOf> = due.members.iter().copied().filter(|row| row.verdict >= Verdict::Stale).collect();
    let main = main_of(&stale, due)?;
    let exe = stale.iter().find(|row| row.process.key == main)?.process.exe.clone()?;
    let causes = stale.iter().flat_map(|row| &row.causes);
    Some(Signals {
        proc: due.proc.to_owned(),
        sequence: sequence.to_vec(),
        main,
        stale: stale.iter().map(|row| row.process.key).collect(),
        cgroup: stale.first()?.process.cgroup.clone(),
        exe: on_disk(exe),
        old: causes.filter_map(|cause| cause.mapped).filter(|id| causes_differ(&stale, *id)).collect(),
    })
}

/// An inode that was overwritten in place is also what a successor maps: it tells nobody apart.
fn causes_differ(stale: &[&VerdictOf], id: crate::model::file::FileId) -> bool {
    let mut causes = stale.iter().flat_map(|row| &row.causes);
    causes.all(|cause| cause.mapped != Some(id) || cause.current != Some(id))
}

/// The main process where it is stale; else the eldest stale one, as an old master beside its successor.
fn main_of(stale: &[&VerdictOf], due: &Due<'_>) -> Option<ProcessKey> {
    let main_pid = due.row.owner.unit().and_then(|name| {
        let facts = services::units(std::slice::from_ref(&name));
        facts.get(&name).map(|unit| unit.main_pid as i32)
    });
    let keys = || stale.iter().map(|row| row.process.key);
    keys().find(|key| Some(key.pid) == main_pid).or_else(|| keys().min_by_key(|key| (key.start_ticks, key.pid)))
}

/// The path without the word that the kernel puts behind the name of a file that is gone.
fn on_disk(exe: PathBuf) -> PathBuf {
    let text = exe.to_string_lossy();
    text.strip_suffix(" (deleted)").map(PathBuf::from).unwrap_or(exe)
}

/// Whether a step ended as it was meant to.
pub fn went_well(outcome: Outcome) -> bool {
    outcome == Outcome::Done
}
