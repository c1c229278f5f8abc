//! When the processes of an earlier look started: the least that can be said of who has their pids now.
//!
//! A pid is given to another process only after its own one has ended, so whoever has it now started
//! no earlier than whoever had it then. That is all that most processes have to be asked for, and it
//! saves reading `/proc/PID/stat` of each at every look.

/// What the times count from, and for whom the pids are numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartsOf {
    /// Boot.
    pub boot_id: String,
    /// Number of our pid namespace.
    pub pids: u64,
    /// Number of our time namespace: start times are told with its offset (time_namespaces(7)).
    pub times: u64,
}

/// Start times by pid.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Starts {
    /// Pid and start time in clock ticks, by pid.
    rows: Vec<(u32, u64)>,
}

/// The form that the file has; another one is not read.
const MAGIC: &[u8] = b"reexec starts 1\n";
/// Bytes of a row: pid and ticks, each with its lowest byte first.
const ROW: usize = 12;

impl Starts {
    /// From pids and ticks in any order; of several for one pid the latest counts.
    pub fn of(mut rows: Vec<(u32, u64)>) -> Starts {
        rows.sort_unstable_by(|a, b| b.cmp(a));
        rows.dedup_by_key(|row| row.0);
        rows.reverse();
        Starts { rows }
    }

    /// Ticks before which the process that has this pid now did not start.
    pub fn not_before(&self, pid: i32) -> Option<u64> {
        let pid = u32::try_from(pid).ok()?;
        let at = self.rows.binary_search_by_key(&pid, |row| row.0).ok()?;
        Some(self.rows[at].1)
    }

    /// These and what was read since, of the processes that still are.
    pub fn with(&self, read: &[(i32, u64)], living: &[i32]) -> Starts {
        let mut living = living.to_vec();
        living.sort_unstable();
        let read = read.iter().filter_map(|&(pid, ticks)| Some((u32::try_from(pid).ok()?, ticks)));
        let rows = self.rows.iter().copied().chain(read);
        Starts::of(
            rows.filter(|row| i32::try_from(row.0).is_ok_and(|pid| living.binary_search(&pid).is_ok())).collect(),
        )
    }

    /// As bytes for a file.
    pub fn bytes(&self, of: &StartsOf) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(head(of).as_bytes());
        for (pid, ticks) in &self.rows {
            bytes.extend_from_slice(&pid.to_le_bytes());
            bytes.extend_from_slice(&ticks.to_le_bytes());
        }
        bytes
    }

    /// From the bytes of a file; none where they are of another boot, for other pids, or damaged.
    pub fn parse(bytes: &[u8], of: &StartsOf) -> Starts {
        let rest = bytes.strip_prefix(MAGIC).and_then(|rest| rest.strip_prefix(head(of).as_bytes()));
        let rows = rest.filter(|rest| rest.len().is_multiple_of(ROW)).unwrap_or_default().chunks_exact(ROW);
        let row = |row: &[u8]| {
            let (pid, ticks) = row.split_at(4);
            Some((u32::from_le_bytes(pid.try_into().ok()?), u64::from_le_bytes(ticks.try_into().ok()?)))
        };
        Starts::of(rows.filter_map(row).collect())
    }
}

/// For which boot and which pids a file of numbers is.
pub fn head(of: &StartsOf) -> String {
    format!("{} {} {}\n", of.boot_id, of.pids, of.times)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn here() -> StartsOf {
        StartsOf { boot_id: "boot".to_owned(), pids: 1, times: 2 }
    }

    #[test]
    fn what_was_written_is_read_again_and_only_here() {
        let starts = Starts::of(vec![(7, 70), (3, 30), (7, 90)]);
        assert_eq!((starts.not_before(3), starts.not_before(7), starts.not_before(4)), (Some(30), Some(90), None));
        let bytes = starts.bytes(&here());
        assert_eq!(Starts::parse(&bytes, &here()), starts);
        for other in [
            StartsOf { boot_id: "another".to_owned(), ..here() },
            StartsOf { pids: 2, ..here() },
            StartsOf { times: 1, ..here() },
        ] {
            assert_eq!(Starts::parse(&bytes, &other), Starts::default());
        }
        for end in 0..bytes.len() - ROW {
            assert!(Starts::parse(&bytes[..end], &here()).not_before(7).is_none(), "{end}");
        }
    }

    #[test]
    fn who_ended_is_forgotten_and_a_pid_given_again_counts_from_its_new_process() {
        let starts = Starts::of(vec![(3, 30), (7, 70)]).with(&[(7, 99), (9, 90)], &[7, 9, 11]);
        assert_eq!(starts, Starts::of(vec![(7, 99), (9, 90)]));
        assert_eq!(starts.not_before(-1), None);
    }
}
