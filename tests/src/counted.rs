//! What is counted or recorded of the released program with valgrind, and by which compiler it was made.

use crate::run::run;
use anyhow::{Context, Result};
use std::process::Command;
use std::time::Duration;

/// The program that counts.
pub const VALGRIND: &str = "/usr/bin/valgrind";
/// Set in the environment where what is counted is to be recorded, not held against what was.
pub const RECORD: &str = "REEXEC_RECORD";

/// Whether it is to be recorded.
pub fn records() -> bool {
    std::env::var_os(RECORD).is_some()
}

/// The compiler's version, as `1.95.0`.
pub fn compiler() -> Result<String> {
    let said = run(Command::new("rustc").arg("--version"), b"", Duration::from_secs(60))?.success()?.text();
    Ok(said.split(' ').nth(1).context("a version")?.to_owned())
}
