//! The descriptors that this program was started with, by the convention of systemd's socket
//! activation: `LISTEN_PID`, `LISTEN_FDS`, `LISTEN_FDNAMES` (`sd_listen_fds(3)`).

use crate::raw;
use rustix::fs::{fcntl_get_seals, fstat, SealFlags};
use rustix::io::Errno;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

/// The variables of the convention; `LISTEN_PIDFDID` is of systemd 258.
pub(crate) const VARIABLES: [&str; 4] = ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PIDFDID"];
/// The longest name (`FDNAME_MAX` of systemd).
pub(crate) const MAX_NAME: usize = 255;
/// As many as one may hand over: far more than any limit on open files lets happen by mistake.
pub(crate) const MOST: usize = 1 << 20;
/// What a descriptor without a name is called (`sd_listen_fds_with_names(3)`).
const UNNAMED: &str = "unknown";
/// How the memory file of a state is sealed.
pub(crate) const SEALS: SealFlags =
    SealFlags::WRITE.union(SealFlags::GROW).union(SealFlags::SHRINK).union(SealFlags::SEAL);

/// Descriptors that were handed over, in their order; each is taken once.
#[derive(Debug, Default)]
pub struct Inherited(Vec<(String, OwnedFd)>);

/// Numbers and names as the environment has them; `None` where they are not for this process.
fn announced(variable: impl Fn(&str) -> Option<OsString>, pid: u32) -> Option<(usize, Vec<String>)> {
    let number = |name: &str| -> Option<usize> { variable(name)?.to_str()?.parse().ok() };
    if number("LISTEN_PID") != usize::try_from(pid).ok() {
        return None;
    }
    let count = number("LISTEN_FDS").filter(|count| *count <= MOST)?;
    let text = variable("LISTEN_FDNAMES").unwrap_or_default();
    let names = text.as_bytes().split(|byte| *byte == b':').filter(|_| !text.is_empty());
    Some((count, names.map(|name| String::from_utf8_lossy(name).into_owned()).collect()))
}

impl Inherited {
    /// Takes what was announced to this process, and marks every other descriptor behind standard
    /// error close-on-exec; those that were announced, too.
    ///
    /// To be called once, before anything else opens descriptors that are to be kept over `exec`.
    pub(crate) fn take_all() -> io::Result<Inherited> {
        raw::close_on_exec_from(raw::FIRST)?;
        let Some((count, names)) = announced(|name| std::env::var_os(name), std::process::id()) else {
            return Ok(Inherited::default());
        };
        let mut names = names.into_iter();
        let mut taken = Vec::new();
        for number in (raw::FIRST..).take(count) {
            let name = names.next().unwrap_or_else(|| UNNAMED.to_owned());
            // A lie in the environment, or somebody closed it: there is nothing to take.
            taken.extend(raw::inherited(number).map(|fd| (name, fd)));
        }
        Ok(Inherited(taken))
    }

    /// The next one with this name.
    pub fn take(&mut self, name: &str) -> Option<OwnedFd> {
        let at = self.0.iter().position(|(found, _)| found == name)?;
        Some(self.0.remove(at).1)
    }

    /// The bytes that the program before handed over under this name, at most `limit` of them.
    ///
    /// Only a memory file that nobody can change any more is read; another descriptor under this name
    /// is an error, and more bytes are one of the kind `FileTooLarge`.
    pub fn take_state(&mut self, name: &str, limit: usize) -> io::Result<Option<Vec<u8>>> {
        self.take(name).map(|fd| read_state(fd, limit)).transpose()
    }

    /// The names of what nobody has taken yet.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    /// Takes all that is left, with its names.
    pub fn take_rest(&mut self) -> Vec<(String, OwnedFd)> {
        std::mem::take(&mut self.0)
    }
}

fn read_state(fd: OwnedFd, limit: usize) -> io::Result<Vec<u8>> {
    let sealed = fcntl_get_seals(&fd).unwrap_or(SealFlags::empty());
    if !sealed.contains(SEALS.difference(SealFlags::SEAL)) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the state is not a sealed memory file"));
    }
    let size = usize::try_from(fstat(&fd)?.st_size).map_err(io::Error::other)?;
    if size > limit {
        let why = format!("the state has {size} bytes, more than {limit}");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, why));
    }
    let mut file = File::from(fd);
    file.seek(SeekFrom::Start(0))?;
    let mut state = Vec::with_capacity(size);
    file.read_to_end(&mut state)?;
    Ok(state)
}

