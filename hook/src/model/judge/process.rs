//! The verdict on one process, from the files it uses.

use super::aside::{Aside, Clue};
use super::standing::{Claimed, FileView, Standing};
use crate::model::file::{FileFacts, Stamp};
use crate::model::process::{Gap, ProcessSnapshot};
use crate::model::text;
use crate::model::verdict::{Cause, CauseKind, Certainty, Content, Method, Verdict};
use std::path::{Path, PathBuf};

/// How one process uses one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Use {
    /// Index of the file among all that were seen.
    pub file: u32,
    /// It is the program itself.
    pub is_program: bool,
    /// Some mapping of it is executable.
    pub execute: bool,
    /// Some mapping of it is shared and writable: the process writes to the file itself.
    pub writes: bool,
    /// Every mapping of it is shared: the process wants to see what others write.
    pub shared: bool,
    /// First byte of the file behind all that is mapped.
    pub reach: u64,
    /// The first mapping of it that was met: its first address, and the first one behind it.
    pub range: (u64, u64),
    /// What the process says about the name that it was loaded by: only asked for where another file
    /// may have taken the place.
    pub named: Named,
    /// The kernel still reads other bytes through the mapping than through the path: an overlayfs file
    /// of a lower layer that was written to.
    pub old_bytes: bool,
    /// What stands now where the process says that it loaded the file, if that is another file, and
    /// whether with another content: only asked for where the file was moved.
    pub elsewhere: Option<Box<(Aside, Content)>>,
}

/// Whether a process would load the file in the place again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Named {
    /// It does not say.
    Unsaid,
    /// It was loaded by the path that leads elsewhere now.
    SamePath,
    /// It was loaded by another path.
    OtherPath,
}

impl Use {
    /// A use of which only the first mapping is known, and that not by what may be done with it.
    pub fn of(file: u32, is_program: bool, range: (u64, u64)) -> Use {
        let (execute, writes, shared, reach, named) = (false, false, true, 0, Named::Unsaid);
        Use { file, is_program, execute, writes, shared, reach, range, named, old_bytes: false, elsewhere: None }
    }

    /// What the file is to the process.
    pub fn kind(&self) -> CauseKind {
        match (self.is_program, self.execute) {
            (true, _) => CauseKind::Executable,
            (false, true) => CauseKind::Library,
            (false, false) => CauseKind::Data,
        }
    }
}

/// A process to be judged.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// What is told of it.
    pub snapshot: ProcessSnapshot,
    /// When it started; `None` where that could not be read.
    pub started: Option<Stamp>,
    /// Files it uses.
    pub uses: Vec<Use>,
    /// Scripts that it reads and that were replaced since, found by the script rules.
    pub scripts: Vec<Cause>,
    /// The script that it reads, where sources that such a program may read were replaced since it started
    /// and nothing that was seen tells whether it did.
    pub script: Option<PathBuf>,
    /// Why it could not be looked at.
    pub gap: Option<Gap>,
}

/// A process with what is said of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerdictOf {
    /// The process.
    pub process: ProcessSnapshot,
    /// What is said.
    pub verdict: Verdict,
    /// Why, the worst first.
    pub causes: Vec<Cause>,
    /// For `unknown`: what could not be told.
    pub gap: Option<Doubt>,
    /// Files that were replaced by their own content.
    pub identical: usize,
}

/// Something that could not be told of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doubt {
    /// The file that it is about; `None`: the process.
    pub file: Option<PathBuf>,
    /// What, and why, in words.
    pub why: String,
}

impl VerdictOf {
    /// What could not be told, in words; empty where nothing was in doubt.
    pub fn doubt(&self) -> &str {
        self.gap.as_ref().map_or("", |gap| &gap.why)
    }
}

/// The clock tick of process start times: they are cut down to it (`USER_HZ`, always 100).
const START_TICK: Stamp = 10_000_000;
/// A new file is written for a while after its birth.
const FIRST_WRITING: Stamp = 10_000_000_000;
/// Mappings end at a page, files anywhere (4 KiB on every machine we run on, or a multiple of it).
const PAGE: u64 = 4096;

