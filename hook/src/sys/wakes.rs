//! What the update service waits for: signals, a datagram, or that time is over. Between them nothing runs.

use super::pokes::Pokes;
use anyhow::{Context, Result};
use rustix::event::{poll, PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::Read;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::time::Duration;

/// Signals as bytes, so that one can wait for them.
#[derive(Debug)]
pub struct Wakes {
    signals: UnixStream,
    end: Arc<AtomicBool>,
    again: Arc<AtomicBool>,
}

/// Why a wait was over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wake {
    /// SIGTERM or SIGINT: end.
    End,
    /// SIGHUP: look now.
    Again,
    /// Somebody wrote to the socket.
    Poked,
    /// The time is over.
    Time,
}

impl Wakes {
    /// Takes the signals from now on.
    pub fn new() -> Result<Wakes> {
        use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
        let (signals, writer) = UnixStream::pair().context("a pipe for signals")?;
        let (end, again) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        for (signal, flag) in [(SIGTERM, &end), (SIGINT, &end), (SIGHUP, &again)] {
            // The flag first: whoever is woken by the byte finds it set.
            signal_hook::flag::register(signal, Arc::clone(flag)).context("take a signal")?;
            signal_hook::low_level::pipe::register(signal, writer.try_clone()?).context("take a signal")?;
        }
        signals.set_nonblocking(true)?;
        Ok(Wakes { signals, end, again })
    }

    /// Whether to end.
    pub fn is_over(&self) -> bool {
        self.end.load(Ordering::Relaxed)
    }

    /// Waits; the socket counts only where it is given.
    pub fn wait(&mut self, pokes: Option<&Pokes>, most: Duration) -> Result<Wake> {
        let timeout = Timespec::try_from(most).ok();
        let mut ready = vec![PollFd::new(&self.signals, PollFlags::IN)];
        let poked = pokes.map(Pokes::fd);
        ready.extend(poked.as_ref().map(|fd| PollFd::new(fd, PollFlags::IN)));
        match poll(&mut ready, timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error).context("wait"),
        }
        let is_poked = ready.get(1).is_some_and(|fd| fd.revents().contains(PollFlags::IN));
        drop(ready);
        while matches!(self.signals.read(&mut [0; 64]), Ok(1..)) {}
        Ok(match (self.is_over(), self.again.swap(false, Ordering::Relaxed), is_poked) {
            (true, ..) => Wake::End,
            (false, true, _) => Wake::Again,
            (false, false, true) => Wake::Poked,
            (false, false, false) => Wake::Time,
        })
    }
}

/// A number from 0 to 1 that nobody can foretell: std seeds its hashes from the kernel.
pub fn chance() -> f64 {
    let number = RandomState::new().build_hasher().finish() >> 11;
    number as f64 / (1_u64 << 53) as f64
}
