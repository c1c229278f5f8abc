//! What can go wrong; after each of these the program goes on as before.

use crate::trust::Doubt;
use std::fmt;
use std::io;
use std::path::PathBuf;

/// Why something was not done.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// Nothing stands at the program's path any more.
    Removed(PathBuf),
    /// The program at the path is not one to run.
    Doubt(Doubt),
    /// The new program did not pass its trial, and how it ended.
    Trial(String),
    /// No descriptor can have that name.
    BadName(String),
    /// What was tried, and what the system said.
    Io(&'static str, io::Error),
    /// `listen` was not called.
    NotListening,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Removed(path) => write!(f, "{} is gone", path.display()),
            Error::Doubt(doubt) => write!(f, "not run: {doubt}"),
            Error::Trial(how) => write!(f, "the new program did not pass its trial: {how}"),
            Error::BadName(name) => write!(f, "a descriptor cannot be called {name:?}"),
            Error::Io(what, error) => write!(f, "could not {what}: {error}"),
            Error::NotListening => f.write_str("nobody can ask: listen was not called"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Io(_, error) => Some(error),
            Error::Doubt(doubt) => Some(doubt),
            Error::Removed(_) | Error::Trial(_) | Error::BadName(_) | Error::NotListening => None,
        }
    }
}

impl From<Doubt> for Error {
    fn from(doubt: Doubt) -> Error {
        Error::Doubt(doubt)
    }
}
