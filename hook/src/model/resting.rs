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
/// before that: the bytes of a file, in which each number is read where it is needed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Resting {
    /// Where the numbering stood.
    pub numbering: Option<Numbering>,
    /// The file, which is not copied: there may be megabytes.
    bytes: Vec<u8>,
    /// The processes, by pid.
    rests: Range<usize>,
    /// What each process maps, by address, as indices of `codes`.
    rows: Range<usize>,
    /// What is mapped, each once.
    codes: Range<usize>,
    /// The names of the files, one behind the other.
    names: Range<usize>,
}

/// The form that the file has; another one is not read.
const MAGIC: &[u8] = b"reexec resting 1\n";
/// Bytes of a process, of a row, of a code and of the counts, in the order of the file; every number has its lowest
/// byte first.
const REST: usize = 32;
const ROW: usize = 2;
const CODE: usize = 32;
const COUNTS: usize = 48;
/// The kernel counts a thread that keeps running at each of its ticks, of which there is at least one in a second
/// (`sched_tick_remote` of kernel/sched/core.c; elsewhere there are a hundred or more).
const TICKS: u32 = 2;
/// Nothing is relied on for more than an hour: the kernel takes the time of interrupts and of other guests out of the
/// processor time of who was running, by a clock that lags behind by microseconds (`update_rq_clock_task` of
/// kernel/sched/core.c), so that a process may have woken up and had none.
const LONGEST: u32 = 3600;

impl Resting {
    /// A process as it was looked at, if its threads have had no processor time since.
    pub fn find(&self, pid: i32, ran: NonZeroU64) -> Option<Rest> {
        let pid = u32::try_from(pid).ok()?;
        let (rests, _) = self.part(&self.rests).as_chunks::<REST>();
        let at = rests.binary_search_by_key(&pid, |rest| short(rest, 0)).ok()?;
        self.rest(at).filter(|rest| rest.ran == ran)
    }

    fn part(&self, part: &Range<usize>) -> &[u8] {
        self.bytes.get(part.clone()).unwrap_or_default()
    }

    fn rest(&self, at: usize) -> Option<Rest> {
        let rests = self.part(&self.rests);
        let bytes = rests.get(at * REST..(at + 1) * REST)?;
        let end = |at: usize| usize::try_from(long(rests, at * REST + 24)).ok();
        let rows = at.checked_sub(1).map_or(Some(0), end)?..end(at)?;
        let (pid, seen, ran, address) = (short(bytes, 0), short(bytes, 4), long(bytes, 8), long(bytes, 16));
        Some(Rest { pid, seen, ran: NonZeroU64::new(ran)?, address, rows })
    }

