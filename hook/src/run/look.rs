//! One look at the machine: the scan, what the package databases add, the verdicts.

use super::desk::{Desk, Known};
use crate::cli::Common;
use crate::model::data;
use crate::model::judge::{judge_process, mixed, Doubt, Standing, VerdictOf, Window};
use crate::model::old::Way;
use crate::model::owner::OwnerKind;
use crate::model::policy::Policy;
use crate::model::reboot::Reboot;
use crate::model::report::{GapRow, Replacement, Report, Summary, TransactionRow};
use crate::model::starts::{Starts, StartsOf};
use crate::model::text::escape_path;
use crate::model::verdict::{Content, Verdict};
use crate::run::resting::{Asked, Recall};
use crate::run::scan::{Extent, Hung, Question, Seen};
use crate::run::{claims, closer, packages, patience, relatives, resting, traces};
use crate::sys::proc_folder::Procs;
use crate::sys::state::Noted;
use crate::sys::{clock, host, inits, progress, raw, systemd};
use anyhow::Result;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

/// What was seen, and what is said of each process.
#[derive(Debug)]
pub struct Looked {
    /// What did not answer.
    pub hung: Arc<Hung>,
    /// When the look began, in nanoseconds since 1970.
    pub started: i128,
    /// Files and processes.
    pub seen: Seen,
    /// Verdicts, in the order of the candidates.
    pub verdicts: Vec<VerdictOf>,
    /// Which processes were asked for.
    pub extent: Extent,
    /// What could not be asked of the package databases.
    pub faults: Vec<String>,
    /// Number of claimed files.
    pub claimed: usize,
}

/// Looks at the machine and judges; says nothing yet of what to do.
pub fn look(desk: &Desk<'_>, known: &Known, policy: Option<&Policy>, asked: Asked) -> Result<Report> {
    let extent = match (desk.common.all, policy.is_some_and(Policy::names_data)) {
        (true, _) => Extent::All,
        (false, true) => Extent::Data,
        (false, false) => Extent::Noteworthy,
    };
    Ok(processes(desk, known, (extent, asked), policy, None)?.report(desk, known))
}

/// Looks and judges. Data files count where the policy says so.
pub fn machine(desk: &Desk<'_>, known: &Known, extent: Extent, policy: Option<&Policy>) -> Result<Looked> {
    processes(desk, known, (extent, Asked::Each), policy, None)
}

/// Looks at these processes, or at all, and judges.
fn processes(
    desk: &Desk<'_>,
    known: &Known,
    (extent, asked): (Extent, Asked),
    policy: Option<&Policy>,
    only: Option<Vec<i32>>,
) -> Result<Looked> {
    let _line = progress::show("looking at all processes");
    let started = clock::now();
    raw::share_heap();
    let common = desk.common;
    let (now, earlier, root) = (known.now.clone(), known.earlier.clone(), common.root.clone());
    let look = move |silent: &[PathBuf]| claims::index(&now, &earlier, &root, silent);
    // A thread that may be left behind costs more than to find nothing claimed.
    let (mut index, hung) = match known.now.is_empty() && known.earlier.is_empty() {
        true => Default::default(),
        false => patience::without_silent_mounts(&common.proc, look)?,
    };
    index.add_before(&known.snapshots, &known.packages);
    let index = Arc::new(index);
    let starts_of = starts_of(desk);
    let noted = |of: &StartsOf| Starts::parse(&desk.store.noted(Noted::Starts), of);
    let starts = Arc::new(starts_of.as_ref().map(noted).unwrap_or_default());
    let of = starts_of.as_ref().filter(|_| asked == Asked::Runners);
    let recall = of.and_then(|of| resting::recall(desk, of, extent, &index)).map(Arc::new);
    let (mut seen, hung) = patience::scan(&Question {
        proc: common.proc.clone(),
        extent,
        claims: Arc::clone(&index),
        mappings: common.mappings,
        threads: common.threads,
        starts: Arc::clone(&starts),
        recall: recall.clone(),
        uid: host::uid(),
        hung: Arc::new(hung),
        windows: known.windows.clone(),
        only: only.clone(),
    })?;
    if let (Some(of), None) = (&starts_of, &only) {
        keep(desk, of, &starts, recall.as_deref(), &seen);
    }
    traces::trace(&mut seen, known);
    let mut faults = desk.plugin_faults.clone();
    faults.extend(packages::ask(&mut seen, desk, &index));
    faults.extend(relatives::look(&mut seen, desk, &index));
    let mut verdicts: Vec<VerdictOf> =
        seen.candidates.iter().map(|candidate| judge_process(candidate, &seen.files)).collect();
    for (candidate, row) in seen.candidates.iter().zip(&mut verdicts) {
        if row.verdict == Verdict::Fresh {
            let why = mixed(candidate, &seen.files, &known.windows, &index);
            row.gap = why.map(|why| Doubt { file: None, why });
            row.verdict = if row.gap.is_some() { Verdict::Unknown } else { Verdict::Fresh };
        }
    }
    closer::look(&seen, &mut verdicts, extent, &index, &common.proc);
    data::settle(&mut verdicts, policy, extent == Extent::All);
    name_services(&mut verdicts, common);
    Ok(Looked { hung, started, seen, verdicts, extent, faults, claimed: index.len() })
}

