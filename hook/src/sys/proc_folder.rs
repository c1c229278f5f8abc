//! What is asked of every process, relative to the folder that `/proc` is.

use super::procs::{gap_of_errno, namespace_number, open_below, ProcessHandle};
use crate::model::process::{decimal, parse_start, Gap};
use anyhow::{Context, Result};
use rustix::fs::{AtFlags, Mode, OFlags, RawDir, StatxFlags};
use rustix::io::Errno;
use std::ffi::CStr;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// Room for the names of a thousand processes.
const LISTING: usize = 32 << 10;
/// Numbers of namespaces have ten digits.
const MOST_NAMESPACE: usize = 64;

/// The folder that `/proc` is, held open: what is asked of every process is asked relative to it,
/// without a handle on the process.
#[derive(Debug)]
pub struct Procs {
    path: PathBuf,
    folder: OwnedFd,
}

impl Procs {
    /// Opens the folder.
    pub fn at(proc: &Path) -> Result<Procs> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder =
            rustix::fs::open(proc, flags, Mode::empty()).with_context(|| format!("list {}", proc.display()))?;
        Ok(Procs { path: proc.to_owned(), folder })
    }

    /// The pids of all processes, in ascending order where the kernel lists them so.
    pub fn pids(&self) -> Result<Vec<i32>> {
        let mut pids = Vec::new();
        let mut buffer = Vec::with_capacity(LISTING);
        let mut entries = RawDir::new(&self.folder, buffer.spare_capacity_mut());
        while let Some(entry) = entries.next() {
            let entry = entry.with_context(|| format!("list {}", self.path.display()))?;
            pids.extend(decimal(entry.file_name().to_bytes()).and_then(|pid| i32::try_from(pid).ok()));
        }
        Ok(pids)
    }

    /// Holds a process open.
    pub fn open(&self, pid: i32) -> Result<ProcessHandle, Gap> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = self.named(pid, ".", |name| rustix::fs::openat(&self.folder, name, flags, Mode::empty()));
        folder.map(|folder| ProcessHandle::at(pid, folder)).map_err(gap_of_errno)
    }

    /// Opens the list of mappings of a process.
    pub fn open_maps(&self, pid: i32) -> Result<File, Gap> {
        self.named(pid, "maps", |name| open_below(&self.folder, name)).map_err(gap_of_errno)
    }

    /// Opens the list of our own mappings.
    pub fn open_own_maps(&self) -> Result<File, Gap> {
        open_below(&self.folder, c"self/maps").map_err(gap_of_errno)
    }

    /// Whether a process has this pid; a thread that is not the first one has a folder, too, but is not listed.
    pub fn has(&self, pid: i32) -> bool {
        self.open(pid).is_ok_and(|process| process.is_first_thread())
    }

    /// Number of the mount namespace of a process; `None` where that may not be asked.
    pub fn mount_namespace(&self, pid: i32) -> Option<u64> {
        let mut buffer = [0_u8; MOST_NAMESPACE];
        let read = self.named(pid, "ns/mnt", |name| rustix::fs::readlinkat_raw(&self.folder, name, &mut buffer));
        namespace_number(&buffer[..read.ok()?], "mnt")
    }

    /// Whether a process has more threads than one, without reading anything (proc(5): each is a
    /// folder in `task`, and a folder has a link for each folder in it and two more).
    pub fn has_threads(&self, pid: i32) -> bool {
        let stat = self.named(pid, "task", |name| {
            rustix::fs::statx(&self.folder, name, AtFlags::STATX_DONT_SYNC, StatxFlags::NLINK)
        });
        stat.is_ok_and(|stat| stat.stx_nlink > 3)
    }

    /// Start time in clock ticks.
    pub fn start_ticks(&self, pid: i32) -> Option<u64> {
        let mut buffer = [0; 1024];
        let read = self.named(pid, "stat", |name| rustix::io::read(open_below(&self.folder, name)?, &mut buffer));
        parse_start(&buffer[..read.ok()?])
    }

    /// Does something with a name below the folder of a process. It is written into place from its end: this is done
    /// for every process, and formatting costs ten times as much.
    fn named<T>(&self, pid: i32, leaf: &str, act: impl FnOnce(&CStr) -> Result<T, Errno>) -> Result<T, Errno> {
        let mut buffer = [0_u8; 64];
        let slash = buffer.len() - 1 - leaf.len() - 1;
        buffer[slash] = b'/';
        buffer[slash + 1..][..leaf.len()].copy_from_slice(leaf.as_bytes());
        let (mut at, mut left) = (slash, pid.unsigned_abs());
        while left > 0 || at == slash {
            at -= 1;
            buffer[at] = b'0' + (left % 10) as u8;
            left /= 10;
        }
        act(CStr::from_bytes_with_nul(&buffer[at..]).map_err(|_| Errno::INVAL)?)
    }
}
