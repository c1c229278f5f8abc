//! Processes through `/proc`, each by an open folder that a reused pid cannot fool.

use super::files::{self, look_in, Root};
use super::proc_folder::Procs;
use super::raw;
use crate::model::file::{FileId, Look};
use crate::model::image::{parse_image, Image};
use crate::model::mapping::Mapping;
use crate::model::process::{decimal, parse_blocked, parse_caught, parse_process, parse_stat, parse_uid, Gap, Stat};
use anyhow::Result;
use procfs::process::Process;
use procfs::ProcError;
use rustix::fs::{MemfdFlags, Mode, OFlags};
use rustix::io::Errno;
use rustix::path::Arg;
use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// Small files of `/proc`, and arguments, are cut here.
const MOST_SMALL: u64 = 64 << 10;
/// As much as one read of such a file gives.
const USUAL_SMALL: usize = 4 << 10;

/// One process, held open.
#[derive(Debug)]
pub struct ProcessHandle {
    /// Its pid.
    pub pid: i32,
    folder: OwnedFd,
}

/// One process by pid.
pub fn open(proc: &Path, pid: i32) -> Result<ProcessHandle, Gap> {
    ProcessHandle::of(&Process::new_with_root(proc.join(pid.to_string())).map_err(gap_of)?)
}

/// All processes below `proc`, each held open. Those that end meanwhile are left out.
pub fn list(proc: &Path) -> Result<impl Iterator<Item = ProcessHandle>> {
    let procs = Procs::at(proc)?;
    Ok(procs.pids()?.into_iter().filter_map(move |pid| procs.open(pid).ok()))
}

/// The device of the one file system that memfd_create(2), System V and shared anonymous memory lie on: that
/// of memory of our own.
fn shared_memory_device() -> Option<u64> {
    static DEVICE: OnceLock<Option<u64>> = OnceLock::new();
    *DEVICE.get_or_init(|| {
        let own = rustix::fs::memfd_create("reexec", MemfdFlags::CLOEXEC).ok()?;
        files::look_at(own.as_fd()).found().map(|facts| facts.id.dev)
    })
}

/// The build-id of what is mapped at an address, as the kernel reads it from the mapped file.
pub fn build_id(maps: &File, start: u64) -> Option<Vec<u8>> {
    raw::mapped_build_id(maps.as_fd(), start)
}

/// The number in what the link of a namespace says: `mnt:[4026531841]`.
pub fn namespace_number(link: &[u8], kind: &str) -> Option<u64> {
    decimal(link.strip_prefix(kind.as_bytes())?.strip_prefix(b":[")?.strip_suffix(b"]")?)
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

/// Opens a file below a folder of `/proc` for reading.
pub fn open_below(folder: &OwnedFd, name: impl Arg) -> Result<File, Errno> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOCTTY;
    rustix::fs::openat(folder, name, flags, Mode::empty()).map(File::from)
}

/// Why something below `/proc` could not be read.
pub fn gap_of_errno(error: Errno) -> Gap {
    gap_of_io(&error.into())
}

/// Whether the text of a `fdinfo` says that the file was opened for writing: the last two bits of the
/// octal `flags` (proc_pid_fdinfo(5), open(2)).
fn says_writable(text: &[u8]) -> bool {
    let flags = text.split(|&byte| byte == b'\n').find_map(|line| line.strip_prefix(b"flags:"));
    let last = flags.and_then(|flags| flags.trim_ascii().last());
    matches!(last.map(|digit| digit & 3), Some(1 | 2))
}

