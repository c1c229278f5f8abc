//! The system calls that no safe library offers: file handles, leases, `PROCMAP_QUERY`, and what must
//! go through the C library.
#![allow(unsafe_code)]

use crate::model::file::{FileId, Stamp};
use crate::model::mapping::{device, Mapping, Wanted};
use rustix::io::Errno;
use std::cmp::Ordering;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// A clock of clock_gettime(2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clock {
    /// Since 1970.
    Realtime,
    /// Since boot, time asleep included.
    Boottime,
    /// Since boot, without the time asleep.
    Monotonic,
    /// Processor time of the calling thread.
    Thread,
}

/// Who sent a datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sender {
    /// Its pid; 0: it has no number in our pid namespace (`rustix` has no word for that).
    pub pid: i32,
    /// Its user.
    pub uid: u32,
}

/// Takes one datagram from a socket that was told to ask for credentials, and drops what is in it; never
/// blocks. `None`: the kernel says of nobody.
pub fn receive_sender(socket: BorrowedFd<'_>) -> Result<Option<Sender>, Errno> {
    const SPACE: usize = 64;
    // Aligned as a `cmsghdr` is.
    let mut space = [0_u64; SPACE / size_of::<u64>()];
    let mut byte = [0_u8; 1];
    let mut part = libc::iovec { iov_base: byte.as_mut_ptr().cast(), iov_len: byte.len() };
    // SAFETY: all zeroes are a message header without a name and without parts.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    (message.msg_iov, message.msg_iovlen) = (&raw mut part, 1);
    (message.msg_control, message.msg_controllen) = (space.as_mut_ptr().cast(), SPACE as _);
    let flags = libc::MSG_DONTWAIT | libc::MSG_CMSG_CLOEXEC;
    // SAFETY: the buffers outlive the call, and their sizes are said.
    if unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut message, flags) } < 0 {
        return Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO));
    }
    // SAFETY: the kernel has filled in the header, which points into `space`.
    let header = unsafe { libc::CMSG_FIRSTHDR(&raw const message) };
    // SAFETY: it is null or a header inside of `space`.
    let Some(first) = (unsafe { header.as_ref() }) else { return Ok(None) };
    if (first.cmsg_level, first.cmsg_type) != (libc::SOL_SOCKET, libc::SCM_CREDENTIALS) {
        return Ok(None);
    }
    // SAFETY: a message of this type holds a `ucred`, of which any bytes are a value.
    let from: libc::ucred = unsafe { std::ptr::read_unaligned(libc::CMSG_DATA(header).cast()) };
    Ok(Some(Sender { pid: from.pid, uid: from.uid }))
}

/// A descriptor that whoever executed us left open, and that nobody here owns; `None` where it is closed. It
/// is not handed on.
pub fn inherited_descriptor(number: i32) -> Option<OwnedFd> {
    // SAFETY: takes numbers; a closed descriptor answers EBADF.
    let open = unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) } != -1;
    // SAFETY: it is open, and our caller asks once for the one that the service manager told of.
    open.then(|| unsafe { OwnedFd::from_raw_fd(number) })
}

/// What a clock says, in nanoseconds. By the C library: the other way to the kernel's fast clock reads
/// a page that valgrind takes away, and instructions are counted there.
pub fn clock(clock: Clock) -> Stamp {
    let id = match clock {
        Clock::Realtime => libc::CLOCK_REALTIME,
        Clock::Boottime => libc::CLOCK_BOOTTIME,
        Clock::Monotonic => libc::CLOCK_MONOTONIC,
        Clock::Thread => libc::CLOCK_THREAD_CPUTIME_ID,
    };
    // These are on every Linux.
    read_clock(id).unwrap_or_default()
}

/// The processor time that all threads of a process have had, those that ended among them, in nanoseconds. What a
/// thread has had that is just running is counted up to the kernel's last tick. The clock of a process has no name in
/// any library: this is how the C library makes it (clock_getcpuclockid(3), `CPUCLOCK_SCHED` of
/// include/linux/posix-timers_types.h).
pub fn processor_time(pid: i32) -> Option<u64> {
    const SCHEDULED: libc::clockid_t = 2;
    u64::try_from(read_clock(!pid << 3 | SCHEDULED)?).ok()
}

fn read_clock(id: libc::clockid_t) -> Option<Stamp> {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel writes one `timespec`, which outlives the call.
    let read = unsafe { libc::clock_gettime(id, &mut time) } == 0;
    read.then(|| Stamp::from(time.tv_sec) * 1_000_000_000 + Stamp::from(time.tv_nsec))
}

/// In which order two processes' memories lie for the kernel, equal where it is one and the same (kcmp(2)); `None`
/// where it does not say.
pub fn compare_memory(a: u32, b: u32) -> Option<Ordering> {
    /// `KCMP_VM` of include/uapi/linux/kcmp.h.
    const MEMORY: libc::c_int = 1;
    // SAFETY: takes numbers.
    match unsafe { libc::syscall(libc::SYS_kcmp, a, b, MEMORY, 0, 0) } {
        0 => Some(Ordering::Equal),
        1 => Some(Ordering::Less),
        2 => Some(Ordering::Greater),
        _ => None,
    }
}

