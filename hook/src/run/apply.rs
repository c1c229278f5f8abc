//! `apply`: does what the policy says, step by step, and looks again after each.

use super::desk::{Desk, Known};
use super::look::look;
use super::report::{decide, judge_reboot, units, Units};
use super::{protect, steps, wait};
use crate::model::claim::Claim;
use crate::model::pending::{Memory, Pending};
use crate::model::plan::{by_owner, proof_of, Action, StepReport, UnitStates};
use crate::model::policy::{Policy, When};
use crate::model::report::{OwnerRow, Proof, Report};
use crate::model::unit::UnitFacts;
use crate::model::verdict::Verdict;
use crate::render::json;
use crate::sys::{clock, host, progress};
use anyhow::{bail, Context, Result};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Duration;

/// How long a run waits for another one to end.
const LOCK_DEADLINE: Duration = Duration::from_secs(600);
const EXPAND_DEADLINE: Duration = Duration::from_secs(10);

/// When to act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Now.
    Now,
    /// When nobody has changed packages for a while; with nothing pending there is nothing to do.
    AfterTransaction,
    /// Now, inside the hook: the package manager waits for us and holds its locks.
    Inline,
}

/// Whether to do it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Do it.
    Act,
    /// The same path, stopped before the first step.
    DryRun,
}

/// What a run did.
#[derive(Debug)]
pub struct Run {
    /// The report; `None` when nothing was pending.
    pub report: Option<Report>,
    /// 0: all that was planned is proven; 1: not; 3: a tainted process is left of what was planned.
    pub exit_code: u8,
}

/// The steps that a run is about to take, on disk before it takes them.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Begun {
    boot_id: String,
    units: Vec<String>,
}

/// Runs it.
pub fn apply(desk: &Desk<'_>, moment: Moment, mode: Mode) -> Result<Run> {
    let loaded = desk.policy();
    if let (Err(error), Moment::AfterTransaction) = (&loaded, moment) {
        // Nothing is lost, and our own unit is not woken again and again.
        desk.store.hold(&desk.pending().0)?;
        return Err(anyhow::anyhow!("{error}\nnothing was done; what is pending waits for the next run"));
    }
    let policy = loaded?.policy;
    if moment == Moment::AfterTransaction && policy.defaults.when == When::Manual {
        desk.store.hold(&desk.pending().0)?;
        return Ok(Run { report: None, exit_code: 0 });
    }
    if mode == Mode::Act {
        may_act(desk, moment)?;
    }
    let _lock = match mode {
        Mode::Act => {
            let _line = progress::show("waiting for another run to end");
            Some(desk.store.lock(LOCK_DEADLINE)?)
        }
        Mode::DryRun => None,
    };
    if moment == Moment::AfterTransaction {
        wait::until_quiet(desk, policy.defaults.quiet);
        desk.store.sweep();
    }
    let (paths, pending, gaps) = desk.pending();
    if moment == Moment::AfterTransaction && paths.is_empty() {
        return Ok(Run { report: None, exit_code: 0 });
    }
    let known = gather(desk, &pending, gaps)?;
    let run = Round { desk, policy: &policy, known: &known, mode }.run(&pending)?;
    if mode == Mode::Act {
        let mut memory: Memory = desk.store.memory(&desk.boot_id);
        memory.add(&pending, &known.now, clock::now());
        desk.store.remember(&memory)?;
        desk.store.clear(&paths)?;
        desk.store.end()?;
    }
    Ok(run)
}

/// Half-configured packages are no place to restart anything in.
fn may_act(desk: &Desk<'_>, moment: Moment) -> Result<()> {
    if host::uid() != 0 {
        bail!("only root can act; `reexec plan` says what would be done");
    }
    if moment == Moment::Now && wait::is_busy(desk) {
        bail!("packages are being changed; `reexec apply --after-transaction` waits until that is done");
    }
    Ok(())
}

/// What the triggers said, and what the databases say now of the packages they named.
fn gather(desk: &Desk<'_>, pending: &[Pending], gaps: Vec<String>) -> Result<Known> {
    let mut known = Known::default();
    if let Some(path) = &desk.common.claims {
        known.now = super::claims::from_file(path)?;
    }
    known.add_memory(desk.store.memory(&desk.boot_id));
    known.add_pending(pending);
    known.gaps.extend(gaps);
    for one in pending {
        let names: Vec<String> = one.packages.iter().map(|package| package.name.clone()).collect();
        let Some(plugin) = desk.plugins.iter().find(|plugin| plugin.name() == one.manager) else { continue };
        if names.is_empty() {
            continue;
        }
        match plugin.expand(&one.root, &names, EXPAND_DEADLINE) {
            Ok(reading) => known.now.extend(reading.claims),
            Err(error) => known.gaps.push(error.to_string()),
        }
    }
    let mut met = std::collections::HashSet::new();
    known.now.retain(|claim: &Claim| met.insert(claim.clone()));
    Ok(known)
}

struct Round<'a> {
    desk: &'a Desk<'a>,
    policy: &'a Policy,
    known: &'a Known,
    mode: Mode,
}

