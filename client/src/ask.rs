//! The asker's side: finds the daemon's socket, makes sure that the daemon is at its other end, asks.

use crate::protocol::{Answer, Ask, ProtocolError, MAX_MESSAGE, NAME, PATIENCE, TOKEN_DIGITS};
use crate::raw;
use rustix::event::{poll, PollFd, PollFlags, Timespec};
use rustix::fs::stat;
use rustix::io::Errno;
use rustix::net::{self, AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType};
use rustix::process::{pidfd_open, Pid, PidfdFlags};
use std::collections::HashSet;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::time::{Duration, Instant};

/// Lines of `net/unix` that are tried: an attacker can make more.
const MOST_CANDIDATES: usize = 4096;
/// As much as is read of `net/unix`: some 100,000 sockets.
const MOST_TEXT: u64 = 16 << 20;
/// How long to wait when the daemon's queue is full.
const FULL: Duration = Duration::from_millis(10);
/// `SOCK_SEQPACKET` and `__SO_ACCEPTCON` as `net/unix` prints them.
const SEQPACKET: &[u8] = b"0005";
const LISTENING: &[u8] = b"00010000";

/// A process that cannot be mistaken for a later one under the same pid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    /// Its number in our pid namespace.
    pub pid: u32,
    /// When it was started: field 22 of `/proc/PID/stat`.
    pub start_ticks: u64,
}

/// Why a process was not asked, or gave no answer.
#[derive(Debug)]
#[non_exhaustive]
pub enum Unasked {
    /// It is not there any more.
    Gone,
    /// It has no socket for that: it does not link the client.
    NoListener,
    /// So many sockets had the name, and none was the process's own.
    NotTheProcess(usize),
    /// It did not answer in time.
    NoAnswer,
    /// It hung up without an answer.
    HungUp,
    /// It said something that is not in the protocol.
    Protocol(ProtocolError),
    /// What was tried, and what the system said.
    Io(&'static str, io::Error),
}

impl fmt::Display for Unasked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unasked::Gone => f.write_str("the process is gone"),
            Unasked::NoListener => f.write_str("it has no socket to be asked on (it does not link reexec-client)"),
            Unasked::NotTheProcess(count) => write!(f, "{count} sockets pose as its own, and none is"),
            Unasked::NoAnswer => f.write_str("no answer in time"),
            Unasked::HungUp => f.write_str("it hung up without an answer"),
            Unasked::Protocol(why) => write!(f, "its answer is none: {why}"),
            Unasked::Io(what, error) => write!(f, "could not {what}: {error}"),
        }
    }
}

impl std::error::Error for Unasked {}

impl Unasked {
    fn io(what: &'static str) -> impl Fn(io::Error) -> Unasked {
        move |error| match error.kind() {
            io::ErrorKind::NotFound => Unasked::Gone,
            // The process ended between two looks.
            _ if error.raw_os_error() == Some(Errno::SRCH.raw_os_error()) => Unasked::Gone,
            _ => Unasked::Io(what, error),
        }
    }
}

/// A daemon that has answered. Dropping it hangs up; what was said stays said.
#[derive(Debug)]
pub struct Conversation {
    socket: OwnedFd,
    answer: Answer,
}

/// What came after the first answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// The daemon said something more.
    Said(Answer),
    /// It hung up: it has executed itself, or ended.
    Ended,
    /// Nothing yet.
    Nothing,
}

impl Conversation {
    /// The last thing that the daemon said.
    pub fn answer(&self) -> &Answer {
        &self.answer
    }

    /// Waits for what comes after it.
    pub fn next(&mut self, deadline: Instant) -> Next {
        match receive(&self.socket, deadline) {
            Ok(answer) => {
                self.answer = answer.clone();
                Next::Said(answer)
            }
            Err(Unasked::NoAnswer) => Next::Nothing,
            Err(_) => Next::Ended,
        }
    }
}

