//! Processes that have not run since an earlier look: they map what they mapped then.
//!
//! Only a thread of a process itself changes what the process maps (or one of another process that was given the same
//! memory, `CLONE_VM` of clone(2)), and all the time that its threads run is counted in one number, the processor time
//! of the process (clock_getcpuclockid(3)). That number is one question; asking for the mappings are dozens. Reports
//! rely on it, proofs do not.

use super::file::FileId;
use super::judge::Numbering;
use super::starts::{head, StartsOf};
use std::cmp::Ordering;
use std::collections::{BTreeSet, HashMap};
use std::num::NonZeroU64;
use std::ops::Range;

/// Code that a process maps: of which file, and how far into it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Code {
    /// The file.
    pub id: FileId,
    /// First byte of the file behind what is mapped.
    pub reach: u64,
}

/// The name by which a file is found.
pub type Name<'a> = &'a [u8];

/// A process as it was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rest {
    /// Its pid.
    pub pid: u32,
    /// The processor time that its threads had had before it was looked at, in nanoseconds.
    pub ran: NonZeroU64,
    /// Seconds on the clock that counts while the machine is awake (`CLOCK_MONOTONIC`), after it was looked at.
    pub seen: u32,
    /// Where its lowest code is mapped: two processes with the same memory have it at the same address.
    pub address: u64,
    /// Which of the rows are its own.
    rows: Range<usize>,
}

impl Rest {
    /// Whether it was looked at so long ago that a thread which has been running ever since would have been counted.
    pub fn is_sure(&self, now: u32) -> bool {
        now >= self.seen.saturating_add(TICKS)
    }

    /// Whether it is to be looked at again whatever its processor time.
    pub fn is_old(&self, now: u32) -> bool {
        now >= self.seen.saturating_add(LONGEST)
    }
}

/// What processes map that had nothing to fear when they were looked at, and where the numbering of processes stood
/// before that.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Resting {
    /// Where the numbering stood.
    pub numbering: Option<Numbering>,
    /// The processes, by pid.
    rests: Vec<Rest>,
    /// What is mapped, each once.
    codes: Vec<Code>,
    /// The names of the files, one behind the other, and where that of each code ends; empty where none is kept.
    names: Vec<u8>,
    ends: Vec<usize>,
    /// What each process maps, by address, as indices of `codes`.
    rows: Vec<u16>,
}

/// The form that the file has; another one is not read.
const MAGIC: &[u8] = b"reexec resting 1\n";
/// Bytes of the counts, of a process, of a code and of a row; every number has its lowest byte first.
const COUNTS: usize = 48;
const REST: usize = 32;
const CODE: usize = 32;
const ROW: usize = 2;
/// The kernel counts a thread that keeps running at each of its ticks, of which there is at least one in a second
/// (`sched_tick_remote` of kernel/sched/core.c; elsewhere there are a hundred or more).
const TICKS: u32 = 2;
/// Nothing is relied on for more than an hour: the kernel takes the time of interrupts and of other guests out of the
/// processor time of who was running, by a clock that lags behind by microseconds (`update_rq_clock_task` of
/// kernel/sched/core.c), so that a process may have woken up and had none.
const LONGEST: u32 = 3600;

impl Resting {
    /// A process as it was looked at, if its threads have had no processor time since.
    pub fn find(&self, pid: i32, ran: NonZeroU64) -> Option<&Rest> {
        let pid = u32::try_from(pid).ok()?;
        let rest = &self.rests[self.rests.binary_search_by_key(&pid, |rest| rest.pid).ok()?];
        (rest.ran == ran).then_some(rest)
    }

