//! Sources that an interpreter is likely to have read because its script's package depends on theirs.
//!
//! Asked only where sources that such a program may read were replaced since it started and nothing of
//! the process itself tells whether it did.

use super::desk::Desk;
use super::modules;
use super::packages;
use super::scan::Seen;
use super::scripts::{claimed, Fate, Reading};
use crate::model::judge::{Candidate, ClaimIndex};
use crate::model::process::Gap;
use crate::model::script::Interpreter;
use crate::model::verdict::{Cause, Certainty};
use crate::sys::content::Comparisons;
use crate::sys::plugin::{Plugin, PluginError};
use crate::sys::procs;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Scripts and nameless sources of which the owner is asked.
const MOST_PATHS: usize = 1000;
/// Sources of one package that are looked at for one process.
const MOST_SOURCES: usize = 50;
const DEADLINE: Duration = Duration::from_secs(5);

/// Adds what is likely to the candidates, and returns what could not be asked.
pub fn look(seen: &mut Seen, desk: &Desk<'_>, claims: &ClaimIndex) -> Vec<String> {
    let (plugins, common) = (&desk.plugins, desk.common);
    let scripts: BTreeSet<PathBuf> = seen.candidates.iter().filter_map(|one| one.script.clone()).collect();
    if scripts.is_empty() || plugins.is_empty() {
        return Vec::new();
    }
    let unowned = claims.files().filter(|(_, claim)| claim.package.is_none()).map(|(path, _)| path.clone());
    let paths = scripts.into_iter().chain(unowned).filter(|path| may_be_packaged(path)).take(MOST_PATHS);
    let paths: Vec<PathBuf> = paths.collect();
    let asked: Vec<&Path> = paths.iter().map(PathBuf::as_path).collect();
    let (owners, mut gaps) = packages::owners(desk, &asked);
    let owner_of: HashMap<&Path, String> =
        asked.iter().zip(owners).filter_map(|(path, owner)| Some((*path, owner?.package))).collect();
    let candidates = || seen.candidates.iter().filter_map(|one| owner_of.get(one.script.as_deref()?));
    let names: Vec<String> = candidates().collect::<BTreeSet<_>>().into_iter().cloned().collect();
    let needs = dependencies(plugins, &common.root, &names, &mut gaps);
    let relation = Relation { owner_of, needs, claims };
    for candidate in &mut seen.candidates {
        let Some((causes, doubt)) = relation.of(candidate, &common.proc) else { continue };
        candidate.scripts.extend(causes);
        candidate.gap = candidate.gap.take().or(doubt.map(Gap::Failed));
    }
    gaps
}

/// Whether a package may own a path: none owns what lies in memory only, as a script that is read from a
/// descriptor (`/proc/PID/fd`), which has another name each time.
fn may_be_packaged(path: &Path) -> bool {
    !["/proc", "/dev", "/sys", "/run"].iter().any(|folder| path.starts_with(folder))
}

/// On which packages each of these depends, by all the databases that know it.
fn dependencies(
    plugins: &[Plugin],
    root: &Path,
    names: &[String],
    gaps: &mut Vec<String>,
) -> HashMap<String, HashSet<String>> {
    let mut all: HashMap<String, HashSet<String>> = HashMap::new();
    for plugin in plugins.iter().filter(|_| !names.is_empty()) {
        match plugin.dependencies(root, names, DEADLINE) {
            Ok(found) => {
                for (name, needs) in names.iter().zip(found) {
                    all.entry(name.clone()).or_default().extend(needs);
                }
            }
            // A plugin of an earlier version, or of somebody else.
            Err(PluginError::NoFunction { .. }) => {}
            Err(error) => gaps.push(error.to_string()),
        }
    }
    all
}

/// Whose files are whose, and which packages need which.
struct Relation<'a> {
    owner_of: HashMap<&'a Path, String>,
    needs: HashMap<String, HashSet<String>>,
    claims: &'a ClaimIndex,
}

impl Relation<'_> {
    /// One source of each package that a process is likely to have read, and what cannot be told.
    fn of(&self, candidate: &Candidate, proc: &Path) -> Option<(Vec<Cause>, Option<String>)> {
        let own = self.owner_of.get(candidate.script.as_deref()?)?;
        let key = candidate.snapshot.key;
        let process = procs::open(proc, key.pid).ok()?;
        if process.stat().ok()?.start_ticks != key.start_ticks {
            return None;
        }
        let program = candidate.snapshot.exe.as_deref()?;
        let (interpreter, contents) = (Interpreter::of(program)?, Comparisons::default());
        let reading = Reading {
            program: Some(program),
            process: &process,
            started: candidate.started?,
            mapped: Vec::new(),
            claims: self.claims,
            contents: &contents,
        };
        let known: HashSet<&Path> = candidate.scripts.iter().map(|cause| cause.path.as_path()).collect();
        let mut sources: BTreeMap<&str, BTreeSet<&Path>> = BTreeMap::new();
        for (path, claim) in modules::replaced(&reading, interpreter) {
            let package = claim.package.as_deref().or_else(|| self.owner_of.get(path.as_path()).map(String::as_str));
            let is_near =
                |package: &&str| *package == own || self.needs.get(own).is_some_and(|all| all.contains(*package));
            if let Some(package) = package.filter(|package| is_near(package) && !known.contains(path.as_path())) {
                sources.entry(package).or_default().insert(path);
            }
        }
        let (mut causes, mut doubt) = (Vec::new(), None);
        for (package, sources) in sources {
            let words = match package == own {
                true => "a source of the package that its script is of,".to_owned(),
                false => format!("a source of {package}, on which {own}, the package of its script, depends,"),
            };
            let fate = |path: &&Path| claimed(&reading, path, &words, Certainty::Likely);
            for fate in sources.iter().take(MOST_SOURCES).map(fate) {
                match fate {
                    Fate::Cause(cause) => {
                        let package = cause.package.clone().or_else(|| Some(package.to_owned()));
                        causes.push(Cause { package, ..cause });
                        break;
                    }
                    Fate::Doubt(why) => doubt = doubt.or(Some(why)),
                    Fate::Same | Fate::Open => {}
                }
            }
        }
        Some((causes, doubt))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_package_is_looked_for_that_owns_a_descriptor_or_what_lies_in_memory() {
        for (path, expected) in [
            ("/proc/7/fd/3", false),
            ("/dev/fd/3", false),
            ("/run/a.py", false),
            ("/usr/bin/a", true),
            ("/procs/a", true),
        ] {
            assert_eq!(may_be_packaged(Path::new(path)), expected, "{path}");
        }
    }
}
