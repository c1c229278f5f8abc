//! Looks at every process, and at each of the files that it maps.

use super::scripts;
use super::sights::Sights;
use crate::cli::MappingSource;
use crate::model::file::{Look, Stamp};
use crate::model::judge::{self, Candidate, ClaimIndex, FileView, Named, Use};
use crate::model::mapping::{self, Mapping};
use crate::model::owner::{cgroup_path, Owner};
use crate::model::process::{Gap, ProcessKey, ProcessSnapshot, Stat};
use crate::model::text;
use crate::sys::clock;
use crate::sys::procs::{self, build_id, ProcessHandle};
use crate::sys::query;
use crate::sys::spaces::Spaces;
use crate::sys::users::Users;
use anyhow::{bail, Result};
use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::Arc;
use std::time::Duration;

/// Which processes are told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// Those with something to say.
    Noteworthy,
    /// All, with data mappings.
    All,
}

/// Where mappings are read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    /// The text of `maps`: every kernel, every mapping.
    Text,
    /// `PROCMAP_QUERY`: executable mappings only, and three times as fast.
    Query,
}

/// Data files are only of interest where all is asked for, or where somebody says just now that one
/// was replaced.
fn source(question: &Question) -> Source {
    let only_code = question.extent == Extent::Noteworthy && !question.claims.any_now();
    match (question.mappings, only_code && query::is_there(&question.proc)) {
        (MappingSource::Auto, true) | (MappingSource::Query, _) => Source::Query,
        (MappingSource::Auto, false) | (MappingSource::Text, _) => Source::Text,
    }
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
    /// Our own user id: who is not root can only look at his own processes.
    pub uid: u32,
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
    /// Number of processes of other users that an ordinary user may not look at.
    pub closed: usize,
}

/// Five thousand processes take half a second. A file system whose server is gone takes for ever.
const DEADLINE: Duration = Duration::from_secs(45);

/// Looks at all processes, within a deadline.
pub fn scan(question: &Question) -> Result<Seen> {
    let (send, receive) = mpsc::channel();
    let at = Arc::new(AtomicI32::new(0));
    let (question, seen_by_scan) = (question.clone(), Arc::clone(&at));
    // What is stuck in the kernel cannot be ended, only left behind; it ends with this program.
    std::thread::Builder::new()
        .name("scan".to_owned())
        .spawn(move || drop(send.send(scan_all(&question, &seen_by_scan))))?;
    match receive.recv_timeout(DEADLINE) {
        Ok(seen) => seen,
        Err(RecvTimeoutError::Timeout) => {
            let pid = at.load(Ordering::Relaxed);
            bail!("looking at process {pid} did not end within {} s: a file that it maps may lie on a file system that hangs", DEADLINE.as_secs())
        }
        Err(RecvTimeoutError::Disconnected) => bail!("the scan failed inside"),
    }
}

fn scan_all(question: &Question, at: &AtomicI32) -> Result<Seen> {
    let mut scanner = Scanner {
        question,
        sights: Sights {
            spaces: Spaces::of_host(&question.proc),
            boot: clock::boot(),
            claims: Arc::clone(&question.claims),
            files: Vec::new(),
            known: HashMap::new(),
        },
        users: Users::of(Path::new("/")),
        source: source(question),
        text: Vec::new(),
        seen: Seen::default(),
    };
    let own = std::process::id() as i32;
    for process in procs::list(&question.proc)? {
        at.store(process.pid, Ordering::Relaxed);
        // We run what was started a moment ago, and end by ourselves.
        if process.pid == own {
            continue;
        }
        scanner.look(&process);
    }
    Ok(Seen { files: scanner.sights.files, ..scanner.seen })
}

struct Scanner<'a> {
    question: &'a Question,
    sights: Sights,
    users: Users,
    source: Source,
    text: Vec<u8>,
    seen: Seen,
}

