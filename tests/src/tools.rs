//! Programs of other projects that read what we print: installed by `tests/deps`, beside the beds.

use crate::bed::cache;
use crate::place::Scratch;
use crate::run::{run, Output};
use anyhow::Result;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(120);

/// A program of `tests/deps.pip`, or `python` with those packages; `None` where they are not installed.
pub fn python(program: &str) -> Option<PathBuf> {
    Some(cache().join("tools/python/bin").join(program)).filter(|path| path.exists())
}

/// Prometheus's own checker.
pub fn promtool() -> Option<PathBuf> {
    Some(cache().join("tools/prometheus/usr/bin/promtool")).filter(|path| path.exists())
}

/// Runs a program with this input.
pub fn feed(program: &Path, arguments: &[&str], input: &str) -> Result<Output> {
    run(Command::new(program).args(arguments), input.as_bytes(), PATIENCE)
}

/// Runs a Python script that reads these files, named in its `sys.argv`.
pub fn script(python: &Path, code: &str, files: &[(&str, &str)]) -> Result<Output> {
    let folder = Scratch::new("python")?;
    let mut command = Command::new(python);
    command.args(["-c", code]);
    for (name, text) in files {
        std::fs::write(folder.join(name), text)?;
        command.arg(folder.join(name));
    }
    run(&mut command, b"", PATIENCE)
}
