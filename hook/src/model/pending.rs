//! What triggers have said and nobody has acted on yet, and what is remembered since boot.

use super::claim::{Claim, Package};
use super::file::FileFacts;
use super::judge::{Numbering, Window};
use super::text;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Which side of the transaction a trigger came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// Before the files are replaced.
    Pre,
    /// After.
    Post,
}

/// A file as it was before a transaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Its path, with links in its folders resolved.
    #[serde(with = "text::printed")]
    pub path: PathBuf,
    /// What it was.
    pub facts: FileFacts,
    /// Its file handle: type and bytes in hexadecimal; `None` where the file system gives none.
    pub handle: Option<(i32, String)>,
    /// SHA-256 of its bytes in hexadecimal, of a text: what an interpreter read is held by nobody, so
    /// that afterwards only this tells whether it was another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Build-id in hexadecimal, of what was taken note of before it could be written to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build_id: Option<String>,
    /// When it was taken, in nanoseconds since 1970: its path named it then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken: Option<i128>,
}

impl Snapshot {
    /// Of what stands at a path, without its handle and its content.
    pub fn of(path: PathBuf, facts: FileFacts) -> Snapshot {
        Snapshot { path, facts, handle: None, digest: None, build_id: None, taken: None }
    }
}

/// One call of a trigger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    /// Boot in which it came; in another one nothing of it matters.
    pub boot_id: String,
    /// When it came, in nanoseconds since 1970.
    pub time: i128,
    /// Which side.
    pub side: Side,
    /// The plugin that read it.
    pub manager: String,
    /// Root of the system.
    #[serde(with = "text::printed")]
    pub root: PathBuf,
    /// Packages.
    pub packages: Vec<Package>,
    /// Files and trees.
    pub claims: Vec<Claim>,
    /// Files as they were; of a `pre` trigger.
    pub snapshots: Vec<Snapshot>,
    /// The cgroup of whoever called, in printed form.
    pub caller: String,
    /// The cgroups of what the caller's terminal hangs on: a terminal emulator, `tmux`.
    #[serde(default)]
    pub hangs_on: Vec<String>,
    /// Where the numbering of processes stood.
    #[serde(default)]
    pub numbering: Option<Numbering>,
    /// What could not be read of it.
    pub gaps: Vec<String>,
    /// Whether the admin was told of it.
    #[serde(default)]
    pub told: bool,
}

impl Pending {
    /// One that says nothing yet.
    pub fn new(boot_id: &str, time: i128, side: Side, manager: &str, root: &Path) -> Pending {
        Pending {
            boot_id: boot_id.to_owned(),
            time,
            side,
            manager: manager.to_owned(),
            root: root.to_owned(),
            packages: Vec::new(),
            claims: Vec::new(),
            snapshots: Vec::new(),
            caller: String::new(),
            hangs_on: Vec::new(),
            numbering: None,
            gaps: Vec::new(),
            told: false,
        }
    }

    /// Nothing that was replaced: it only wakes the next run, which has something to prove.
    pub fn reminder(boot_id: &str, root: &Path, time: i128) -> Pending {
        Pending { told: true, ..Pending::new(boot_id, time, Side::Post, "", root) }
    }

    /// What was replaced on the running system between two moments, as a package manager would say it before
    /// and after a transaction.
    pub fn around(
        boot_id: &str,
        manager: &str,
        (begun, ended): (i128, i128),
        claims: Vec<Claim>,
        snapshots: Vec<Snapshot>,
    ) -> [Pending; 2] {
        let of = |side, time| Pending::new(boot_id, time, side, manager, Path::new("/"));
        let pre = Pending { claims: claims.clone(), snapshots, told: true, ..of(Side::Pre, begun) };
        [pre, Pending { claims, told: true, ..of(Side::Post, ended) }]
    }