/// The names under which the process may listen, and how many it has at most. Looks only; empty where
/// the process does not link the client.
pub fn names(pid: u32) -> Result<Vec<Vec<u8>>, Unasked> {
    let inodes = socket_inodes(pid).map_err(Unasked::io("look at its descriptors"))?;
    let text = File::open(format!("/proc/{pid}/net/unix")).map_err(Unasked::io("look at its sockets"))?;
    let mut text = BufReader::new(text.take(MOST_TEXT));
    let (mut found, mut line) = (Vec::new(), Vec::new());
    while found.len() < MOST_CANDIDATES {
        line.clear();
        match text.read_until(b'\n', &mut line) {
            Ok(0) => break,
            Ok(_) => found.extend(name_in(&line, &inodes).map(<[u8]>::to_vec)),
            Err(error) => return Err(Unasked::io("look at its sockets")(error)),
        }
    }
    Ok(found)
}

/// Asks the process, and waits for the first answer: not longer than until the deadline.
pub fn ask(target: Target, question: Ask, deadline: Instant) -> Result<Conversation, Unasked> {
    let pidfd = open(target)?;
    let names = names(target.pid)?;
    if names.is_empty() {
        return Err(Unasked::NoListener);
    }
    let socket = connect_to(target, pidfd.as_fd(), &names, deadline)?;
    let message = question.message();
    net::send(&socket, message.as_bytes(), SendFlags::NOSIGNAL | SendFlags::DONTWAIT)
        .map_err(|errno| match errno {
            Errno::PIPE | Errno::CONNRESET => Unasked::HungUp,
            errno => Unasked::Io("ask", errno.into()),
        })
        .or_else(|refused| if matches!(refused, Unasked::HungUp) { Ok(0) } else { Err(refused) })?;
    let answer = receive(&socket, deadline.min(Instant::now() + PATIENCE))?;
    Ok(Conversation { socket, answer })
}

/// A pidfd of the process, and not of a later one.
fn open(target: Target) -> Result<OwnedFd, Unasked> {
    let pid = i32::try_from(target.pid).ok().and_then(Pid::from_raw).ok_or(Unasked::Gone)?;
    let pidfd = pidfd_open(pid, PidfdFlags::empty()).map_err(|errno| Unasked::io("hold it")(errno.into()))?;
    let stat = fs::read(format!("/proc/{}/stat", target.pid)).map_err(Unasked::io("look at it"))?;
    if start_ticks(&stat) != Some(target.start_ticks) {
        return Err(Unasked::Gone);
    }
    Ok(pidfd)
}

/// Field 22; the name in parentheses may hold anything.
fn start_ticks(stat: &[u8]) -> Option<u64> {
    let behind = stat.iter().rposition(|byte| *byte == b')')? + 1;
    let mut fields = std::str::from_utf8(&stat[behind..]).ok()?.split_ascii_whitespace();
    fields.nth(19)?.parse().ok()
}

fn socket_inodes(pid: u32) -> io::Result<HashSet<u64>> {
    let mut inodes = HashSet::new();
    for entry in fs::read_dir(format!("/proc/{pid}/fd"))? {
        // Closed since it was listed.
        let Ok(link) = fs::read_link(entry?.path()) else { continue };
        let inode = link.as_os_str().as_bytes().strip_prefix(b"socket:[").and_then(|rest| rest.strip_suffix(b"]"));
        inodes.extend(inode.and_then(number));
    }
    Ok(inodes)
}

