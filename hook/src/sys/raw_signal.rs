//! Signals through a pidfd: the system call for any number, also of the real-time signals.
#![allow(unsafe_code)]

use rustix::io::Errno;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Sends a signal to just the process behind the pidfd (pidfd_send_signal(2)); never to a later one
/// under its number.
pub fn send(pidfd: BorrowedFd<'_>, signal: i32) -> Result<(), Errno> {
    // SAFETY: the kernel reads no memory of ours: the pointer to `siginfo_t` is null, and the two
    // numbers are checked by it.
    let result = unsafe {
        libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), signal, std::ptr::null::<libc::c_void>(), 0)
    };
    match result {
        0 => Ok(()),
        _ => Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)),
    }
}
