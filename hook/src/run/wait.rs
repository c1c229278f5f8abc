//! Waiting: for package managers to be done, and for units to fall over or not.

use super::desk::Desk;
use super::steps::PULSE;
use crate::model::policy::print_duration;
use crate::model::text::escape_path;
use crate::model::unit::{UnitFacts, UnitName, Units};
use crate::sys::holders::{self, Lock};
use crate::sys::plugin::{Busy, Plugin};
use crate::sys::progress;
use crate::sys::services::units;
use anyhow::Result;
use std::time::{Duration, Instant};

/// One question to a plugin.
const BUSY_DEADLINE: Duration = Duration::from_secs(5);
/// Between two looks.
pub const BUSY_PULSE: Duration = Duration::from_millis(400);
/// A transaction that is stopped at a question for the admin may wait for a night.
pub const BUSY_AT_MOST: Duration = Duration::from_secs(24 * 3600);

/// Waits until no trigger has come for `quiet`; whether that was before `end`.
pub fn until_quiet(desk: &Desk<'_>, quiet: Duration, end: Instant) -> bool {
    let _line = progress::show("waiting until no package manager is at work");
    let mut since = Instant::now();
    let mut seen = desk.store.pending_files();
    while since.elapsed() < quiet && Instant::now() < end {
        std::thread::sleep(BUSY_PULSE.min(quiet));
        let now = desk.store.pending_files();
        if now != seen {
            since = Instant::now();
            seen = now;
        }
    }
    Instant::now() < end
}

/// What a package manager is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Nobody is at work.
    Idle,
    /// A transaction is in progress, and how that is known.
    AtWork(Vec<String>),
    /// Nobody is at work, but a transaction was left half-way, and how that is known.
    LeftHalfWay(Vec<String>),
}

/// Whether a package manager is at work.
pub fn is_busy(desk: &Desk<'_>) -> bool {
    desk.plugins.iter().any(|plugin| matches!(state(desk, plugin), Ok(State::AtWork(_))))
}

/// How it is known of any package manager that a transaction was left half-way; empty when none was.
pub fn left_half_way(desk: &Desk<'_>) -> Vec<String> {
    let words = |plugin: &Plugin| match state(desk, plugin) {
        Ok(State::LeftHalfWay(words)) => words.iter().map(|word| format!("{}: {word}", plugin.name())).collect(),
        Ok(State::Idle | State::AtWork(_)) | Err(_) => Vec::new(),
    };
    desk.plugins.iter().flat_map(words).collect()
}

/// What a plugin says of its package manager. A lock that is only a file is worth what the process is
/// that has it open; that is for us to look at, a plugin may not.
pub fn state(desk: &Desk<'_>, plugin: &Plugin) -> Result<State> {
    state_of(desk, plugin.busy(&desk.common.root, BUSY_DEADLINE)?)
}

/// What such an answer of a plugin means.
pub fn state_of(desk: &Desk<'_>, busy: Busy) -> Result<State> {
    let root = &desk.common.root;
    let (lock, mut words) = match busy {
        Busy::Idle => return Ok(State::Idle),
        Busy::Busy(words) => return Ok(State::AtWork(words)),
        Busy::Interrupted(words) => return Ok(State::LeftHalfWay(words)),
        Busy::Locked { lock, words } => (root.join(lock.strip_prefix("/").unwrap_or(&lock)), words),
    };
    let shown = escape_path(&lock);
    match holders::lock(&desk.common.proc, &lock)? {
        Lock::Held { pid, name } => Ok(State::AtWork(vec![format!("{shown} is held by {name}, process {pid}")])),
        Lock::Hidden(count) => {
            let why = format!("{shown} is there, and {count} processes that may have it open cannot be looked at");
            Ok(State::AtWork(vec![why]))
        }
        Lock::LeftOver => {
            words.insert(0, format!("{shown} was left over, no process has it open"));
            Ok(State::LeftHalfWay(words))
        }
        Lock::Released if words.is_empty() => Ok(State::Idle),
        Lock::Released => Ok(State::LeftHalfWay(words)),
    }
}

/// Waits until the units have been up for `settle`; ends early when all of them have fallen over.
pub fn settle(names: &[UnitName], at_once: &Units, settle: Duration) {
    let end = Instant::now() + settle;
    let up: Vec<UnitName> =
        names.iter().filter(|name| at_once.get(name).is_some_and(|unit| unit.is_active())).cloned().collect();
    if up.is_empty() {
        return;
    }
    let _line = progress::show(format!("waiting whether {} stays up", some(&up)));
    while Instant::now() < end {
        std::thread::sleep(PULSE.min(end.saturating_duration_since(Instant::now())));
        if units(&up).values().all(|unit| !unit.is_active()) {
            return;
        }
    }
}

/// Waits until what was queued for these units before we came has ended.
pub fn until_settled(names: &[UnitName], deadline: Duration) {
    let end = Instant::now() + deadline;
    let _line = progress::show(format!("waiting for jobs of {}", some(names)));
    while Instant::now() < end && units(names).values().any(UnitFacts::is_changing) {
        std::thread::sleep(PULSE);
    }
}

/// The first of some names, and how many more there are.
pub fn some(names: &[UnitName]) -> String {
    match names {
        [] => "nothing".to_owned(),
        [one] => one.name.clone(),
        [first, rest @ ..] => format!("{} and {} more", first.name, rest.len()),
    }
}

/// A span as a policy would write it.
pub fn words(span: Duration) -> String {
    print_duration(span)
}
