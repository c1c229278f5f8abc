//! Putting files in place: looking at a place, writing a file beside it, changing names. Everything is
//! reached through its open folder, so that no link in between can lead elsewhere.

pub mod content;
pub mod dress;
pub mod signature;

use crate::model::file::Look;
use crate::model::replace::{FolderFacts, Inode, Place};
use crate::sys::files::{look_at, Links, Root};
use anyhow::{Context, Result};
use rustix::fs::{fstat, fsync, linkat, mkdirat, openat, renameat_with, statx, symlinkat, unlinkat};
use rustix::fs::{getxattr_query, AtFlags, Mode, OFlags, RenameFlags, StatxAttributes, StatxFlags, CWD};
use rustix::io::Errno;
use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

/// Open folders, by their paths.
#[derive(Debug, Default)]
pub struct Folders(HashMap<PathBuf, OwnedFd>);

impl Folders {
    /// Opens the folder of a path, so that what is done there later costs one call.
    pub fn open(&mut self, path: &Path) -> Result<()> {
        let folder = folder_of(path)?;
        if !self.0.contains_key(folder) {
            self.0.insert(folder.to_owned(), open_folder(folder)?);
        }
        Ok(())
    }

    fn of<'a>(&'a self, path: &'a Path) -> Result<(BorrowedFd<'a>, &'a OsStr)> {
        let folder = self.0.get(folder_of(path)?).with_context(|| format!("{} is not open", path.display()))?;
        Ok((folder.as_fd(), path.file_name().context("no name of a file")?))
    }

    /// What stands at a path, links not followed.
    pub fn look(&self, path: &Path) -> Look {
        let file = self.of(path).map(|(folder, name)| {
            let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            openat(folder, name, flags, Mode::empty())
        });
        match file {
            Ok(Ok(file)) => look_at(file.as_fd()),
            Ok(Err(Errno::NOENT)) => Look::Absent,
            Ok(Err(error)) => Look::Hidden(crate::sys::files::reason(error)),
            Err(error) => Look::Hidden(format!("{error:#}")),
        }
    }

    /// A new, empty file that nobody but its owner may read.
    pub fn create(&self, path: &Path) -> Result<File> {
        let (folder, name) = self.of(path)?;
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(openat(folder, name, flags, Mode::RUSR | Mode::WUSR)?.into())
    }

    /// A new symbolic link.
    pub fn create_link(&self, text: &Path, path: &Path) -> Result<Inode> {
        let (folder, name) = self.of(path)?;
        symlinkat(text, folder, name)?;
        self.inode(path)
    }

    /// The inode that stands at a path.
    pub fn inode(&self, path: &Path) -> Result<Inode> {
        let look = self.look(path);
        look.found().map(Inode::of).with_context(|| format!("{} is not there", path.display()))
    }

    /// Gives what stands at a path a second name in its folder.
    pub fn link(&self, from: &Path, to: &Path) -> Result<(), Errno> {
        let ((folder, name), (to_folder, to_name)) = self.both(from, to)?;
        linkat(folder, name, to_folder, to_name, AtFlags::empty())
    }

    /// Lets one name lead to what another led to; what stood there loses the name.
    pub fn rename_over(&self, from: &Path, to: &Path) -> Result<(), Errno> {
        self.rename(from, to, RenameFlags::empty())
    }

    /// The same, where nothing stands there.
    pub fn rename_new(&self, from: &Path, to: &Path) -> Result<(), Errno> {
        self.rename(from, to, RenameFlags::NOREPLACE)
    }

    /// Lets two names lead to what the other led to, at one moment.
    pub fn exchange(&self, a: &Path, b: &Path) -> Result<(), Errno> {
        self.rename(a, b, RenameFlags::EXCHANGE)
    }

    fn rename(&self, from: &Path, to: &Path, flags: RenameFlags) -> Result<(), Errno> {
        let ((folder, name), (to_folder, to_name)) = self.both(from, to)?;
        renameat_with(folder, name, to_folder, to_name, flags)
    }

    fn both<'a>(&'a self, a: &'a Path, b: &'a Path) -> Result<(Spot<'a>, Spot<'a>), Errno> {
        let of = |path| self.of(path).map_err(|_| Errno::NOTDIR);
        Ok((of(a)?, of(b)?))
    }

    /// Takes a name away; that there is none is no fault.
    pub fn remove(&self, path: &Path) -> Result<()> {
        let (folder, name) = self.of(path)?;
        match unlinkat(folder, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(error).with_context(|| format!("remove {}", path.display())),
        }
    }

    /// Brings the names in all these folders to the disk.
    pub fn sync(&self) -> Result<()> {
        for (path, folder) in &self.0 {
            // An O_PATH descriptor cannot be synced, and folders are opened for reading.
            fsync(folder).with_context(|| format!("sync {}", path.display()))?;
        }
        Ok(())
    }
}

type Spot<'a> = (BorrowedFd<'a>, &'a OsStr);

fn folder_of(path: &Path) -> Result<&Path> {
    path.parent().with_context(|| format!("{} has no folder", path.display()))
}

fn open_folder(folder: &Path) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::open(folder, flags, Mode::empty()).with_context(|| folder.display().to_string())
}

/// Makes a folder with these permissions.
pub fn make_folder(path: &Path, mode: u16) -> Result<()> {
    let folder = open_folder(folder_of(path)?)?;
    let name = path.file_name().context("no name of a folder")?;
    let mode = Mode::from_raw_mode(u32::from(mode) & 0o7777);
    mkdirat(&folder, name, mode).with_context(|| format!("make {}", path.display()))?;
    fsync(&folder).with_context(|| format!("sync {}", path.display()))
}

/// Removes a folder, if nothing is in it.
pub fn remove_folder(path: &Path) {
    // Somebody else has put something in it: then it is theirs.
    let _ = std::fs::remove_dir(path);
}

/// What stands at a path whose folder is free of links, and who may write there.
pub fn place(path: &Path) -> Place {
    let marks = |path: &Path, wanted: StatxAttributes| {
        let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
        statx(CWD, path, flags, StatxFlags::BASIC_STATS).is_ok_and(|stat| stat.stx_attributes.intersects(wanted))
    };
    let fixed = StatxAttributes::IMMUTABLE | StatxAttributes::APPEND;
    let folder = path.parent().unwrap_or(Path::new("/"));
    Place {
        path: path.to_owned(),
        look: Root::Own.look(path, Links::Keep),
        mounted: marks(path, StatxAttributes::MOUNT_ROOT),
        immutable: marks(path, fixed) || marks(folder, fixed),
        folders: folder.ancestors().filter_map(folder_facts).collect(),
    }
}

fn folder_facts(path: &Path) -> Option<FolderFacts> {
    let folder = rustix::fs::open(path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).ok()?;
    let stat = fstat(&folder).ok()?;
    let listed = getxattr_query(format!("/proc/self/fd/{}", folder.as_raw_fd()), "system.posix_acl_access").is_ok();
    Some(FolderFacts { path: path.to_owned(), uid: stat.st_uid, gid: stat.st_gid, mode: stat.st_mode & 0o7777, listed })
}

/// The nearest folder above a path that is there.
pub fn nearest_folder(path: &Path) -> PathBuf {
    let there = path.ancestors().skip(1).find(|above| Root::Own.look(above, Links::Follow).found().is_some());
    there.unwrap_or(Path::new("/")).to_owned()
}