    /// The processes, by pid.
    pub fn rests(&self) -> impl Iterator<Item = Rest> + '_ {
        (0..self.len()).filter_map(|at| self.rest(at))
    }

    /// What a process maps, by address.
    pub fn codes<'a>(&'a self, rest: &Rest) -> impl Iterator<Item = Code> + 'a {
        self.rows(rest).map(|row| self.code(row))
    }

    /// The names of these files, where they were kept.
    pub fn names<'a>(&'a self, rest: &Rest) -> impl Iterator<Item = Option<Name<'a>>> + 'a {
        let end = |row: usize| usize::try_from(long(self.part(&self.codes), row * CODE + 24)).ok();
        self.rows(rest).map(move |row| {
            let start = row.checked_sub(1).map_or(Some(0), end)?;
            self.part(&self.names).get(start..end(row)?).filter(|name| !name.is_empty())
        })
    }

    fn rows<'a>(&'a self, rest: &Rest) -> impl Iterator<Item = usize> + 'a {
        rest.rows.clone().map(|row| self.row(row))
    }

    fn row(&self, at: usize) -> usize {
        let rows = self.part(&self.rows);
        usize::from(u16::from_le_bytes([rows[at * ROW], rows[at * ROW + 1]]))
    }

    fn code(&self, row: usize) -> Code {
        let (codes, at) = (self.part(&self.codes), row * CODE);
        Code { id: FileId { dev: long(codes, at), ino: long(codes, at + 8) }, reach: long(codes, at + 16) }
    }

    /// Number of processes.
    pub fn len(&self) -> usize {
        self.rests.len() / REST
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rests.is_empty()
    }

    /// From the bytes of a file; none where they are of another boot, for other pids, or damaged.
    pub fn parse(bytes: Vec<u8>, of: &StartsOf) -> Resting {
        Self::read(bytes, of).filter(Resting::is_sound).unwrap_or_default()
    }

    fn read(bytes: Vec<u8>, of: &StartsOf) -> Option<Resting> {
        let behind = bytes.strip_prefix(MAGIC)?.strip_prefix(head(of).as_bytes())?;
        let (mut at, end) = (bytes.len() - behind.len(), bytes.len() - COUNTS.min(behind.len()));
        let counts = bytes[end..].get(..COUNTS)?;
        let mut part = |number: usize, each: usize| {
            let size = usize::try_from(long(counts, number * 8)).ok()?.checked_mul(each)?;
            let part = at..at.checked_add(size).filter(|&behind| behind <= end)?;
            at = part.end;
            Some(part)
        };
        let (rests, rows, codes, names) = (part(0, REST)?, part(1, ROW)?, part(2, CODE)?, part(3, 1)?);
        let (started, last, most) = (long(counts, 32), short(counts, 40) as i32, short(counts, 44) as i32);
        let numbering = (most > 0).then_some(Numbering { last, started, most });
        (at == end).then_some(Resting { numbering, bytes, rests, rows, codes, names })
    }

    /// Whether the processes are in order, and no number leads out of it.
    fn is_sound(&self) -> bool {
        let (rows, codes) = (self.rows.len() / ROW, self.codes.len() / CODE);
        let mut end = 0;
        let is_in_turn = |(at, before): (usize, Option<u32>)| {
            let Some(rest) = self.rest(at) else { return false };
            let is_sound = rest.rows.start == end && rest.rows.start <= rest.rows.end && rest.rows.end <= rows;
            end = rest.rows.end;
            is_sound && before.is_none_or(|before| before < rest.pid)
        };
        let before = |at: usize| at.checked_sub(1).map(|before| short(self.part(&self.rests), before * REST));
        (0..self.len()).map(|at| (at, before(at))).all(is_in_turn) && (0..rows).all(|row| self.row(row) < codes)
    }
}

fn long(bytes: &[u8], at: usize) -> u64 {
    bytes[at..at + 8].try_into().map_or(0, u64::from_le_bytes)
}

fn short(bytes: &[u8], at: usize) -> u32 {
    bytes[at..at + 4].try_into().map_or(0, u32::from_le_bytes)
}

/// What one thread of a look notes down.
#[derive(Debug, Default)]
pub struct Notes {
    rests: Vec<Rest>,
    codes: Codes,
    rows: Vec<u16>,
    /// Where the lowest code is mapped of processes of which nothing was noted.
    others: Vec<(u64, u32)>,
    /// Pids of processes of which what an earlier look kept is kept further.
    confirmed: Vec<u32>,
}

impl Notes {
    /// A process that has nothing to fear. What it maps has to be read after its processor time was.
    pub fn add(&mut self, pid: i32, ran: NonZeroU64, address: u64, codes: impl Iterator<Item = Code>) {
        let Ok(pid) = u32::try_from(pid) else { return };
        let start = self.rows.len();
        for code in codes {
            let Some(row) = self.codes.number(code) else { return self.rows.truncate(start) };
            self.rows.push(row);
        }
        self.rests.push(Rest { pid, ran, seen: 0, address, rows: start..self.rows.len() });
    }

    /// A process that still is as it was kept.
    pub fn confirm(&mut self, pid: i32) {
        self.confirmed.extend(u32::try_from(pid).ok());
    }

    /// A process of which nothing is kept.
    pub fn pass(&mut self, pid: i32, address: u64) {
        self.others.extend(u32::try_from(pid).ok().map(|pid| (address, pid)));
    }

    /// Number of processes that were noted.
    pub fn len(&self) -> usize {
        self.rests.len()
    }

    /// Whether nothing was noted.
    pub fn is_empty(&self) -> bool {
        self.rests.is_empty()
    }
}

/// Codes, each once, by number.
#[derive(Debug, Default)]
struct Codes {
    list: Vec<Code>,
    index: HashMap<Code, u16, foldhash::fast::RandomState>,
}

