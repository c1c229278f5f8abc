//! The system calls that no safe library offers: executing in place, signal masks, `close_range`,
//! and who is at the other end of a socket.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;

/// The first descriptor behind standard input, output and error (`SD_LISTEN_FDS_START`).
pub(crate) const FIRST: RawFd = 3;

/// The signals that a thread blocks.
#[derive(Clone, Copy)]
pub(crate) struct SignalMask(libc::sigset_t);

impl std::fmt::Debug for SignalMask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SignalMask")
    }
}

impl SignalMask {
    /// What the calling thread blocks.
    pub(crate) fn current() -> io::Result<SignalMask> {
        let mut set = MaybeUninit::uninit();
        // SAFETY: a null new set changes nothing; the old one is written where `set` has room for it.
        let error = unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, ptr::null(), set.as_mut_ptr()) };
        if error != 0 {
            return Err(io::Error::from_raw_os_error(error));
        }
        // SAFETY: the call succeeded, so the set was written.
        Ok(SignalMask(unsafe { set.assume_init() }))
    }
}

/// What `execve` is given.
#[derive(Debug)]
pub(crate) struct Execution {
    pub(crate) path: CString,
    pub(crate) arguments: Vec<CString>,
    pub(crate) environment: Vec<CString>,
    /// They become 3, 4, … in the new program; nothing else behind standard error does.
    pub(crate) descriptors: Vec<RawFd>,
    pub(crate) mask: SignalMask,
}

/// Executes in place; returns only if that failed, and then this process is as it was before.
///
/// All that has to be changed is changed in a thread that has its own copy of the table of
/// descriptors. If `execve` succeeds, that thread is the process, under the same pid; if not, the
/// thread ends and its copy with it.
pub(crate) fn execute(execution: Execution) -> io::Error {
    let mut death: libc::c_int = 0;
    // The setting belongs to a thread, so the new one would lack it.
    // SAFETY: PR_GET_PDEATHSIG writes one int.
    let known = unsafe { libc::prctl(libc::PR_GET_PDEATHSIG, ptr::from_mut(&mut death)) } == 0;
    let death = if known { death } else { 0 };
    let thread = std::thread::Builder::new().name("reexec".to_owned());
    match thread.spawn(move || execute_here(&execution, death)).map(std::thread::JoinHandle::join) {
        Ok(Ok(error)) => error,
        Ok(Err(_)) => io::Error::other("the executing thread panicked"),
        Err(error) => error,
    }
}

/// In a thread of its own: what it does to its descriptors nobody else sees.
fn execute_here(execution: &Execution, death: libc::c_int) -> io::Error {
    if let Err(error) = own_table().and_then(|()| arrange(&execution.descriptors)) {
        return error;
    }
    let pointers = |texts: &[CString]| -> Vec<*const libc::c_char> {
        texts.iter().map(|text| text.as_ptr()).chain([ptr::null()]).collect()
    };
    let (arguments, environment) = (pointers(&execution.arguments), pointers(&execution.environment));
    if death != 0 {
        // SAFETY: takes a number.
        unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, death) };
    }
    // SAFETY: the set was written by the same function.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &execution.mask.0, ptr::null_mut()) };
    // SAFETY: both arrays end with a null pointer, and their strings live as long as `execution`.
    unsafe { libc::execve(execution.path.as_ptr(), arguments.as_ptr(), environment.as_ptr()) };
    io::Error::last_os_error()
}

/// Gives the calling thread a table of descriptors of its own. `close_range` does it where a
/// container's filter forbids `unshare`; `unshare` does it before Linux 5.9.
fn own_table() -> io::Result<()> {
    if close_range(libc::c_uint::MAX, libc::CLOSE_RANGE_UNSHARE).is_ok() {
        return Ok(());
    }
    // SAFETY: takes flags only, and only this thread's view of the table changes.
    match unsafe { libc::unshare(libc::CLONE_FILES) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Puts the descriptors at 3, 4, … and closes everything behind them on `execve`. Only for a thread
/// with a table of its own: what stood at those numbers is closed.
fn arrange(descriptors: &[RawFd]) -> io::Result<()> {
    let after = FIRST + RawFd::try_from(descriptors.len()).map_err(io::Error::other)?;
    // Out of the way first: one may stand where another goes.
    let mut aside = Vec::with_capacity(descriptors.len());
    for descriptor in descriptors {
        // SAFETY: takes numbers; a wrong one answers EBADF.
        match unsafe { libc::fcntl(*descriptor, libc::F_DUPFD_CLOEXEC, after) } {
            -1 => return Err(io::Error::last_os_error()),
            copy => aside.push(copy),
        }
    }
    for (target, copy) in (FIRST..).zip(aside) {
        // SAFETY: takes numbers. The table is this thread's own.
        if unsafe { libc::dup2(copy, target) } == -1 {
            return Err(io::Error::last_os_error());
        }
    }
    close_on_exec_from(after)
}

/// Marks all descriptors from this one on close-on-exec.
pub(crate) fn close_on_exec_from(first: RawFd) -> io::Result<()> {
    let first = libc::c_uint::try_from(first).map_err(io::Error::other)?;
    if close_range(first, libc::CLOSE_RANGE_CLOEXEC).is_ok() {
        return Ok(());
    }
    close_on_exec_one_by_one(first)
}

/// The same before Linux 5.11, and where a filter forbids it.
fn close_on_exec_one_by_one(first: libc::c_uint) -> io::Result<()> {
    for entry in std::fs::read_dir("/proc/self/fd")? {
        let name = entry?.file_name();
        let Some(number) = name.to_str().and_then(|name| name.parse::<RawFd>().ok()) else { continue };
        if libc::c_uint::try_from(number).is_ok_and(|number| number >= first) {
            // SAFETY: takes numbers. The descriptor of the listing itself is marked already.
            unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) };
        }
    }
    Ok(())
}

