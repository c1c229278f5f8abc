//! `apply --interactive`: what the policy would do, and what it would leave alone but could be restarted,
//! each with its reason; somebody picks.

use super::report::Deciding;
use crate::model::guard::forbids;
use crate::model::plan::{Action, Step};
use crate::model::policy::Later;
use crate::model::report::{OwnerRow, Report};
use crate::model::text::{escape, escape_path};
use crate::model::unit::{UnitName, Units};
use crate::model::verdict::{Cause, Verdict};
use crate::render::text::name_of;
use crate::run::protect;
use crate::sys::{host, picker, services};
use anyhow::Result;
use std::collections::BTreeSet;
use std::path::Path;

/// Lets somebody pick, and leaves alone what they did not.
pub fn choose(report: &mut Report, deciding: &mut Deciding<'_>, proc: &Path) -> Result<()> {
    protect::add_dear(&mut deciding.protected, proc);
    let names: Vec<UnitName> = report.owners.iter().filter_map(|row| row.owner.unit()).collect();
    let units = services::units(&names);
    let offered: Vec<usize> =
        (0..report.owners.len()).filter(|&at| is_offered(&report.owners[at], deciding, &units)).collect();
    if offered.is_empty() {
        return Ok(());
    }
    let columns = host::terminal_columns().unwrap_or(80);
    let rows: Vec<&OwnerRow> = offered.iter().map(|&at| &report.owners[at]).collect();
    let is_picked = rows.iter().map(|row| row.decision.acts());
    let entries: Vec<picker::Entry> = lines(&rows, columns).into_iter().zip(is_picked).collect();
    let title = "Space picks, enter does what is picked, escape does nothing";
    let picked = picker::pick(title, &entries)?;
    let chosen: BTreeSet<usize> = picked.iter().flatten().map(|&index| offered[index]).collect();
    for at in offered {
        let row = &mut report.owners[at];
        match (chosen.contains(&at), row.decision.acts()) {
            (true, false) => take(row),
            (false, true) => row.decision.leave("not picked"),
            (true, true) | (false, false) => {}
        }
    }
    Ok(())
}

/// What would be done now, what only waits, and services that the policy merely reports; not what a rule
/// protects or a fact forbids.
fn is_offered(row: &OwnerRow, deciding: &Deciding<'_>, units: &Units) -> bool {
    if row.decision.acts() {
        return true;
    }
    let protects = |rule: &&crate::model::policy::Rule| rule.protect && rule.name == row.decision.rule;
    let is_protected = deciding.policy.rules.iter().any(|rule| protects(&rule));
    let waits = matches!(row.decision.later, Some(Later::Window(_) | Later::Reboot | Later::Asked));
    let reported = row.decision.skip.is_none() && row.decision.ladder == [Action::Report];
    let free = || row.owner.unit().is_some() && forbids(&row.owner, &steps(row), &deciding.evidence(units)).is_none();
    !is_protected && (waits || reported) && free()
}

/// What picking does: the rule's own ladder where it only waits, else a restart.
fn steps(row: &OwnerRow) -> Vec<Step> {
    match row.decision.later {
        Some(_) => row.decision.steps.clone(),
        None => vec![Step::Restart],
    }
}

fn take(row: &mut OwnerRow) {
    row.decision.steps = steps(row);
    row.decision.ladder = row.decision.steps.iter().map(Step::action).collect();
    row.decision.skip = None;
    row.decision.later = None;
}

/// A line for each: what would be done, to whom, and why, in columns.
fn lines(rows: &[&OwnerRow], columns: usize) -> Vec<String> {
    let cells: Vec<[String; 3]> = rows.iter().map(|row| cells(row)).collect();
    let widest = |at: usize| cells.iter().map(|cell| cell[at].chars().count()).max().unwrap_or(0);
    let (name, steps) = (widest(0), widest(1));
    // The list draws a mark before each line, and must not wrap.
    let room = columns.saturating_sub(6);
    let whole = cells.iter().map(|[who, what, why]| format!("{who:name$}  {what:steps$}  {why}"));
    whole.map(|line| if line.chars().count() > room { cut(&line, room) } else { line }).collect()
}

fn cut(line: &str, room: usize) -> String {
    let kept: String = line.chars().take(room.saturating_sub(1)).collect();
    format!("{}\u{2026}", kept.trim_end_matches([' ', ',', '(']))
}

fn cells(row: &OwnerRow) -> [String; 3] {
    let words: Vec<&str> = steps_if_picked(row).iter().map(|step| step.action().word()).collect();
    let file = |cause: &Cause| match &cause.package {
        Some(package) => escape(package.as_bytes()),
        None => escape_path(&cause.path),
    };
    let files: BTreeSet<String> = row.causes.iter().map(file).collect();
    let files: Vec<String> = files.into_iter().collect();
    let why = match (row.verdict, &row.decision.skip) {
        (Verdict::Tainted, _) => "overwritten in place: ",
        (_, Some(_)) => "waits: ",
        (_, None) => "",
    };
    let rule = escape(row.decision.rule.as_bytes());
    let why = format!("{why}{} (rule \"{rule}\")", files.join(", "));
    [name_of(&row.owner), words.join(", else "), why]
}

fn steps_if_picked(row: &OwnerRow) -> Vec<Step> {
    if row.decision.acts() {
        return row.decision.steps.clone();
    }
    steps(row)
}
