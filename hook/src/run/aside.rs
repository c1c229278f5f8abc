//! Looks for the file that took the place of one that was moved aside.

use crate::model::file::{FileFacts, FileKind, Stamp};
use crate::model::judge::aside::{folder_at, shorter_names, swapped_folder, Aside, Clue};
use crate::model::judge::{ClaimIndex, FileView, Standing};
use crate::sys::content;
use crate::sys::files::{Links, Root};
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// What took the place of a live file, if anything did. In a folder that has not changed since `boot` no name
/// leads elsewhere than it did when the first process was started.
pub fn look(view: &FileView, root: &Root, claims: &ClaimIndex, boot: Stamp) -> Option<Aside> {
    let Standing::Live(facts) = &view.standing else { return None };
    let path = view.sighting.path();
    // The path leads to the mapped inode, so that can be read through it without any right on the process.
    let flipped = || soname_beside(path, facts, root, &|| root.open(path));
    let soname = if view.folder_changed.is_none_or(|changed| changed >= boot) { flipped() } else { None };
    soname.or_else(|| claimed_beside(path, facts, root, claims)).or_else(|| swapped(path, facts, root, claims))
}

fn other(path: &Path, facts: &FileFacts, root: &Root) -> Option<FileFacts> {
    let now = root.look(path, Links::Follow).found().copied()?;
    (now.id != facts.id && now.kind == FileKind::Regular).then_some(now)
}

/// The soname of the mapped library, beside it, leads to another file.
fn soname_beside(path: &Path, facts: &FileFacts, root: &Root, mapped: &dyn Fn() -> Option<File>) -> Option<Aside> {
    let (beside, current) =
        shorter_names(path).into_iter().find_map(|name| other(&name, facts, root).map(|current| (name, current)))?;
    let soname = content::soname(&mapped()?)?;
    if beside.file_name()?.as_bytes() != soname {
        return None;
    }
    let since = root.look(&beside, Links::Keep).found()?.changed;
    Some(Aside { path: beside, current, since, clue: Clue::Soname })
}

/// A claimed path beside it is its own name without the suffix it was moved aside under.
fn claimed_beside(path: &Path, facts: &FileFacts, root: &Root, claims: &ClaimIndex) -> Option<Aside> {
    let beside = shorter_names(path).into_iter().find(|name| claims.file(name).is_some())?;
    let current = other(&beside, facts, root)?;
    let since = root.look(&beside, Links::Keep).found()?.changed;
    Some(Aside { path: beside, current, since, clue: Clue::ClaimedBeside })
}

/// A claimed path is its own but for one folder, and both folders changed.
fn swapped(path: &Path, facts: &FileFacts, root: &Root, claims: &ClaimIndex) -> Option<Aside> {
    if claims.file(path).is_some() {
        return None;
    }
    claims.named(path.file_name()?).iter().find_map(|claimed| {
        let depth = swapped_folder(path, claimed)?;
        let current = other(claimed, facts, root)?;
        let changed =
            |folder: &Path| root.look(&folder_at(folder, depth), Links::Keep).found().map(|facts| facts.changed);
        let flipped = claims.file(claimed).and_then(|claim| claim.link_changed);
        let since = match flipped {
            Some(flipped) => flipped,
            None => changed(path)?.min(changed(claimed)?),
        };
        Some(Aside { path: claimed.clone(), current, since, clue: Clue::SwappedFolder })
    })
}

/// The folder that was swapped for another one: before and now.
pub fn swap_of(view: &FileView) -> Option<(PathBuf, PathBuf)> {
    let (path, aside) = (view.sighting.path(), view.aside.as_ref()?);
    let depth = swapped_folder(path, &aside.path)?;
    Some((folder_at(path, depth), folder_at(&aside.path, depth)))
}
