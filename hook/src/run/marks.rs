//! Marks: every file that a process maps, as it is now, to be compared with what stands there later. One
//! look at all processes, and no list of files from anybody.

use super::desk::Desk;
use super::patience;
use super::scan::{Extent, Question};
use crate::model::file::FileKind;
use crate::model::judge::{ClaimIndex, Standing};
use crate::model::marks::{change, Change, Later, MarkedFolder, Marks};
use crate::model::pending::Snapshot;
use crate::model::starts::Starts;
use crate::model::text::{escape_path, hexadecimal};
use crate::sys::content;
use crate::sys::files::{Links, Root};
use crate::sys::inodes::Inodes;
use crate::sys::{clock, host, progress};
use anyhow::Result;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Digests of files that have no build-id: as many as this time allows.
const DIGESTS: Duration = Duration::from_secs(1);
/// Larger ones without a build-id are told by their times alone.
const MOST_DIGESTED: u64 = 4 << 20;

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
        uid: host::uid(),
        hung: Arc::default(),
        windows: Vec::new(),
        only: None,
    })?;
    let mut paths: BTreeSet<&PathBuf> = BTreeSet::new();
    for file in seen.files.iter().filter(|file| file.sighting.on_host) {
        let is_file = matches!(&file.standing, Standing::Live(facts) if facts.kind == FileKind::Regular);
        if is_file {
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
pub fn changes(marks: &Marks) -> Vec<Change> {
    let mut inodes = Inodes::default();
    let before = marks.folders_by_path();
    let mut folders: BTreeMap<&Path, bool> = BTreeMap::new();
    let mut changes = Vec::new();
    for mark in &marks.files {
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
