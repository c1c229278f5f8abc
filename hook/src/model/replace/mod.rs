//! Putting files in place: in which order names change, what is refused, and what is to become of a
//! replacement that was cut short.
//!
//! Each new file is whole beside its place before the first name changes, and each old inode has a second
//! name until all is well: taking back gives the very inode its name again.

mod refuse;
mod sums;

pub use refuse::{refusal, refusal_of_place, writable_by_others, FolderFacts, Place};
pub use sums::{parse_sums, Sums, SumsError};

use super::claim::Claim;
use super::file::{FileFacts, FileId, FileKind, Look, Stamp};
use super::pending::{Pending, Snapshot};
use super::text;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// What takes a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A regular file.
    File,
    /// A symbolic link.
    Link,
    /// A folder with all that is in it.
    Folder,
}

/// An inode that cannot be mistaken for a later one under its number, where birth times are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inode {
    /// Device and number.
    pub id: FileId,
    /// Its birth.
    pub born: Option<Stamp>,
}

impl Inode {
    /// Of these facts.
    pub fn of(facts: &FileFacts) -> Inode {
        Inode { id: facts.id, born: facts.born }
    }
}

/// One name that changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// What takes the name.
    pub kind: Kind,
    /// The name, its folder without links.
    #[serde(with = "text::printed")]
    pub target: PathBuf,
    /// Where the new one waits: in the same folder. Of a folder: the new one's own path.
    #[serde(with = "text::printed")]
    pub beside: PathBuf,
    /// The second name of the old one, in the same folder. Of a folder: none, the two exchange their names.
    #[serde(with = "text::printed")]
    pub kept: PathBuf,
    /// What stood there; `None`: nothing.
    pub old: Option<Snapshot>,
    /// What is to stand there; `None` until it is whole.
    pub new: Option<Inode>,
    /// Files below an old folder.
    #[serde(default)]
    pub below: Vec<Snapshot>,
}

/// How far a replacement has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// New files are being written; no name has changed.
    Writing,
    /// All of them are whole and on disk; names change.
    Placing,
    /// All names have changed; the old files are kept.
    Placed,
    /// The old files get their names back.
    TakingBack,
}

/// A replacement under way: on disk before each thing that it does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Journal {
    /// How far it has come.
    pub phase: Phase,
    /// When it began, in nanoseconds since 1970.
    pub time: i128,
    /// Whether the old files come back where the new ones are not proven.
    pub until_proven: bool,
    /// The names, in the order in which they change.
    pub entries: Vec<Entry>,
    /// Folders that it makes, the outermost first.
    #[serde(default)]
    pub folders: Vec<Made>,
}

/// A folder that a replacement makes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Made(#[serde(with = "text::printed")] pub PathBuf);

/// What is to become of a replacement that was cut short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remedy {
    /// Change the names that have not changed yet.
    Finish,
    /// Give the old files their names back.
    TakeBack,
}

impl Journal {
    /// What is to become of it when it was cut short here. New files that somebody wanted proven were not.
    pub fn remedy(&self) -> Remedy {
        match (self.phase, self.until_proven) {
            (Phase::Writing | Phase::TakingBack, _) | (Phase::Placed, true) => Remedy::TakeBack,
            (Phase::Placing, _) | (Phase::Placed, false) => Remedy::Finish,
        }
    }

    /// What it says of itself to the judge.
    pub fn pending(&self, boot_id: &str, now: i128) -> [Pending; 2] {
        Pending::around(boot_id, MANAGER, (self.time, now), self.claims(), self.snapshots())
    }

    /// The paths at which other files are now.
    pub fn claims(&self) -> Vec<Claim> {
        let below = |entry: &Entry| entry.below.iter().map(|file| file.path.clone()).collect::<Vec<_>>();
        let paths = self.entries.iter().flat_map(|entry| std::iter::once(entry.target.clone()).chain(below(entry)));
        paths.map(|path| Claim::File { path, package: None }).collect()
    }

    fn snapshots(&self) -> Vec<Snapshot> {
        self.entries.iter().flat_map(|entry| entry.old.iter().chain(&entry.below)).cloned().collect()
    }
}

/// Who said it, in the place of a package manager's name.
pub const MANAGER: &str = "replace";

/// What stands at a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stands {
    /// What stood there before, also where that was nothing.
    Old,
    /// What is to stand there.
    New,
    /// Something else: somebody was there in between, or it cannot be looked at.
    Stranger,
}

impl Entry {
    /// What stands at the target.
    pub fn stands(&self, look: &Look) -> Stands {
        match (look, &self.old) {
            (Look::Absent, None) => Stands::Old,
            (Look::Found(facts), _) if self.is_new(facts) => Stands::New,
            (Look::Found(facts), _) if self.is_old(facts) => Stands::Old,
            (Look::Found(_) | Look::Absent | Look::Hidden(_), _) => Stands::Stranger,
        }
    }

    /// Whether these are the facts of the new file.
    pub fn is_new(&self, facts: &FileFacts) -> bool {
        self.new == Some(Inode::of(facts))
    }

    /// Whether these are the facts of the old file.
    pub fn is_old(&self, facts: &FileFacts) -> bool {
        self.old.as_ref().is_some_and(|old| Inode::of(&old.facts) == Inode::of(facts))
    }

