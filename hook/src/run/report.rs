//! `report` and `plan`: who runs old files now, and what the policy says about each owner.

use super::desk::Desk;
use super::look::look;
use crate::model::plan::{by_owner, Decision};
use crate::model::policy::Policy;
use crate::model::reboot::Reboot;
use crate::model::report::{GapRow, OwnerRow, Report};
use crate::model::unit::{Protected, UnitFacts};
use crate::run::protect;
use crate::sys::boot;
use crate::sys::systemd::{self, Systemd};
use anyhow::Result;
use std::collections::BTreeMap;

/// Looks, judges, and says what the policy would do.
pub fn report(desk: &Desk<'_>) -> Result<Report> {
    let known = desk.known()?;
    let mut report = look(desk, &known)?;
    decide_or_say(desk, &mut report);
    Ok(report)
}

/// Writes what the policy says into the report, or what is wrong with the policy.
pub fn decide_or_say(desk: &Desk<'_>, report: &mut Report) {
    match desk.policy() {
        Ok(loaded) => drop(decide(report, &loaded.policy, &protect::protected(&desk.common.proc, &[]))),
        Err(error) => report.gaps.push(GapRow { what: "policy".to_owned(), why: error.to_string() }),
    }
    judge_reboot(desk, report);
}

/// Writes into the report whether to reboot, by what is known of its owners now.
pub fn judge_reboot(desk: &Desk<'_>, report: &mut Report) {
    let packages = report.transaction.as_ref().map_or(&[][..], |transaction| &transaction.packages);
    report.reboot = Reboot::of(boot::facts(&desk.common.root, &desk.common.proc), &report.owners, packages);
}

/// Units that were asked about, by name.
pub type Units = BTreeMap<String, UnitFacts>;

/// Writes the policy's decision about each owner into the report. Units are asked about only where
/// something would be done.
pub fn decide(report: &mut Report, policy: &Policy, protected: &Protected) -> Units {
    let groups = by_owner(&report.processes);
    let first: Vec<Decision> = groups.iter().map(|group| group.decide(policy, None, protected)).collect();
    let wanted = |decision: &Decision| decision.ladder.iter().any(|action| action.changes());
    let names: Vec<&str> = groups
        .iter()
        .zip(&first)
        .filter(|(_, decision)| wanted(decision))
        .filter_map(|(group, _)| group.unit_name())
        .collect();
    let units = units(&names);
    let rows = groups.iter().map(|group| {
        let unit = group.unit_name().and_then(|name| units.get(name));
        OwnerRow {
            owner: group.owner.clone(),
            pids: group.pids(),
            verdict: group.verdict(),
            causes: group.causes(),
            decision: group.decide(policy, unit, protected),
            steps: Vec::new(),
            proof: None,
        }
    });
    report.owners = rows.collect();
    units
}

/// What systemd says of these units; those it cannot be asked about are missing.
pub fn units(names: &[&str]) -> Units {
    if names.is_empty() || !systemd::is_running() {
        return Units::new();
    }
    let Ok(systemd) = Systemd::connect() else { return Units::new() };
    names.iter().filter_map(|name| Some(((*name).to_owned(), systemd.unit(name).ok()?))).collect()
}
