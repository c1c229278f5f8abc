//! Processes as they were found: identity, threads of evidence, and what could not be read.

use super::owner::Owner;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// A process that cannot be mistaken for a later one under the same pid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ProcessKey {
    /// Process id, as the `/proc` that was read names it.
    pub pid: i32,
    /// Start time in clock ticks since boot (field 22 of proc_pid_stat(5)).
    pub start_ticks: u64,
}

/// Why something could not be looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gap {
    /// The process ended meanwhile: normal, and never reported.
    Vanished,
    /// The kernel refuses; whose process it is, where that can be told.
    NoPermission,
    /// What was read is not what the manual says.
    Unparsable(String),
    /// It took too long.
    TimedOut,
    /// Any other failure, in words.
    Failed(String),
}

impl std::fmt::Display for Gap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Gap::Vanished => f.write_str("ended meanwhile"),
            Gap::NoPermission => f.write_str("may not be looked at"),
            Gap::Unparsable(what) => write!(f, "cannot be understood: {what}"),
            Gap::TimedOut => f.write_str("did not answer in time"),
            Gap::Failed(why) => f.write_str(why),
        }
    }
}

/// The fields of `/proc/PID/stat` that are used here (proc_pid_stat(5)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stat {
    /// Command name, up to 15 bytes (63 for a kernel thread); set by the process itself.
    pub comm: Vec<u8>,
    /// State letter: `Z` is a zombie.
    pub state: u8,
    /// Parent's pid.
    pub parent: i32,
    /// Device number of the controlling terminal; `None`: it has none.
    pub terminal: Option<u64>,
    /// Whether it is a kernel thread (PF_KTHREAD, `include/linux/sched.h`).
    pub kernel_thread: bool,
    /// Number of threads.
    pub threads: u64,
    /// Start time in clock ticks since boot.
    pub start_ticks: u64,
}

const PF_KTHREAD: u64 = 0x0020_0000;

/// Reads the line of `/proc/PID/stat`. The name may hold brackets, blanks and newlines, so the
/// fields are counted from the last closing bracket.
pub fn parse_stat(line: &[u8]) -> Option<Stat> {
    let open = line.iter().position(|&byte| byte == b'(')?;
    let close = line.iter().rposition(|&byte| byte == b')')?;
    let comm = line.get(open + 1..close)?.to_vec();
    let mut fields = std::str::from_utf8(line.get(close + 1..)?).ok()?.split_ascii_whitespace();
    let state = *fields.next()?.as_bytes().first()?;
    let parent = fields.next()?.parse().ok()?;
    // Field 7: terminal; 9: flags; 20: threads; 22: start time.
    let terminal = fields.nth(2)?.parse().ok().filter(|terminal| *terminal != 0);
    let flags: u64 = fields.nth(1)?.parse().ok()?;
    let threads = fields.nth(10)?.parse().ok()?;
    let start_ticks = fields.nth(1)?.parse().ok()?;
    Some(Stat { comm, state, parent, terminal, kernel_thread: flags & PF_KTHREAD != 0, threads, start_ticks })
}

/// The start time in a line of `/proc/PID/stat`, without the rest of it.
pub fn parse_start(line: &[u8]) -> Option<u64> {
    let close = memchr::memrchr(b')', line)?;
    // Field 3 follows on the bracket; 22 is the start time. The last field of a cut line is not whole.
    let mut fields = line[close + 1..].split(|&byte| byte == b' ').skip(1);
    let start = fields.nth(19)?;
    fields.next().and_then(|_| decimal(start))
}

/// A number of ASCII digits.
pub fn decimal(digits: &[u8]) -> Option<u64> {
    leading_decimal(digits).filter(|(_, rest)| rest.is_empty()).map(|(value, _)| value)
}

/// The number of ASCII digits that a text begins with, and what is behind it.
pub fn leading_decimal(text: &[u8]) -> Option<(u64, &[u8])> {
    let (mut value, mut index) = (0_u64, 0);
    while let Some(digit) = text.get(index).filter(|byte| byte.is_ascii_digit()) {
        value = value.checked_mul(10)?.checked_add(u64::from(digit - b'0'))?;
        index += 1;
    }
    (index > 0).then_some((value, &text[index..]))
}

/// The real user id from `/proc/PID/status`: the owner of the folder is root's for a process that
/// hides its memory (proc(5), PR_SET_DUMPABLE).
pub fn parse_uid(status: &[u8]) -> Option<u32> {
    let line = status.split(|&byte| byte == b'\n').find_map(|line| line.strip_prefix(b"Uid:"))?;
    std::str::from_utf8(line).ok()?.split_ascii_whitespace().next()?.parse().ok()
}