/// First byte behind the pages of a file of this size.
pub fn end_of_pages(size: u64) -> u64 {
    size.checked_next_multiple_of(PAGE).unwrap_or(u64::MAX)
}

/// What one file does to one process.
enum Effect {
    None,
    Identical,
    Cause(Cause),
    Doubt(Doubt),
}

/// Judges one process.
pub fn judge_process(candidate: &Candidate, files: &[FileView]) -> VerdictOf {
    let (mut causes, mut doubts, mut identical) = (candidate.scripts.clone(), Vec::new(), 0);
    for usage in &candidate.uses {
        match effect(usage, &files[usage.file as usize], candidate) {
            Effect::None => {}
            Effect::Identical => identical += 1,
            Effect::Cause(cause) => causes.push(cause),
            Effect::Doubt(doubt) => doubts.push(doubt),
        }
    }
    causes.sort_by(|a, b| (rank(b), &a.path).cmp(&(rank(a), &b.path)));
    causes.dedup_by(|a, b| a.path == b.path && a.kind == b.kind);
    let verdict = causes.iter().map(verdict_of).max().unwrap_or(Verdict::Fresh);
    let gap = candidate.gap.as_ref().map(|gap| Doubt { file: None, why: gap.to_string() });
    let gap = gap.or_else(|| doubts.into_iter().next());
    let verdict = match (&gap, verdict) {
        (Some(_), Verdict::Fresh) => Verdict::Unknown,
        (_, verdict) => verdict,
    };
    VerdictOf { process: candidate.snapshot.clone(), verdict, causes, gap, identical }
}

fn rank(cause: &Cause) -> (Verdict, CauseOrder) {
    (verdict_of(cause), CauseOrder(cause.kind))
}

/// Executables before libraries before scripts before data.
#[derive(PartialEq, Eq)]
struct CauseOrder(CauseKind);

impl CauseOrder {
    fn weight(&self) -> u8 {
        match self.0 {
            CauseKind::Executable => 3,
            CauseKind::Library => 2,
            CauseKind::Script => 1,
            CauseKind::Data => 0,
        }
    }
}

impl Ord for CauseOrder {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.weight().cmp(&other.weight())
    }
}

