//! The merged policy in the shape of a policy file: what `policy show` prints reads back.

use super::action::{OnFailure, RuleWhen};
use super::terms::RuleTerms;
use super::{
    print_duration, Condition, Defaults, Dependents, Ladder, Match, Policy, Program, Rule, SignalTo, SignalUntil,
    Signalling, Step, When, Window,
};
use serde::ser::{SerializeMap, SerializeStruct};
use serde::{Serialize, Serializer};
use std::time::Duration;

impl Serialize for Policy {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(None)?;
        map.serialize_entry("version", &1)?;
        map.serialize_entry("defaults", &self.defaults)?;
        if !self.windows.is_empty() {
            map.serialize_entry("windows", &self.windows)?;
        }
        map.serialize_entry("rules", &self.rules)?;
        map.end()
    }
}

impl Serialize for Defaults {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_struct("Defaults", 9)?;
        map.serialize_field::<Ladder>("action", &self.ladder)?;
        map.serialize_field::<When>("when", &self.when)?;
        map.serialize_field("settle", &print_duration(self.settle))?;
        map.serialize_field("deadline", &print_duration(self.deadline))?;
        map.serialize_field("quiet", &print_duration(self.quiet))?;
        map.serialize_field("max_parallel", &self.max_parallel)?;
        map.serialize_field("hold", &self.hold)?;
        if let Some(path) = &self.metrics {
            map.serialize_field("metrics", &path.to_string_lossy())?;
        }
        map.serialize_field("reboot_flag", &self.reboot_flag)?;
        map.end()
    }
}

impl Serialize for Window {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(None)?;
        map.serialize_entry("days", &self.days)?;
        map.serialize_entry("from", &self.from.strftime("%H:%M").to_string())?;
        map.serialize_entry("to", &self.to.strftime("%H:%M").to_string())?;
        if let Some(timezone) = &self.timezone {
            map.serialize_entry("timezone", timezone)?;
        }
        map.end()
    }
}

impl Serialize for Ladder {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(self.steps().iter().map(Written))
    }
}

/// A step as it is written in a file.
struct Written<'a, T>(&'a T);

impl Serialize for Written<'_, Step> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let word = self.0.action().word();
        let mut settings = match self.0 {
            Step::Notify { terminal: true } | Step::Ask { deadline: Some(_) } | Step::Signal(_) | Step::Command(_) => {
                to.serialize_map(Some(1))?
            }
            _ => return to.serialize_str(word),
        };
        match self.0 {
            Step::Signal(signals) => {
                let signals: Vec<_> = signals.iter().map(Written).collect();
                settings.serialize_entry(word, &signals)?;
            }
            Step::Command(program) => settings.serialize_entry(word, &Written(program))?,
            Step::Ask { deadline } => settings.serialize_entry(word, &deadline_only(*deadline))?,
            _ => settings.serialize_entry(word, &std::collections::BTreeMap::from([("terminal", true)]))?,
        }
        settings.end()
    }
}

fn deadline_only(deadline: Option<Duration>) -> std::collections::BTreeMap<&'static str, String> {
    deadline.map(|deadline| ("deadline", print_duration(deadline))).into_iter().collect()
}

impl Serialize for Written<'_, Program> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(None)?;
        map.serialize_entry("run", &self.0.run)?;
        if let Some(deadline) = self.0.deadline {
            map.serialize_entry("deadline", &print_duration(deadline))?;
        }
        map.end()
    }
}

impl Serialize for Written<'_, Signalling> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(None)?;
        map.serialize_entry("send", &self.0.send.to_string())?;
        if self.0.to != SignalTo::Main {
            map.serialize_entry("to", &self.0.to)?;
        }
        if self.0.until != SignalUntil::Sent {
            map.serialize_entry("until", &self.0.until)?;
        }
        if let Some(deadline) = self.0.deadline {
            map.serialize_entry("deadline", &print_duration(deadline))?;
        }
        map.end()
    }
}

impl Serialize for Rule {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(None)?;
        map.serialize_entry("name", &self.name)?;
        if !self.matching.is_everything() {
            map.serialize_entry("match", &self.matching)?;
        }
        map.serialize_entry("action", &self.ladder)?;
        if self.protect {
            map.serialize_entry("protect", &true)?;
        }
        terms::<S>(&mut map, &self.terms)?;
        map.end()
    }
}

fn terms<S: Serializer>(map: &mut S::SerializeMap, terms: &RuleTerms) -> Result<(), S::Error> {
    if let Some(window) = &terms.window {
        map.serialize_entry("window", window)?;
    }
    if terms.when != RuleWhen::Always {
        map.serialize_entry("when", &terms.when)?;
    }
    for (key, duration) in [("settle", terms.settle), ("deadline", terms.deadline)] {
        if let Some(duration) = duration {
            map.serialize_entry(key, &print_duration(duration))?;
        }
    }
    if let Some(most) = terms.max_parallel {
        map.serialize_entry("max_parallel", &most)?;
    }
    if terms.canary {
        map.serialize_entry("canary", &true)?;
    }
    if let Some(hold) = terms.hold {
        map.serialize_entry("hold", &hold)?;
    }
    if terms.on_failure != OnFailure::Continue {
        map.serialize_entry("on_failure", &terms.on_failure)?;
    }
    if terms.dependents != Dependents::Report {
        map.serialize_entry("dependents", &terms.dependents)?;
    }
    Ok(())
}

impl Serialize for Match {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(None)?;
        for condition in &self.must {
            map.serialize_entry(condition.key().word(), &condition.asked())?;
        }
        if !self.not.is_empty() {
            map.serialize_entry("not", &Conditions(&self.not))?;
        }
        map.end()
    }
}

struct Conditions<'a>(&'a [Condition]);

impl Serialize for Conditions<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(self.0.iter().map(|one| (one.key().word(), one.asked())))
    }
}
