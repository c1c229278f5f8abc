//! What failed, as C wants it: a number and words.

use reexec_client::{Doubt, Error};
use std::ffi::{c_int, CString};
use std::io;

/// A positive errno, and what it means here.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) errno: c_int,
    pub(crate) words: CString,
}

impl Failure {
    fn new(errno: c_int, words: &str) -> Failure {
        let plain: Vec<u8> = words.bytes().filter(|byte| *byte != 0).collect();
        Failure { errno, words: CString::new(plain).unwrap_or_default() }
    }

    pub(crate) fn invalid(words: &str) -> Failure {
        Failure::new(libc::EINVAL, words)
    }

    pub(crate) fn absent(name: &str) -> Failure {
        Failure::new(libc::ENOENT, &format!("nothing was handed over as {name:?}"))
    }

    pub(crate) fn panicked() -> Failure {
        Failure::new(libc::EIO, "an error inside reexec-client")
    }

    /// Of a state that was not read.
    pub(crate) fn of_state(error: io::Error) -> Failure {
        let large = error.kind() == io::ErrorKind::FileTooLarge;
        let errno = if large { libc::EMSGSIZE } else { errno_of(&error) };
        Failure::new(errno, &error.to_string())
    }
}

fn errno_of(error: &io::Error) -> c_int {
    error.raw_os_error().unwrap_or(libc::EIO)
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        let errno = match &error {
            Error::Removed(_) => libc::ENOENT,
            Error::Doubt(Doubt::Unseen(_, errno)) => errno.raw_os_error(),
            Error::Doubt(_) => libc::EACCES,
            Error::Trial(_) => libc::ENOEXEC,
            Error::BadName(_) => libc::EINVAL,
            Error::NotListening => libc::ENOTCONN,
            Error::Io(_, error) => errno_of(error),
            _ => libc::EIO,
        };
        Failure::new(errno, &error.to_string())
    }
}
