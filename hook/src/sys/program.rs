//! Running other programs: by path, never through a shell, with a cleared environment and a deadline.

use anyhow::{bail, ensure, Context, Result};
use rustix::fs::{fstat, memfd_create, MemfdFlags, Mode, OFlags};
use rustix::process::{kill_process_group, Pid, Signal};
use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

/// Where programs that we run look for others.
pub const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// What is kept of what a program says.
const MOST_SAID: u64 = 1 << 20;
const PULSE: Duration = Duration::from_millis(10);

/// A program to be run.
#[derive(Debug, Clone, Default)]
pub struct Invocation<'a> {
    /// Its absolute path and its arguments.
    pub run: Vec<String>,
    /// All of its environment, besides `PATH` and `LANG`.
    pub environment: Vec<(&'a str, String)>,
    /// What it reads.
    pub input: Vec<u8>,
    /// As whom: user and group; `None`: as ourselves.
    pub user: Option<(u32, u32)>,
}

/// What a program did.
#[derive(Debug)]
pub struct Said {
    /// How it ended; `None`: it was killed when its time was over.
    pub status: Option<ExitStatus>,
    /// Its standard output.
    pub output: Vec<u8>,
    /// Its standard error.
    pub errors: Vec<u8>,
}

impl Said {
    /// The last line that is not empty, for a report.
    pub fn last_line(&self) -> Option<String> {
        let line = |bytes: &[u8]| {
            let text = String::from_utf8_lossy(bytes).into_owned();
            text.lines().rev().map(str::trim).find(|line| !line.is_empty()).map(|line| line.chars().take(200).collect())
        };
        line(&self.errors).or_else(|| line(&self.output))
    }
}

/// Runs it in a session of its own, which is killed when the time is over. Output goes to files: a
/// daemon that it leaves behind with its descriptors open makes nobody wait.
pub fn run(invocation: &Invocation<'_>, deadline: Duration) -> Result<Said> {
    let (program, arguments) = invocation.run.split_first().context("nothing to run")?;
    let (mut input, mut output, mut errors) = (unnamed()?, unnamed()?, unnamed()?);
    input.write_all(&invocation.input)?;
    input.rewind()?;
    let mut command = Command::new(program);
    command.args(arguments).env_clear().env("PATH", PATH).env("LANG", "C.UTF-8").current_dir("/").process_group(0);
    command.envs(invocation.environment.iter().map(|(key, value)| (key, value.as_str())));
    command.stdin(input).stdout(output.try_clone()?).stderr(errors.try_clone()?);
    if let Some((uid, gid)) = invocation.user {
        command.gid(gid).uid(uid);
    }
    let mut child = command.spawn().with_context(|| format!("run {program}"))?;
    let group = Pid::from_child(&child);
    let end = Instant::now() + deadline;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break Some(status);
        }
        if Instant::now() >= end {
            // Gone just now is no failure.
            let _ = kill_process_group(group, Signal::KILL);
            child.wait()?;
            break None;
        }
        std::thread::sleep(PULSE);
    };
    Ok(Said { status, output: content(&mut output)?, errors: content(&mut errors)? })
}

/// Whether nobody but root can have written a program, so that root may run it.
pub fn is_trusted(program: &Path) -> Result<()> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let real = program.canonicalize().with_context(|| program.display().to_string())?;
    for (index, part) in real.ancestors().enumerate() {
        let file = rustix::fs::open(part, flags, Mode::empty()).with_context(|| part.display().to_string())?;
        let stat = fstat(&file)?;
        let others_write = stat.st_mode & 0o002 != 0 || (stat.st_mode & 0o020 != 0 && stat.st_gid != 0);
        let sticky_folder = index > 0 && stat.st_mode & 0o1000 != 0;
        ensure!(stat.st_uid == 0, "{} does not belong to root", part.display());
        ensure!(!others_write || sticky_folder, "{} can be written by others than root", part.display());
    }
    match rustix::fs::access(&real, rustix::fs::Access::EXEC_OK) {
        Ok(()) => Ok(()),
        Err(error) => bail!("{}: {error}", real.display()),
    }
}

fn unnamed() -> Result<File> {
    Ok(File::from(memfd_create("program", MemfdFlags::CLOEXEC).context("a file for a program")?))
}

fn content(file: &mut File) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.rewind()?;
    file.take(MOST_SAID).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn invocation(words: &[&str]) -> Invocation<'static> {
        Invocation { run: words.iter().map(|word| (*word).to_owned()).collect(), ..Invocation::default() }
    }

    #[test]
    fn a_program_has_a_cleared_environment_and_a_deadline() {
        let said = run(&invocation(&["/usr/bin/env"]), Duration::from_secs(5)).unwrap();
        assert_eq!(said.output, format!("LANG=C.UTF-8\nPATH={PATH}\n").into_bytes());

        let started = Instant::now();
        let said = run(&invocation(&["/bin/sh", "-c", "echo begun; sleep 60 & sleep 60"]), Duration::from_millis(300));
        let said = said.unwrap();
        assert!(said.status.is_none() && started.elapsed() < Duration::from_secs(5));
        assert_eq!(said.last_line().as_deref(), Some("begun"));
    }

    #[test]
    fn what_a_program_leaves_behind_makes_nobody_wait() {
        let started = Instant::now();
        let said = run(&invocation(&["/bin/sh", "-c", "sleep 2 & echo done"]), Duration::from_secs(10)).unwrap();
        assert!(said.status.is_some_and(|status| status.success()) && started.elapsed() < Duration::from_secs(2));
    }

    #[test]
    fn a_program_that_others_can_write_is_not_trusted() {
        assert!(is_trusted(Path::new("/bin/true")).is_ok());
        let path = std::env::temp_dir().join(format!("reexec-trust-{}", std::process::id()));
        std::fs::write(&path, "").unwrap();
        let why = is_trusted(&path).unwrap_err().to_string();
        std::fs::remove_file(&path).unwrap();
        assert!(!why.is_empty());
        assert!(is_trusted(Path::new("/nonexistent")).is_err());
    }
}
