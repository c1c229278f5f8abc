//! Climbing the ladders: a step for each owner, a look, and the next step for whoever is not proven.
//! What is begun and what was done is on disk before the next thing is.

use super::desk::{Desk, Known};
use super::look::look;
use super::report::hanging_on;
use super::resting::Asked;
use super::steps::{self, Due};
use super::wait;
use crate::model::image::Executed;
use crate::model::judge::VerdictOf;
use crate::model::owner::Owner;
use crate::model::pending::Pending;
use crate::model::plan::{by_owner, Action, Outcome, StepReport};
use crate::model::policy::{Dependents, OnFailure, Policy};
use crate::model::proof::{proof_of, Members, UnitStates};
use crate::model::report::{OwnerRow, Proof, Report};
use crate::model::text::escape_path;
use crate::model::unit::{UnitName, Units};
use crate::model::verdict::{Cause, Verdict};
use crate::sys::perform::{self, Batch, Single};
use crate::sys::{clock, procs, services};
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::time::Duration;

/// A run that has begun: on disk before each thing that it does.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
pub struct Begun {
    /// The boot that it runs in.
    pub boot_id: String,
    /// Owners that it acts on.
    pub owners: Vec<Owner>,
    /// Steps that have ended.
    pub taken: Vec<Taken>,
}

/// A step that has ended.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Taken {
    owner: Owner,
    rung: usize,
    /// The old files that it was about, with what stood at their paths: for others it is taken again.
    files: Vec<String>,
    report: StepReport,
}

/// The old files of an owner, and what stands at their paths.
fn files_of(row: &OwnerRow) -> Vec<String> {
    let file = |cause: &Cause| format!("{} {:?}", escape_path(&cause.path), cause.current);
    row.causes.iter().map(file).collect()
}

impl Begun {
    /// Whether a soft reboot was asked for as its last thing.
    pub fn restarts_user_space(&self) -> bool {
        self.taken.iter().any(|taken| taken.report.action == Action::SoftReboot)
    }

    /// The units among its owners.
    pub fn units(&self) -> Vec<UnitName> {
        self.owners.iter().filter_map(Owner::unit).collect()
    }
}

/// Whether user space goes down behind a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restarting {
    /// It does: nothing is forgotten, the next run proves it.
    Yes,
    /// It does not.
    No,
}

fn wants_soft_reboot(row: &OwnerRow) -> bool {
    row.decision.acts() && row.decision.ladder.contains(&Action::SoftReboot) && row.proof != Some(Proof::Fresh)
}

fn soft_reboot_step(outcome: Outcome, message: &str, took: Duration) -> StepReport {
    let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    StepReport { action: Action::SoftReboot, outcome, message: message.to_owned(), millis }
}

/// A run that climbs.
#[derive(Debug)]
pub struct Climb<'a> {
    desk: &'a Desk<'a>,
    known: &'a Known,
    policy: &'a Policy,
    begun: Begun,
    interrupted: Option<Begun>,
    /// Units before anything was done, and those that hang on them.
    before: Units,
}

