//! The system calls that no safe library offers: file handles and `PROCMAP_QUERY`.
#![allow(unsafe_code)]

use std::os::fd::{AsRawFd, BorrowedFd};

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
    // SAFETY: the kernel reads and writes one `procmap_query` of the size that it names, and writes
    // at most `build_id_size` bytes to `id`, which outlives the call.
    let result = unsafe { libc::ioctl(maps.as_raw_fd(), PROCMAP_QUERY as _, std::ptr::from_mut(&mut query)) };
    let found = id.get(..query.build_id_size as usize)?;
    (result == 0 && !found.is_empty()).then(|| found.to_vec())
}
