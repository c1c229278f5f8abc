//! Files as they were at a moment, and what has become of them since: how each was replaced, without
//! anybody saying so.

use super::claim::Claim;
use super::file::{FileFacts, FileId, Look};
use super::judge::method_of;
use super::old::is_untouched;
use super::pending::Snapshot;
use super::text;
use super::verdict::{words, Method};
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// All files that processes mapped at a moment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marks {
    /// The boot that they are of: in another one inodes mean nothing.
    pub boot_id: String,
    /// When they were taken, in nanoseconds since 1970.
    pub time: i128,
    /// The files.
    pub files: Vec<Snapshot>,
    /// Their folders.
    pub folders: Vec<MarkedFolder>,
    /// What could not be looked at.
    pub gaps: Vec<String>,
}

/// A folder of a marked file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MarkedFolder {
    /// Its path.
    #[serde(with = "text::printed")]
    pub path: PathBuf,
    /// Device and inode number.
    pub id: FileId,
}

words! {
    /// How a file was replaced, as far as a record of the time before tells.
    How {
        /// A new file took the name in one step.
        Renamed = "renamed",
        /// Unlinked, then created.
        Recreated = "recreated",
        /// Written in place: the inode is the same, the bytes are not.
        Overwritten = "overwritten",
        /// The old file has another name now, and a new one has its.
        MovedAside = "moved-aside",
        /// The folder that it is in is another one.
        FolderSwapped = "folder-swapped",
        /// The name is gone.
        Removed = "removed",
        /// Another file stands there, and nothing tells how it came there.
        Unknown = "unknown",
    }
}

/// What has become of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Its path.
    pub path: PathBuf,
    /// How it was replaced.
    pub how: How,
    /// On what evidence, in words.
    pub evidence: String,
}

/// What is seen of a marked file later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Later {
    /// What its path names.
    pub now: Look,
    /// The old inode; `None` where it is gone, or where its file system gives no handles.
    pub old: Option<FileFacts>,
    /// Whether its folder is the one that it was.
    pub same_folder: bool,
    /// Of the same inode: whether its bytes are others; `None` where nobody took note of them.
    pub differs: Option<bool>,
}

/// What has become of a file; `None` where it is what it was.
pub fn change(before: &Snapshot, later: &Later) -> Option<Change> {
    let said = |how, evidence: &str| Some(Change { path: before.path.clone(), how, evidence: evidence.to_owned() });
    let now = match &later.now {
        Look::Found(now) => now,
        Look::Absent if !later.same_folder => return said(How::FolderSwapped, "its folder is another one, without it"),
        Look::Absent => return said(How::Removed, "the path names nothing any more"),
        Look::Hidden(_) => return None,
    };
    if (now.id, now.born) == (before.facts.id, before.facts.born) {
        return match (is_untouched(&before.facts, now), later.differs) {
            (true, _) | (false, Some(false)) => None,
            (false, Some(true)) => said(How::Overwritten, "the same inode has other bytes"),
            (false, None) if (now.size, now.modified) != (before.facts.size, before.facts.modified) => {
                said(How::Overwritten, "the same inode was written to")
            }
            // Its rights, or the number of its names.
            (false, None) => None,
        };
    }
    if !later.same_folder {
        return said(How::FolderSwapped, "its folder is another one");
    }
    match later.old.as_ref() {
        // A name less than before, or none: it was not only moved.
        Some(old) if old.links > 0 && old.links >= before.facts.links => {
            said(How::MovedAside, "the old inode has another name")
        }
        old => {
            let judged = method_of(old, now, true);
            let how = match judged.method {
                Method::Renamed => How::Renamed,
                Method::Recreated => How::Recreated,
                _ => How::Unknown,
            };
            said(how, &judged.evidence)
        }
    }
}

impl Marks {
    /// Whether a folder is the one that it was.
    pub fn folders_by_path(&self) -> HashMap<&Path, FileId> {
        self.folders.iter().map(|folder| (folder.path.as_path(), folder.id)).collect()
    }

    /// The files that changed, as they were: the rest is of no use to the judge.
    pub fn of(&self, changes: &[Change]) -> Vec<Snapshot> {
        let changed: HashSet<&Path> = changes.iter().map(|change| change.path.as_path()).collect();
        self.files.iter().filter(|file| changed.contains(file.path.as_path())).cloned().collect()
    }
}