impl<'a> Climb<'a> {
    /// Takes up what a killed run left, if there is any.
    pub fn begin(
        desk: &'a Desk<'a>,
        known: &'a Known,
        policy: &'a Policy,
        interrupted: Option<Begun>,
        before: Units,
    ) -> Climb<'a> {
        let begun = Begun { boot_id: desk.boot_id.clone(), ..interrupted.clone().unwrap_or_default() };
        Climb { desk, known, policy, begun, interrupted, before }
    }

    /// Does everything that the report's rows say, and writes into them what became of it.
    pub fn run(&mut self, report: &mut Report) -> Result<()> {
        let mut rows = std::mem::take(&mut report.owners);
        let acting: Vec<usize> = (0..rows.len()).filter(|&index| rows[index].decision.acts()).collect();
        for &index in &acting {
            if !self.begun.owners.contains(&rows[index].owner) {
                self.begun.owners.push(rows[index].owner.clone());
            }
        }
        self.write()?;
        let (first, followers) = canaries(&rows, &acting);
        let mut looked = self.climb(&mut rows, &first, report)?;
        let followers = follow(&mut rows, &followers);
        if !followers.is_empty() {
            let seen = looked.as_ref().unwrap_or(report).clone();
            looked = self.climb(&mut rows, &followers, &seen)?.or(looked);
        }
        self.catch_fallen(&mut rows, &acting);
        rows.extend(self.taken_up(&rows));
        if let Some(looked) = looked {
            *report = looked;
        }
        report.owners = rows;
        Ok(())
    }

    /// Whether anybody's next step is a soft reboot.
    pub fn wants_soft_reboot(report: &Report) -> bool {
        report.owners.iter().any(wants_soft_reboot)
    }

    /// Restarts user space, as the last thing of all, when the report is kept. Whoever runs next proves what
    /// became of it: this run is killed. It is written down before that it was tried with these old files.
    pub fn soft_reboot(&mut self, report: &mut Report) -> Result<Restarting> {
        let store = &self.desk.store;
        let wants: Vec<Owner> =
            report.owners.iter().filter(|row| wants_soft_reboot(row)).map(|row| row.owner.clone()).collect();
        let told = store.told(&self.desk.boot_id);
        let mut tried = told.clone();
        let groups = by_owner(&report.processes);
        tried.extend(groups.iter().filter(|group| wants.contains(group.owner)).map(|group| group.soft_rebooted_as()));
        store.keep_told(&self.desk.boot_id, &tried)?;
        let known = self.begun.clone();
        for row in report.owners.iter().filter(|row| wants.contains(&row.owner)) {
            let rung = row.decision.ladder.iter().position(|action| *action == Action::SoftReboot).unwrap_or(0);
            let files = files_of(row);
            let report = soft_reboot_step(Outcome::Done, "user space was restarted", Duration::ZERO);
            self.begun.taken.push(Taken { owner: row.owner.clone(), rung, files, report });
        }
        self.write()?;
        let reminder =
            store.add_pending(&Pending::reminder(&self.desk.boot_id, &self.desk.common.root, clock::now()))?;

        let end = perform::single(&Single::SoftReboot, self.policy.defaults.deadline);
        for row in report.owners.iter_mut().filter(|row| wants.contains(&row.owner)) {
            row.steps.push(soft_reboot_step(end.outcome, &end.message, end.took));
            if end.outcome != Outcome::Done {
                row.proof.get_or_insert(Proof::StillStale);
            }
        }
        if end.outcome == Outcome::Done {
            return Ok(Restarting::Yes);
        }
        self.begun = known;
        store.clear(&[reminder])?;
        store.keep_told(&self.desk.boot_id, &told)?;
        self.write()?;
        Ok(Restarting::No)
    }

    fn write(&self) -> Result<()> {
        self.desk.store.begin(&self.begun).context("write down the plan")
    }

    /// Takes the first step of every ladder, looks, and goes on with those that are not proven.
    fn climb(&mut self, rows: &mut [OwnerRow], acting: &[usize], report: &Report) -> Result<Option<Report>> {
        let rungs = acting.iter().map(|&index| rows[index].decision.ladder.len()).max().unwrap_or(0);
        let mut last: Option<Report> = None;
        for rung in 0..rungs {
            let due: Vec<usize> = acting.iter().copied().filter(|&index| self.is_due(&mut rows[index], rung)).collect();
            if due.is_empty() {
                continue;
            }
            let executed = self.executed(last.as_ref().unwrap_or(report), rows, &due);
            let taken = self.take(rows, &due, rung, last.as_ref().unwrap_or(report))?;
            let changed = due.iter().any(|&index| rows[index].decision.ladder[rung].changes());
            if !changed {
                for (&index, step) in due.iter().zip(taken) {
                    rows[index].steps.push(step);
                }
                continue;
            }
            let names: Vec<UnitName> = due.iter().filter_map(|&index| rows[index].owner.seen_as()).collect();
            let at_once = services::units(&names);
            let settle = due.iter().map(|&index| rows[index].decision.terms.settle).max().unwrap_or_default();
            wait::settle(&names, &at_once, settle);
            let after = services::units(&names);
            perform::unmark(&done_units(&at_once, rows, &due, &taken));
            let looked = look(self.desk, self.known, Some(self.policy), Asked::Each)?;
            let executes = self.executed(&looked, rows, &due);
            for (&index, step) in due.iter().zip(taken) {
                let only_tells = !step.action.changes();
                rows[index].steps.push(step);
                if only_tells {
                    continue;
                }
                let name = rows[index].owner.seen_as();
                let of = |units: &'_ Units| name.as_ref().and_then(|name| units.get(name).cloned());
                let (before, at_once, after) = (of(&self.before), of(&at_once), of(&after));
                let states = UnitStates { before: before.as_ref(), at_once: at_once.as_ref(), after: after.as_ref() };
                prove(&mut rows[index], &states, &looked, &executed, &executes);
            }
            last = Some(looked);
        }
        Ok(last)
    }

    /// Whether an owner's step on this rung is to be taken; one that a killed run has taken is not.
    fn is_due(&self, row: &mut OwnerRow, rung: usize) -> bool {
        let Some(action) = row.decision.ladder.get(rung).copied() else { return false };
        if !action.acts() || action == Action::SoftReboot || row.proof == Some(Proof::Fresh) {
            return false;
        }
        if row.steps.last().is_some_and(|step| step.outcome == Outcome::Later) {
            return false;
        }
        if row.decision.terms.on_failure == OnFailure::Stop && failed(row) {
            return false;
        }
        let files = files_of(row);
        let earlier = self.interrupted.iter().flat_map(|begun| &begun.taken);
        match earlier.into_iter().find(|taken| taken.owner == row.owner && taken.rung == rung && taken.files == files) {
            Some(taken) if taken.report.action == action => {
                let message = format!("{}; by a run that was killed behind it", taken.report.message);
                row.steps.push(StepReport { message, ..taken.report.clone() });
                row.proof.get_or_insert(Proof::StillStale);
                false
            }
            _ => true,
        }
    }

    /// Takes a step for each, and writes down each end.
    fn take(&mut self, rows: &[OwnerRow], due: &[usize], rung: usize, seen: &Report) -> Result<Vec<StepReport>> {
        let wishes: Vec<Due<'_>> = due
            .iter()
            .map(|&index| Due {
                row: &rows[index],
                step: &rows[index].decision.steps[rung],
                members: members(seen, &rows[index].owner),
                proc: &self.desk.common.proc,
            })
            .collect();
        let mut begun = self.begun.clone();
        let mut fault = None;
        let mut told = self.desk.store.told(&self.desk.boot_id);
        let taken = steps::perform(&wishes, &self.policy.defaults, |index, report| {
            let owner = wishes[index].row.owner.clone();
            let files = files_of(wishes[index].row);
            begun.taken.push(Taken { owner, rung, files, report: report.clone() });
            fault = fault.take().or(self.desk.store.begin(&begun).err());
        });
        self.begun = begun;
        for group in by_owner(&seen.processes) {
            let notified = |(due, step): (&Due<'_>, &StepReport)| {
                due.row.owner == *group.owner && step.action == Action::Notify && step.outcome == Outcome::Done
            };
            if wishes.iter().zip(&taken).any(notified) {
                told.insert(group.told_as());
                fault = fault.take().or(self.desk.store.keep_told(&self.desk.boot_id, &told).err());
            }
        }
        match fault {
            Some(error) => Err(error.context("write down what was done")),
            None => Ok(taken),
        }
    }

    /// What the owners' processes that are not fresh execute.
    fn executed(&self, report: &Report, rows: &[OwnerRow], due: &[usize]) -> Vec<Executed> {
        let of_due = |row: &&VerdictOf| due.iter().any(|&index| rows[index].owner == row.process.owner);
        let executed = |row: &VerdictOf| {
            let key = row.process.key;
            let image = procs::open(&self.desk.common.proc, key.pid).ok()?.image()?;
            Some(Executed { key, image })
        };
        report.processes.iter().filter(of_due).filter_map(executed).collect()
    }

    /// Units that hang on those that were acted on, were up before, and are not now: named, and started
    /// again where the policy says so.
    fn catch_fallen(&self, rows: &mut [OwnerRow], acting: &[usize]) {
        for &index in acting {
            let row = &mut rows[index];
            let Some(name) = row.owner.unit().filter(|_| row.proof.is_some()) else { continue };
            let Some(facts) = self.before.get(&name) else { continue };
            let own = Units::from([(name.clone(), facts.clone())]);
            let was_up = |name: &UnitName| self.before.get(name).is_some_and(|facts| facts.is_active());
            let mut hanging: Vec<UnitName> = hanging_on(&own).into_iter().filter(was_up).collect();
            let is_down = |name: &UnitName| {
                services::units(std::slice::from_ref(name)).get(name).is_some_and(|now| !now.is_active())
            };
            hanging.retain(is_down);
            if row.decision.terms.dependents == Dependents::Start && !hanging.is_empty() {
                let deadline = row.decision.terms.deadline;
                perform::batch(&Batch::Start(hanging.clone()), deadline);
                let (down, up): (Vec<UnitName>, Vec<UnitName>) = hanging.into_iter().partition(is_down);
                tell_last(row, &up, "fell with it and was started again");
                hanging = down;
            }
            tell_last(row, &hanging, "fell with it and is down");
            row.fallen = hanging.into_iter().map(|name| name.name).collect();
        }
    }

    /// Owners that a killed run was about to act on and that run no old file now: up again, or down.
    fn taken_up(&self, rows: &[OwnerRow]) -> Vec<OwnerRow> {
        let Some(begun) = &self.interrupted else { return Vec::new() };
        let lost = begun.owners.iter().filter(|owner| rows.iter().all(|row| row.owner != **owner));
        let row_of = |owner: &Owner| {
            let unit = owner.unit().and_then(|name| services::units(std::slice::from_ref(&name)).remove(&name));
            let (proof, words) = match unit.filter(|unit| !unit.is_active()) {
                None => (Proof::Fresh, "nothing of it runs an old file".to_owned()),
                Some(unit) => (Proof::Down, format!("it is {} ({})", unit.active_state, unit.result)),
            };
            let mut row = OwnerRow::of_unit(&owner.name);
            row.owner = owner.clone();
            row.proof = Some(proof);
            row.steps =
                begun.taken.iter().filter(|taken| taken.owner == *owner).map(|taken| taken.report.clone()).collect();
            let before = match row.steps.last() {
                Some(StepReport { action: Action::SoftReboot, .. }) => "user space was restarted for it",
                Some(_) | None => "a run that was killed acted on it",
            };
            row.decision.leave(format!("{before}; {words}"));
            row
        };
        lost.map(row_of).collect()
    }
}

