//! The update service's sources: root's own programs below `/etc/reexec/update.d`, run one at a time, and
//! ended with all that they started.

use super::pinned::Pinned;
use super::{procs, program};
use crate::model::process::ProcessKey;
use crate::model::watch::{is_source_name, NOTE};
use anyhow::{bail, ensure, Context, Result};
use rustix::process::{getpgid, kill_process_group, wait, Pid, Signal, WaitOptions};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::io::{PipeReader, Read};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Where sources are, below the root.
const FOLDER: &str = "etc/reexec/update.d";
/// More than this is no message for anybody: whoever prints it is ended.
const MOST_PRINTED: u64 = 16 << 20;
/// What is kept of it: the end.
const MOST_KEPT: usize = 4 << 10;
const PULSE: Duration = Duration::from_millis(20);
/// Processes that start others while they are being ended get so many rounds.
const ROUNDS: u32 = 200;

/// A source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Its folder's name.
    pub name: String,
    /// Its folder.
    pub folder: PathBuf,
}

/// One of a source's programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Says whether there is something to install. Nothing that it starts outlives it.
    Check,
    /// Installs it. A service that it starts stays; the exit code is that of `reexec run`.
    Install,
}

impl Part {
    /// The program's file name.
    pub fn word(self) -> &'static str {
        match self {
            Part::Check => "check",
            Part::Install => "install",
        }
    }
}

/// How a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// With this exit code.
    Exited(i32),
    /// By this signal, which was not ours.
    Signalled(i32),
    /// Its time was over.
    TimedOut,
    /// It printed too much.
    TooLoud,
    /// We were told to end.
    Stopped,
}

/// What a program did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    /// How it ended.
    pub end: End,
    /// The end of what it printed.
    pub said: String,
    /// Processes that had to be ended with it.
    pub killed: usize,
}

/// All sources in the order of their names, and why what is not taken is not.
pub fn list(root: &Path) -> Vec<(String, Result<Source>)> {
    let top = root.join(FOLDER);
    let Ok(entries) = std::fs::read_dir(&top) else { return Vec::new() };
    let found = entries.flatten().filter(|entry| entry.path().is_dir());
    let sources = found.map(|entry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        let source = source(&name, entry.path());
        (name, source)
    });
    sources.collect::<BTreeMap<_, _>>().into_iter().collect()
}

fn source(name: &str, folder: PathBuf) -> Result<Source> {
    ensure!(is_source_name(name), "its name may have letters, digits, '.', '-' and '_' only");
    program::is_trusted(&folder)?;
    for part in [Part::Check, Part::Install] {
        let path = folder.join(part.word());
        let kind = std::fs::symlink_metadata(&path).with_context(|| path.display().to_string())?.file_type();
        ensure!(kind.is_file(), "{} is not a regular file", path.display());
        program::is_trusted(&path)?;
    }
    Ok(Source { name: name.to_owned(), folder })
}

/// Sees to it that what loses its parent becomes ours, so that it can be found and ended.
pub fn adopt_orphans() -> Result<()> {
    rustix::process::set_child_subreaper(Some(rustix::process::getpid())).context("become the parent of orphans")
}

/// Forgets daemons of earlier installs that have ended since.
pub fn reap() {
    while matches!(wait(WaitOptions::NOHANG), Ok(Some(_))) {}
}

/// Runs a program of a source, without a shell, in a process group of its own and with a cleared environment.
pub fn run(source: &Source, part: Part, deadline: Duration, stopped: &dyn Fn() -> bool) -> Result<Ran> {
    // Nobody but root can have changed it since it was listed; root may have.
    program::is_trusted(&source.folder.join(part.word()))?;
    let before: BTreeSet<i32> = children(&BTreeSet::new()).into_keys().collect();
    let (reader, writer) = std::io::pipe().context("a pipe")?;
    let mut command = command(source, part);
    command.env_clear().env("PATH", program::PATH).env("LANG", "C.UTF-8").env("REEXEC_SOURCE", &source.name);
    command.current_dir("/").process_group(0).stdin(Stdio::null());
    command.stdout(writer.try_clone()?).stderr(writer);
    let mut child = command.spawn().with_context(|| format!("run {}", part.word()))?;
    // It holds the pipe's other end open.
    drop(command);
    let printed = Arc::new(Printed::default());
    let keeper = Arc::clone(&printed);
    std::thread::Builder::new().name("output".to_owned()).spawn(move || keeper.keep(reader)).context("a thread")?;
    let end = wait_for(&mut child, deadline, &printed, stopped)?;
    let leaves = part == Part::Install && matches!(end, End::Exited(_));
    let killed = if leaves { 0 } else { end_all(&before, Pid::from_child(&child)) };
    if !matches!(end, End::Exited(_) | End::Signalled(_)) {
        let _ = child.wait();
    }
    Ok(Ran { end, said: printed.last_line(), killed })
}

/// A check as it is; an install bracketed by `reexec run`, in a process of its own: what it has written down is
/// taken up by the next run if it is ended.
fn command(source: &Source, part: Part) -> Command {
    let program = source.folder.join(part.word());
    match part {
        Part::Check => Command::new(program),
        Part::Install => {
            let mut command = Command::new("/proc/self/exe");
            command.args(["run", "--color", "never", "--"]).arg(program);
            command
        }
    }
}

