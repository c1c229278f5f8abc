//! The one place that changes the machine.

use super::asking;
use super::inits;
use super::notes;
use super::program::{self, Invocation};
use super::services;
use super::signals::{self, Signals};
use super::systemd::{self, Job, JobEnd, Systemd};
use super::user::{self, Errand};
use crate::model::note::Note;
use crate::model::plan::Outcome;
use crate::model::process::ProcessKey;
use crate::model::unit::{UnitName, Units};
use anyhow::{Context, Result};
use std::path::Path;
use std::time::{Duration, Instant};

/// What is to be done for many units or managers at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Batch {
    /// Reload these units.
    Reload(Vec<UnitName>),
    /// Restart those of these units that are running.
    Restart(Vec<UnitName>),
    /// Restart these units, which a step of ours has brought down.
    Revive(Vec<UnitName>),
    /// Start these units, which fell with one that was restarted.
    Start(Vec<UnitName>),
    /// Let these managers execute themselves again: `init`, or the units of users' managers.
    Reexecute(Vec<String>),
}

/// What is to be done for one owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Single {
    /// Send signals.
    Signal(Signals),
    /// Ask these processes to execute themselves anew.
    Ask(Vec<ProcessKey>),
    /// Run a program of the policy.
    Run {
        /// Its path and arguments.
        run: Vec<String>,
        /// All of its environment.
        environment: Vec<(&'static str, String)>,
    },
    /// Tell a user.
    Notify {
        /// The user.
        uid: u32,
        /// What is said.
        note: Note,
        /// The units of the sessions whose terminals get a line, too.
        terminals: Vec<String>,
    },
    /// Restart user space.
    SoftReboot,
}

/// Does it; one answer for each name, in their order.
pub fn batch(wanted: &Batch, deadline: Duration) -> Vec<JobEnd> {
    let started = Instant::now();
    match wanted {
        Batch::Reload(names) => services::run_jobs(Job::Reload, names, deadline),
        Batch::Restart(names) => services::run_jobs(Job::TryRestart, names, deadline),
        Batch::Revive(names) => services::run_jobs(Job::Restart, names, deadline),
        Batch::Start(names) => services::run_jobs(Job::Start, names, deadline),
        Batch::Reexecute(names) => names
            .iter()
            .map(|name| match reexecute(name) {
                Ok(()) => end(Outcome::Done, "asked to execute itself again", started),
                Err(error) => services::failed(&error, started),
            })
            .collect(),
    }
}

/// Does it.
pub fn single(wanted: &Single, deadline: Duration) -> JobEnd {
    let started = Instant::now();
    match wanted {
        Single::Signal(signals) => {
            let (outcome, message) = signals::send(signals, deadline);
            end(outcome, &message, started)
        }
        Single::Ask(processes) => {
            let (outcome, message) = asking::ask_all(processes, deadline);
            end(outcome, &message, started)
        }
        Single::Run { run, environment } => {
            let path = run.first().map_or("", String::as_str);
            if let Err(error) = program::is_trusted(Path::new(path)) {
                return end(Outcome::Refused, &format!("not run: {error:#}"), started);
            }
            let invocation = Invocation { run: run.clone(), environment: environment.clone(), ..Invocation::default() };
            match program::run(&invocation, deadline) {
                Ok(said) => ended(path, &said, started),
                Err(error) => services::failed(&error, started),
            }
        }
        Single::Notify { uid, note, terminals } => {
            let (outcome, message) = notes::tell(*uid, note, terminals, deadline);
            end(outcome, &message, started)
        }
        Single::SoftReboot => match Systemd::connect().and_then(|systemd| systemd.soft_reboot()) {
            Ok(()) => end(Outcome::Done, "user space restarts", started),
            Err(error) => end(Outcome::Refused, &format!("{error:#}"), started),
        },
    }
}

/// Takes off the marks of those who wanted these units restarted or reloaded: it was done, and must not
/// be done again by whoever looks at the marks next.
pub fn unmark(units: &Units) {
    let marked = units.iter().filter(|(name, facts)| name.user.is_none() && !facts.markers.is_empty());
    for (name, facts) in marked {
        let Ok(systemd) = Systemd::connect() else { return };
        for marker in &facts.markers {
            // A mark that stays makes for one more restart, and nothing worse.
            let _ = systemd.unmark(&name.name, marker);
        }
    }
}

fn ended(path: &str, said: &program::Said, started: Instant) -> JobEnd {
    let last = said.last_line().map(|line| format!(": {line}")).unwrap_or_default();
    let (outcome, how) = match said.status {
        Some(status) if status.success() => (Outcome::Done, format!("{path} succeeded")),
        Some(status) => (Outcome::Failed, format!("{path} ended with {status}")),
        None => (Outcome::TimedOut, format!("{path} was killed, its time was over")),
    };
    end(outcome, &format!("{how}{last}"), started)
}

fn end(outcome: Outcome, message: &str, started: Instant) -> JobEnd {
    JobEnd { outcome, message: message.to_owned(), took: started.elapsed() }
}

fn reexecute(name: &str) -> Result<()> {
    if !systemd::is_running() {
        return inits::reexecute(Path::new("/proc"));
    }
    let systemd = Systemd::connect()?;
    match name {
        "init" => systemd.reexecute(),
        user_manager => reexecute_user_manager(&systemd, user_manager),
    }
}

/// By signal where the manager knows it, else over the user's own bus.
fn reexecute_user_manager(systemd: &Systemd, unit: &str) -> Result<()> {
    if systemd.signal_user_manager(unit)? {
        return Ok(());
    }
    let uid =
        unit.strip_prefix("user@").and_then(|rest| rest.strip_suffix(".service")).and_then(|uid| uid.parse().ok());
    let uid = uid.with_context(|| format!("{unit} is no user's manager"))?;
    user::send(uid, &Errand::Reexecute, Duration::ZERO).map(drop)
}
