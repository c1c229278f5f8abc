//! Signals as a policy names them, to whom they go, and what is waited for behind each.

use crate::model::verdict::words;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// Signals that a daemon may take for a request, with their numbers on Linux (signal(7); the same on
/// all architectures but alpha, mips, parisc and sparc).
const NAMED: &[(&str, i32)] = &[
    ("HUP", 1),
    ("INT", 2),
    ("QUIT", 3),
    ("USR1", 10),
    ("USR2", 12),
    ("PIPE", 13),
    ("ALRM", 14),
    ("TERM", 15),
    ("CHLD", 17),
    ("CONT", 18),
    ("TSTP", 20),
    ("TTIN", 21),
    ("TTOU", 22),
    ("URG", 23),
    ("WINCH", 28),
    ("IO", 29),
    ("PWR", 30),
];

/// glibc's `SIGRTMIN`, which daemons count from; and the kernel's last one.
const REAL_TIME: std::ops::RangeInclusive<i32> = 34..=64;

/// A signal that can be handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignalName(i32);

impl SignalName {
    /// Its number.
    pub fn number(self) -> i32 {
        self.0
    }

    /// Whether it is among those that a process has handlers for: `SigCgt` of `/proc/PID/status`.
    pub fn is_in(self, mask: u64) -> bool {
        mask & (1 << (self.0 - 1)) != 0
    }
}

/// Why a word is no signal that can be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignalError {
    /// No such name.
    Unknown,
    /// No process can have a handler for it.
    Unhandled,
}

impl FromStr for SignalName {
    type Err = SignalError;

    fn from_str(word: &str) -> Result<SignalName, SignalError> {
        let name = word.strip_prefix("SIG").unwrap_or(word);
        if matches!(name, "KILL" | "STOP") {
            return Err(SignalError::Unhandled);
        }
        if let Some((_, number)) = NAMED.iter().find(|(known, _)| *known == name) {
            return Ok(SignalName(*number));
        }
        let number = match name.strip_prefix("RTMIN") {
            Some("") => Some(*REAL_TIME.start()),
            Some(rest) => rest.strip_prefix('+').and_then(|more| more.parse::<i32>().ok()).map(|more| 34 + more),
            None => None,
        };
        number.filter(|number| REAL_TIME.contains(number)).map(SignalName).ok_or(SignalError::Unknown)
    }
}

impl fmt::Display for SignalName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match NAMED.iter().find(|(_, number)| *number == self.0) {
            Some((name, _)) => f.write_str(name),
            None if self.0 == *REAL_TIME.start() => f.write_str("RTMIN"),
            None => write!(f, "RTMIN+{}", self.0 - REAL_TIME.start()),
        }
    }
}

words! {
    /// Which of an owner's processes are signalled; always stale ones only.
    SignalTo {
        /// The main process, or where a new one has taken its place, the old one.
        Main = "main",
        /// All stale ones.
        Stale = "stale",
    }
}

words! {
    /// What is waited for behind a signal.
    SignalUntil {
        /// Nothing.
        Sent = "sent",
        /// Another process of the owner runs the program that is on disk now.
        Successor = "successor",
        /// The processes that were signalled have ended.
        Ended = "ended",
    }
}

/// One signal of a sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signalling {
    /// Which signal.
    pub send: SignalName,
    /// To whom.
    pub to: SignalTo,
    /// What is waited for before the next one is sent.
    pub until: SignalUntil,
    /// How long; `None`: the deadline of the rule.
    pub deadline: Option<Duration>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_is_named_and_can_be_handled() {
        for (word, expected) in [
            ("HUP", Ok(1)),
            ("SIGUSR2", Ok(12)),
            ("RTMIN", Ok(34)),
            ("RTMIN+5", Ok(39)),
            ("RTMIN+30", Ok(64)),
            ("RTMIN+31", Err(SignalError::Unknown)),
            ("KILL", Err(SignalError::Unhandled)),
            ("SIGSTOP", Err(SignalError::Unhandled)),
            ("hup", Err(SignalError::Unknown)),
            ("9", Err(SignalError::Unknown)),
            ("", Err(SignalError::Unknown)),
        ] {
            assert_eq!(word.parse().map(SignalName::number), expected, "{word}");
        }
        assert_eq!("SIGRTMIN+5".parse::<SignalName>().map(|name| name.to_string()), Ok("RTMIN+5".to_owned()));
    }

    #[test]
    fn a_mask_counts_from_signal_1() {
        let usr2: SignalName = "USR2".parse().unwrap();
        assert!(usr2.is_in(0x800) && !usr2.is_in(0x1000));
    }
}
