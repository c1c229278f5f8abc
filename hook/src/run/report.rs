//! `report` and `plan`: who runs old files now, and what the policy says about each owner.

use super::desk::{Desk, Known};
use crate::model::judge::{judge_process, method_of, Standing, VerdictOf};
use crate::model::pending::Lineage;
use crate::model::plan::{by_owner, Decision};
use crate::model::policy::Policy;
use crate::model::report::{GapRow, OwnerRow, Reboot, Replacement, Report, Summary, TransactionRow};
use crate::model::unit::{Protected, UnitFacts};
use crate::model::verdict::{CauseKind, Content, Method, Verdict};
use crate::run::scan::{scan, Extent, Question, Seen};
use crate::run::{claims, packages, protect};
use crate::sys::systemd::{self, Systemd};
use crate::sys::{clock, host};
use anyhow::Result;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Looks, judges, and says what the policy would do.
pub fn report(desk: &Desk<'_>) -> Result<Report> {
    let known = desk.known()?;
    let mut report = look(desk, &known)?;
    match desk.policy() {
        Ok(loaded) => {
            decide(&mut report, &loaded.policy, &protect::protected(&desk.common.proc, &[])).into_iter().for_each(drop)
        }
        Err(error) => report.gaps.push(GapRow { what: "policy".to_owned(), why: error.to_string() }),
    }
    Ok(report)
}

/// Looks at the machine and judges; says nothing yet of what to do.
pub fn look(desk: &Desk<'_>, known: &Known) -> Result<Report> {
    let started = clock::now();
    let common = desk.common;
    let index = Arc::new(claims::index(&known.now, &known.earlier, &common.root)?);
    let extent = match common.all {
        true => Extent::All,
        false => Extent::Noteworthy,
    };
    let mut seen = scan(&Question { proc: common.proc.clone(), extent, claims: Arc::clone(&index), uid: host::uid() })?;
    trace(&mut seen, known);
    let mut faults = desk.plugin_faults.clone();
    faults.extend(packages::ask(&mut seen, &desk.plugins, &index, &common.root));
    let verdicts: Vec<VerdictOf> =
        seen.candidates.iter().map(|candidate| judge_process(candidate, &seen.files)).collect();
    let mut report = assemble(&seen, verdicts, extent, started);
    let gap = |what: &str| {
        let what = what.to_owned();
        move |why: &String| GapRow { what: what.clone(), why: why.clone() }
    };
    report.gaps.extend(faults.iter().map(gap("package database")));
    report.gaps.extend(known.gaps.iter().map(gap("trigger")));
    let told = !known.packages.is_empty() || !known.managers.is_empty();
    report.transaction = told.then(|| TransactionRow {
        manager: known.managers.join(", "),
        root: common.root.clone(),
        packages: known.packages.clone(),
        files: index.len(),
    });
    Ok(report)
}

/// Where a snapshot knows which file followed on the mapped one, that one tells how it was replaced.
fn trace(seen: &mut Seen, known: &Known) {
    let lineage = Lineage::of(&known.snapshots);
    for file in &mut seen.files {
        let (Standing::Replaced { .. }, Some(old)) = (&file.standing, file.sighting.mapped.found()) else { continue };
        if let Some(next) = lineage.successor(file.sighting.path(), old) {
            file.recorded = Some(method_of(Some(old), next, file.sighting.keeps_death).method)
                .filter(|method| *method != Method::Unknown);
        }
    }
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

fn assemble(seen: &Seen, verdicts: Vec<VerdictOf>, extent: Extent, started: i128) -> Report {
    let count = |verdict| verdicts.iter().filter(|row| row.verdict == verdict).count();
    let summary = Summary {
        scanned: seen.scanned,
        stale: count(Verdict::Stale),
        tainted: count(Verdict::Tainted),
        unknown: count(Verdict::Unknown),
        identical: seen
            .files
            .iter()
            .filter(|file| matches!(file.standing, Standing::Replaced { .. }) && file.content == Content::Same)
            .count(),
        millis: u64::try_from((clock::now() - started) / 1_000_000).unwrap_or(0),
    };
    let mut processes: Vec<VerdictOf> =
        verdicts.into_iter().filter(|row| extent == Extent::All || row.verdict != Verdict::Fresh).collect();
    if extent == Extent::Noteworthy {
        for process in &mut processes {
            process.causes.retain(|cause| cause.kind != CauseKind::Data || cause.method == Method::Overwritten);
        }
    }
    processes.sort_by(|a, b| b.verdict.cmp(&a.verdict).then(a.process.key.cmp(&b.process.key)));
    Report {
        time: started,
        kernel: host::kernel(),
        boot_id: host::boot_id(),
        transaction: None,
        replacements: replacements(&processes),
        processes,
        owners: Vec::new(),
        gaps: closed(seen),
        reboot: Reboot::default(),
        summary,
    }
}

fn replacements(processes: &[VerdictOf]) -> Vec<Replacement> {
    let mut rows: BTreeMap<&std::path::Path, Replacement> = BTreeMap::new();
    for cause in processes.iter().flat_map(|process| &process.causes) {
        rows.entry(&cause.path).or_insert_with(|| {
            let (path, package, evidence) = (cause.path.clone(), cause.package.clone(), cause.evidence.clone());
            Replacement { path, package, method: cause.method, content: cause.content, evidence }
        });
    }
    rows.into_values().collect()
}

fn closed(seen: &Seen) -> Vec<GapRow> {
    match seen.closed {
        0 => Vec::new(),
        closed => {
            vec![GapRow {
                what: "processes of other users".to_owned(),
                why: format!("{closed} of them may only be looked at by root"),
            }]
        }
    }
}
