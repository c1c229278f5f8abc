//! From a file's values to a [`Fragment`]: strict keys, and every problem at its place.

mod steps;
mod values;

pub(super) use steps::{settings_of, window_keys};

use super::action::{Action, Hold, OnFailure, RuleWhen, When};
use super::fragment::{DefaultsFragment, Fragment, RuleFragment};
use super::matching::{Condition, Match, MatchKey};
use super::node::{Key, Node, Problem, Value};
use super::terms::{Dependents, RuleTerms};
use crate::model::text::escape;
use crate::model::verdict::words;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;
use values::{one_of, unknown, DEADLINE_BOUNDS};

/// The version of the policy language.
pub const VERSION: &str = "1";

/// Bounds of `settle` and `quiet`.
const WAITS: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(3600);

/// Bounds of `max_parallel`.
const PARALLEL: RangeInclusive<usize> = 1..=1024;

/// Longest name of a rule: it stands in reports and in the journal.
const MAX_NAME_CHARS: usize = 100;

words! {
    /// The keys of a file.
    TopKey {
        /// The language's version.
        Version = "version",
        /// What holds for every owner.
        Defaults = "defaults",
        /// Spans of the week.
        Windows = "windows",
        /// Ordered rules.
        Rules = "rules",
    }
}

words! {
    /// The keys of `defaults`.
    DefaultsKey {
        /// For an owner that no rule matches.
        Action = "action",
        /// When the hook acts.
        When = "when",
        /// How long a unit must stay up.
        Settle = "settle",
        /// Of one step.
        Deadline = "deadline",
        /// Without a package manager at work.
        Quiet = "quiet",
        /// Steps at one time.
        MaxParallel = "max_parallel",
        /// What waits for a reboot.
        Hold = "hold",
        /// Where metrics are written.
        Metrics = "metrics",
        /// Whether a needed reboot is flagged for others.
        RebootFlag = "reboot_flag",
    }
}

words! {
    /// The keys of a rule.
    RuleKey {
        /// As reports name it.
        Name = "name",
        /// What it asks of an owner.
        Match = "match",
        /// What it does.
        Action = "action",
        /// Whether it goes before others.
        Protect = "protect",
        /// The window in which it acts.
        Window = "window",
        /// Whether somebody must ask.
        When = "when",
        /// How long a unit must stay up.
        Settle = "settle",
        /// Of one step.
        Deadline = "deadline",
        /// Of its owners, at one time.
        MaxParallel = "max_parallel",
        /// Whether one instance goes first.
        Canary = "canary",
        /// What waits for a reboot.
        Hold = "hold",
        /// What a failed step means.
        OnFailure = "on_failure",
        /// What becomes of units that hang on it.
        Dependents = "dependents",
    }
}

/// Rules of time zones: of the machine's (`None`), or of one by name; `None`: there is none.
pub type Zones<'z> = &'z dyn Fn(Option<&str>) -> Option<jiff::tz::TimeZone>;

impl Fragment {
    /// Reads a file's root; every problem in it is told, in the file's order.
    pub fn read(root: &Node, zones: Zones<'_>) -> Result<Fragment, Vec<Problem>> {
        let mut reader = Reader { zones, problems: Vec::new() };
        let fragment = reader.fragment(root);
        if reader.problems.is_empty() {
            Ok(fragment)
        } else {
            let place = |problem: &Problem| problem.place.map(|place| (place.line, place.column));
            reader.problems.sort_by_key(place);
            Err(reader.problems)
        }
    }
}

/// Collects problems; what could not be read is `None`, and then at least one problem was told.
struct Reader<'z> {
    zones: Zones<'z>,
    problems: Vec<Problem>,
}

