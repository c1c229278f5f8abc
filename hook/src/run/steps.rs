//! One rung of every ladder at once: units in one batch, so that systemd orders them; managers last.

use super::wait::some;
use crate::model::plan::{Action, Outcome, StepReport};
use crate::model::policy::Defaults;
use crate::sys::perform::{self, Wanted};
use crate::sys::progress;
use std::time::Duration;

/// Takes the steps; the answers stand in the order of the wishes.
pub fn perform(wanted: &[(Action, &str)], defaults: &Defaults) -> Vec<StepReport> {
    let mut reports: Vec<Option<StepReport>> = vec![None; wanted.len()];
    // Managers go last: while one re-executes itself, no job of its units is heard of.
    for action in [Action::Reload, Action::Restart, Action::ReexecManager] {
        let indices: Vec<usize> = (0..wanted.len()).filter(|&index| wanted[index].0 == action).collect();
        for chunk in indices.chunks(defaults.max_parallel.max(1)) {
            let names: Vec<&str> = chunk.iter().map(|&index| wanted[index].1).collect();
            let _line = progress::show(format!("{action} of {}", some(&names)));
            let names: Vec<String> = names.into_iter().map(str::to_owned).collect();
            let done = match action {
                Action::Reload => perform::perform(&Wanted::Reload(names), defaults.deadline),
                Action::Restart => perform::perform(&Wanted::Restart(names), defaults.deadline),
                Action::ReexecManager => perform::perform(&Wanted::Reexecute(names), defaults.deadline),
                Action::Ignore | Action::Report | Action::RebootHint => Vec::new(),
            };
            for (&index, end) in chunk.iter().zip(done) {
                let millis = u64::try_from(end.took.as_millis()).unwrap_or(u64::MAX);
                reports[index] = Some(StepReport { action, outcome: end.outcome, message: end.message, millis });
            }
        }
    }
    let missing =
        |action| StepReport { action, outcome: Outcome::Failed, message: "nothing was done".to_owned(), millis: 0 };
    reports.into_iter().zip(wanted).map(|(report, (action, _))| report.unwrap_or_else(|| missing(*action))).collect()
}

/// A pause between two looks at something that changes.
pub const PULSE: Duration = Duration::from_millis(100);
