//! Waiting: for package managers to be done, and for units to fall over or not.

use super::desk::Desk;
use super::steps::PULSE;
use crate::model::policy::print_duration;
use crate::model::unit::{UnitFacts, UnitName, Units};
use crate::sys::plugin::Busy;
use crate::sys::progress;
use crate::sys::services::units;
use std::time::{Duration, Instant};

/// One question to a plugin.
const BUSY_DEADLINE: Duration = Duration::from_secs(5);
/// Between two questions.
const BUSY_PULSE: Duration = Duration::from_millis(400);
/// A transaction that is stopped at a question for the admin may wait for a night.
const BUSY_AT_MOST: Duration = Duration::from_secs(24 * 3600);

/// Waits until no package manager has been at work and no trigger has come for `quiet`.
pub fn until_quiet(desk: &Desk<'_>, quiet: Duration) {
    let _line = progress::show("waiting until no package manager is at work");
    let end = Instant::now() + BUSY_AT_MOST;
    let mut since = Instant::now();
    let mut seen = desk.pending().0;
    while since.elapsed() < quiet && Instant::now() < end {
        std::thread::sleep(BUSY_PULSE.min(quiet));
        let now = desk.pending().0;
        if is_busy(desk) || now != seen {
            since = Instant::now();
            seen = now;
        }
    }
}

/// Whether a package manager is at work.
pub fn is_busy(desk: &Desk<'_>) -> bool {
    desk.plugins.iter().any(|plugin| matches!(plugin.busy(&desk.common.root, BUSY_DEADLINE), Ok(Busy::Busy(_))))
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
