//! The files that processes map, each looked at once however many map it.

mod again;

use super::aside;
use super::folders::Folders;
use super::recent::{Met, Recent};
use crate::model::file::{FileFacts, FileId, FileKind, Look, Stamp};
use crate::model::judge::{self, ClaimIndex, Claimed, FileView, Sighting, Space, Standing, Use};
use crate::model::mapping::{self, Mapping};
use crate::model::script;
use crate::model::verdict::Content;
use crate::sys::content::{self, Comparisons};
use crate::sys::files::{Links, Root};
use crate::sys::mappings::{Mappings, Row};
use crate::sys::procs::{build_id, ProcessHandle};
use crate::sys::spaces::Spaces;
use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::File;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// All that was seen of mapped files.
#[derive(Debug)]
pub struct Sights {
    /// Mount namespaces.
    pub spaces: Spaces,
    /// When the machine came up.
    pub boot: Stamp,
    /// What somebody says was replaced.
    pub claims: Arc<ClaimIndex>,
    /// The files.
    pub files: Vec<FileView>,
    /// Files by what the kernel prints of them.
    known: HashMap<(Space, FileId), Known, foldhash::fast::RandomState>,
    /// Files of which nothing more need be asked.
    plain: HashMap<(Space, FileId), Plain, foldhash::fast::RandomState>,
    /// How many of them were removed again.
    removed: usize,
    /// File systems, by namespace and device, and whether each is an overlayfs.
    overlays: HashMap<(Space, u64), bool>,
    /// Folders that were looked at.
    folders: Folders,
    /// What was compared.
    pub contents: Comparisons,
}

/// A file that is what its names say, so that the number of its inode, and its name where it has
/// several, is all that must be known of a mapping of it.
#[derive(Debug, Clone)]
struct Plain {
    /// Its names that were looked at, as indices of files; empty where it has only one.
    names: Vec<u32>,
    /// Who started later and executes it has nothing to fear; `None` where it was not looked at for that.
    executed_since: Option<Stamp>,
    /// The same for who only reads it.
    read_since: Stamp,
    /// First byte of the file's pages behind its end.
    end: u64,
    /// Somebody was started with it.
    is_program: bool,
    /// It is a file with one name, so that it is the same in every mount namespace: where another one has
    /// something else at its path, that was mounted over it, and replaced nothing.
    everywhere: bool,
}

/// An inode that was met.
#[derive(Debug, Default)]
struct Known {
    /// Several names of one inode are several files.
    names: Vec<u32>,
    /// Who started later cannot have mapped it by another name than the one that was met; `None` where that
    /// cannot be told.
    single_since: Option<Stamp>,
}

/// A namespace, and names with what they name in it.
type Meaning = (Space, Vec<(PathBuf, Look)>);

/// As many files as are mapped on most hosts: a list that grows is copied.
const USUAL_FILES: usize = 512;

impl Sights {
    /// Nothing seen yet.
    pub fn new(spaces: Spaces, boot: Stamp, claims: Arc<ClaimIndex>) -> Sights {
        let (files, known, plain) = (Vec::with_capacity(USUAL_FILES), HashMap::default(), HashMap::default());
        let (overlays, folders) = (HashMap::new(), Folders::default());
        let contents = Comparisons::default();
        Sights { spaces, boot, claims, files, known, plain, removed: 0, overlays, folders, contents }
    }

