//! Who else could have put a program at a path: the file, and every folder and link on the way.

use rustix::fs::{getxattr_query, lstat, readlink, FileType, Stat};
use rustix::io::Errno;
use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path, PathBuf};

/// As many links as the kernel follows (`MAXSYMLINKS`).
const MOST_LINKS: usize = 40;

/// Why the program at a path is not run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Doubt {
    /// Something on the way cannot be looked at.
    Unseen(PathBuf, Errno),
    /// More links than the kernel follows.
    TooManyLinks(PathBuf),
    /// Not a regular file.
    NotAFile(PathBuf),
    /// Nobody may execute it.
    NotExecutable(PathBuf),
    /// The file or a folder above belongs to this user, who is neither root nor the owner as before.
    Owner(PathBuf, u32),
    /// The file or a folder above may be written by a group.
    Group(PathBuf, u32),
    /// The file or a folder above may be written by anybody.
    Everybody(PathBuf),
    /// The file or a folder above may be written by whom its access control list names.
    AccessList(PathBuf),
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Doubt::Unseen(path, errno) => write!(f, "{}: {errno}", path.display()),
            Doubt::TooManyLinks(path) => write!(f, "{}: too many symbolic links", path.display()),
            Doubt::NotAFile(path) => write!(f, "{} is not a regular file", path.display()),
            Doubt::NotExecutable(path) => write!(f, "{} is not executable", path.display()),
            Doubt::Owner(path, uid) => write!(f, "{} belongs to user {uid}", path.display()),
            Doubt::Group(path, gid) => write!(f, "{} may be written by group {gid}", path.display()),
            Doubt::Everybody(path) => write!(f, "{} may be written by anybody", path.display()),
            Doubt::AccessList(path) => write!(f, "{} may be written by its access control list", path.display()),
        }
    }
}

impl std::error::Error for Doubt {}

/// Checks that a regular executable file stands there, and that nobody but root and `owner` could
/// have put it there.
///
/// From the root downwards: where all folders so far are trusted, what is looked at next cannot
/// change under our eyes by anybody who is not.
pub(crate) fn check(path: &Path, owner: u32) -> Result<(), Doubt> {
    let mut at = PathBuf::from("/");
    check_rights(&at, &look(&at)?, owner)?;
    let mut ahead = parts(path);
    let mut links = 0;
    while let Some(part) = ahead.pop_front() {
        if part == ".." {
            at.pop();
            continue;
        }
        at.push(&part);
        let stat = look(&at)?;
        if FileType::from_raw_mode(stat.st_mode) == FileType::Symlink {
            links += 1;
            if links > MOST_LINKS {
                return Err(Doubt::TooManyLinks(path.to_owned()));
            }
            // A link has no mode of its own; who may replace it is its folder's affair, except in a
            // sticky folder, where it is its owner's.
            check_owner(&at, &stat, owner)?;
            let target = readlink(&at, Vec::new()).map_err(|errno| Doubt::Unseen(at.clone(), errno))?;
            let target = PathBuf::from(OsString::from_vec(target.into_bytes()));
            at = if target.is_absolute() { PathBuf::from("/") } else { at.parent().unwrap_or(&at).to_owned() };
            let mut longer = parts(&target);
            longer.append(&mut ahead);
            ahead = longer;
            continue;
        }
        check_rights(&at, &stat, owner)?;
        if ahead.is_empty() {
            return check_program(&at, &stat);
        }
    }
    Err(Doubt::NotAFile(at))
}

fn check_program(path: &Path, stat: &Stat) -> Result<(), Doubt> {
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(Doubt::NotAFile(path.to_owned()));
    }
    // `access` would take the real user; the mode's three bits decide for root as well.
    if stat.st_mode & 0o111 == 0 || rustix::fs::accessat(rustix::fs::CWD, path, EXECUTE, EFFECTIVE).is_err() {
        return Err(Doubt::NotExecutable(path.to_owned()));
    }
    Ok(())
}

const EXECUTE: rustix::fs::Access = rustix::fs::Access::EXEC_OK;
const EFFECTIVE: rustix::fs::AtFlags = rustix::fs::AtFlags::EACCESS;

fn look(path: &Path) -> Result<Stat, Doubt> {
    lstat(path).map_err(|errno| Doubt::Unseen(path.to_owned(), errno))
}

fn check_owner(path: &Path, stat: &Stat, owner: u32) -> Result<(), Doubt> {
    match stat.st_uid {
        0 => Ok(()),
        uid if uid == owner => Ok(()),
        uid => Err(Doubt::Owner(path.to_owned(), uid)),
    }
}