    /// Whether what is found at one of our own names in the end is ours to remove. A new folder was there
    /// before us, and an old one is kept for going back.
    pub fn is_leftover(&self, look: &Look, phase: Phase) -> bool {
        let Look::Found(facts) = look else { return false };
        let is_ours = match phase {
            // The name is ours alone, and what is not whole yet has no other mark.
            Phase::Writing => matches!(facts.kind, FileKind::Regular | FileKind::Link),
            Phase::Placing | Phase::Placed | Phase::TakingBack => self.is_old(facts) || self.is_new(facts),
        };
        self.kind != Kind::Folder && is_ours
    }
}

/// What a file is for others: who needs it must not be there before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// A shared library.
    Library,
    /// A name of a library: the link that the dynamic loader follows.
    LibraryLink,
    /// Anything else that is read.
    Data,
    /// A program or a script.
    Program,
    /// Any other link: often the one that makes a version the current one.
    Link,
}

/// The role of a link with this name.
pub fn role_of_link(target: &Path) -> Role {
    let name = target.file_name().map(|name| name.as_encoded_bytes().to_vec()).unwrap_or_default();
    match name.windows(3).any(|window| window == b".so") {
        true => Role::LibraryLink,
        false => Role::Link,
    }
}

/// What a replacement has to say, besides the report of who runs the old.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Replaced {
    /// Names that lead to new files now, or that would.
    pub files: Vec<ReplacedFile>,
    /// Paths at which just that stood already.
    pub unchanged: Vec<PathBuf>,
    /// From the first change of a name to the last one; `None` where none has changed.
    pub window: Option<std::time::Duration>,
    /// What became of a call that was cut short before.
    pub recovered: Vec<String>,
    /// Why the old files have their names again.
    pub undone: Option<String>,
    /// Whether nothing was done.
    pub dry_run: bool,
    /// What else is to be known.
    pub notes: Vec<String>,
}

/// One name that was changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplacedFile {
    /// The path.
    pub path: PathBuf,
    /// Whether something stood there.
    pub was_there: bool,
    /// Other names of the old file, which still have its content.
    pub links: Vec<PathBuf>,
    /// How many more names of it were not found.
    pub hidden_links: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(old: Option<u64>, new: Option<u64>) -> Entry {
        let snapshot = |ino| Snapshot::of(PathBuf::from("/l/a"), FileFacts::regular(ino));
        Entry {
            kind: Kind::File,
            target: PathBuf::from("/l/a"),
            beside: PathBuf::from("/l/.b"),
            kept: PathBuf::from("/l/.k"),
            old: old.map(snapshot),
            new: new.map(|ino| Inode::of(&FileFacts::regular(ino))),
            below: Vec::new(),
        }
    }

    #[test]
    fn what_was_cut_short_is_finished_once_all_is_whole_and_taken_back_before() {
        let journal = |phase, until_proven| {
            Journal { phase, time: 0, until_proven, entries: Vec::new(), folders: Vec::new() }.remedy()
        };
        for (phase, remedy, where_proof_is_wanted) in [
            (Phase::Writing, Remedy::TakeBack, Remedy::TakeBack),
            (Phase::Placing, Remedy::Finish, Remedy::Finish),
            (Phase::Placed, Remedy::Finish, Remedy::TakeBack),
            (Phase::TakingBack, Remedy::TakeBack, Remedy::TakeBack),
        ] {
            assert_eq!((journal(phase, false), journal(phase, true)), (remedy, where_proof_is_wanted));
        }
    }

    #[test]
    fn a_stranger_at_the_name_is_told_from_the_old_and_the_new_file() {
        let found = |ino| Look::Found(FileFacts::regular(ino));
        for (old, look, expected) in [
            (Some(1), found(1), Stands::Old),
            (Some(1), found(2), Stands::New),
            (Some(1), found(3), Stands::Stranger),
            (Some(1), Look::Absent, Stands::Stranger),
            (None, Look::Absent, Stands::Old),
            (None, found(2), Stands::New),
            (None, found(3), Stands::Stranger),
            (Some(1), Look::Hidden(String::new()), Stands::Stranger),
        ] {
            assert_eq!(entry(old, Some(2)).stands(&look), expected, "{old:?} {look:?}");
        }
        let again = FileFacts { born: Some(99), ..FileFacts::regular(1) };
        assert_eq!(entry(Some(1), Some(2)).stands(&Look::Found(again)), Stands::Stranger, "a number given out again");
    }

    #[test]
    fn only_what_is_ours_is_removed_from_beside() {
        let found = |ino| Look::Found(FileFacts::regular(ino));
        let one = entry(Some(1), Some(2));
        for (look, phase, expected) in [
            (found(9), Phase::Writing, true),
            (found(1), Phase::Placed, true),
            (found(2), Phase::TakingBack, true),
            (found(9), Phase::Placed, false),
            (Look::Absent, Phase::Placed, false),
        ] {
            assert_eq!(one.is_leftover(&look, phase), expected, "{look:?} {phase:?}");
        }
        let folder = Entry { kind: Kind::Folder, ..one };
        assert!(!folder.is_leftover(&found(1), Phase::Placed), "the old tree is kept");
    }

    #[test]
    fn libraries_come_before_their_links_and_both_before_programs() {
        let mut roles = vec![Role::Link, Role::Program, Role::Data, Role::LibraryLink, Role::Library];
        roles.sort();
        assert_eq!(roles, [Role::Library, Role::LibraryLink, Role::Data, Role::Program, Role::Link]);
        assert_eq!(role_of_link(Path::new("/l/libx.so.1")), Role::LibraryLink);
        assert_eq!(role_of_link(Path::new("/opt/app/current")), Role::Link);
    }
}
