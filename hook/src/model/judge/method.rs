//! How a file was replaced, from the evidence that the two inodes keep.

use crate::model::file::FileFacts;
use crate::model::time::span;
use crate::model::verdict::Method;

/// A method with the evidence for it, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged {
    /// How it was replaced.
    pub method: Method,
    /// On what evidence.
    pub evidence: String,
}

impl Judged {
    /// A method and the reason for it.
    pub fn new(method: Method, evidence: impl Into<String>) -> Judged {
        Judged { method, evidence: evidence.into() }
    }
}

/// How the file at a path came to be another inode than the old one.
///
/// A dead inode's change time is the moment it lost its name; if the new inode was born before
/// that moment it existed beside the old one and took the name by rename. Measured per file system
/// in `facts/package-managers.md` B.2 and `facts/newest-platform.md` 1.3: equal times decide
/// nothing, since both fall into one clock tick. `keeps_death` is false where the file system does
/// not move the change time of a replaced inode (overlayfs, a file of the lower layer).
pub fn method_of(old: Option<&FileFacts>, new: &FileFacts, keeps_death: bool) -> Judged {
    let Some(old) = old else {
        return Judged::new(Method::Unknown, "the old inode may not be looked at");
    };
    if old.id == new.id {
        return Judged::new(Method::Untouched, "the path names the inode that is mapped");
    }
    if !keeps_death && old.links > 0 {
        return Judged::new(Method::Unknown, "overlayfs does not date the replacement of a file from a lower layer");
    }
    let Some(born) = new.born else {
        return Judged::new(Method::Unknown, "this file system keeps no birth times");
    };
    let apart = span(born.abs_diff(old.changed));
    match born.cmp(&old.changed) {
        std::cmp::Ordering::Less => {
            Judged::new(Method::Renamed, format!("the new inode was born {apart} before the old one lost its name"))
        }
        std::cmp::Ordering::Greater => {
            // Not an error: some package managers always do it so, and for that long nobody could start it.
            Judged::new(
                Method::Recreated,
                format!(
                    "the path was absent for {apart}: the new inode was born that long after the old one lost its name"
                ),
            )
        }
        std::cmp::Ordering::Equal => Judged::new(
            Method::Unknown,
            "the new inode was born in the same clock tick in which the old one lost its name",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::file::{FileId, FileKind};

    fn facts(ino: u64, born: Option<i128>, changed: i128, links: u32) -> FileFacts {
        let id = FileId { dev: 1, ino };
        FileFacts { id, kind: FileKind::Regular, born, changed, modified: 0, size: 1, links, uid: 0, mode: 0o755 }
    }

    #[test]
    fn the_dead_inode_tells_how_the_file_was_replaced() {
        let dead_at = |changed| facts(1, Some(0), changed, 0);
        for (old, new, keeps_death, expected) in [
            (dead_at(100), facts(2, Some(50), 100, 1), true, Method::Renamed),
            (dead_at(100), facts(2, Some(150), 150, 1), true, Method::Recreated),
            (dead_at(100), facts(2, Some(100), 100, 1), true, Method::Unknown),
            (dead_at(100), facts(2, None, 100, 1), true, Method::Unknown),
            (facts(1, Some(0), 100, 1), facts(2, Some(50), 100, 1), true, Method::Renamed),
            (facts(1, Some(0), 100, 1), facts(2, Some(150), 150, 1), false, Method::Unknown),
            (dead_at(100), facts(2, Some(150), 150, 1), false, Method::Recreated),
            (dead_at(100), facts(1, Some(0), 100, 0), true, Method::Untouched),
        ] {
            assert_eq!(method_of(Some(&old), &new, keeps_death).method, expected);
        }
        assert_eq!(method_of(None, &facts(2, Some(1), 1, 1), true).method, Method::Unknown);
    }
}
