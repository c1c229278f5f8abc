//! Everything that is said to the admin, as values.

use super::claim::Package;
use super::file::Stamp;
use super::judge::VerdictOf;
use super::old::Way;
use super::owner::Owner;
use super::plan::{Decision, StepReport};
use super::reboot::Reboot;
use super::verdict::{words, Cause, Content, Method, PathRoot, Verdict};
use std::path::{Path, PathBuf};

words! {
    /// What looking again said of an owner.
    Proof {
        /// Nothing of it runs an old file, and it has stayed up.
        Fresh = "fresh",
        /// Some process of it still runs an old file.
        StillStale = "still-stale",
        /// Old processes are finishing their work.
        Draining = "draining",
        /// It was up before and is not now.
        Down = "down",
        /// It ended by itself, and its processes with it.
        Gone = "gone",
        /// It could not be looked at.
        Unknown = "unknown",
    }
}

words! {
    /// The report in one word.
    Overall {
        /// Nothing runs an old file.
        Fresh = "fresh",
        /// Nothing stale was found, but not everything could be looked at.
        Incomplete = "incomplete",
        /// Something is stale.
        Stale = "stale",
        /// A mapped file was overwritten in place.
        Tainted = "tainted",
    }
}

/// One replaced file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replacement {
    /// Its path.
    pub path: PathBuf,
    /// The package that owns it.
    pub package: Option<String>,
    /// How it was replaced.
    pub method: Method,
    /// Whether the content is another.
    pub content: Content,
    /// On what evidence.
    pub evidence: String,
}

/// Something that could not be looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GapRow {
    /// What.
    pub what: String,
    /// Why not.
    pub why: String,
}

/// The transaction in the report.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TransactionRow {
    /// The plugins that read the triggers.
    pub manager: String,
    /// Root of the system.
    pub root: PathBuf,
    /// Packages.
    pub packages: Vec<Package>,
    /// Number of claimed files.
    pub files: usize,
}

/// One owner of stale processes, with what is and was done about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnerRow {
    /// Whose.
    pub owner: Owner,
    /// Its processes that are not fresh.
    pub pids: Vec<i32>,
    /// The worst of their verdicts.
    pub verdict: Verdict,
    /// The old files that they ran when it was decided; each once.
    pub causes: Vec<Cause>,
    /// What the policy says.
    pub decision: Decision,
    /// What was done.
    pub steps: Vec<StepReport>,
    /// What looking again said; `None` where nothing was done.
    pub proof: Option<Proof>,
    /// Units that hang on it, were up before, and are not any more.
    pub fallen: Vec<String>,
}

impl OwnerRow {
    /// A row for a unit of which no process is left.
    pub fn of_unit(name: &str) -> OwnerRow {
        let owner = Owner { kind: super::owner::OwnerKind::Service, name: name.to_owned(), ..Owner::loose() };
        OwnerRow {
            owner,
            pids: Vec::new(),
            verdict: Verdict::Fresh,
            causes: Vec::new(),
            decision: Decision::default(),
            steps: Vec::new(),
            proof: None,
            fallen: Vec::new(),
        }
    }
}

/// Counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Summary {
    /// Processes looked at.
    pub scanned: usize,
    /// Those among them that have not run since an earlier look, and were not asked again what they map.
    pub resting: usize,
    /// Stale ones.
    pub stale: usize,
    /// Tainted ones.
    pub tainted: usize,
    /// Those that could not be told.
    pub unknown: usize,
    /// Mapped files that were replaced by their own content.
    pub identical: usize,
    /// How long it took, in milliseconds.
    pub millis: u64,
}

/// Everything that is said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// When it was made.
    pub time: Stamp,
    /// Kernel release.
    pub kernel: String,
    /// Boot id: numbers of processes and inodes mean something only in one boot.
    pub boot_id: String,
    /// What package managers said.
    pub transaction: Option<TransactionRow>,
    /// Files that were replaced.
    pub replacements: Vec<Replacement>,
    /// Processes; fresh ones only where asked for.
    pub processes: Vec<VerdictOf>,
    /// Owners of those that are not fresh.
    pub owners: Vec<OwnerRow>,
    /// What could not be looked at.
    pub gaps: Vec<GapRow>,
    /// Whether to reboot.
    pub reboot: Reboot,
    /// Counts.
    pub summary: Summary,
    /// How it was found out.
    pub way: Way,
}

impl Report {
    /// The report in one word: tainted beats stale beats incomplete beats fresh.
    pub fn overall(&self) -> Overall {
        let worst = self.processes.iter().map(|process| process.verdict).max().unwrap_or(Verdict::Fresh);
        match worst {
            Verdict::Tainted => Overall::Tainted,
            Verdict::Stale => Overall::Stale,
            Verdict::Unknown => Overall::Incomplete,
            Verdict::Fresh if self.gaps.is_empty() => Overall::Fresh,
            Verdict::Fresh => Overall::Incomplete,
        }
    }

    /// Keeps what concerns these files: processes that use one of them, and those of which it could not be
    /// told. The number of those that run other old files.
    pub fn narrow(&mut self, is_meant: impl Fn(&Path) -> bool) -> usize {
        let before = self.processes.iter().filter(|row| row.verdict >= Verdict::Stale).count();
        self.processes.retain_mut(|row| {
            let concerned = row.causes.iter().any(|cause| cause.root == PathRoot::Host && is_meant(&cause.path));
            let doubted = row.gap.as_ref().and_then(|gap| gap.file.as_deref());
            concerned || (row.verdict == Verdict::Unknown && doubted.is_none_or(&is_meant))
        });
        self.replacements.retain(|row| is_meant(&row.path));
        let count = |verdict| self.processes.iter().filter(|row| row.verdict == verdict).count();
        let (stale, tainted, unknown) = (count(Verdict::Stale), count(Verdict::Tainted), count(Verdict::Unknown));
        self.summary = Summary { stale, tainted, unknown, ..self.summary };
        before - stale - tainted
    }

    /// Exit code of a command that looks.
    pub fn exit_code(&self) -> u8 {
        match self.overall() {
            Overall::Fresh => 0,
            Overall::Stale => 1,
            Overall::Tainted => 3,
            Overall::Incomplete => 4,
        }
    }
}
