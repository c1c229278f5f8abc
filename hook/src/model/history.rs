//! Past runs, as they are kept on disk: the part of a report that is told of them later.

use serde::Deserialize;

/// A run that acted.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct PastRun {
    /// When it looked, RFC 3339.
    pub time: String,
    /// How it ended, as `apply` exits.
    pub exit_code: u8,
    /// What package managers had said.
    pub transaction: Option<PastTransaction>,
    /// The owners, with what was done about them.
    pub owners: Vec<PastOwner>,
}

/// What package managers had said.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct PastTransaction {
    /// Packages since boot.
    pub packages: Vec<PastPackage>,
}

/// One package.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct PastPackage {
    /// Its name.
    pub name: String,
}

/// An owner in a past run.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct PastOwner {
    /// Kind.
    pub kind: String,
    /// Name.
    pub name: String,
    /// The user, for what belongs to one.
    pub uid: Option<u32>,
    /// What was done.
    pub steps: Vec<PastStep>,
    /// What looking again said; `None` where nothing was done.
    pub proof: Option<String>,
    /// What the policy had said.
    pub decision: PastDecision,
}

/// What the policy had said.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct PastDecision {
    /// The rule.
    pub rule: String,
    /// Why it was left alone all the same.
    pub skip: Option<String>,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct PastStep {
    /// What was done.
    pub action: String,
    /// What doing it said.
    pub outcome: String,
    /// In words.
    pub message: String,
    /// How long it took, in milliseconds.
    pub millis: u64,
}

impl PastRun {
    /// The moment, in seconds since 1970; `None` where it is no RFC 3339 time.
    pub fn seconds(&self) -> Option<i64> {
        self.time.parse::<jiff::Timestamp>().ok().map(|time| time.as_second())
    }

    /// The owners that were acted on.
    pub fn acted(&self) -> impl Iterator<Item = &PastOwner> {
        self.owners.iter().filter(|owner| owner.proof.is_some())
    }

    /// How many of them ended with this proof.
    pub fn proofs(&self, word: &str) -> usize {
        self.acted().filter(|owner| owner.proof.as_deref() == Some(word)).count()
    }
}
