//! Looks at every process, and at each of the files that it maps.

use super::resting::Recall;
use super::scanner::Scanner;
use super::sights::Sights;
use crate::cli::MappingSource;
use crate::model::file::Stamp;
use crate::model::judge::{Candidate, ClaimIndex, FileView, Window};
use crate::model::mapping::Wanted;
use crate::model::process::Gap;
use crate::model::reboot::release_order;
use crate::model::resting::Notes;
use crate::model::starts::Starts;
use crate::sys::clock;
use crate::sys::host;
use crate::sys::mappings::{self, Source};
use crate::sys::proc_folder::Procs;
use crate::sys::raw;
use crate::sys::spaces::Spaces;
use crate::sys::users::Users;
use anyhow::{bail, Result};
use std::cmp::Ordering::Less;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

/// Which processes are told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// Those with something to say.
    Noteworthy,
    /// The same, where data files may be something to say.
    Data,
    /// All, with data files.
    All,
}

/// What to look at.
#[derive(Debug, Clone)]
pub struct Question {
    /// Where `/proc` is mounted.
    pub proc: PathBuf,
    /// Which processes are told of.
    pub extent: Extent,
    /// What somebody says was replaced.
    pub claims: Arc<ClaimIndex>,
    /// Where mappings are read from.
    pub mappings: MappingSource,
    /// How many threads look; by the number of processes where nobody says.
    pub threads: Option<usize>,
    /// What earlier looks read of when processes started.
    pub starts: Arc<Starts>,
    /// What an earlier look kept of processes that may not have run since; `None` where each is asked.
    pub recall: Option<Arc<Recall>>,
    /// Our own user id: who is not root can only look at his own processes.
    pub uid: u32,
    /// What did not answer when it was tried.
    pub hung: Arc<Hung>,
    /// When transactions were replacing files.
    pub windows: Vec<Window>,
    /// The processes to look at; `None` for all.
    pub only: Option<Vec<i32>>,
}

impl Question {
    /// Whether a process with this pid may have been started in the middle of a transaction.
    pub fn may_be_amid(&self, pid: i32) -> bool {
        self.windows.iter().any(|window| window.may_have(pid))
    }

    /// Whether a process was started in the middle of a transaction.
    pub fn is_amid(&self, started: Stamp) -> bool {
        self.windows.iter().any(|window| window.has(started))
    }
}

/// What does not answer, and is not asked again.
#[derive(Debug, Clone, Default)]
pub struct Hung {
    /// Processes at which a look did not end.
    pub pids: BTreeSet<i32>,
    /// Devices of file systems that do not answer, and where one of their mounts is.
    pub devices: BTreeMap<u64, PathBuf>,
}

/// What was seen.
#[derive(Debug, Default)]
pub struct Seen {
    /// Processes that must be judged.
    pub candidates: Vec<Candidate>,
    /// Files that processes map.
    pub files: Vec<FileView>,
    /// Number of processes looked at.
    pub scanned: usize,
    /// Those among them that have not run since an earlier look.
    pub resting: usize,
    /// What is worth keeping of the others.
    pub notes: Vec<Notes>,
    /// Number of processes of other users that an ordinary user may not look at.
    pub closed: usize,
    /// Start times that had to be read, for the next look.
    pub started: Vec<(i32, u64)>,
    /// All pids.
    pub pids: Vec<i32>,
}

impl Seen {
    /// Adds what another thread saw.
    fn add(&mut self, other: Seen) {
        self.candidates.extend(other.candidates);
        self.scanned += other.scanned;
        self.resting += other.resting;
        self.notes.extend(other.notes);
        self.closed += other.closed;
        self.started.extend(other.started);
    }
}

/// More of them wait for each other in the kernel.
const MOST_THREADS: usize = 4;
/// Processes that a thread takes at a time.
const SHARE: usize = 16;
/// So many processes the first thread looks at alone, where nobody says how many threads there are to be: it meets
/// almost all files, for each of which the others would wait, and two threads need more processor time than one.
const ALONE: usize = 500;

/// What all threads of a scan share.
#[derive(Debug)]
pub struct Hall<'a> {
    /// What to look at.
    pub question: &'a Question,
    /// All processes.
    pub procs: Procs,
    /// Our own pid among them.
    pub own: Option<i32>,
    /// Where mappings are read from.
    pub source: Source,
    /// The printed number of a file on an overlayfs may be that of its layer, which the host may have under a path of
    /// its own.
    pub prints_layers: bool,
    /// Which mappings count.
    pub wanted: Wanted,
    /// The files that were met.
    pub sights: RwLock<Sights>,
    /// The users, once one must be named.
    pub users: OnceLock<Users>,
}

/// Whom a thread looks at, for when it does not end; 0 for nobody.
#[derive(Debug, Default)]
pub struct Watched {
    pid: AtomicI32,
    /// While the others may have to wait for it.
    closely: AtomicI32,
}

/// A process is looked at closely as long as this is there.
#[derive(Debug)]
pub struct Closely<'a>(&'a Watched);

