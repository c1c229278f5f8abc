//! What the next program is given.

use crate::descriptors::{self, is_name};
use crate::error::Error;
use std::ffi::{CString, OsStr, OsString};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

/// The new file is run once like this before this process gives way to it.
#[derive(Debug, Clone)]
pub(crate) struct Trial {
    pub(crate) arguments: Vec<OsString>,
    pub(crate) deadline: Duration,
}

/// Descriptors, states and arguments for the program that takes this process over.
#[derive(Debug, Default)]
pub struct Handover<'fd> {
    passed: Vec<(String, BorrowedFd<'fd>)>,
    states: Vec<(String, OwnedFd)>,
    arguments: Option<Vec<OsString>>,
    trial: Option<Trial>,
}

impl<'fd> Handover<'fd> {
    /// One that hands over nothing but the arguments that this program was started with.
    pub fn new() -> Handover<'fd> {
        Handover::default()
    }

    /// Whether something can be handed over under this name.
    pub fn check_name(name: &str) -> Result<(), Error> {
        if is_name(name) {
            return Ok(());
        }
        Err(Error::BadName(name.to_owned()))
    }

    /// Passes a descriptor under a name: printable ASCII without a colon, at most 255 bytes. Several
    /// may have the same name; they are taken in this order.
    pub fn pass<Fd: AsFd>(mut self, name: &str, fd: &'fd Fd) -> Result<Handover<'fd>, Error> {
        self.add(name, fd.as_fd())?;
        Ok(self)
    }

    /// Passes one more descriptor, in a loop over connections.
    pub fn add(&mut self, name: &str, fd: BorrowedFd<'fd>) -> Result<(), Error> {
        Handover::check_name(name)?;
        self.passed.push((name.to_owned(), fd));
        Ok(())
    }

    /// Passes bytes under a name, as a memory file that nobody can change any more.
    pub fn state(mut self, name: &str, state: &[u8]) -> Result<Handover<'fd>, Error> {
        Handover::check_name(name)?;
        let file = descriptors::write_state(name, state).map_err(|error| Error::Io("write the state", error))?;
        self.states.push((name.to_owned(), file));
        Ok(self)
    }

    /// Other arguments than those that this program was started with; the first is its name.
    pub fn arguments(mut self, arguments: impl IntoIterator<Item = OsString>) -> Handover<'fd> {
        self.arguments = Some(arguments.into_iter().collect());
        self
    }

    /// Lets the new file run once as a child with these arguments, such as `--version` or a check of
    /// its configuration, before this process gives way to it. Only if it ends with 0 in time does
    /// the rest happen: a file that the loader refuses, or that crashes at once, is found out while
    /// the old program still serves. `execute` waits for it.
    pub fn tried_with(mut self, arguments: impl IntoIterator<Item = OsString>, deadline: Duration) -> Handover<'fd> {
        self.trial = Some(Trial { arguments: arguments.into_iter().collect(), deadline });
        self
    }

    pub(crate) fn trial(&self) -> Option<&Trial> {
        self.trial.as_ref()
    }

    /// In the order in which they become 3, 4, …
    pub(crate) fn descriptors(&self) -> Vec<RawFd> {
        let passed = self.passed.iter().map(|(_, fd)| fd.as_raw_fd());
        passed.chain(self.states.iter().map(|(_, fd)| fd.as_raw_fd())).collect()
    }

    /// Nul-terminated, as `execve` takes them.
    pub(crate) fn argument_texts(&self, as_started: &[OsString]) -> Result<Vec<CString>, Error> {
        let arguments = self.arguments.as_deref().unwrap_or(as_started);
        arguments.iter().map(|argument| text(argument.as_bytes())).collect()
    }

    /// The environment as it is, with what `sd_listen_fds` reads for the same process.
    pub(crate) fn environment(
        &self,
        variables: impl Iterator<Item = (OsString, OsString)>,
        pid: u32,
    ) -> Result<Vec<CString>, Error> {
        let ours = |name: &OsStr| descriptors::VARIABLES.iter().any(|one| name == *one);
        let mut environment = Vec::new();
        for (name, value) in variables.filter(|(name, _)| !ours(name)) {
            environment.push(text(&[name.as_bytes(), b"=", value.as_bytes()].concat())?);
        }
        let names: Vec<&str> = self
            .passed
            .iter()
            .map(|(name, _)| name)
            .chain(self.states.iter().map(|(name, _)| name))
            .map(String::as_str)
            .collect();
        if !names.is_empty() {
            for line in [
                format!("LISTEN_PID={pid}"),
                format!("LISTEN_FDS={}", names.len()),
                format!("LISTEN_FDNAMES={}", names.join(":")),
            ] {
                environment.push(text(line.as_bytes())?);
            }
        }
        Ok(environment)
    }
}

pub(crate) fn text(bytes: &[u8]) -> Result<CString, Error> {
    CString::new(bytes).map_err(|error| Error::Io("pass on the arguments", error.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_program_finds_what_it_was_given_and_nothing_of_before() {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        let handover = Handover::new()
            .pass("http", &reader)
            .and_then(|handover| handover.pass("peer", &writer))
            .and_then(|handover| handover.state("state", b"1"))
            .expect("good names");
        let variables = [("LISTEN_FDS", "9"), ("A", "b=c"), ("LISTEN_PIDFDID", "1"), ("NOTIFY_SOCKET", "@x")];
        let variables = variables.map(|(name, value)| (name.into(), value.into()));
        let environment = handover.environment(variables.into_iter(), 12).expect("an environment");
        let lines: Vec<_> = environment.iter().map(|line| line.to_str().unwrap()).collect();
        let expected = ["A=b=c", "NOTIFY_SOCKET=@x", "LISTEN_PID=12", "LISTEN_FDS=3", "LISTEN_FDNAMES=http:peer:state"];
        assert_eq!(lines, expected);
        assert_eq!(handover.descriptors().len(), 3);
        assert!(matches!(Handover::new().pass("a:b", &reader), Err(Error::BadName(name)) if name == "a:b"));
    }

    #[test]
    fn without_descriptors_there_is_no_word_of_them() {
        let nothing = Handover::new();
        assert!(nothing.environment(std::iter::empty(), 12).expect("an environment").is_empty());
        let started = ["x".into(), "-v".into()];
        assert_eq!(nothing.argument_texts(&started).expect("texts"), [c"x", c"-v"].map(CString::from));
        let other = Handover::new().arguments(["y".into()]);
        assert_eq!(other.argument_texts(&started).expect("texts"), [CString::from(c"y")]);
    }
}