impl PartialOrd for CauseOrder {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// What one cause alone makes of a process. A replaced data file makes nobody stale.
fn verdict_of(cause: &Cause) -> Verdict {
    match (cause.method, cause.kind) {
        // A script is read, not mapped: its pages cannot change under the program.
        (_, CauseKind::Script) => Verdict::Stale,
        (Method::Overwritten, _) => Verdict::Tainted,
        (_, CauseKind::Data) => Verdict::Fresh,
        (_, CauseKind::Executable | CauseKind::Library) => Verdict::Stale,
    }
}

fn effect(usage: &Use, file: &FileView, candidate: &Candidate) -> Effect {
    let started = candidate.started;
    match &file.standing {
        Standing::NoFile => Effect::None,
        Standing::Hidden(_) if usage.kind() == CauseKind::Data => Effect::None,
        Standing::Hidden(why) => doubtful(file, ": ", why),
        Standing::Live(facts) => live(usage, file, facts, candidate),
        Standing::Gone => moved_aside(usage, file, started).unwrap_or_else(|| gone(usage, file, started)),
        Standing::Replaced { current, judged } => {
            let method = file.recorded.unwrap_or(judged.method);
            let cause = || cause(usage, file, file.sighting.path(), method, Some(current), judged.evidence.clone());
            match file.content {
                Content::Same => Effect::Identical,
                Content::Differs => cause(),
                Content::Unknown if usage.kind() == CauseKind::Data => cause(),
                // What is mapped reaches behind the end of the new file: it was a longer one.
                Content::Unknown if usage.reach > current.size.next_multiple_of(PAGE) => cause(),
                Content::Unknown => {
                    doubt(file, "is another file now, and whether with other content cannot be compared")
                }
            }
        }
        Standing::Covered => match usage.kind() {
            CauseKind::Data => Effect::None,
            CauseKind::Executable | CauseKind::Library | CauseKind::Script => {
                doubt(file, "is there, but its path does not lead to it: another file system is mounted over it, or its own is mounted no more")
            }
        },
    }
}

fn doubt(file: &FileView, why: &str) -> Effect {
    doubtful(file, " ", why)
}

fn doubtful(file: &FileView, between: &str, why: &str) -> Effect {
    let path = file.sighting.path();
    Effect::Doubt(Doubt { file: Some(path.clone()), why: format!("{}{between}{why}", text::escape_path(path)) })
}

fn cause(
    usage: &Use,
    file: &FileView,
    path: &Path,
    method: Method,
    current: Option<&FileFacts>,
    evidence: String,
) -> Effect {
    let content = match method {
        Method::Removed | Method::Overwritten => Content::Differs,
        _ => file.content,
    };
    Effect::Cause(Cause {
        path: PathBuf::from(path),
        kind: usage.kind(),
        method,
        content,
        package: file.package.clone(),
        mapped: Some(file.sighting.mapped.found().map_or(file.sighting.printed, |facts| facts.id)),
        current: current.map(|facts| facts.id),
        evidence,
        certainty: Certainty::Proven,
        root: file.sighting.path_root(),
        damage: None,
    })
}

/// The path names nothing. A package was removed, or the maker of a scratch file unlinked it.
fn gone(usage: &Use, file: &FileView, started: Option<Stamp>) -> Effect {
    let removed = |why: &str| cause(usage, file, file.sighting.path(), Method::Removed, None, why.to_owned());
    if file.known() {
        return removed("a package owned the path, and it names nothing any more");
    }
    // Without a package or a claim the facts say whether the process's own maker took it away.
    // A worker has its maker's scratch files from before it was forked.
    let started = started.map(|started| file.first_user.map_or(started, |first| first.min(started)));
    // Files are dated by a clock that may be a tick late.
    let born_after = |mapped: &FileFacts| Some(mapped.born? + START_TICK >= started?);
    let own = file.sighting.mapped.found().and_then(born_after).unwrap_or(false);
    let anybodys = file.sighting.in_scratch_folder;
    // A file that never had a name is printed as `#` and its inode number (open(2), O_TMPFILE).
    let nameless =
        file.sighting.path().file_name().is_some_and(|name| name == format!("#{}", file.sighting.printed.ino).as_str());
    if usage.kind() == CauseKind::Data || usage.writes || own || anybodys || nameless {
        return Effect::None;
    }
    if file.sighting.mapped.found().is_none() {
        return doubt(file, "is gone, and the mapped file may not be looked at: nobody knows whose it was");
    }
    removed("the path names nothing any more, and the file is older than the process")
}

/// Whether the path that leads elsewhere now is the one that this process would be started with.
fn is_meant(usage: &Use, aside: &Aside) -> bool {
    match usage.named {
        Named::SamePath => true,
        Named::OtherPath => false,
        Named::Unsaid => aside.clue == Clue::Recorded || (!usage.is_program && aside.clue.convicts_alone()),
    }
}

/// The path leads to the mapped inode, and that has no name any more: only a mount of just this file
/// still holds it.
fn nameless(usage: &Use, file: &FileView) -> Effect {
    if usage.kind() == CauseKind::Data {
        return Effect::None;
    }
    let evidence =
        "the mapped file has lost its last name; only a mount of just this file still leads to it".to_owned();
    cause(usage, file, file.sighting.path(), Method::Unknown, None, evidence)
}

/// The process says that it loaded the file by a path at which another file is now.
fn elsewhere(usage: &Use, file: &FileView, started: Option<Stamp>) -> Option<Effect> {
    let (aside, content) = usage.elsewhere.as_deref()?;
    if aside.since <= started? + START_TICK {
        return None;
    }
    Some(match content {
        Content::Same => Effect::Identical,
        Content::Differs | Content::Unknown => {
            let evidence = aside.clue.words().to_owned();
            let effect = cause(usage, file, &aside.path, Method::Unknown, Some(&aside.current), evidence);
            match effect {
                Effect::Cause(cause) => Effect::Cause(Cause { content: *content, ..cause }),
                other => other,
            }
        }
    })
}

const UNDATED: &str =
    "keeps whole seconds only: whether it was replaced before or after the process started cannot be told";

/// Another file took its place, though it was not deleted there: it has another name, or had one until that was
/// taken away too.
fn moved_aside(usage: &Use, file: &FileView, started: Option<Stamp>) -> Option<Effect> {
    let (aside, started) = (file.aside.as_ref()?, started?);
    let since = aside.since + aside.current.slack();
    if since <= started + START_TICK || usage.kind() == CauseKind::Data || !is_meant(usage, aside) {
        return None;
    }
    Some(match file.content {
        Content::Same => Effect::Identical,
        _ if aside.since <= started + START_TICK => doubt(file, &format!("was moved, and its file system {UNDATED}")),
        // How a file that keeps its inode lost its place is not for the times to tell.
        Content::Differs | Content::Unknown => {
            let evidence = aside.clue.words().to_owned();
            cause(usage, file, &aside.path, Method::Unknown, Some(&aside.current), evidence)
        }
    })
}

/// The path names the mapped inode: either all is well, or it was written to, or moved aside.
fn live(usage: &Use, file: &FileView, facts: &FileFacts, candidate: &Candidate) -> Effect {
    let started = candidate.started;
    if let Some(effect) = moved_aside(usage, file, started) {
        return effect;
    }
    if let Some(effect) = elsewhere(usage, file, started) {
        return effect;
    }
    if file.sighting.bound && facts.links == 0 {
        return nameless(usage, file);
    }
    let code = usage.execute || usage.is_program;
    let written =
        |evidence: String| cause(usage, file, file.sighting.path(), Method::Overwritten, Some(facts), evidence);
    if code && !usage.shared && usage.reach > end_of_pages(facts.size) {
        return written(format!("{} bytes are mapped of a file that has {} now", usage.reach, facts.size));
    }
    if usage.old_bytes {
        return written("the mapped bytes are not those of the file any more, though it is the same inode".to_owned());
    }
    // Who maps it shared and writes, or wants to see what others write, is not hurt by writing.
    if usage.writes || (!code && usage.shared) {
        return Effect::None;
    }
    let Some(started) = started.map(|started| started + START_TICK) else { return Effect::None };
    let (modified, changed) = (facts.modified > started, facts.changed > started);
    if !modified && !changed {
        let undatable = file.claimed == Claimed::File && facts.modified + facts.slack() > started;
        return match undatable && file.as_packaged != Some(true) {
            true => doubt(file, &format!("is claimed, and its file system {UNDATED}")),
            false => Effect::None,
        };
    }
    if file.rewritten.is_some_and(|written| written > started) {
        return written("the same inode has other bytes than when they were taken note of".to_owned());
    }
    // A file that is younger than the process was mapped when it was there: its first writing is
    // its birth, not an overwriting.
    let born_since = facts.born.is_some_and(|born| born > started);
    let modified = modified && facts.born.is_none_or(|born| born <= started || facts.modified > born + FIRST_WRITING);
    let doubt = |why: &str| doubt(file, &format!("was modified after the process started, and {why}"));
    match (file.as_packaged, &file.claimed) {
        (Some(true), _) => Effect::None,
        (Some(false), _) if !born_since => {
            written("changed since the process started, and the bytes are not those of the package".to_owned())
        }
        (None, Claimed::File) if modified && !born_since => written(
            "said to be replaced, the inode is the same, and it was modified after the process started".to_owned(),
        ),
        _ if code && modified && born_since => doubt("mapped before or after that, which cannot be told"),
        (None, _) if code && modified => doubt("no package says what it should be"),
        _ => Effect::None,
    }
}

/// Whether more must be asked about a file before a process that uses it can be judged: it is not
/// plainly what it was when the process started.
pub fn in_question(usage: &Use, file: &FileView, started: Option<Stamp>) -> bool {
    match &file.standing {
        Standing::NoFile => false,
        Standing::Hidden(_) | Standing::Gone | Standing::Covered | Standing::Replaced { .. } => true,
        Standing::Live(facts) => {
            let young = |started: Stamp| file.last_change(facts) > started;
            let code = usage.execute || usage.is_program;
            file.aside.is_some()
                || (code && file.sighting.bound && facts.links == 0)
                || (started.is_none_or(young) && (code || file.claimed == Claimed::File))
                || (code && usage.reach > end_of_pages(facts.size))
        }
    }
}
