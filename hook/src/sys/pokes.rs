//! The socket on which any local user may say "look now": datagrams, of which only the sender counts.

use super::raw;
pub use super::raw::Sender;
use anyhow::{Context, Result};
use rustix::io::Errno;
use rustix::net::sockopt::set_socket_passcred;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::Path;

/// The kernel queues some ten datagrams (`net.unix.max_dgram_qlen`) and lets senders wait; what comes while
/// we read is left for the next look.
const MOST_READ: usize = 4096;

/// The socket.
#[derive(Debug)]
pub struct Pokes(OwnedFd);

impl Pokes {
    /// The socket of the service manager, else one at this path, which anybody may write to.
    pub fn open(path: &Path) -> Result<Pokes> {
        let socket = match inherited() {
            Some(socket) => socket,
            None => {
                match std::fs::remove_file(path) {
                    Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                        return Err(error).with_context(|| path.display().to_string());
                    }
                    _ => {}
                }
                let socket = UnixDatagram::bind(path).with_context(|| path.display().to_string())?;
                std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o666))?;
                OwnedFd::from(socket)
            }
        };
        set_socket_passcred(&socket, true).context("ask who sends")?;
        Ok(Pokes(socket))
    }

    /// To be polled.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    /// Takes what has come: the first sender, and how many there were.
    pub fn take(&self) -> (Option<Sender>, usize) {
        let (mut first, mut count) = (None, 0);
        while count < MOST_READ {
            match raw::receive_sender(self.fd()) {
                Ok(sender) => {
                    count += 1;
                    first = first.or(sender);
                }
                Err(Errno::INTR) => {}
                Err(_) => break,
            }
        }
        (first, count)
    }
}

/// The one socket that systemd passes (sd_listen_fds(3)); `None` where it passes none to us.
fn inherited() -> Option<OwnedFd> {
    const FIRST: i32 = 3;
    let number = |name: &str| std::env::var(name).ok()?.parse::<i32>().ok();
    let is_ours = number("LISTEN_PID") == Some(rustix::process::getpid().as_raw_nonzero().get());
    if !is_ours || number("LISTEN_FDS") != Some(1) {
        return None;
    }
    raw::inherited_descriptor(FIRST)
}
