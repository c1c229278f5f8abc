//! Files by identity, never by name: what `statx` says, and what is compared.

use serde::{Deserialize, Serialize};

/// Nanoseconds since 1970, as file systems keep them.
pub type Stamp = i128;

/// Device and inode number, as `statx` gives them.
///
/// Only the number of an inode that is mapped or open cannot be handed out again; for any other,
/// compare the birth time or the file handle too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FileId {
    /// Device, as `makedev(major, minor)`.
    pub dev: u64,
    /// Inode number.
    pub ino: u64,
}

/// What kind of thing a path names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FileKind {
    /// A regular file.
    Regular,
    /// A folder.
    Folder,
    /// A symbolic link (only where links are not followed).
    Link,
    /// Device, FIFO or socket: never opened.
    Special,
}

/// What one look at an inode said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileFacts {
    /// Device and inode number.
    pub id: FileId,
    /// What it is.
    pub kind: FileKind,
    /// Birth time; `None` on file systems that keep none (ext4 with 128-byte inodes).
    pub born: Option<Stamp>,
    /// Change time of the inode. Of a dead inode: the moment it lost its last name.
    pub changed: Stamp,
    /// Modification time of the content. Package managers set it back to the packaged value.
    pub modified: Stamp,
    /// Bytes.
    pub size: u64,
    /// Number of names.
    pub links: u32,
    /// Owner.
    pub uid: u32,
    /// Permission bits, with set-id and sticky.
    pub mode: u16,
}

impl FileFacts {
    /// How much later than it says a moment of this inode may have been: file systems that keep no birth
    /// times (ext4 with 128-byte inodes) keep whole seconds only.
    pub fn slack(&self) -> Stamp {
        const SECOND: Stamp = 1_000_000_000;
        match self.born {
            None if self.changed % SECOND == 0 => SECOND,
            None | Some(_) => 0,
        }
    }

    /// Those of a regular file that was born at the moment of its number.
    #[cfg(test)]
    pub fn regular(ino: u64) -> FileFacts {
        FileFacts {
            id: FileId { dev: 1, ino },
            kind: FileKind::Regular,
            born: Some(Stamp::from(ino)),
            changed: 0,
            modified: 0,
            size: 0,
            links: 1,
            uid: 0,
            mode: 0o644,
        }
    }

    /// The latest moment at which it was written to or changed.
    pub fn last_change(&self) -> Stamp {
        self.modified.max(self.changed) + self.slack()
    }
}

/// The result of looking at a path or at a mapped inode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Look {
    /// It is there.
    Found(FileFacts),
    /// The path names nothing.
    Absent,
    /// It could not be looked at.
    Hidden(String),
}

impl Look {
    /// The facts, if it was found.
    pub fn found(&self) -> Option<&FileFacts> {
        match self {
            Look::Found(facts) => Some(facts),
            Look::Absent | Look::Hidden(_) => None,
        }
    }
}