    /// For a process that maps just these, in this mount namespace or, where none is said, in whichever: the
    /// moment such that nothing is to be said of it if it started later. `None` where that cannot be told. Without its
    /// `maps` no name is asked for.
    pub fn plain_since(
        &self,
        space: Option<Space>,
        mappings: &mut Mappings,
        maps: Option<&File>,
        recent: &mut Recent,
    ) -> Option<Stamp> {
        recent.renew(self.removed);
        let anywhere = space.is_none();
        let space = space.unwrap_or(Space::HOST);
        let (mut since, mut lowest_code) = (Stamp::MIN, true);
        for index in 0..mappings.rows().len() {
            let Row { mapping: Mapping { id, execute, .. }, deleted, .. } = mappings.rows()[index];
            // The program's own code lies lowest. Where something else does, it may have been mapped
            // away, and has to be asked for by itself.
            let may_stand = |met: &Met| met.is_program || !(lowest_code && execute);
            let (changed, end) = match recent.get(id).filter(|met| anywhere && execute && may_stand(met)) {
                Some(&Met { since, end, .. }) => (since, end),
                None => {
                    let plain = self.plain.get(&(space, id)).filter(|plain| plain.everywhere || !anywhere)?;
                    let changed = if execute { plain.executed_since? } else { plain.read_since };
                    let met = Met { id, since: changed, end: plain.end, is_program: plain.is_program };
                    if !may_stand(&met) {
                        return None;
                    }
                    // What is said of one name of an inode need not be so of another one.
                    if !plain.names.is_empty() {
                        let name = mappings.named(maps?, index).name;
                        plain.names.iter().find(|&&file| self.files[file as usize].sighting.name == name)?;
                    } else if anywhere && execute {
                        recent.put(met);
                    }
                    (met.since, met.end)
                }
            };
            if deleted || mappings.rows()[index].mapping.reach() > end {
                return None;
            }
            lowest_code &= !execute;
            since = since.max(changed);
        }
        (!lowest_code).then_some(since)
    }

    /// Which of just these mappings are of files that nobody has met yet; `None` where one of the others is
    /// such that a process has to be looked at closely.
    pub fn unmet(&self, space: Space, rows: &[Row]) -> Option<Vec<usize>> {
        let mut unmet = Vec::new();
        for (index, row) in rows.iter().enumerate() {
            let key = (space, row.mapping.id);
            match self.plain.contains_key(&key) {
                true => {}
                false if row.deleted || self.known.contains_key(&key) => return None,
                false => unmet.push(index),
            }
        }
        Some(unmet)
    }

    /// Whether looking at a file once more would tell nothing new.
    pub fn is_settled(&self, usage: &Use, is_examined: bool) -> bool {
        (self.files[usage.file as usize].examined || !is_examined) && self.news(usage).is_none()
    }

    /// Remembers a file of which nothing more need be asked.
    pub fn remember(&mut self, usage: &Use) {
        let Some((key, new)) = self.news(usage) else { return };
        match self.plain.get_mut(&key) {
            Some(known) => {
                known.executed_since = known.executed_since.or(new.executed_since);
                known.is_program |= new.is_program;
                known.names.extend(new.names.first().filter(|&name| !known.names.contains(name)).copied());
            }
            None => drop(self.plain.insert(key, new)),
        }
    }

    /// What is to be remembered of a file and is not yet.
    fn news(&self, usage: &Use) -> Option<((Space, FileId), Plain)> {
        let view = &self.files[usage.file as usize];
        let key = (view.sighting.space, view.sighting.printed);
        let knows_all = |plain: &Plain| {
            (plain.names.is_empty() || plain.names.contains(&usage.file))
                && (plain.executed_since.is_some() || !view.examined)
                && plain.is_program >= usage.is_program
        };
        if self.plain.get(&key).is_some_and(knows_all) {
            return None;
        }
        let asks_more =
            view.aside.is_some() || view.upper_build_id.is_some() || script::is_interpreter(view.sighting.path());
        if asks_more {
            return None;
        }
        let new = match &view.standing {
            Standing::Replaced { .. } | Standing::Gone | Standing::Covered | Standing::Hidden(_) => return None,
            Standing::Live(facts) => {
                let since = view.last_change(facts);
                let claimed = view.claimed == Claimed::File;
                let is_only = self.nameless(key.0, key.1, Some(Stamp::MAX)) == Some(usage.file);
                if !is_only && !view.examined {
                    return None;
                }
                Plain {
                    names: if is_only { Vec::new() } else { vec![usage.file] },
                    executed_since: view.examined.then_some(since),
                    read_since: if claimed { since } else { Stamp::MIN },
                    end: judge::end_of_pages(facts.size),
                    is_program: usage.is_program,
                    everywhere: is_only,
                }
            }
            Standing::NoFile => Plain {
                names: Vec::new(),
                executed_since: Some(Stamp::MIN),
                read_since: Stamp::MIN,
                end: u64::MAX,
                is_program: usage.is_program,
                everywhere: false,
            },
        };
        Some((key, new))
    }

    /// The index of a mapped file that was met by this name.
    pub fn met(&self, space: Space, mapping: &Mapping<'_>) -> Option<u32> {
        let same_name = |index: &&u32| self.files[**index as usize].sighting.name == mapping.name;
        self.known.get(&(space, mapping.id))?.names.iter().find(same_name).copied()
    }

