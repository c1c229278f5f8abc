//! `report`: who runs old files now.

use crate::cli::Common;
use crate::model::judge::{judge_process, ClaimIndex, Standing, VerdictOf};
use crate::model::report::{GapRow, Reboot, Replacement, Report, Summary};
use crate::model::verdict::{Content, Method, Verdict};
use crate::run::claims;
use crate::run::scan::{scan, Extent, Question, Seen};
use crate::sys::{clock, host};
use anyhow::Result;

/// Looks and judges; decides and does nothing.
pub fn report(common: &Common) -> Result<Report> {
    let started = clock::now();
    let claims = match &common.claims {
        Some(path) => claims::from_file(path)?,
        None => Vec::new(),
    };
    let index = claims::index(&claims, &[], &common.root)?;
    judge(common, &index, started)
}

/// The report on what the machine is like now, with these claims.
pub fn judge(common: &Common, claims: &ClaimIndex, started: i128) -> Result<Report> {
    let extent = match common.all {
        true => Extent::All,
        false => Extent::Noteworthy,
    };
    let seen = scan(&Question { proc: &common.proc, extent, claims, uid: host::uid() })?;
    let verdicts: Vec<VerdictOf> = seen.candidates.iter().map(|candidate| judge_process(candidate, &seen.files)).collect();
    Ok(assemble(&seen, verdicts, extent, started))
}

fn assemble(seen: &Seen, verdicts: Vec<VerdictOf>, extent: Extent, started: i128) -> Report {
    let count = |verdict| verdicts.iter().filter(|row| row.verdict == verdict).count();
    let summary = Summary {
        scanned: seen.scanned,
        stale: count(Verdict::Stale),
        tainted: count(Verdict::Tainted),
        unknown: count(Verdict::Unknown),
        identical: identical_files(seen),
        millis: u64::try_from((clock::now() - started) / 1_000_000).unwrap_or(0),
    };
    let mut processes: Vec<VerdictOf> = verdicts.into_iter().filter(|row| extent == Extent::All || row.verdict != Verdict::Fresh).collect();
    if extent == Extent::Noteworthy {
        for process in &mut processes {
            process.causes.retain(|cause| cause.kind != crate::model::verdict::CauseKind::Data || cause.method == Method::Overwritten);
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
        gaps: gaps(seen),
        reboot: Reboot::default(),
        summary,
    }
}

fn identical_files(seen: &Seen) -> usize {
    seen.files.iter().filter(|file| matches!(file.standing, Standing::Replaced { .. }) && file.content == Content::Same).count()
}

fn replacements(processes: &[VerdictOf]) -> Vec<Replacement> {
    let mut rows: Vec<Replacement> = Vec::new();
    for cause in processes.iter().flat_map(|process| &process.causes) {
        if !rows.iter().any(|row| row.path == cause.path) {
            let (path, package, evidence) = (cause.path.clone(), cause.package.clone(), cause.evidence.clone());
            rows.push(Replacement { path, package, method: cause.method, content: cause.content, evidence });
        }
    }
    rows.sort_by(|a, b| a.path.cmp(&b.path));
    rows
}

fn gaps(seen: &Seen) -> Vec<GapRow> {
    match seen.closed {
        0 => Vec::new(),
        closed => {
            vec![GapRow { what: "processes of other users".to_owned(), why: format!("{closed} of them may only be looked at by root") }]
        }
    }
}
