//! Questions that are asked only of the processes that they matter for, after the scan: what memory
//! holds of an overwritten file, and which replaced files are open.

use super::scan::{Extent, Seen};
use crate::model::damage::Damage;
use crate::model::file::{FileKind, Look};
use crate::model::judge::process::end_of_pages;
use crate::model::judge::{method_of, Candidate, ClaimIndex, Standing, VerdictOf};
use crate::model::mapping::says_deleted;
use crate::model::script::undeleted;
use crate::model::verdict::{Cause, CauseKind, Certainty, Content, Method, PathRoot};
use crate::sys::files::{Links, Root};
use crate::sys::procs::{self, ProcessHandle};
use crate::sys::spaces;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Adds what is found to the verdicts.
pub fn look(seen: &Seen, verdicts: &mut [VerdictOf], extent: Extent, claims: &ClaimIndex, proc: &Path) {
    for (candidate, verdict) in seen.candidates.iter().zip(verdicts) {
        let overwritten =
            verdict.causes.iter().any(|cause| cause.method == Method::Overwritten && cause.kind != CauseKind::Script);
        if !overwritten && extent == Extent::Noteworthy {
            continue;
        }
        let Some(process) = same_process(candidate, proc) else { continue };
        if overwritten {
            look_at_memory(seen, candidate, verdict, &process);
        }
        if extent != Extent::Noteworthy {
            let open = replaced_and_open(candidate, verdict, claims, &process);
            verdict.causes.extend(open);
        }
    }
}

/// From where a path in another root is meant.
pub fn path_root_in(top: &Root, path: &Path, now: &Look) -> PathRoot {
    let id = |look: &Look| look.found().map(|facts| facts.id);
    let folder = path.parent().unwrap_or(path);
    match (id(&Root::Own.look(path, Links::Follow)) == id(now), top.is_mounted_in(folder)) {
        (true, _) => PathRoot::Host,
        (false, true) => PathRoot::Mounted,
        (false, false) => PathRoot::Own,
    }
}

fn same_process(candidate: &Candidate, proc: &Path) -> Option<ProcessHandle> {
    let key = candidate.snapshot.key;
    let process = procs::open(proc, key.pid).ok()?;
    (process.stat().ok()?.start_ticks == key.start_ticks).then_some(process)
}

fn look_at_memory(seen: &Seen, candidate: &Candidate, verdict: &mut VerdictOf, process: &ProcessHandle) {
    let Ok(smaps) = process.smaps() else { return };
    for cause in verdict.causes.iter_mut().filter(|cause| cause.method == Method::Overwritten) {
        let view = candidate.uses.iter().map(|usage| &seen.files[usage.file as usize]);
        let mut meant = view.filter(|view| *view.sighting.path() == cause.path);
        let Some((Standing::Live(facts), printed)) = meant.next().map(|view| (&view.standing, view.sighting.printed))
        else {
            continue;
        };
        let damage = Damage::of(&smaps, printed, end_of_pages(facts.size));
        cause.evidence = format!("{}; {}", cause.evidence, damage.words());
        cause.damage = Some(damage);
    }
}

/// Files that are open and not what their paths name now. By default nobody is stale for them: who
/// keeps a log or a database open does so on purpose.
fn replaced_and_open(
    candidate: &Candidate,
    verdict: &VerdictOf,
    claims: &ClaimIndex,
    process: &ProcessHandle,
) -> Vec<Cause> {
    let Some(top) = process.top_folder().map(Root::Folder) else { return Vec::new() };
    let mounted = spaces::mounted_devices(process);
    let mut found: Vec<Cause> = Vec::new();
    for (number, link) in process.descriptors() {
        let deleted = says_deleted(link.as_os_str().as_bytes());
        let path = if deleted { undeleted(&link) } else { link };
        let known = found.iter().chain(&verdict.causes).any(|cause| cause.path == path);
        if known || !path.is_absolute() || !deleted {
            continue;
        }
        let Look::Found(old) = process.look_at_descriptor(number) else { continue };
        let is_memory = || !mounted.contains(&old.id.dev) && process.is_in_memory(number);
        if old.kind != FileKind::Regular || is_memory() {
            continue;
        }
        let now = top.look(&path, Links::Follow);
        let (method, evidence) = match &now {
            Look::Found(now) if now.id == old.id => continue,
            Look::Found(now) => {
                let judged = method_of(Some(&old), now, !top.on_overlay(&path));
                (judged.method, judged.evidence)
            }
            // What it made itself and took away itself was never replaced.
            Look::Absent if old.born.zip(candidate.started).is_some_and(|(born, started)| born >= started) => continue,
            Look::Absent => (Method::Removed, "the path names nothing any more".to_owned()),
            Look::Hidden(_) => continue,
        };
        found.push(Cause {
            kind: CauseKind::Data,
            method,
            content: Content::Unknown,
            package: claims.file(&path).and_then(|claim| claim.package.clone()),
            mapped: Some(old.id),
            current: now.found().map(|facts| facts.id),
            evidence: format!("open as descriptor {number}: {evidence}"),
            certainty: Certainty::Proven,
            root: path_root_in(&top, &path, &now),
            damage: None,
            path,
        });
    }
    found
}
