//! Past runs for people.

use super::text::{name_of, Style};
use crate::model::history::{PastOwner, PastRun};
use crate::model::owner::{Owner, OwnerKind};
use crate::model::text::escape;
use std::fmt::Write as _;

/// One line a run, and what became of the owners below it.
pub fn list(runs: &[PastRun], style: &Style) -> String {
    if runs.is_empty() {
        return "No run has acted yet.\n".to_owned();
    }
    let mut out = String::new();
    for run in runs {
        let _ = writeln!(out, "{}  {}", style.bold(&run.time), ended(run, style));
        let rows: Vec<String> = run
            .acted()
            .map(|owner| {
                let last = owner.steps.last().map(|step| step.action.as_str()).unwrap_or("taken up");
                format!("{} {last}: {}", name(owner), owner.proof.as_deref().unwrap_or("unknown"))
            })
            .collect();
        style.wrap(&mut out, &rows);
    }
    out
}

/// All that was done in one run.
pub fn one(run: &PastRun, style: &Style) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "{}  {}", style.bold(&run.time), ended(run, style));
    let packages: Vec<String> =
        run.transaction.iter().flat_map(|row| &row.packages).map(|package| escape(package.name.as_bytes())).collect();
    if !packages.is_empty() {
        out.push_str("after changes of\n");
        style.wrap(&mut out, &packages);
    }
    for owner in &run.owners {
        let fate = match (&owner.proof, &owner.decision.skip) {
            (Some(proof), _) => proof.clone(),
            (None, Some(skip)) => format!("left alone: {}", escape(skip.as_bytes())),
            (None, None) => format!("left alone (rule \"{}\")", escape(owner.decision.rule.as_bytes())),
        };
        style.paragraph(&mut out, &format!("{}  ", name(owner)), &fate);
        for step in &owner.steps {
            let words = format!(
                "{} {} after {} ms: {}",
                step.action,
                step.outcome,
                step.millis,
                escape(step.message.as_bytes())
            );
            style.paragraph(&mut out, "    ", &words);
        }
    }
    out
}

fn ended(run: &PastRun, style: &Style) -> String {
    let acted = run.acted().count();
    let proven = run.proofs("fresh");
    match (acted, acted - proven) {
        (0, _) => "nothing was acted on".to_owned(),
        (_, 0) => style.good(&format!("all {acted} proven fresh")),
        (_, open) => style.bad(&format!("{open} of {acted} not proven")),
    }
}

/// As a report names it; a name that an earlier version wrote stands as it is.
fn name(owner: &PastOwner) -> String {
    match owner.kind.parse::<OwnerKind>() {
        Ok(kind) if kind != OwnerKind::Container => {
            let (name, uid) = (escape(owner.name.as_bytes()), owner.uid);
            name_of(&Owner { kind, name, uid, slice: None, runtime: None })
        }
        _ => escape(format!("{} {}", owner.kind, owner.name).as_bytes()),
    }
}
