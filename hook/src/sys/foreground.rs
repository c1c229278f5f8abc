//! A command that has the terminal, the signals and the exit status for itself, while we wait behind it.

use super::raw_signal::{self, Held};
use anyhow::{Context, Result};
use rustix::process::{kill_process, Pid, Signal};
use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// As a shell would say it: 128 and the signal's number where a signal ended it.
    pub code: u8,
    /// The same in words.
    pub words: String,
}

/// What a terminal sends goes to the command as well; what somebody sends to us alone is passed on.
const PASSED_ON: [Signal; 6] = [Signal::INT, Signal::QUIT, Signal::TERM, Signal::HUP, Signal::USR1, Signal::USR2];

/// Runs it to its end.
pub fn run(words: &[OsString]) -> Result<Ended> {
    let (program, arguments) = words.split_first().context("no command")?;
    let numbers: Vec<i32> = PASSED_ON.iter().map(|signal| signal.as_raw()).chain([Signal::CHILD.as_raw()]).collect();
    let held = Held::hold(&numbers)?;
    let mut command = Command::new(program);
    command.args(arguments);
    held.release_in(&mut command);
    let mut child = command.spawn().with_context(|| format!("{} cannot be run", program.to_string_lossy()))?;
    let pid = Pid::from_child(&child);
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        let (signal, sent) = raw_signal::wait(&held)?;
        let passed = PASSED_ON.iter().find(|one| one.as_raw() == signal).filter(|_| sent);
        if let Some(&signal) = passed {
            // Gone just now is no failure.
            let _ = kill_process(pid, signal);
        }
    };
    let (code, words) = match (status.code(), status.signal()) {
        (Some(code), _) => (u8::try_from(code).unwrap_or(u8::MAX), format!("ended with {code}")),
        (None, signal) => {
            let signal = signal.unwrap_or(0);
            (u8::try_from(128 + signal).unwrap_or(u8::MAX), format!("was ended by signal {signal}"))
        }
    };
    Ok(Ended { code, words })
}
