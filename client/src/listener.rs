//! The socket on which a daemon is asked, and the conversations on it.

use crate::protocol::{Answer, Ask, ProtocolError, MAX_MESSAGE, NAME, PATIENCE, TOKEN_DIGITS};
use crate::raw;
use rustix::event::epoll;
use rustix::io::Errno;
use rustix::net::{self, AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType};
use rustix::rand::{getrandom, GetRandomFlags};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

/// Conversations at a time.
const MOST: usize = 8;
/// Events in one look; what is left is there at the next.
const EVENTS: usize = 32;
/// The listening socket among the events; conversations are counted from 1.
const LISTENER: u64 = 0;

/// Somebody who asks, as the kernel says who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked {
    /// The process that asks; 0 where it has no number in this pid namespace.
    pub pid: u32,
    /// Its user.
    pub uid: u32,
    /// How long it will wait, if it said so.
    pub within: Option<Duration>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Connected, and has not asked yet.
    Silent(Instant),
    /// Asked, and has no answer yet.
    Asked(Asked),
    /// Was told `later` or `will`; what comes of it is still to be said.
    Told,
    /// To be hung up on.
    Over,
}

#[derive(Debug)]
struct Conversation {
    number: u64,
    socket: OwnedFd,
    peer: raw::Peer,
    stage: Stage,
}

/// The listening socket; never blocks.
#[derive(Debug)]
pub(crate) struct Listener {
    socket: OwnedFd,
    events: OwnedFd,
    conversations: Vec<Conversation>,
    last_number: u64,
    /// Out of descriptors: the next look tries again. Until then nobody is woken in vain.
    is_paused: bool,
    /// Listening is this process's: a child that has a copy is not asked.
    process: u32,
}

