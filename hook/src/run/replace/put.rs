//! Writing new files beside their places, changing the names, and taking all of it back.
//!
//! What is about to be done is on disk before it is done: a call that is killed is finished or taken back
//! by the next one.

use super::items::{Item, Source};
use crate::model::file::Look;
use crate::model::replace::{Entry, Inode, Journal, Kind, Made, Phase, Remedy, Stands};
use crate::model::text::escape_path;
use crate::sys::clock;
use crate::sys::files::reason;
use crate::sys::replace::dress::Dress;
use crate::sys::replace::{content, make_folder, remove_folder, Folders};
use crate::sys::state::Store;
use anyhow::{anyhow, bail, Context, Result};
use rustix::io::Errno;
use std::fs::File;
use std::path::Path;
use std::time::{Duration, Instant};

/// A replacement under way.
#[derive(Debug)]
pub struct Put<'a> {
    store: &'a Store,
    folders: Folders,
    /// What it does, and how far it has come.
    pub journal: Journal,
}

/// How a name comes to lead to the new file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// It does already.
    Done,
    /// There was none.
    New,
    /// By one rename; the old file has a second name.
    Over,
    /// By an exchange of both names.
    Exchange,
}

/// What a file looks like that is put in place.
pub type DressOf<'a> = dyn Fn(&Item, &File) -> Result<Dress> + 'a;