impl Round<'_> {
    fn run(&self, pending: &[Pending]) -> Result<Run> {
        let callers: Vec<&str> = pending.iter().map(|one| one.caller.as_str()).collect();
        let protected = protect::protected(&self.desk.common.proc, &callers);
        let interrupted: Option<Begun> =
            self.desk.store.begun().filter(|begun: &Begun| begun.boot_id == self.desk.boot_id);
        if let (Some(begun), Mode::Act) = (&interrupted, self.mode) {
            let names: Vec<&str> = begun.units.iter().map(String::as_str).collect();
            wait::until_settled(&names, self.policy.defaults.deadline);
        }
        let mut report = look(self.desk, self.known)?;
        let before = decide(&mut report, self.policy, &protected);
        let acting: Vec<usize> =
            (0..report.owners.len()).filter(|&index| report.owners[index].decision.acts()).collect();
        if self.mode == Mode::DryRun || (acting.is_empty() && interrupted.is_none()) {
            let exit_code = 0;
            judge_reboot(self.desk, &mut report);
            return Ok(Run { report: Some(report), exit_code });
        }
        let mut rows: Vec<OwnerRow> = std::mem::take(&mut report.owners);
        let mut names: Vec<String> = acting.iter().map(|&index| rows[index].owner.name.clone()).collect();
        names.extend(interrupted.iter().flat_map(|begun| begun.units.clone()));
        self.desk
            .store
            .begin(&Begun { boot_id: self.desk.boot_id.clone(), units: names })
            .context("write down the plan")?;
        let after = self.climb(&mut rows, &acting, &before)?;
        if let Some(begun) = interrupted {
            rows.extend(taken_up(&begun, &rows));
        }
        let acted: Vec<&OwnerRow> = rows.iter().filter(|row| row.proof.is_some()).collect();
        let exit_code = exit_code(&acted);
        let mut report = after.unwrap_or(report);
        report.owners = rows;
        judge_reboot(self.desk, &mut report);
        self.desk.store.keep_report(&json::value(&report, exit_code), report.time).context("keep the report")?;
        Ok(Run { report: Some(report), exit_code })
    }

    /// Takes the first step of every ladder, looks, and goes on with those that are not proven.
    fn climb(&self, rows: &mut [OwnerRow], acting: &[usize], before: &Units) -> Result<Option<Report>> {
        let rungs = acting.iter().map(|&index| rows[index].decision.ladder.len()).max().unwrap_or(0);
        let mut last = None;
        for rung in 0..rungs {
            let due: Vec<usize> = acting
                .iter()
                .copied()
                .filter(|&index| rows[index].proof != Some(Proof::Fresh))
                .filter(|&index| rows[index].decision.ladder.get(rung).is_some_and(|action| action.changes()))
                .collect();
            if due.is_empty() {
                continue;
            }
            let wanted: Vec<(Action, &str)> =
                due.iter().map(|&index| (rows[index].decision.ladder[rung], rows[index].owner.name.as_str())).collect();
            let taken: Vec<StepReport> = steps::perform(&wanted, &self.policy.defaults);
            let names: Vec<&str> = due.iter().map(|&index| rows[index].owner.name.as_str()).collect();
            let at_once = units(&names);
            wait::settle(&names, &at_once, self.policy.defaults.settle);
            let after = units(&names);
            let looked = look(self.desk, self.known)?;
            for (&index, step) in due.iter().zip(taken) {
                rows[index].steps.push(step);
                self.prove(&mut rows[index], before, &at_once, &after, &looked);
            }
            last = Some(looked);
        }
        Ok(last)
    }

    fn prove(&self, row: &mut OwnerRow, before: &Units, at_once: &Units, after: &Units, looked: &Report) {
        let name = row.owner.name.as_str();
        let states = UnitStates { before: before.get(name), at_once: at_once.get(name), after: after.get(name) };
        let left: Vec<_> = looked.processes.iter().filter(|process| process.process.owner == row.owner).collect();
        let (proof, words) = proof_of(&states, &left, &row.pids);
        row.proof = Some(proof);
        if let Some(step) = row.steps.last_mut() {
            step.message = format!("{}; {words}", step.message);
        }
        if proof == Proof::Fresh {
            row.verdict = Verdict::Fresh;
        }
        row.pids = by_owner(&looked.processes)
            .iter()
            .find(|group| *group.owner == row.owner)
            .map(|group| group.pids())
            .unwrap_or_default();
    }
}

/// Units that a killed run was about to restart and that run no old file now: up again, or down.
fn taken_up(begun: &Begun, rows: &[OwnerRow]) -> Vec<OwnerRow> {
    let names: Vec<&str> =
        begun.units.iter().map(String::as_str).filter(|name| rows.iter().all(|row| row.owner.name != *name)).collect();
    let row_of = |(name, unit): (&String, &UnitFacts)| {
        let mut row = OwnerRow::of_unit(name);
        let (proof, words) = match unit.is_active() {
            true => (Proof::Fresh, "nothing of it runs an old file".to_owned()),
            false => (Proof::Down, format!("it is {} ({})", unit.active_state, unit.result)),
        };
        row.proof = Some(proof);
        row.decision.skip = Some(format!("a run that was killed acted on it; {words}"));
        row
    };
    units(&names).iter().map(row_of).collect()
}

fn exit_code(acted: &[&OwnerRow]) -> u8 {
    let unproven: Vec<_> = acted.iter().filter(|row| row.proof != Some(Proof::Fresh)).collect();
    match (unproven.is_empty(), unproven.iter().any(|row| row.verdict == Verdict::Tainted)) {
        (true, _) => 0,
        (false, true) => 3,
        (false, false) => 1,
    }
}

/// Paths of pending files, for who only wants to know that there are some.
pub fn waiting(desk: &Desk<'_>) -> Vec<PathBuf> {
    desk.pending().0
}
