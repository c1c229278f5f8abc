//! Goes on where a look does not end: what is stuck in the kernel cannot be ended, only left behind in
//! its thread, which ends with this program.
//!
//! Mostly it is a file system whose server is gone (NFS, sshfs). It is found by asking each mount for a
//! name that it does not have; then the look begins anew without the mounts that did not answer. Where
//! all of them answer it goes on without the process.

use super::scan::{scan_all, Hung, Progress, Question, Seen};
use crate::sys::files::{Links, Root};
use crate::sys::procs;
use crate::sys::spaces::mounts;
use anyhow::{bail, Context, Result};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Five thousand processes take half a second.
const DEADLINE: Duration = Duration::from_secs(45);
/// Comparing the largest files from a slow disk takes seconds.
const PATIENCE: Duration = Duration::from_secs(4);
/// For one process, where all mounts answer: twice, then less.
const LONG_PATIENCE: Duration = Duration::from_secs(12);
/// A local file system answers at once, a remote one in milliseconds.
const ANSWER: Duration = Duration::from_millis(1500);
const PULSE: Duration = Duration::from_millis(20);
/// A name that no folder has.
const NO_NAME: &str = ".reexec-asks-whether-you-answer";

/// Looks at all processes, within a deadline.
pub fn scan(question: &Question) -> Result<(Seen, Arc<Hung>)> {
    let end = Instant::now() + DEADLINE;
    let mut question = question.clone();
    loop {
        let mut hung = match attempt(&question, end)? {
            Ok(seen) => return Ok((seen, question.hung)),
            Err(hung) => hung,
        };
        hung.pids.extend(&question.hung.pids);
        hung.devices.extend(question.hung.devices.clone());
        question.hung = Arc::new(hung);
    }
}

/// One look; what hung where it did not end.
fn attempt(question: &Question, end: Instant) -> Result<Result<Seen, Hung>> {
    let (send, receive) = mpsc::channel();
    let progress = Arc::new(Progress::default());
    let (asked, seen_by_scan) = (question.clone(), Arc::clone(&progress));
    spawn("scan", move || drop(send.send(scan_all(&asked, &seen_by_scan))))?;
    let (mut looked, mut since, mut tried) = (0, Instant::now(), false);
    loop {
        match receive.recv_timeout(PULSE) {
            Ok(seen) => return seen.map(Ok),
            Err(RecvTimeoutError::Disconnected) => bail!("the scan failed inside"),
            Err(RecvTimeoutError::Timeout) => {}
        }
        let now = progress.looked.load(Ordering::Relaxed);
        if now != looked {
            (looked, since, tried) = (now, Instant::now(), false);
        }
        let pid = progress.pid();
        if since.elapsed() > PATIENCE && !tried {
            tried = true;
            let devices = silent_devices(&question.proc, pid, &question.hung);
            if !devices.is_empty() {
                return Ok(Err(Hung { devices, ..Hung::default() }));
            }
        }
        if since.elapsed() > LONG_PATIENCE && pid != 0 {
            return Ok(Err(Hung { pids: [pid].into(), ..Hung::default() }));
        }
        if Instant::now() > end {
            bail!("looking at all processes did not end within {} s; it stood at process {pid}", DEADLINE.as_secs());
        }
    }
}

/// The file systems in a process's namespace that do not answer and are not known yet.
fn silent_devices(proc: &Path, pid: i32, known: &Hung) -> BTreeMap<u64, PathBuf> {
    let Ok(process) = procs::open(proc, pid) else { return BTreeMap::new() };
    let Some(top) = process.top_folder() else { return BTreeMap::new() };
    let mounts: BTreeMap<u64, PathBuf> =
        mounts(&process.mountinfo()).filter(|(device, _)| !known.devices.contains_key(device)).collect();
    silent_of(mounts, Root::Folder(top))
}

/// Asks all file systems at one time, each in a thread of its own.
fn silent_of(mut mounts: BTreeMap<u64, PathBuf>, root: Root) -> BTreeMap<u64, PathBuf> {
    let (root, (send, receive)) = (Arc::new(root), mpsc::channel());
    for (&device, path) in &mounts {
        let (send, root, path) = (send.clone(), Arc::clone(&root), path.join(NO_NAME));
        let asked = spawn("mount", move || {
            let _ = root.look(&path, Links::Keep);
            let _ = send.send(device);
        });
        if asked.is_err() {
            return BTreeMap::new();
        }
    }
    drop(send);
    let end = Instant::now() + ANSWER;
    while let Ok(device) = receive.recv_timeout(end.saturating_duration_since(Instant::now())) {
        mounts.remove(&device);
    }
    mounts
}

/// Does what needs no process, such as looking at what is claimed. Where it does not end it begins anew
/// with the mounts that do not answer.
pub fn without_silent_mounts<T: Send + 'static>(
    proc: &Path,
    work: impl Fn(&[PathBuf]) -> Result<T> + Send + Sync + 'static,
) -> Result<(T, Hung)> {
    let (work, mut hung) = (Arc::new(work), Hung::default());
    for patience in [PATIENCE, DEADLINE] {
        let (send, receive) = mpsc::channel();
        let (work, silent) = (Arc::clone(&work), hung.devices.values().cloned().collect::<Vec<_>>());
        spawn("claims", move || drop(send.send(work(&silent))))?;
        match receive.recv_timeout(patience) {
            Ok(done) => return done.map(|done| (done, hung)),
            Err(RecvTimeoutError::Disconnected) => bail!("looking at the claims failed inside"),
            Err(RecvTimeoutError::Timeout) => {}
        }
        hung.devices = silent_devices(proc, std::process::id() as i32, &hung);
        if hung.devices.is_empty() {
            let done = receive.recv_timeout(DEADLINE).context("looking at what is claimed did not end")?;
            return done.map(|done| (done, hung));
        }
    }
    bail!("looking at what is claimed did not end: a file system hangs")
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<()> {
    std::thread::Builder::new().name(name.to_owned()).spawn(work)?;
    Ok(())
}
