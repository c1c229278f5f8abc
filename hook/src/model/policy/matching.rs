//! What a rule asks of an owner.

use super::pattern::{NamePattern, PathPattern};
use crate::model::owner::OwnerKind;
use crate::model::verdict::{words, CauseKind, Method, Verdict};
use std::path::Path;

words! {
    /// The keys of `match` and `not`.
    MatchKey {
        /// The unit's name.
        Unit = "unit",
        /// The program of one of the owner's stale processes.
        Exe = "exe",
        /// A stale file.
        Path = "path",
        /// The package of a stale file.
        Package = "package",
        /// The user that one of its processes runs as, by name or number.
        User = "user",
        /// The kind of owner.
        Owner = "owner",
        /// The slice that the unit is in.
        Slice = "slice",
        /// The container's name.
        Container = "container",
        /// What a stale file is to a process.
        Cause = "cause",
        /// How a stale file was replaced.
        Method = "method",
        /// What is said of the owner.
        Verdict = "verdict",
    }
}

/// All that a rule may ask about one owner.
#[derive(Debug, Clone)]
pub struct Subject<'a> {
    /// The unit's name, as systemd says it.
    pub unit: Option<&'a str>,
    /// The kind of owner.
    pub owner: OwnerKind,
    /// The slice that the unit is in.
    pub slice: Option<&'a str>,
    /// The container's name.
    pub container: Option<&'a str>,
    /// The programs of its stale processes.
    pub exes: Vec<&'a Path>,
    /// The stale files.
    pub paths: Vec<&'a Path>,
    /// The packages of the stale files.
    pub packages: Vec<&'a str>,
    /// Whom its processes run as: names, and numbers as text.
    pub users: Vec<&'a str>,
    /// What the stale files are to its processes.
    pub causes: Vec<CauseKind>,
    /// How the stale files were replaced.
    pub methods: Vec<Method>,
    /// What is said of it.
    pub verdict: Verdict,
}

impl Subject<'_> {
    /// An owner of which nothing else is known yet.
    pub fn new(owner: OwnerKind, verdict: Verdict) -> Self {
        Subject {
            unit: None,
            owner,
            slice: None,
            container: None,
            exes: Vec::new(),
            paths: Vec::new(),
            packages: Vec::new(),
            users: Vec::new(),
            causes: Vec::new(),
            methods: Vec::new(),
            verdict,
        }
    }

    /// What the owner is under this key, as reports print it.
    fn printed(&self, key: MatchKey) -> Vec<String> {
        use crate::model::text::{escape, escape_path};
        let names = |names: &[&str]| names.iter().map(|name| escape(name.as_bytes())).collect();
        let paths = |paths: &[&Path]| paths.iter().map(|path| escape_path(path)).collect();
        match key {
            MatchKey::Unit => names(self.unit.as_slice()),
            MatchKey::Exe => paths(&self.exes),
            MatchKey::Path => paths(&self.paths),
            MatchKey::Package => names(&self.packages),
            MatchKey::User => names(&self.users),
            MatchKey::Owner => vec![self.owner.to_string()],
            MatchKey::Slice => names(self.slice.as_slice()),
            MatchKey::Container => names(self.container.as_slice()),
            MatchKey::Cause => self.causes.iter().map(ToString::to_string).collect(),
            MatchKey::Method => self.methods.iter().map(ToString::to_string).collect(),
            MatchKey::Verdict => vec![self.verdict.to_string()],
        }
    }
}

/// One key and what it asks: at least one entry, of which one must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// `unit`
    Unit(Vec<NamePattern>),
    /// `exe`
    Exe(Vec<PathPattern>),
    /// `path`
    Path(Vec<PathPattern>),
    /// `package`
    Package(Vec<NamePattern>),
    /// `user`
    User(Vec<NamePattern>),
    /// `owner`
    Owner(Vec<OwnerKind>),
    /// `slice`
    Slice(Vec<NamePattern>),
    /// `container`
    Container(Vec<NamePattern>),
    /// `cause`
    Cause(Vec<CauseKind>),
    /// `method`
    Method(Vec<Method>),
    /// `verdict`
    Verdict(Vec<Verdict>),
}

fn any_name(patterns: &[NamePattern], names: &[&str]) -> bool {
    names.iter().any(|name| patterns.iter().any(|pattern| pattern.matches(name)))
}

fn any_path(patterns: &[PathPattern], paths: &[&Path]) -> bool {
    paths.iter().any(|path| patterns.iter().any(|pattern| pattern.matches(path)))
}

fn any_word<T: PartialEq>(asked: &[T], found: &[T]) -> bool {
    found.iter().any(|word| asked.contains(word))
}