    /// The index of a mapped file whose name need not be asked for: it was met, and has had no other name
    /// since the process started, which may have mapped it by a name that it lost.
    pub fn nameless(&self, space: Space, id: FileId, started: Option<Stamp>) -> Option<u32> {
        let known = self.known.get(&(space, id))?;
        let is_single = known.single_since.is_some_and(|since| started.unwrap_or(Stamp::MIN) >= since);
        known.names.first().filter(|_| is_single).copied()
    }

    /// The index of a mapped file; looks at it when it is met for the first time.
    pub fn file_of(&mut self, process: &ProcessHandle, space: Space, mapping: &Mapping<'_>, program: &Look) -> u32 {
        if let Some(index) = self.met(space, mapping) {
            return index;
        }
        let sighting = self.sight(process, space, mapping, program);
        self.add(space, sighting)
    }

    /// Adds a file that was not met before.
    fn add(&mut self, space: Space, sighting: Sighting) -> u32 {
        let key = (space, sighting.printed);
        let mut view = FileView::of(sighting);
        let now = match &view.standing {
            Standing::Live(facts) => Some(facts),
            _ => None,
        };
        // In a folder that is not the host's a path means another file; there only the inode itself
        // can be the claimed one.
        let path = if view.sighting.on_host { view.sighting.path().as_path() } else { Path::new("") };
        view.claimed = self.claims.claimed(path, now);
        if let (Some(_), Some(folder)) = (now, view.sighting.path().parent()) {
            let folder = self.folders.look(&self.spaces, space, folder);
            (view.folder_moved, view.folder_changed) = (folder.moved, folder.changed);
        }
        let single_since = match &view.standing {
            Standing::Live(facts) if facts.links == 1 => Some(facts.changed),
            Standing::NoFile => Some(Stamp::MIN),
            _ => None,
        };
        let index = self.files.len() as u32;
        self.files.push(view);
        let known = self.known.entry(key).or_default();
        known.names.push(index);
        known.single_since = single_since.filter(|_| known.names.len() == 1);
        if known.names.len() > 1 {
            // Its number alone does not tell any more by which name it is mapped.
            self.plain.remove(&key);
            self.removed += 1;
        }
        index
    }

    fn sight(&self, process: &ProcessHandle, space: Space, mapping: &Mapping<'_>, program: &Look) -> Sighting {
        let mut readings = mapping::readings(mapping.name);
        if mapping.name.windows(4).any(|part| part == b"\\012") {
            if let Some(link) = process.mapping_link(mapping.start, mapping.end) {
                readings = mapping::readings(link.as_os_str().as_bytes());
            }
        }
        let paths: Vec<PathBuf> = readings.into_iter().map(|name| OsString::from_vec(name).into()).collect();
        let (space, names) = self.meaning(process, space, mapping, paths);
        let root = self.spaces.root(space);
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
        let bound = |(path, look): &(PathBuf, Look)| {
            look.found().is_some_and(|facts| facts.links == 0) && root.is_some_and(|root| root.is_mounted_at(path))
        };
        let bound = names.iter().any(bound);
        let mut sighting = Sighting {
            space,
            name,
            printed,
            mapped,
            mounted,
            unmounted: false,
            keeps_death,
            bound,
            names,
            on_host,
            mounted_in: false,
            in_scratch_folder,
        };
        let lost = !sighting.mounted && mapping::says_deleted(&sighting.name);
        sighting.unmounted = lost && process.maps_file_system(mapping);
        let silent = self.spaces.is_silent(space, sighting.path());
        sighting.on_host = sighting.on_host || (!silent && self.is_hosts(&sighting));
        let folder = sighting.path().parent().filter(|_| !sighting.on_host && !silent);
        sighting.mounted_in = folder.zip(root).is_some_and(|(folder, root)| root.is_mounted_in(folder));
        if let (None, Some(root)) = (proven, root) {
            self.look_around(&mut sighting, root);
        }
        sighting
    }

