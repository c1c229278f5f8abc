//! Asks the package databases who owns the files in question, and whether they are as packaged.

use super::scan::Seen;
use crate::model::judge::{in_question, ClaimIndex, Standing};
use crate::sys::content;
use crate::sys::files::Root;
use crate::sys::plugin::{Ownership, Plugin, Plugins};
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
pub fn ask(seen: &mut Seen, plugins: &[Plugin], claims: &ClaimIndex, root: &Path) -> Vec<String> {
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
    let (answers, gaps) = owners(plugins, root, &paths);
    for (&file, owner) in wanted.iter().zip(answers) {
        let view = &mut seen.files[file as usize];
        let by_claim = claims.file(view.sighting.path()).and_then(|claim| claim.package.clone());
        if let (Some(Ownership { digest: Some((algorithm, packaged)), .. }), Standing::Live(_)) =
            (&owner, &view.standing)
        {
            let now = Root::Own.open(view.sighting.path()).and_then(|file| content::digest(&file, algorithm));
            view.as_packaged = now.map(|now| now == *packaged);
        }
        view.package = owner.map(|owner| owner.package).or(by_claim);
    }
    gaps
}

/// Who owns each of the paths, and what could not be asked.
pub fn owners(plugins: &[Plugin], root: &Path, paths: &[&Path]) -> (Vec<Option<Ownership>>, Vec<String>) {
    let mut answers: Vec<Option<Ownership>> = vec![None; paths.len()];
    let mut gaps = Vec::new();
    if paths.is_empty() {
        return (answers, gaps);
    }
    for plugin in plugins {
        match plugin.owners(root, paths, OWNERS_DEADLINE) {
            Ok(found) => {
                for (answer, found) in answers.iter_mut().zip(found) {
                    *answer = answer.take().or(found);
                }
            }
            Err(error) => gaps.push(error.to_string()),
        }
    }
    (answers, gaps)
}