    /// Whether it adds nothing to what another call of the same transaction has told the admin.
    pub fn adds_nothing(&self, waiting: &[Pending]) -> bool {
        let empty = self.packages.is_empty() && self.claims.is_empty() && self.gaps.is_empty();
        empty && waiting.iter().any(|one| one.told && (&one.manager, &one.root) == (&self.manager, &self.root))
    }

    /// Whether another call said just the same, as when a caller runs each of its hooks twice.
    pub fn repeats(&self, other: &Pending) -> bool {
        self.side == other.side
            && self.boot_id == other.boot_id
            && (&self.manager, &self.root) == (&other.manager, &other.root)
            && (&self.packages, &self.claims, &self.gaps) == (&other.packages, &other.claims, &other.gaps)
    }
}

/// All that came since boot and was acted on, bounded.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// The boot it belongs to.
    pub boot_id: String,
    /// Packages, the last version last.
    pub packages: Vec<Package>,
    /// Claimed files.
    pub claims: Vec<Claim>,
    /// Files as they were, oldest first.
    pub snapshots: Vec<Snapshot>,
    /// When it was last added to, in nanoseconds since 1970.
    pub time: i128,
    /// Whether the last look at the processes left some that run old files.
    #[serde(default)]
    pub leftovers: bool,
    /// When transactions were replacing files, of those in which processes were started that are left and
    /// not fresh.
    #[serde(default)]
    pub windows: Vec<Window>,
}

/// As many files as five whole distributions upgrades touch; older ones are forgotten first.
const MOST_REMEMBERED: usize = 200_000;

impl Memory {
    /// Adds what was acted on.
    pub fn add(&mut self, pending: &[Pending], claims: &[Claim], time: i128) {
        merge_packages(&mut self.packages, pending.iter().flat_map(|one| &one.packages));
        let new: std::collections::HashSet<&Claim> = claims.iter().collect();
        self.claims.retain(|claim| !new.contains(claim));
        self.claims.extend(claims.iter().cloned());
        self.snapshots.extend(pending.iter().flat_map(|one| one.snapshots.clone()));
        self.claims.drain(..self.claims.len().saturating_sub(MOST_REMEMBERED));
        self.snapshots.drain(..self.snapshots.len().saturating_sub(MOST_REMEMBERED));
        self.time = time;
    }
}

/// One row a package: from the oldest version that anybody named to the newest.
pub fn merge_packages<'a>(into: &mut Vec<Package>, packages: impl IntoIterator<Item = &'a Package>) {
    let mut index: HashMap<String, usize> =
        into.iter().enumerate().map(|(index, package)| (package.name.clone(), index)).collect();
    for package in packages {
        match index.get(&package.name) {
            Some(&at) => {
                let row = &mut into[at];
                row.old = row.old.take().or_else(|| package.old.clone());
                row.new = package.new.clone().or_else(|| row.new.take());
            }
            None => {
                index.insert(package.name.clone(), into.len());
                into.push(package.clone());
            }
        }
    }
}

/// Where rows since boot hide what the last transaction did: it removed a package that an earlier one
/// had upgraded, or went back to the version of before.
pub fn settle_packages(rows: &mut [Package], last: &[Package]) {
    let by_name: HashMap<&str, &Package> = last.iter().map(|package| (package.name.as_str(), package)).collect();
    for row in rows {
        let Some(last) = by_name.get(row.name.as_str()) else { continue };
        if last.new.is_none() && last.old.is_some() {
            row.new = None;
        }
        if row.old == row.new && last.old.is_some() {
            row.old = last.old.clone();
        }
    }
}

/// Files as they were before each transaction since boot: which inode followed on which.
#[derive(Debug, Default)]
pub struct Lineage<'a>(HashMap<&'a Path, Vec<&'a FileFacts>>);