/// The pid of the process that a thread belongs to, from `/proc/TID/status`: its own where it is the first one.
pub fn parse_process(status: &[u8]) -> Option<i32> {
    let line = status.split(|&byte| byte == b'\n').find_map(|line| line.strip_prefix(b"Tgid:"))?;
    decimal(line.trim_ascii()).and_then(|pid| i32::try_from(pid).ok())
}

/// `SigCgt` of `/proc/PID/status`: the signals that the process has handlers for.
pub fn parse_caught(status: &[u8]) -> Option<u64> {
    signal_set(status, b"SigCgt:")
}

/// `SigBlk` of `/proc/PID/status`: the signals that the process keeps for itself to fetch (signalfd(2)).
pub fn parse_blocked(status: &[u8]) -> Option<u64> {
    signal_set(status, b"SigBlk:")
}

fn signal_set(status: &[u8], field: &[u8]) -> Option<u64> {
    let line = status.split(|&byte| byte == b'\n').find_map(|line| line.strip_prefix(field))?;
    u64::from_str_radix(std::str::from_utf8(line).ok()?.trim(), 16).ok()
}

/// What is told of a process in a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessSnapshot {
    /// Which process.
    pub key: ProcessKey,
    /// Command name, raw.
    pub comm: Vec<u8>,
    /// Parent's pid.
    pub parent: i32,
    /// Device number of the controlling terminal, where it has one.
    pub terminal: Option<u64>,
    /// What `/proc/PID/exe` names; `None` where it may not be read.
    pub exe: Option<PathBuf>,
    /// Real user id.
    pub uid: Option<u32>,
    /// User name, where the id has one.
    pub user: Option<String>,
    /// Whose it is.
    pub owner: Owner,
    /// The cgroup it is in, as printed; empty where unknown.
    pub cgroup: Vec<u8>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostile_name_does_not_shift_the_fields() {
        let line = b"42 (\x1b[31m) R 0\n(x) S 7 42 42 34817 -1 4194560 1 0 0 0 0 0 0 0 20 0 3 0 98765 1000 1 2";
        assert_eq!(
            parse_stat(line),
            Some(Stat {
                comm: b"\x1b[31m) R 0\n(x".to_vec(),
                state: b'S',
                parent: 7,
                terminal: Some(34817),
                kernel_thread: false,
                threads: 3,
                start_ticks: 98765
            })
        );
    }

    #[test]
    fn a_cut_line_is_none_and_not_a_panic() {
        let line = b"42 (sh) S 7 42 42 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 3 0 98765 1000";
        for end in 0..line.len() - 10 {
            assert_eq!(parse_stat(&line[..end]), None, "{end}");
            assert_eq!(parse_start(&line[..end]), None, "{end}");
        }
    }

    #[test]
    fn the_start_time_alone_is_that_of_the_whole_line() {
        for line in [
            &b"42 (\x1b[31m) R 0\n(x) S 7 42 42 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 3 0 98765 1000 1 2"[..],
            b"1 (a b) R 0 0 0 0 -1 2097216 0 0 0 0 0 0 0 0 20 0 1 0 7 0 0",
        ] {
            assert_eq!(parse_start(line), parse_stat(line).map(|stat| stat.start_ticks));
        }
        assert_eq!(parse_start(b"42 (sh"), None);
        assert_eq!(decimal(b"99999999999999999999999"), None);
        assert_eq!((decimal(b""), decimal(b"1x"), decimal(b"042")), (None, None, Some(42)));
    }

    #[test]
    fn the_real_user_is_read_from_status() {
        assert_eq!(parse_uid(b"Name:\tx\nUid:\t1000\t0\t0\t0\n"), Some(1000));
        assert_eq!(parse_uid(b"Name:\tUid:\n"), None);
        assert_eq!(parse_process(b"Name:\tTgid:\nTgid:\t42\nPid:\t43\n"), Some(42));
        assert_eq!(parse_process(b"Name:\tx\nTgid:\t99999999999\n"), None);
        assert_eq!(parse_blocked(b"SigBlk:\t0400000000000000\n"), Some(1 << 58));
        assert_eq!(parse_caught(b"SigIgn:\t01\nSigCgt:\t0000000180004a02\n"), Some(0x1_8000_4a02));
    }
}