    /// What it maps, by address.
    pub fn codes<'a>(&'a self, rest: &Rest) -> impl Iterator<Item = Code> + 'a {
        self.rows[rest.rows.clone()].iter().map(|&row| self.codes[usize::from(row)])
    }

    /// The names of these files, where they were kept.
    pub fn names<'a>(&'a self, rest: &Rest) -> impl Iterator<Item = Option<Name<'a>>> + 'a {
        self.rows[rest.rows.clone()].iter().map(|&row| self.name(usize::from(row)))
    }

    fn name(&self, code: usize) -> Option<Name<'_>> {
        let start = code.checked_sub(1).map_or(Some(0), |before| self.ends.get(before).copied())?;
        self.names.get(start..*self.ends.get(code)?).filter(|name| !name.is_empty())
    }

    /// Number of processes.
    pub fn len(&self) -> usize {
        self.rests.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rests.is_empty()
    }

    /// The processes, by pid.
    pub fn rests(&self) -> &[Rest] {
        &self.rests
    }

    /// As bytes for a file.
    pub fn bytes(&self, of: &StartsOf) -> Vec<u8> {
        let size = self.rests.len() * REST + self.codes.len() * CODE + self.rows.len() * ROW + self.names.len();
        let mut bytes = Vec::with_capacity(MAGIC.len() + 128 + size);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(head(of).as_bytes());
        let (last, started, most) = self.numbering.map_or((0, 0, 0), |at| (at.last, at.started, at.most));
        let counts = [self.rests.len(), self.codes.len(), self.rows.len(), self.names.len()];
        for number in counts.into_iter().map(|count| count as u64).chain([started]) {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        for number in [last, most] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        for rest in &self.rests {
            for number in [rest.pid, rest.seen] {
                bytes.extend_from_slice(&number.to_le_bytes());
            }
            for number in [rest.ran.get(), rest.address, rest.rows.end as u64] {
                bytes.extend_from_slice(&number.to_le_bytes());
            }
        }
        for (code, end) in self.codes.iter().zip(&self.ends) {
            for number in [code.id.dev, code.id.ino, code.reach, *end as u64] {
                bytes.extend_from_slice(&number.to_le_bytes());
            }
        }
        self.rows.iter().for_each(|row| bytes.extend_from_slice(&row.to_le_bytes()));
        bytes.extend_from_slice(&self.names);
        bytes
    }

    /// From the bytes of a file; none where they are of another boot, for other pids, or damaged.
    pub fn parse(bytes: &[u8], of: &StartsOf) -> Resting {
        Self::read(bytes, of).unwrap_or_default()
    }

    fn read(bytes: &[u8], of: &StartsOf) -> Option<Resting> {
        let bytes = bytes.strip_prefix(MAGIC)?.strip_prefix(head(of).as_bytes())?;
        let (counts, bytes) = bytes.split_at_checked(COUNTS)?;
        let [rests, codes, rows, names] = [0, 8, 16, 24].map(|at| usize::try_from(long(counts, at)).ok());
        let (rests, bytes) = bytes.split_at_checked(rests?.checked_mul(REST)?)?;
        let (codes, bytes) = bytes.split_at_checked(codes?.checked_mul(CODE)?)?;
        let (rows, bytes) = bytes.split_at_checked(rows?.checked_mul(ROW)?)?;
        if bytes.len() != names? {
            return None;
        }
        let most = short(counts, 44) as i32;
        let numbering = Numbering { last: short(counts, 40) as i32, started: long(counts, 32), most };
        let code = |code: &[u8]| Code { id: FileId { dev: long(code, 0), ino: long(code, 8) }, reach: long(code, 16) };
        let mut read = Resting {
            numbering: (most > 0).then_some(numbering),
            rests: Vec::with_capacity(rests.len() / REST),
            codes: codes.chunks_exact(CODE).map(code).collect(),
            rows: rows.chunks_exact(ROW).map(|row| u16::from_le_bytes([row[0], row[1]])).collect(),
            names: bytes.to_vec(),
            ends: codes.chunks_exact(CODE).map(|code| usize::try_from(long(code, 24)).ok()).collect::<Option<_>>()?,
        };
        let mut start = 0;
        for rest in rests.chunks_exact(REST) {
            let end = usize::try_from(long(rest, 24)).ok()?;
            let (pid, seen, ran, address) = (short(rest, 0), short(rest, 4), long(rest, 8), long(rest, 16));
            let in_turn = read.rests.last().is_none_or(|last| last.pid < pid) && start <= end && end <= read.rows.len();
            let rest = Rest { pid, seen, ran: NonZeroU64::new(ran)?, address, rows: start..end };
            read.rests.push(in_turn.then_some(rest)?);
            start = end;
        }
        read.rows.iter().all(|&row| usize::from(row) < read.codes.len()).then_some(read)
    }
}

fn long(bytes: &[u8], at: usize) -> u64 {
    bytes[at..at + 8].iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte))
}

fn short(bytes: &[u8], at: usize) -> u32 {
    bytes[at..at + 4].iter().rev().fold(0, |number, &byte| number << 8 | u32::from(byte))
}