/// The units of which a step was done, as they were right after it.
fn done_units(at_once: &Units, rows: &[OwnerRow], due: &[usize], taken: &[StepReport]) -> Units {
    let restarts = |step: &StepReport| matches!(step.action, Action::Restart | Action::Reload);
    let done = due.iter().zip(taken).filter(|(_, step)| restarts(step) && step.outcome == Outcome::Done);
    let names = done.filter_map(|(&index, _)| rows[index].owner.unit());
    names.filter_map(|name| at_once.get(&name).map(|facts| (name, facts.clone()))).collect()
}

fn members<'r>(report: &'r Report, owner: &Owner) -> Vec<&'r VerdictOf> {
    report.processes.iter().filter(|row| row.process.owner == *owner && row.verdict != Verdict::Fresh).collect()
}

/// Whether the last step failed, or left its owner down.
fn failed(row: &OwnerRow) -> bool {
    row.proof == Some(Proof::Down) || row.steps.last().is_some_and(|step| step.outcome != Outcome::Done)
}

fn tell_last(row: &mut OwnerRow, names: &[UnitName], what: &str) {
    if let (Some(step), false) = (row.steps.last_mut(), names.is_empty()) {
        let names: Vec<&str> = names.iter().map(|name| name.name.as_str()).collect();
        step.message = format!("{}; {} {what}", step.message, names.join(", "));
    }
}

