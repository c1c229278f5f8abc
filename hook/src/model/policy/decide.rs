//! Which rule decides about an owner, and why the ones before it do not.

use super::{Action, Condition, Ladder, Mismatch, Policy, Rule, Source, Step, Subject};
use crate::model::owner::OwnerKind;
use crate::model::verdict::{CauseKind, Verdict};

/// What is said of one owner, and by which rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision<'p> {
    /// The rule that decides; `None` where it is the default.
    pub rule: Option<&'p Rule>,
    /// What to do.
    pub ladder: &'p Ladder,
    /// Where that is said; `None` for the default that nobody wrote.
    pub source: Option<&'p Source>,
    /// The rules that stand before the deciding one, and why they do not decide.
    pub why_not: Vec<Passed<'p>>,
}

/// A rule that does not decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Passed<'p> {
    /// The rule.
    pub rule: &'p Rule,
    /// Why.
    pub why: WhyNot<'p>,
}

/// Why a rule does not decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhyNot<'p> {
    /// It does not match.
    Mismatch(Mismatch<'p>),
    /// It matches, but this rule protects the owner and this one does not name the unit.
    Protected(&'p Rule),
}

impl Decision<'_> {
    /// The rule's name, `default` where no rule matches.
    pub fn rule_name(&self) -> &str {
        self.rule.map_or("default", |rule| &rule.name)
    }

    /// The steps, first to last.
    pub fn steps(&self) -> &[Step] {
        self.ladder.steps()
    }
}

impl WhyNot<'_> {
    /// In words, with what this owner is instead.
    pub fn explain(&self, subject: &Subject<'_>) -> String {
        match self {
            WhyNot::Mismatch(mismatch) => mismatch.explain(subject),
            WhyNot::Protected(by) => format!(
                "\"{}\" protects it; only a rule that names the unit goes before",
                crate::model::text::escape(by.name.as_bytes())
            ),
        }
    }
}

impl Rule {
    fn matches(&self, subject: &Subject<'_>) -> bool {
        self.matching.mismatch(subject).is_none()
    }

    /// Whether it asks for data files by their kind: only such a rule makes a replaced one count.
    fn names_data(&self) -> bool {
        let names = |one: &Condition| matches!(one, Condition::Cause(kinds) if kinds.contains(&CauseKind::Data));
        self.matching.must.iter().any(names)
    }

    /// Whether the replaced data file that it decides about counts.
    pub fn counts_data(&self) -> bool {
        self.names_data() && self.ladder.actions() != [Action::Ignore]
    }

    fn names(&self, subject: &Subject<'_>) -> bool {
        subject.unit.is_some_and(|unit| self.matching.names_unit(unit))
    }
}

impl Policy {
    /// Whether a rule asks for data files by their kind.
    pub fn names_data(&self) -> bool {
        self.rules.iter().any(Rule::names_data)
    }

    /// The rule that protects a service of this name from being restarted.
    pub fn guard_of(&self, unit: &str) -> Option<&Rule> {
        let subject = Subject { unit: Some(unit), ..Subject::new(OwnerKind::Service, Verdict::Stale) };
        let rule = self.decide(&subject).rule?;
        (rule.protect && !rule.ladder.steps().contains(&Step::Restart)).then_some(rule)
    }

    /// What is to be done about this owner.
    ///
    /// The first rule that matches decides. Where a rule with `protect` matches, only a rule that
    /// stands before it and names the unit, without any of `*?[`, goes before it: an admin's
    /// `unit: "*"` never restarts the message bus.
    pub fn decide<'p>(&'p self, subject: &Subject<'_>) -> Decision<'p> {
        let guard = self.rules.iter().position(|rule| rule.protect && rule.matches(subject));
        let decides = match guard {
            Some(guard) => {
                let named = self.rules[..guard].iter().position(|rule| rule.names(subject) && rule.matches(subject));
                Some(named.unwrap_or(guard))
            }
            None => self.rules.iter().position(|rule| rule.matches(subject)),
        };
        let before = &self.rules[..decides.unwrap_or(self.rules.len())];
        let rule = decides.map(|index| &self.rules[index]);
        Decision {
            rule,
            ladder: rule.map_or(&self.defaults.ladder, |rule| &rule.ladder),
            source: rule.map_or(self.defaults.ladder_source.as_ref(), |rule| Some(&rule.source)),
            why_not: why_not(before, guard.map(|guard| &self.rules[guard]), subject),
        }
    }
}

fn why_not<'p>(before: &'p [Rule], guard: Option<&'p Rule>, subject: &Subject<'_>) -> Vec<Passed<'p>> {
    let why = |rule: &'p Rule| match (rule.matching.mismatch(subject), guard) {
        (Some(mismatch), _) => Some(WhyNot::Mismatch(mismatch)),
        (None, Some(guard)) => Some(WhyNot::Protected(guard)),
        // The first rule that matches without a guard is the deciding one, and not before it.
        (None, None) => None,
    };
    before.iter().filter_map(|rule| Some(Passed { rule, why: why(rule)? })).collect()
}

#[cfg(test)]
mod tests;
