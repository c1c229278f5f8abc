//! The journal: entries with fields, over its own socket.

use crate::model::journal::Entry;
use anyhow::{Context, Result};
use std::os::unix::net::UnixDatagram;

/// Where journald takes entries (systemd-journald.service(8)).
const SOCKET: &str = "/run/systemd/journal/socket";

/// Sends them. A journal that is away or full makes nobody wait.
pub fn send(entries: &[Entry]) -> Result<()> {
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    for entry in entries {
        socket.send_to(&entry.datagram(), SOCKET).with_context(|| format!("send to {SOCKET}"))?;
    }
    Ok(())
}
