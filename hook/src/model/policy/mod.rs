//! The admin's policy: ordered rules, the first match wins, with an explicit default.
//!
//! A file is read in three steps: [`Fragment`] (every key may be absent) → [`Input`] (all files
//! merged) → [`Policy`] (every setting has a value). YAML itself is read elsewhere: a file comes
//! here as a [`Node`], so that every [`Problem`] knows its line and column.

mod action;
mod decide;
mod doubts;
pub mod duration;
mod fragment;
mod matching;
mod merge;
mod node;
mod pattern;
mod read;
mod schema;
mod show;
mod signal;
mod terms;
mod window;

pub use action::{Action, Hold, Ladder, LadderError, OnFailure, Program, RuleWhen, Step, When};
pub use decide::{Decision, Passed, WhyNot};
pub use duration::print as print_duration;
pub use fragment::{DefaultsFragment, Fragment, RuleFragment, WindowFragment};
pub use matching::{Condition, Match, MatchKey, Mismatch, Subject};
pub use merge::{doubts, unknown_windows, Input, Layer, Tier};
pub use node::{Key, Node, Place, Problem, Value};
pub use pattern::{NamePattern, PathPattern, PatternError};
pub use read::{Zones, VERSION};
pub use schema::schema;
pub use signal::{SignalError, SignalName, SignalTo, SignalUntil, Signalling};
pub use terms::{Circumstances, Dependents, Later, RuleTerms, Terms};
pub use window::{Day, Window};

use crate::model::text::escape_path;
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// A line of a policy file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The file.
    pub file: PathBuf,
    /// The line, from 1.
    pub line: usize,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", escape_path(&self.file), self.line)
    }
}

/// What holds for every owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Defaults {
    /// For an owner that no rule matches.
    pub ladder: Ladder,
    /// Where that is said; `None` where nobody says it.
    pub ladder_source: Option<Source>,
    /// When the hook acts.
    pub when: When,
    /// How long a unit must stay up before it counts as proven.
    pub settle: Duration,
    /// Of one step.
    pub deadline: Duration,
    /// How long no package manager may be at work before anything is done.
    pub quiet: Duration,
    /// Steps that run at the same time.
    pub max_parallel: usize,
    /// Whether owners wait while a reboot is pending.
    pub hold: Hold,
    /// Where metrics are written after a run.
    pub metrics: Option<PathBuf>,
    /// Whether `/run/reboot-required` is written where a reboot is needed.
    pub reboot_flag: bool,
}

/// What to do about the owners that match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// As reports name it; the file and line for a rule that has no name.
    pub name: String,
    /// Where it stands.
    pub source: Source,
    /// What it asks of an owner.
    pub matching: Match,
    /// What it does.
    pub ladder: Ladder,
    /// Whether it goes before every rule that does not name the unit.
    pub protect: bool,
    /// When and how.
    pub terms: RuleTerms,
}

/// The merged policy: every setting has a value, rules stand in the order they are looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policy {
    /// What holds for every owner.
    pub defaults: Defaults,
    /// Windows by name.
    pub windows: BTreeMap<String, Window>,
    /// The rules.
    pub rules: Vec<Rule>,
}
