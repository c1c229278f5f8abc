//! echo SOCKET: answers each line with its number on that connection, and goes on counting when it
//! has executed itself anew after an upgrade.
//!
//! Example of a daemon with one loop. Its listening socket, its connections and their counters are
//! handed over; a safe point is where no line is half read.

use reexec_client::{notify, Answer, Client, Handover};
use rustix::event::{poll, PollFd, PollFlags};
use std::error::Error;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::Duration;

/// More than that in one line, and the connection is closed.
const LONGEST_LINE: usize = 4096;
/// More than that is not from the program before.
const LARGEST_STATE: usize = 64 << 20;
const TRIAL: Duration = Duration::from_secs(5);

struct Connection {
    stream: UnixStream,
    count: u64,
    partial: Vec<u8>,
}

impl Connection {
    fn new(stream: UnixStream, count: u64) -> std::io::Result<Connection> {
        stream.set_nonblocking(true)?;
        Ok(Connection { stream, count, partial: Vec::new() })
    }

    /// Whether it goes on.
    fn serve(&mut self) -> bool {
        let mut buffer = [0; LONGEST_LINE];
        match self.stream.read(&mut buffer) {
            Ok(0) => return false,
            Ok(size) => self.partial.extend(&buffer[..size]),
            Err(error) => return matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted),
        }
        while let Some(end) = self.partial.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.partial.drain(..=end).collect();
            self.count += 1;
            let answer = [format!("{} ", self.count).as_bytes(), &line].concat();
            // Who does not read what it asked for is not served further.
            if self.stream.write_all(&answer).is_err() {
                return false;
            }
        }
        self.partial.len() < LONGEST_LINE
    }
}

/// What the program before handed over; nothing at the first start.
fn take_connections(client: &mut Client) -> Result<Vec<Connection>, Box<dyn Error>> {
    let state = client.inherited().take_state("counts", LARGEST_STATE)?.unwrap_or_default();
    let mut connections = Vec::new();
    for line in String::from_utf8(state)?.lines() {
        let Some(fd) = client.inherited().take("connection") else { break };
        connections.push(Connection::new(UnixStream::from(fd), line.parse()?)?);
    }
    Ok(connections)
}

/// The counters stand in the order of the connections.
fn handover<'fd>(
    listener: &'fd UnixListener,
    connections: &'fd [Connection],
) -> Result<Handover<'fd>, reexec_client::Error> {
    let counts: String = connections.iter().map(|connection| format!("{}\n", connection.count)).collect();
    let mut handover = Handover::new().pass("echo", listener)?.state("counts", counts.as_bytes())?;
    for connection in connections {
        handover.add("connection", connection.stream.as_fd())?;
    }
    Ok(handover.tried_with(["--check".into()], TRIAL))
}

fn wait(client: &Client, listener: &UnixListener, connections: &[Connection]) -> std::io::Result<()> {
    let mut fds = vec![PollFd::new(listener, PollFlags::IN)];
    let asks = client.as_fd();
    fds.extend(asks.as_ref().map(|fd| PollFd::new(fd, PollFlags::IN)));
    fds.extend(connections.iter().map(|connection| PollFd::new(&connection.stream, PollFlags::IN)));
    match poll(&mut fds, None) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut client = Client::start()?;
    let path = std::env::args().nth(1).ok_or("usage: echo SOCKET | --check")?;
    if path == "--check" {
        return Ok(());
    }
    let listener = match client.inherited().take("echo") {
        Some(fd) => UnixListener::from(fd),
        None => UnixListener::bind(path)?,
    };
    listener.set_nonblocking(true)?;
    let mut connections = take_connections(&mut client)?;
    client.listen()?;
    notify::ready()?;

    let mut wanted = false;
    loop {
        wait(&client, &listener, &connections)?;
        connections.retain_mut(Connection::serve);
        if let Ok((stream, _)) = listener.accept() {
            connections.push(Connection::new(stream, 0)?);
        }
        let asked = client.asked()?.is_some();
        let unfinished = connections.iter().filter(|connection| !connection.partial.is_empty()).count();
        if asked && unfinished > 0 {
            client.answer(&Answer::Later(format!("{unfinished} lines are half read")));
        }
        wanted |= asked;
        if wanted && unfinished == 0 {
            wanted = false;
            client.answer(&Answer::Will);
            // If this returns, whoever asked was told why, and all goes on.
            let failed = client.execute(&handover(&listener, &connections)?);
            notify::notify(&format!("STATUS={failed}"))?;
        }
    }
}
