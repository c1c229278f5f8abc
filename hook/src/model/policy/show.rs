//! The merged policy in the shape of a policy file: what `policy show` prints reads back.

use super::{print_duration, Condition, Defaults, Ladder, Match, Policy, Rule, When};
use serde::ser::{SerializeMap, SerializeStruct};
use serde::{Serialize, Serializer};

impl Serialize for Policy {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_struct("Policy", 3)?;
        map.serialize_field("version", &1)?;
        map.serialize_field("defaults", &self.defaults)?;
        map.serialize_field("rules", &self.rules)?;
        map.end()
    }
}

impl Serialize for Defaults {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_struct("Defaults", 6)?;
        map.serialize_field::<Ladder>("action", &self.ladder)?;
        map.serialize_field::<When>("when", &self.when)?;
        map.serialize_field("settle", &print_duration(self.settle))?;
        map.serialize_field("deadline", &print_duration(self.deadline))?;
        map.serialize_field("quiet", &print_duration(self.quiet))?;
        map.serialize_field("max_parallel", &self.max_parallel)?;
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
        map.end()
    }
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
