//! Many files become one policy: fragments → input → settings.

use super::action::{Hold, Ladder, Step, When};
use super::fragment::{DefaultsFragment, Fragment, RuleFragment};
use super::node::Problem;
use super::window::Window;
use super::{Defaults, Policy, Rule, Source};
use crate::model::text::{escape, escape_path};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A file of the policy and what it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// Where it lies.
    pub file: PathBuf,
    /// What it says.
    pub fragment: Fragment,
}

/// The layers of one place: `/usr/lib/reexec/policy.d`, `/etc/reexec/policy.yaml`, or
/// `/etc/reexec/policy.d`; in byte order of names.
pub type Tier = Vec<Layer>;

/// What all files together say; what none says is still open.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Input {
    defaults: DefaultsFragment,
    ladder_source: Option<Source>,
    windows: BTreeMap<String, Window>,
    rules: Vec<(PathBuf, RuleFragment)>,
}

impl Input {
    /// Merges tiers, the lowest first.
    ///
    /// A setting of `defaults` is the highest tier's that says it, and within a tier the last
    /// file's. Rules are looked at from the highest tier down, within a tier in the order of the
    /// files. A rule's name masks the same name in a lower tier, and in an earlier file of its own.
    pub fn merge(tiers: Vec<Tier>) -> Input {
        let mut input = Input::default();
        for layer in tiers.iter().flatten() {
            input.adopt(layer);
        }
        let mut rules: Vec<(PathBuf, RuleFragment)> = Vec::new();
        for tier in tiers.into_iter().rev() {
            let mut here: Vec<(PathBuf, RuleFragment)> = Vec::new();
            for layer in tier {
                here.retain(|(_, rule)| !layer.names(rule));
                let Layer { file, fragment } = layer;
                here.extend(fragment.rules.into_iter().map(|rule| (file.clone(), rule)));
            }
            here.retain(|(_, rule)| rule.name.is_none() || !rules.iter().any(|(_, higher)| higher.name == rule.name));
            rules.append(&mut here);
        }
        Input { rules, ..input }
    }

    fn adopt(&mut self, layer: &Layer) {
        let above = &layer.fragment.defaults;
        let defaults = &mut self.defaults;
        if let Some((_, line)) = &above.ladder {
            self.ladder_source = Some(Source { file: layer.file.clone(), line: *line });
            defaults.ladder = above.ladder.clone();
        }
        defaults.when = above.when.or(defaults.when);
        defaults.settle = above.settle.or(defaults.settle);
        defaults.deadline = above.deadline.or(defaults.deadline);
        defaults.quiet = above.quiet.or(defaults.quiet);
        defaults.max_parallel = above.max_parallel.or(defaults.max_parallel);
        defaults.hold = above.hold.or(defaults.hold);
        defaults.metrics = above.metrics.clone().or(defaults.metrics.take());
        defaults.reboot_flag = above.reboot_flag.or(defaults.reboot_flag);
        let windows = layer.fragment.windows.iter();
        self.windows.extend(windows.map(|one| (one.name.clone(), one.window.clone())));
    }

    /// Fills in what nobody said.
    pub fn settle(self) -> Policy {
        let said = self.defaults;
        let open = Defaults::default();
        let defaults = Defaults {
            ladder: said.ladder.map_or(open.ladder, |(ladder, _)| ladder),
            ladder_source: self.ladder_source,
            when: said.when.unwrap_or(open.when),
            settle: said.settle.unwrap_or(open.settle),
            deadline: said.deadline.unwrap_or(open.deadline),
            quiet: said.quiet.unwrap_or(open.quiet),
            max_parallel: said.max_parallel.unwrap_or(open.max_parallel),
            hold: said.hold.unwrap_or(open.hold),
            metrics: said.metrics.or(open.metrics),
            reboot_flag: said.reboot_flag.unwrap_or(open.reboot_flag),
        };
        let rules = self.rules.into_iter().map(|(file, rule)| settle_rule(file, rule)).collect();
        Policy { defaults, windows: self.windows, rules }
    }
}

fn settle_rule(file: PathBuf, rule: RuleFragment) -> Rule {
    let RuleFragment { line, name, matching, ladder, protect, terms, window_place: _ } = rule;
    let name = name.unwrap_or_else(|| format!("{}:{line}", file_name(&file)));
    Rule { name, source: Source { file, line }, matching, ladder, protect, terms }
}

fn file_name(file: &Path) -> String {
    file.file_name().map_or_else(|| escape_path(file), |name| escape_path(Path::new(name)))
}

impl Layer {
    fn names(&self, rule: &RuleFragment) -> bool {
        rule.name.is_some() && self.fragment.rules.iter().any(|own| own.name == rule.name)
    }
}

/// Enough for a library that all services of a machine map to be one batch, which systemd orders.
const MOST_AT_ONCE: usize = 64;

impl Default for Defaults {
    fn default() -> Self {
        Defaults {
            ladder: Ladder::of(Step::Report),
            ladder_source: None,
            when: When::AfterTransaction,
            settle: Duration::from_secs(5),
            deadline: Duration::from_secs(120),
            quiet: Duration::from_secs(2),
            max_parallel: MOST_AT_ONCE,
            hold: Hold::Never,
            metrics: None,
            reboot_flag: false,
        }
    }
}

/// Windows that rules name and no file has: the file and what is wrong in it.
pub fn unknown_windows(tiers: &[Tier]) -> Vec<(PathBuf, Problem)> {
    let layers = || tiers.iter().flatten();
    let names: Vec<&str> = layers().flat_map(|layer| &layer.fragment.windows).map(|one| one.name.as_str()).collect();
    let mut found = Vec::new();
    for layer in layers() {
        for rule in &layer.fragment.rules {
            let (Some(name), Some(place)) = (&rule.terms.window, rule.window_place) else { continue };
            if !names.contains(&name.as_str()) {
                let problem = Problem::at(place, format!("unknown window \"{}\"", escape(name.as_bytes())));
                let hint = match names.is_empty() {
                    true => "no file has any under `windows`".to_owned(),
                    false => format!("one of: {}", names.join(", ")),
                };
                found.push((layer.file.clone(), problem.hint(hint)));
            }
        }
    }
    found
}

/// What is allowed and yet hardly meant, in words.
pub fn doubts(tiers: &[Tier]) -> Vec<String> {
    let mut doubts = Vec::new();
    for tier in tiers {
        for (index, layer) in tier.iter().enumerate() {
            doubts.extend(unreachable(layer));
            for rule in &layer.fragment.rules {
                if let Some(masking) = tier[index + 1..].iter().find(|later| later.names(rule)) {
                    doubts.push(format!(
                        "{}:{}: rule \"{}\" is masked by {}",
                        escape_path(&layer.file),
                        rule.line,
                        escape(rule.name.as_deref().unwrap_or_default().as_bytes()),
                        escape_path(&masking.file),
                    ));
                }
            }
        }
    }
    doubts
}

/// Rules of a file that no owner gets to, because one before them takes every owner.
fn unreachable(layer: &Layer) -> Option<String> {
    let rules = &layer.fragment.rules;
    let takes_all = rules.iter().position(|rule| rule.matching.is_everything())?;
    // A protecting rule is looked at before, wherever it stands.
    let next = rules[takes_all + 1..].iter().find(|rule| !rule.protect)?;
    Some(format!(
        "{}:{}: never looked at: the rule on line {} takes every owner",
        escape_path(&layer.file),
        next.line,
        rules[takes_all].line,
    ))
}
