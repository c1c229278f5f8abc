//! The program that this process runs: where it stands, and whether it still does.

use crate::raw;
use crate::trust::{self, Doubt};
use rustix::fs::{stat, Stat};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// The running file, also when it has no name any more.
const RUNNING: &str = "/proc/self/exe";
/// What the kernel writes behind the name of a file that has lost it.
const DELETED: &[u8] = b" (deleted)";

/// How the file of a running program and the file at its path compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OwnFile {
    /// The path names the running file.
    Same,
    /// The path names another file.
    Replaced,
    /// The path names the running file, and its size or modification time have changed since the
    /// start: it was overwritten in place (or touched).
    Overwritten,
    /// Nothing stands at the path.
    Removed,
}

/// The program of this process, as it was at the start.
#[derive(Debug)]
pub struct Program {
    path: PathBuf,
    running: FileState,
    owner: u32,
}

/// Which file, and its content as far as a look can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FileState {
    id: (u64, u64),
    size: i64,
    modified: (i64, i64),
}

impl FileState {
    fn of(stat: &Stat) -> FileState {
        // The types of these fields differ between architectures.
        #[allow(clippy::useless_conversion, clippy::unnecessary_cast)]
        FileState {
            id: (stat.st_dev as u64, stat.st_ino as u64),
            size: stat.st_size as i64,
            modified: (stat.st_mtime as i64, stat.st_mtime_nsec as i64),
        }
    }
}

impl Program {
    /// Looks at the running program; needs `/proc`, so it comes before a `chroot`.
    pub(crate) fn running() -> io::Result<Program> {
        let stat = stat(RUNNING)?;
        let link = std::fs::read_link(RUNNING)?;
        let path = find_path(&stat, Path::new(OsStr::from_bytes(raw::executed_as().to_bytes())), &link)?;
        Ok(Program { path, running: FileState::of(&stat), owner: stat.st_uid })
    }

