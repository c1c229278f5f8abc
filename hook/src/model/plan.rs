//! What is to be done about each owner, and what became of it.

use super::verdict::words;
use serde::{Deserialize, Serialize};

pub use super::policy::Action;

words! {
    /// What doing a step said: an input, never proof.
    Outcome {
        /// The job ended well.
        Done = "done",
        /// The manager refused.
        Refused = "refused",
        /// It did not end in time.
        TimedOut = "timed-out",
        /// The unit or process went away meanwhile.
        Vanished = "vanished",
        /// The job failed.
        Failed = "failed",
    }
}

/// What the policy says about one owner.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Decision {
    /// Name of the rule; `default` where none matched.
    pub rule: String,
    /// `file:line` of the rule.
    pub source: String,
    /// Actions, each taken only where the proof of the one before is not fresh.
    pub ladder: Vec<Action>,
    /// Why nothing is done although the ladder says so.
    pub skip: Option<String>,
}

impl Decision {
    /// The first action that changes something, unless the owner is left alone.
    pub fn acts(&self) -> bool {
        self.skip.is_none() && self.ladder.iter().any(|action| action.changes())
    }
}

/// One step that was taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepReport {
    /// What was done.
    pub action: Action,
    /// What doing it said.
    pub outcome: Outcome,
    /// The manager's or our own words.
    pub message: String,
    /// How long it took, in milliseconds.
    pub millis: u64,
}