/// Keeps what this look noted, if it is worth it. Without it the next look only takes longer.
fn keep(desk: &Desk<'_>, of: &StartsOf, starts: &Starts, recall: Option<&Recall>, seen: &Seen) {
    if seen.started.len() >= WORTH_KEEPING {
        let bytes = starts.with(&seen.started, &seen.pids).bytes(of);
        let _ = desk.store.keep_noted(Noted::Starts, |put| put(&bytes));
    }
    if let Some(recall) = recall {
        resting::keep(desk, of, recall, seen);
    }
}

/// So many start times cost as much to read as the file costs to write.
const WORTH_KEEPING: usize = 64;

/// Whose start times are kept: those of the running system, by root, who alone can write there.
fn starts_of(desk: &Desk<'_>) -> Option<StartsOf> {
    let is_roots = desk.common.is_of_running_system() && host::uid() == 0;
    is_roots.then(|| host::starts_of(&desk.boot_id)).flatten()
}

/// Without systemd a process's cgroup says nothing, but its ancestors do.
fn name_services(verdicts: &mut [VerdictOf], common: &Common) {
    let nobodys = |row: &VerdictOf| row.process.owner.kind == OwnerKind::Loose && row.verdict != Verdict::Fresh;
    if systemd::is_running() || !verdicts.iter().any(nobodys) {
        return;
    }
    let services = inits::Services::look(&common.proc);
    for row in verdicts.iter_mut().filter(|row| nobodys(row)) {
        if let Some(owner) = services.owner_of_snapshot(&row.process) {
            row.process.owner = owner;
        }
    }
}

/// The report of a transaction whose old files have no users: only who was started while it replaced them
/// was looked at.
pub fn unused(desk: &Desk<'_>, known: &Known, inodes: usize) -> Result<Report> {
    let amid = started_amid(desk, known)?;
    if !amid.is_empty() {
        let looked = processes(desk, known, (Extent::Noteworthy, Asked::Each), None, Some(amid))?;
        return Ok(Report { way: Way::Inodes(inodes), ..looked.report(desk, known) });
    }
    let looked = Looked {
        hung: Arc::default(),
        started: clock::now(),
        seen: Seen::default(),
        verdicts: Vec::new(),
        extent: Extent::Noteworthy,
        faults: desk.plugin_faults.clone(),
        claimed: known.now.len(),
    };
    Ok(Report { way: Way::Inodes(inodes), ..looked.report(desk, known) })
}

/// The pids of those that may have been started while a transaction was replacing files.
fn started_amid(desk: &Desk<'_>, known: &Known) -> Result<Vec<i32>> {
    if known.windows.is_empty() {
        return Ok(Vec::new());
    }
    let procs = Procs::at(&desk.common.proc)?;
    // Listing thousands costs more than to ask for the few that were given.
    if let Some(given) = known.windows.iter().map(Window::pids).collect::<Option<Vec<_>>>() {
        let given: BTreeSet<i32> = given.into_iter().flat_map(|pids| pids.take(FEW_PIDS + 1)).collect();
        if given.len() <= FEW_PIDS {
            return Ok(given.into_iter().filter(|&pid| procs.has(pid)).collect());
        }
    }
    let may_be = |pid: &i32| known.windows.iter().any(|window| window.may_have(*pid));
    Ok(procs.pids()?.into_iter().filter(may_be).collect())
}

/// Pids that are asked for one by one.
const FEW_PIDS: usize = 200;

impl Looked {
    /// As a report without decisions.
    pub fn report(self, desk: &Desk<'_>, known: &Known) -> Report {
        let mut report = assemble(&self.seen, self.verdicts, self.extent, self.started);
        let gap = |what: &str, why: &String| GapRow { what: what.to_owned(), why: why.clone() };
        let silent = self.hung.devices.values();
        report.gaps.extend(silent.map(|mount| GapRow {
            what: format!("file system at {}", escape_path(mount)),
            why: "it does not answer; what lies on it was not looked at".to_owned(),
        }));
        report.gaps.extend(self.faults.iter().map(|why| gap("package database", why)));
        report.gaps.extend(known.gaps.iter().map(|why| gap("trigger", why)));
        let told = !known.packages.is_empty() || !known.managers.is_empty();
        report.transaction = told.then(|| TransactionRow {
            manager: known.managers.join(", "),
            root: desk.common.root.clone(),
            packages: known.packages.clone(),
            files: self.claimed,
        });
        report
    }
}

fn assemble(seen: &Seen, verdicts: Vec<VerdictOf>, extent: Extent, started: i128) -> Report {
    let count = |verdict| verdicts.iter().filter(|row| row.verdict == verdict).count();
    let summary = Summary {
        scanned: seen.scanned,
        resting: seen.resting,
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
        way: Way::default(),
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
