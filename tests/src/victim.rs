//! Processes in known states: a handle on `tests/victim/victim.c`.

use crate::place::{built, unique, workspace};
use crate::run::run;
use anyhow::{bail, ensure, Context, Result};
use rustix::event::{poll, PollFd, PollFlags, Timespec};
use rustix::process::{kill_process_group, Pid, Signal};
use std::ffi::OsStr;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const COMPILE: Duration = Duration::from_secs(60);
const READY: Duration = Duration::from_secs(60);

/// A process that holds its states. Dropping it kills it and its children; when this process is
/// killed they end by themselves.
#[derive(Debug)]
pub struct Victim {
    leader: Child,
    pids: Vec<u32>,
}

impl Victim {
    /// Starts a copy of the program and waits until it is in all these states
    /// (`["map-code", "/path", "threads", "3"]`; `victim list` names them).
    pub fn hold<S: AsRef<OsStr>>(program: &Path, states: &[S]) -> Result<Victim> {
        let mut command = Command::new(program);
        command.args(states);
        Victim::start(&mut command)
    }

    /// Starts this command, which in the end executes a victim: to wrap it in `unshare`, `setpriv`…
    pub fn start(command: &mut Command) -> Result<Victim> {
        let mut victim = Victim::begin(command)?;
        victim.wait_until_ready().with_context(|| format!("{command:?}"))?;
        Ok(victim)
    }

    /// Starts this command and does not wait: many get ready at one time.
    pub fn begin(command: &mut Command) -> Result<Victim> {
        let leader = command
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("start {command:?}"))?;
        Ok(Victim { leader, pids: Vec::new() })
    }

    /// Waits until it says that it is ready, and notes the pids.
    pub fn wait_until_ready(&mut self) -> Result<()> {
        let line = self.first_line()?;
        let pids = line.strip_prefix("ready ").context("not ready")?;
        self.pids = pids.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
        Ok(())
    }

    /// Its pid, as it sees itself.
    pub fn pid(&self) -> u32 {
        self.pids[0]
    }

    /// The pids of its children.
    pub fn children(&self) -> &[u32] {
        &self.pids[1..]
    }

    /// Whether it still runs.
    pub fn is_alive(&mut self) -> Result<bool> {
        Ok(self.leader.try_wait()?.is_none())
    }

    fn first_line(&mut self) -> Result<String> {
        let stdout = self.leader.stdout.as_mut().context("its output")?;
        let ends = Instant::now() + READY;
        let mut line = Vec::new();
        loop {
            let left = Timespec::try_from(ends.saturating_duration_since(Instant::now()))?;
            let mut ready = [PollFd::new(&*stdout, PollFlags::IN)];
            ensure!(poll(&mut ready, Some(&left))? > 0, "not ready in {READY:?}");
            let mut byte = [0];
            if stdout.read(&mut byte)? == 0 {
                bail!("it ended; what it said stands in the test's output");
            }
            if byte[0] == b'\n' {
                return Ok(String::from_utf8(line)?);
            }
            line.push(byte[0]);
        }
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        // We have not waited for it yet, so the number is still its own.
        let _ = kill_process_group(Pid::from_child(&self.leader), Signal::KILL);
        let _ = self.leader.wait();
    }
}

/// The victim, compiled once for each version of its source. Copy it to run it under another path.
pub fn program() -> Result<PathBuf> {
    compile("victim.c", &["-pthread", "-ldl"])
}

/// The library in this version (1, 2 or 3): the same code in another build, with another build-id.
pub fn library(version: u32) -> Result<PathBuf> {
    let version = format!("-DVERSION={version}");
    compile("library.c", &["-shared", "-fPIC", "-Wl,--build-id", &version])
}

/// A source of `tests/victim`, compiled once for each version of it and of these flags.
pub fn compile(source: &str, flags: &[&str]) -> Result<PathBuf> {
    let source = workspace().join("tests/victim").join(source);
    let mut hasher = DefaultHasher::new();
    let factories = fs::read(source.with_file_name("factories.h"))?;
    (fs::read(&source)?, factories, flags).hash(&mut hasher);
    let name = source.file_stem().context("a name")?.to_string_lossy();
    let program = built()?.join(format!("{name}-{:016x}", hasher.finish()));
    if program.exists() {
        return Ok(program);
    }
    // Another test process may compile the same one right now: the last rename wins.
    let new = built()?.join(unique(&name));
    let mut gcc = Command::new("gcc");
    // Before glibc 2.34 shm_open(3) is in librt.
    gcc.args(["-O1", "-Wall", "-Wextra", "-Werror", "-o"]).args([&new, &source]).args(flags).arg("-lrt");
    run(&mut gcc, b"", COMPILE)?.success()?;
    fs::rename(&new, &program)?;
    Ok(program)
}