impl Reader<'_> {
    fn problem(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    /// The known keys of a map with their values.
    fn entries<'n, K: FromStr>(
        &mut self,
        node: &'n Node,
        expected: &str,
        words: &[&str],
    ) -> Vec<(K, &'n Key, &'n Node)> {
        let Value::Map(entries) = &node.value else {
            self.problem(node.unexpected(expected));
            return Vec::new();
        };
        let mut known = Vec::new();
        for (key, value) in entries {
            match key.text.parse() {
                Ok(word) => known.push((word, key, value)),
                Err(_) => self.problem(unknown("key", key.place, &key.text, words)),
            }
        }
        known
    }

    fn fragment(&mut self, root: &Node) -> Fragment {
        let mut fragment = Fragment::default();
        if root.value == Value::Null {
            return fragment;
        }
        let expected = "a map of version, defaults, windows and rules";
        for (key, _, value) in self.entries(root, expected, TopKey::WORDS) {
            match key {
                TopKey::Version => self.version(value),
                // Whoever comments out all that stands below a key means nothing by the key.
                TopKey::Defaults | TopKey::Windows | TopKey::Rules if value.value == Value::Null => {}
                TopKey::Defaults => fragment.defaults = self.defaults(value),
                TopKey::Windows => fragment.windows = self.windows(value),
                TopKey::Rules => fragment.rules = self.rules(value),
            }
        }
        fragment
    }

    fn version(&mut self, node: &Node) {
        match &node.value {
            Value::Number(number) if number == VERSION => {}
            Value::Number(number) => self.problem(
                Problem::at(node.place, format!("version {number} is not supported"))
                    .hint(format!("this reexec reads version {VERSION}")),
            ),
            _ => self.problem(node.unexpected("the number 1")),
        }
    }

    fn defaults(&mut self, node: &Node) -> DefaultsFragment {
        let mut defaults = DefaultsFragment::default();
        for (key, _, value) in self.entries(node, "a map of settings", DefaultsKey::WORDS) {
            match key {
                DefaultsKey::Action => {
                    let line = value.place.line;
                    defaults.ladder = self.ladder(value).map(|ladder| (ladder, line));
                }
                DefaultsKey::When => defaults.when = self.word(value, "value of when", When::WORDS),
                DefaultsKey::Settle => defaults.settle = self.duration(value, &WAITS),
                DefaultsKey::Deadline => defaults.deadline = self.duration(value, &DEADLINE_BOUNDS),
                DefaultsKey::Quiet => defaults.quiet = self.duration(value, &WAITS),
                DefaultsKey::MaxParallel => defaults.max_parallel = self.number(value, &PARALLEL),
                DefaultsKey::Hold => defaults.hold = self.word(value, "value of hold", Hold::WORDS),
                DefaultsKey::Metrics => defaults.metrics = self.absolute(value),
                DefaultsKey::RebootFlag => defaults.reboot_flag = self.truth(value),
            }
        }
        defaults
    }

    fn rules(&mut self, node: &Node) -> Vec<RuleFragment> {
        let Value::List(nodes) = &node.value else {
            self.problem(node.unexpected("a list of rules"));
            return Vec::new();
        };
        let mut names: Vec<(String, usize)> = Vec::new();
        let mut rules = Vec::new();
        for node in nodes {
            rules.extend(self.rule(node, &mut names));
        }
        rules
    }

    fn rule(&mut self, node: &Node, names: &mut Vec<(String, usize)>) -> Option<RuleFragment> {
        let mut name = None;
        let mut matching = Some(Match::default());
        let mut ladder = None;
        let mut protect = Some(false);
        let mut terms = RuleTerms::default();
        let mut window_place = None;
        let told = self.problems.len();
        let entries = self.entries(node, "a rule: a map of name, match and action", RuleKey::WORDS);
        let has_action = entries.iter().any(|(key, _, _)| *key == RuleKey::Action);
        for (key, _, value) in entries {
            match key {
                RuleKey::Name => name = self.name(value, names),
                RuleKey::Match => matching = self.matching(value),
                RuleKey::Action => ladder = self.ladder(value),
                RuleKey::Protect => protect = self.truth(value),
                RuleKey::Window => window_place = Some(value.place),
                RuleKey::When
                | RuleKey::Settle
                | RuleKey::Deadline
                | RuleKey::MaxParallel
                | RuleKey::Canary
                | RuleKey::Hold
                | RuleKey::OnFailure
                | RuleKey::Dependents => {}
            }
            self.term(key, value, &mut terms);
        }
        if !has_action && self.problems.len() == told {
            self.problem(Problem::at(node.place, "a rule without an action").hint(one_of("action", Action::WORDS)));
        }
        let line = node.place.line;
        let (matching, ladder, protect) = (matching?, ladder?, protect?);
        Some(RuleFragment { line, name, matching, ladder, protect, terms, window_place })
    }

    /// A key that says when and how; what is wrong with it was told, and then there is no fragment.
    fn term(&mut self, key: RuleKey, value: &Node, terms: &mut RuleTerms) {
        match key {
            RuleKey::Name | RuleKey::Match | RuleKey::Action | RuleKey::Protect => {}
            RuleKey::Window => terms.window = self.window_name(value),
            RuleKey::When => terms.when = self.word(value, "value of when", RuleWhen::WORDS).unwrap_or(terms.when),
            RuleKey::Settle => terms.settle = self.duration(value, &WAITS),
            RuleKey::Deadline => terms.deadline = self.duration(value, &DEADLINE_BOUNDS),
            RuleKey::MaxParallel => terms.max_parallel = self.number(value, &PARALLEL),
            RuleKey::Canary => terms.canary = self.truth(value).unwrap_or_default(),
            RuleKey::Hold => terms.hold = self.word(value, "value of hold", Hold::WORDS),
            RuleKey::OnFailure => {
                let word = self.word(value, "value of on_failure", OnFailure::WORDS);
                terms.on_failure = word.unwrap_or(terms.on_failure);
            }
            RuleKey::Dependents => {
                let word = self.word(value, "value of dependents", Dependents::WORDS);
                terms.dependents = word.unwrap_or(terms.dependents);
            }
        }
    }

    /// Whether a window of that name exists is known when all files are.
    fn window_name(&mut self, node: &Node) -> Option<String> {
        match &node.value {
            Value::Text(name) => Some(name.clone()),
            _ => {
                self.problem(node.unexpected("the name of a window"));
                None
            }
        }
    }

    fn name(&mut self, node: &Node, names: &mut Vec<(String, usize)>) -> Option<String> {
        let Value::Text(name) = &node.value else {
            self.problem(node.unexpected("a name"));
            return None;
        };
        let faulty = name.trim().is_empty() || name.chars().any(char::is_control);
        if faulty || name.chars().count() > MAX_NAME_CHARS {
            self.problem(
                Problem::at(node.place, "not a name for a rule")
                    .hint(format!("1 to {MAX_NAME_CHARS} characters on one line")),
            );
            return None;
        }
        if let Some((_, line)) = names.iter().find(|(other, _)| other == name) {
            let message = format!("two rules are named \"{}\"", escape(name.as_bytes()));
            self.problem(Problem::at(node.place, message).hint(format!("the first is on line {line}")));
            return None;
        }
        names.push((name.clone(), node.place.line));
        Some(name.clone())
    }

    fn matching(&mut self, node: &Node) -> Option<Match> {
        if node.value == Value::Null {
            self.problem(Problem::at(node.place, "nothing to match").hint("`match: {}` takes every owner"));
            return None;
        }
        let Value::Map(entries) = &node.value else {
            self.problem(node.unexpected("a map of what to match"));
            return None;
        };
        let (not, must): (Vec<_>, Vec<_>) = entries.iter().cloned().partition(|(key, _)| key.text == "not");
        let must = self.conditions(&Node { place: node.place, value: Value::Map(must) });
        let not = not.first().map(|(_, value)| self.exclusion(value)).unwrap_or(Some(Vec::new()));
        Some(Match { must: must?, not: not? })
    }

    fn exclusion(&mut self, node: &Node) -> Option<Vec<Condition>> {
        let conditions = self.conditions(node)?;
        if conditions.is_empty() {
            self.problem(
                Problem::at(node.place, "an empty `not` excludes every owner")
                    .hint("leave it out, or say what to exclude"),
            );
            return None;
        }
        Some(conditions)
    }

    fn conditions(&mut self, node: &Node) -> Option<Vec<Condition>> {
        let told = self.problems.len();
        let entries = self.entries(node, "a map of what to match", MatchKey::WORDS);
        let mut conditions = Vec::with_capacity(entries.len());
        for (key, _, value) in entries {
            conditions.extend(self.condition(key, value));
        }
        (self.problems.len() == told).then_some(conditions)
    }

    fn condition(&mut self, key: MatchKey, node: &Node) -> Option<Condition> {
        Some(match key {
            MatchKey::Unit => Condition::Unit(self.names(key, node)?),
            MatchKey::Exe => Condition::Exe(self.paths(node)?),
            MatchKey::Path => Condition::Path(self.paths(node)?),
            MatchKey::Package => Condition::Package(self.names(key, node)?),
            MatchKey::User => Condition::User(self.names(key, node)?),
            MatchKey::Owner => Condition::Owner(self.kinds(key, node)?),
            MatchKey::Slice => Condition::Slice(self.names(key, node)?),
            MatchKey::Container => Condition::Container(self.names(key, node)?),
            MatchKey::Cause => Condition::Cause(self.kinds(key, node)?),
            MatchKey::Method => Condition::Method(self.kinds(key, node)?),
            MatchKey::Verdict => Condition::Verdict(self.kinds(key, node)?),
        })
    }
}
