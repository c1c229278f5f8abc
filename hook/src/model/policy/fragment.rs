//! One policy file as it was written: every key may be absent.

use super::action::{Hold, Ladder, When};
use super::matching::Match;
use super::node::Place;
use super::terms::RuleTerms;
use super::window::Window;
use std::path::PathBuf;
use std::time::Duration;

/// One file; what it leaves out is the business of the files below it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fragment {
    /// `defaults`
    pub defaults: DefaultsFragment,
    /// `windows`, in the file's order.
    pub windows: Vec<WindowFragment>,
    /// `rules`, in the file's order.
    pub rules: Vec<RuleFragment>,
}

/// The `defaults` of one file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DefaultsFragment {
    /// `action`, and the line that it stands on.
    pub ladder: Option<(Ladder, usize)>,
    /// `when`
    pub when: Option<When>,
    /// `settle`
    pub settle: Option<Duration>,
    /// `deadline`
    pub deadline: Option<Duration>,
    /// `quiet`
    pub quiet: Option<Duration>,
    /// `max_parallel`
    pub max_parallel: Option<usize>,
    /// `hold`
    pub hold: Option<Hold>,
    /// `metrics`
    pub metrics: Option<PathBuf>,
    /// `reboot_flag`
    pub reboot_flag: Option<bool>,
}

/// One window of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WindowFragment {
    /// Its key under `windows`.
    pub name: String,
    /// When it is open.
    pub window: Window,
}

/// One rule of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleFragment {
    /// The line that it begins on.
    pub line: usize,
    /// `name`: no two rules of a file have the same.
    pub name: Option<String>,
    /// `match`; absent, it takes every owner.
    pub matching: Match,
    /// `action`
    pub ladder: Ladder,
    /// `protect`
    pub protect: bool,
    /// When and how.
    pub terms: RuleTerms,
    /// Where the name of its window stands.
    pub window_place: Option<Place>,
}