    /// The namespace in which the names of a mapping mean something, and what each of them names there. The
    /// first process of a container, or one that entered it (nsenter), may still be a program of the host, that
    /// was mapped before the root was another one: its path leads to nothing from there, or to the container's file.
    fn meaning(&self, process: &ProcessHandle, space: Space, mapping: &Mapping<'_>, paths: Vec<PathBuf>) -> Meaning {
        let own: Vec<Look> = paths.iter().map(|path| self.look(space, path)).collect();
        let leads_to = |id: FileId| own.iter().filter_map(Look::found).any(|facts| facts.id == id);
        let top = |space| self.look(space, Path::new("/")).found().map(|facts| facts.id);
        let is_elsewhere = || top(space).is_some() && top(space) != top(Space::HOST);
        if space == Space::HOST || leads_to(mapping.id) || !is_elsewhere() {
            return (space, paths.into_iter().zip(own).collect());
        }
        let mapped = process.look_at_mapping(mapping.start, mapping.end).found().copied();
        let is_own = mapped.is_some_and(|mapped| leads_to(mapped.id));
        let hosts: Vec<Look> = paths.iter().map(|path| self.look(Space::HOST, path)).collect();
        // Of a file that was deleted, where its path leads to nothing from there, the file system tells whose it was.
        let gone = mapping::says_deleted(mapping.name) && own.iter().all(|look| *look == Look::Absent);
        let is_hosts = |facts: &FileFacts| {
            let same_system = mapped.is_some_and(|mapped| mapped.id.dev == facts.id.dev);
            facts.id == mapping.id || mapped.is_some_and(|mapped| mapped.id == facts.id) || (gone && same_system)
        };
        match !is_own && hosts.iter().filter_map(Look::found).any(is_hosts) {
            true => (Space::HOST, paths.into_iter().zip(hosts).collect()),
            false => (space, paths.into_iter().zip(own).collect()),
        }
    }

    fn look(&self, space: Space, path: &Path) -> Look {
        if self.spaces.is_silent(space, path) {
            return Look::Hidden("the file system at its path does not answer".to_owned());
        }
        let unreached = || Look::Hidden("its mount namespace cannot be reached".to_owned());
        self.spaces.root(space).map_or_else(unreached, |root| root.look(path, Links::Follow))
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
            Standing::Live(_) | Standing::Covered | Standing::NoFile | Standing::Hidden(_) => {}
        }
    }

    /// Asks once per file what costs more than a look: whether the content is another, and whether
    /// another file took its place. Without a process that maps it only a file is done with that is plainly live.
    pub fn examine(&mut self, usage: &Use, asked: Option<(&ProcessHandle, &File)>) {
        let view = &mut self.files[usage.file as usize];
        if view.examined {
            return;
        }
        view.examined = true;
        let Some(root) = self.spaces.root(view.sighting.space) else { return };
        let (start, end) = usage.range;
        match &view.standing {
            Standing::Replaced { current, .. } if current.kind == FileKind::Regular => {
                let new = root.open(view.sighting.path());
                view.content = match new.zip(asked) {
                    Some((new, (process, maps))) => {
                        let program = || process.open_exe().filter(|_| usage.is_program);
                        let old = process.open_mapping(start, end).or_else(program);
                        let in_memory = || {
                            let memory = process.open_memory().ok().filter(|_| old.is_none())?;
                            content::build_id_at(&memory, start)
                        };
                        self.contents.compare(old.as_ref(), build_id(maps, start).or_else(in_memory), &new)
                    }
                    None => Content::Unknown,
                };
            }
            // A folder, a FIFO or a device stands there now.
            Standing::Replaced { .. } => view.content = Content::Differs,
            Standing::Live(facts) if usage.execute || usage.is_program => {
                let device = (view.sighting.space, facts.id.dev);
                let on_overlay = || root.on_overlay(view.sighting.path());
                if facts.changed > self.boot && *self.overlays.entry(device).or_insert_with(on_overlay) {
                    view.upper_build_id = root.open(view.sighting.path()).and_then(|file| content::build_id(&file));
                }
                view.aside = aside::look(view, root, &self.claims, self.boot);
                let Some(aside) = &view.aside else { return };
                // Who maps it is asked for its content.
                view.examined = asked.is_some();
                if let Some((new, (_, maps))) = root.open(&aside.path).zip(asked) {
                    let mapped = root.open(view.sighting.path());
                    view.content = self.contents.compare(mapped.as_ref(), build_id(maps, start), &new);
                }
            }
            Standing::Live(_) | Standing::Gone | Standing::Covered | Standing::NoFile | Standing::Hidden(_) => {}
        }
    }
}
