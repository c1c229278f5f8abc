//! What a rule may do, and in which order.

use super::signal::Signalling;
use crate::model::verdict::words;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

words! {
    /// One step towards a fresh owner, in a word.
    Action {
        /// Leave it alone and out of the summary.
        Ignore = "ignore",
        /// Say it and leave it alone.
        Report = "report",
        /// Tell the user whose it is, once.
        Notify = "notify",
        /// Ask its processes over the socket of `reexec-client`.
        Ask = "ask",
        /// Send signals that its processes have handlers for.
        Signal = "signal",
        /// Ask the unit to reload.
        Reload = "reload",
        /// Restart the unit.
        Restart = "restart",
        /// Ask PID 1 or a user manager to execute itself anew.
        ReexecManager = "reexec-manager",
        /// Run a program.
        Command = "command",
        /// Restart all of user space under the same kernel.
        SoftReboot = "soft-reboot",
        /// Say that only a reboot helps.
        RebootHint = "reboot-hint",
    }
}

impl Action {
    /// Whether it may make an owner fresh, so that it is looked at again.
    pub fn changes(self) -> bool {
        match self {
            Action::Ask
            | Action::Signal
            | Action::Reload
            | Action::Restart
            | Action::ReexecManager
            | Action::Command
            | Action::SoftReboot => true,
            Action::Ignore | Action::Report | Action::Notify | Action::RebootHint => false,
        }
    }

    /// Whether anything is done at all.
    pub fn acts(self) -> bool {
        self.changes() || self == Action::Notify
    }
}

/// A program that a policy runs: never through a shell, with a cleared environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    /// Its absolute path and its arguments.
    pub run: Vec<String>,
    /// When it is killed; `None`: the deadline of the rule.
    pub deadline: Option<Duration>,
}

/// One action with its settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Step {
    /// `ignore`
    Ignore,
    /// `report`
    Report,
    /// `notify`
    Notify {
        /// Whether the terminals of a session get a line, too.
        terminal: bool,
    },
    /// `ask`
    Ask {
        /// How long an answer and its fulfilment may take; `None`: the deadline of the rule.
        deadline: Option<Duration>,
    },
    /// `signal`: one after the other.
    Signal(Vec<Signalling>),
    /// `reload`
    Reload,
    /// `restart`
    Restart,
    /// `reexec-manager`
    ReexecManager,
    /// `command`
    Command(Program),
    /// `soft-reboot`
    SoftReboot,
    /// `reboot-hint`
    RebootHint,
}

impl Step {
    /// The action without its settings.
    pub fn action(&self) -> Action {
        match self {
            Step::Ignore => Action::Ignore,
            Step::Report => Action::Report,
            Step::Notify { .. } => Action::Notify,
            Step::Ask { .. } => Action::Ask,
            Step::Signal(_) => Action::Signal,
            Step::Reload => Action::Reload,
            Step::Restart => Action::Restart,
            Step::ReexecManager => Action::ReexecManager,
            Step::Command(_) => Action::Command,
            Step::SoftReboot => Action::SoftReboot,
            Step::RebootHint => Action::RebootHint,
        }
    }

    /// The step of an action that is written without settings; `None` where it needs some.
    pub fn plain(action: Action) -> Option<Step> {
        Some(match action {
            Action::Ignore => Step::Ignore,
            Action::Report => Step::Report,
            Action::Notify => Step::Notify { terminal: false },
            Action::Ask => Step::Ask { deadline: None },
            Action::Reload => Step::Reload,
            Action::Restart => Step::Restart,
            Action::ReexecManager => Step::ReexecManager,
            Action::SoftReboot => Step::SoftReboot,
            Action::RebootHint => Step::RebootHint,
            Action::Signal | Action::Command => return None,
        })
    }
}

impl PartialEq<Action> for Step {
    fn eq(&self, action: &Action) -> bool {
        self.action() == *action
    }
}

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

words! {
    /// When one rule acts.
    RuleWhen {
        /// Whenever the policy acts.
        Always = "always",
        /// Only when somebody types `reexec apply`.
        Manual = "manual",
    }
}

words! {
    /// What becomes of a ladder whose step failed, or left the owner down.
    OnFailure {
        /// The next step is tried.
        Continue = "continue",
        /// It ends there.
        Stop = "stop",
    }
}

words! {
    /// Whether owners wait while the machine is to be rebooted anyway.
    Hold {
        /// They do not.
        Never = "never",
        /// They do.
        RebootPending = "reboot-pending",
    }
}

/// Steps in order: the next one only where the proof after the one before is not fresh.
///
/// Never empty, no step stands twice, and `ignore` stands alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ladder(Vec<Step>);

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
    /// Checks the order of steps.
    pub fn new(steps: Vec<Step>) -> Result<Ladder, LadderError> {
        if steps.is_empty() {
            return Err(LadderError::Empty);
        }
        for (index, step) in steps.iter().enumerate() {
            if *step == Step::Ignore && steps.len() > 1 {
                return Err(LadderError::IgnoreAndMore(index));
            }
            if steps[..index].contains(step) {
                return Err(LadderError::Twice(index));
            }
        }
        Ok(Ladder(steps))
    }

    /// The ladder of one step.
    pub fn of(step: Step) -> Ladder {
        Ladder(vec![step])
    }

    /// The steps, first to last.
    pub fn steps(&self) -> &[Step] {
        &self.0
    }

    /// The actions without their settings.
    pub fn actions(&self) -> Vec<Action> {
        self.0.iter().map(Step::action).collect()
    }
}

impl fmt::Display for Ladder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<_> = self.0.iter().map(|step| step.action().word()).collect();
        f.write_str(&words.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Step::*;

    #[test]
    fn a_ladder_has_steps_and_no_step_twice() {
        let program = |name: &str| Command(Program { run: vec![name.to_owned()], deadline: None });
        let two = || vec![program("/a"), program("/b"), Restart];
        for (steps, expected) in [
            (vec![], Err(LadderError::Empty)),
            (vec![Restart, Reload, Restart], Err(LadderError::Twice(2))),
            (vec![program("/a"), program("/a")], Err(LadderError::Twice(1))),
            (vec![Reload, Ignore], Err(LadderError::IgnoreAndMore(1))),
            (vec![Ignore, Ignore], Err(LadderError::IgnoreAndMore(0))),
            (vec![Ignore], Ok(Ladder::of(Ignore))),
            (vec![Reload, Restart], Ok(Ladder(vec![Reload, Restart]))),
            (two(), Ok(Ladder(two()))),
        ] {
            assert_eq!(Ladder::new(steps), expected);
        }
    }
}
