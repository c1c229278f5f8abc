//! Looking at files: `statx` in a chosen root, never opening what is not a regular file.

use super::clock;
use super::raw::{self, FileHandle};
use crate::model::file::{FileFacts, FileId, FileKind, Look, Stamp};
use crate::model::mapping::device;
use crate::model::pending::Snapshot;
use crate::model::text::hexadecimal;
use anyhow::{Context, Result};
use rustix::fs::{openat, openat2, statx, AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags};
use rustix::fs::{StatxAttributes, StatxFlags, StatxTimestamp, CWD};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

/// A folder below which names are looked up as if it were `/`.
#[derive(Debug)]
pub enum Root {
    /// Our own `/`.
    Own,
    /// Another one: of a mount namespace, or of `--root`.
    Folder(OwnedFd),
}

/// Whether a symbolic link at the end of a path is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Links {
    /// Look at what it leads to.
    Follow,
    /// Look at the link.
    Keep,
}

const WANTED: StatxFlags = StatxFlags::BASIC_STATS.union(StatxFlags::BTIME);
/// Never waits for a server, never mounts anything (statx(2)).
const QUIET: AtFlags = AtFlags::STATX_DONT_SYNC.union(AtFlags::NO_AUTOMOUNT);

/// `PATH_MAX` of limits.h, with the NUL.
const LONG: usize = 4096;

fn is_long(path: &Path) -> bool {
    path.as_os_str().len() >= LONG
}

impl Root {
    /// The root at `folder`; `/` is our own.
    pub fn at(folder: &Path) -> Result<Root> {
        if folder == Path::new("/") {
            return Ok(Root::Own);
        }
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root =
            rustix::fs::open(folder, flags, Mode::empty()).with_context(|| format!("root {}", folder.display()))?;
        Ok(Root::Folder(root))
    }

    /// What `path` names.
    pub fn look(&self, path: &Path, links: Links) -> Look {
        let keep = match links {
            Links::Follow => AtFlags::empty(),
            Links::Keep => AtFlags::SYMLINK_NOFOLLOW,
        };
        let result = match self {
            Root::Own if !is_long(path) => statx(CWD, path, QUIET | keep, WANTED),
            Root::Own | Root::Folder(_) => {
                self.open_path(path, links).and_then(|file| statx(&file, "", QUIET | AtFlags::EMPTY_PATH, WANTED))
            }
        };
        look_of(result)
    }

    /// What `path` names, with its handle where the file system gives one; `None` where it names nothing.
    pub fn look_with_handle(&self, path: &Path, links: Links) -> Option<(FileFacts, Option<FileHandle>)> {
        let file = self.open_path(path, links).ok()?;
        let facts = *look_at(file.as_fd()).found()?;
        Some((facts, raw::handle_of(file.as_fd())))
    }

    /// What stands at a path, with its handle, to be compared with what stands there later.
    pub fn snapshot(&self, path: PathBuf) -> Option<Snapshot> {
        let (facts, handle) = self.look_with_handle(&path, Links::Keep)?;
        let handle = handle.map(|handle| (handle.kind, hexadecimal(&handle.bytes)));
        Some(Snapshot { handle, taken: Some(clock::now()), ..Snapshot::of(path, facts) })
    }

    /// A descriptor for the path that can be looked at, not read.
    fn open_path(&self, path: &Path, links: Links) -> Result<OwnedFd, Errno> {
        let keep = match links {
            Links::Follow => OFlags::empty(),
            Links::Keep => OFlags::NOFOLLOW,
        };
        let flags = OFlags::PATH | OFlags::CLOEXEC | keep;
        if is_long(path) {
            return self.open_long(path, flags);
        }
        match self {
            Root::Own => rustix::fs::open(path, flags, Mode::empty()),
            Root::Folder(root) => openat2(root, path, flags, Mode::empty(), ResolveFlags::IN_ROOT),
        }
    }

    /// Opens a path that no system call takes at once. Such a one is printed by the kernel, and has no links
    /// in it.
    fn open_long(&self, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
        let mut at = self.open_path(Path::new("/"), Links::Follow)?;
        let mut parts = path.components().filter(|part| matches!(part, Component::Normal(_))).peekable();
        while parts.peek().is_some() {
            let mut piece = PathBuf::new();
            while let Some(part) = parts.next_if(|part| piece.as_os_str().len() + part.as_os_str().len() < LONG - 1) {
                piece.push(part);
            }
            let last = parts.peek().is_none();
            let flags = if last { flags } else { OFlags::PATH | OFlags::CLOEXEC | OFlags::DIRECTORY };
            at = openat2(&at, &piece, flags, Mode::empty(), ResolveFlags::NO_SYMLINKS)?;
        }
        Ok(at)
    }

    /// Opens a regular file for reading; `None` for anything else, which may block or act.
    pub fn open(&self, path: &Path) -> Option<File> {
        let file = self.open_path(path, Links::Follow).ok()?;
        reopen(file.as_fd())
    }

    /// Regular files right in a folder, at most so many.
    pub fn regular_files_in(&self, folder: &Path, most: usize) -> Vec<PathBuf> {
        let Ok(opened) = self.open_path(folder, Links::Follow) else { return Vec::new() };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let Ok(entries) = openat(&opened, ".", flags, Mode::empty()).and_then(Dir::new) else { return Vec::new() };
        let regular = entries.filter_map(Result::ok).filter(|entry| entry.file_type() == FileType::RegularFile);
        regular.take(most).map(|entry| folder.join(OsStr::from_bytes(entry.file_name().to_bytes()))).collect()
    }

