//! Commands with a deadline, and waiting for something to become true.

use anyhow::{bail, Context, Result};
use rustix::process::{kill_process_group, Pid, Signal};
use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

const POLL: Duration = Duration::from_millis(5);

/// What a command said.
#[derive(Debug, Clone)]
pub struct Output {
    /// How it ended.
    pub status: ExitStatus,
    /// Its standard output.
    pub stdout: Vec<u8>,
    /// Its standard error.
    pub stderr: Vec<u8>,
}

impl Output {
    /// Standard output as text, without the line break at its end.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).trim_end().to_owned()
    }

    /// Standard error as text.
    pub fn errors(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }

    /// The exit code; `None` after a signal.
    pub fn code(&self) -> Option<i32> {
        self.status.code()
    }

    /// Itself, or an error that shows everything that was said.
    pub fn success(self) -> Result<Output> {
        if self.status.success() {
            return Ok(self);
        }
        bail!("{}\n--- stdout\n{}\n--- stderr\n{}", self.status, self.text(), self.errors())
    }
}

/// Runs the command in a process group of its own, which is killed when the deadline passes.
///
/// Output goes through files: a daemon that was started by the command and holds its descriptors
/// open makes nobody wait.
pub fn run(command: &mut Command, input: &[u8], deadline: Duration) -> Result<Output> {
    let what = format!("{command:?}");
    let (mut stdin, mut stdout, mut stderr) = (unnamed()?, unnamed()?, unnamed()?);
    stdin.write_all(input)?;
    stdin.rewind()?;
    let mut child = command
        .process_group(0)
        .stdin(Stdio::from(stdin))
        .stdout(Stdio::from(stdout.try_clone()?))
        .stderr(Stdio::from(stderr.try_clone()?))
        .spawn()
        .with_context(|| format!("start {what}"))?;
    let group = Pid::from_child(&child);
    let ends = Instant::now() + deadline;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if Instant::now() >= ends {
            // ESRCH: it ended just now.
            let _ = kill_process_group(group, Signal::KILL);
            child.wait()?;
            bail!(
                "{what} took longer than {deadline:?}; it said\n{}\n{}",
                String::from_utf8_lossy(&content(&mut stdout)?),
                String::from_utf8_lossy(&content(&mut stderr)?)
            );
        }
        sleep(POLL);
    };
    Ok(Output { status, stdout: content(&mut stdout)?, stderr: content(&mut stderr)? })
}

/// Looks again and again until the closure gives a value; the error names `what`.
pub fn wait_until<T>(what: &str, deadline: Duration, mut look: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let ends = Instant::now() + deadline;
    loop {
        if let Some(value) = look().with_context(|| format!("while waiting until {what}"))? {
            return Ok(value);
        }
        if Instant::now() >= ends {
            bail!("after {deadline:?} it was still not so that {what}");
        }
        sleep(POLL * 4);
    }
}

fn unnamed() -> Result<File> {
    use rustix::fs::{memfd_create, MemfdFlags};
    let file = memfd_create("output", MemfdFlags::CLOEXEC).context("a file for a command")?;
    Ok(File::from(file))
}

fn content(file: &mut File) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// A text without its line breaks, as it was before it was wrapped for a terminal.
pub fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
