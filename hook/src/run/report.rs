//! `report` and `plan`: who runs old files now, and what the policy says about each owner.

use super::desk::Desk;
use super::look::look;
use super::resting::Asked;
use crate::model::guard::{Evidence, Protected};
use crate::model::pending::Pending;
use crate::model::plan::{by_owner, Action, Group};
use crate::model::policy::{Circumstances, Policy};
use crate::model::reboot::Reboot;
use crate::model::report::{GapRow, OwnerRow, Report};
use crate::model::text::escape_path;
use crate::model::unit::{UnitName, Units};
use crate::model::verdict::{Cause, CauseKind, Method};
use crate::run::{protect, wait};
use crate::sys::config::Loaded;
use crate::sys::{boot, clock, host, services};
use anyhow::Result;
use std::collections::BTreeSet;
use std::path::PathBuf;

/// Looks, judges, and says what the policy would do.
pub fn report(desk: &Desk<'_>) -> Result<Report> {
    let (known, policy) = (desk.known()?, desk.policy());
    let said = policy.as_ref().ok().map(|loaded| &loaded.policy);
    let mut report = look(desk, &known, said, Asked::Runners)?;
    decide_or_say(desk, &mut report, &policy);
    Ok(report)
}

/// Writes what the policy says into the report, or what is wrong with the policy.
pub fn decide_or_say(desk: &Desk<'_>, report: &mut Report, policy: &Result<Loaded>) {
    match policy {
        Ok(loaded) => {
            Deciding::typed(desk, &loaded.policy).decide(report);
            spare(desk, &mut report.owners);
        }
        Err(error) => report.gaps.push(GapRow { what: "policy".to_owned(), why: error.to_string() }),
    }
    judge_reboot(desk, report);
}

/// Leaves alone whose files a transaction that was left half-way has taken away: without them it would
/// not come up again.
pub fn spare(desk: &Desk<'_>, owners: &mut [OwnerRow]) {
    fn missing(row: &OwnerRow) -> Option<&Cause> {
        let of_code = |cause: &&Cause| cause.method == Method::Removed && cause.kind != CauseKind::Data;
        row.causes.iter().find(of_code).filter(|_| row.decision.acts())
    }
    if !owners.iter().any(|row| missing(row).is_some()) {
        return;
    }
    let half_way = wait::left_half_way(desk);
    for row in owners {
        if let (Some(why), Some(cause)) = (half_way.first(), missing(row)) {
            row.decision.skip = Some(format!("{} is missing: {why}", escape_path(&cause.path)));
        }
    }
}

/// Writes into the report whether to reboot, by what is known of its owners now.
pub fn judge_reboot(desk: &Desk<'_>, report: &mut Report) {
    let packages = report.transaction.as_ref().map_or(&[][..], |transaction| &transaction.packages);
    report.reboot = Reboot::of(boot::facts(&desk.common.root, &desk.common.proc), &report.owners, packages);
}

/// All that a decision is made from, besides what was seen.
#[derive(Debug)]
pub struct Deciding<'a> {
    /// The policy.
    pub policy: &'a Policy,
    /// What must not be disturbed.
    pub protected: Protected,
    /// The moment.
    pub circumstances: Circumstances,
    /// Owners whose user was told of just these files, and those that a soft reboot did not renew.
    pub told: BTreeSet<String>,
    proc: PathBuf,
}

impl<'a> Deciding<'a> {
    /// For a command that somebody typed.
    pub fn typed(desk: &Desk<'_>, policy: &'a Policy) -> Deciding<'a> {
        Deciding::of(desk, policy, &[], Circumstances { asked: true, ..Circumstances::default() })
    }

    /// For what these triggers told of.
    pub fn of(desk: &Desk<'_>, policy: &'a Policy, pending: &[Pending], asked: Circumstances) -> Deciding<'a> {
        Deciding {
            policy,
            protected: protect::protected(&desk.common.proc, pending),
            circumstances: Circumstances {
                now: clock::now(),
                reboot: host::reboot_pending(&desk.common.root),
                ..asked
            },
            told: desk.store.told(&desk.boot_id),
            proc: desk.common.proc.clone(),
        }
    }

    /// Writes the policy's decision about each owner into the report. Units, and who is logged in, are
    /// asked about only where something would be done.
    pub fn decide(&mut self, report: &mut Report) -> Units {
        let groups = by_owner(&report.processes);
        let units = self.units_of(&groups);
        let rows = groups.iter().map(|group| OwnerRow {
            owner: group.owner.clone(),
            pids: group.pids(),
            verdict: group.verdict(),
            causes: group.causes(),
            decision: group.decide(self.policy, &self.evidence(&units)),
            steps: Vec::new(),
            proof: None,
            fallen: Vec::new(),
        });
        report.owners = rows.collect();
        units
    }

    /// What is known when it is decided.
    pub fn evidence<'e>(&'e self, units: &'e Units) -> Evidence<'e> {
        Evidence { units, protected: &self.protected, circumstances: &self.circumstances, told: &self.told }
    }

    /// The units that would be acted on, and those that hang on them.
    pub fn units_of(&mut self, groups: &[Group<'_>]) -> Units {
        let nothing = Units::new();
        let ladder = |group: &Group<'_>| group.decide(self.policy, &self.evidence(&nothing)).ladder;
        let ladders: Vec<Vec<Action>> = groups.iter().map(ladder).collect();
        let wanted = groups.iter().zip(&ladders).filter(|(_, ladder)| ladder.iter().any(|action| action.changes()));
        let names: Vec<UnitName> = wanted.filter_map(|(group, _)| group.owner.unit()).collect();
        if names.is_empty() {
            if ladders.iter().any(|ladder| ladder.contains(&Action::Notify)) {
                protect::add_sessions(&mut self.protected, &self.proc);
            }
            return nothing;
        }
        protect::add_dear(&mut self.protected, &self.proc);
        let mut units = services::units(&names);
        services::count_starts(&mut units, self.circumstances.now);
        let hanging = hanging_on(&units);
        units.extend(services::units(&hanging));
        units
    }
}

/// The units that hang on these and are not among them.
pub fn hanging_on(units: &Units) -> Vec<UnitName> {
    let all = units.iter().flat_map(|(name, facts)| {
        facts.dependents.iter().map(|dependent| UnitName { user: name.user, name: dependent.clone() })
    });
    let found: BTreeSet<UnitName> = all.filter(|name| !units.contains_key(name)).collect();
    found.into_iter().collect()
}
