//! Files that were moved aside: nothing is deleted, and yet the name that counts leads elsewhere.
//!
//! `mv lib lib.old; cp new lib`, a swapped folder, a version link that was flipped: the mapped inode
//! still has a name, only not the one under which it is loaded. What convicts it is the name by which
//! it would be loaded again: the soname beside it, or the claimed path that it stood at before.

use crate::model::file::{FileFacts, Stamp};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

/// Another file now stands where this one would be loaded from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Aside {
    /// The path that leads elsewhere now.
    pub path: PathBuf,
    /// What it leads to.
    pub current: FileFacts,
    /// When the name was made to lead there, at the latest: only who started before can be meant.
    pub since: Stamp,
    /// How we know that this path is meant.
    pub clue: Clue,
}

/// What says that a process would be started with the file at another path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clue {
    /// The library's own soname, beside it, leads to that file.
    Soname,
    /// A claimed path beside it is its name without the suffix it was moved aside under.
    ClaimedBeside,
    /// A claimed path is its own but for one folder that was swapped, or a link that was flipped.
    SwappedFolder,
    /// It was recorded under that path before a transaction.
    Recorded,
    /// The process says that it loaded it, or was executed, by that path.
    LoadedAs,
}

impl Clue {
    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Clue::Soname => "its soname leads to another file since the process started",
            Clue::ClaimedBeside => "it was moved aside: the claimed path beside it names another file since the process started",
            Clue::SwappedFolder => "a folder or a link on the way was swapped: the claimed path names another file since the process started",
            Clue::Recorded => "it was moved aside: before the transaction it stood at the path that names another file now",
            Clue::LoadedAs => "it was moved: the path that the process loaded it by names another file since the process started",
        }
    }

    /// Whether it is enough where the process does not say by which name it loaded the file. Versions
    /// of a program beside each other look like a swapped folder too.
    pub fn convicts_alone(self) -> bool {
        match self {
            Clue::Soname | Clue::ClaimedBeside | Clue::Recorded | Clue::LoadedAs => true,
            Clue::SwappedFolder => false,
        }
    }
}

/// Names beside `path` that a file moved aside, or a library with a longer version, may be loaded
/// by: its own name cut at each dot. They are few, and only asked for a `stat` each.
pub fn shorter_names(path: &Path) -> Vec<PathBuf> {
    let (whole, name) = (path.as_os_str().as_bytes(), path.file_name().unwrap_or_default().as_bytes());
    let Some(folder) = whole.strip_suffix(name) else { return Vec::new() };
    // `lib` alone is no name of `lib.so.1`.
    let shortest = name.windows(3).position(|window| window == b".so").map_or(1, |so| so + 3);
    (shortest..name.len())
        .rev()
        .filter(|&end| name[end] == b'.' || (name[end] == b'~' && end + 1 == name.len()))
        .map(|end| PathBuf::from(OsStr::from_bytes(&whole[..folder.len() + end])))
        .collect()
}

/// Whether `claimed` is `mapped` with one folder on the way renamed: the trace of
/// `mv app app.old; mv app.next app`. Returns the depth of that folder.
pub fn swapped_folder(mapped: &Path, claimed: &Path) -> Option<usize> {
    let (a, b): (Vec<Component<'_>>, Vec<Component<'_>>) =
        (mapped.components().collect(), claimed.components().collect());
    if a.len() != b.len() || a.last() != b.last() {
        return None;
    }
    let mut different = (0..a.len()).filter(|&index| a[index] != b[index]);
    let depth = different.next()?;
    different.next().is_none().then_some(depth)
}

/// The first `depth + 1` components of a path.
pub fn folder_at(path: &Path, depth: usize) -> PathBuf {
    path.components().take(depth + 1).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_is_loaded_by_a_name_cut_at_a_dot() {
        let names = |path: &str| {
            shorter_names(Path::new(path)).iter().map(|name| name.display().to_string()).collect::<Vec<_>>()
        };
        assert_eq!(names("/l/libv.so.1.0"), ["/l/libv.so.1", "/l/libv.so"]);
        assert_eq!(names("/l/libv.so.1.old"), ["/l/libv.so.1", "/l/libv.so"]);
        assert_eq!(names("/b/prog.old"), ["/b/prog"]);
        assert_eq!(names("/b/prog~"), ["/b/prog"]);
        assert_eq!(names("/b/prog"), [""; 0]);
    }

    #[test]
    fn one_renamed_folder_is_a_swap_and_two_are_not() {
        let depth = |a: &str, b: &str| swapped_folder(Path::new(a), Path::new(b));
        assert_eq!(depth("/opt/app.old/lib/x", "/opt/app/lib/x"), Some(2));
        assert_eq!(depth("/opt/app/lib/x", "/opt/app/lib/x"), None);
        assert_eq!(depth("/opt/a/lib/x", "/srv/b/lib/x"), None);
        assert_eq!(depth("/opt/a/lib/x", "/opt/b/lib/y"), None);
        assert_eq!(folder_at(Path::new("/opt/app.old/lib/x"), 2), Path::new("/opt/app.old"));
    }
}