fn prove(row: &mut OwnerRow, states: &UnitStates<'_>, looked: &Report, executed: &[Executed], executes: &[Executed]) {
    let left = members(looked, &row.owner);
    let (mut proof, words) = proof_of(states, &Members { left: &left, old: &row.pids, executed, executes });
    if proof == Proof::StillStale && row.steps.last().is_some_and(|step| step.outcome == Outcome::Later) {
        proof = Proof::Draining;
    }
    row.proof = Some(proof);
    if let Some(step) = row.steps.last_mut() {
        step.message = format!("{}; {words}", step.message);
    }
    if proof == Proof::Fresh {
        row.verdict = Verdict::Fresh;
    }
    let groups = by_owner(&looked.processes);
    row.pids = groups.iter().find(|group| *group.owner == row.owner).map(|group| group.pids()).unwrap_or_default();
}

/// The template that a unit is an instance of: `a@.service` of `a@1.service`.
fn template(name: &str) -> Option<String> {
    let (stem, rest) = name.split_once('@')?;
    let (instance, suffix) = rest.rsplit_once('.')?;
    (!instance.is_empty()).then(|| format!("{stem}@.{suffix}"))
}

/// Who goes first, and who follows on which of them: of a template whose rule wants a canary, the first
/// instance goes before the others.
fn canaries(rows: &[OwnerRow], acting: &[usize]) -> (Vec<usize>, Vec<(usize, usize)>) {
    let key = |index: usize| {
        let row: &OwnerRow = &rows[index];
        let wanted = row.decision.terms.canary;
        Some((row.decision.source.clone(), row.owner.uid, template(&row.owner.name).filter(|_| wanted)?))
    };
    let mut ordered: Vec<usize> = acting.to_vec();
    ordered.sort_by(|&a, &b| rows[a].owner.name.cmp(&rows[b].owner.name));
    let mut leaders: Vec<(_, usize)> = Vec::new();
    let mut followers = Vec::new();
    for index in ordered {
        let Some(key) = key(index) else { continue };
        match leaders.iter().find(|(known, _)| *known == key) {
            Some((_, leader)) => followers.push((index, *leader)),
            None => leaders.push((key, index)),
        }
    }
    let following: BTreeSet<usize> = followers.iter().map(|(index, _)| *index).collect();
    (acting.iter().copied().filter(|index| !following.contains(index)).collect(), followers)
}

