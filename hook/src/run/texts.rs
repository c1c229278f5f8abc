//! Sources that running interpreters may have read, and that changed since a moment: nobody maps them, so no
//! mark tells of them.

use crate::model::claim::Claim;
use crate::model::file::{FileKind, Stamp};
use crate::model::script::{script_of, Interpreter};
use crate::sys::procs::{self, ProcessHandle};
use crate::sys::tree;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Walking through the folders of all scripts.
const DEADLINE: Duration = Duration::from_secs(3);
const MOST: usize = 200_000;

/// Where an interpreter has its modules, below the folder that it is installed in.
const MODULES: [&str; 2] = ["site-packages", "dist-packages"];

/// Sources that changed since, below the folders that running interpreters have their scripts and modules in.
/// The second is what could not be looked at.
pub fn changed_since(proc: &Path, since: Stamp) -> (Vec<Claim>, Option<String>) {
    let end = Instant::now() + DEADLINE;
    let (mut folders, mut interpreters): (BTreeSet<PathBuf>, Vec<Interpreter>) = Default::default();
    for process in procs::list(proc).into_iter().flatten() {
        let Some(program) = process.exe() else { continue };
        let Some(interpreter) = Interpreter::of(&program) else { continue };
        folders.extend(folders_of(&process, &program));
        interpreters.push(interpreter);
    }
    let (mut claims, mut gap) = (Vec::new(), None);
    let mut met: Option<PathBuf> = None;
    for folder in folders {
        // Of a process in another mount namespace: there is no such folder here.
        if !folder.is_dir() {
            continue;
        }
        // Sorted: what lies in one that was walked through comes right behind it.
        if met.as_ref().is_some_and(|met| folder.starts_with(met)) {
            continue;
        }
        if Instant::now() > end {
            gap = Some("not all folders of scripts could be looked through in time".to_owned());
            break;
        }
        let Ok(found) = tree::walk(&folder, MOST) else {
            gap = Some(format!("{} could not be looked through", crate::model::text::escape_path(&folder)));
            continue;
        };
        let is_source = |path: &Path| interpreters.iter().any(|interpreter| interpreter.is_source(path));
        let changed = found
            .into_iter()
            .filter(|(path, facts)| facts.kind == FileKind::Regular && facts.changed >= since && is_source(path));
        claims.extend(changed.map(|(path, _)| Claim::File { path, package: None }));
        met = Some(folder);
    }
    (claims, gap)
}

fn folders_of(process: &ProcessHandle, program: &Path) -> Vec<PathBuf> {
    let arguments = process.arguments();
    let script = script_of(program, &arguments, process.working_folder().as_deref());
    // The folder of all folders is nobody's own.
    let own = script.and_then(|script| Some(script.parent()?.to_owned())).filter(|folder| folder != Path::new("/"));
    // In a virtual environment the interpreter is called through a link in it.
    let called = arguments.first().map(|name| PathBuf::from(OsStr::from_bytes(name))).filter(|path| path.is_absolute());
    let prefixes = [called.as_deref(), Some(program)].into_iter().flatten();
    let prefixes: Vec<&Path> = prefixes.filter_map(|path| path.parent()?.parent()).collect();
    let modules = prefixes.into_iter().flat_map(modules_below);
    modules.chain(own).collect()
}

/// `lib/python3.11/site-packages` and its like.
fn modules_below(prefix: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(prefix.join("lib")).into_iter().flatten().filter_map(Result::ok);
    let versions = entries.map(|entry| entry.path());
    versions.flat_map(|version| MODULES.map(|name| version.join(name))).filter(|folder| folder.is_dir()).collect()
}
