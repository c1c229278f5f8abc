//! What a service manager is told: `sd_notify(3)`, without its library.

use rustix::net::{sendto, socket_with, AddressFamily, SendFlags, SocketAddrUnix, SocketFlags, SocketType};
use rustix::time::{clock_gettime, ClockId};
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;

/// Whether somebody was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notified {
    /// The message was sent.
    Sent,
    /// Nobody wants to know: `NOTIFY_SOCKET` is not set.
    NoListener,
}

/// Says that the program is ready: after its start, and after each execution.
pub fn ready() -> io::Result<Notified> {
    notify("READY=1")
}

/// Says that the program is about to execute itself; `ready` ends that.
pub(crate) fn reloading() -> io::Result<Notified> {
    let now = clock_gettime(ClockId::Monotonic);
    // `Type=notify-reload` (systemd 253) wants the time, so that an older message is not taken for
    // the answer to a newer request.
    let microseconds = i128::from(now.tv_sec) * 1_000_000 + i128::from(now.tv_nsec) / 1000;
    notify(&format!("RELOADING=1\nMONOTONIC_USEC={microseconds}"))
}

/// Sends lines of `NAME=VALUE`.
pub fn notify(lines: &str) -> io::Result<Notified> {
    match std::env::var_os("NOTIFY_SOCKET") {
        None => Ok(Notified::NoListener),
        Some(address) if address.is_empty() => Ok(Notified::NoListener),
        Some(address) => send(&address, lines).map(|()| Notified::Sent),
    }
}

fn send(address: &OsStr, lines: &str) -> io::Result<()> {
    let address = match address.as_bytes() {
        [b'@', name @ ..] => SocketAddrUnix::new_abstract_name(name)?,
        [b'/', ..] => SocketAddrUnix::new(address)?,
        _ => return Err(io::Error::other("NOTIFY_SOCKET is neither a path nor an abstract socket")),
    };
    // As sd_notify does it, blocking: the manager reads at once, and a message that is lost would
    // leave the unit in "reloading".
    let socket = socket_with(AddressFamily::UNIX, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    sendto(&socket, lines.as_bytes(), SendFlags::NOSIGNAL, &address)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::{SocketAddr, UnixDatagram};

    fn heard(socket: &UnixDatagram) -> String {
        let mut buffer = [0; 100];
        let size = socket.recv(&mut buffer).expect("a message");
        String::from_utf8_lossy(&buffer[..size]).into_owned()
    }

    #[test]
    fn both_kinds_of_sockets_are_reached() {
        let folder = Scratch::new("notify");
        let path = folder.join("notify");
        let socket = UnixDatagram::bind(&path).expect("bind");
        send(path.as_os_str(), "READY=1").expect("sent");
        assert_eq!(heard(&socket), "READY=1");
        let name = format!("reexec-notify-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).expect("an address");
        let socket = UnixDatagram::bind_addr(&address).expect("bind");
        send(OsStr::new(&format!("@{name}")), "STATUS=x").expect("sent");
        assert_eq!(heard(&socket), "STATUS=x");
        assert!(send(OsStr::new("vsock:2:1"), "READY=1").is_err());
    }
}