fn number(digits: &[u8]) -> Option<u64> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// The name on a line of `net/unix`, if it is one of ours and its inode one of these. Names may hold
/// line breaks, so a line proves nothing.
fn name_in<'line>(line: &'line [u8], inodes: &HashSet<u64>) -> Option<&'line [u8]> {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let mut fields = line.split(|byte| *byte == b' ').filter(|field| !field.is_empty()).skip(3);
    if fields.next() != Some(LISTENING) || fields.next() != Some(SEQPACKET) {
        return None;
    }
    let inode = fields.nth(1).and_then(number)?;
    let name = fields.next()?.strip_prefix(b"@")?;
    let token = name.strip_prefix(NAME)?;
    let is_digit = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let ours = token.len() == TOKEN_DIGITS && token.iter().all(is_digit) && fields.next().is_none();
    (ours && inodes.contains(&inode)).then_some(name)
}

/// Connects to the first of these that is the process's own.
fn connect_to(target: Target, pidfd: BorrowedFd<'_>, names: &[Vec<u8>], deadline: Instant) -> Result<OwnedFd, Unasked> {
    let theirs = format!("/proc/{}/ns/net", target.pid);
    let connect = || {
        for name in names {
            let Some(socket) = connect(name, deadline)? else { continue };
            if is_of(socket.as_fd(), target, pidfd)? {
                return Ok(socket);
            }
        }
        Err(Unasked::NotTheProcess(names.len()))
    };
    let look = |path: &str| stat(path).map(|stat| (stat.st_dev, stat.st_ino)).map_err(io::Error::from);
    let their_id = look(&theirs).map_err(Unasked::io("look at its network namespace"))?;
    let our_id =
        look("/proc/thread-self/ns/net").map_err(|error| Unasked::Io("look at our network namespace", error))?;
    if their_id == our_id {
        return connect();
    }
    // Only the thread changes its namespace, and it ends.
    let entered = || {
        let namespace = File::open(&theirs).map_err(Unasked::io("open its network namespace"))?;
        let kind = Some(rustix::thread::LinkNameSpaceType::Network);
        rustix::thread::move_into_link_name_space(namespace.as_fd(), kind)
            .map_err(|errno| Unasked::Io("enter its network namespace", errno.into()))?;
        connect()
    };
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().spawn_scoped(scope, entered);
        let thread = thread.map_err(|error| Unasked::Io("start a thread", error))?;
        thread.join().unwrap_or_else(|_| Err(Unasked::Io("connect", io::Error::other("the thread panicked"))))
    })
}

/// `None` when nobody listens there any more.
fn connect(name: &[u8], deadline: Instant) -> Result<Option<OwnedFd>, Unasked> {
    let failed = |errno: Errno| Unasked::Io("connect", errno.into());
    let address = SocketAddrUnix::new_abstract_name(name).map_err(failed)?;
    loop {
        if Instant::now() >= deadline {
            return Err(Unasked::NoAnswer);
        }
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).map_err(failed)?;
        match net::connect(&socket, &address) {
            Ok(()) => return Ok(Some(socket)),
            Err(Errno::AGAIN | Errno::INTR) => std::thread::sleep(FULL),
            Err(Errno::CONNREFUSED) => return Ok(None),
            Err(errno) => return Err(failed(errno)),
        }
    }
}

/// Whether whoever listens is the process that `pidfd` holds.
fn is_of(socket: BorrowedFd<'_>, target: Target, pidfd: BorrowedFd<'_>) -> Result<bool, Unasked> {
    let Some(alive) = pid_of(pidfd)? else { return Err(Unasked::Gone) };
    match raw::peer_pidfd(socket) {
        // Two pidfds of living processes with one number are of one process.
        Ok(peer) => Ok(pid_of(peer.as_fd())? == Some(alive)),
        // Before Linux 6.5. The listening process was held before it was listed, so that a number that
        // is used again cannot pass for it unless the daemon itself holds a socket of the one before.
        Err(error) if error.raw_os_error() == Some(Errno::NOPROTOOPT.raw_os_error()) => {
            let peer = raw::peer(socket).map_err(|error| Unasked::Io("see who listens", error))?;
            Ok(u32::try_from(peer.pid) == Ok(target.pid))
        }
        // Whoever listened is gone: not the process that we hold.
        Err(_) => Ok(false),
    }
}