impl<'a> Put<'a> {
    /// Writes down what is about to be done.
    pub fn begin(store: &'a Store, items: &[Item], made: Vec<(Made, u16)>, until_proven: bool) -> Result<Put<'a>> {
        let time = clock::now();
        let stem = format!(".reexec-{time:x}-{:x}", std::process::id());
        let entry = |(index, item): (usize, &Item)| {
            let own = |suffix: &str| item.target.with_file_name(format!("{stem}-{index}{suffix}"));
            let (kind, beside) = match &item.source {
                Source::Tree(path) => (Kind::Folder, path.clone()),
                Source::Link(_) => (Kind::Link, own("")),
                Source::File(_) | Source::Input => (Kind::File, own("")),
            };
            let (target, old, below) = (item.target.clone(), item.old.clone(), item.below.clone());
            Entry { kind, target, beside, kept: own(".old"), old, new: None, below }
        };
        let entries = items.iter().enumerate().map(entry).collect();
        let (folders, modes): (Vec<Made>, Vec<u16>) = made.into_iter().unzip();
        let journal = Journal { phase: Phase::Writing, time, until_proven, entries, folders };
        let mut put = Put { store, folders: Folders::default(), journal };
        put.store.keep_replacing(&put.journal).context("write down what is about to be done")?;
        if let Err(error) = put.make_folders(&modes) {
            put.give_up();
            return Err(error.context("nothing was changed"));
        }
        Ok(put)
    }

    fn make_folders(&mut self, modes: &[u16]) -> Result<()> {
        for (folder, mode) in self.journal.folders.iter().zip(modes) {
            make_folder(&folder.0, *mode)?;
        }
        self.open_folders()
    }

    fn open_folders(&mut self) -> Result<()> {
        for entry in &self.journal.entries {
            self.folders.open(&entry.target)?;
            self.folders.open(&entry.beside)?;
        }
        Ok(())
    }

    /// Takes up what a call left that was cut short.
    pub fn take_up(store: &'a Store, journal: Journal) -> Result<Put<'a>> {
        let mut put = Put { store, folders: Folders::default(), journal };
        for entry in &put.journal.entries {
            // What is gone with its folder needs nothing.
            for path in [&entry.target, &entry.beside] {
                let _ = put.folders.open(path);
            }
        }
        Ok(put)
    }

    /// Writes every new file whole, with all that it is to wear, and brings it to the disk.
    pub fn write(
        &mut self,
        items: &[Item],
        dress_of: &DressOf<'_>,
        check: &dyn Fn(&Item, &File) -> Result<()>,
    ) -> Result<()> {
        for (index, item) in items.iter().enumerate() {
            let beside = self.journal.entries[index].beside.clone();
            let new = match &item.source {
                Source::Tree(path) => self.folders.inode(path),
                Source::Link(text) => self.folders.create_link(text, &beside),
                Source::File(_) | Source::Input => self.write_file(item, &beside, dress_of, check),
            };
            self.journal.entries[index].new = Some(new.with_context(|| escape_path(&item.target))?);
        }
        Ok(())
    }

    fn write_file(
        &self,
        item: &Item,
        beside: &Path,
        dress_of: &DressOf<'_>,
        check: &dyn Fn(&Item, &File) -> Result<()>,
    ) -> Result<Inode> {
        let mut file = self.folders.create(beside).context("make a file in its folder")?;
        let dress = match &item.source {
            Source::File(path) => {
                let source = content::open(path)?;
                content::copy(&source, &mut file).with_context(|| format!("copy {}", escape_path(path)))?;
                dress_of(item, &source)?
            }
            Source::Input | Source::Link(_) | Source::Tree(_) => {
                content::pour_input(&mut file).context("copy standard input")?;
                dress_of(item, &file)?
            }
        };
        check(item, &file)?;
        dress.put_on(&file)?;
        file.sync_all().context("sync")?;
        self.folders.inode(beside)
    }

    /// Changes all names, back to back; how long that took.
    pub fn place(&mut self) -> Result<Duration> {
        self.folders.sync()?;
        self.go_on_to(Phase::Placing)?;
        let ways: Vec<Way> = self.journal.entries.iter().map(|entry| self.way(entry)).collect::<Result<_>>()?;
        self.note_second_names()?;
        let started = Instant::now();
        for (entry, way) in self.journal.entries.iter().zip(ways) {
            self.change(entry, way).map_err(|error| anyhow!("{}: {}", escape_path(&entry.target), reason(error)))?;
        }
        let window = started.elapsed();
        self.folders.sync()?;
        self.go_on_to(Phase::Placed)?;
        Ok(window)
    }

    /// On an overlayfs over another file system a file of the lower layer has another number once it has a
    /// second name: what is known of the old ones is what they are from now on.
    fn note_second_names(&mut self) -> Result<()> {
        let mut renumbered = false;
        for entry in &mut self.journal.entries {
            let Look::Found(kept) = self.folders.look(&entry.kept) else { continue };
            if let Some(old) = entry.old.as_mut().filter(|old| Inode::of(&old.facts) != Inode::of(&kept)) {
                (old.facts.id, old.facts.born, old.handle) = (kept.id, kept.born, None);
                renumbered = true;
            }
        }
        match renumbered {
            true => self.go_on_to(Phase::Placing),
            false => Ok(()),
        }
    }

    fn go_on_to(&mut self, phase: Phase) -> Result<()> {
        self.journal.phase = phase;
        self.store.keep_replacing(&self.journal).context("write down what is about to be done")
    }

    /// Keeps the old file under a second name, where it is a file and its file system can.
    fn way(&self, entry: &Entry) -> Result<Way> {
        let path = escape_path(&entry.target);
        match entry.stands(&self.folders.look(&entry.target)) {
            Stands::New => return Ok(Way::Done),
            Stands::Stranger => bail!("{path} was replaced by somebody else meanwhile"),
            Stands::Old => {}
        }
        match (&entry.old, entry.kind) {
            (None, _) => return Ok(Way::New),
            (Some(_), Kind::Folder) => return Ok(Way::Exchange),
            (Some(_), Kind::File | Kind::Link) => {}
        }
        match self.folders.link(&entry.target, &entry.kept) {
            Ok(()) | Err(Errno::EXIST) => Ok(Way::Over),
            // It has as many names as it can have, or its file system knows no second ones.
            Err(Errno::MLINK | Errno::OPNOTSUPP | Errno::NOSYS) => Ok(Way::Exchange),
            Err(error) => Err(anyhow!("{path}: {}", reason(error))),
        }
    }

    fn change(&self, entry: &Entry, way: Way) -> Result<(), Errno> {
        let (folders, beside, target) = (&self.folders, &entry.beside, &entry.target);
        match way {
            Way::Done => Ok(()),
            Way::New => folders.rename_new(beside, target),
            Way::Over => folders.rename_over(beside, target),
            Way::Exchange => folders.exchange(beside, target),
        }
    }

    /// Gives every old file its name back; what could not be given back, in words.
    pub fn take_back(&mut self) -> Vec<String> {
        let from_the_start = self.journal.phase == Phase::Writing;
        if from_the_start {
            return Vec::new();
        }
        // If this cannot be written down, a killed call is finished instead: as whole.
        let _ = self.go_on_to(Phase::TakingBack);
        let entries = self.journal.entries.iter().rev();
        let lost = entries.filter_map(|entry| self.give_back(entry).err().map(|error| format!("{error:#}"))).collect();
        // All names are as they were; what the disk has of it is the kernel's care.
        let _ = self.folders.sync();
        lost
    }

    fn give_back(&self, entry: &Entry) -> Result<()> {
        let path = escape_path(&entry.target);
        match entry.stands(&self.folders.look(&entry.target)) {
            Stands::Old => return Ok(()),
            Stands::Stranger => bail!("{path} was replaced by somebody else meanwhile; it is left as it is"),
            Stands::New => {}
        }
        let is_old = |path: &Path| self.folders.look(path).found().is_some_and(|facts| entry.is_old(facts));
        let done = match (&entry.old, entry.kind) {
            (None, Kind::Folder) => self.folders.rename_new(&entry.target, &entry.beside),
            (None, _) => return self.folders.remove(&entry.target),
            (Some(_), _) if is_old(&entry.kept) => self.folders.rename_over(&entry.kept, &entry.target),
            (Some(_), _) if is_old(&entry.beside) => self.folders.exchange(&entry.beside, &entry.target),
            (Some(_), _) => bail!("{path}: the old file is gone"),
        };
        done.map_err(|error| anyhow!("{path}: {}", reason(error)))
    }

    /// Removes what is left of ours, and forgets the replacement.
    pub fn clean(&mut self) -> Result<()> {
        for entry in &self.journal.entries {
            for path in [&entry.beside, &entry.kept] {
                if entry.is_leftover(&self.folders.look(path), self.journal.phase) {
                    self.folders.remove(path)?;
                }
            }
        }
        if matches!(self.journal.phase, Phase::Writing | Phase::TakingBack) {
            self.journal.folders.iter().rev().for_each(|folder| remove_folder(&folder.0));
        }
        self.folders.sync()?;
        self.store.end_replacing()
    }

    /// Takes all back after a failure, and cleans up; what could not be, in words.
    pub fn give_up(&mut self) -> Vec<String> {
        let mut lost = self.take_back();
        lost.extend(self.clean().err().map(|error| format!("{error:#}")));
        lost
    }
}

/// What was done about a replacement that was cut short.
#[derive(Debug)]
pub struct Recovered {
    /// What it was to do.
    pub journal: Journal,
    /// Whether it was finished or taken back.
    pub remedy: Remedy,
    /// What could not be done, in words.
    pub lost: Vec<String>,
}

/// Finishes or takes back what a killed call left; `None` where nothing was left.
pub fn recover(store: &Store) -> Result<Option<Recovered>> {
    let Some(journal) = store.replacing()? else { return Ok(None) };
    let mut put = Put::take_up(store, journal)?;
    let mut remedy = put.journal.remedy();
    let mut lost = Vec::new();
    if remedy == Remedy::Finish && put.journal.phase == Phase::Placing {
        if let Err(error) = put.place() {
            lost.push(format!("{error:#}"));
            remedy = Remedy::TakeBack;
        }
    }
    if remedy == Remedy::TakeBack {
        lost.extend(put.take_back());
    }
    put.clean().context("clean up behind a replacement that was cut short")?;
    Ok(Some(Recovered { journal: put.journal, remedy, lost }))
}