    /// Whether just this file or folder is mounted at the path (`STATX_ATTR_MOUNT_ROOT`, Linux 5.8).
    pub fn is_mounted_at(&self, path: &Path) -> bool {
        let file = self.open_path(path, Links::Follow);
        let stat = file.and_then(|file| statx(&file, "", QUIET | AtFlags::EMPTY_PATH, WANTED));
        stat.is_ok_and(|stat| stat.stx_attributes.contains(StatxAttributes::MOUNT_ROOT))
    }

    /// Whether a folder lies on another mount than the root (`STATX_MNT_ID`, Linux 5.8).
    pub fn is_mounted_in(&self, folder: &Path) -> bool {
        let mount = |path: &Path| {
            let stat =
                statx(self.open_path(path, Links::Follow).ok()?, "", QUIET | AtFlags::EMPTY_PATH, StatxFlags::MNT_ID);
            stat.ok().map(|stat| stat.stx_mnt_id)
        };
        mount(folder).is_some_and(|own| mount(Path::new("/")).is_some_and(|root| own != root))
    }

    /// Whether the file lies on an overlayfs.
    pub fn on_overlay(&self, path: &Path) -> bool {
        /// `OVERLAYFS_SUPER_MAGIC` of `include/uapi/linux/magic.h`.
        const OVERLAYFS: i64 = 0x794c_7630;
        let file = self.open_path(path, Links::Follow);
        file.and_then(|file| rustix::fs::fstatfs(&file)).is_ok_and(|system| system.f_type == OVERLAYFS)
    }

    /// A path with the links in its folders resolved, its last part as it is; the path itself where
    /// the folder is not there.
    pub fn resolve_folder(&self, path: &Path) -> PathBuf {
        let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { return path.to_owned() };
        self.resolve(folder).join(name)
    }

    /// A folder with all links resolved; the folder as it is named where it is not there.
    pub fn resolve(&self, folder: &Path) -> PathBuf {
        let Ok(opened) = self.open_path(folder, Links::Follow) else { return folder.to_owned() };
        let top = match self {
            Root::Own => None,
            Root::Folder(root) => link_of(root.as_fd()),
        };
        let Some(real) = link_of(opened.as_fd()) else { return folder.to_owned() };
        top.and_then(|top| real.strip_prefix(top).map(|rest| Path::new("/").join(rest)).ok()).unwrap_or(real)
    }
}

// Of the thread and not of the process: a scan has a table of descriptors of its own.
fn link_of(file: BorrowedFd<'_>) -> Option<PathBuf> {
    use std::os::fd::AsRawFd;
    std::fs::read_link(format!("/proc/thread-self/fd/{}", file.as_raw_fd())).ok()
}

/// Opens for reading what an `O_PATH` descriptor stands for, if it is a regular file.
pub fn reopen(file: BorrowedFd<'_>) -> Option<File> {
    use std::os::fd::AsRawFd;
    let facts = look_at(file);
    if facts.found()?.kind != FileKind::Regular {
        return None;
    }
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    rustix::fs::open(format!("/proc/thread-self/fd/{}", file.as_raw_fd()), flags, Mode::empty()).ok().map(File::from)
}

/// What an open descriptor stands for.
pub fn look_at(file: BorrowedFd<'_>) -> Look {
    look_of(statx(file, "", QUIET | AtFlags::EMPTY_PATH, WANTED))
}

/// What `name` in the open folder names; a magic link of `/proc` leads to the inode itself.
pub fn look_in(folder: BorrowedFd<'_>, name: &str) -> Look {
    look_of(statx(folder, name, QUIET, WANTED))
}

fn look_of(result: Result<rustix::fs::Statx, Errno>) -> Look {
    match result {
        Ok(stat) => Look::Found(facts_of(&stat)),
        // A folder on the way that is a file now, or a loop of links: nothing is there.
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Look::Absent,
        Err(error) => Look::Hidden(reason(error)),
    }
}

/// An error of the system in words, without the number behind them.
pub fn reason(error: Errno) -> String {
    let text = std::io::Error::from(error).to_string();
    let end = text.find(" (os error").unwrap_or(text.len());
    text[..end].to_lowercase()
}

fn facts_of(stat: &rustix::fs::Statx) -> FileFacts {
    let kind = match FileType::from_raw_mode(u32::from(stat.stx_mode)) {
        FileType::RegularFile => FileKind::Regular,
        FileType::Directory => FileKind::Folder,
        FileType::Symlink => FileKind::Link,
        _ => FileKind::Special,
    };
    let has_birth = StatxFlags::from_bits_retain(stat.stx_mask).contains(StatxFlags::BTIME);
    FileFacts {
        id: FileId { dev: device(stat.stx_dev_major, stat.stx_dev_minor), ino: stat.stx_ino },
        kind,
        born: has_birth.then(|| stamp(stat.stx_btime)),
        changed: stamp(stat.stx_ctime),
        modified: stamp(stat.stx_mtime),
        size: stat.stx_size,
        links: stat.stx_nlink,
        uid: stat.stx_uid,
        mode: stat.stx_mode & 0o7777,
    }
}

fn stamp(time: StatxTimestamp) -> Stamp {
    Stamp::from(time.tv_sec) * 1_000_000_000 + Stamp::from(time.tv_nsec)
}
