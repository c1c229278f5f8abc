//! Which claimed sources an interpreter is likely to have read besides its script.

use super::scripts::{replaced_since, Reading};
use crate::model::file::FileKind;
use crate::model::judge::ClaimedFile;
use crate::model::kinship::{compiled_part, is_named, sourced};
use crate::model::script::Interpreter;
use crate::sys::content;
use crate::sys::files::{Links, Root};
use std::collections::{HashSet, VecDeque};
use std::path::{Path, PathBuf};

/// Texts that are read for what they name.
const MOST_TEXTS: usize = 64;

/// The sources, each with the reason in words, and whether there are more of which nothing tells whether it
/// read them. `known` ones are left out.
pub fn look(
    reading: &Reading<'_>,
    interpreter: Interpreter,
    script: Option<&Path>,
    module: Option<&Path>,
    known: HashSet<PathBuf>,
) -> (Vec<(PathBuf, String)>, bool) {
    let replaced = replaced(reading, interpreter).map(|(path, _)| path).filter(|path| !known.contains(*path));
    let mut left: Vec<&PathBuf> = replaced.collect();
    let mut found = Vec::new();
    let mut take = |left: &mut Vec<&PathBuf>, is_meant: &dyn Fn(&Path) -> Option<String>| {
        left.retain(|path| match is_meant(path) {
            Some(words) => {
                found.push(((*path).clone(), words));
                false
            }
            None => true,
        });
    };
    take(&mut left, &|path| {
        let module = module?;
        let plain = path.with_extension("");
        let meant = plain.ends_with(module) || plain.ends_with(module.join("__main__"));
        meant.then(|| "the module that it was told to run".to_owned())
    });
    take(&mut left, &|path| {
        let compiled = reading.mapped.iter().find(|mapped| compiled_part(mapped, path))?;
        Some(format!(
            "a source of the module whose compiled part {} it maps",
            crate::model::text::escape_path(compiled)
        ))
    });
    if let (Some(script), false) = (script, left.is_empty()) {
        let named = named_from(script, &left, interpreter);
        take(&mut left, &|path| named.contains(path).then(|| "a source that its script names".to_owned()));
    }
    let is_some_left = !left.is_empty();
    (found, is_some_left)
}

/// The claimed sources of this kind of program that were replaced since it started.
pub fn replaced<'r>(
    reading: &'r Reading<'_>,
    interpreter: Interpreter,
) -> impl Iterator<Item = (&'r PathBuf, &'r ClaimedFile)> {
    reading.claims.files().filter(move |(path, claim)| {
        // Packages own folders too, and nobody reads those.
        let is_folder = claim.now.found().is_some_and(|facts| facts.kind == FileKind::Folder);
        let is_meant = interpreter.is_source(path) && !is_folder && !reading.mapped.contains(&path.as_path());
        is_meant && replaced_since(claim, reading.started).is_some()
    })
}

/// Those of the files that a script names, or that a source names which it names.
fn named_from(script: &Path, wanted: &[&PathBuf], interpreter: Interpreter) -> HashSet<PathBuf> {
    let root = Root::Own;
    let target = root.resolve(script);
    let beside = |path: &Path| path.parent().map(|folder| root.regular_files_in(folder, 1000)).unwrap_or_default();
    let mut queue = VecDeque::from([target]);
    let (mut met, mut named): (HashSet<PathBuf>, HashSet<PathBuf>) = (queue.iter().cloned().collect(), HashSet::new());
    for _ in 0..MOST_TEXTS {
        let Some(path) = queue.pop_front() else { break };
        let Some(text) = content::text(&root, &path) else { continue };
        let text = if interpreter.takes_any_name() { sourced(&text) } else { text };
        let names = |source: &&PathBuf| is_named(&text, &path, source);
        let files: Vec<PathBuf> = beside(&path).into_iter().filter(|file| interpreter.is_source(file)).collect();
        let reached: Vec<PathBuf> =
            wanted.iter().copied().chain(&files).filter(names).filter(|file| !met.contains(*file)).cloned().collect();
        for file in reached {
            if root.look(&file, Links::Follow).found().is_some() {
                queue.push_back(file.clone());
            }
            met.insert(file.clone());
            named.insert(file);
        }
    }
    named
}