impl Condition {
    /// The key.
    pub fn key(&self) -> MatchKey {
        match self {
            Condition::Unit(_) => MatchKey::Unit,
            Condition::Exe(_) => MatchKey::Exe,
            Condition::Path(_) => MatchKey::Path,
            Condition::Package(_) => MatchKey::Package,
            Condition::User(_) => MatchKey::User,
            Condition::Owner(_) => MatchKey::Owner,
            Condition::Slice(_) => MatchKey::Slice,
            Condition::Container(_) => MatchKey::Container,
            Condition::Cause(_) => MatchKey::Cause,
            Condition::Method(_) => MatchKey::Method,
            Condition::Verdict(_) => MatchKey::Verdict,
        }
    }

    /// What is asked, as the admin wrote it.
    pub fn asked(&self) -> Vec<&str> {
        match self {
            Condition::Unit(names)
            | Condition::Package(names)
            | Condition::User(names)
            | Condition::Slice(names)
            | Condition::Container(names) => names.iter().map(NamePattern::as_str).collect(),
            Condition::Exe(paths) | Condition::Path(paths) => paths.iter().map(PathPattern::as_str).collect(),
            Condition::Owner(words) => words.iter().map(|word| word.word()).collect(),
            Condition::Cause(words) => words.iter().map(|word| word.word()).collect(),
            Condition::Method(words) => words.iter().map(|word| word.word()).collect(),
            Condition::Verdict(words) => words.iter().map(|word| word.word()).collect(),
        }
    }

    /// Whether it holds for this owner.
    pub fn holds(&self, subject: &Subject<'_>) -> bool {
        match self {
            Condition::Unit(names) => subject.unit.is_some_and(|unit| names.iter().any(|name| name.matches_unit(unit))),
            Condition::Exe(paths) => any_path(paths, &subject.exes),
            Condition::Path(paths) => any_path(paths, &subject.paths),
            Condition::Package(names) => any_name(names, &subject.packages),
            Condition::User(names) => any_name(names, &subject.users),
            Condition::Owner(words) => words.contains(&subject.owner),
            Condition::Slice(names) => any_name(names, subject.slice.as_slice()),
            Condition::Container(names) => any_name(names, subject.container.as_slice()),
            Condition::Cause(words) => any_word(words, &subject.causes),
            Condition::Method(words) => any_word(words, &subject.methods),
            Condition::Verdict(words) => words.contains(&subject.verdict),
        }
    }
}

/// What a rule asks: every condition of `must`, and not all of `not`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Match {
    /// All must hold; none asks nothing.
    pub must: Vec<Condition>,
    /// Where all of these hold, the rule is passed over; none excludes nothing.
    pub not: Vec<Condition>,
}

/// The part of a match that an owner does not meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mismatch<'p> {
    /// A condition that does not hold.
    Key(&'p Condition),
    /// All of these, under `not`, hold.
    Excluded(&'p [Condition]),
}

impl Match {
    /// Whether it asks nothing and so takes every owner.
    pub fn is_everything(&self) -> bool {
        self.must.is_empty() && self.not.is_empty()
    }

    /// The first part that this owner does not meet; `None` where it matches.
    pub fn mismatch(&self, subject: &Subject<'_>) -> Option<Mismatch<'_>> {
        if let Some(failed) = self.must.iter().find(|condition| !condition.holds(subject)) {
            return Some(Mismatch::Key(failed));
        }
        let excluded = !self.not.is_empty() && self.not.iter().all(|condition| condition.holds(subject));
        excluded.then_some(Mismatch::Excluded(&self.not))
    }

    /// Whether a `unit` entry without any of `*?[` names this unit.
    pub fn names_unit(&self, unit: &str) -> bool {
        self.must.iter().any(|condition| match condition {
            Condition::Unit(names) => names.iter().any(|name| name.is_literal() && name.matches_unit(unit)),
            Condition::Exe(_)
            | Condition::Path(_)
            | Condition::Package(_)
            | Condition::User(_)
            | Condition::Owner(_)
            | Condition::Slice(_)
            | Condition::Container(_)
            | Condition::Cause(_)
            | Condition::Method(_)
            | Condition::Verdict(_) => false,
        })
    }
}

/// Entries of a long list that are printed before "and N more".
const SHOWN: usize = 3;

fn shortened<T: AsRef<str>>(entries: &[T]) -> String {
    let shown: Vec<_> = entries.iter().take(SHOWN).map(AsRef::as_ref).collect();
    match entries.len().saturating_sub(SHOWN) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

impl Mismatch<'_> {
    /// In words, with what this owner is instead.
    pub fn explain(&self, subject: &Subject<'_>) -> String {
        match self {
            Mismatch::Key(condition) => {
                let key = condition.key();
                let asked = shortened(&condition.asked());
                match subject.printed(key).as_slice() {
                    [] => format!("{key} is none; asked for {asked}"),
                    found => format!("{key} is {}; asked for {asked}", shortened(found)),
                }
            }
            Mismatch::Excluded(conditions) => {
                let keys: Vec<_> = conditions.iter().map(|one| one.key().word()).collect();
                format!("excluded by not: {}", keys.join(", "))
            }
        }
    }
}
