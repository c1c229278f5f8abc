//! The words of the report: method, content, cause, verdict.

use super::damage::Damage;
use super::file::FileId;

use std::path::PathBuf;

/// Gives an enum of fixed words its printed form and the way back.
macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
        pub enum $name { $($(#[$doc])* #[serde(rename = $word)] $variant,)+ }

        impl $name {
            /// All words, in their order.
            pub const WORDS: &'static [&'static str] = &[$($word),+];

            /// The word that stands in reports and policies.
            pub fn word(self) -> &'static str {
                match self { $($name::$variant => $word,)+ }
            }
        }

        impl std::str::FromStr for $name {
            type Err = ();
            fn from_str(word: &str) -> Result<Self, ()> {
                match word { $($word => Ok($name::$variant),)+ _ => Err(()) }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.word())
            }
        }
    };
}
pub(crate) use words;

words! {
    /// How a file was replaced.
    Method {
        /// A new file took the name in one step: atomic and safe.
        Renamed = "renamed",
        /// Unlinked, then created: safe, with a moment without the file.
        Recreated = "recreated",
        /// Written in place: same inode, new content, the running program's pages change.
        Overwritten = "overwritten",
        /// The name is gone.
        Removed = "removed",
        /// Same inode, same content.
        Untouched = "untouched",
        /// The evidence does not decide.
        Unknown = "unknown",
    }
}

words! {
    /// Whether the new file's content is the old one's.
    Content {
        /// Equal build-ids or equal bytes: an identical reinstall.
        Same = "same",
        /// Another build-id, size or byte.
        Differs = "differs",
        /// Could not be compared.
        Unknown = "unknown",
    }
}

words! {
    /// What a file is to the process that uses it.
    CauseKind {
        /// The program itself.
        Executable = "executable",
        /// A mapped file with code in it.
        Library = "library",
        /// A mapped file without code.
        Data = "data",
        /// Text that an interpreter read.
        Script = "script",
    }
}

words! {
    /// How certain a cause is.
    Certainty {
        /// By identity, or by what the process itself holds.
        Proven = "proven",
        /// By what it was started with, what it names or what it maps besides.
        Likely = "likely",
    }
}

words! {
    /// From where a path is meant, and what it leads to.
    PathRoot {
        /// From the host's root.
        Host = "host",
        /// From the process's own root, to a file that lies in it: of a container or a chroot.
        Own = "own",
        /// From the process's own root, to a file of another file system or folder that is mounted into it.
        Mounted = "mounted",
    }
}

words! {
    /// What is said of a process.
    Verdict {
        /// Runs what is on disk.
        Fresh = "fresh",
        /// Could not be told, and the gap says why.
        Unknown = "unknown",
        /// Runs an old inode whose content differs from the file's.
        Stale = "stale",
        /// Maps a file that was overwritten in place: may crash.
        Tainted = "tainted",
    }
}

/// One file that makes a process stale.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// The path that the new file has, or the old one had.
    pub path: PathBuf,
    /// What the file is to the process.
    pub kind: CauseKind,
    /// How it was replaced.
    pub method: Method,
    /// Whether the content is another.
    pub content: Content,
    /// The package that owns the path, where known.
    pub package: Option<String>,
    /// The inode that the process runs; `None` for a script, which is read and not mapped.
    pub mapped: Option<FileId>,
    /// The inode that the path names now.
    pub current: Option<FileId>,
    /// On what evidence, in words.
    pub evidence: String,
    /// Whether the evidence is proof.
    pub certainty: Certainty,
    /// Where the path means something.
    pub root: PathRoot,
    /// Of a file that was overwritten in place: what the process has in memory of the old and the new.
    pub damage: Option<Damage>,
}
