//! `reexec`: parse, call, print, exit.

use clap::error::ErrorKind;
use reexec::cli::{Cli, Command};
use reexec::model::watch;
use reexec::run::command::{self, Answer};
use reexec::sys::plugin::child;
use reexec::sys::user;
use std::io::Write;
use std::process::ExitCode;

fn main() -> ExitCode {
    // The words that our own children are called with.
    let typed: Vec<_> = std::env::args_os().collect();
    let mut words = typed.iter().skip(1).map(|word| word.to_str());
    match words.next().flatten() {
        Some(child::WORD) => return child::main(),
        Some(user::WORD) => {
            return ExitCode::from(tell(&command::errand(words.next().flatten())).unwrap_or(2));
        }
        Some(watch::NOTE) => return ExitCode::from(tell(&command::note()).unwrap_or(2)),
        _ => {}
    }
    let cli = match Cli::typed(&typed) {
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
    let answer = command::run_hook(cli.command);
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