/// What one thread of a look notes down.
#[derive(Debug, Default)]
pub struct Notes {
    noted: Resting,
    index: HashMap<Code, u16, foldhash::fast::RandomState>,
    /// Where the lowest code is mapped of processes of which nothing was noted.
    others: Vec<(u64, u32)>,
    /// Pids of processes of which what an earlier look kept is kept further.
    confirmed: Vec<u32>,
}

impl Notes {
    /// A process that has nothing to fear. What it maps has to be read after its processor time was.
    pub fn add(&mut self, pid: i32, ran: NonZeroU64, address: u64, codes: impl Iterator<Item = Code>) {
        let Ok(pid) = u32::try_from(pid) else { return };
        let start = self.noted.rows.len();
        for code in codes {
            let Some(row) = self.row(code) else { return self.noted.rows.truncate(start) };
            self.noted.rows.push(row);
        }
        self.noted.rests.push(Rest { pid, ran, seen: 0, address, rows: start..self.noted.rows.len() });
    }

    /// A process that still is as it was kept.
    pub fn confirm(&mut self, pid: i32) {
        self.confirmed.extend(u32::try_from(pid).ok());
    }

    /// A process of which nothing is kept.
    pub fn pass(&mut self, pid: i32, address: u64) {
        self.others.extend(u32::try_from(pid).ok().map(|pid| (address, pid)));
    }

    /// Number of processes.
    pub fn len(&self) -> usize {
        self.noted.len()
    }

    /// Whether nothing was noted.
    pub fn is_empty(&self) -> bool {
        self.noted.is_empty()
    }

    fn row(&mut self, code: Code) -> Option<u16> {
        if let Some(&row) = self.index.get(&code) {
            return Some(row);
        }
        let row = u16::try_from(self.noted.codes.len()).ok()?;
        self.noted.codes.push(code);
        self.index.insert(code, row);
        Some(row)
    }

    fn take(&mut self, from: &Resting, rest: &Rest, rows: &mut [Option<u16>]) {
        let start = self.noted.rows.len();
        for &row in &from.rows[rest.rows.clone()] {
            let row = usize::from(row);
            let Some(taken) = rows[row].or_else(|| self.row(from.codes[row])) else {
                return self.noted.rows.truncate(start);
            };
            rows[row] = Some(taken);
            self.noted.rows.push(taken);
        }
        self.noted.rests.push(Rest { rows: start..self.noted.rows.len(), ..rest.clone() });
    }
}

/// What is kept of an earlier look and of this one, which is over now (`seen`) and began when the numbering stood there:
/// of processes that share their memory with none. `compare` puts the memories of two processes in some order; `None`
/// where the kernel does not say; `name` is that of a file.
pub fn merge<'n>(
    earlier: &Resting,
    noted: &[Notes],
    (numbering, seen): (Numbering, u32),
    compare: impl Fn(u32, u32) -> Option<Ordering>,
    name: impl Fn(FileId) -> Option<Name<'n>>,
) -> Resting {
    let mut confirmed: Vec<u32> = noted.iter().flat_map(|notes| notes.confirmed.iter().copied()).collect();
    confirmed.sort_unstable();
    let new = noted.iter().flat_map(|notes| notes.noted.rests.iter().map(|rest| (rest.address, rest.pid)));
    let met: Vec<(u64, u32)> = new.chain(noted.iter().flat_map(|notes| notes.others.iter().copied())).collect();
    let stays = |rest: &&Rest| confirmed.binary_search(&rest.pid).is_ok();
    let kept: Vec<&Rest> = earlier.rests.iter().filter(stays).collect();
    let sharers = sharers(kept.iter().map(|rest| (rest.address, rest.pid)), &met, compare);
    let tables: Vec<&Resting> = std::iter::once(earlier).chain(noted.iter().map(|notes| &notes.noted)).collect();
    let mut rests: Vec<(usize, &Rest)> = kept.into_iter().map(|rest| (0, rest)).collect();
    for (table, notes) in noted.iter().enumerate() {
        rests.extend(notes.noted.rests.iter().map(|rest| (table + 1, rest)));
    }
    rests.retain(|(_, rest)| !sharers.contains(&rest.pid));
    rests.sort_unstable_by_key(|(_, rest)| rest.pid);
    let mut rows: Vec<Vec<Option<u16>>> = tables.iter().map(|table| vec![None; table.codes.len()]).collect();
    let mut all = Notes::default();
    for (table, rest) in rests {
        let seen = if table == 0 { rest.seen } else { seen };
        all.take(tables[table], &Rest { seen, ..rest.clone() }, &mut rows[table]);
    }
    let mut kept = Resting { numbering: Some(numbering), ..all.noted };
    for code in &kept.codes {
        kept.names.extend_from_slice(name(code.id).unwrap_or_default());
        kept.ends.push(kept.names.len());
    }
    kept
}

