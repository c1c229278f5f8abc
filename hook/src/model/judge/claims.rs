//! The claims of a transaction, ready to be asked by path, by folder and by inode.

use super::standing::Claimed;
use crate::model::claim::Package;
use crate::model::file::{FileFacts, FileId, Look, Stamp};
use crate::model::pending::Snapshot;
use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// What is known of one claimed file.
#[derive(Debug, Clone)]
pub struct ClaimedFile {
    /// The package that it belongs to, where somebody said.
    pub package: Option<String>,
    /// What the path names now.
    pub now: Look,
    /// When a symbolic link on the way to it was last made to lead elsewhere; `None` without links.
    pub link_changed: Option<Stamp>,
    /// Said by an earlier transaction since boot, not by the one that is looked at.
    pub earlier: bool,
}

/// All claims.
#[derive(Debug, Clone, Default)]
pub struct ClaimIndex {
    files: HashMap<PathBuf, ClaimedFile>,
    by_name: HashMap<OsString, Vec<PathBuf>>,
    ids: HashSet<FileId>,
    trees: Vec<PathBuf>,
    newest_link: Option<Stamp>,
    texts: HashMap<PathBuf, Vec<(FileFacts, String)>>,
    same_version: HashSet<String>,
    /// Old and new version of packages that were upgraded.
    versions: HashMap<String, (String, String)>,
}

impl ClaimIndex {
    /// Adds a file, by its path with all links in its folders resolved.
    pub fn add_file(&mut self, path: PathBuf, file: ClaimedFile) {
        if let (Some(facts), false) = (file.now.found(), file.earlier) {
            self.ids.insert(facts.id);
        }
        if let Some(name) = path.file_name() {
            self.by_name.entry(name.to_owned()).or_default().push(path.clone());
        }
        self.files.insert(path, file);
    }

    /// Adds a folder below which something was replaced.
    pub fn add_tree(&mut self, prefix: PathBuf) {
        self.trees.push(prefix);
    }

    /// Adds what is known of the time before: digests of texts, and packages that were installed again in
    /// the version that they had.
    pub fn add_before(&mut self, snapshots: &[Snapshot], packages: &[Package]) {
        for snapshot in snapshots {
            let Some(digest) = &snapshot.digest else { continue };
            self.texts.entry(snapshot.path.clone()).or_default().push((snapshot.facts, digest.clone()));
        }
        let upgraded = |package: &Package| {
            let versions = (package.old.clone()?, package.new.clone()?);
            (versions.0 != versions.1).then(|| (package.name.clone(), versions))
        };
        self.versions.extend(packages.iter().filter_map(upgraded));
        let same = |package: &&Package| package.old.is_some() && package.old == package.new;
        self.same_version.extend(packages.iter().filter(same).map(|package| package.name.clone()));
    }

    /// The digest of the text that stood at a path when a process started; `None` where nobody took it.
    pub fn text_at(&self, path: &Path, started: Stamp) -> Option<&str> {
        let stood = |(facts, _): &&(FileFacts, String)| facts.born.unwrap_or(facts.changed) <= started;
        self.texts.get(path)?.iter().rev().find(stood).map(|(_, digest)| digest.as_str())
    }

    /// Whether the claim comes from a package that was installed again in the version that it had.
    pub fn is_same_version(&self, file: &ClaimedFile) -> bool {
        file.package.as_ref().is_some_and(|package| self.same_version.contains(package))
    }

    /// Whether two packages went from one version to another one together: they are made of one source.
    pub fn are_siblings(&self, one: &str, other: &str) -> bool {
        self.versions.get(one).zip(self.versions.get(other)).is_some_and(|(one, other)| one == other)
    }

    /// Notes when a claimed symbolic link, or one on the way to a claimed file, was made.
    pub fn note_link(&mut self, made: Option<Stamp>) {
        self.newest_link = self.newest_link.max(made);
    }

    /// When the newest of them was made.
    pub fn newest_link(&self) -> Option<Stamp> {
        self.newest_link
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty() && self.trees.is_empty()
    }

    /// Whether somebody says just now that a file was replaced.
    pub fn any_now(&self) -> bool {
        !self.ids.is_empty() || self.files.values().any(|file| !file.earlier)
    }

    /// Number of claimed files.
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// The claim on just this path.
    pub fn file(&self, path: &Path) -> Option<&ClaimedFile> {
        self.files.get(path)
    }

    /// All claimed files.
    pub fn files(&self) -> impl Iterator<Item = (&PathBuf, &ClaimedFile)> {
        self.files.iter()
    }

    /// Claimed paths whose last part is `name`.
    pub fn named(&self, name: &OsStr) -> &[PathBuf] {
        self.by_name.get(name).map_or(&[], Vec::as_slice)
    }

    /// Who says that this path, or the inode it names under another name, was replaced.
    pub fn claimed(&self, path: &Path, now: Option<&FileFacts>) -> Claimed {
        match self.files.get(path) {
            Some(file) if file.earlier => return Claimed::Earlier,
            Some(_) => return Claimed::File,
            None => {}
        }
        if now.is_some_and(|facts| self.ids.contains(&facts.id)) {
            return Claimed::File;
        }
        match self.trees.iter().any(|tree| path.starts_with(tree)) {
            true => Claimed::Tree,
            false => Claimed::No,
        }
    }
}