/// The changes as claims.
pub fn claims(changes: &[Change]) -> Vec<Claim> {
    changes.iter().map(|change| Claim::File { path: change.path.clone(), package: None }).collect()
}

/// The changes that no claim covers. `real` is a path with all links in its folders resolved, as those of the
/// changes are.
pub fn not_claimed<'c>(
    mut changes: Vec<Change>,
    claims: impl Iterator<Item = &'c Claim>,
    real: impl Fn(&Path) -> PathBuf,
) -> Vec<Change> {
    let names: HashSet<OsString> =
        changes.iter().filter_map(|change| Some(change.path.file_name()?.to_owned())).collect();
    let mut files: HashSet<PathBuf> = HashSet::new();
    let mut trees: Vec<PathBuf> = Vec::new();
    for claim in claims {
        match claim {
            // Of thousands only those that may be one of the few are resolved.
            Claim::File { path, .. } if path.file_name().is_some_and(|name| names.contains(name)) => {
                files.insert(real(path));
            }
            Claim::File { .. } => {}
            Claim::Tree { prefix } => trees.push(prefix.clone()),
        }
    }
    let is_claimed = |path: &Path| files.contains(path) || trees.iter().any(|prefix| path.starts_with(prefix));
    changes.retain(|change| !is_claimed(&change.path));
    changes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::file::FileKind;

    fn facts(ino: u64, born: i128, changed: i128) -> FileFacts {
        let id = FileId { dev: 1, ino };
        let kind = FileKind::Regular;
        FileFacts { id, kind, born: Some(born), changed, modified: 5, size: 1, links: 1, uid: 0, mode: 0o644 }
    }

    #[test]
    fn a_record_of_the_time_before_tells_every_way_of_replacing_a_file() {
        let before = Snapshot::of(PathBuf::from("/l/a"), facts(1, 10, 10));
        let same = |facts: FileFacts, differs| Later { now: Look::Found(facts), old: None, same_folder: true, differs };
        let other = |born, old: Option<FileFacts>, same_folder| Later {
            now: Look::Found(facts(2, born, 0)),
            old,
            same_folder,
            differs: None,
        };
        let dead = |changed| Some(FileFacts { links: 0, ..facts(1, 10, changed) });
        let gone = |same_folder| Later { now: Look::Absent, old: None, same_folder, differs: None };
        for (later, expected) in [
            (same(facts(1, 10, 10), None), None),
            (same(facts(1, 10, 90), Some(false)), None),
            (same(facts(1, 10, 90), None), None),
            (same(facts(1, 10, 90), Some(true)), Some(How::Overwritten)),
            (same(FileFacts { modified: 80, ..facts(1, 10, 90) }, None), Some(How::Overwritten)),
            (same(FileFacts { size: 2, ..facts(1, 10, 90) }, None), Some(How::Overwritten)),
            (other(50, dead(60), true), Some(How::Renamed)),
            (other(70, dead(60), true), Some(How::Recreated)),
            (other(70, Some(facts(1, 10, 60)), true), Some(How::MovedAside)),
            (other(70, None, true), Some(How::Unknown)),
            (other(70, Some(facts(1, 10, 10)), false), Some(How::FolderSwapped)),
            (gone(true), Some(How::Removed)),
            (gone(false), Some(How::FolderSwapped)),
            (Later { now: Look::Hidden(String::new()), ..gone(true) }, None),
            // Its number was given out again: another file.
            (same(facts(1, 99, 99), None), Some(How::Unknown)),
        ] {
            assert_eq!(change(&before, &later).map(|change| change.how), expected, "{later:?}");
        }
    }

    #[test]
    fn what_a_package_manager_claims_is_its_own_to_tell() {
        let change = |path: &str| Change { path: path.into(), how: How::Renamed, evidence: String::new() };
        let file = |path: &str| Claim::File { path: path.into(), package: None };
        let changes = vec![change("/usr/lib/a"), change("/usr/lib/b"), change("/opt/c"), change("/srv/tree/d")];
        let claims = [file("/lib/a"), file("/opt/b"), Claim::Tree { prefix: "/srv/tree".into() }];
        let real = |path: &Path| match path.strip_prefix("/lib") {
            Ok(rest) => Path::new("/usr/lib").join(rest),
            Err(_) => path.to_owned(),
        };
        assert_eq!(not_claimed(changes, claims.iter(), real), [change("/usr/lib/b"), change("/opt/c")]);
    }
}
