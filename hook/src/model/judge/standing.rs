//! What has become of one mapped file, whoever maps it.

use super::method::{method_of, Judged};
use crate::model::file::{FileFacts, FileId, FileKind, Look, Stamp};
use crate::model::mapping;
use crate::model::verdict::{Content, Method, PathRoot};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// A mount namespace, as an index; the host's is [`Space::HOST`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Space(pub u32);

impl Space {
    /// The namespace of PID 1 (or of the root that was asked for).
    pub const HOST: Space = Space(0);
}

/// What was seen of one distinct mapped file.
#[derive(Debug, Clone)]
pub struct Sighting {
    /// Where its name means something.
    pub space: Space,
    /// The name, as the kernel prints it.
    pub name: Vec<u8>,
    /// Super block device and inode number, as the kernel prints them.
    pub printed: FileId,
    /// The mapped inode itself.
    pub mapped: Look,
    /// Whether the file system of the mapped inode is mounted anywhere in its namespace. Memory that
    /// only looks like a file (memfd, System V, shared anonymous, aio) lives on one that is not.
    pub mounted: bool,
    /// Of a file system that is not mounted: whether it is one for files all the same, that was mounted once.
    pub unmounted: bool,
    /// Whether a replaced inode's change time is the moment of its replacement there.
    pub keeps_death: bool,
    /// Whether just this file is mounted there: then its path leads to it even without a name.
    pub bound: bool,
    /// The names it can stand for and what each of them names now, likeliest first.
    pub names: Vec<(PathBuf, Look)>,
    /// Whether its path means the same file on the host: it lies in one of the host's own folders.
    pub on_host: bool,
    /// Whether it lies on another mount than the root of its namespace.
    pub mounted_in: bool,
    /// Whether it lies below a folder that anybody may write to (`/tmp`, mode 1777), where no package
    /// puts a file.
    pub in_scratch_folder: bool,
}

/// Who says that a path was replaced.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Claimed {
    /// Nobody.
    #[default]
    No,
    /// Something below one of its folders was.
    Tree,
    /// The path itself was, by the transaction that is being looked at.
    File,
    /// The path itself was, by an earlier transaction since boot.
    Earlier,
}

/// What has become of a mapped file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// The path names the mapped inode.
    Live(FileFacts),
    /// The path names another inode.
    Replaced {
        /// What it names now.
        current: FileFacts,
        /// How that came about.
        judged: Judged,
    },
    /// The path names nothing.
    Gone,
    /// The file still has its name, but the path does not lead to it: something is mounted over it, or
    /// its file system is not mounted any more.
    Covered,
    /// It never had a path that somebody could replace.
    NoFile,
    /// It could not be looked at.
    Hidden(String),
}

impl Sighting {
    /// A file of the host whose name leads to the inode that is mapped.
    pub fn live(name: &[u8], facts: FileFacts) -> Sighting {
        Sighting {
            space: Space::HOST,
            name: name.to_vec(),
            printed: facts.id,
            mapped: Look::Found(facts),
            mounted: true,
            unmounted: false,
            keeps_death: true,
            bound: false,
            names: vec![(PathBuf::from(OsStr::from_bytes(name)), Look::Found(facts))],
            on_host: true,
            mounted_in: false,
            in_scratch_folder: false,
        }
    }

    /// The path that is meant, the one whose file was replaced if it was.
    pub fn path(&self) -> &PathBuf {
        &self.names[self.meant()].0
    }

    /// From where its path is meant.
    pub fn path_root(&self) -> PathRoot {
        match (self.on_host, self.mounted_in) {
            (true, _) => PathRoot::Host,
            (false, false) => PathRoot::Own,
            (false, true) => PathRoot::Mounted,
        }
    }

    /// Index of the name that is meant: the one that leads to the mapped inode; else, where the
    /// kernel says that the name is gone, the stripped one; else the literal one.
    fn meant(&self) -> usize {
        if let Some(index) =
            self.names.iter().position(|(_, look)| look.found().is_some_and(|facts| self.is_mapped(facts)))
        {
            return index;
        }
        let gone = usize::from(mapping::says_deleted(&self.name) && self.names.len() > 1);
        // Of the readings with the suffix stripped, one that exists is likelier than one that does not.
        (gone..self.names.len()).find(|&index| self.names[index].1.found().is_some()).unwrap_or(gone)
    }

    /// Whether these are the facts of the mapped inode. A mapped inode's number cannot be handed out
    /// again, so equal numbers are enough where the mapped inode itself may not be looked at; the
    /// printed device is no help there (it is the super block's, on btrfs never stat's).
    fn is_mapped(&self, facts: &FileFacts) -> bool {
        match &self.mapped {
            Look::Found(mapped) => mapped.id == facts.id,
            Look::Absent | Look::Hidden(_) => self.printed.ino == facts.id.ino,
        }
    }

