//! Looks whether what an interpreter reads was replaced: its script, archives of code, modules.
//!
//! From facts only: what it was started with, what it holds open, the compiled modules that it maps, what
//! its script's text names, and what is claimed. Nothing is executed or imported, nothing but regular
//! files is opened, and no environment is read.

use super::closer::path_root_in;
use super::modules;
use crate::model::file::{FileFacts, FileKind, Look, Stamp};
use crate::model::judge::{method_of, ClaimIndex, ClaimedFile};
use crate::model::script::{script_of, undeleted, Interpreter};
use crate::model::verdict::{Cause, CauseKind, Certainty, Content, Method, PathRoot};
use crate::sys::content::{self, Comparisons};
use crate::sys::files::{Links, Root};
use crate::sys::procs::ProcessHandle;
use std::path::{Path, PathBuf};

/// A process that may be an interpreter.
#[derive(Debug)]
pub struct Reading<'a> {
    /// Its program, as the kernel prints it.
    pub program: Option<&'a Path>,
    /// The process.
    pub process: &'a ProcessHandle,
    /// When it started.
    pub started: Stamp,
    /// The files that it maps.
    pub mapped: Vec<&'a Path>,
    /// What is claimed.
    pub claims: &'a ClaimIndex,
    /// What was compared.
    pub contents: &'a Comparisons,
}

/// What an interpreter reads and what was replaced of it.
#[derive(Debug, Default)]
pub struct Scripts {
    /// Sources and archives that were replaced since it read them.
    pub causes: Vec<Cause>,
    /// What cannot be told of them.
    pub doubt: Option<String>,
    /// The script, where sources are left that were replaced and that it may have read.
    pub script: Option<PathBuf>,
    /// Whether the script itself is held open, and so told of already.
    settled: bool,
}

/// What is known of one file that an interpreter reads.
#[derive(Debug)]
pub enum Fate {
    /// It was replaced.
    Cause(Cause),
    /// It is what it was.
    Same,
    /// It cannot be told.
    Doubt(String),
    /// Nothing is known.
    Open,
}

/// Looks at the script, then at what is open, then at what may have been read besides.
pub fn look(reading: &Reading<'_>) -> Scripts {
    let mut found = Scripts::default();
    let Some(interpreter) = reading.program.and_then(Interpreter::of) else { return found };
    let Some(program) = reading.program else { return found };
    let arguments = reading.process.arguments();
    let script = script_of(program, &arguments, None)
        .or_else(|| script_of(program, &arguments, reading.process.working_folder().as_deref()))
        .map(|script| Root::Own.resolve_folder(&script));
    open_files(reading, interpreter, script.as_deref(), &mut found);
    if let (Some(script), false) = (&script, found.settled || reading.claims.is_empty()) {
        let words = "the script that it was started with";
        found.add(claimed(reading, script, words, Certainty::Likely));
    }
    if !reading.claims.is_empty() {
        let known = found.causes.iter().map(|cause| cause.path.clone()).chain(script.clone()).collect();
        let module = interpreter.module(&arguments);
        let (told, is_some_left) = modules::look(reading, interpreter, script.as_deref(), module.as_deref(), known);
        for (path, words) in told {
            found.add(claimed(reading, &path, &words, Certainty::Likely));
        }
        found.script = script.filter(|_| is_some_left);
    }
    found
}

impl Scripts {
    fn add(&mut self, fate: Fate) {
        match fate {
            Fate::Cause(cause) => self.causes.push(cause),
            Fate::Doubt(why) => self.doubt = Some(why),
            Fate::Same | Fate::Open => {}
        }
    }
}

/// The script and the archives that it holds open. A shell reads its script line by line, a virtual
/// machine its archives class by class: what is open is what it will go on reading.
fn open_files(reading: &Reading<'_>, interpreter: Interpreter, script: Option<&Path>, found: &mut Scripts) {
    let Some(top) = reading.process.top_folder().map(Root::Folder) else { return };
    let target = script.map(|script| Root::Own.resolve(script));
    let is_script = |path: &Path| script == Some(path) || target.as_deref() == Some(path);
    let mut met: Vec<PathBuf> = Vec::new();
    for (number, link) in reading.process.descriptors() {
        let path = undeleted(&link);
        if !(is_script(&path) || interpreter.is_archive(&path)) || met.contains(&path) {
            continue;
        }
        let named = if is_script(&path) { script.unwrap_or(&path) } else { &path };
        let fate = open_file(reading, number, &path, named, &top);
        found.settled |= is_script(&path) && !matches!(fate, Fate::Open);
        found.add(fate);
        met.push(path);
    }
}

