//! Looks at every process and every file it maps, and asks the dear questions only where needed.

use crate::model::file::{FileId, FileKind, Look, Stamp};
use crate::model::judge::{self, Candidate, ClaimIndex, FileView, Named, Sighting, Space, Standing, Use};
use crate::model::mapping::{self, Mapping};
use crate::model::owner::Owner;
use crate::model::process::{Gap, ProcessKey, ProcessSnapshot};
use crate::model::text::path_of;
use crate::model::verdict::Content;
use crate::run::{aside, scripts};
use crate::sys::clock;
use crate::sys::content;
use crate::sys::files::{Links, Root};
use crate::sys::loader::Memory;
use crate::sys::procs::{self, build_id, ProcessHandle};
use crate::sys::spaces::Spaces;
use crate::sys::users::Users;
use anyhow::{bail, Result};
use std::collections::HashMap;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
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

/// What to look at.
#[derive(Debug, Clone)]
pub struct Question {
    /// Where `/proc` is mounted.
    pub proc: PathBuf,
    /// Which processes are told of.
    pub extent: Extent,
    /// What somebody says was replaced.
    pub claims: Arc<ClaimIndex>,
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
        spaces: Spaces::of_host(&question.proc),
        users: Users::of(Path::new("/")),
        boot: clock::boot(),
        known: HashMap::new(),
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
    Ok(scanner.seen)
}

