//! One thread of a scan.
//!
//! Most processes map nothing but files that were met before and are what they were: they are told by
//! the numbers of the inodes alone ([`Scanner::is_plain`]). The others are looked at closely.

mod subject;

use super::names;
use super::recent::Recent;
use super::resting::Recall;
use super::scan::{Extent, Hall, Seen, Watched};
use super::scripts::{self, Reading, Scripts};
use super::sights::Sights;
use crate::model::file::Stamp;
use crate::model::judge::{self, Candidate, Space, Use};
use crate::model::mapping::Wanted;
use crate::model::owner::{cgroup_path, Owner};
use crate::model::process::{Gap, ProcessKey, ProcessSnapshot, Stat};
use crate::model::resting::{Code, Notes, Rest};
use crate::model::script;
use crate::sys::clock;
use crate::sys::mappings::Mappings;
use crate::sys::procs::ProcessHandle;
use crate::sys::users::Users;
use std::fs::File;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;
use subject::Subject;

/// One thread.
#[derive(Debug)]
pub struct Scanner<'a> {
    hall: &'a Hall<'a>,
    watched: &'a Watched,
    mappings: Mappings,
    recent: Recent,
    boot: Stamp,
    notes: Notes,
    /// What it has seen, but for the files and what is to be kept.
    pub seen: Seen,
}