fn check_rights(path: &Path, stat: &Stat, owner: u32) -> Result<(), Doubt> {
    check_owner(path, stat, owner)?;
    let mode = stat.st_mode;
    // In a sticky folder (/tmp) an entry is replaced only by its owner, and that is looked at next.
    let is_folder = FileType::from_raw_mode(mode) == FileType::Directory;
    if is_folder && mode & 0o1000 != 0 {
        return Ok(());
    }
    if mode & 0o002 != 0 {
        return Err(Doubt::Everybody(path.to_owned()));
    }
    if mode & 0o020 != 0 && stat.st_gid != 0 {
        return Err(Doubt::Group(path.to_owned(), stat.st_gid));
    }
    // The group's bits are the mask of an access control list, which may name anybody.
    if mode & 0o020 != 0 && getxattr_query(path, "system.posix_acl_access").is_ok() {
        return Err(Doubt::AccessList(path.to_owned()));
    }
    Ok(())
}

fn parts(path: &Path) -> VecDeque<OsString> {
    let part = |component: Component<'_>| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some(OsStr::new("..").to_owned()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    };
    path.components().filter_map(part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{chown, symlink, PermissionsExt};

    fn mode(path: &Path, mode: u32) {
        fs::set_permissions(path, Permissions::from_mode(mode)).expect("chmod");
    }

    fn program(path: &Path) {
        fs::write(path, "#!/bin/sh\n").expect("write");
        mode(path, 0o755);
    }

    /// A folder of ours with `bin/program` in it, and who we are.
    fn place(name: &str) -> (Scratch, PathBuf, u32) {
        let folder = Scratch::new(name);
        fs::create_dir(folder.join("bin")).expect("mkdir");
        mode(&folder.join("bin"), 0o755);
        let path = folder.join("bin/program");
        program(&path);
        (folder, path, rustix::process::geteuid().as_raw())
    }

    #[test]
    fn a_program_of_ours_in_folders_of_ours_is_run_also_through_links() {
        let (folder, path, me) = place("trusted");
        assert_eq!(check(&path, me), Ok(()));
        symlink("bin", folder.join("sbin")).expect("link");
        symlink("../bin/program", folder.join("bin/relative")).expect("link");
        symlink(&path, folder.join("absolute")).expect("link");
        for name in ["sbin/program", "bin/relative", "absolute", "sbin/../sbin/relative"] {
            assert_eq!(check(&folder.join(name), me), Ok(()), "{name}");
        }
        assert_eq!(check(Path::new("/bin/sh"), 0), Ok(()));
    }

    #[test]
    fn what_others_could_have_put_there_is_not_run() {
        let (folder, path, me) = place("doubtful");
        let bin = folder.join("bin");
        for (changed, bits, expected) in [
            (&path, 0o777, Doubt::Everybody(path.clone())),
            (&bin, 0o757, Doubt::Everybody(bin.clone())),
            (&path, 0o644, Doubt::NotExecutable(path.clone())),
        ] {
            mode(changed, bits);
            assert_eq!(check(&path, me), Err(expected));
            mode(changed, 0o755);
        }
        assert_eq!(check(&bin, me), Err(Doubt::NotAFile(bin.clone())));
        let missing = bin.join("missing");
        assert_eq!(check(&missing, me), Err(Doubt::Unseen(missing.clone(), Errno::NOENT)));
        symlink("loop", bin.join("loop")).expect("link");
        assert_eq!(check(&bin.join("loop"), me), Err(Doubt::TooManyLinks(bin.join("loop"))));
    }

    #[test]
    fn what_belongs_to_somebody_else_or_a_group_may_write_is_not_run() {
        let (_folder, path, me) = place("foreign");
        if me != 0 {
            return; // Only root gives files away; root runs these tests in `make test`.
        }
        chown(&path, None, Some(1)).expect("chgrp");
        mode(&path, 0o775);
        assert_eq!(check(&path, me), Err(Doubt::Group(path.clone(), 1)));
        mode(&path, 0o755);
        assert_eq!(check(&path, me), Ok(()));
        chown(&path, Some(1), None).expect("chown");
        assert_eq!(check(&path, me), Err(Doubt::Owner(path.clone(), 1)));
        // As before, for a daemon that was started from a file of user 1.
        assert_eq!(check(&path, 1), Ok(()));
        let link = path.with_file_name("link");
        symlink("program", &link).expect("link");
        std::os::unix::fs::lchown(&link, Some(2), None).expect("chown");
        assert_eq!(check(&link, 1), Err(Doubt::Owner(link.clone(), 2)));
    }
}
