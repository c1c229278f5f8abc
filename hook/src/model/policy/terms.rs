//! When and how a rule acts: windows, what waits for whom, and what a failed step means.

use super::action::{Hold, OnFailure, RuleWhen};
use super::{Policy, Rule};
use crate::model::file::Stamp;
use crate::model::verdict::words;
use std::time::Duration;

words! {
    /// What becomes of units that hang on a restarted one, were up before, and are not any more.
    Dependents {
        /// They are named.
        Report = "report",
        /// They are started again, and named.
        Start = "start",
    }
}

/// The terms as one rule has them; what it leaves open is said by `defaults`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleTerms {
    /// `window`
    pub window: Option<String>,
    /// `when`
    pub when: RuleWhen,
    /// `settle`
    pub settle: Option<Duration>,
    /// `deadline`
    pub deadline: Option<Duration>,
    /// `max_parallel`: of the owners that this rule decides about.
    pub max_parallel: Option<usize>,
    /// `canary`
    pub canary: bool,
    /// `hold`
    pub hold: Option<Hold>,
    /// `on_failure`
    pub on_failure: OnFailure,
    /// `dependents`
    pub dependents: Dependents,
}

impl Default for RuleTerms {
    fn default() -> Self {
        RuleTerms {
            window: None,
            when: RuleWhen::Always,
            settle: None,
            deadline: None,
            max_parallel: None,
            canary: false,
            hold: None,
            on_failure: OnFailure::Continue,
            dependents: Dependents::Report,
        }
    }
}

/// The terms that hold for one owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// How long it must stay up before it counts as proven.
    pub settle: Duration,
    /// Of one step.
    pub deadline: Duration,
    /// Owners of the same rule that are acted on at one time; `None`: as many as `defaults` allow.
    pub max_parallel: Option<usize>,
    /// Whether one instance of a template goes first, and the others only where it is proven.
    pub canary: bool,
    /// What a failed step means.
    pub on_failure: OnFailure,
    /// What becomes of units that hang on it.
    pub dependents: Dependents,
}

impl Default for Terms {
    fn default() -> Self {
        Policy::default().terms(None)
    }
}

/// The moment in which it is decided.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Circumstances {
    /// Now, in nanoseconds since 1970.
    pub now: Stamp,
    /// Whether a person asked for it, and not a transaction.
    pub asked: bool,
    /// Whether windows, and `hold`, do not count.
    pub at_once: bool,
    /// Why the machine is to be rebooted anyway; `None`: it is not.
    pub reboot: Option<String>,
}

/// What an owner waits for that will be acted on later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Later {
    /// A window that opens then.
    Window(Stamp),
    /// The reboot.
    Reboot,
    /// That somebody asks.
    Asked,
}

impl Policy {
    /// The terms for an owner about which this rule decides; `None`: the defaults.
    pub fn terms(&self, rule: Option<&Rule>) -> Terms {
        let own = rule.map(|rule| rule.terms.clone()).unwrap_or_default();
        Terms {
            settle: own.settle.unwrap_or(self.defaults.settle),
            deadline: own.deadline.unwrap_or(self.defaults.deadline),
            max_parallel: own.max_parallel,
            canary: own.canary,
            on_failure: own.on_failure,
            dependents: own.dependents,
        }
    }

    /// Why a rule does not act now, and what it waits for; `None` where it may.
    pub fn postpones(&self, rule: Option<&Rule>, circumstances: &Circumstances) -> Option<(String, Later)> {
        let now = circumstances.now;
        let own = rule.map(|rule| &rule.terms);
        if own.is_some_and(|terms| terms.when == RuleWhen::Manual) && !circumstances.asked {
            return Some(("only when asked: `reexec apply`".to_owned(), Later::Asked));
        }
        if circumstances.at_once {
            return None;
        }
        if let Some((name, window)) =
            own.and_then(|terms| terms.window.as_ref()).and_then(|name| self.windows.get_key_value(name))
        {
            if !window.contains(now) {
                let opens = window.opens_after(now).unwrap_or(now);
                let words = window.words(opens);
                return Some((format!("its window {name} opens {words}"), Later::Window(opens)));
            }
        }
        let hold = own.and_then(|terms| terms.hold).unwrap_or(self.defaults.hold);
        match (hold, &circumstances.reboot) {
            (Hold::RebootPending, Some(why)) => Some((format!("a reboot is pending ({why})"), Later::Reboot)),
            (Hold::RebootPending, None) | (Hold::Never, _) => None,
        }
    }
}