impl Listener {
    /// Listens under a new name.
    pub(crate) fn bind() -> io::Result<Listener> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
        net::bind(&socket, &SocketAddrUnix::new_abstract_name(&new_name()?)?)?;
        net::listen(&socket, MOST as i32)?;
        let events = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let process = std::process::id();
        let conversations = Vec::new();
        let mut new = Listener { socket, events, conversations, last_number: LISTENER, is_paused: true, process };
        new.resume()?;
        Ok(new)
    }

    fn resume(&mut self) -> io::Result<()> {
        if self.is_paused {
            epoll::add(&self.events, &self.socket, epoll::EventData::new_u64(LISTENER), epoll::EventFlags::IN)?;
            self.is_paused = false;
        }
        Ok(())
    }

    /// Readable when there may be something to do.
    pub(crate) fn as_fd(&self) -> BorrowedFd<'_> {
        self.events.as_fd()
    }

    /// Hears whoever has something to say; returns who waits for an answer.
    pub(crate) fn look(&mut self) -> io::Result<Option<Asked>> {
        if std::process::id() != self.process {
            return Err(io::Error::other("this process was forked from the one that is asked"));
        }
        self.resume()?;
        let mut buffer = Vec::with_capacity(EVENTS);
        let zero = rustix::time::Timespec { tv_sec: 0, tv_nsec: 0 };
        epoll::wait(&self.events, rustix::buffer::spare_capacity(&mut buffer), Some(&zero))?;
        let now = Instant::now();
        for event in &buffer {
            match event.data.u64() {
                LISTENER => self.accept(now)?,
                number => self.hear(number),
            }
        }
        for conversation in &mut self.conversations {
            if matches!(conversation.stage, Stage::Silent(since) if now.duration_since(since) > PATIENCE) {
                conversation.tell(&Answer::No("nothing was asked".to_owned()));
            }
        }
        self.hang_up();
        let asked = self.conversations.iter().find_map(|conversation| match conversation.stage {
            Stage::Asked(asked) => Some(asked),
            Stage::Silent(_) | Stage::Told | Stage::Over => None,
        });
        Ok(asked)
    }

    /// Answers all who wait for an answer, and all who were told that something is still to come.
    pub(crate) fn tell(&mut self, answer: &Answer) {
        for conversation in &mut self.conversations {
            if matches!(conversation.stage, Stage::Asked(_) | Stage::Told) {
                conversation.tell(answer);
            }
        }
        self.hang_up();
    }

    fn accept(&mut self, now: Instant) -> io::Result<()> {
        // At most as many as can wait in line, so that nobody who keeps connecting holds us here.
        for _ in 0..MOST {
            match net::accept_with(&self.socket, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK) {
                Ok(socket) => self.admit(socket, now)?,
                Err(Errno::AGAIN) => return Ok(()),
                Err(Errno::INTR | Errno::CONNABORTED) => {}
                Err(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM) => {
                    epoll::delete(&self.events, &self.socket)?;
                    self.is_paused = true;
                    return Ok(());
                }
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(())
    }

    fn admit(&mut self, socket: OwnedFd, now: Instant) -> io::Result<()> {
        let peer = raw::peer(socket.as_fd())?;
        self.last_number += 1;
        let mut new = Conversation { number: self.last_number, socket, peer, stage: Stage::Silent(now) };
        if let Some(why) = distrust(peer) {
            new.tell(&Answer::No(why));
            return Ok(());
        }
        if self.conversations.len() >= MOST {
            let silent = self.conversations.iter().position(|one| matches!(one.stage, Stage::Silent(_)));
            let Some(silent) = silent else {
                new.tell(&Answer::No("too many ask at the same time".to_owned()));
                return Ok(());
            };
            self.conversations[silent].tell(&Answer::No("others ask".to_owned()));
            self.hang_up();
        }
        let data = epoll::EventData::new_u64(new.number);
        epoll::add(&self.events, &new.socket, data, epoll::EventFlags::IN | epoll::EventFlags::RDHUP)?;
        self.conversations.push(new);
        // Most ask right when they connect.
        self.hear(self.last_number);
        Ok(())
    }

    fn hear(&mut self, number: u64) {
        if let Some(conversation) = self.conversations.iter_mut().find(|one| one.number == number) {
            conversation.hear();
        }
    }

    fn hang_up(&mut self) {
        for over in self.conversations.extract_if(.., |one| one.stage == Stage::Over) {
            // A forked child may have a copy of the socket, and then closing ours is not enough.
            let _ = epoll::delete(&self.events, &over.socket);
        }
    }
}

impl Conversation {
    /// Reads one packet; the rest of a longer one is lost, which its length tells.
    fn hear(&mut self) {
        let mut buffer = [0_u8; MAX_MESSAGE + 1];
        let said = match net::recv(&self.socket, &mut buffer, RecvFlags::TRUNC) {
            Ok((_, 0)) => {
                self.stage = Stage::Over;
                return;
            }
            Ok((_, size)) if size > MAX_MESSAGE => Err(ProtocolError::TooLong),
            Ok((size, _)) => Ask::parse(&buffer[..size]),
            Err(Errno::AGAIN | Errno::INTR) => return,
            Err(_) => {
                self.stage = Stage::Over;
                return;
            }
        };
        match (self.stage, said) {
            (Stage::Silent(_) | Stage::Told, Ok(ask)) => {
                let pid = u32::try_from(self.peer.pid).unwrap_or(0);
                self.stage = Stage::Asked(Asked { pid, uid: self.peer.uid, within: ask.within });
            }
            (_, Err(why)) => self.tell(&Answer::No(why.to_string())),
            // Once more before it has an answer: one question.
            (Stage::Asked(_) | Stage::Over, Ok(_)) => {}
        }
    }

    /// A peer that does not read its answers has none.
    fn tell(&mut self, answer: &Answer) {
        let message = answer.message();
        let sent = net::send(&self.socket, message.as_bytes(), SendFlags::NOSIGNAL | SendFlags::DONTWAIT);
        self.stage = if sent.is_ok() && answer.is_open() { Stage::Told } else { Stage::Over };
        if self.stage == Stage::Over {
            // Closed with something unread in it, a socket ends with ECONNRESET before the answer.
            let _ = net::recv(&self.socket, &mut [0_u8; 1], RecvFlags::DONTWAIT);
        }
    }
}

/// Why this peer is not heard.
fn distrust(peer: raw::Peer) -> Option<String> {
    let me = rustix::process::geteuid().as_raw();
    if peer.uid != 0 && peer.uid != me {
        return Some(format!("user {} may not ask a process of user {me}", peer.uid));
    }
    is_contained(peer.pid).then(|| "a process in a container may not ask".to_owned())
}

/// Whether the process lives in a pid namespace below ours. One that we cannot see (0, hidden, or
/// gone) is above us or beside us: its user decides.
fn is_contained(pid: i32) -> bool {
    let status = std::fs::read(format!("/proc/{pid}/status")).unwrap_or_default();
    numbers_of(&status) > 1
}

/// How many pids a process has, one for each namespace from the one of `/proc` down to its own.
fn numbers_of(status: &[u8]) -> usize {
    let mut lines = status.split(|byte| *byte == b'\n');
    let numbers = lines.find_map(|line| line.strip_prefix(b"NSpid:"));
    let words = numbers.unwrap_or_default().split(u8::is_ascii_whitespace);
    words.filter(|word| !word.is_empty()).count()
}

fn new_name() -> io::Result<Vec<u8>> {
    let mut token = [0_u8; TOKEN_DIGITS / 2];
    // Sixteen bytes come whole, or not at all (getrandom(2)).
    getrandom(&mut token, GetRandomFlags::empty())?;
    let mut name = NAME.to_vec();
    for byte in token {
        name.extend(format!("{byte:02x}").bytes());
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_in_a_container_is_told_from_the_numbers_of_its_process() {
        for (status, expected) in
            [(&b"Name:\tx\nNSpid:\t12\nNSpgid:\t12\n"[..], 1), (b"Name:\tx\nNSpid:\t12\t3\nNSpgid:\t12\n", 2), (b"", 0)]
        {
            assert_eq!(numbers_of(status), expected);
        }
        assert!(!is_contained(std::process::id() as i32));
        assert!(!is_contained(0));
    }

    #[test]
    fn root_and_the_own_user_are_heard_and_nobody_else() {
        let me = rustix::process::geteuid().as_raw();
        let distrusted = |uid| distrust(raw::Peer { pid: 0, uid });
        assert_eq!((distrusted(0), distrusted(me)), (None, None));
        assert_eq!(distrusted(65534), Some(format!("user 65534 may not ask a process of user {me}")));
    }

    #[test]
    fn names_are_new_each_time() {
        let (one, other) = (new_name().expect("a name"), new_name().expect("a name"));
        assert_ne!(one, other);
        assert_eq!(one.len(), NAME.len() + TOKEN_DIGITS);
        assert!(one.starts_with(NAME));
    }
}
