//! How a file was replaced, from the evidence that the two inodes keep.

use crate::model::file::{FileFacts, Look};
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

/// How a file that nobody maps was replaced since its facts were taken before a transaction. `old` is the
/// inode of that time if it still is somewhere.
pub fn method_since(before: &FileFacts, old: Option<&FileFacts>, now: &Look, keeps_death: bool) -> Judged {
    let now = match now {
        Look::Found(now) => now,
        Look::Absent => return Judged::new(Method::Removed, "the path names nothing any more"),
        Look::Hidden(why) => return Judged::new(Method::Unknown, why.clone()),
    };
    if (before.id, before.born) != (now.id, now.born) {
        return match old {
            Some(old) => method_of(Some(old), now, keeps_death),
            None => Judged::new(
                Method::Unknown,
                "the path names another inode than before the transaction; the old one is gone, and with it the moment at which it lost its name",
            ),
        };
    }
    match (before.size, before.modified) == (now.size, now.modified) {
        true if before.changed == now.changed => {
            Judged::new(Method::Untouched, "the inode and its times are those of before the transaction")
        }
        true => Judged::new(
            Method::Untouched,
            "the inode of before the transaction: its rights or its links changed, its bytes did not",
        ),
        false => Judged::new(Method::Overwritten, "the inode of before the transaction, and it was written to since"),
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

    #[test]
    fn of_a_file_that_nobody_maps_the_picture_from_before_tells() {
        let before = facts(1, Some(10), 20, 1);
        let written = FileFacts { size: 2, modified: 30, changed: 30, ..before };
        let at = |facts| Look::Found(facts);
        for (old, now, expected) in [
            (None, at(before), Method::Untouched),
            (None, at(FileFacts { changed: 30, mode: 0o711, ..before }), Method::Untouched),
            (None, at(written), Method::Overwritten),
            (None, at(facts(2, Some(25), 30, 1)), Method::Unknown),
            // The number was given out again: another file.
            (None, at(facts(1, Some(25), 30, 1)), Method::Unknown),
            (Some(facts(1, Some(10), 28, 0)), at(facts(2, Some(25), 28, 1)), Method::Renamed),
            (Some(facts(1, Some(10), 22, 0)), at(facts(2, Some(25), 25, 1)), Method::Recreated),
            (None, Look::Absent, Method::Removed),
            (None, Look::Hidden("no".to_owned()), Method::Unknown),
        ] {
            assert_eq!(method_since(&before, old.as_ref(), &now, true).method, expected, "{now:?}");
        }
    }
}