impl Scanner<'_> {
    fn look(&mut self, process: &ProcessHandle) {
        let thread;
        let (gap, reader) = match self.read_maps(process) {
            Ok(maps) => (None, Some((process, maps))),
            // Nothing is mapped: a kernel thread, a zombie, or a first thread that has ended.
            Err(Gap::Vanished) => match process.stat() {
                Ok(stat) if !stat.kernel_thread && stat.threads > 1 => {
                    let Some(found) = process.through_thread(&self.question.proc) else { return };
                    thread = found;
                    match self.read_maps(&thread) {
                        Ok(maps) => (None, Some((&thread, maps))),
                        Err(gap) => (Some(gap), None),
                    }
                }
                _ => return,
            },
            Err(gap) => (Some(gap), None),
        };
        self.seen.scanned += 1;
        match reader {
            Some((reader, maps)) => self.look_at_files(process, reader, &maps),
            None => self.note_gap(process, gap.unwrap_or(Gap::Vanished)),
        }
    }

    /// Opens the mappings, and reads their text where that is the source.
    fn read_maps(&mut self, process: &ProcessHandle) -> Result<File, Gap> {
        let maps = process.open_maps()?;
        let empty = match self.source {
            Source::Text => {
                process.read_maps(&maps, &mut self.text)?;
                self.text.is_empty()
            }
            Source::Query => !query::has_memory(&maps),
        };
        match empty {
            true => Err(Gap::Vanished),
            false => Ok(maps),
        }
    }

    fn note_gap(&mut self, process: &ProcessHandle, gap: Gap) {
        if gap == Gap::Vanished {
            self.seen.scanned -= 1;
            return;
        }
        let snapshot = process.stat().ok().map(|stat| self.snapshot(process, process, stat, process.exe()));
        if self.question.uid != 0 && snapshot.as_ref().is_some_and(|snapshot| snapshot.uid != Some(self.question.uid)) {
            self.seen.scanned -= 1;
            self.seen.closed += 1;
            return;
        }
        if let Some(snapshot) = snapshot {
            self.seen.candidates.push(Candidate {
                snapshot,
                started: None,
                uses: Vec::new(),
                scripts: Vec::new(),
                gap: Some(gap),
            });
        }
    }

    fn look_at_files(&mut self, process: &ProcessHandle, reader: &ProcessHandle, maps: &File) {
        let space = self.sights.spaces.of(reader);
        let program = reader.look_at_exe();
        let (mut uses, mut gap) = (Vec::new(), None);
        match self.source {
            Source::Text => {
                let text = std::mem::take(&mut self.text);
                for mapping in mapping::parse_maps(&text) {
                    match mapping {
                        Ok(mapping) if mapping.is_file() => {
                            let file = self.sights.file_of(reader, space, &mapping, &program);
                            self.add_use(&mut uses, file, &mapping, &program);
                        }
                        Ok(_) => {}
                        Err(error) => gap = Some(Gap::Unparsable(format!("maps: {}", text::escape(&error.line)))),
                    }
                }
                self.text = text;
            }
            Source::Query => {
                for mapping in query::code_mappings(maps) {
                    let file = self.sights.nameless(space, mapping.id).unwrap_or_else(|| {
                        query::name_of(maps, &mapping, &mut self.text);
                        self.sights.file_of(reader, space, &Mapping { name: &self.text, ..mapping }, &program)
                    });
                    self.add_use(&mut uses, file, &mapping, &program);
                }
            }
        }
        for usage in &mut uses {
            if usage.execute || usage.is_program || self.question.extent == Extent::All {
                self.sights.examine(usage, reader, maps);
            }
            let upper = &self.sights.files[usage.file as usize].upper_build_id;
            if let (Some(upper), true) = (upper, usage.execute || usage.is_program) {
                usage.old_bytes = build_id(maps, usage.range.0).is_some_and(|mapped| mapped != *upper);
            }
        }
        self.keep(process, reader, uses, gap);
    }

    fn add_use(&self, uses: &mut Vec<Use>, file: u32, mapping: &Mapping<'_>, program: &Look) {
        let index = match uses.iter().rposition(|usage| usage.file == file) {
            Some(index) => index,
            None => {
                let sighting = &self.sights.files[file as usize].sighting;
                let is_program = match (program, &sighting.mapped) {
                    (Look::Found(program), Look::Found(mapped)) => program.id == mapped.id,
                    (Look::Found(program), _) => program.id.ino == sighting.printed.ino,
                    _ => false,
                };
                uses.push(Use {
                    file,
                    is_program,
                    execute: false,
                    writes: false,
                    shared: true,
                    reach: 0,
                    range: (mapping.start, mapping.end),
                    named: Named::Unsaid,
                    old_bytes: false,
                });
                uses.len() - 1
            }
        };
        let usage = &mut uses[index];
        usage.execute |= mapping.execute;
        usage.writes |= mapping.shared && mapping.write;
        usage.shared &= mapping.shared;
        usage.reach = usage.reach.max(mapping.reach());
    }

    /// Keeps a process about which there may be something to say. What costs a read is asked only then.
    fn keep(&mut self, process: &ProcessHandle, reader: &ProcessHandle, mut uses: Vec<Use>, gap: Option<Gap>) {
        let all = self.question.extent == Extent::All || gap.is_some();
        let quiet = self.is_quiet(&uses, self.sights.boot);
        if !all && quiet && self.question.claims.is_empty() {
            return;
        }
        let Ok(stat) = process.stat() else { return };
        let started = clock::of_ticks(self.sights.boot, stat.start_ticks);
        let exe = reader.exe();
        let scripts = scripts::look(exe.as_deref(), reader, started, &self.question.claims);
        if !all && scripts.is_empty() && (quiet || self.is_quiet(&uses, started)) {
            return;
        }
        let snapshot = self.snapshot(process, reader, stat, exe);
        self.sights.ask_names(&mut uses, reader);
        self.seen.candidates.push(Candidate { snapshot, started: Some(started), uses, scripts, gap });
    }

    /// Whether nothing is to be said of a process that started then.
    fn is_quiet(&self, uses: &[Use], started: Stamp) -> bool {
        uses.iter().all(|usage| !judge::in_question(usage, &self.sights.files[usage.file as usize], Some(started)))
    }

    fn snapshot(
        &self,
        process: &ProcessHandle,
        reader: &ProcessHandle,
        stat: Stat,
        exe: Option<PathBuf>,
    ) -> ProcessSnapshot {
        let uid = process.uid();
        let cgroup = reader.cgroup();
        ProcessSnapshot {
            key: ProcessKey { pid: process.pid, start_ticks: stat.start_ticks },
            comm: stat.comm,
            exe,
            uid,
            user: uid.and_then(|uid| self.users.name(uid)).map(str::to_owned),
            owner: Owner::of(process.pid, &cgroup),
            cgroup: cgroup_path(&cgroup).unwrap_or_default().to_vec(),
        }
    }
}
