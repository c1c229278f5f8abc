//! A process held by a pidfd, so that what is sent to it reaches it or nobody.

use super::procs;
use super::raw_signal;
use crate::model::policy::SignalName;
use crate::model::process::ProcessKey;
use rustix::event::{poll, PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::process::{pidfd_open, Pid, PidfdFlags};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

/// A process that cannot become another one.
#[derive(Debug)]
pub struct Pinned {
    /// Which process.
    pub key: ProcessKey,
    pidfd: OwnedFd,
    caught: u64,
}

/// Why a process was not signalled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotSent {
    /// It has ended, or another one has its number.
    Ended,
    /// It has no handler: the signal would do what the kernel does, which mostly is to kill.
    NoHandler,
    /// The kernel refused.
    Failed(String),
}

impl Pinned {
    /// Holds the process that was meant; `proc` must be the `/proc` of our own pid namespace.
    pub fn open(proc: &Path, key: ProcessKey) -> Result<Pinned, NotSent> {
        let pid = Pid::from_raw(key.pid).ok_or(NotSent::Ended)?;
        let pidfd = match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(pidfd) => pidfd,
            Err(Errno::SRCH) => return Err(NotSent::Ended),
            Err(error) => return Err(NotSent::Failed(format!("hold pid {}: {error}", key.pid))),
        };
        // Read behind the open: alive after it, these are the facts of the process that is held.
        let process = procs::open(proc, key.pid).map_err(|_| NotSent::Ended)?;
        let started = process.stat().map_err(|_| NotSent::Ended)?.start_ticks;
        let caught = process.caught_signals().unwrap_or(0);
        let pinned = Pinned { key, pidfd, caught };
        match started == key.start_ticks && !pinned.has_ended() {
            true => Ok(pinned),
            false => Err(NotSent::Ended),
        }
    }

    /// Whether it has ended.
    pub fn has_ended(&self) -> bool {
        self.ends_within(Duration::ZERO)
    }

    /// Waits for its end.
    pub fn ends_within(&self, wait: Duration) -> bool {
        let mut ready = [PollFd::new(&self.pidfd, PollFlags::IN)];
        let wait = Timespec::try_from(wait).ok();
        poll(&mut ready, wait.as_ref()).is_ok_and(|count| count > 0)
    }

    /// Whether it has a handler for a signal.
    pub fn handles(&self, signal: SignalName) -> bool {
        signal.is_in(self.caught)
    }

    /// Sends a signal, if the process has a handler for it.
    pub fn send(&self, signal: SignalName) -> Result<(), NotSent> {
        if !self.handles(signal) {
            return Err(NotSent::NoHandler);
        }
        raw_signal::send(self.pidfd.as_fd(), signal.number()).map_err(|error| match error {
            Errno::SRCH => NotSent::Ended,
            other => NotSent::Failed(other.to_string()),
        })
    }

    /// Sends a signal to a process of our own, whatever it does with it.
    pub fn send_plain(&self, signal: rustix::process::Signal) -> Result<(), Errno> {
        rustix::process::pidfd_send_signal(&self.pidfd, signal)
    }
}
