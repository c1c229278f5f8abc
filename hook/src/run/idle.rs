//! A unit of which no process runs: inactive, or a oneshot that has done its work. Which rule would decide.

use super::desk::Desk;
use super::report::Deciding;
use crate::model::owner::Owner;
use crate::model::plan::{Decision, Group};
use crate::model::report::OwnerRow;
use crate::model::text::unescape;
use crate::model::unit::{UnitFacts, UnitName};
use crate::render::explain;
use crate::render::text::{name_of, Style};
use crate::sys::{services, systemd};
use anyhow::{bail, Result};
use std::path::Path;

/// The unit.
#[derive(Debug)]
pub struct Idle {
    owner: Owner,
    facts: UnitFacts,
}

impl Idle {
    /// Asks its manager; an error where it knows no such unit.
    pub fn find(desk: &Desk<'_>, name: &str) -> Result<Idle> {
        if !systemd::is_running() || desk.common.proc != Path::new("/proc") {
            bail!("{name} has no process");
        }
        let unit = UnitName::system(&String::from_utf8(unescape(name).unwrap_or_default()).unwrap_or_default());
        let Some(facts) = services::units(std::slice::from_ref(&unit)).remove(&unit) else {
            bail!("{name} has no process, and systemd cannot be asked about it");
        };
        if facts.load_state == "not-found" {
            bail!("{name} has no process, and systemd knows no unit of that name");
        }
        let owner = Owner::of(0, format!("0::/{}/{}\n", facts.slice, unit.name).as_bytes());
        Ok(Idle { owner, facts })
    }

    /// In words: its state, the rule that would decide, and why the ones before it do not.
    pub fn explain(&self, desk: &Desk<'_>, style: &Style) -> Result<String> {
        let policy = desk.policy()?.policy;
        let (decision, passed) = self.decide(&mut Deciding::typed(desk, &policy));
        let name = name_of(&self.owner);
        let mut out = String::new();
        let state = format!("no process of it runs ({} {})", self.facts.active_state, self.facts.sub_state);
        style.paragraph(
            &mut out,
            "",
            &format!("{name}: {state}; a rule that asks for its files or program may decide when one does"),
        );
        Ok(format!("{out}\n{}", explain::decision(&name, &decision, &passed, style)))
    }

    /// As a row of a report.
    pub fn row(&self, desk: &Desk<'_>) -> OwnerRow {
        let mut row = OwnerRow::of_unit(&self.owner.name);
        row.owner = self.owner.clone();
        if let Ok(loaded) = desk.policy() {
            row.decision = self.decide(&mut Deciding::typed(desk, &loaded.policy)).0;
        }
        row
    }

    fn decide(&self, deciding: &mut Deciding<'_>) -> (Decision, Vec<String>) {
        let group = Group { owner: &self.owner, processes: Vec::new() };
        let units = deciding.units_of(std::slice::from_ref(&group));
        let evidence = deciding.evidence(&units);
        (group.decide(deciding.policy, &evidence), group.passed_rules(deciding.policy, &evidence))
    }
}