/// Takes note of the files in use, in a process of its own: what that says goes where ours does.
pub fn note(deadline: Duration, stopped: &dyn Fn() -> bool) -> Result<()> {
    let mut command = Command::new("/proc/self/exe");
    command.arg(NOTE).env_clear().env("PATH", program::PATH).env("LANG", "C.UTF-8").current_dir("/");
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().context("look at the files in use")?;
    let end = wait_for(&mut child, deadline, &Printed::default(), stopped)?;
    if !matches!(end, End::Exited(_) | End::Signalled(_)) {
        // Gone just now is no failure.
        let _ = child.kill();
        child.wait()?;
    }
    match words(end, deadline)? {
        0 => Ok(()),
        code => bail!("the look at the files in use ended with {code}"),
    }
}

fn wait_for(child: &mut Child, deadline: Duration, printed: &Printed, stopped: &dyn Fn() -> bool) -> Result<End> {
    let over = Instant::now() + deadline;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(match (status.code(), status.signal()) {
                (Some(code), _) => End::Exited(code),
                (None, signal) => End::Signalled(signal.unwrap_or(0)),
            });
        }
        if stopped() {
            return Ok(End::Stopped);
        }
        if printed.bytes.load(Ordering::Relaxed) > MOST_PRINTED {
            return Ok(End::TooLoud);
        }
        if Instant::now() >= over {
            return Ok(End::TimedOut);
        }
        std::thread::sleep(PULSE);
    }
}

/// What a program prints: how much, and the end of it.
#[derive(Debug, Default)]
struct Printed {
    bytes: AtomicU64,
    tail: Mutex<Vec<u8>>,
}

impl Printed {
    fn keep(&self, mut reader: PipeReader) {
        let mut buffer = [0; 1 << 16];
        while let Ok(read @ 1..) = reader.read(&mut buffer) {
            self.bytes.fetch_add(read as u64, Ordering::Relaxed);
            let Ok(mut tail) = self.tail.lock() else { return };
            tail.extend_from_slice(&buffer[read.saturating_sub(MOST_KEPT)..read]);
            let over = tail.len().saturating_sub(MOST_KEPT);
            tail.drain(..over);
        }
    }

    /// The last line that is not empty. What was printed last may still be on its way for a moment.
    fn last_line(&self) -> String {
        std::thread::sleep(PULSE);
        let tail = self.tail.lock().map(|tail| tail.clone()).unwrap_or_default();
        let text = String::from_utf8_lossy(&tail).into_owned();
        let last = text.lines().rev().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
        last.chars().take(200).collect()
    }
}

/// Ends all processes that came from us since `before`, also those that went their own way. By their groups
/// first: the kernel ends a group at once, also the member that is just being started.
fn end_all(before: &BTreeSet<i32>, first: Pid) -> usize {
    let mut ended = BTreeSet::new();
    for _ in 0..ROUNDS {
        let left = children(before);
        if left.is_empty() {
            break;
        }
        let pids: HashSet<Pid> = left.keys().filter_map(|pid| Pid::from_raw(*pid)).collect();
        let groups: HashSet<Pid> = pids.iter().filter_map(|pid| getpgid(Some(*pid)).ok()).collect();
        // Not ours, and none that one of them has joined.
        for group in groups.iter().filter(|group| **group == first || pids.contains(group)) {
            let _ = kill_process_group(*group, Signal::KILL);
        }
        for (pid, started) in &left {
            let key = ProcessKey { pid: *pid, start_ticks: *started };
            if let Ok(process) = Pinned::open(Path::new("/proc"), key) {
                let _ = process.send_plain(Signal::KILL);
            }
            ended.insert(*pid);
        }
        for pid in pids {
            let _ = rustix::process::waitpid(Some(pid), WaitOptions::NOHANG);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    ended.len()
}

/// Our children and theirs, with their start ticks, without these and what came from them. What has ended
/// and only waits to be reaped counts until it is.
fn children(without: &BTreeSet<i32>) -> BTreeMap<i32, u64> {
    let Ok(processes) = procs::list(Path::new("/proc")) else { return BTreeMap::new() };
    let stats: Vec<(i32, i32, u64)> = processes
        .filter_map(|process| {
            let stat = process.stat().ok()?;
            Some((process.pid, stat.parent, stat.start_ticks))
        })
        .collect();
    let mut ours = BTreeSet::from([rustix::process::getpid().as_raw_nonzero().get()]);
    let mut found = BTreeMap::new();
    loop {
        let new = stats.iter().filter(|(pid, parent, _)| ours.contains(parent) && !ours.contains(pid));
        let new: Vec<_> = new.filter(|(pid, ..)| !without.contains(pid)).copied().collect();
        if new.is_empty() {
            return found;
        }
        for (pid, _, started) in new {
            ours.insert(pid);
            found.insert(pid, started);
        }
    }
}

/// What is to be said of an end that is no exit code.
pub fn words(end: End, deadline: Duration) -> Result<i32> {
    match end {
        End::Exited(code) => Ok(code),
        End::Signalled(signal) => bail!("ended by signal {signal}"),
        End::TimedOut => bail!("ended: not done after {} s", deadline.as_secs()),
        End::TooLoud => bail!("ended: it printed more than {} MiB", MOST_PRINTED >> 20),
        End::Stopped => bail!("ended: the service stops"),
    }
}
