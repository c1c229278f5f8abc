//! What an earlier look kept of processes, as far as it may be relied on now, and what this one keeps.

use super::desk::Desk;
use super::scan::{wanted, Extent, Seen};
use super::sights::Sights;
use crate::cli::MappingSource;
use crate::model::file::FileId;
use crate::model::judge::{ClaimIndex, Numbering};
use crate::model::mapping::Wanted;
use crate::model::resting::{Kept, Name, Notes, Rest, Resting};
use crate::model::starts::StartsOf;
use crate::sys::state::Noted;
use crate::sys::{clock, host, raw};
use std::collections::HashMap;
use std::num::NonZeroU64;

/// Whom a look asks what they map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// Every process: it is to be a proof.
    Each,
    /// Those that have run since an earlier look.
    Runners,
}

/// What was kept, and where the machine stands at the beginning of this look.
#[derive(Debug, Clone)]
pub struct Recall {
    /// What was kept.
    pub earlier: Resting,
    numbering: Numbering,
    now: u32,
}

impl Recall {
    /// What a process mapped that has not run since, and that a thread of it which has been running all the while would
    /// have shown by now.
    pub fn rest(&self, pid: i32, ran: NonZeroU64) -> Option<Rest> {
        self.find(pid, ran).filter(|rest| rest.is_sure(self.now))
    }

    /// Whether what was kept of a process is what would be kept of it now.
    pub fn has(&self, pid: i32, ran: NonZeroU64) -> bool {
        self.find(pid, ran).is_some()
    }

    fn find(&self, pid: i32, ran: NonZeroU64) -> Option<Rest> {
        let since = self.earlier.numbering?;
        let is_same = |rest: &Rest| !rest.is_old(self.now) && !since.may_have_given(pid, self.numbering);
        self.earlier.find(pid, ran).filter(is_same)
    }
}

/// What was kept of processes, where it tells all that is asked for, and can be relied on.
pub fn recall(desk: &Desk<'_>, of: &StartsOf, extent: Extent, claims: &ClaimIndex) -> Option<Recall> {
    // Data files are not kept.
    if wanted(extent, claims) != Wanted::Code
        || desk.common.mappings != MappingSource::Auto
        || !clock::counts_all_that_runs()
    {
        return None;
    }
    let numbering = host::numbering(&desk.common.proc)?;
    Some(Recall { earlier: Resting::parse(desk.store.noted(Noted::Resting), of), numbering, now: clock::awake() })
}

/// Keeps what this look noted down, if there is enough of it.
pub fn keep(desk: &Desk<'_>, of: &StartsOf, recall: &Recall, seen: &Seen) {
    let noted: usize = seen.notes.iter().map(Notes::len).sum();
    if noted < FEW.max(recall.earlier.len() / PART) {
        return;
    }
    // Begun seconds are over at their end.
    let over = clock::awake().saturating_add(1);
    let names =
        seen.files.iter().filter_map(|view| Some((view.sighting.printed, Sights::lasting_name(&view.sighting)?)));
    let names: HashMap<FileId, Name<'_>> = names.collect();
    let kept = Kept::of(&recall.earlier, &seen.notes, (recall.numbering, over), raw::compare_memory);
    // Without it the next look only takes longer.
    let _ = desk.store.keep_noted(Noted::Resting, |put| kept.put(of, |id| names.get(&id).copied(), put));
}

/// To look again at so many costs less than to write the file,
const FEW: usize = 8;
/// or at so small a part of all that are in it.
const PART: usize = 32;