impl Watched {
    /// A process for which the others may have to wait from now on.
    pub fn closely(&self, pid: i32) -> Closely<'_> {
        self.closely.store(pid, Ordering::Relaxed);
        Closely(self)
    }
}

impl Drop for Closely<'_> {
    fn drop(&mut self) {
        self.0.closely.store(0, Ordering::Relaxed);
    }
}

/// How far a scan is.
#[derive(Debug, Default)]
pub struct Progress {
    threads: [Watched; MOST_THREADS],
    /// How many were looked at.
    pub looked: AtomicUsize,
}

impl Progress {
    /// Who is looked at, or the one for whom all wait; 0 for nobody.
    pub fn pid(&self) -> i32 {
        let at = |pid: &AtomicI32| Some(pid.load(Ordering::Relaxed)).filter(|&pid| pid != 0);
        let closely = self.threads.iter().find_map(|thread| at(&thread.closely));
        closely.or_else(|| self.threads.iter().find_map(|thread| at(&thread.pid))).unwrap_or(0)
    }
}

/// Data files are only of interest where all is asked for, or where somebody says just now that one
/// was replaced.
pub fn wanted(extent: Extent, claims: &ClaimIndex) -> Wanted {
    match extent != Extent::Noteworthy || claims.any_now() {
        true => Wanted::Files,
        false => Wanted::Code,
    }
}

fn source(question: &Question, procs: &Procs) -> Source {
    match question.mappings {
        MappingSource::Auto if mappings::can_be_asked(procs) => Source::Query,
        MappingSource::Query => Source::Query,
        MappingSource::Auto | MappingSource::Text => Source::Text,
    }
}

/// The text does before Linux 6.8 (`show_map_vma` of fs/proc/task_mmu.c); questions came later. Of a text that is not
/// this kernel's nobody knows.
fn prints_layers(question: &Question, source: Source) -> bool {
    let is_old = || question.proc != Path::new("/proc") || release_order(&host::kernel(), "6.8") == Less;
    source == Source::Text && is_old()
}

fn threads(question: &Question) -> usize {
    let by_processors = || std::thread::available_parallelism().map_or(1, usize::from);
    question.threads.unwrap_or_else(by_processors).clamp(1, MOST_THREADS)
}

/// Looks at all processes but those that are known to hang.
pub fn scan_all(question: &Question, progress: &Progress) -> Result<Seen> {
    // This thread opens all that it uses, and hands no descriptor to who waits for it.
    raw::own_descriptors();
    let procs = Procs::at(&question.proc)?;
    let pids = match &question.only {
        Some(only) => only.clone(),
        None => procs.pids()?,
    };
    let source = source(question, &procs);
    let silent = question.hung.devices.keys().copied().collect();
    let spaces = Spaces::of_host(&question.proc, &silent);
    let sights = Sights::new(spaces, clock::boot(), Arc::clone(&question.claims));
    let (sights, wanted, users) = (RwLock::new(sights), wanted(question.extent, &question.claims), OnceLock::new());
    let (own, prints_layers) = (host::own_pid(&question.proc), prints_layers(question, source));
    let hall = Hall { question, procs, own, source, prints_layers, wanted, sights, users };
    let next = AtomicUsize::new(0);
    let look = |scanner: &mut Scanner<'_>, at: &Watched| {
        let share = pids.get(next.fetch_add(SHARE, Ordering::Relaxed)..).unwrap_or_default();
        let share = &share[..share.len().min(SHARE)];
        for &pid in share {
            at.pid.store(pid, Ordering::Relaxed);
            match question.hung.pids.contains(&pid) {
                true => scanner.note_gap(pid, Gap::TimedOut),
                false => scanner.look(pid),
            }
            progress.looked.fetch_add(1, Ordering::Relaxed);
        }
        at.pid.store(0, Ordering::Relaxed);
        !share.is_empty()
    };
    let work = |at| {
        let mut scanner = Scanner::new(&hall, at);
        while look(&mut scanner, at) {}
        scanner.end()
    };
    let (first, others) = (&progress.threads[0], &progress.threads[1..threads(question)]);
    let mut seen = std::thread::scope(|scope| {
        let mut scanner = Scanner::new(&hall, first);
        let alone = if question.threads.is_some() { 0 } else { ALONE };
        let mut is_left = true;
        while is_left && scanner.seen.scanned < alone {
            is_left = look(&mut scanner, first);
        }
        let others = if is_left { others } else { &[] };
        let threads: Vec<_> = others.iter().map(|at| scope.spawn(|| work(at))).collect();
        while look(&mut scanner, first) {}
        let mut seen = scanner.end();
        for thread in threads {
            let Ok(other) = thread.join() else { bail!("the scan failed inside") };
            seen.add(other);
        }
        Ok(seen)
    })?;
    seen.files = hall.sights.into_inner().unwrap_or_else(PoisonError::into_inner).files;
    seen.pids = pids;
    Ok(seen)
}