    fn method(&self, current: &FileFacts) -> Judged {
        // The kernel would say so if the name were gone: it leads elsewhere only for who looks.
        if !mapping::says_deleted(&self.name) {
            return Judged::new(Method::Unknown, "the mapped file still has its name; another one is mounted over it");
        }
        method_of(self.mapped.found(), current, self.keeps_death)
    }

    /// What has become of the file.
    pub fn standing(&self) -> Standing {
        let deleted = mapping::says_deleted(&self.name);
        if !self.mounted {
            // Memory that only looks like a file never had a name, and the kernel says so.
            let was_file = self.name.starts_with(b"/") && (!deleted || self.unmounted);
            return if was_file { Standing::Covered } else { Standing::NoFile };
        }
        if self.mapped.found().is_some_and(|mapped| mapped.kind != FileKind::Regular) {
            return Standing::NoFile;
        }
        match &self.names[self.meant()].1 {
            Look::Found(facts) if self.is_mapped(facts) => Standing::Live(*facts),
            Look::Found(facts) => Standing::Replaced { current: *facts, judged: self.method(facts) },
            Look::Absent if self.name.is_empty() => {
                Standing::Hidden("its path is longer than the kernel tells".to_owned())
            }
            Look::Absent if deleted => Standing::Gone,
            Look::Absent => Standing::Covered,
            Look::Hidden(why) => Standing::Hidden(why.clone()),
        }
    }
}

/// One mapped file with all that is known of it: what processes are judged by.
#[derive(Debug, Clone)]
pub struct FileView {
    /// What was seen.
    pub sighting: Sighting,
    /// What has become of it.
    pub standing: Standing,
    /// For a replaced file: whether the new content is the old one.
    pub content: Content,
    /// Whether the contents were compared and a file in its place was looked for.
    pub examined: bool,
    /// When one of its folders was moved, at the latest: the file keeps its times, and another one may
    /// stand now where it stood.
    pub folder_moved: Option<Stamp>,
    /// When a name was put into its folder or taken out, at the latest, and so the moment until which it may
    /// have got the name that it has; `None` where that is not known.
    pub folder_changed: Option<Stamp>,
    /// For a live file that another file took the place of without deleting it.
    pub aside: Option<super::aside::Aside>,
    /// Who says that it was replaced.
    pub claimed: Claimed,
    /// Package that owns the path, with its version.
    pub package: Option<String>,
    /// Whether the content is what the package database says; `None` where it keeps no digest.
    pub as_packaged: Option<bool>,
    /// Build-id of a live file on an overlayfs that was changed since boot: a process may still map
    /// the lower layer's file under the same inode number.
    pub upper_build_id: Option<Vec<u8>>,
    /// How an earlier transaction since boot replaced just this inode, from our own record.
    pub recorded: Option<Method>,
    /// Until when, at the latest, a live file was written to since somebody took note of its bytes; `None`
    /// where they are what they were, or nobody did.
    pub rewritten: Option<Stamp>,
    /// When the first of the processes that map it started.
    pub first_user: Option<Stamp>,
}

impl FileView {
    /// A view of a sighting about which nobody was asked anything yet.
    pub fn of(sighting: Sighting) -> FileView {
        let standing = sighting.standing();
        FileView {
            sighting,
            standing,
            content: Content::Unknown,
            examined: false,
            folder_moved: None,
            folder_changed: None,
            aside: None,
            claimed: Claimed::No,
            package: None,
            as_packaged: None,
            upper_build_id: None,
            recorded: None,
            rewritten: None,
            first_user: None,
        }
    }

    /// Takes note whether its bytes are those of the package. Where the transaction that is being looked at brought
    /// another version, the database has the digest of that one: equal bytes tell what the file is now, and not
    /// what it was when it was mapped.
    pub fn compare_with_package(&mut self, equal: bool, same_version: bool) {
        let is_other = self.claimed == Claimed::File && !same_version;
        self.as_packaged = Some(equal).filter(|equal| !equal || !is_other);
    }

    /// When a live file, or what its path leads through, last changed.
    pub fn last_change(&self, facts: &FileFacts) -> Stamp {
        self.folder_moved.map_or(facts.last_change(), |moved| moved.max(facts.last_change()))
    }

    /// When a live file, or a folder on its way, got its name, at the latest: a rename changes the inode and
    /// the folder that it ends in, where a further hard link somewhere else changes the inode alone.
    pub fn named_since(&self, facts: &FileFacts) -> Stamp {
        let renamed = self.folder_changed.map_or(facts.changed, |folder| folder.min(facts.changed));
        self.folder_moved.map_or(renamed, |moved| moved.max(renamed))
    }