impl Codes {
    /// The number of a code, which is a new one where it was not there; `None` where there are no more numbers.
    fn number(&mut self, code: Code) -> Option<u16> {
        if let Some(&row) = self.index.get(&code) {
            return Some(row);
        }
        let row = u16::try_from(self.list.len()).ok()?;
        self.list.push(code);
        self.index.insert(code, row);
        Some(row)
    }
}

/// Where a process that is kept is found: there may be many of them.
#[derive(Debug, Clone, Copy)]
struct Place {
    pid: u32,
    /// 0 for the earlier look, or that note's number and one.
    from: u32,
    /// Which one there.
    at: u32,
}

/// What is kept of an earlier look and of this one.
#[derive(Debug)]
pub struct Kept<'a> {
    earlier: &'a Resting,
    noted: &'a [Notes],
    numbering: Numbering,
    seen: u32,
    /// By pid.
    rests: Vec<Place>,
    codes: Codes,
    /// For each of where they are from, the numbers of its codes here.
    rows: Vec<Vec<Option<u16>>>,
}

impl<'a> Kept<'a> {
    /// Of this look, which is over now (`seen`) and began when the numbering stood there, and of an earlier one. Only
    /// processes are kept that share their memory with none: `compare` puts the memories of two in some order; `None`
    /// where the kernel does not say.
    pub fn of(
        earlier: &'a Resting,
        noted: &'a [Notes],
        (numbering, seen): (Numbering, u32),
        compare: impl Fn(u32, u32) -> Option<Ordering>,
    ) -> Kept<'a> {
        let mut confirmed: Vec<u32> = noted.iter().flat_map(|notes| notes.confirmed.iter().copied()).collect();
        confirmed.sort_unstable();
        let sizes = std::iter::once(earlier.codes.len() / CODE).chain(noted.iter().map(|notes| notes.codes.list.len()));
        let rows = sizes.map(|size| vec![None; size]).collect();
        let mut kept = Kept { earlier, noted, numbering, seen, rests: Vec::new(), codes: Codes::default(), rows };
        let place = |pid, from: usize, at: usize| Place { pid, from: from as u32, at: at as u32 };
        let earlier = earlier.rests().enumerate().map(|(at, rest)| place(rest.pid, 0, at));
        kept.rests.extend(earlier.filter(|place| confirmed.binary_search(&place.pid).is_ok()));
        for (number, notes) in noted.iter().enumerate() {
            let places = notes.rests.iter().enumerate().map(|(at, rest)| place(rest.pid, number + 1, at));
            kept.rests.extend(places);
        }
        let sharers = kept.sharers(compare);
        kept.rests.retain(|place| !sharers.contains(&place.pid));
        kept.rests.sort_unstable_by_key(|place| place.pid);
        kept.number();
        kept
    }

    /// Those that may have the same memory as another process. Who had it alone when nothing of it ran can only have been
    /// joined by what it started itself, so that those that stay need not be held against each other.
    fn sharers(&self, compare: impl Fn(u32, u32) -> Option<Ordering>) -> BTreeSet<u32> {
        let rests = self.rests.iter().filter_map(|&place| Some((self.rest(place)?.address, place.pid, place.from > 0)));
        let others =
            self.noted.iter().flat_map(|notes| notes.others.iter().map(|&(address, pid)| (address, pid, true)));
        let mut all: Vec<(u64, u32, bool)> = rests.chain(others).collect();
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

    /// Gives their codes numbers; whose codes get none are left out.
    fn number(&mut self) {
        let mut rests = std::mem::take(&mut self.rests);
        rests.retain(|place| {
            let rows: Vec<usize> = self.rows_of(*place).collect();
            rows.into_iter().all(|row| {
                if self.rows[place.from as usize][row].is_none() {
                    let code = self.code_of(*place, row);
                    self.rows[place.from as usize][row] = self.codes.number(code);
                }
                self.rows[place.from as usize][row].is_some()
            })
        });
        self.rests = rests;
    }

    fn notes(&self, place: Place) -> Option<&'a Notes> {
        self.noted.get(place.from.checked_sub(1)? as usize)
    }

    fn rest(&self, place: Place) -> Option<Rest> {
        match self.notes(place) {
            Some(notes) => notes.rests.get(place.at as usize).map(|rest| Rest { seen: self.seen, ..rest.clone() }),
            None => self.earlier.rest(place.at as usize),
        }
    }

    fn rows_of(&self, place: Place) -> impl Iterator<Item = usize> + 'a {
        let rows = self.rest(place).map(|rest| rest.rows).unwrap_or_default();
        let (earlier, notes) = (self.earlier, self.notes(place));
        rows.map(move |row| notes.map_or_else(|| earlier.row(row), |notes| usize::from(notes.rows[row])))
    }

    fn code_of(&self, place: Place, row: usize) -> Code {
        self.notes(place).map_or_else(|| self.earlier.code(row), |notes| notes.codes.list[row])
    }

    /// As the bytes of a file, piece by piece: all of them at a time would take as much memory again. `name` is that of
    /// a file.
    pub fn put<'n>(
        &self,
        of: &StartsOf,
        name: impl Fn(FileId) -> Option<Name<'n>>,
        mut put: impl FnMut(&[u8]) -> std::io::Result<()>,
    ) -> std::io::Result<()> {
        put(MAGIC)?;
        put(head(of).as_bytes())?;
        let mut rows = 0;
        for rest in self.rests.iter().filter_map(|&place| self.rest(place)) {
            rows += rest.rows.len();
            put(&(u64::from(rest.seen) << 32 | u64::from(rest.pid)).to_le_bytes())?;
            for number in [rest.ran.get(), rest.address, rows as u64] {
                put(&number.to_le_bytes())?;
            }
        }
        for &place in &self.rests {
            for row in self.rows_of(place) {
                put(&self.rows[place.from as usize][row].unwrap_or_default().to_le_bytes())?;
            }
        }
        let name = |code: &Code| name(code.id).unwrap_or_default();
        let mut names = 0;
        for code in &self.codes.list {
            names += name(code).len();
            for number in [code.id.dev, code.id.ino, code.reach, names as u64] {
                put(&number.to_le_bytes())?;
            }
        }
        self.codes.list.iter().try_for_each(|code| put(name(code)))?;
        for count in [self.rests.len(), rows, self.codes.list.len(), names] {
            put(&(count as u64).to_le_bytes())?;
        }
        put(&self.numbering.started.to_le_bytes())?;
        put(&self.numbering.last.to_le_bytes())?;
        put(&self.numbering.most.to_le_bytes())
    }
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

    /// What is kept, written and read again.
    fn merge(
        earlier: &Resting,
        noted: &[Notes],
        now: (Numbering, u32),
        compare: impl Fn(u32, u32) -> Option<Ordering>,
    ) -> Resting {
        Resting::parse(bytes(&Kept::of(earlier, noted, now, compare)), &here())
    }

    fn bytes(kept: &Kept<'_>) -> Vec<u8> {
        let mut bytes = Vec::new();
        kept.put(&here(), named, |piece| {
            bytes.extend_from_slice(piece);
            Ok(())
        })
        .unwrap();
        bytes
    }

    fn apart(a: u32, b: u32) -> Option<Ordering> {
        Some(a.cmp(&b))
    }

    fn named<'a>(id: FileId) -> Option<Name<'a>> {
        [None, Some(&b"/lib/three"[..]), None, Some(b"/lib/f")].get(id.ino as usize - 2).copied().flatten()
    }

    fn inodes(resting: &Resting, pid: i32, nanos: u64) -> Option<Vec<u64>> {
        let rest = resting.find(pid, ran(nanos))?;
        Some(resting.codes(&rest).map(|code| code.id.ino).collect())
    }

    #[test]
    fn what_was_written_is_read_again_and_only_here() {
        let noted = [notes(&[(9, 90, 0x2000, &[3, 4])]), notes(&[(7, 70, 0x1000, &[4, 5, 3])])];
        let earlier = Resting::default();
        let bytes = bytes(&Kept::of(&earlier, &noted, (BEGAN, 100), apart));
        let read = Resting::parse(bytes.clone(), &here());
        assert_eq!((read.numbering, read.len(), read.is_empty()), (Some(BEGAN), 2, false));
        assert_eq!(inodes(&read, 7, 70), Some(vec![4, 5, 3]));
        assert_eq!(inodes(&read, 9, 90), Some(vec![3, 4]));
        assert_eq!(read.codes(&read.find(9, ran(90)).unwrap()).next(), Some(code(3)));
        let names: Vec<_> = read.names(&read.find(7, ran(70)).unwrap()).collect();
        assert_eq!(names, [None, Some(&b"/lib/f"[..]), Some(b"/lib/three")]);
        assert_eq!(Resting::parse(bytes.clone(), &StartsOf { pids: 2, ..here() }), Resting::default());
        for end in 0..bytes.len() {
            assert_eq!(Resting::parse(bytes[..end].to_vec(), &here()), Resting::default(), "{end}");
        }
    }

    #[test]
    fn numbers_that_lead_out_of_the_file_are_no_panic() {
        let (earlier, noted) = (Resting::default(), [notes(&[(7, 70, 1, &[4]), (9, 90, 2, &[5])])]);
        let bytes = bytes(&Kept::of(&earlier, &noted, (BEGAN, 1), apart));
        let head = MAGIC.len() + head(&here()).len();
        for at in head..bytes.len() {
            for bent in [0, 1, 0x7f, 0xff] {
                let mut bytes = bytes.clone();
                bytes[at] = bent;
                let read = Resting::parse(bytes, &here());
                let pairs = |rest: Rest| read.codes(&rest).zip(read.names(&rest)).count();
                let codes: usize = read.rests().map(pairs).sum();
                assert!(codes <= 2, "{at} {bent}");
            }
        }
    }

    #[test]
    fn who_has_run_is_not_known_and_who_was_just_looked_at_not_for_sure() {
        let kept = merge(&Resting::default(), &[notes(&[(7, 70, 1, &[4])])], (BEGAN, 100), apart);
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
        );
        let mut now = notes(&[(5, 51, 2, &[6, 8])]);
        now.confirm(3);
        let kept = merge(&earlier, &[now], (BEGAN, 200), apart);
        assert_eq!((inodes(&kept, 3, 30), inodes(&kept, 5, 51)), (Some(vec![4]), Some(vec![6, 8])));
        assert_eq!((inodes(&kept, 5, 50), inodes(&kept, 7, 70)), (None, None));
        let seen: Vec<u32> = kept.rests().map(|rest| rest.seen).collect();
        assert_eq!(seen, [100, 200]);
    }

    #[test]
    fn nothing_is_kept_of_who_shares_its_memory_or_may() {
        let shares = |a: u32, b: u32| Some((a / 2).cmp(&(b / 2)));
        let mut now = notes(&[(2, 20, 1, &[4]), (4, 40, 1, &[4]), (8, 80, 9, &[4])]);
        // Of 3 there is something to say; it has the memory of 2, and neither that of 4 nor that of 8.
        now.pass(3, 1);
        let pids = |kept: &Resting| kept.rests().map(|rest| rest.pid).collect::<Vec<_>>();
        assert_eq!(pids(&merge(&Resting::default(), &[now], (BEGAN, 1), shares)), [4, 8]);
        let now = || notes(&[(2, 20, 1, &[4]), (4, 40, 1, &[4]), (8, 80, 9, &[4])]);
        assert_eq!(pids(&merge(&Resting::default(), &[now()], (BEGAN, 1), |_, _| None)), [8]);
        // Who stays was held against the others when it was new.
        let earlier = merge(&Resting::default(), &[now()], (BEGAN, 1), apart);
        let mut later = notes(&[(12, 120, 9, &[4])]);
        for pid in [2, 4, 8] {
            later.confirm(pid);
        }
        assert_eq!(pids(&merge(&earlier, &[later], (BEGAN, 1), |_, _| None)), [2, 4]);
    }

    #[test]
    fn a_process_with_more_files_than_can_be_numbered_is_left_out_whole() {
        let many: Vec<u64> = (1..=70_000).collect();
        let kept = merge(&Resting::default(), &[notes(&[(7, 70, 1, &many), (9, 90, 2, &[4])])], (BEGAN, 1), apart);
        assert_eq!((inodes(&kept, 7, 70), inodes(&kept, 9, 90)), (None, Some(vec![4])));
    }
}
