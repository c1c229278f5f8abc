//! Processes through `/proc`, each by an open folder that a reused pid cannot fool.

use super::files::{self, look_in, Root};
use super::raw;
use crate::model::file::Look;
use crate::model::process::{parse_stat, parse_uid, Gap, Stat};
use anyhow::{Context, Result};
use procfs::process::Process;
use procfs::ProcError;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// Sixty thousand mappings with paths of 4,000 bytes make 250 MB; more is nobody's program.
const MOST_MAPS: u64 = 512 << 20;
/// Small files of `/proc`, and arguments, are cut here.
const MOST_SMALL: u64 = 64 << 10;

/// One process, held open.
#[derive(Debug)]
pub struct ProcessHandle {
    /// Its pid.
    pub pid: i32,
    folder: OwnedFd,
}

/// All processes below `proc`. Those that end meanwhile are left out.
pub fn list(proc: &Path) -> Result<impl Iterator<Item = ProcessHandle>> {
    let all = procfs::process::all_processes_with_root(proc).with_context(|| format!("list {}", proc.display()))?;
    Ok(all.filter_map(|process| ProcessHandle::of(&process.ok()?).ok()))
}

/// One process by pid.
pub fn open(proc: &Path, pid: i32) -> Result<ProcessHandle, Gap> {
    ProcessHandle::of(&Process::new_with_root(proc.join(pid.to_string())).map_err(gap_of)?)
}

/// The build-id of what is mapped at an address, as the kernel reads it from the mapped file.
pub fn build_id(maps: &File, start: u64) -> Option<Vec<u8>> {
    raw::mapped_build_id(maps.as_fd(), start)
}

fn gap_of(error: ProcError) -> Gap {
    match error {
        ProcError::NotFound(_) => Gap::Vanished,
        ProcError::PermissionDenied(_) => Gap::NoPermission,
        ProcError::Io(error, _) => gap_of_io(&error),
        other => Gap::Failed(other.to_string()),
    }
}

fn gap_of_io(error: &std::io::Error) -> Gap {
    match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::SRCH | Errno::NOENT) => Gap::Vanished,
        Some(Errno::ACCESS | Errno::PERM) => Gap::NoPermission,
        _ => Gap::Failed(error.to_string()),
    }
}

fn gap_of_errno(error: Errno) -> Gap {
    gap_of_io(&error.into())
}

