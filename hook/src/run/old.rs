//! Asks the inodes that a transaction replaced whether anybody still uses them, before any process is
//! looked at.

use super::desk::{Desk, Known};
use crate::model::file::{FileKind, Stamp};
use crate::model::old::{announced, way, Fate, Way};
use crate::model::pending::{Pending, Side, Snapshot};
use crate::model::script::may_be_script;
use crate::model::text::escape_path;
use crate::sys::content;
use crate::sys::files::{Links, Root};
use crate::sys::inodes::Inodes;
use std::path::Path;

/// Some 10 microseconds each: where there are more, the processes are looked at.
const MOST_ASKED: usize = 5_000;

/// Whether the inodes alone tell that nobody uses what was replaced by the transactions that wait.
pub fn ask(desk: &Desk<'_>, pending: &[Pending], known: &Known) -> Way {
    if desk.common.root != Path::new("/") || desk.common.claims.is_some() {
        return Way::Processes("it is not asked about transactions of the running system".to_owned());
    }
    if known.leftovers {
        return Way::Processes("some were left that ran old files".to_owned());
    }
    if !known.gaps.is_empty() {
        return Way::Processes("what was replaced is not known to the end".to_owned());
    }
    let begun = pending.iter().filter(|one| one.side == Side::Pre).map(|one| one.time).min();
    let newer = match announced(pending, &known.now) {
        Ok(newer) => newer,
        Err(why) => return Way::Processes(why),
    };
    if let Some(path) = newer.into_iter().find(|path| begun.is_none_or(|begun| !is_newer(path, begun))) {
        return Way::Processes(format!("what stood at {} before is not known", path.display()));
    }
    let snapshots: Vec<&Snapshot> = pending.iter().flat_map(|one| &one.snapshots).collect();
    if snapshots.len() > MOST_ASKED {
        return Way::Processes(format!("more than {MOST_ASKED} files were replaced"));
    }
    if let Some(script) = snapshots.iter().find(|snapshot| is_other_script(snapshot)) {
        let path = escape_path(&script.path);
        return Way::Processes(format!("{path} is read and not mapped: its inode does not tell who read it"));
    }
    of_snapshots(&snapshots)
}

/// Whether another text stands where a script or a module stood.
fn is_other_script(before: &Snapshot) -> bool {
    let Some(digest) = &before.digest else { return false };
    if !may_be_script(&before.path, before.facts.mode) {
        return false;
    }
    let now = Root::Own.look(&before.path, Links::Keep);
    let text = now.found().and_then(|facts| content::text_digest(&Root::Own, &before.path, facts));
    text.as_ref() != Some(digest)
}

/// What the inodes in these snapshots say.
pub fn of_snapshots(snapshots: &[&Snapshot]) -> Way {
    let mut inodes = Inodes::default();
    let fates: Vec<(&Path, Fate)> =
        snapshots.iter().map(|snapshot| (snapshot.path.as_path(), inodes.fate(snapshot))).collect();
    way(&fates)
}

/// Whether nothing stands at a path but what was made since, or a link or a folder.
fn is_newer(path: &Path, since: Stamp) -> bool {
    match Root::Own.look(path, Links::Keep).found() {
        None => true,
        Some(facts) => facts.kind != FileKind::Regular || facts.born.is_some_and(|born| born >= since),
    }
}
