//! `reexec`: parse, call, print, exit.

use clap::Parser;
use reexec::cli::{Cli, Command};
use std::io::Write;
use std::process::ExitCode;

fn main() -> ExitCode {
    if std::env::args_os().nth(1).is_some_and(|word| word == reexec::sys::plugin::child::WORD) {
        return reexec::sys::plugin::child::main();
    }
    let cli = Cli::parse();
    let Command::Report(common) = &cli.command;
    match reexec::run::report::report(&reexec::run::desk::Desk::open(common)) {
        Ok(report) => {
            let text = reexec::render::json::render(&report, report.exit_code());
            let _ = std::io::stdout().write_all(text.as_bytes());
            ExitCode::from(report.exit_code())
        }
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "reexec: {error:#}");
            ExitCode::from(2)
        }
    }
}
