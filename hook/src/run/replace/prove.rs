//! Starting the new, seeing that it lives, and only then giving up the old.

use super::put::Put;
use super::Said;
use crate::model::plan::{Action, Outcome, StepReport};
use crate::model::report::{OwnerRow, Proof};
use crate::model::text::escape;
use crate::model::unit::UnitName;
use crate::run::apply::{self, Own, Run};
use crate::run::desk::Desk;
use crate::run::wait;
use crate::sys::perform::{self, Batch};
use crate::sys::{clock, host, services};
use anyhow::{bail, Context, Result};

/// Acts on what was put in place; where that is not proven, the old files get their names back, and their
/// units are set right.
pub fn or_undo(desk: &Desk<'_>, mut put: Put<'_>, mut said: Said) -> Result<Said> {
    if host::uid() != 0 {
        put.give_up();
        bail!("only root can start units anew, so that nothing could be proven; nothing was changed");
    }
    if wait::is_busy(desk) {
        put.give_up();
        bail!("packages are being changed, and nothing can be proven meanwhile; nothing was changed");
    }
    let own = Own::keep(desk, put.journal.pending(&desk.boot_id, clock::now()))?;
    let first = match apply::apply_own(desk, &own) {
        Ok(run) => run,
        Err(error) => {
            let lost = put.give_up();
            return Err(error.context(format!("the old files have their names again{}", told(&lost))));
        }
    };
    let unproven = rows(&first).filter(|row| is_unproven(row)).cloned().collect::<Vec<_>>();
    if unproven.is_empty() {
        put.clean()?;
        said.run = Some(first);
        return Ok(said);
    }
    let lost = put.take_back();
    let [_, after] = put.journal.pending(&desk.boot_id, clock::now());
    let own = Own::keep(desk, [after])?;
    put.clean()?;
    said.replaced.undone = Some(format!("{}{}", unproven.iter().map(why).collect::<Vec<_>>().join("; "), told(&lost)));
    let second = apply::apply_own(desk, &own).context("set the units right that were started with the new file")?;
    said.run = Some(set_right(desk, first, second, &unproven)?);
    Ok(said)
}

fn rows(run: &Run) -> impl Iterator<Item = &OwnerRow> {
    run.report.iter().flat_map(|report| &report.owners)
}

/// Whether something was done about it, and it does not run the new file and live.
fn is_unproven(row: &OwnerRow) -> bool {
    match row.proof {
        None | Some(Proof::Fresh | Proof::Draining) => !row.fallen.is_empty(),
        Some(Proof::StillStale | Proof::Down | Proof::Gone | Proof::Unknown) => true,
    }
}

fn why(row: &OwnerRow) -> String {
    let last = row.steps.last().map(|step| format!(" ({})", step.message)).unwrap_or_default();
    let proof = row.proof.map_or("not proven", Proof::word);
    format!("{} was {proof} with the new file{}", row.owner.name, escape(last.as_bytes()))
}

fn told(lost: &[String]) -> String {
    match lost {
        [] => String::new(),
        lost => format!("; but {}", lost.join("; ")),
    }
}

/// Starts what went down with the new file and what no second step has brought up, and joins what both
/// runs have to say.
fn set_right(desk: &Desk<'_>, first: Run, mut second: Run, unproven: &[OwnerRow]) -> Result<Run> {
    let policy = desk.policy()?.policy;
    let (Some(mut told), Some(report)) = (first.report, second.report.as_mut()) else { bail!("nothing was looked at") };
    let proven =
        |row: &OwnerRow| report.owners.iter().any(|now| now.owner == row.owner && now.proof == Some(Proof::Fresh));
    let down: Vec<UnitName> = unproven.iter().filter(|row| !proven(row)).filter_map(|row| row.owner.unit()).collect();
    let ends = perform::batch(&Batch::Revive(down.clone()), policy.defaults.deadline);
    let at_once = services::units(&down);
    wait::settle(&down, &at_once, policy.defaults.settle);
    let after = services::units(&down);
    for row in &mut told.owners {
        let now = report.owners.iter().find(|now| now.owner == row.owner);
        if let Some(now) = now {
            row.steps.extend(now.steps.iter().cloned());
            (row.proof, row.verdict, row.pids) = (now.proof.or(row.proof), now.verdict, now.pids.clone());
        }
        let index = row.owner.unit().and_then(|name| down.iter().position(|one| *one == name));
        let Some((name, end)) = index.and_then(|index| Some((&down[index], ends.get(index)?))) else { continue };
        let (before, now) = (at_once.get(name), after.get(name));
        let stays =
            now.is_some_and(|now| now.is_active() && before.is_some_and(|before| before.invocation == now.invocation));
        row.proof = Some(if stays { Proof::Fresh } else { Proof::Down });
        let words = if stays { "it is up with the old file" } else { "it is down with the old file, too" };
        let message = format!("{}; {words}", end.message);
        let millis = u64::try_from(end.took.as_millis()).unwrap_or(u64::MAX);
        row.steps.push(StepReport { action: Action::Restart, outcome: end.outcome, message, millis });
        if stays && end.outcome == Outcome::Done {
            row.verdict = crate::model::verdict::Verdict::Fresh;
        }
    }
    // Whoever was proven with the new file and started anew with the old one is in the second run alone.
    let strangers = report.owners.iter().filter(|now| told.owners.iter().all(|row| row.owner != now.owner));
    told.owners.extend(strangers.cloned().collect::<Vec<_>>());
    (told.processes, told.summary, told.gaps) = (report.processes.clone(), report.summary, report.gaps.clone());
    // What was asked for is not so.
    Ok(Run { report: Some(told), exit_code: second.exit_code.max(1), ..second })
}