impl ProcessHandle {
    /// A process whose folder is open (`O_PATH`).
    pub fn at(pid: i32, folder: OwnedFd) -> ProcessHandle {
        ProcessHandle { pid, folder }
    }

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
        open_below(&self.folder, name).map_err(gap_of_errno)
    }

    fn read(&self, name: &str, most: u64) -> Result<Vec<u8>, Gap> {
        // Room for all but the longest of them, or the first reads would be of 32 bytes.
        let mut bytes = Vec::with_capacity(USUAL_SMALL);
        self.open_file(name)?.take(most).read_to_end(&mut bytes).map_err(|error| gap_of_io(&error))?;
        Ok(bytes)
    }

    /// What the kernel prints at once: where a read leaves room, no other one would bring more.
    fn read_record(&self, name: &str) -> Result<Vec<u8>, Gap> {
        let (file, mut bytes) = (self.open_file(name)?, Vec::with_capacity(USUAL_SMALL));
        loop {
            match rustix::io::read(&file, rustix::buffer::spare_capacity(&mut bytes)) {
                Ok(_) if bytes.len() < bytes.capacity() || bytes.len() as u64 >= MOST_SMALL => return Ok(bytes),
                Ok(_) => bytes.reserve(USUAL_SMALL),
                Err(Errno::INTR) => {}
                Err(error) => return Err(gap_of_errno(error)),
            }
        }
    }

    /// Opens the list of mappings.
    pub fn open_maps(&self) -> Result<File, Gap> {
        self.open_file("maps")
    }

    /// State, parent, terminal, threads and start time.
    pub fn stat(&self) -> Result<Stat, Gap> {
        let line = self.read_record("stat")?;
        parse_stat(&line).ok_or_else(|| Gap::Unparsable("stat".to_owned()))
    }

    /// The program image that it executes.
    pub fn image(&self) -> Option<Image> {
        parse_image(&self.read_record("stat").ok()?)
    }

    /// The signals that it has handlers for, one bit each.
    pub fn caught_signals(&self) -> Option<u64> {
        parse_caught(&self.read_record("status").ok()?)
    }

    /// The signals that it blocks: a process that reads them from a descriptor does.
    pub fn blocked_signals(&self) -> Option<u64> {
        parse_blocked(&self.read_record("status").ok()?)
    }

    /// Whether it is what it was opened as, and not a further thread of another process.
    pub fn is_first_thread(&self) -> bool {
        self.read_record("status").is_ok_and(|text| parse_process(&text) == Some(self.pid))
    }

    /// Real user id.
    pub fn uid(&self) -> Option<u32> {
        parse_uid(&self.read_record("status").ok()?)
    }

    /// Text of `cgroup`.
    pub fn cgroup(&self) -> Vec<u8> {
        self.read_record("cgroup").unwrap_or_default()
    }

    /// Arguments, cut short; from the process itself, so a hint and no more.
    pub fn arguments(&self) -> Vec<Vec<u8>> {
        let bytes = self.read("cmdline", MOST_SMALL).unwrap_or_default();
        let bytes = bytes.strip_suffix(b"\0").unwrap_or(&bytes);
        bytes.split(|&byte| byte == 0).map(<[u8]>::to_vec).collect()
    }

    /// Whether it holds the controlling end of this pseudo terminal (pts(4); `tty-index` of
    /// `/proc/PID/fdinfo`, Linux 5.0).
    pub fn holds_terminal(&self, number: u64) -> bool {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let Ok(folder) = rustix::fs::openat(&self.folder, "fd", flags, Mode::empty()) else { return false };
        let Ok(entries) = rustix::fs::Dir::new(folder) else { return false };
        let wanted = format!("tty-index:\t{number}");
        entries.filter_map(|entry| Some(entry.ok()?.file_name().to_str().ok()?.to_owned())).any(|name| {
            self.link(&format!("fd/{name}")).is_some_and(|target| target.ends_with("ptmx"))
                && self
                    .read(&format!("fdinfo/{name}"), MOST_SMALL)
                    .is_ok_and(|text| text.split(|&byte| byte == b'\n').any(|line| line == wanted.as_bytes()))
        })
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

    /// Whether what is mapped lies on a file system for files: not in shared memory, of huge pages or of aio,
    /// each of which is on one that nobody can mount or reach by a path.
    pub fn maps_file_system(&self, mapping: &Mapping<'_>) -> bool {
        /// `TMPFS_MAGIC`, `HUGETLBFS_MAGIC`, `AIO_RING_MAGIC` and `ANON_INODE_FS_MAGIC` (`include/uapi/linux/magic.h`,
        /// `fs/aio.c`).
        const TMPFS: i64 = 0x0102_1994;
        const MEMORY: [i64; 3] = [0x9584_58f6, 0x4749_4541, 0x0904_1934];
        /// What the kernel prints of such memory: all that is left where it may not be looked at.
        const PRINTED: [&[u8]; 4] = [b"/memfd:", b"/SYSV", b"/anon_hugepage", b"/[aio]"];
        let name = format!("map_files/{:x}-{:x}", mapping.start, mapping.end);
        let file = rustix::fs::openat(&self.folder, name, OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
        let is_shared = || shared_memory_device().is_none_or(|shared| mapping.id.dev == shared);
        match file.and_then(|file| rustix::fs::fstatfs(&file)).map(|system| system.f_type) {
            Ok(TMPFS) => !is_shared(),
            Ok(other) => !MEMORY.contains(&other),
            Err(_) => !is_shared() && !PRINTED.iter().any(|start| mapping.name.starts_with(start)),
        }
    }

    /// Opens the program's file itself for reading.
    pub fn open_exe(&self) -> Option<File> {
        self.open_magic("exe")
    }

    fn open_magic(&self, name: &str) -> Option<File> {
        let file = rustix::fs::openat(&self.folder, name, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).ok()?;
        files::reopen(file.as_fd())
    }

    /// Text of `smaps`: dear, since the kernel walks all page tables for it.
    pub fn smaps(&self) -> Result<Vec<u8>, Gap> {
        self.read("smaps", 64 << 20)
    }

    /// Open descriptors and what each is printed as, in no order; a process with more of them than
    /// anybody's program has is cut short.
    pub fn descriptors(&self) -> Vec<(i32, PathBuf)> {
        const MOST: usize = 65_536;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let Ok(folder) = rustix::fs::openat(&self.folder, "fd", flags, Mode::empty()) else { return Vec::new() };
        let Ok(names) = rustix::fs::Dir::new(folder) else { return Vec::new() };
        let numbers = names.filter_map(|entry| entry.ok()?.file_name().to_str().ok()?.parse::<i32>().ok());
        numbers.take(MOST).filter_map(|number| Some((number, self.link(&format!("fd/{number}"))?))).collect()
    }

    /// The inode behind a descriptor.
    pub fn look_at_descriptor(&self, number: i32) -> Look {
        look_in(self.folder.as_fd(), &format!("fd/{number}"))
    }

    /// Whether the file behind a descriptor lies in memory (tmpfs, huge pages): with memfd_create(2)
    /// and the like, on one that is mounted nowhere.
    pub fn is_in_memory(&self, number: i32) -> bool {
        /// `TMPFS_MAGIC` and `HUGETLBFS_MAGIC` of `include/uapi/linux/magic.h`.
        const MEMORY: [i64; 2] = [0x0102_1994, 0x9584_58f6];
        let name = format!("fd/{number}");
        let file = rustix::fs::openat(&self.folder, name, OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
        file.and_then(|file| rustix::fs::fstatfs(&file)).is_ok_and(|system| MEMORY.contains(&system.f_type))
    }

    /// Opens the file behind a descriptor for reading, if it is a regular one.
    pub fn open_descriptor(&self, number: i32) -> Option<File> {
        self.open_magic(&format!("fd/{number}"))
    }

    /// Number of a namespace (`mnt`, `pid`): equal numbers are the same namespace (namespaces(7)).
    pub fn namespace(&self, kind: &str) -> Option<u64> {
        namespace_number(self.link(&format!("ns/{kind}"))?.as_os_str().as_bytes(), kind)
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

    /// Whether it has this file open for writing, under this last name. Only a link with the name is
    /// followed: looking through one into a file system that hangs would hang us.
    pub fn writes_to(&self, name: &OsStr, id: FileId) -> Result<bool, Gap> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let descriptors = rustix::fs::openat(&self.folder, "fd", flags, Mode::empty()).map_err(gap_of_errno)?;
        let numbers = rustix::fs::Dir::read_from(&descriptors).map_err(gap_of_errno)?;
        for number in numbers {
            let number = number.map_err(gap_of_errno)?;
            let Ok(number) = number.file_name().to_str() else { continue };
            // "." and ".." are no links.
            let Ok(target) = rustix::fs::readlinkat(&descriptors, number, Vec::new()) else { continue };
            if Path::new(OsStr::from_bytes(target.as_bytes())).file_name() != Some(name) {
                continue;
            }
            let is_it = look_in(descriptors.as_fd(), number).found().is_some_and(|facts| facts.id == id);
            if is_it && self.read(&format!("fdinfo/{number}"), MOST_SMALL).is_ok_and(|text| says_writable(&text)) {
                return Ok(true);
            }
        }
        Ok(false)
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
