//! Asks the package databases who owns the files in question, and whether they are as packaged.

use super::desk::Desk;
use super::scan::Seen;
use crate::model::answers::{Answers, Source};
use crate::model::file::FileFacts;
use crate::model::judge::{in_question, ClaimIndex, Standing};
use crate::sys::files::{look_at, Links, Root};
use crate::sys::plugin::{Owners, Ownership, Plugin, PluginError, Plugins};
use crate::sys::{clock, content, host};
use std::collections::BTreeSet;
use std::os::fd::AsFd;
use std::path::Path;
use std::time::Duration;

const OWNERS_DEADLINE: Duration = Duration::from_secs(5);

/// The plugins that are installed, and what is wrong with those that cannot be used.
pub fn usable(plugins: &Plugins) -> (Vec<Plugin>, Vec<String>) {
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    for plugin in plugins.all() {
        match plugin {
            Ok(plugin) => good.push(plugin),
            Err(error) => bad.push(error.to_string()),
        }
    }
    (good, bad)
}

/// Names the packages of the files in question and compares those that may have been written to with
/// the digest that the database keeps. Returns what could not be asked.
pub fn ask(seen: &mut Seen, desk: &Desk<'_>, claims: &ClaimIndex) -> Vec<String> {
    let wanted: BTreeSet<u32> = seen
        .candidates
        .iter()
        .flat_map(|candidate| candidate.uses.iter().map(move |usage| (usage, candidate.started)))
        .filter(|(usage, started)| {
            let file = &seen.files[usage.file as usize];
            file.sighting.on_host && in_question(usage, file, *started)
        })
        .map(|(usage, _)| usage.file)
        .collect();
    let wanted: Vec<u32> = wanted.into_iter().collect();
    let paths: Vec<&Path> = wanted
        .iter()
        .map(|&file| {
            let view = &seen.files[file as usize];
            view.aside.as_ref().map_or(view.sighting.path().as_path(), |aside| aside.path.as_path())
        })
        .collect();
    let mut memory = Memory::open(desk);
    let (answers, gaps) = memory.owners(&paths);
    for (&file, owner) in wanted.iter().zip(answers) {
        let view = &mut seen.files[file as usize];
        let claim = claims.file(view.sighting.path());
        let by_claim = claim.and_then(|claim| claim.package.clone());
        if let (Some(Ownership { digest: Some((algorithm, packaged)), .. }), Standing::Live(_)) =
            (&owner, &view.standing)
        {
            if let Some(now) = memory.digest(view.sighting.path(), algorithm) {
                let same_version = claim.is_some_and(|claim| claims.is_same_version(claim));
                view.compare_with_package(now == *packaged, same_version);
            }
        }
        view.package = owner.map(|owner| owner.package).or(by_claim);
    }
    memory.close();
    gaps
}

/// Who owns each of the paths, and what could not be asked.
pub fn owners(desk: &Desk<'_>, paths: &[&Path]) -> (Vec<Option<Ownership>>, Vec<String>) {
    let mut memory = Memory::open(desk);
    let answers = memory.owners(paths);
    memory.close();
    answers
}

/// What was answered before, and is kept for the next look.
struct Memory<'a> {
    desk: &'a Desk<'a>,
    /// Kept where root alone can write, and for the running system.
    keeps: bool,
    /// What is kept, once it was asked for.
    kept: Option<Answers>,
    is_new: bool,
}

impl<'a> Memory<'a> {
    fn open(desk: &'a Desk<'a>) -> Memory<'a> {
        let keeps = desk.common.root == Path::new("/") && host::uid() == 0;
        Memory { desk, keeps, kept: None, is_new: false }
    }

    fn kept(&mut self) -> &mut Answers {
        let (keeps, store) = (self.keeps, &self.desk.store);
        self.kept.get_or_insert_with(|| if keeps { store.answers() } else { Answers::default() })
    }

    fn close(self) {
        if let (Some(kept), true) = (&self.kept, self.keeps && self.is_new) {
            // Without it the next look only takes longer.
            let _ = self.desk.store.keep_answers(kept);
        }
    }

    fn owners(&mut self, paths: &[&Path]) -> (Vec<Option<Ownership>>, Vec<String>) {
        let mut answers: Vec<Option<Ownership>> = vec![None; paths.len()];
        let mut gaps = Vec::new();
        if paths.is_empty() {
            return (answers, gaps);
        }
        let (desk, root) = (self.desk, &self.desk.common.root);
        for plugin in &desk.plugins {
            let found = match self.kept().of(plugin.file(), paths, facts) {
                Some(known) => known,
                None => match ask_plugin(plugin, root, paths, self.kept()) {
                    Ok((found, new)) => {
                        self.is_new |= new;
                        found
                    }
                    Err(error) => {
                        gaps.push(error.to_string());
                        continue;
                    }
                },
            };
            for (answer, found) in answers.iter_mut().zip(found) {
                *answer = answer.take().or(found);
            }
        }
        (answers, gaps)
    }

    /// The digest of what stands at a path.
    fn digest(&mut self, path: &Path, algorithm: &str) -> Option<String> {
        let file = Root::Own.open(path)?;
        let look = || look_at(file.as_fd()).found().copied();
        let facts = look()?;
        if let Some(known) = self.kept().digest(&facts, algorithm) {
            return Some(known.to_owned());
        }
        let asked = clock::now();
        let digest = content::digest(&file, algorithm)?;
        self.is_new |= look() == Some(facts) && self.kept().keep_digest(facts, algorithm, &digest, asked);
        Some(digest)
    }
}

fn facts(path: &Path) -> Option<FileFacts> {
    Root::Own.look(path, Links::Follow).found().copied()
}

/// Asks the database, and adds what it says to what is kept, if that may be; whether it may.
fn ask_plugin(
    plugin: &Plugin,
    root: &Path,
    paths: &[&Path],
    kept: &mut Answers,
) -> Result<(Vec<Option<Ownership>>, bool), PluginError> {
    let asked = clock::now();
    let Owners { each, basis } = plugin.owners(root, paths, OWNERS_DEADLINE)?;
    let read = std::iter::once(plugin.file().to_owned()).chain(basis);
    let sources = read.map(|path| Source { facts: facts(&path), path }).collect();
    let rows = paths.iter().zip(&each).map(|(path, owner)| (path.to_path_buf(), owner.clone()));
    let new = kept.keep(sources, rows, asked);
    Ok((each, new))
}
