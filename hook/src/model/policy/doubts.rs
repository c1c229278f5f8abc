//! Rules that are allowed and can never decide about anybody.

use super::matching::{Condition, Match, MatchKey};
use super::{NamePattern, Policy, Rule};
use crate::model::owner::OwnerKind;
use crate::model::text::escape;
use crate::model::verdict::{Method, Verdict};

impl Policy {
    /// What is hardly meant, in words; each names the rule's file and line.
    pub fn doubts(&self) -> Vec<String> {
        let mut doubts = Vec::new();
        for (index, rule) in self.rules.iter().enumerate() {
            let hiding = self.rules[..index].iter().find(|earlier| earlier.hides(rule));
            let why = rule.matching.impossible().or_else(|| {
                let earlier = hiding?;
                let name = escape(earlier.name.as_bytes());
                Some(format!("rule \"{name}\" ({}) takes every owner that it asks for", earlier.source))
            });
            if let Some(why) = why {
                doubts.push(format!(
                    "{}: rule \"{}\" can never match: {why}",
                    rule.source,
                    escape(rule.name.as_bytes())
                ));
            }
        }
        doubts
    }

    /// Units that rules name in full, each with the rule.
    pub fn named_units(&self) -> impl Iterator<Item = (&Rule, &str)> {
        self.rules.iter().flat_map(|rule| {
            let patterns = rule.matching.must.iter().filter_map(|condition| match condition {
                Condition::Unit(patterns) => Some(patterns),
                _ => None,
            });
            let names = patterns.flatten().filter(|pattern| pattern.is_literal()).map(NamePattern::as_str);
            names.map(move |name| (rule, name))
        })
    }
}

impl Rule {
    /// Whether nobody gets to a rule that stands behind this one.
    fn hides(&self, later: &Rule) -> bool {
        // A protecting rule is looked at first, wherever it stands; and a rule that names a unit goes
        // before a protecting one only from above.
        later.protect == self.protect && !self.matching.is_everything() && self.matching.covers(&later.matching)
    }
}

impl Match {
    /// Whether every owner that `other` takes is taken by this.
    fn covers(&self, other: &Match) -> bool {
        let excludes_less = self.not.is_empty() || self.not == other.not;
        excludes_less && self.must.iter().all(|own| other.must.iter().any(|theirs| own.covers(theirs)))
    }

    /// Why no owner can ever be taken.
    fn impossible(&self) -> Option<String> {
        let excluded = !self.not.is_empty() && self.not.iter().all(|not| self.must.iter().any(|must| not.covers(must)));
        if excluded {
            return Some("`not` excludes all that it asks for".to_owned());
        }
        self.must.iter().find_map(|condition| match condition {
            Condition::Verdict(words) if words.iter().all(|word| *word < Verdict::Stale) => {
                Some("only what is stale or tainted is decided about".to_owned())
            }
            Condition::Method(words) if words.iter().all(|word| *word == Method::Untouched) => {
                Some("nothing is stale for a file that was not touched".to_owned())
            }
            Condition::Owner(kinds) if self.asks(MatchKey::Container) && !kinds.contains(&OwnerKind::Container) => {
                Some("only an owner of the kind container has a container's name".to_owned())
            }
            Condition::Owner(kinds) if self.asks(MatchKey::Unit) && kinds.iter().all(|kind| !is_unit(*kind)) => {
                Some("an owner of that kind is no unit".to_owned())
            }
            _ => None,
        })
    }

    fn asks(&self, key: MatchKey) -> bool {
        self.must.iter().any(|condition| condition.key() == key)
    }
}

fn is_unit(kind: OwnerKind) -> bool {
    match kind {
        OwnerKind::Service | OwnerKind::UserService | OwnerKind::UserManager | OwnerKind::Session => true,
        OwnerKind::Container | OwnerKind::Init | OwnerKind::Loose => false,
    }
}

impl Condition {
    /// Whether whatever holds for `other` holds for this.
    fn covers(&self, other: &Condition) -> bool {
        let (own, theirs) = (self.asked(), other.asked());
        let one = |entry: &str, asked: &str| entry == asked || self.takes_name(entry, asked);
        self.key() == other.key() && theirs.iter().all(|asked| own.iter().any(|entry| one(entry, asked)))
    }

    /// Whether an entry is a pattern on names that matches this literal name.
    fn takes_name(&self, entry: &str, asked: &str) -> bool {
        let is_literal = |name: &str| !name.contains(['*', '?', '[']);
        let on_names = matches!(
            self,
            Condition::Unit(_)
                | Condition::Package(_)
                | Condition::User(_)
                | Condition::Slice(_)
                | Condition::Container(_)
        );
        on_names
            && (entry == "*" || (is_literal(asked) && NamePattern::new(entry).is_ok_and(|name| name.matches(asked))))
    }
}
