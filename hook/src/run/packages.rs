//! Asks the package databases who owns the files in question, and whether they are as packaged.

use super::desk::Desk;
use super::scan::Seen;
use crate::model::answers::{Answers, Source};
use crate::model::file::FileFacts;
use crate::model::judge::{in_question, ClaimIndex, Standing};
use crate::sys::files::{Links, Root};
use crate::sys::plugin::{Owners, Ownership, Plugin, PluginError, Plugins};
use crate::sys::{clock, content, host};
use std::collections::BTreeSet;
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
    let (answers, gaps) = owners(desk, &paths);
    for (&file, owner) in wanted.iter().zip(answers) {
        let view = &mut seen.files[file as usize];
        let claim = claims.file(view.sighting.path());
        let by_claim = claim.and_then(|claim| claim.package.clone());
        if let (Some(Ownership { digest: Some((algorithm, packaged)), .. }), Standing::Live(_)) =
            (&owner, &view.standing)
        {
            let now = Root::Own.open(view.sighting.path()).and_then(|file| content::digest(&file, algorithm));
            if let Some(now) = now {
                let same_version = claim.is_some_and(|claim| claims.is_same_version(claim));
                view.compare_with_package(now == *packaged, same_version);
            }
        }
        view.package = owner.map(|owner| owner.package).or(by_claim);
    }
    gaps
}

/// Who owns each of the paths, and what could not be asked.
pub fn owners(desk: &Desk<'_>, paths: &[&Path]) -> (Vec<Option<Ownership>>, Vec<String>) {
    let mut answers: Vec<Option<Ownership>> = vec![None; paths.len()];
    let mut gaps = Vec::new();
    if paths.is_empty() || desk.plugins.is_empty() {
        return (answers, gaps);
    }
    let root = &desk.common.root;
    // Kept where root alone can write, and for the running system.
    let keeps = root == Path::new("/") && host::uid() == 0;
    let mut kept = if keeps { desk.store.answers() } else { Answers::default() };
    let mut is_new = false;
    for plugin in &desk.plugins {
        let found = match kept.of(plugin.file(), paths, facts) {
            Some(known) => known,
            None => match ask_plugin(plugin, root, paths, &mut kept) {
                Ok((found, new)) => {
                    is_new |= new;
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
    if keeps && is_new {
        // Without it the next look only takes longer.
        let _ = desk.store.keep_answers(&kept);
    }
    (answers, gaps)
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
