//! Signals: sent through a pidfd, by any number, also of the real-time signals; held back and waited for.
#![allow(unsafe_code)]

use rustix::io::Errno;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

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

/// Signals that this thread holds back, until this is dropped.
pub struct Held {
    held: libc::sigset_t,
    before: libc::sigset_t,
}

impl std::fmt::Debug for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Held")
    }
}

impl Held {
    /// Holds these back, so that they can be waited for.
    pub fn hold(signals: &[i32]) -> Result<Held, Errno> {
        let mut held = empty();
        for &signal in signals {
            // SAFETY: the set was made empty by sigemptyset(3), and outlives the call; a number that is
            // none is refused by the C library.
            unsafe { libc::sigaddset(&mut held, signal) };
        }
        let mut before = empty();
        // SAFETY: both sets are whole, and outlive the call.
        match unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &held, &mut before) } {
            0 => Ok(Held { held, before }),
            error => Err(Errno::from_raw_os_error(error)),
        }
    }

    /// Lets a command begin with the signals that we had.
    pub fn release_in(&self, command: &mut Command) {
        let before = self.before;
        let release = move || {
            // SAFETY: pthread_sigmask(3) may be called behind a fork; the set is whole.
            unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &before, std::ptr::null_mut()) };
            Ok(())
        };
        // SAFETY: what runs between fork and exec makes one call that is safe there, and allocates nothing.
        unsafe { command.pre_exec(release) };
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // SAFETY: the set is what pthread_sigmask(3) itself wrote.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &self.before, std::ptr::null_mut()) };
    }
}

/// Waits for one of them; its number, and whether a process sent it, and not the kernel for a terminal.
pub fn wait(held: &Held) -> Result<(i32, bool), Errno> {
    loop {
        // SAFETY: a `siginfo_t` of zero bytes is a valid one.
        let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
        // SAFETY: the set is whole, the kernel writes one `siginfo_t`, and both outlive the call.
        let signal = unsafe { libc::sigwaitinfo(&held.held, &mut info) };
        if signal > 0 {
            return Ok((signal, info.si_code == libc::SI_USER || info.si_code == libc::SI_QUEUE));
        }
        match std::io::Error::last_os_error().raw_os_error() {
            Some(libc::EINTR) => {}
            error => return Err(error.map_or(Errno::IO, Errno::from_raw_os_error)),
        }
    }
}

/// Makes signals in a copy of a process what they are in a started program: none held back, and none handled but
/// by std, which tells of a stack that overflowed.
pub fn start_anew() {
    /// The last one that is not for real-time use (signal(7)).
    const LAST: i32 = 31;
    for signal in (1..=LAST).filter(|signal| ![libc::SIGSEGV, libc::SIGBUS].contains(signal)) {
        // SAFETY: takes numbers; for those that cannot be handled it fails.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    // SAFETY: the set is whole, and outlives the call.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &empty(), std::ptr::null_mut()) };
}

fn empty() -> libc::sigset_t {
    // SAFETY: sigemptyset(3) fills the set, whatever it was.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        set
    }
}