fn close_range(first: libc::c_uint, flags: libc::c_uint) -> io::Result<()> {
    // SAFETY: with these flags no descriptor is closed: CLOEXEC marks, and UNSHARE is only asked for
    // with the last possible number, which is never open.
    match unsafe { libc::syscall(libc::SYS_close_range, first, libc::c_uint::MAX, flags) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Takes a descriptor that this process inherited; `None` if there is none with that number.
///
/// To be called once for a number, before anybody else owns it.
pub(crate) fn inherited(number: RawFd) -> Option<OwnedFd> {
    // SAFETY: takes numbers; a closed descriptor answers EBADF.
    let open = unsafe { libc::fcntl(number, libc::F_GETFD) } != -1;
    // SAFETY: it is open, and was handed over by whoever executed us, so nobody here owns it.
    open.then(|| unsafe { OwnedFd::from_raw_fd(number) })
}

/// Who connected, or for the connecting side: who listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Peer {
    /// 0 where it has no number in our pid namespace (`rustix` has no word for that).
    pub(crate) pid: i32,
    pub(crate) uid: u32,
}

/// `SO_PEERCRED`.
pub(crate) fn peer(socket: BorrowedFd<'_>) -> io::Result<Peer> {
    let mut credentials = libc::ucred { pid: 0, uid: libc::uid_t::MAX, gid: libc::gid_t::MAX };
    socket_option(socket, libc::SO_PEERCRED, &mut credentials)?;
    Ok(Peer { pid: credentials.pid, uid: credentials.uid })
}

/// `SO_PEERPIDFD` of Linux 6.5.
#[cfg(feature = "ask")]
pub(crate) fn peer_pidfd(socket: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let mut pidfd: RawFd = -1;
    socket_option(socket, libc::SO_PEERPIDFD, &mut pidfd)?;
    // SAFETY: the kernel made it for this call.
    Ok(unsafe { OwnedFd::from_raw_fd(pidfd) })
}

/// Only for types of which any bytes are a value.
fn socket_option<T>(socket: BorrowedFd<'_>, option: libc::c_int, value: &mut T) -> io::Result<()> {
    let mut size = libc::socklen_t::try_from(size_of::<T>()).map_err(io::Error::other)?;
    let into = ptr::from_mut(value).cast();
    // SAFETY: the kernel writes at most `size` bytes to `into`.
    match unsafe { libc::getsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, option, into, &mut size) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// The name that the kernel was given for this program (`AT_EXECFN`); not the first argument.
pub(crate) fn executed_as() -> &'static CStr {
    rustix::param::linux_execfn()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::io::{fcntl_getfd, FdFlags};

    #[test]
    fn an_old_kernel_marks_descriptors_one_by_one() {
        let (one, other) = std::io::pipe().expect("a pipe");
        let high = rustix::io::fcntl_dupfd_cloexec(&one, 900).expect("a copy");
        rustix::io::fcntl_setfd(&high, FdFlags::empty()).expect("clear");
        close_on_exec_one_by_one(900).expect("mark");
        assert_eq!(fcntl_getfd(&high), Ok(FdFlags::CLOEXEC));
        drop((one, other));
    }

    fn table() -> Vec<(String, std::path::PathBuf, String)> {
        let entries = std::fs::read_dir("/proc/self/fd").expect("a list").flatten();
        let names = entries.map(|entry| entry.file_name().into_string().expect("a number"));
        let seen = names.filter_map(|name| {
            let link = std::fs::read_link(format!("/proc/self/fd/{name}")).ok()?;
            let flags = std::fs::read_to_string(format!("/proc/self/fdinfo/{name}")).ok()?;
            // Other tests open and close theirs meanwhile.
            (800..900).contains(&name.parse::<u32>().ok()?).then_some((name, link, flags))
        });
        seen.collect()
    }

    #[test]
    fn where_executing_fails_descriptors_and_environment_are_as_they_were() {
        let (reader, _writer) = std::io::pipe().expect("a pipe");
        let kept = rustix::io::fcntl_dupfd_cloexec(&reader, 800).expect("a copy");
        let open = rustix::io::fcntl_dupfd_cloexec(&reader, 801).expect("a copy");
        rustix::io::fcntl_setfd(&open, FdFlags::empty()).expect("clear");
        let (before, environment) = (table(), std::env::vars_os().collect::<Vec<_>>());
        assert_eq!(before.len(), 2);
        for (path, expected) in [(c"/nonexistent", libc::ENOENT), (c"/dev/null", libc::EACCES), (c"/", libc::EACCES)] {
            let error = execute(Execution {
                path: path.to_owned(),
                arguments: vec![path.to_owned()],
                environment: vec![c"A=b".to_owned()],
                descriptors: vec![kept.as_raw_fd(), open.as_raw_fd()],
                mask: SignalMask::current().expect("a mask"),
            });
            assert_eq!(error.raw_os_error(), Some(expected), "{path:?}");
        }
        let closed = Execution {
            path: c"/bin/true".to_owned(),
            arguments: Vec::new(),
            environment: Vec::new(),
            descriptors: vec![100_000],
            mask: SignalMask::current().expect("a mask"),
        };
        assert_eq!(execute(closed).raw_os_error(), Some(libc::EBADF));
        assert_eq!(table(), before);
        assert_eq!(std::env::vars_os().collect::<Vec<_>>(), environment);
    }

    #[test]
    fn a_closed_number_is_not_inherited() {
        assert!(inherited(100_000).is_none());
    }
}
