//! Other names of a file that was replaced: they keep the old content, and nobody would notice.

use crate::model::replace::{Entry, Journal, Replaced};
use crate::sys::tree;
use std::path::Path;
use std::time::{Duration, Instant};

/// All other names that can be found in this time.
const LOOKING: Duration = Duration::from_millis(1500);

/// Writes them into what is said.
pub fn find(journal: &Journal, replaced: &mut Replaced) {
    let end = Instant::now() + LOOKING;
    for (entry, row) in journal.entries.iter().zip(&mut replaced.files) {
        let Some(others) = others(entry) else { continue };
        row.links = tree::names_of(entry.target.parent().unwrap_or(Path::new("/")), &others.0, others.1, end);
        row.links.retain(|path| *path != entry.kept && *path != entry.beside);
        row.hidden_links = others.1.saturating_sub(u32::try_from(row.links.len()).unwrap_or(u32::MAX));
    }
}

/// The old inode, and how many other names it had.
fn others(entry: &Entry) -> Option<(crate::model::file::FileId, u32)> {
    let old = entry.old.as_ref().filter(|old| old.facts.links > 1)?;
    (old.facts.kind == crate::model::file::FileKind::Regular).then_some((old.facts.id, old.facts.links - 1))
}