    /// Whether the path is in a package or somebody says that it was replaced.
    pub fn known(&self) -> bool {
        self.claimed != Claimed::No || self.package.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(ino: u64) -> FileFacts {
        let id = FileId { dev: 1, ino };
        FileFacts {
            id,
            kind: FileKind::Regular,
            born: Some(1),
            changed: 5,
            modified: 0,
            size: 1,
            links: 1,
            uid: 0,
            mode: 0o755,
        }
    }

    #[test]
    fn a_further_link_of_a_file_elsewhere_gives_it_no_other_name() {
        let linked = FileFacts { changed: 50, ..facts(7) };
        let view = |folder_moved, folder_changed| FileView {
            folder_moved,
            folder_changed,
            ..FileView::of(sighting("/x", &[("/x", Look::Found(linked))]))
        };
        assert_eq!(view(None, Some(20)).named_since(&linked), 20);
        assert_eq!(view(None, Some(60)).named_since(&linked), 50, "another name was put into the folder");
        assert_eq!(view(None, None).named_since(&linked), 50);
        assert_eq!(view(Some(40), Some(20)).named_since(&linked), 40);
        assert_eq!(view(Some(70), Some(60)).named_since(&linked), 70);
    }

    fn sighting(name: &str, names: &[(&str, Look)]) -> Sighting {
        Sighting {
            space: Space::HOST,
            name: name.into(),
            printed: FileId { dev: 9, ino: 7 },
            mapped: Look::Found(facts(7)),
            mounted: true,
            unmounted: false,
            keeps_death: true,
            bound: false,
            names: names.iter().map(|(path, look)| (PathBuf::from(path), look.clone())).collect(),
            on_host: true,
            mounted_in: false,
            in_scratch_folder: false,
        }
    }

    #[test]
    fn a_live_file_whose_name_ends_in_deleted_is_live() {
        let seen = sighting("/x (deleted)", &[("/x (deleted)", Look::Found(facts(7))), ("/x", Look::Found(facts(8)))]);
        assert_eq!(seen.standing(), Standing::Live(facts(7)));
    }

    #[test]
    fn a_stranger_with_the_literal_name_does_not_hide_a_removed_file() {
        let seen = sighting("/x (deleted)", &[("/x (deleted)", Look::Found(facts(9))), ("/x", Look::Absent)]);
        assert_eq!((seen.standing(), seen.path().to_str()), (Standing::Gone, Some("/x")));
    }

    #[test]
    fn the_inode_that_came_back_is_live_although_the_kernel_says_deleted() {
        let seen = sighting("/x (deleted)", &[("/x (deleted)", Look::Absent), ("/x", Look::Found(facts(7)))]);
        assert_eq!(seen.standing(), Standing::Live(facts(7)));
    }

    #[test]
    fn a_file_that_has_its_name_and_cannot_be_reached_is_not_removed() {
        let over = sighting("/x", &[("/x", Look::Absent)]);
        assert_eq!(over.standing(), Standing::Covered);
        let unmounted = Sighting { mounted: false, ..sighting("/x", &[("/x", Look::Absent)]) };
        assert_eq!(unmounted.standing(), Standing::Covered);
    }

    #[test]
    fn what_lives_on_no_mount_is_no_file() {
        let seen = Sighting {
            mounted: false,
            ..sighting("/memfd:x (deleted)", &[("/memfd:x (deleted)", Look::Absent), ("/memfd:x", Look::Absent)])
        };
        assert_eq!(seen.standing(), Standing::NoFile);
        let of_files = Sighting { unmounted: true, ..seen };
        assert_eq!(of_files.standing(), Standing::Covered, "it was mounted once");
    }

    #[test]
    fn equal_bytes_clear_a_file_only_where_no_other_version_was_brought() {
        let view = || FileView::of(sighting("/x", &[("/x", Look::Found(facts(7)))]));
        for (claimed, same_version, equal, expected) in [
            (Claimed::No, false, true, Some(true)),
            (Claimed::Tree, false, true, Some(true)),
            (Claimed::File, true, true, Some(true)),
            (Claimed::File, false, true, None),
            (Claimed::Earlier, false, true, Some(true)),
            (Claimed::No, false, false, Some(false)),
            (Claimed::File, false, false, Some(false)),
        ] {
            let mut view = FileView { claimed: claimed.clone(), ..view() };
            view.compare_with_package(equal, same_version);
            assert_eq!(view.as_packaged, expected, "{claimed:?} {same_version} {equal}");
        }
    }

    #[test]
    fn without_map_files_the_inode_number_decides() {
        let hidden =
            |names: &[(&str, Look)]| Sighting { mapped: Look::Hidden("EPERM".into()), ..sighting("/x", names) };
        assert_eq!(hidden(&[("/x", Look::Found(facts(7)))]).standing(), Standing::Live(facts(7)));
        let Standing::Replaced { judged, .. } = hidden(&[("/x", Look::Found(facts(8)))]).standing() else {
            panic!("replaced")
        };
        assert_eq!(judged.method, Method::Unknown);
    }
}
