//! Looks whether the script that an interpreter reads was replaced.

use crate::model::file::Stamp;
use crate::model::judge::ClaimIndex;
use crate::model::script::script_of;
use crate::model::verdict::{Cause, CauseKind, Content, Method};
use crate::sys::files::{Links, Root};
use crate::sys::procs::ProcessHandle;
use std::path::Path;

/// The scripts of a process that were claimed and replaced since it started.
pub fn look(program: Option<&Path>, reader: &ProcessHandle, started: Stamp, claims: &ClaimIndex) -> Vec<Cause> {
    let (Some(program), false) = (program, claims.is_empty()) else { return Vec::new() };
    let arguments = reader.arguments();
    let Some(script) = script_of(program, &arguments, None)
        .or_else(|| script_of(program, &arguments, reader.working_folder().as_deref()))
    else {
        return Vec::new();
    };
    let script = Root::Own.resolve_folder(&script);
    let Some(claim) = claims.file(&script) else { return Vec::new() };
    let facts = claim.now.found();
    // In a chroot or a container the path is another file.
    let own = reader.root().map(|root| root.look(&script, Links::Follow).found().map(|facts| facts.id));
    if own != Some(facts.map(|facts| facts.id)) {
        return Vec::new();
    }
    // The interpreter read it when it started: what is older is what it read.
    let (method, evidence) = match facts {
        None => (Method::Removed, "the script that it was started with is gone"),
        Some(facts) if facts.born.is_some_and(|born| born > started) => (
            Method::Unknown,
            "the script that it was started with is another file since; it is read, not mapped, so how is not known",
        ),
        Some(facts) if facts.modified > started => {
            (Method::Overwritten, "the script that it was started with was modified since")
        }
        Some(facts) if facts.born.is_none() && facts.changed > started => {
            (Method::Unknown, "the script that it was started with changed since")
        }
        Some(_) => return Vec::new(),
    };
    vec![Cause {
        path: script,
        kind: CauseKind::Script,
        method,
        content: Content::Unknown,
        package: claim.package.clone(),
        mapped: None,
        current: facts.map(|facts| facts.id),
        evidence: evidence.to_owned(),
    }]
}