/// One file that is held open, and what stands at its path now.
fn open_file(reading: &Reading<'_>, number: i32, path: &Path, named: &Path, top: &Root) -> Fate {
    let Look::Found(old) = reading.process.look_at_descriptor(number) else { return Fate::Open };
    if old.kind != FileKind::Regular {
        return Fate::Open;
    }
    let now = top.look(path, Links::Follow);
    let cause = |method, content, current: Option<&FileFacts>, evidence: String| {
        let claim = reading.claims.file(named).or_else(|| reading.claims.file(path));
        Fate::Cause(Cause {
            path: named.to_owned(),
            kind: CauseKind::Script,
            method,
            content,
            package: claim.and_then(|claim| claim.package.clone()),
            mapped: Some(old.id),
            current: current.map(|facts| facts.id),
            evidence: format!("it holds the old file open as descriptor {number}: {evidence}"),
            certainty: Certainty::Proven,
            root: path_root_in(top, path, &now),
            damage: None,
        })
    };
    match now.clone() {
        Look::Found(now) if now.id == old.id => Fate::Open,
        Look::Found(now) => {
            let new = top.open(path);
            let opened = reading.process.open_descriptor(number);
            match new.map_or(Content::Differs, |new| reading.contents.compare(opened.as_ref(), None, &new)) {
                Content::Same => Fate::Same,
                content => {
                    let judged = method_of(Some(&old), &now, !top.on_overlay(path));
                    cause(judged.method, content, Some(&now), judged.evidence)
                }
            }
        }
        Look::Absent if old.links == 0 => {
            cause(Method::Removed, Content::Differs, None, "the path names nothing any more".to_owned())
        }
        Look::Absent | Look::Hidden(_) => Fate::Open,
    }
}

/// A claimed file of which nobody holds the old one: read when the process started, or later.
pub fn claimed(reading: &Reading<'_>, path: &Path, words: &str, certainty: Certainty) -> Fate {
    let Some(claim) = reading.claims.file(path) else { return Fate::Open };
    let Some((method, how)) = replaced_since(claim, reading.started) else { return Fate::Open };
    let facts = claim.now.found();
    // In a chroot or a container the path is another file.
    let own = reading.process.root().map(|root| root.look(path, Links::Follow).found().map(|facts| facts.id));
    if own != Some(facts.map(|facts| facts.id)) {
        return Fate::Open;
    }
    let before = reading.claims.text_at(path, reading.started);
    let now = || facts.and_then(|facts| content::text_digest(&Root::Own, path, facts));
    let content = match before.map(|before| (before, now())) {
        Some((before, Some(now))) if before == now => return Fate::Same,
        Some((_, Some(_))) => Content::Differs,
        Some((_, None)) | None => Content::Unknown,
    };
    if content == Content::Unknown && facts.is_some() && reading.claims.is_same_version(claim) {
        let path = crate::model::text::escape_path(path);
        return Fate::Doubt(format!(
            "{path} was installed again in the same version, and nobody kept what it was before"
        ));
    }
    Fate::Cause(Cause {
        path: path.to_owned(),
        kind: CauseKind::Script,
        method,
        content,
        package: claim.package.clone(),
        mapped: None,
        current: facts.map(|facts| facts.id),
        evidence: format!("{words} {how}; it is read, not mapped, so nothing of the old one is left to look at"),
        certainty,
        root: PathRoot::Host,
        damage: None,
    })
}

/// How a claimed file came to be another one since a process started, if it did.
pub fn replaced_since(claim: &ClaimedFile, started: Stamp) -> Option<(Method, &'static str)> {
    match &claim.now {
        Look::Absent => Some((Method::Removed, "is gone")),
        Look::Hidden(_) => None,
        Look::Found(facts) if facts.born.is_some_and(|born| born > started) => {
            Some((Method::Unknown, "is another file since"))
        }
        Look::Found(facts) if facts.modified > started => Some((Method::Overwritten, "was written to since")),
        Look::Found(facts) if facts.born.is_none() && facts.changed > started => {
            Some((Method::Unknown, "changed since"))
        }
        Look::Found(_) => None,
    }
}