impl<'a> Lineage<'a> {
    /// From snapshots in the order they were taken.
    pub fn of(snapshots: impl IntoIterator<Item = &'a Snapshot>) -> Lineage<'a> {
        let mut by_path: HashMap<&Path, Vec<&FileFacts>> = HashMap::new();
        for snapshot in snapshots {
            let line = by_path.entry(&snapshot.path).or_default();
            if line.last().is_none_or(|last| (last.id, last.born) != (snapshot.facts.id, snapshot.facts.born)) {
                line.push(&snapshot.facts);
            }
        }
        Lineage(by_path)
    }

    /// The file that took the path right after `old`; `None` where none of the snapshots is of it, and
    /// then it is the one that stands there now.
    pub fn successor(&self, path: &Path, old: &FileFacts) -> Option<&'a FileFacts> {
        let line = self.0.get(path)?;
        // The last one: where a file system keeps no birth times and gives a freed number out again, earlier
        // ones with this number are other files. That of a mapped file is not free.
        let at = line.iter().rposition(|facts| (facts.id, facts.born) == (old.id, old.born))?;
        line.get(at + 1).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, old: Option<&str>, new: Option<&str>) -> Package {
        Package { name: name.into(), old: old.map(str::to_owned), new: new.map(str::to_owned) }
    }

    fn snapshot(ino: u64) -> Snapshot {
        Snapshot::of(PathBuf::from("/l"), FileFacts::regular(ino))
    }

    #[test]
    fn a_package_upgraded_twice_goes_from_the_first_version_to_the_last() {
        let mut rows = Vec::new();
        merge_packages(&mut rows, &[package("a", Some("1"), Some("2")), package("b", None, Some("1"))]);
        merge_packages(&mut rows, &[package("a", Some("2"), Some("3")), package("b", Some("1"), None)]);
        assert_eq!(rows, [package("a", Some("1"), Some("3")), package("b", Some("1"), Some("1"))]);
    }

    #[test]
    fn a_number_that_was_given_out_again_is_another_file() {
        // ext4 gives a new file the number of the one that was just removed; only its birth differs.
        let born = |mut one: Snapshot, born: Option<i128>| {
            one.facts.born = born;
            one
        };
        let all = [born(snapshot(1), Some(10)), born(snapshot(1), Some(20)), born(snapshot(2), Some(30))];
        let lineage = Lineage::of(&all);
        assert_eq!(lineage.successor(Path::new("/l"), &all[0].facts), Some(&all[1].facts));
        assert_eq!(lineage.successor(Path::new("/l"), &all[1].facts), Some(&all[2].facts));
        // With 128 bytes an inode it keeps no birth times either.
        let all = [1, 2, 1, 3].map(|ino| born(snapshot(ino), None));
        assert_eq!(Lineage::of(&all).successor(Path::new("/l"), &all[2].facts), Some(&all[3].facts));
    }

    #[test]
    fn what_the_last_transaction_did_is_not_hidden_by_earlier_ones() {
        for (last, expected) in [
            (package("a", Some("2"), Some("1")), package("a", Some("2"), Some("1"))),
            (package("a", Some("2"), None), package("a", Some("1"), None)),
            (package("a", Some("2"), Some("3")), package("a", Some("1"), Some("3"))),
            (package("a", None, None), package("a", Some("1"), Some("2"))),
        ] {
            let mut rows = vec![package("a", Some("1"), Some("2"))];
            merge_packages(&mut rows, [&last]);
            settle_packages(&mut rows, &[last]);
            assert_eq!(rows, [expected]);
        }
    }

    #[test]
    fn of_several_upgrades_in_a_row_the_next_file_counts_and_not_the_last() {
        let all = [snapshot(1), snapshot(2), snapshot(2), snapshot(3)];
        let lineage = Lineage::of(&all);
        assert_eq!(lineage.successor(Path::new("/l"), &all[0].facts), Some(&all[1].facts));
        assert_eq!(lineage.successor(Path::new("/l"), &all[3].facts), None);
        assert_eq!(lineage.successor(Path::new("/x"), &all[0].facts), None);
    }
}