    /// The absolute path that the program was started from, links in it not resolved: the one that an
    /// upgrade gives a new file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Compares the running file with the one at the path now, by device and inode. One `stat`: the
    /// inode that a process runs is not given to another file, so that nothing else need be looked at.
    pub fn own_file(&self) -> io::Result<OwnFile> {
        match stat(&self.path) {
            Ok(now) => Ok(compare(self.running, FileState::of(&now))),
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(OwnFile::Removed),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Checks that the file at the path now may be run by us: regular, executable, of root or of the
    /// owner as before, and not to be written by anybody else, it or any folder or link on the way. A
    /// process of root runs only what is root's.
    pub fn check(&self) -> Result<(), Doubt> {
        let owner = if rustix::process::geteuid().is_root() { 0 } else { self.owner };
        trust::check(&self.path, owner)
    }
}

fn compare(running: FileState, now: FileState) -> OwnFile {
    if now.id != running.id {
        OwnFile::Replaced
    } else if now != running {
        OwnFile::Overwritten
    } else {
        OwnFile::Same
    }
}

/// The path that names the running file and was used to start it.
///
/// The first argument is only what somebody wrote there. The name that the kernel was given is taken
/// where it leads to the running file, because it keeps the links that an upgrade turns; else the
/// name that the kernel keeps for the file. If neither leads there, the file was replaced in the
/// moment before we looked, and the name is right all the same.
fn find_path(running: &Stat, executed_as: &Path, link: &Path) -> io::Result<PathBuf> {
    let is_running =
        |path: &Path| stat(path).is_ok_and(|stat| (stat.st_dev, stat.st_ino) == (running.st_dev, running.st_ino));
    // A program that was executed by descriptor has /dev/fd/N here.
    let passing = ["/dev/fd", "/proc"].iter().any(|folder| executed_as.starts_with(folder));
    let executed_as = if executed_as.as_os_str().is_empty() || passing {
        None
    } else if executed_as.is_absolute() {
        Some(executed_as.to_owned())
    } else {
        Some(std::env::current_dir()?.join(executed_as))
    };
    if let Some(path) = executed_as.as_deref().filter(|path| is_running(path)) {
        return Ok(path.to_owned());
    }
    // A name may really end like that, so the literal one comes first.
    if is_running(link) {
        return Ok(link.to_owned());
    }
    let named = link.as_os_str().as_bytes();
    let named = named.strip_suffix(DELETED).map(|bytes| PathBuf::from(OsStr::from_bytes(bytes)));
    executed_as
        .filter(|path| path.exists())
        .or(named)
        .filter(|path| path.is_absolute())
        .ok_or_else(|| io::Error::other("the path that this program was started from cannot be found"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;
    use std::fs;
    use std::os::unix::fs::symlink;

    fn program(path: PathBuf, running: &Path) -> Program {
        let stat = stat(running).expect("stat");
        Program { path, running: FileState::of(&stat), owner: stat.st_uid }
    }

    #[test]
    fn a_running_test_is_found_by_its_path() {
        let program = Program::running().expect("a program");
        assert_eq!(fs::canonicalize(program.path()).ok(), fs::canonicalize(RUNNING).ok());
        assert_eq!(program.own_file().expect("a look"), OwnFile::Same);
    }

    #[test]
    fn replaced_removed_and_overwritten_files_are_told_apart() {
        let folder = Scratch::new("own-file");
        let (path, kept) = (folder.join("program"), folder.join("kept"));
        let write = |name: &str, content: &str| fs::write(folder.join(name), content).expect("write");
        write("program", "old");
        // The running inode stays, as it does while a process runs it.
        fs::hard_link(&path, &kept).expect("link");
        let running = program(path.clone(), &path);
        assert_eq!(running.own_file().expect("a look"), OwnFile::Same);
        write("new", "old");
        fs::rename(folder.join("new"), &path).expect("rename");
        assert_eq!(running.own_file().expect("a look"), OwnFile::Replaced);
        fs::remove_file(&path).expect("remove");
        assert_eq!(running.own_file().expect("a look"), OwnFile::Removed);
        fs::hard_link(&kept, &path).expect("link");
        assert_eq!(running.own_file().expect("a look"), OwnFile::Same);
        write("program", "longer");
        assert_eq!(running.own_file().expect("a look"), OwnFile::Overwritten);
    }

    #[test]
    fn a_link_that_an_upgrade_turns_is_a_replacement() {
        let folder = Scratch::new("turned");
        for version in ["1", "2"] {
            fs::create_dir(folder.join(version)).expect("mkdir");
            fs::write(folder.join(version).join("program"), version).expect("write");
        }
        symlink("1", folder.join("current")).expect("link");
        let running = stat(folder.join("1/program")).expect("stat");
        let path = find_path(&running, &folder.join("current/program"), &folder.join("1/program")).expect("a path");
        assert_eq!(path, folder.join("current/program"));
        let program = program(path, &folder.join("1/program"));
        assert_eq!(program.own_file().expect("a look"), OwnFile::Same);
        symlink("2", folder.join("next")).expect("link");
        fs::rename(folder.join("next"), folder.join("current")).expect("rename");
        assert_eq!(program.own_file().expect("a look"), OwnFile::Replaced);
    }

    #[test]
    fn the_path_is_the_one_that_leads_to_the_running_file() {
        let folder = Scratch::new("path");
        let at = |name: &str| folder.join(name);
        for name in ["program", "other", "odd (deleted)"] {
            fs::write(at(name), name).expect("write");
        }
        let running = |name: &str| stat(at(name)).expect("stat");
        let gone = |name: &str| at(&format!("{name} (deleted)"));
        for (file, executed_as, link, expected) in [
            // What it was executed as leads elsewhere, or is only a descriptor.
            ("program", at("other"), at("program"), at("program")),
            ("program", "/dev/fd/3".into(), at("program"), at("program")),
            ("program", PathBuf::new(), at("program"), at("program")),
            // A name that really ends like that.
            ("odd (deleted)", PathBuf::new(), at("odd (deleted)"), at("odd (deleted)")),
            // Replaced before the first look: nothing leads to the running file.
            ("other", at("program"), gone("program"), at("program")),
            ("other", "/dev/fd/3".into(), gone("program"), at("program")),
        ] {
            let found = find_path(&running(file), &executed_as, &link);
            assert_eq!(found.ok(), Some(expected), "{executed_as:?} {link:?}");
        }
        assert!(find_path(&running("other"), Path::new("/dev/fd/3"), Path::new("/memfd:x")).is_err());
    }
}