/// Gives the calling thread a table of descriptors of its own, with all that are open now. Alone with
/// it, the kernel need not count who uses a descriptor, at every call.
pub fn own_descriptors() {
    // SAFETY: descriptors that others open or close later are not seen by this thread, nor its by them;
    // the caller hands none over to other threads. Where it fails nothing has changed.
    unsafe { libc::unshare(libc::CLONE_FILES) };
}

/// One heap for all threads: they allocate rarely, and a heap for each would grow by some pages at a time, with a
/// system call for each step, and be resident apart. To be called before threads are started.
#[cfg(target_env = "gnu")]
pub fn share_heap() {
    /// More than a report of a thousand stale processes takes at a time.
    const STEP: libc::c_int = 512 << 10;
    for (option, value) in [(libc::M_ARENA_MAX, 1), (libc::M_TOP_PAD, STEP)] {
        // SAFETY: mallopt(3) only sets parameters of the C library's allocator.
        unsafe { libc::mallopt(option, value) };
    }
}

/// Another C library has its own ways.
#[cfg(not(target_env = "gnu"))]
pub fn share_heap() {}

/// A file's handle: type and opaque bytes, with the inode's generation in it, so that a new file
/// under an old inode number has another one (open_by_handle_at(2)).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FileHandle {
    /// Handle type of the file system.
    pub kind: i32,
    /// Opaque bytes.
    pub bytes: Vec<u8>,
}

/// `MAX_HANDLE_SZ` of `include/linux/exportfs.h`.
const MAX_HANDLE_BYTES: usize = 128;

#[repr(C)]
struct RawHandle {
    bytes: u32,
    kind: i32,
    data: [u8; MAX_HANDLE_BYTES],
}

/// The handle of the file behind an open (also `O_PATH`) descriptor; `None` where the file system
/// gives none (overlayfs by default, FUSE).
pub fn handle_of(file: BorrowedFd<'_>) -> Option<FileHandle> {
    let mut raw = RawHandle { bytes: MAX_HANDLE_BYTES as u32, kind: 0, data: [0; MAX_HANDLE_BYTES] };
    let mut mount_id: libc::c_int = 0;
    // SAFETY: `raw` is a `struct file_handle` with room for the number of bytes that it names, the
    // path is a NUL-terminated empty string, and all pointers outlive the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_name_to_handle_at,
            file.as_raw_fd(),
            c"".as_ptr(),
            std::ptr::from_mut(&mut raw),
            std::ptr::from_mut(&mut mount_id),
            libc::AT_EMPTY_PATH,
        )
    };
    let bytes = raw.data.get(..raw.bytes as usize)?;
    (result == 0).then(|| FileHandle { kind: raw.kind, bytes: bytes.to_vec() })
}

/// Of `include/uapi/asm-generic/fcntl.h`.
const F_SETSIG: libc::c_int = 10;

/// Opens an inode by its handle, from any folder of its file system; `ESTALE` where it is gone. What a
/// handle leads to is the regular file that it was taken of, so that opening waits for nobody.
pub fn open_by_handle(folder: BorrowedFd<'_>, handle: &FileHandle) -> Result<OwnedFd, Errno> {
    let mut raw = RawHandle { bytes: handle.bytes.len() as u32, kind: handle.kind, data: [0; MAX_HANDLE_BYTES] };
    raw.data.get_mut(..handle.bytes.len()).ok_or(Errno::INVAL)?.copy_from_slice(&handle.bytes);
    let flags = libc::O_RDONLY | libc::O_CLOEXEC | libc::O_NONBLOCK | libc::O_NOFOLLOW | libc::O_NOCTTY;
    // SAFETY: `raw` is a `struct file_handle` that names no more bytes than it has, and outlives the call.
    let file =
        unsafe { libc::syscall(libc::SYS_open_by_handle_at, folder.as_raw_fd(), std::ptr::from_mut(&mut raw), flags) };
    match i32::try_from(file) {
        // SAFETY: the kernel has just made this descriptor for us, and nobody else knows it.
        Ok(file @ 0..) => Ok(unsafe { OwnedFd::from_raw_fd(file) }),
        _ => Err(last_error()),
    }
}

/// Whether anybody but this descriptor has the file open or mapped: then the kernel grants no write
/// lease on it. A lease that is granted is given back at once; whoever opens the file in between waits
/// for that, and its signal is one that does nothing to us.
pub fn is_used_elsewhere(file: BorrowedFd<'_>) -> Result<bool, Errno> {
    let set = |command: libc::c_int, value: libc::c_int| {
        // SAFETY: these commands of fcntl(2) take an integer and touch no memory of ours.
        match unsafe { libc::fcntl(file.as_raw_fd(), command, value) } {
            -1 => Err(last_error()),
            _ => Ok(()),
        }
    };
    // Ignored by default (signal(7)), where SIGIO, which a lease sends otherwise, would end us.
    set(F_SETSIG, libc::SIGURG)?;
    match set(libc::F_SETLEASE, libc::F_WRLCK) {
        Ok(()) => set(libc::F_SETLEASE, libc::F_UNLCK).map(|()| false),
        Err(Errno::AGAIN) => Ok(true),
        Err(error) => Err(error),
    }
}