/// The followers whose canary is proven; the others are left alone, and say why.
fn follow(rows: &mut [OwnerRow], followers: &[(usize, usize)]) -> Vec<usize> {
    let mut free = Vec::new();
    for &(index, leader) in followers {
        let (name, proof) = (rows[leader].owner.name.clone(), rows[leader].proof);
        match proof {
            Some(Proof::Fresh | Proof::Draining) => free.push(index),
            Some(proof) => rows[index].decision.leave(format!("its canary {name} is {proof}")),
            None => rows[index].decision.leave(format!("its canary {name} was not proven")),
        }
    }
    free
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, canary: bool) -> OwnerRow {
        let mut row = OwnerRow::of_unit(name);
        row.decision.terms.canary = canary;
        row
    }

    #[test]
    fn one_instance_of_a_template_goes_first_and_the_others_follow_only_its_success() {
        let mut rows = vec![
            row("w@2.service", true),
            row("w@1.service", true),
            row("x.service", true),
            row("v@1.service", false),
            row("v@2.service", false),
        ];
        let (first, followers) = canaries(&rows, &[0, 1, 2, 3, 4]);
        assert_eq!((first, followers.clone()), (vec![1, 2, 3, 4], vec![(0, 1)]));
        rows[1].proof = Some(Proof::Fresh);
        assert_eq!(follow(&mut rows, &followers), [0]);
        rows[1].proof = Some(Proof::Down);
        assert_eq!(follow(&mut rows, &followers), [0; 0]);
        assert_eq!(rows[0].decision.skip.as_deref(), Some("its canary w@1.service is down"));
    }

    #[test]
    fn a_template_is_what_stands_around_the_instance() {
        assert_eq!(template("getty@tty1.service").as_deref(), Some("getty@.service"));
        assert_eq!(template("a@b.c.service").as_deref(), Some("a@.service"));
        assert_eq!(template("a@.service"), None);
        assert_eq!(template("a.service"), None);
    }
}