/// A memory file with these bytes that nobody can change any more.
pub(crate) fn write_state(name: &str, state: &[u8]) -> io::Result<OwnedFd> {
    use rustix::fs::{fcntl_add_seals, memfd_create, MemfdFlags};
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let quiet = memfd_create(format!("reexec-state:{name}"), flags | MemfdFlags::NOEXEC_SEAL);
    let fd = match quiet {
        // The flag is of Linux 6.3.
        Err(Errno::INVAL) => memfd_create(format!("reexec-state:{name}"), flags)?,
        made => made?,
    };
    let mut file = File::from(fd);
    io::Write::write_all(&mut file, state)?;
    fcntl_add_seals(file.as_fd(), SEALS)?;
    Ok(file.into())
}

/// Whether a descriptor can have that name: as systemd has it, printable ASCII without a colon.
pub(crate) fn is_name(name: &str) -> bool {
    let fits = |byte: u8| (b' '..=b'~').contains(&byte) && byte != b':';
    (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(pid: &str, fds: &str, names: Option<&str>) -> Option<(usize, Vec<String>)> {
        let variable = |name: &str| match name {
            "LISTEN_PID" => Some(pid.into()),
            "LISTEN_FDS" => Some(fds.into()),
            "LISTEN_FDNAMES" => names.map(Into::into),
            _ => None,
        };
        announced(variable, 7)
    }

    #[test]
    fn the_environment_is_read_as_systemd_writes_it() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        for (pid, fds, listed, expected) in [
            ("7", "2", Some("http:state"), Some((2, names(&["http", "state"])))),
            ("7", "2", Some("http"), Some((2, names(&["http"])))),
            ("7", "2", Some(":x"), Some((2, names(&["", "x"])))),
            ("7", "1", None, Some((1, names(&[])))),
            ("7", "1", Some(""), Some((1, names(&[])))),
            ("8", "1", None, None),
            ("", "1", None, None),
            ("7", "-1", None, None),
            ("7", "many", None, None),
            ("7", "99999999999", None, None),
        ] {
            assert_eq!(said(pid, fds, listed), expected, "{pid} {fds} {listed:?}");
        }
    }

    #[test]
    fn descriptors_are_taken_by_name_in_their_order_once() {
        let end = |text: &str| write_state("x", text.as_bytes()).expect("a memory file");
        let mut inherited = Inherited(vec![
            ("a".to_owned(), end("1")),
            ("b".to_owned(), end("2")),
            ("a".to_owned(), end("3")),
            ("c".to_owned(), end("4")),
        ]);
        let mut take = |name| inherited.take_state(name, 10).expect("a state");
        assert_eq!(take("a"), Some(b"1".to_vec()));
        assert_eq!(take("a"), Some(b"3".to_vec()));
        assert_eq!(take("a"), None);
        assert_eq!(inherited.names().collect::<Vec<_>>(), ["b", "c"]);
        assert_eq!(inherited.take_rest().len(), 2);
        assert_eq!(inherited.names().count(), 0);
    }

    #[test]
    fn a_state_is_bounded_sealed_and_really_memory() {
        assert_eq!(read_state(write_state("x", b"123").expect("made"), 3).ok(), Some(b"123".to_vec()));
        let why = |result: io::Result<Vec<u8>>| result.expect_err("refused").to_string();
        let long = write_state("x", b"1234").expect("made");
        assert_eq!(why(read_state(long, 3)), "the state has 4 bytes, more than 3");
        let (reader, _writer) = io::pipe().expect("a pipe");
        assert_eq!(why(read_state(reader.into(), 3)), "the state is not a sealed memory file");
        let mut file = File::from(write_state("x", b"123").expect("made"));
        assert!(io::Write::write_all(&mut file, b"4").is_err());
    }

    #[test]
    fn names_are_those_of_systemd() {
        let long = "x".repeat(MAX_NAME);
        for (name, expected) in [
            ("http", true),
            ("a b.c-1", true),
            (long.as_str(), true),
            ("", false),
            ("a:b", false),
            ("a\n", false),
            ("ü", false),
            (&format!("{long}x"), false),
        ] {
            assert_eq!(is_name(name), expected, "{name:?}");
        }
    }
}