/// Those that may have the same memory as another process. Who had it alone when nothing of it ran can only have been
/// joined by what it started itself, so that those that stay need not be held against each other.
fn sharers(
    kept: impl Iterator<Item = (u64, u32)>,
    met: &[(u64, u32)],
    compare: impl Fn(u32, u32) -> Option<Ordering>,
) -> BTreeSet<u32> {
    let met = met.iter().map(|&(address, pid)| (address, pid, true));
    let mut all: Vec<(u64, u32, bool)> = kept.map(|(address, pid)| (address, pid, false)).chain(met).collect();
    all.sort_unstable();
    let mut sharers = BTreeSet::new();
    for group in all.chunk_by(|a, b| a.0 == b.0) {
        if group.len() < 2 || !group.iter().any(|&(_, _, is_new)| is_new) {
            continue;
        }
        // No sort: who ends or executes another program meanwhile turns the order around.
        let (mut in_order, mut is_silent) = (Vec::with_capacity(group.len()), false);
        for &(_, pid, _) in group {
            let order = |other: &u32| {
                compare(*other, pid).unwrap_or_else(|| {
                    is_silent = true;
                    Ordering::Less
                })
            };
            match in_order.binary_search_by(order) {
                Ok(at) => sharers.extend([in_order[at], pid]),
                Err(at) => in_order.insert(at, pid),
            }
        }
        if is_silent {
            sharers.extend(group.iter().map(|&(_, pid, _)| pid));
        }
    }
    sharers
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEGAN: Numbering = Numbering { last: 500, started: 9_000, most: 32_768 };

    fn here() -> StartsOf {
        StartsOf { boot_id: "boot".to_owned(), pids: 1, times: 2 }
    }

    fn code(ino: u64) -> Code {
        Code { id: FileId { dev: 1, ino }, reach: ino * 4096 }
    }

    fn ran(nanos: u64) -> NonZeroU64 {
        NonZeroU64::new(nanos).unwrap()
    }

    /// One process for each row: pid, processor time, address and inodes.
    fn notes(rows: &[(i32, u64, u64, &[u64])]) -> Notes {
        let mut notes = Notes::default();
        for (pid, nanos, address, inodes) in rows {
            notes.add(*pid, ran(*nanos), *address, inodes.iter().map(|&ino| code(ino)));
        }
        notes
    }

    fn apart(a: u32, b: u32) -> Option<Ordering> {
        Some(a.cmp(&b))
    }

    fn named<'a>(id: FileId) -> Option<Name<'a>> {
        [None, Some(&b"/lib/three"[..]), None, Some(b"/lib/f")].get(id.ino as usize - 2).copied().flatten()
    }

    fn inodes(resting: &Resting, pid: i32, nanos: u64) -> Option<Vec<u64>> {
        let rest = resting.find(pid, ran(nanos))?;
        Some(resting.codes(rest).map(|code| code.id.ino).collect())
    }

    #[test]
    fn what_was_written_is_read_again_and_only_here() {
        let kept = merge(
            &Resting::default(),
            &[notes(&[(9, 90, 0x2000, &[3, 4])]), notes(&[(7, 70, 0x1000, &[4, 5, 3])])],
            (BEGAN, 100),
            apart,
            named,
        );
        let bytes = kept.bytes(&here());
        let read = Resting::parse(&bytes, &here());
        assert_eq!(read, kept);
        assert_eq!(read.numbering, Some(BEGAN));
        assert_eq!(inodes(&read, 7, 70), Some(vec![4, 5, 3]));
        assert_eq!(inodes(&read, 9, 90), Some(vec![3, 4]));
        assert_eq!(read.codes(read.find(9, ran(90)).unwrap()).next(), Some(code(3)));
        let names: Vec<_> = read.names(read.find(7, ran(70)).unwrap()).collect();
        assert_eq!(names, [None, Some(&b"/lib/f"[..]), Some(b"/lib/three")]);
        assert_eq!(Resting::parse(&bytes, &StartsOf { pids: 2, ..here() }), Resting::default());
        for end in 0..bytes.len() {
            assert_eq!(Resting::parse(&bytes[..end], &here()), Resting::default(), "{end}");
        }
    }

    #[test]
    fn numbers_that_lead_out_of_the_file_are_no_panic() {
        let kept =
            merge(&Resting::default(), &[notes(&[(7, 70, 1, &[4]), (9, 90, 2, &[5])])], (BEGAN, 1), apart, named);
        let bytes = kept.bytes(&here());
        let head = MAGIC.len() + head(&here()).len();
        for at in head..bytes.len() {
            for bent in [0, 1, 0x7f, 0xff] {
                let mut bytes = bytes.clone();
                bytes[at] = bent;
                let read = Resting::parse(&bytes, &here());
                let pairs = |rest| read.codes(rest).zip(read.names(rest)).count();
                let codes: usize = read.rests().iter().map(pairs).sum();
                assert!(codes <= 2, "{at} {bent}");
            }
        }
    }

    #[test]
    fn who_has_run_is_not_known_and_who_was_just_looked_at_not_for_sure() {
        let kept = merge(&Resting::default(), &[notes(&[(7, 70, 1, &[4])])], (BEGAN, 100), apart, named);
        assert_eq!((inodes(&kept, 7, 71), inodes(&kept, 8, 70), inodes(&kept, -7, 70)), (None, None, None));
        let rest = kept.find(7, ran(70)).unwrap();
        assert_eq!([100, 101, 102].map(|now| rest.is_sure(now)), [false, false, true]);
        assert_eq!([102, 3699, 3700].map(|now| rest.is_old(now)), [false, false, true]);
    }

    #[test]
    fn only_what_was_confirmed_is_kept_further_and_keeps_its_age() {
        let earlier = merge(
            &Resting::default(),
            &[notes(&[(3, 30, 1, &[4]), (5, 50, 2, &[4, 6]), (7, 70, 3, &[5])])],
            (BEGAN, 100),
            apart,
            named,
        );
        let mut now = notes(&[(5, 51, 2, &[6, 8])]);
        now.confirm(3);
        let kept = merge(&earlier, &[now], (BEGAN, 200), apart, named);
        assert_eq!((inodes(&kept, 3, 30), inodes(&kept, 5, 51)), (Some(vec![4]), Some(vec![6, 8])));
        assert_eq!((inodes(&kept, 5, 50), inodes(&kept, 7, 70)), (None, None));
        let seen: Vec<u32> = kept.rests().iter().map(|rest| rest.seen).collect();
        assert_eq!(seen, [100, 200]);
    }

    #[test]
    fn nothing_is_kept_of_who_shares_its_memory_or_may() {
        let shares = |a: u32, b: u32| Some((a / 2).cmp(&(b / 2)));
        let mut now = notes(&[(2, 20, 1, &[4]), (4, 40, 1, &[4]), (8, 80, 9, &[4])]);
        // Of 3 there is something to say; it has the memory of 2, and neither that of 4 nor that of 8.
        now.pass(3, 1);
        let pids = |kept: &Resting| kept.rests().iter().map(|rest| rest.pid).collect::<Vec<_>>();
        assert_eq!(pids(&merge(&Resting::default(), &[now], (BEGAN, 1), shares, named)), [4, 8]);
        let now = || notes(&[(2, 20, 1, &[4]), (4, 40, 1, &[4]), (8, 80, 9, &[4])]);
        assert_eq!(pids(&merge(&Resting::default(), &[now()], (BEGAN, 1), |_, _| None, named)), [8]);
        // Who stays was held against the others when it was new.
        let earlier = merge(&Resting::default(), &[now()], (BEGAN, 1), apart, named);
        let mut later = notes(&[(12, 120, 9, &[4])]);
        for pid in [2, 4, 8] {
            later.confirm(pid);
        }
        assert_eq!(pids(&merge(&earlier, &[later], (BEGAN, 1), |_, _| None, named)), [2, 4]);
    }

    #[test]
    fn a_process_with_more_files_than_can_be_numbered_is_left_out_whole() {
        let many: Vec<u64> = (1..=70_000).collect();
        let kept =
            merge(&Resting::default(), &[notes(&[(7, 70, 1, &many), (9, 90, 2, &[4])])], (BEGAN, 1), apart, named);
        assert_eq!((inodes(&kept, 7, 70), inodes(&kept, 9, 90)), (None, Some(vec![4])));
    }
}
