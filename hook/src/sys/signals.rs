//! A sequence of signals, each sent only when what the one before it asked for has come.

use super::files::{Links, Root};
use super::mappings::{Mappings, Source};
use super::pinned::{NotSent, Pinned};
use super::procs::{self, ProcessHandle};
use crate::model::file::FileId;
use crate::model::mapping::Wanted;
use crate::model::owner::cgroup_path;
use crate::model::plan::Outcome;
use crate::model::policy::{SignalTo, SignalUntil, Signalling};
use crate::model::process::ProcessKey;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Signals for one owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signals {
    /// Where `/proc` is.
    pub proc: PathBuf,
    /// What is sent, in order.
    pub sequence: Vec<Signalling>,
    /// The main process, if it is stale, or the one whose place a new one has taken.
    pub main: ProcessKey,
    /// All stale processes of the owner.
    pub stale: Vec<ProcessKey>,
    /// The cgroup that all of them are in.
    pub cgroup: Vec<u8>,
    /// The program that a successor runs.
    pub exe: PathBuf,
    /// Inodes that a successor does not map.
    pub old: Vec<FileId>,
}

const PULSE: Duration = Duration::from_millis(50);
/// A successor that dies of its configuration does so at once; until then nobody is told to go.
const SUCCESSOR_STAYS: Duration = Duration::from_millis(500);

/// Sends them; the outcome and words for it.
pub fn send(signals: &Signals, deadline: Duration) -> (Outcome, String) {
    let mut pinned = Vec::new();
    for key in &signals.stale {
        match Pinned::open(&signals.proc, *key) {
            Ok(process) => pinned.push(process),
            Err(NotSent::Ended) => {}
            Err(error) => return (Outcome::Failed, words(&error)),
        }
    }
    let mut told = Vec::new();
    for step in &signals.sequence {
        let to: Vec<&Pinned> =
            pinned.iter().filter(|one| step.to == SignalTo::Stale || one.key == signals.main).collect();
        // Done before us, by a run that was killed: nothing is asked for twice.
        let is_there = step.until == SignalUntil::Successor && successor(signals).is_some();
        match is_there {
            true => told.push(format!("{} not sent: its successor runs", step.send)),
            false => match send_one(step, &to) {
                Ok(count) => told.push(format!("{} sent to {count}", step.send)),
                Err((outcome, why)) => return (outcome, format!("{} not sent: {why}", step.send)),
            },
        }
        if let Err(why) = wait(signals, step, &to, step.deadline.unwrap_or(deadline)) {
            told.push(why);
            return (Outcome::TimedOut, told.join(", "));
        }
    }
    (Outcome::Done, told.join(", "))
}

/// Sends one signal to all of them that have a handler; all or none of those are asked.
fn send_one(step: &Signalling, to: &[&Pinned]) -> Result<String, (Outcome, String)> {
    let mut sent = Vec::new();
    for process in to {
        match process.send(step.send) {
            Ok(()) => sent.push(process.key.pid.to_string()),
            Err(NotSent::Ended) => {}
            Err(NotSent::NoHandler) => {
                let why = format!("pid {} has no handler for it, and would be killed", process.key.pid);
                return Err((Outcome::Refused, why));
            }
            Err(error) => return Err((Outcome::Failed, words(&error))),
        }
    }
    match sent.is_empty() {
        true => Err((Outcome::Vanished, "whom it was for has ended".to_owned())),
        false => Ok(format!("pid {}", sent.join(", "))),
    }
}

fn words(error: &NotSent) -> String {
    match error {
        NotSent::Ended => "it has ended".to_owned(),
        NotSent::NoHandler => "it has no handler".to_owned(),
        NotSent::Failed(why) => why.clone(),
    }
}

/// Waits for what a signal asks for; an error is what did not come.
fn wait(signals: &Signals, step: &Signalling, to: &[&Pinned], deadline: Duration) -> Result<(), String> {
    let end = Instant::now() + deadline;
    match step.until {
        SignalUntil::Sent => Ok(()),
        SignalUntil::Ended => {
            let left = |process: &&&Pinned| !process.ends_within(end.saturating_duration_since(Instant::now()));
            match to.iter().filter(left).count() {
                0 => Ok(()),
                left => Err(format!("{left} have not ended in time")),
            }
        }
        SignalUntil::Successor => {
            let mut since: Option<(ProcessKey, Instant)> = None;
            while Instant::now() < end {
                since = match (successor(signals), since) {
                    (Some(key), Some((known, when))) if key == known => {
                        if when.elapsed() >= SUCCESSOR_STAYS {
                            return Ok(());
                        }
                        Some((known, when))
                    }
                    (Some(key), _) => Some((key, Instant::now())),
                    (None, _) => None,
                };
                std::thread::sleep(PULSE);
            }
            Err("no successor with the new program has come up".to_owned())
        }
    }
}

/// A process of the owner that runs what is on disk now, and no old file.
fn successor(signals: &Signals) -> Option<ProcessKey> {
    let current = Root::Own.look(&signals.exe, Links::Follow).found()?.id;
    let processes = procs::list(&signals.proc).ok()?;
    let fits = |process: &ProcessHandle| {
        cgroup_path(&process.cgroup()).is_some_and(|path| path == signals.cgroup)
            && process.look_at_exe().found().is_some_and(|exe| exe.id == current)
            && !maps_old(process, &signals.old)
    };
    processes
        .filter_map(|process| {
            let started = process.stat().ok()?.start_ticks;
            let key = ProcessKey { pid: process.pid, start_ticks: started };
            (!signals.stale.contains(&key) && fits(&process)).then_some(key)
        })
        .min()
}

/// Whether one of these inodes is mapped; a process that cannot be asked is no successor.
fn maps_old(process: &ProcessHandle, old: &[FileId]) -> bool {
    let mut mappings = Mappings::from(Source::Text);
    let read = process.open_maps().and_then(|maps| mappings.read(&maps, Wanted::Files));
    read.is_err() || mappings.rows().iter().any(|row| old.iter().any(|id| id.ino == row.mapping.id.ino))
}