impl ProcessHandle {
    fn of(process: &Process) -> Result<ProcessHandle, Gap> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = process.open_relative_flags(".", flags).map_err(gap_of)?;
        Ok(ProcessHandle { pid: process.pid(), folder: folder.into() })
    }

    /// The same process through one of its living threads, for when the first thread has ended: then
    /// `/proc/PID` has no mappings, but `/proc/TID` has.
    pub fn through_thread(&self, proc: &Path) -> Option<ProcessHandle> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let tasks = rustix::fs::openat(&self.folder, "task", flags, Mode::empty()).ok()?;
        let names = rustix::fs::Dir::new(tasks).ok()?;
        names
            .filter_map(|entry| entry.ok()?.file_name().to_str().ok()?.parse::<i32>().ok())
            .filter(|&thread| thread != self.pid)
            .filter_map(|thread| open(proc, thread).ok())
            .find(|thread| thread.stat().is_ok_and(|stat| stat.state != b'Z' && stat.state != b'X'))
    }

    fn open_file(&self, name: &str) -> Result<File, Gap> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOCTTY;
        rustix::fs::openat(&self.folder, name, flags, Mode::empty()).map(File::from).map_err(gap_of_errno)
    }

    fn read(&self, name: &str, most: u64) -> Result<Vec<u8>, Gap> {
        let mut bytes = Vec::new();
        self.open_file(name)?.take(most).read_to_end(&mut bytes).map_err(|error| gap_of_io(&error))?;
        Ok(bytes)
    }

    /// Opens the list of mappings.
    pub fn open_maps(&self) -> Result<File, Gap> {
        self.open_file("maps")
    }

    /// Reads the list of mappings into a buffer that is used again for each process.
    pub fn read_maps(&self, maps: &File, into: &mut Vec<u8>) -> Result<(), Gap> {
        into.clear();
        maps.take(MOST_MAPS).read_to_end(into).map_err(|error| gap_of_io(&error))?;
        match into.len() as u64 {
            MOST_MAPS => Err(Gap::Failed("more than 512 MiB of mappings".to_owned())),
            _ => Ok(()),
        }
    }

    /// State, parent, threads and start time.
    pub fn stat(&self) -> Result<Stat, Gap> {
        let line = self.read("stat", MOST_SMALL)?;
        parse_stat(&line).ok_or_else(|| Gap::Unparsable("stat".to_owned()))
    }

    /// Real user id.
    pub fn uid(&self) -> Option<u32> {
        parse_uid(&self.read("status", MOST_SMALL).ok()?)
    }

    /// Text of `cgroup`.
    pub fn cgroup(&self) -> Vec<u8> {
        self.read("cgroup", MOST_SMALL).unwrap_or_default()
    }

    /// Arguments, cut short; from the process itself, so a hint and no more.
    pub fn arguments(&self) -> Vec<Vec<u8>> {
        let bytes = self.read("cmdline", MOST_SMALL).unwrap_or_default();
        let bytes = bytes.strip_suffix(b"\0").unwrap_or(&bytes);
        bytes.split(|&byte| byte == 0).map(<[u8]>::to_vec).collect()
    }

    /// Text of `mountinfo`.
    pub fn mountinfo(&self) -> Vec<u8> {
        self.read("mountinfo", 16 << 20).unwrap_or_default()
    }

    fn link(&self, name: &str) -> Option<PathBuf> {
        let target = rustix::fs::readlinkat(&self.folder, name, Vec::new()).ok()?;
        Some(PathBuf::from(std::ffi::OsString::from_vec(target.into_bytes())))
    }

    /// What `exe` is printed as.
    pub fn exe(&self) -> Option<PathBuf> {
        self.link("exe")
    }

    /// The folder that relative names are meant from.
    pub fn working_folder(&self) -> Option<PathBuf> {
        self.link("cwd")
    }

    /// What a mapping is printed as through `map_files`: raw bytes, where `maps` escapes newlines.
    pub fn mapping_link(&self, start: u64, end: u64) -> Option<PathBuf> {
        self.link(&format!("map_files/{start:x}-{end:x}"))
    }

    /// The program's inode.
    pub fn look_at_exe(&self) -> Look {
        look_in(self.folder.as_fd(), "exe")
    }

    /// The inode that is mapped at an address range.
    pub fn look_at_mapping(&self, start: u64, end: u64) -> Look {
        look_in(self.folder.as_fd(), &format!("map_files/{start:x}-{end:x}"))
    }

    /// Opens the mapped file itself for reading, if it is a regular one.
    pub fn open_mapping(&self, start: u64, end: u64) -> Option<File> {
        self.open_magic(&format!("map_files/{start:x}-{end:x}"))
    }

    /// Opens the program's file itself for reading.
    pub fn open_exe(&self) -> Option<File> {
        self.open_magic("exe")
    }

    fn open_magic(&self, name: &str) -> Option<File> {
        let file = rustix::fs::openat(&self.folder, name, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).ok()?;
        files::reopen(file.as_fd())
    }

    /// Number of a namespace (`mnt`, `pid`): equal numbers are the same namespace (namespaces(7)).
    pub fn namespace(&self, kind: &str) -> Option<u64> {
        let link = self.link(&format!("ns/{kind}"))?;
        let text = link.to_str()?;
        text.strip_prefix(kind)?.strip_prefix(":[")?.strip_suffix(']')?.parse().ok()
    }

    /// The process's own root folder.
    pub fn root(&self) -> Option<Root> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        rustix::fs::openat(&self.folder, "root", flags, Mode::empty()).ok().map(Root::Folder)
    }

    /// The top of the process's mount namespace: names are printed from there, also for a process
    /// in a chroot further down.
    pub fn top_folder(&self) -> Option<OwnedFd> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let mut folder = rustix::fs::openat(&self.folder, "root", flags, Mode::empty()).ok()?;
        // As deep as a path can be (PATH_MAX of limits.h, two bytes a folder).
        for _ in 0..2048 {
            let above = rustix::fs::openat(&folder, "..", flags, Mode::empty()).ok()?;
            let same = |a: &OwnedFd, b: &OwnedFd| match (files::look_at(a.as_fd()), files::look_at(b.as_fd())) {
                (Look::Found(a), Look::Found(b)) => a.id == b.id,
                _ => true,
            };
            if same(&folder, &above) {
                return Some(folder);
            }
            folder = above;
        }
        None
    }

    /// The auxiliary vector (proc_pid_auxv(5)).
    pub fn auxv(&self) -> Result<Vec<u8>, Gap> {
        self.read("auxv", MOST_SMALL)
    }

    /// The process's memory, for reading.
    pub fn open_memory(&self) -> Result<File, Gap> {
        self.open_file("mem")
    }
}
