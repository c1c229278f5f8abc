//! `run`: brackets a command that installs something. What it replaced, and how, is told by what processes
//! mapped before; then it is judged, acted on and proven as after any transaction.

use super::apply::{self, Own, Run};
use super::desk::Desk;
use super::{marks, texts};
use crate::model::claim::Claim;
use crate::model::marks::{claims, Change};
use crate::model::pending::Pending;
use crate::model::verdict::Verdict;
use crate::sys::foreground::{self, Ended};
use crate::sys::{clock, host};
use anyhow::{ensure, Result};
use std::ffi::OsString;
use std::path::Path;

/// Who said it, in the place of a package manager's name.
const MANAGER: &str = "run";

/// What there is to say.
#[derive(Debug)]
pub struct Bracketed {
    /// How the command ended.
    pub ended: Ended,
    /// Files in use that it replaced.
    pub changes: Vec<Change>,
    /// Sources that it wrote, which a running interpreter may have read.
    pub texts: usize,
    /// What could not be looked at, and what is done later.
    pub notes: Vec<String>,
    /// Who ran the old, and what became of it; `None` where nothing was replaced.
    pub run: Option<Run>,
}

impl Bracketed {
    /// The command's own, where it failed; then 3 where a process maps what it overwrote; then that of what
    /// was done about it.
    pub fn exit_code(&self) -> u8 {
        if self.ended.code != 0 {
            return self.ended.code;
        }
        let report = self.run.as_ref().and_then(|run| run.report.as_ref());
        match report.is_some_and(|report| report.processes.iter().any(|row| row.verdict == Verdict::Tainted)) {
            true => 3,
            false => self.run.as_ref().map_or(0, |run| run.exit_code),
        }
    }
}

/// Whether what was replaced is acted on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acting {
    /// By the policy.
    Yes,
    /// It is only said.
    No,
}

/// Runs the command, and looks at what it did.
pub fn bracket(desk: &Desk<'_>, command: &[OsString], acting: Acting) -> Result<Bracketed> {
    ensure!(
        desk.common.root == Path::new("/"),
        "--root: what a command replaces is looked at on the running system only"
    );
    ensure!(desk.common.claims.is_none(), "--claims: what the command replaces is what is looked at");
    // A faulty policy is told before anything has changed.
    desk.policy()?;
    let marks = marks::take(desk)?;
    let ended = foreground::run(command)?;
    let changes = marks::changes(&marks, &[]);
    let (sources, gap) = texts::changed_since(&desk.common.proc, marks.time);
    let mut said = Bracketed { ended, changes, texts: sources.len(), notes: marks.gaps.clone(), run: None };
    said.notes.extend(gap);
    if said.changes.is_empty() && sources.is_empty() {
        return Ok(said);
    }
    let replaced: Vec<Claim> = claims(&said.changes).into_iter().chain(sources).collect();
    let window = (marks.time, clock::now());
    let pending = Pending::around(&desk.boot_id, MANAGER, window, replaced, marks.of(&said.changes));
    if host::uid() != 0 || acting == Acting::No {
        said.run = Some(apply::look_own(desk, &Own { paths: Vec::new(), pending: pending.into() })?);
        return Ok(said);
    }
    let own = Own::keep(desk, pending)?;
    said.run = apply::apply_own_when_idle(desk, &own, &mut said.notes)?;
    Ok(said)
}