struct Scanner<'a> {
    question: &'a Question,
    spaces: Spaces,
    users: Users,
    boot: Stamp,
    /// Files by what the kernel prints of them; several names of one inode are several files.
    known: HashMap<(Space, FileId), Vec<u32>>,
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

    fn read_maps(&mut self, process: &ProcessHandle) -> Result<File, Gap> {
        let maps = process.open_maps()?;
        process.read_maps(&maps, &mut self.text)?;
        match self.text.is_empty() {
            true => Err(Gap::Vanished),
            false => Ok(maps),
        }
    }

    fn note_gap(&mut self, process: &ProcessHandle, gap: Gap) {
        if gap == Gap::Vanished {
            self.seen.scanned -= 1;
            return;
        }
        let snapshot = self.snapshot(process, process);
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
        let space = self.spaces.of(reader);
        let program = reader.look_at_exe();
        let text = std::mem::take(&mut self.text);
        let mut uses: Vec<Use> = Vec::new();
        let mut gap = None;
        for mapping in mapping::parse_maps(&text) {
            match mapping {
                Ok(mapping) if mapping.is_file() => {
                    let file = self.file_of(reader, space, &mapping, &program);
                    self.add_use(&mut uses, file, &mapping, &program);
                }
                Ok(_) => {}
                Err(error) => gap = Some(Gap::Unparsable(format!("maps: {}", crate::model::text::escape(&error.line)))),
            }
        }
        self.text = text;
        for usage in &mut uses {
            if usage.execute || usage.is_program || self.question.extent == Extent::All {
                self.examine(usage, reader, maps);
            }
            let upper = &self.seen.files[usage.file as usize].upper_build_id;
            if let (Some(upper), true) = (upper, usage.execute || usage.is_program) {
                usage.old_bytes = build_id(maps, usage.start).is_some_and(|mapped| mapped != *upper);
            }
        }
        self.keep(process, reader, uses, gap);
    }

    fn add_use(&self, uses: &mut Vec<Use>, file: u32, mapping: &Mapping<'_>, program: &Look) {
        let index = match uses.iter().rposition(|usage| usage.file == file) {
            Some(index) => index,
            None => {
                let sighting = &self.seen.files[file as usize].sighting;
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
                    start: mapping.start,
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

    /// The index of a mapped file; looks at it when it is met for the first time.
    fn file_of(&mut self, process: &ProcessHandle, space: Space, mapping: &Mapping<'_>, program: &Look) -> u32 {
        let same_name = |index: &&u32| self.seen.files[**index as usize].sighting.name == mapping.name;
        if let Some(&index) = self.known.get(&(space, mapping.id)).and_then(|known| known.iter().find(same_name)) {
            return index;
        }
        let mut view = FileView::of(self.sight(process, space, mapping, program));
        let now = match &view.standing {
            Standing::Live(facts) => Some(facts),
            _ => None,
        };
        // In a folder that is not the host's a path means another file; there only the inode itself
        // can be the claimed one.
        let path = if view.sighting.on_host { view.sighting.path().as_path() } else { Path::new("") };
        view.claimed = self.question.claims.claimed(path, now);
        let index = self.seen.files.len() as u32;
        self.seen.files.push(view);
        self.known.entry((space, mapping.id)).or_default().push(index);
        index
    }

    fn sight(&self, process: &ProcessHandle, space: Space, mapping: &Mapping<'_>, program: &Look) -> Sighting {
        let mut readings = mapping::readings(mapping.name);
        if mapping.name.windows(4).any(|part| part == b"\\012") {
            if let Some(link) = process.mapping_link(mapping.start, mapping.end) {
                readings = mapping::readings(link.as_os_str().as_bytes());
            }
        }
        let root = self.spaces.root(space);
        let look = |path: &Path| {
            root.map_or(Look::Hidden("its mount namespace cannot be reached".to_owned()), |root| {
                root.look(path, Links::Follow)
            })
        };
        let names: Vec<_> = readings.iter().map(|name| path_of(name)).map(|path| (path.clone(), look(&path))).collect();
        // A live mapping's number cannot belong to another inode, so equal device and number are proof.
        let proven = names.iter().find_map(|(_, look)| look.found().filter(|facts| facts.id == mapping.id)).copied();
        let mapped = match (proven, program) {
            (Some(facts), _) => Look::Found(facts),
            (None, program) => match (process.look_at_mapping(mapping.start, mapping.end), program) {
                (Look::Hidden(_), Look::Found(facts)) if mapping.execute && facts.id.ino == mapping.id.ino => {
                    Look::Found(*facts)
                }
                (look, _) => look,
            },
        };
        let mounted = proven.is_some() || self.spaces.is_mounted(space, mapping.id, &mapped);
        let (keeps_death, on_host, in_scratch_folder) = (true, space == Space::HOST, false);
        let (name, printed) = (mapping.name.to_vec(), mapping.id);
        let mut sighting =
            Sighting { space, name, printed, mapped, mounted, keeps_death, names, on_host, in_scratch_folder };
        sighting.on_host |= self.is_hosts(&sighting);
        if let (None, Some(root)) = (proven, root) {
            self.look_around(&mut sighting, root);
        }
        sighting
    }

    /// Whether a file's folder is the host's own: most services with a mount namespace of their own
    /// (PrivateTmp and the like) still run the host's files.
    fn is_hosts(&self, sighting: &Sighting) -> bool {
        let (Some(own), Some(host), Some(folder)) =
            (self.spaces.root(sighting.space), self.spaces.root(Space::HOST), sighting.path().parent())
        else {
            return false;
        };
        let id = |root: &Root| root.look(folder, Links::Follow).found().map(|facts| facts.id);
        id(own).is_some() && id(own) == id(host)
    }

    /// What else must be known of a file that is not plainly live.
    fn look_around(&self, sighting: &mut Sighting, root: &Root) {
        match sighting.standing() {
            Standing::Replaced { .. } => sighting.keeps_death = !root.on_overlay(sighting.path()),
            Standing::Gone => {
                /// Sticky, and writable by all (inode(7)).
                const SCRATCH: u16 = 0o1002;
                let mode = |folder: &Path| root.look(folder, Links::Keep).found().map_or(0, |facts| facts.mode);
                sighting.in_scratch_folder =
                    sighting.path().ancestors().skip(1).any(|folder| mode(folder) & SCRATCH == SCRATCH);
            }
            Standing::Live(_) | Standing::NoFile | Standing::Hidden(_) => {}
        }
    }

    /// Asks once per file what costs more than a look: whether the content is another, and whether
    /// another file took its place.
    fn examine(&mut self, usage: &Use, process: &ProcessHandle, maps: &File) {
        let view = &mut self.seen.files[usage.file as usize];
        if view.examined {
            return;
        }
        view.examined = true;
        let Some(root) = self.spaces.root(view.sighting.space) else { return };
        let Some((start, end)) = find_range(&self.text, &view.sighting) else { return };
        match &view.standing {
            Standing::Replaced { current, .. } if current.kind == FileKind::Regular => {
                let new = root.open(view.sighting.path());
                view.content = match new {
                    Some(new) => {
                        content::compare(process.open_mapping(start, end).as_ref(), build_id(maps, start), &new)
                    }
                    None => Content::Unknown,
                };
            }
            // A folder, a FIFO or a device stands there now.
            Standing::Replaced { .. } => view.content = Content::Differs,
            Standing::Live(facts) if usage.execute || usage.is_program => {
                if facts.changed > self.boot && root.on_overlay(view.sighting.path()) {
                    view.upper_build_id = root.open(view.sighting.path()).and_then(|file| content::build_id(&file));
                }
                let mapped = || process.open_mapping(start, end);
                view.aside = aside::look(view, root, &mapped, &self.question.claims);
                if let Some(new) = view.aside.as_ref().and_then(|aside| root.open(&aside.path)) {
                    view.content = content::compare(mapped().as_ref(), build_id(maps, start), &new);
                }
            }
            Standing::Live(_) | Standing::Gone | Standing::NoFile | Standing::Hidden(_) => {}
        }
    }

    fn keep(&mut self, process: &ProcessHandle, reader: &ProcessHandle, mut uses: Vec<Use>, gap: Option<Gap>) {
        let plain = |usage: &Use| {
            let file = &self.seen.files[usage.file as usize];
            !judge::in_question(usage, file, Some(self.boot)) && file.claimed != judge::Claimed::File
        };
        let nothing_to_say = gap.is_none()
            && self.question.extent == Extent::Noteworthy
            && self.question.claims.is_empty()
            && uses.iter().all(plain);
        if nothing_to_say {
            return;
        }
        let Some(snapshot) = self.snapshot(process, reader) else { return };
        let started = Some(clock::of_ticks(self.boot, snapshot.key.start_ticks));
        self.ask_names(&mut uses, reader);
        let scripts = scripts::look(&snapshot, reader, started, &self.question.claims);
        self.seen.candidates.push(Candidate { snapshot, started, uses, scripts, gap });
    }

    /// Asks the process by which names it loaded the files whose place another one may have taken.
    fn ask_names(&self, uses: &mut [Use], process: &ProcessHandle) {
        let view = |usage: &Use| &self.seen.files[usage.file as usize];
        if uses.iter().all(|usage| view(usage).aside.is_none()) {
            return;
        }
        let Some(memory) = Memory::of(process) else { return };
        let (program, libraries) = (memory.executed_as(), memory.libraries());
        for usage in uses.iter_mut() {
            let view = view(usage);
            let (Some(aside), Some(root)) = (&view.aside, self.spaces.root(view.sighting.space)) else { continue };
            let name = match usage.is_program {
                true => program.as_ref(),
                false => libraries.iter().find(|(address, _)| *address == usage.start).map(|(_, name)| name),
            };
            usage.named = match name {
                None => Named::Unsaid,
                Some(name) if name.is_relative() && name.file_name() == aside.path.file_name() => Named::SamePath,
                Some(name) if root.resolve_folder(name) == aside.path => Named::SamePath,
                Some(_) => Named::OtherPath,
            };
        }
        // A library that is found from the program's own folder ($ORIGIN of ld.so(8)) moves with it.
        let swap = |usage: &Use| aside::swap_of(view(usage));
        let moved = uses.iter().find(|usage| usage.is_program && usage.named == Named::SamePath).and_then(swap);
        for usage in uses.iter_mut().filter(|usage| moved.is_some() && aside::swap_of(view(usage)) == moved) {
            usage.named = Named::SamePath;
        }
    }

    fn snapshot(&self, process: &ProcessHandle, reader: &ProcessHandle) -> Option<ProcessSnapshot> {
        let stat = process.stat().ok()?;
        let uid = process.uid();
        let cgroup = reader.cgroup();
        Some(ProcessSnapshot {
            key: ProcessKey { pid: process.pid, start_ticks: stat.start_ticks },
            comm: stat.comm,
            exe: reader.exe(),
            uid,
            user: uid.and_then(|uid| self.users.name(uid)).map(str::to_owned),
            owner: Owner::of(process.pid, &cgroup),
            cgroup: crate::model::owner::cgroup_path(&cgroup).unwrap_or_default().to_vec(),
        })
    }
}

/// Where a file is mapped in a process, from its text; the same text the file was sighted in.
fn find_range(text: &[u8], sighting: &Sighting) -> Option<(u64, u64)> {
    mapping::parse_maps(text)
        .flatten()
        .find(|mapping| mapping.id == sighting.printed && mapping.name == sighting.name)
        .map(|mapping| (mapping.start, mapping.end))
}