/// The number of the process that a pidfd holds; `None` once it has ended (`Pid:` of `fdinfo`).
fn pid_of(pidfd: BorrowedFd<'_>) -> Result<Option<u32>, Unasked> {
    let info = fs::read_to_string(format!("/proc/thread-self/fdinfo/{}", pidfd.as_raw_fd()))
        .map_err(|error| Unasked::Io("read fdinfo", error))?;
    let line = info.lines().find_map(|line| line.strip_prefix("Pid:"));
    Ok(line.and_then(|number| number.trim().parse().ok()))
}

fn receive(socket: &OwnedFd, deadline: Instant) -> Result<Answer, Unasked> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout =
            Timespec { tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX), tv_nsec: left.subsec_nanos().into() };
        match poll(&mut [PollFd::new(socket, PollFlags::IN)], Some(&timeout)) {
            Ok(0) => return Err(Unasked::NoAnswer),
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(Unasked::Io("wait for an answer", errno.into())),
        }
        let mut buffer = [0_u8; MAX_MESSAGE + 1];
        match net::recv(socket, &mut buffer, RecvFlags::TRUNC | RecvFlags::DONTWAIT) {
            Ok((_, 0)) => return Err(Unasked::HungUp),
            Ok((_, size)) if size > MAX_MESSAGE => return Err(Unasked::Protocol(ProtocolError::TooLong)),
            Ok((size, _)) => return Answer::parse(&buffer[..size]).map_err(Unasked::Protocol),
            // The reset is told once, before what was said.
            Err(Errno::AGAIN | Errno::INTR | Errno::CONNRESET) => {}
            Err(errno) => return Err(Unasked::Io("hear an answer", errno.into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "0123456789abcdef0123456789abcdef";

    #[test]
    fn the_line_of_a_listening_socket_of_the_process_is_found_and_no_other() {
        let inodes = HashSet::from([77]);
        let line = |flags: &str, kind: &str, inode: u32, name: &str| {
            format!("ffff8881: 00000002 00000000 {flags} {kind} 01 {inode:5} {name}\n")
        };
        let name = format!("@reexec-client/1/{TOKEN}");
        for (text, expected) in [
            (line("00010000", "0005", 77, &name), Some(&name[1..])),
            (line("00010000", "0005", 78, &name), None),
            (line("00000000", "0005", 77, &name), None),
            (line("00010000", "0001", 77, &name), None),
            (line("00010000", "0005", 77, &name[1..]), None),
            (line("00010000", "0005", 77, &format!("{name}0")), None),
            (line("00010000", "0005", 77, &format!("{name} x")), None),
            (line("00010000", "0005", 77, &name.to_uppercase()), None),
            (line("00010000", "0005", 77, ""), None),
            ("Num       RefCount Protocol Flags    Type St Inode Path\n".to_owned(), None),
            (String::new(), None),
        ] {
            assert_eq!(name_in(text.as_bytes(), &inodes), expected.map(str::as_bytes), "{text}");
        }
    }

    #[test]
    fn start_ticks_are_found_behind_any_name() {
        let rest: Vec<String> = (3..=30).map(|field| field.to_string()).collect();
        let stat = format!("12 (a) b (c)\n) S {}", rest[1..].join(" "));
        assert_eq!(start_ticks(stat.as_bytes()), Some(22));
        assert_eq!(start_ticks(b"12 (a"), None);
    }

    #[test]
    fn a_later_process_under_the_same_number_is_not_asked() {
        let pid = std::process::id();
        let ticks = fs::read("/proc/self/stat").ok().and_then(|stat| start_ticks(&stat)).expect("ticks");
        assert!(open(Target { pid, start_ticks: ticks }).is_ok());
        assert!(matches!(open(Target { pid, start_ticks: ticks + 1 }), Err(Unasked::Gone)));
    }
}