fn last_error() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)
}

/// `struct procmap_query` of `include/uapi/linux/fs.h` (Linux 6.11).
#[repr(C)]
#[derive(Default)]
struct ProcmapQuery {
    size: u64,
    flags: u64,
    address: u64,
    start: u64,
    end: u64,
    vma_flags: u64,
    page_size: u64,
    offset: u64,
    inode: u64,
    major: u32,
    minor: u32,
    name_size: u32,
    build_id_size: u32,
    name: u64,
    build_id: u64,
}

/// `_IOWR('f', 17, struct procmap_query)`.
const PROCMAP_QUERY: libc::c_ulong = 0xc068_6611;

/// Flags of a question and of an answer (`enum procmap_query_flags`).
const VMA_READABLE: u64 = 0x01;
const VMA_WRITABLE: u64 = 0x02;
const VMA_EXECUTABLE: u64 = 0x04;
const VMA_SHARED: u64 = 0x08;
const COVERING_OR_NEXT: u64 = 0x10;
const FILE_BACKED: u64 = 0x20;

/// The first wanted mapping at an address or behind it; `ENOENT` where there is none, `ENOTTY` before
/// Linux 6.11, `ESRCH` for a process without memory.
pub fn file_mapping(maps: BorrowedFd<'_>, address: u64, wanted: Wanted) -> Result<Mapping<'static>, Errno> {
    let flags = match wanted {
        Wanted::Code => VMA_EXECUTABLE | FILE_BACKED | COVERING_OR_NEXT,
        Wanted::Files => FILE_BACKED | COVERING_OR_NEXT,
    };
    let mut query = ProcmapQuery { size: size_of::<ProcmapQuery>() as u64, flags, address, ..ProcmapQuery::default() };
    ask(maps, &mut query)?;
    Ok(Mapping {
        start: query.start,
        end: query.end,
        read: query.vma_flags & VMA_READABLE != 0,
        write: query.vma_flags & VMA_WRITABLE != 0,
        execute: query.vma_flags & VMA_EXECUTABLE != 0,
        shared: query.vma_flags & VMA_SHARED != 0,
        offset: query.offset,
        id: FileId { dev: device(query.major, query.minor), ino: query.inode },
        name: b"",
    })
}

/// The name of the mapping at an address, raw, into a buffer that is used again.
pub fn mapping_name(maps: BorrowedFd<'_>, address: u64, into: &mut Vec<u8>) -> Result<(), Errno> {
    into.clear();
    into.reserve(MOST_NAME);
    let mut query = ProcmapQuery {
        size: size_of::<ProcmapQuery>() as u64,
        address,
        name_size: MOST_NAME as u32,
        name: into.as_mut_ptr() as u64,
        ..ProcmapQuery::default()
    };
    ask(maps, &mut query)?;
    // The kernel counts the NUL behind the name.
    let length = (query.name_size as usize).saturating_sub(1).min(MOST_NAME);
    // SAFETY: there is room for `MOST_NAME` bytes, and the kernel has written as many as it says.
    unsafe { into.set_len(length) };
    Ok(())
}

/// `PATH_MAX` of limits.h; the kernel takes no larger buffer, and answers `ENAMETOOLONG`.
const MOST_NAME: usize = 4096;

fn ask(maps: BorrowedFd<'_>, query: &mut ProcmapQuery) -> Result<(), Errno> {
    // SAFETY: the kernel reads and writes one `procmap_query` of the size that it names, and writes to
    // the buffers in it at most the sizes beside them; the callers keep those alive over the call.
    let result = unsafe { libc::ioctl(maps.as_raw_fd(), PROCMAP_QUERY as _, std::ptr::from_mut(query)) };
    match result {
        0 => Ok(()),
        _ => Err(last_error()),
    }
}

/// The build-id of the file that is mapped at `address`, as the kernel reads it from the mapped
/// file itself, also when its name is gone. `maps` is an open `/proc/PID/maps`. `None` before
/// Linux 6.11, and for a file without a build-id.
pub fn mapped_build_id(maps: BorrowedFd<'_>, address: u64) -> Option<Vec<u8>> {
    let mut id = [0_u8; 64];
    let mut query = ProcmapQuery {
        size: size_of::<ProcmapQuery>() as u64,
        address,
        build_id_size: id.len() as u32,
        build_id: id.as_mut_ptr() as u64,
        ..ProcmapQuery::default()
    };
    let result = ask(maps, &mut query);
    let found = id.get(..query.build_id_size as usize)?;
    (result.is_ok() && !found.is_empty()).then(|| found.to_vec())
}
