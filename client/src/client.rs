//! A daemon's own view: what it was given, whether it is asked, and the way to the next program.

use crate::descriptors::Inherited;
use crate::error::Error;
use crate::handover::{self, Handover};
use crate::listener::{Asked, Listener};
use crate::notify::{self, notify, Notified};
use crate::program::{OwnFile, Program};
use crate::protocol::Answer;
use crate::raw::{self, Execution, SignalMask};
use crate::trial;
use std::ffi::OsString;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt;

/// The daemon's side. One for a process.
#[derive(Debug)]
pub struct Client {
    program: Program,
    arguments: Vec<OsString>,
    mask: SignalMask,
    inherited: Inherited,
    listener: Option<Listener>,
}

impl Client {
    /// Looks at what this program is and was given. Call it first in `main`: before anything opens a
    /// descriptor that is to stay open over `exec`, changes the root, the working directory or the
    /// signal mask, or starts a thread.
    ///
    /// Every descriptor behind standard error is marked close-on-exec; those that were handed over by
    /// the `LISTEN_FDS` convention are in [`Client::inherited`].
    pub fn start() -> Result<Client, Error> {
        Client::start_with(std::env::args_os().collect())
    }

    /// The same, with the arguments as `main` got them, for where Rust does not know them.
    pub fn start_with(arguments: Vec<OsString>) -> Result<Client, Error> {
        // First what can fail: then nothing has been taken.
        let program = Program::running().map_err(|error| Error::Io("find the running program", error))?;
        let mask = SignalMask::current().map_err(|error| Error::Io("read the signal mask", error))?;
        let inherited = Inherited::take_all().map_err(|error| Error::Io("mark descriptors close-on-exec", error))?;
        Ok(Client { program, arguments, mask, inherited, listener: None })
    }

    /// What was handed over; take from it what the program knows. What is left is closed with the
    /// client, or on `exec`.
    pub fn inherited(&mut self) -> &mut Inherited {
        &mut self.inherited
    }

    /// The program that runs.
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// Whether the program's own file was replaced; one `stat`. For a daemon that wants to go by
    /// itself: one that waits to be asked need not look, and is also asked when a library of it was
    /// replaced.
    pub fn own_file(&self) -> Result<OwnFile, Error> {
        self.program.own_file().map_err(|error| Error::Io("look at the program's file", error))
    }

    /// Begins to listen. In the process that stays: after `daemon(3)`, not in a worker. A daemon
    /// that cannot listen can run all the same.
    pub fn listen(&mut self) -> Result<(), Error> {
        self.listener = Some(Listener::bind().map_err(|error| Error::Io("listen", error))?);
        Ok(())
    }

    /// Whether somebody waits for an answer, and who; never blocks. When it is not read for a while,
    /// nothing is lost but time. To be called when
    /// [`Client::as_fd`] is readable.
    pub fn asked(&mut self) -> Result<Option<Asked>, Error> {
        let listener = self.listener.as_mut().ok_or(Error::NotListening)?;
        listener.look().map_err(|error| Error::Io("hear who asks", error))
    }

    /// Answers everybody who waits for an answer, or was told [`Answer::Later`] before.
    pub fn answer(&mut self, answer: &Answer) {
        if let Some(listener) = &mut self.listener {
            listener.tell(answer);
        }
    }

    /// Gives this process to the program that stands at [`Program::path`] now. Returns only if that
    /// did not work; then everything is as before, and whoever asked was told why.
    ///
    /// The service manager is told that a reload begins; the new program says [`notify::ready`].
    /// The new program keeps the pid, standard input, output and error, the working directory, the
    /// environment and all that `execve(2)` keeps; its signal mask is the one that this program was
    /// started with. Locks by `fcntl(F_SETLK)` are lost (those by `flock` are not, as long as the
    /// descriptor is passed), and so are memory, threads and timers.
    pub fn execute(&mut self, handover: &Handover<'_>) -> Error {
        let error = match self.prepare(handover) {
            Err(error) => error,
            Ok(execution) => {
                // Who cannot be told is not a reason to go on with the old program.
                let told = notify::reloading();
                let error = raw::execute(execution);
                if matches!(told, Ok(Notified::Sent)) {
                    let _ = notify(&format!("READY=1\nSTATUS=Goes on with the old program: {error}"));
                }
                Error::Io("execute the new program", error)
            }
        };
        self.answer(&Answer::Failed(error.to_string()));
        error
    }

    fn prepare(&self, handover: &Handover<'_>) -> Result<Execution, Error> {
        if self.own_file()? == OwnFile::Removed {
            return Err(Error::Removed(self.program.path().to_owned()));
        }
        self.program.check()?;
        if let Some(trial) = handover.trial() {
            trial::passes(self.program.path(), trial)?;
        }
        Ok(Execution {
            path: handover::text(self.program.path().as_os_str().as_bytes())?,
            arguments: handover.argument_texts(&self.arguments)?,
            environment: handover.environment(std::env::vars_os(), std::process::id())?,
            descriptors: handover.descriptors(),
            mask: self.mask,
        })
    }

    /// To be polled; `None` before [`Client::listen`].
    pub fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        self.listener.as_ref().map(Listener::as_fd)
    }
}
