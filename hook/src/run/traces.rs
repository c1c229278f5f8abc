//! What only knowledge of the past tells: which file followed on a mapped one, which one was moved
//! away from its path, and who was the first to map it.

use super::desk::Known;
use super::scan::Seen;
use crate::model::file::{FileFacts, FileId, FileKind, Stamp};
use crate::model::judge::aside::{Aside, Clue};
use crate::model::judge::{method_of, FileView, Standing};
use crate::model::old::is_untouched;
use crate::model::pending::{Lineage, Snapshot};
use crate::model::verdict::{Content, Method};
use crate::run::marks;
use crate::sys::content;
use crate::sys::files::{Links, Root};
use std::collections::HashMap;
use std::path::Path;

/// Adds it to what was seen.
pub fn trace(seen: &mut Seen, known: &Known) {
    let lineage = Lineage::of(&known.snapshots);
    let stood: HashMap<(FileId, Option<Stamp>), &Snapshot> =
        known.snapshots.iter().map(|snapshot| ((snapshot.facts.id, snapshot.facts.born), snapshot)).collect();
    for file in &mut seen.files {
        match (&file.standing, file.sighting.mapped.found()) {
            // Where a snapshot knows which file followed, that one tells how it was replaced.
            (Standing::Replaced { .. }, Some(old)) => {
                let next = lineage.successor(file.sighting.path(), old);
                let method = next.map(|next| method_of(Some(old), next, file.sighting.keeps_death).method);
                file.recorded = method.filter(|method| *method != Method::Unknown);
            }
            (Standing::Live(facts), _) if has_other_bytes(file.sighting.path(), facts, &stood) => {
                // The clock of who wrote counts, where it was not set back.
                let taken = stood.get(&(facts.id, facts.born)).and_then(|before| before.taken).unwrap_or(0);
                file.rewritten = Some(if facts.modified > taken { facts.modified } else { facts.changed });
            }
            (Standing::Live(facts), _) if !is_convicted(file) && file.sighting.on_host => {
                let before = stood.get(&(facts.id, facts.born)).copied();
                if let Some(aside) = before.and_then(|before| moved_from(file, before)) {
                    take_aside(file, aside);
                }
            }
            // Its folder was moved, and then emptied: the kernel knows it by its last name.
            (Standing::Gone, Some(old)) if file.sighting.on_host => {
                let before = stood.get(&(old.id, old.born)).copied();
                if let Some((aside, before)) = before.and_then(|before| Some((moved_from(file, before)?, before))) {
                    file.content = match marks::differs(before) {
                        Some(true) => Content::Differs,
                        Some(false) => Content::Same,
                        None => Content::Unknown,
                    };
                    file.aside = Some(aside);
                }
            }
            _ => {}
        }
    }
    for candidate in &seen.candidates {
        for usage in &candidate.uses {
            let first = &mut seen.files[usage.file as usize].first_user;
            *first = (*first).into_iter().chain(candidate.started).min();
        }
    }
}

/// Whether a live file has other bytes than when they were taken note of.
fn has_other_bytes(path: &Path, now: &FileFacts, stood: &HashMap<(FileId, Option<Stamp>), &Snapshot>) -> bool {
    let Some(before) = stood.get(&(now.id, now.born)) else { return false };
    let noted = before.build_id.is_some() || before.digest.is_some();
    noted && before.path == path && !is_untouched(&before.facts, now) && marks::differs(before) == Some(true)
}

/// Whether what is known of a file that was moved aside is enough already.
fn is_convicted(file: &FileView) -> bool {
    file.aside.as_ref().is_some_and(|aside| aside.clue.convicts_alone())
}

/// The path that a mapped file stood at before a transaction, if another file stands there now. One
/// with several names may have lost one of them without being moved.
fn moved_from(file: &FileView, before: &Snapshot) -> Option<Aside> {
    if before.path == *file.sighting.path() || before.facts.links != 1 {
        return None;
    }
    let current = Root::Own.look(&before.path, Links::Follow).found().copied()?;
    // A folder that was swapped brings files of any age: they stand there since the snapshot at the earliest.
    let since = Root::Own.look(&before.path, Links::Keep).found()?.changed.max(before.taken.unwrap_or(0));
    let other = current.id != before.facts.id && current.kind == FileKind::Regular;
    other.then(|| Aside { path: before.path.clone(), current, since, clue: Clue::Recorded })
}

fn take_aside(file: &mut FileView, aside: Aside) {
    if let Some(new) = Root::Own.open(&aside.path) {
        file.content = content::compare(Root::Own.open(file.sighting.path()).as_ref(), None, &new);
    }
    file.aside = Some(aside);
}
