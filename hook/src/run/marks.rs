//! Marks: every file that a process maps, as it is now, to be compared with what stands there later. One
//! look at all processes, and no list of files from anybody.

use super::desk::Desk;
use super::scan::{Extent, Question};
use super::{patience, wait};
use crate::model::file::FileKind;
use crate::model::judge::{ClaimIndex, Standing};
use crate::model::marks::{change, claims, not_claimed, Change, Later, MarkedFolder, Marks};
use crate::model::pending::{Pending, Side, Snapshot};
use crate::model::starts::Starts;
use crate::model::text::{escape_path, hexadecimal};
use crate::sys::content;
use crate::sys::files::{Links, Root};
use crate::sys::inodes::Inodes;
use crate::sys::{clock, host, log, progress};
use anyhow::{ensure, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Digests of files that have no build-id: as many as this time allows.
const DIGESTS: Duration = Duration::from_secs(1);
/// Larger ones without a build-id are told by their times alone.
const MOST_DIGESTED: u64 = 4 << 20;

/// How long it waits for a run that acts.
const LOCK_DEADLINE: Duration = Duration::from_secs(120);
/// Lines about what was replaced; a whole tree that was swapped is one story.
const MOST_TOLD: usize = 20;

/// Takes note of all files that processes map.
pub fn take(desk: &Desk<'_>) -> Result<Marks> {
    let _line = progress::show("taking note of the files in use");
    let (common, time) = (desk.common, clock::now());
    let (seen, hung) = patience::scan(&Question {
        proc: common.proc.clone(),
        extent: Extent::All,
        claims: Arc::new(ClaimIndex::default()),
        mappings: common.mappings,
        threads: common.threads,
        starts: Arc::new(Starts::default()),
        recall: None,
        uid: host::uid(),
        hung: Arc::default(),
        windows: Vec::new(),
        only: None,
    })?;
    // A database, or a journal: who maps it writes to it, and nobody replaces it.
    let uses = seen.candidates.iter().flat_map(|candidate| &candidate.uses);
    let written: BTreeSet<u32> = uses.filter(|usage| usage.writes).map(|usage| usage.file).collect();
    let mut paths: BTreeSet<&PathBuf> = BTreeSet::new();
    for (index, file) in (0..).zip(&seen.files).filter(|(_, file)| file.sighting.on_host) {
        let is_file = matches!(&file.standing, Standing::Live(facts) if facts.kind == FileKind::Regular);
        if is_file && !written.contains(&index) {
            paths.insert(file.sighting.path());
        }
    }
    let mut gaps: Vec<String> =
        hung.devices.values().map(|path| format!("{} does not answer", escape_path(path))).collect();
    let unread = seen.candidates.iter().filter(|candidate| candidate.gap.is_some()).count();
    match unread + seen.closed {
        0 => {}
        1 => gaps.push("1 process may not be looked at: what only it maps is not known".to_owned()),
        all => gaps.push(format!("{all} processes may not be looked at: what only they map is not known")),
    }
    let end = Instant::now() + DIGESTS;
    let files: Vec<Snapshot> = paths.into_iter().filter_map(|path| mark(path, end)).collect();
    let folders = folders(&files);
    Ok(Marks { boot_id: desk.boot_id.clone(), time, files, folders, gaps })
}

fn mark(path: &Path, end: Instant) -> Option<Snapshot> {
    let mut mark = Root::Own.snapshot(path.to_owned())?;
    let file = Root::Own.open(path)?;
    mark.build_id = content::build_id(&file).map(|id| hexadecimal(&id));
    if mark.build_id.is_none() && mark.facts.size <= MOST_DIGESTED && Instant::now() < end {
        mark.digest = content::digest(&file, "sha256");
    }
    Some(mark)
}

fn folders(files: &[Snapshot]) -> Vec<MarkedFolder> {
    let paths: BTreeSet<&Path> = files.iter().filter_map(|file| file.path.parent()).collect();
    let folder = |path: &Path| {
        let id = Root::Own.look(path, Links::Keep).found()?.id;
        Some(MarkedFolder { path: path.to_owned(), id })
    };
    paths.into_iter().filter_map(folder).collect()
}

/// What has become of them since; files that are what they were are left out.
/// What lies below a `silent` mount is not looked at.
pub fn changes(marks: &Marks, silent: &[PathBuf]) -> Vec<Change> {
    let mut inodes = Inodes::default();
    let before = marks.folders_by_path();
    let mut folders: BTreeMap<&Path, bool> = BTreeMap::new();
    let mut changes = Vec::new();
    for mark in marks.files.iter().filter(|mark| !silent.iter().any(|mount| mark.path.starts_with(mount))) {
        let now = Root::Own.look(&mark.path, Links::Keep);
        if now.found().is_some_and(|now| crate::model::old::is_untouched(&mark.facts, now)) {
            continue;
        }
        let folder = mark.path.parent().unwrap_or(Path::new("/"));
        let same_folder = *folders.entry(folder).or_insert_with(|| {
            Root::Own.look(folder, Links::Keep).found().map(|facts| facts.id) == before.get(folder).copied()
        });
        let differs = differs(mark);
        let old = inodes.facts(mark);
        changes.extend(change(mark, &Later { now, old, same_folder, differs }));
    }
    changes
}

/// What was replaced since the update service last took note of the files in use, and nobody has claimed
/// since: by `pending`, or by what was acted on. `None`: nothing, or nobody takes note.
pub fn unclaimed(desk: &Desk<'_>, pending: &[Pending]) -> Result<Option<Pending>> {
    let Some(marks) = desk.store.marks(&desk.boot_id) else { return Ok(None) };
    Ok(compared(desk, &Arc::new(marks), pending)?.map(|(_, found)| found))
}

fn compared(desk: &Desk<'_>, marks: &Arc<Marks>, pending: &[Pending]) -> Result<Option<(Vec<Change>, Pending)>> {
    let taken = Arc::clone(marks);
    let (found, hung) = patience::without_silent_mounts(&desk.common.proc, move |silent| Ok(changes(&taken, silent)))?;
    if found.is_empty() {
        return Ok(None);
    }
    let memory = desk.store.memory(&desk.boot_id);
    let acted_on = Some(&memory.claims).filter(|_| memory.time > marks.time);
    let claimed = pending.iter().flat_map(|one| &one.claims).chain(acted_on.into_iter().flatten());
    let found = not_claimed(found, claimed, |path| Root::Own.resolve_folder(path));
    if found.is_empty() {
        return Ok(None);
    }
    let gap = |mount: &PathBuf| format!("{} does not answer: what was replaced there is not known", escape_path(mount));
    let one = Pending {
        claims: claims(&found),
        snapshots: marks.of(&found),
        gaps: hung.devices.values().map(gap).collect(),
        told: true,
        ..Pending::new(&desk.boot_id, clock::now(), Side::Post, "", Path::new("/"))
    };
    Ok(Some((found, one)))
}

/// One look of the update service: says what was replaced since the last one although nobody claimed it,
/// remembers it, and takes note anew. While packages are being changed nothing is settled: the next look does it.
pub fn note(desk: &Desk<'_>) -> Result<()> {
    ensure!(host::uid() == 0, "only root may look at all processes");
    let _lock = desk.store.lock(LOCK_DEADLINE)?;
    if wait::is_busy(desk) {
        return Ok(());
    }
    let before = desk.store.marks(&desk.boot_id).map(Arc::new);
    let (_, pending, _) = desk.pending();
    if let Some((found, one)) = before.map(|before| compared(desk, &before, &pending)).transpose()?.flatten() {
        let mut memory = desk.store.memory(&desk.boot_id);
        memory.add(std::slice::from_ref(&one), &one.claims, one.time);
        // Who still runs the old is not known: the next run has to look at the processes.
        memory.leftovers = true;
        desk.store.remember(&memory)?;
        tell(&found);
    }
    desk.store.keep_marks(&take(desk)?)
}

fn tell(found: &[Change]) {
    for change in found.iter().take(MOST_TOLD) {
        let path = escape_path(&change.path);
        log::line(&format!("{path} was replaced ({}: {}), and nobody said so", change.how.word(), change.evidence));
    }
    let more = found.len().saturating_sub(MOST_TOLD);
    let more = if more > 0 { format!("and {more} more; ") } else { String::new() };
    log::line(&format!("{more}who still runs the old: reexec report"));
}

/// Whether a marked file that is written to where it is has other bytes than it had.
pub fn differs(mark: &Snapshot) -> Option<bool> {
    let file = Root::Own.open(&mark.path)?;
    match (&mark.build_id, &mark.digest) {
        // A build that has none is another one.
        (Some(before), _) => Some(content::build_id(&file).map(|id| hexadecimal(&id)).as_ref() != Some(before)),
        (None, Some(before)) => content::digest(&file, "sha256").map(|now| now != *before),
        (None, None) => None,
    }
}
