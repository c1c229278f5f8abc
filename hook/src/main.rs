//! `reexec`: parse, call, print, exit.

use clap::error::ErrorKind;
use clap::Parser;
use reexec::cli::{Cli, Command};
use reexec::run::command::{self, Answer};
use reexec::sys::plugin::child;
use std::io::Write;
use std::process::ExitCode;
use std::sync::mpsc;
use std::time::Duration;

/// The hook answers within half a minute whatever happens; acting inline has deadlines of its own.
const HOOK_DEADLINE: Duration = Duration::from_secs(28);

fn main() -> ExitCode {
    if std::env::args_os().nth(1).is_some_and(|word| word == child::WORD) {
        return child::main();
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let printed = error.print();
            let asked_for = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
            return ExitCode::from(if asked_for && printed.is_ok() { 0 } else { 2 });
        }
    };
    if !matches!(cli.command, Command::Hook(_)) {
        let answer = command::run(&cli.command);
        return ExitCode::from(tell(&answer).unwrap_or(2));
    }
    let answer = within_deadline(cli);
    let code = tell(&answer).unwrap_or(answer.code);
    // What it found and whether it could be proven is in the report; the package manager's trigger
    // has not failed.
    answer.next.map(|next| tell(&command::run(&next)));
    ExitCode::from(code)
}

/// Prints an answer; its exit code, or `None` where the report could not be written.
fn tell(answer: &Answer) -> Option<u8> {
    if !answer.error.is_empty() {
        let _ = writeln!(std::io::stderr(), "reexec: {}", answer.error.trim_end());
    }
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(answer.text.as_bytes()).and_then(|()| stdout.flush()) {
        Ok(()) => Some(answer.code),
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "reexec: the report could not be written: {error}");
            None
        }
    }
}

/// Runs the hook in a thread, so that neither a hang nor a panic in it reaches the package manager.
fn within_deadline(cli: Cli) -> Answer {
    let (send, receive) = mpsc::channel();
    let thread = std::thread::Builder::new().spawn(move || send.send(command::run(&cli.command)));
    let gave_up = |why: &str| Answer { text: format!("reexec: {why}; nothing was lost\n"), ..Answer::default() };
    match thread.map(|_| receive.recv_timeout(HOOK_DEADLINE)) {
        Ok(Ok(answer)) => answer,
        Ok(Err(mpsc::RecvTimeoutError::Timeout)) => gave_up("gave up after 28 s"),
        Ok(Err(mpsc::RecvTimeoutError::Disconnected)) | Err(_) => gave_up("failed inside"),
    }
}