impl<'a> Scanner<'a> {
    /// A thread that has seen nothing yet.
    pub fn new(hall: &'a Hall<'a>, watched: &'a Watched) -> Scanner<'a> {
        let (mappings, recent) = (Mappings::from(hall.source), Recent::default());
        let boot = hall.sights.read().unwrap_or_else(PoisonError::into_inner).boot;
        Scanner { hall, watched, mappings, recent, boot, notes: Notes::default(), seen: Seen::default() }
    }

    /// All that it has seen, but for the files.
    pub fn end(self) -> Seen {
        Seen { notes: vec![self.notes], ..self.seen }
    }

    /// Looks at one process.
    pub fn look(&mut self, pid: i32) {
        // We run what was started a moment ago, and end by ourselves.
        if Some(pid) == self.hall.own {
            return;
        }
        // Before its mappings are: whatever it does from now on shows the next time.
        let asked = self.hall.question.recall.as_deref().and_then(|recall| Some((recall, clock::ran(pid)?)));
        if self.rests(pid, asked) {
            (self.seen.scanned, self.seen.resting) = (self.seen.scanned + 1, self.seen.resting + 1);
            return;
        }
        let maps = match self.read(|hall| hall.procs.open_maps(pid)) {
            Ok(maps) => maps,
            Err(Gap::Vanished) => return self.look_through_thread(pid),
            Err(gap) => return self.note_gap(pid, gap),
        };
        if self.is_plain(pid, None, Some(&maps)) {
            self.seen.scanned += 1;
            return self.note(pid, asked);
        }
        let namespace = self.hall.procs.mount_namespace(pid);
        if self.is_plain(pid, Some(namespace), Some(&maps)) {
            self.seen.scanned += 1;
            return self.note(pid, asked);
        }
        let Ok(process) = self.hall.procs.open(pid) else { return };
        // Still the same process: its number cannot have been given to another one before its memory went.
        if !self.mappings.is_alive(&maps) {
            return;
        }
        self.seen.scanned += 1;
        if self.meet(&process, &maps, namespace) && self.is_plain(pid, Some(namespace), Some(&maps)) {
            return self.note(pid, asked);
        }
        self.pass(pid);
        self.look_closely(&process, &process, &maps, namespace);
    }

    /// Whether a process has not run since an earlier look, and nothing is to be said of it by what it mapped then.
    fn rests(&mut self, pid: i32, asked: Option<(&Recall, NonZeroU64)>) -> bool {
        let Some((recall, rest)) = asked.and_then(|(recall, ran)| Some((recall, recall.rest(pid, ran)?))) else {
            return false;
        };
        self.mappings.recall(recall.earlier.codes(&rest));
        let is_plain =
            self.is_plain(pid, None, None) || self.meet_again(recall, &rest) && self.is_plain(pid, None, None) || {
                let namespace = self.hall.procs.mount_namespace(pid);
                self.is_plain(pid, Some(namespace), None)
            };
        if is_plain {
            self.notes.confirm(pid);
        }
        is_plain
    }

    /// Looks at the files of a process that nobody has met yet by the names that were kept; whether there are any.
    fn meet_again(&mut self, recall: &Recall, rest: &Rest) -> bool {
        let sights = &mut *self.hall.sights.write().unwrap_or_else(PoisonError::into_inner);
        let _closely = self.watched.closely(rest.pid as i32);
        sights.meet_again(self.mappings.rows(), recall.earlier.names(rest))
    }

    /// Notes down what a process maps of which nothing is to be said, for the next look.
    fn note(&mut self, pid: i32, asked: Option<(&Recall, NonZeroU64)>) {
        let (Some((recall, ran)), Some(first)) = (asked, self.mappings.rows().first()) else { return };
        // Younger than the kernel's tick, it is not relied on yet.
        if recall.has(pid, ran) {
            return self.notes.confirm(pid);
        }
        let codes = self.mappings.rows().iter().map(|row| Code { id: row.mapping.id, reach: row.mapping.reach() });
        self.notes.add(pid, ran, first.mapping.start, codes);
    }

    /// Notes down where a process has its code of which there may be something to say.
    fn pass(&mut self, pid: i32) {
        if let (Some(_), Some(first)) = (&self.hall.question.recall, self.mappings.rows().first()) {
            self.notes.pass(pid, first.mapping.start);
        }
    }

    /// Looks at the files that nobody has met yet, where these may be all that is not known of a process.
    fn meet(&mut self, process: &ProcessHandle, maps: &File, namespace: Option<u64>) -> bool {
        if self.hall.question.extent != Extent::Noteworthy || self.mappings.fault().is_some() {
            return false;
        }
        let sights = &mut *self.hall.sights.write().unwrap_or_else(PoisonError::into_inner);
        let Some(space) = sights.spaces.known(namespace) else { return false };
        let Some(unmet) = sights.unmet(space, self.mappings.rows()).filter(|unmet| !unmet.is_empty()) else {
            return false;
        };
        let _closely = self.watched.closely(process.pid);
        let program = process.look_at_exe();
        let mut subject = Subject { reader: process, maps, space, program, started: None, uses: Vec::new() };
        for row in unmet {
            subject.add_row(sights, &mut self.mappings, row);
        }
        subject.examine(sights, self.hall.question.extent);
        true
    }

    fn read(&mut self, open: impl FnOnce(&Hall<'_>) -> Result<File, Gap>) -> Result<File, Gap> {
        let maps = open(self.hall)?;
        self.mappings.read(&maps, self.hall.wanted)?;
        Ok(maps)
    }

    /// Nothing is mapped: a kernel thread, a zombie, or a first thread that has ended.
    fn look_through_thread(&mut self, pid: i32) {
        if !self.hall.procs.has_threads(pid) {
            return;
        }
        let Ok(process) = self.hall.procs.open(pid) else { return };
        let Some(thread) = process.through_thread(&self.hall.question.proc) else { return };
        match self.read(|_| thread.open_maps()) {
            Ok(maps) => {
                self.seen.scanned += 1;
                self.pass(pid);
                self.look_closely(&process, &thread, &maps, thread.namespace("mnt"));
            }
            Err(gap) => self.note_gap(pid, gap),
        }
    }

    /// Whether nothing is to be said of the process, as far as can be told from the inodes that it maps, and
    /// from its mount namespace where that was asked for.
    fn is_plain(&mut self, pid: i32, namespace: Option<Option<u64>>, maps: Option<&File>) -> bool {
        if self.hall.question.extent != Extent::Noteworthy || self.mappings.fault().is_some() {
            return false;
        }
        if namespace.is_none() && self.hall.prints_layers {
            return false;
        }
        let sights = self.hall.sights.read().unwrap_or_else(PoisonError::into_inner);
        let space = match namespace {
            None => None,
            Some(namespace) => match sights.spaces.known(namespace) {
                None => return false,
                known => known,
            },
        };
        let Some(since) = sights.plain_since(space, &mut self.mappings, maps, &mut self.recent) else { return false };
        drop(sights);
        // Who started before a claimed link was flipped has to be asked what it loaded through it.
        let since = self.hall.question.claims.newest_link().map_or(since, |made| made.max(since));
        let question = self.hall.question;
        let started = |ticks: u64| clock::of_ticks(self.boot, ticks);
        let starts = || self.hall.procs.start_ticks(pid).map(started);
        if question.may_be_amid(pid) && starts().is_none_or(|started| question.is_amid(started)) {
            return false;
        }
        let is_later = |ticks: u64| started(ticks) >= since;
        if since <= self.boot || self.hall.question.starts.not_before(pid).is_some_and(is_later) {
            return true;
        }
        let ticks = self.hall.procs.start_ticks(pid);
        self.seen.started.extend(ticks.map(|ticks| (pid, ticks)));
        ticks.is_some_and(is_later)
    }

    /// A process that may not or cannot be looked at.
    pub fn note_gap(&mut self, pid: i32, gap: Gap) {
        if gap == Gap::Vanished {
            return;
        }
        let Ok(process) = self.hall.procs.open(pid) else { return };
        let own = self.hall.question.uid;
        if own != 0 && process.uid() != Some(own) {
            self.seen.closed += 1;
            return;
        }
        let Ok(stat) = process.stat() else { return };
        let snapshot = self.snapshot(&process, &process, stat, process.exe());
        let (uses, scripts) = (Vec::new(), Vec::new());
        self.seen.scanned += 1;
        let script = None;
        self.seen.candidates.push(Candidate { snapshot, started: None, uses, scripts, script, gap: Some(gap) });
    }

    fn look_closely(&mut self, process: &ProcessHandle, reader: &ProcessHandle, maps: &File, namespace: Option<u64>) {
        let hall = self.hall;
        let (program, stat) = (reader.look_at_exe(), process.stat());
        let gap = self.mappings.fault().cloned();
        let started = stat.as_ref().ok().map(|stat| clock::of_ticks(self.boot, stat.start_ticks));
        let mut subject = Subject { reader, maps, space: Space::HOST, program, started, uses: Vec::new() };
        let mut sights = hall.sights.read().unwrap_or_else(PoisonError::into_inner);
        // Most of them map only what was looked at already, and then the other threads go on meanwhile.
        if !self.all_is_settled(&sights, &mut subject, namespace) {
            drop(sights);
            self.look_at_all(&mut subject, namespace);
            sights = hall.sights.read().unwrap_or_else(PoisonError::into_inner);
        }
        let _closely = self.watched.closely(process.pid);
        subject.compare_upper(&sights);
        self.keep(&sights, process, stat, subject, gap);
    }

    /// Adds the files of a process; whether all of them were met before, and no look would tell more of them.
    fn all_is_settled(&mut self, sights: &Sights, subject: &mut Subject<'_>, namespace: Option<u64>) -> bool {
        let Some(space) = sights.spaces.known(namespace) else { return false };
        subject.space = space;
        let added = (0..self.mappings.rows().len()).all(|row| subject.add_met(sights, &mut self.mappings, row));
        let extent = self.hall.question.extent;
        let is_settled = |usage: &Use| sights.is_settled(usage, is_examined(usage, extent));
        added
            && subject.uses.iter().all(is_settled)
            && (self.hall.wanted != Wanted::Code || subject.unmet_program().is_none())
    }

    /// Adds the files of a process and looks at those that nobody has met yet, while nobody else does.
    fn look_at_all(&mut self, subject: &mut Subject<'_>, namespace: Option<u64>) {
        let sights = &mut *self.hall.sights.write().unwrap_or_else(PoisonError::into_inner);
        let _closely = self.watched.closely(subject.reader.pid);
        subject.space = sights.spaces.of(namespace, subject.reader);
        subject.uses.clear();
        subject.add_all(sights, &mut self.mappings, |_| true);
        if let (Wanted::Code, Some(ino)) = (self.hall.wanted, subject.unmet_program()) {
            // Its code was mapped away, for huge pages say; its data is still there.
            if self.mappings.read(subject.maps, Wanted::Files).is_ok() {
                subject.add_all(sights, &mut self.mappings, |mapping| mapping.id.ino == ino);
            }
        }
        subject.examine(sights, self.hall.question.extent);
    }

    /// Keeps a process about which there may be something to say. What costs a read is asked only then.
    fn keep(
        &mut self,
        sights: &Sights,
        process: &ProcessHandle,
        stat: Result<Stat, Gap>,
        subject: Subject<'_>,
        gap: Option<Gap>,
    ) {
        let Subject { reader, mut uses, .. } = subject;
        let claims = &self.hall.question.claims;
        let all = self.hall.question.extent != Extent::Noteworthy || gap.is_some();
        let quiet = is_quiet(sights, &uses, self.boot);
        let unasked = claims.is_empty() && self.hall.question.windows.is_empty();
        if !all && quiet && unasked && !interprets(sights, &uses) {
            return;
        }
        let Ok(stat) = stat else { return };
        let started = clock::of_ticks(self.boot, stat.start_ticks);
        let exe = reader.exe();
        let mapped = uses.iter().map(|usage| sights.files[usage.file as usize].sighting.path().as_path()).collect();
        let reading =
            Reading { program: exe.as_deref(), process: reader, started, mapped, claims, contents: &sights.contents };
        let Scripts { causes: scripts, doubt, script, .. } = scripts::look(&reading);
        let gap = gap.or_else(|| doubt.map(Gap::Failed));
        names::look(sights, &mut uses, reader, started);
        let amid = self.hall.question.is_amid(started);
        let told = all || amid || gap.is_some() || !scripts.is_empty() || script.is_some() || names::found(&uses);
        if !told && (quiet || is_quiet(sights, &uses, started)) {
            return;
        }
        let snapshot = self.snapshot(process, reader, stat, exe);
        names::ask(sights, &mut uses, reader);
        uses.shrink_to_fit();
        self.seen.candidates.push(Candidate { snapshot, started: Some(started), uses, scripts, script, gap });
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
        let users = self.hall.users.get_or_init(|| Users::of(Path::new("/")));
        ProcessSnapshot {
            key: ProcessKey { pid: process.pid, start_ticks: stat.start_ticks },
            comm: stat.comm,
            parent: stat.parent,
            terminal: stat.terminal,
            exe,
            uid,
            user: uid.and_then(|uid| users.name(uid)).map(str::to_owned),
            owner: Owner::of(process.pid, &cgroup),
            cgroup: cgroup_path(&cgroup).unwrap_or_default().to_vec(),
        }
    }
}

/// Whether its program reads scripts, which are not mapped.
fn interprets(sights: &Sights, uses: &[Use]) -> bool {
    let program = uses.iter().find(|usage| usage.is_program);
    program.is_some_and(|usage| script::is_interpreter(sights.files[usage.file as usize].sighting.path()))
}

/// Whether nothing is to be said of a process that started then.
fn is_quiet(sights: &Sights, uses: &[Use], started: Stamp) -> bool {
    uses.iter().all(|usage| !judge::in_question(usage, &sights.files[usage.file as usize], Some(started)))
}

/// Whether a file is looked at closely for this use of it.
fn is_examined(usage: &Use, extent: Extent) -> bool {
    usage.execute || usage.is_program || extent != Extent::Noteworthy
}
