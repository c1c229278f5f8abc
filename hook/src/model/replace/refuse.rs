//! What is not replaced, and why.

use crate::model::file::{FileFacts, FileKind, Look};
use crate::model::text::escape_path;
use std::path::PathBuf;

/// A folder on the way to a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FolderFacts {
    /// Its path.
    pub path: PathBuf,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Permission bits, with sticky.
    pub mode: u32,
    /// Whether an access control list names others beside owner and group.
    pub listed: bool,
}

/// A target as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Its path, links in its folders resolved.
    pub path: PathBuf,
    /// What stands there, links not followed.
    pub look: Look,
    /// Whether something is mounted on it.
    pub mounted: bool,
    /// Whether the file system forbids to change it (chattr(1) `i` and `a`).
    pub immutable: bool,
    /// The folder that it is in, and those above, the innermost first.
    pub folders: Vec<FolderFacts>,
}

/// Why a file is not put there; `None` where it may be. `own` is who asks.
pub fn refusal(place: &Place, own: u32) -> Option<String> {
    let path = escape_path(&place.path);
    let what = match &place.look {
        Look::Found(FileFacts { kind: FileKind::Folder, .. }) => {
            Some("is a folder: --folder swaps one, with all that is in it")
        }
        Look::Found(FileFacts { kind: FileKind::Special, .. }) => Some("is a device, a FIFO or a socket, no file"),
        Look::Found(FileFacts { kind: FileKind::Link, .. }) => {
            Some("is a symbolic link: --follow replaces the file that it leads to")
        }
        Look::Hidden(why) => return Some(format!("{path} cannot be looked at: {why}")),
        Look::Found(FileFacts { kind: FileKind::Regular, .. }) | Look::Absent => None,
    };
    what.map(|what| format!("{path} {what}")).or_else(|| refusal_of_place(place, own))
}

/// The same, whatever stands there.
pub fn refusal_of_place(place: &Place, own: u32) -> Option<String> {
    let path = escape_path(&place.path);
    if place.mounted {
        return Some(format!("{path} is a mount of its own: no name of it can be changed"));
    }
    if place.immutable {
        return Some(format!("{path} or its folder is immutable (lsattr -d shows it, chattr -i ends it)"));
    }
    writable_by_others(&place.folders, own)
}

/// Who else could put another file there, in words; `None` where nobody could. The first is the folder
/// that the file is in. In one above it others may have files of their own, where the sticky bit keeps
/// them from what is not theirs.
pub fn writable_by_others(folders: &[FolderFacts], own: u32) -> Option<String> {
    folders.iter().enumerate().find_map(|(index, folder)| {
        let who = others(folder, own)?;
        let above_and_sticky = index > 0 && folder.mode & 0o1000 != 0 && is_trusted(folder.uid, own);
        (!above_and_sticky).then(|| {
            let hint = hint(folder);
            format!(
                "{} can be written to by {who}: what is put there may be changed by others{hint}",
                escape_path(&folder.path)
            )
        })
    })
}

fn is_trusted(uid: u32, own: u32) -> bool {
    uid == 0 || uid == own
}

fn others(folder: &FolderFacts, own: u32) -> Option<String> {
    if !is_trusted(folder.uid, own) {
        return Some(format!("its owner, user {}", folder.uid));
    }
    if folder.mode & 0o002 != 0 {
        return Some("everybody".to_owned());
    }
    // The group's bits are the mask of an access control list, which may name anybody.
    if folder.mode & 0o020 != 0 && folder.listed {
        return Some("whom its access control list names".to_owned());
    }
    (folder.mode & 0o020 != 0 && folder.gid != 0).then(|| format!("group {}", folder.gid))
}

fn hint(folder: &FolderFacts) -> String {
    match folder.mode & 0o022 {
        0 => String::new(),
        _ => format!(" (chmod go-w {})", escape_path(&folder.path)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(path: &str, uid: u32, gid: u32, mode: u32, listed: bool) -> FolderFacts {
        FolderFacts { path: PathBuf::from(path), uid, gid, mode, listed }
    }

    fn place(look: Look) -> Place {
        let folders = vec![folder("/l", 0, 0, 0o755, false), folder("/", 0, 0, 0o755, false)];
        Place { path: PathBuf::from("/l/a"), look, mounted: false, immutable: false, folders }
    }

    fn found(kind: FileKind) -> Look {
        Look::Found(FileFacts { kind, ..FileFacts::regular(1) })
    }

    #[test]
    fn only_a_file_or_nothing_is_replaced() {
        for (look, expected) in [
            (found(FileKind::Regular), None),
            (Look::Absent, None),
            (found(FileKind::Folder), Some("/l/a is a folder: --folder swaps one, with all that is in it")),
            (found(FileKind::Special), Some("/l/a is a device, a FIFO or a socket, no file")),
            (found(FileKind::Link), Some("/l/a is a symbolic link: --follow replaces the file that it leads to")),
            (Look::Hidden("input/output error".into()), Some("/l/a cannot be looked at: input/output error")),
        ] {
            assert_eq!(refusal(&place(look), 0).as_deref(), expected);
        }
        let mounted = Place { mounted: true, ..place(Look::Absent) };
        assert!(refusal(&mounted, 0).is_some_and(|why| why.contains("mount of its own")));
        let immutable = Place { immutable: true, ..place(Look::Absent) };
        assert!(refusal(&immutable, 0).is_some_and(|why| why.contains("chattr -i")));
    }

    #[test]
    fn a_folder_that_others_may_write_to_is_no_place() {
        let said = |folders: &[FolderFacts], own| {
            let why = writable_by_others(folders, own)?;
            Some(why.split(" can be written to by ").nth(1)?.split(':').next()?.to_owned())
        };
        for (folders, own, expected) in [
            (vec![folder("/l", 0, 0, 0o775, false)], 0, None),
            (vec![folder("/l", 7, 7, 0o755, false)], 7, None),
            (vec![folder("/l", 7, 7, 0o755, false)], 0, Some("its owner, user 7")),
            (vec![folder("/tmp", 0, 0, 0o1777, false)], 0, Some("everybody")),
            (vec![folder("/l", 0, 50, 0o2775, false)], 0, Some("group 50")),
            (vec![folder("/l", 0, 0, 0o775, true)], 0, Some("whom its access control list names")),
            (vec![folder("/tmp/l", 0, 0, 0o755, false), folder("/tmp", 0, 0, 0o1777, false)], 0, None),
            (vec![folder("/t/l", 0, 0, 0o755, false), folder("/t", 0, 0, 0o777, false)], 0, Some("everybody")),
            (vec![folder("/t/l", 0, 0, 0o755, false), folder("/t", 7, 0, 0o1777, false)], 0, Some("its owner, user 7")),
        ] {
            assert_eq!(said(&folders, own).as_deref(), expected, "{folders:?}");
        }
        let hint = writable_by_others(&[folder("/l", 0, 50, 0o775, false)], 0);
        assert!(hint.is_some_and(|why| why.ends_with("(chmod go-w /l)")));
    }
}
