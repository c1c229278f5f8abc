//! What is in a folder, and in those that are in it; links are never followed.

use super::files::{Links, Root};
use crate::model::file::{FileFacts, FileId, FileKind};
use anyhow::{ensure, Context, Result};
use std::os::unix::fs::DirEntryExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Everything below a folder, each before what is in it, in the order of their names.
pub fn walk(folder: &Path, most: usize) -> Result<Vec<(PathBuf, FileFacts)>> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        let entries = std::fs::read_dir(&folder).with_context(|| folder.display().to_string())?;
        let mut paths: Vec<PathBuf> = Vec::new();
        for entry in entries {
            paths.push(entry.with_context(|| folder.display().to_string())?.path());
            ensure!(found.len() + paths.len() <= most, "{} has more than {most} files", folder.display());
        }
        paths.sort();
        for path in paths {
            // Gone meanwhile: then it is not there.
            let Some(facts) = Root::Own.look(&path, Links::Keep).found().copied() else { continue };
            if facts.kind == FileKind::Folder {
                open.push(path.clone());
            }
            found.push((path, facts));
        }
    }
    Ok(found)
}

/// Regular files below a folder, or below the one that a link leads to: by the path that was named.
pub fn files(folder: &Path, most: usize) -> Result<Vec<PathBuf>> {
    match Root::Own.look(folder, Links::Follow).found() {
        Some(facts) if facts.kind == FileKind::Folder => {}
        _ => return Ok(Vec::new()),
    }
    let found = walk(folder, most)?;
    Ok(found.into_iter().filter(|(_, facts)| facts.kind == FileKind::Regular).map(|(path, _)| path).collect())
}

/// Names of an inode, near ones first: in the folder, then in those around it, on the same file system.
/// Ends when all are found, or at the deadline.
pub fn names_of(folder: &Path, id: &FileId, wanted: u32, end: Instant) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut below: Option<&Path> = None;
    for top in folder.ancestors() {
        if Root::Own.look(top, Links::Keep).found().is_none_or(|facts| facts.id.dev != id.dev) {
            break;
        }
        let mut open = vec![top.to_owned()];
        while let Some(folder) = open.pop() {
            // Our own second name of it, and the one that was asked about, may be among them.
            if found.len() > wanted as usize || Instant::now() > end {
                return found;
            }
            if Some(folder.as_path()) == below {
                continue;
            }
            let Ok(entries) = std::fs::read_dir(&folder) else { continue };
            for entry in entries.filter_map(Result::ok) {
                if entry.ino() == id.ino && is(&entry.path(), id) {
                    found.push(entry.path());
                } else if entry.file_type().is_ok_and(|kind| kind.is_dir()) && is_on(&entry.path(), id.dev) {
                    open.push(entry.path());
                }
            }
        }
        below = Some(top);
    }
    found
}

fn is(path: &Path, id: &FileId) -> bool {
    Root::Own.look(path, Links::Keep).found().is_some_and(|facts| facts.id == *id)
}

fn is_on(path: &Path, device: u64) -> bool {
    Root::Own.look(path, Links::Keep).found().is_some_and(|facts| facts.id.dev == device)
}
