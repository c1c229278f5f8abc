//! What a rule may do, and in which order.

use crate::model::verdict::words;
use serde::Serialize;
use std::fmt;

words! {
    /// One step towards a fresh owner.
    Action {
        /// Leave it alone and out of the summary.
        Ignore = "ignore",
        /// Say it and leave it alone.
        Report = "report",
        /// Ask the unit to reload.
        Reload = "reload",
        /// Restart the unit.
        Restart = "restart",
        /// Ask PID 1 or a user manager to execute itself anew.
        ReexecManager = "reexec-manager",
        /// Say that only a reboot helps.
        RebootHint = "reboot-hint",
    }
}

impl Action {
    /// Whether it changes the machine.
    pub fn changes(self) -> bool {
        match self {
            Action::Reload | Action::Restart | Action::ReexecManager => true,
            Action::Ignore | Action::Report | Action::RebootHint => false,
        }
    }
}

/// Words of the policy language that this version reads and does not yet support.
pub const LATER_ACTIONS: &[&str] = &["notify", "ask", "signal", "command", "soft-reboot"];

words! {
    /// When the hook lets the policy act.
    When {
        /// In a unit of our own, when the package manager is done.
        AfterTransaction = "after-transaction",
        /// Inside the hook, while the package manager waits.
        Inline = "inline",
        /// Only when somebody types `reexec apply`.
        Manual = "manual",
    }
}

/// Actions in order: the next one only where the proof after the one before is not fresh.
///
/// Never empty, no action stands twice, and `ignore` stands alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Ladder(Vec<Action>);

/// Why a list of actions is no ladder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LadderError {
    /// No action at all.
    Empty,
    /// The action at this index stands twice.
    Twice(usize),
    /// `ignore` at this index stands beside others.
    IgnoreAndMore(usize),
}

impl Ladder {
    /// Checks the order of actions.
    pub fn new(actions: Vec<Action>) -> Result<Ladder, LadderError> {
        if actions.is_empty() {
            return Err(LadderError::Empty);
        }
        for (index, action) in actions.iter().enumerate() {
            if *action == Action::Ignore && actions.len() > 1 {
                return Err(LadderError::IgnoreAndMore(index));
            }
            if actions[..index].contains(action) {
                return Err(LadderError::Twice(index));
            }
        }
        Ok(Ladder(actions))
    }

    /// The ladder of one action.
    pub fn of(action: Action) -> Ladder {
        Ladder(vec![action])
    }

    /// The actions, first to last.
    pub fn steps(&self) -> &[Action] {
        &self.0
    }
}

impl fmt::Display for Ladder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<_> = self.0.iter().map(|action| action.word()).collect();
        f.write_str(&words.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Action::*;

    #[test]
    fn a_ladder_has_steps_and_no_step_twice() {
        for (actions, expected) in [
            (vec![], Err(LadderError::Empty)),
            (vec![Restart, Reload, Restart], Err(LadderError::Twice(2))),
            (vec![Reload, Ignore], Err(LadderError::IgnoreAndMore(1))),
            (vec![Ignore, Ignore], Err(LadderError::IgnoreAndMore(0))),
            (vec![Ignore], Ok(Ladder::of(Ignore))),
            (vec![Reload, Restart], Ok(Ladder(vec![Reload, Restart]))),
        ] {
            assert_eq!(Ladder::new(actions), expected);
        }
    }
}
