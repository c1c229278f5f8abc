//! Inodes by the handles that were taken of them: whether they still are, and whether anybody uses them.
//!
//! Measured on ext4, xfs, btrfs and tmpfs (`docs/performance.md`): an inode without a name and without
//! a user cannot be opened any more (ESTALE); one with a user opens; and a write lease on it is granted
//! only where nobody else has it open or mapped (fcntl(2)). Other file systems are not asked: opening
//! there may wait for a server.

use super::content::is_elf;
use super::files::{look_at, reason, Links, Root};
use super::raw::{self, FileHandle};
use crate::model::file::{FileFacts, FileKind};
use crate::model::old::{is_untouched, Fate};
use crate::model::pending::Snapshot;
use crate::model::script::may_be_read;
use crate::model::text::from_hexadecimal;
use rustix::fs::{fstatfs, Mode, OFlags};
use rustix::io::Errno;
use std::collections::HashMap;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

/// Super block magics (`include/uapi/linux/magic.h`; xfs: `fs/xfs/libxfs/xfs_format.h`) of what was measured.
const MEASURED: [i64; 4] = [0xef53, 0x5846_5342, 0x9123_683e, 0x0102_1994];

/// Folders to open handles from, one for each file system.
#[derive(Debug, Default)]
pub struct Inodes {
    folders: HashMap<u64, Result<OwnedFd, String>>,
}

impl Inodes {
    /// What has become of the inode of a snapshot.
    pub fn fate(&mut self, snapshot: &Snapshot) -> Fate {
        match self.users(snapshot) {
            Fate::Gone | Fate::Unused if may_be_read(&snapshot.path) && !is_elf(&Root::Own, &snapshot.path) => {
                Fate::Unknown("an interpreter may have read it".to_owned())
            }
            fate => fate,
        }
    }

    /// The inode of a snapshot as it is now, by whatever name or none; `None` where it is gone or cannot be
    /// asked.
    pub fn facts(&mut self, snapshot: &Snapshot) -> Option<FileFacts> {
        let (kind, bytes) = snapshot.handle.as_ref()?;
        let handle = FileHandle { kind: *kind, bytes: from_hexadecimal(bytes)? };
        let folder = self.folder(snapshot).as_ref().ok()?;
        let file = raw::open_by_handle(folder.as_fd(), &handle).ok()?;
        look_at(file.as_fd()).found().copied()
    }

    fn folder(&mut self, snapshot: &Snapshot) -> &Result<OwnedFd, String> {
        let before = &snapshot.facts;
        self.folders.entry(before.id.dev).or_insert_with(|| folder_on(before, &snapshot.path))
    }

    fn users(&mut self, snapshot: &Snapshot) -> Fate {
        let before = &snapshot.facts;
        if before.kind != FileKind::Regular {
            return Fate::Untouched;
        }
        let now = Root::Own.look(&snapshot.path, Links::Keep);
        if now.found().is_some_and(|now| is_untouched(before, now)) {
            return Fate::Untouched;
        }
        let Some(handle) = &snapshot.handle else {
            return Fate::Unknown("its file system gives no handles".to_owned());
        };
        let Some(bytes) = from_hexadecimal(&handle.1) else { return Fate::Unknown("its handle is damaged".to_owned()) };
        let folder = match self.folder(snapshot) {
            Ok(folder) => folder,
            Err(why) => return Fate::Unknown(why.clone()),
        };
        match raw::open_by_handle(folder.as_fd(), &FileHandle { kind: handle.0, bytes }) {
            Err(Errno::STALE) => Fate::Gone,
            Err(error) => Fate::Unknown(reason(error)),
            // Without a name it lives only by its users, and we were not one of them.
            Ok(file) if look_at(file.as_fd()).found().is_some_and(|facts| facts.links == 0) => Fate::Used,
            Ok(file) => match raw::is_used_elsewhere(file.as_fd()) {
                Ok(true) => Fate::Used,
                Ok(false) => Fate::Unused,
                Err(error) => Fate::Unknown(reason(error)),
            },
        }
    }
}

/// The nearest folder above a path that lies on the same file system, open for reading.
fn folder_on(facts: &FileFacts, path: &Path) -> Result<OwnedFd, String> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    for above in path.ancestors().skip(1) {
        let Ok(folder) = rustix::fs::open(above, flags, Mode::empty()) else { continue };
        if look_at(folder.as_fd()).found().is_none_or(|folder| folder.id.dev != facts.id.dev) {
            return Err("another file system is mounted there now".to_owned());
        }
        let kind = fstatfs(&folder).map_err(reason)?.f_type;
        return match MEASURED.contains(&kind) {
            true => Ok(folder),
            false => Err("its file system is not one of which handles tell".to_owned()),
        };
    }
    Err("its folder is gone".to_owned())
}
