//! What is kept on disk: pending claims, the memory since boot, the running plan, the last report.
//!
//! Every file is written whole beside its place and renamed over it, so that a reader or a crash
//! never sees half of one.

mod noted;

use super::files::{Links, Root};
use crate::model::answers::Answers;
use crate::model::file::FileFacts;
use crate::model::history::PastRun;
use crate::model::marks::Marks;
use crate::model::pending::{Memory, Pending, Side};
use crate::model::replace::Journal;
use anyhow::{bail, Context, Result};
use rustix::fs::{flock, FlockOperation, Mode, OFlags};
use serde::{de::DeserializeOwned, Serialize};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

pub use noted::Noted;
use noted::Put;

/// A pending file of a whole distribution upgrade is some 40 MB.
const MOST_READ: u64 = 256 << 20;
/// Past runs that are kept.
const MOST_RUNS: usize = 100;
/// And the bytes that they may take.
const MOST_HISTORY: u64 = 64 << 20;

/// The folders of one system.
#[derive(Debug, Clone)]
pub struct Store {
    run: PathBuf,
    lib: PathBuf,
}

/// Held while a run acts; only one at a time.
#[derive(Debug)]
pub struct RunLock(#[allow(dead_code)] File);

impl Store {
    /// The folders below `root`.
    pub fn below(root: &Path) -> Store {
        Store { run: root.join("run/reexec"), lib: root.join("var/lib/reexec") }
    }

    /// The folders of a user who is not root: for what he puts in place himself.
    pub fn of_user() -> Result<Store> {
        let at_home = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".local/state"));
        let state = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
        let state = state.or_else(at_home).context("neither XDG_STATE_HOME nor HOME says where state is kept")?;
        let own = state.join("reexec");
        Ok(Store { run: own.join("run"), lib: own })
    }

    fn pending_folder(&self) -> PathBuf {
        self.run.join("pending")
    }

    /// Where what cannot be acted on waits, so that it does not wake our own unit again and again.
    fn held_folder(&self) -> PathBuf {
        self.run.join("held")
    }

    /// Writes down what a trigger said.
    pub fn add_pending(&self, pending: &Pending) -> Result<PathBuf> {
        let folder = self.pending_folder();
        make_folder(&folder)?;
        let path = folder.join(format!("{:020}-{}.json", pending.time, std::process::id()));
        write_whole(&path, pending)?;
        Ok(path)
    }

    /// All that waits, oldest first; what cannot be read is told and left where it is.
    pub fn pending(&self) -> (Vec<(PathBuf, Pending)>, Vec<String>) {
        let (mut found, mut gaps) = (Vec::new(), Vec::new());
        for folder in [self.held_folder(), self.pending_folder()] {
            let Ok(entries) = fs::read_dir(&folder) else { continue };
            for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
                if path.extension().is_none_or(|extension| extension != "json") {
                    continue;
                }
                match read(&path) {
                    Ok(pending) => found.push((path, pending)),
                    Err(error) => gaps.push(format!("{error:#}")),
                }
            }
        }
        found.sort_by(|(a, _): &(PathBuf, Pending), (b, _)| a.file_name().cmp(&b.file_name()));
        (found, gaps)
    }

    /// The names of all that waits, without reading any of it.
    pub fn pending_files(&self) -> Vec<PathBuf> {
        let folders = [self.held_folder(), self.pending_folder()];
        let entries = folders.iter().filter_map(|folder| fs::read_dir(folder).ok()).flatten();
        let names = entries.filter_map(|entry| Some(entry.ok()?.path()));
        let mut names: Vec<PathBuf> = names.filter(|path| path.extension().is_some_and(|e| e == "json")).collect();
        names.sort();
        names
    }

    /// When the first of all that waits was written, in nanoseconds since 1970, by its name.
    pub fn first_pending_time(&self) -> Option<i128> {
        let time = |path: &PathBuf| path.file_name()?.to_str()?.split('-').next()?.parse().ok();
        self.pending_files().iter().filter_map(time).min()
    }

    /// When something was last remembered, in nanoseconds since 1970, without reading all of it.
    pub fn remembered_at(&self) -> Option<i128> {
        let modified = fs::metadata(self.memory_file()).and_then(|data| data.modified()).ok()?;
        let since = modified.duration_since(std::time::UNIX_EPOCH).ok()?;
        i128::try_from(since.as_nanos()).ok()
    }

    fn memory_file(&self) -> PathBuf {
        self.run.join("since-boot.json")
    }

    /// Puts aside what cannot be acted on now.
    pub fn hold(&self, paths: &[PathBuf]) -> Result<()> {
        make_folder(&self.held_folder())?;
        for path in paths {
            let Some(name) = path.file_name() else { continue };
            fs::rename(path, self.held_folder().join(name)).with_context(|| format!("hold {}", path.display()))?;
        }
        Ok(())
    }

    /// Moves every file of the inbox that is no pending one out of it, since it would wake us for ever.
    pub fn sweep(&self) {
        let Ok(entries) = fs::read_dir(self.pending_folder()) else { return };
        for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
            let old = path.metadata().and_then(|data| data.modified()).ok().and_then(|time| time.elapsed().ok());
            // Mostly all of it was just written, and need not be read for this.
            if old.is_none_or(|age| age <= Duration::from_secs(60)) {
                continue;
            }
            if path.extension().is_none_or(|extension| extension != "json") || read::<Pending>(&path).is_err() {
                let _ = self.hold(&[path]);
            }
        }
    }

    /// Forgets what was acted on.
    pub fn clear(&self, paths: &[PathBuf]) -> Result<()> {
        for path in paths {
            match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(error).with_context(|| format!("remove {}", path.display()));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// What was replaced since boot; nothing of another boot.
    pub fn memory(&self, boot_id: &str) -> Memory {
        let fresh = Memory { boot_id: boot_id.to_owned(), ..Memory::default() };
        read::<Memory>(&self.memory_file()).ok().filter(|memory| memory.boot_id == boot_id).unwrap_or(fresh)
    }

    /// Keeps what was replaced since boot.
    pub fn remember(&self, memory: &Memory) -> Result<()> {
        make_folder(&self.run)?;
        write_whole(&self.memory_file(), memory)
    }

    /// The files in use as the update service last took note of them, in this boot; nobody but root reads them.
    pub fn marks(&self, boot_id: &str) -> Option<Marks> {
        read::<Marks>(&self.marks_file()).ok().filter(|marks| marks.boot_id == boot_id)
    }

    /// Keeps them for the next look, and for every report until then.
    pub fn keep_marks(&self, marks: &Marks) -> Result<()> {
        make_folder(&self.run)?;
        write_over(&self.marks_file(), &serde_json::to_vec(marks)?)
    }

    fn marks_file(&self) -> PathBuf {
        self.run.join("marks.json")
    }

    /// What package databases answered before; nothing where another than root could have written it.
    pub fn answers(&self) -> Answers {
        let path = self.answers_file();
        let is_roots = |facts: &FileFacts| facts.uid == 0 && facts.mode & 0o022 == 0;
        match Root::Own.look(&path, Links::Keep).found().is_some_and(is_roots) {
            true => read(&path).unwrap_or_default(),
            false => Answers::default(),
        }
    }

    /// Keeps what package databases answered.
    pub fn keep_answers(&self, answers: &Answers) -> Result<()> {
        make_folder(&self.run)?;
        write_over(&self.answers_file(), &serde_json::to_vec(answers)?)
    }

    fn answers_file(&self) -> PathBuf {
        self.run.join("answers.json")
    }

    /// Owners whose users were told, and of which files; nothing of another boot.
    pub fn told(&self, boot_id: &str) -> BTreeSet<String> {
        let told: Option<(String, BTreeSet<String>)> = read(&self.run.join("told.json")).ok();
        told.filter(|(boot, _)| boot == boot_id).map(|(_, told)| told).unwrap_or_default()
    }

    /// Remembers that users were told.
    pub fn keep_told(&self, boot_id: &str, told: &BTreeSet<String>) -> Result<()> {
        make_folder(&self.run)?;
        write_whole(&self.run.join("told.json"), &(boot_id, told))
    }

    /// Writes down what waits for a run that is about to come, without waking our own unit.
    pub fn add_held(&self, pending: &Pending) -> Result<PathBuf> {
        let folder = self.held_folder();
        make_folder(&folder)?;
        let side = if pending.side == Side::Pre { "pre" } else { "post" };
        let path = folder.join(format!("{:020}-{}-{side}.json", pending.time, std::process::id()));
        write_whole(&path, pending)?;
        Ok(path)
    }

    /// Hands what was held over to our own unit, which waits until package managers are done.
    pub fn wake(&self, paths: &[PathBuf]) -> Result<()> {
        make_folder(&self.pending_folder())?;
        for path in paths {
            let Some(name) = path.file_name() else { continue };
            fs::rename(path, self.pending_folder().join(name))
                .with_context(|| format!("hand over {}", path.display()))?;
        }
        Ok(())
    }

    fn replacing_file(&self) -> PathBuf {
        self.lib.join("replacing.json")
    }

    /// Writes down what a replacement is about to do. It is on disk, with its name, when this returns.
    pub fn keep_replacing(&self, journal: &Journal) -> Result<()> {
        make_folder(&self.lib)?;
        write_whole(&self.replacing_file(), journal)?;
        self.sync_lib()
    }

    /// The replacement that was under way; `None` where none was.
    pub fn replacing(&self) -> Result<Option<Journal>> {
        match self.replacing_file().try_exists() {
            Ok(false) => Ok(None),
            _ => read(&self.replacing_file()).map(Some),
        }
    }

    /// It has ended.
    pub fn end_replacing(&self) -> Result<()> {
        self.clear(&[self.replacing_file()])?;
        self.sync_lib()
    }

    fn sync_lib(&self) -> Result<()> {
        File::open(&self.lib).and_then(|folder| folder.sync_all()).with_context(|| self.lib.display().to_string())
    }

    /// Waits until no other replacement is under way.
    pub fn lock_replacing(&self, deadline: Duration) -> Result<RunLock> {
        take_lock(&self.lib, "replacing.lock", deadline)
    }

    /// Waits for the run lock.
    pub fn lock(&self, deadline: Duration) -> Result<RunLock> {
        take_lock(&self.run, "lock", deadline)
    }

    /// Writes down what is about to be done, before it is done.
    pub fn begin<T: Serialize>(&self, plan: &T) -> Result<()> {
        make_folder(&self.run)?;
        write_whole(&self.run.join("running.json"), plan)
    }

    /// What a run that was killed was doing.
    pub fn begun<T: DeserializeOwned>(&self) -> Option<T> {
        read(&self.run.join("running.json")).ok()
    }

    /// It is done.
    pub fn end(&self) -> Result<()> {
        self.clear(&[self.run.join("running.json")])
    }

    /// Writes a file that others read, whole or not at all.
    pub fn publish(&self, path: &Path, bytes: &[u8]) -> Result<()> {
        let name = path.file_name().context("no name of a file")?.to_string_lossy();
        // Beside its place, under a name that no reader takes (the node exporter reads `*.prom`).
        let beside = path.with_file_name(format!(".{name}.{}", std::process::id()));
        let write = || -> Result<()> {
            let options = OpenOptionsExt::mode(&mut fs::OpenOptions::new(), 0o644)
                .write(true)
                .create_new(true)
                .custom_flags(OFlags::NOFOLLOW.bits() as i32)
                .open(&beside);
            options?.write_all(bytes)?;
            Ok(fs::rename(&beside, path)?)
        };
        let written = write().with_context(|| format!("write {}", path.display()));
        if written.is_err() {
            let _ = fs::remove_file(&beside);
        }
        written
    }

    /// The last run that acted; `None` where there was none, or its report cannot be read.
    pub fn last_run(&self) -> Option<PastRun> {
        read(&self.lib.join("last.json")).ok()
    }

    /// Its whole report, as it was written; null where no run has acted.
    pub fn last_report(&self) -> Result<serde_json::Value> {
        let path = self.lib.join("last.json");
        match path.try_exists() {
            Ok(false) => Ok(serde_json::Value::Null),
            _ => read(&path),
        }
    }

    /// Past runs, newest first, and what cannot be read of them.
    pub fn history(&self) -> Result<(Vec<PastRun>, Vec<String>)> {
        let folder = self.lib.join("history");
        let entries = match fs::read_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((Vec::new(), Vec::new())),
            entries => entries.with_context(|| format!("read {}", folder.display()))?,
        };
        let mut paths: Vec<PathBuf> = entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
            .collect();
        paths.sort();
        let (mut runs, mut gaps) = (Vec::new(), Vec::new());
        for path in paths.iter().rev() {
            match read(path) {
                Ok(run) => runs.push(run),
                Err(error) => gaps.push(format!("{error:#}")),
            }
        }
        Ok((runs, gaps))
    }

    /// Keeps the report of a run that acted: as the last one, and among the past ones.
    pub fn keep_report(&self, report: &serde_json::Value, time: i128) -> Result<()> {
        let history = self.lib.join("history");
        make_folder(&history)?;
        write_whole(&history.join(format!("{time:020}.json")), report)?;
        write_whole(&self.lib.join("last.json"), report)?;
        let mut runs: Vec<PathBuf> = fs::read_dir(&history)?.filter_map(|entry| Some(entry.ok()?.path())).collect();
        runs.sort();
        let (mut kept, mut bytes) = (0, 0);
        for path in runs.iter().rev() {
            bytes += path.metadata().map_or(0, |data| data.len());
            if kept == MOST_RUNS || (kept > 0 && bytes > MOST_HISTORY) {
                break;
            }
            kept += 1;
        }
        self.clear(&runs[..runs.len() - kept])
    }
}

fn take_lock(folder: &Path, name: &str, deadline: Duration) -> Result<RunLock> {
    make_folder(folder)?;
    let path = folder.join(name);
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let file =
        rustix::fs::open(&path, flags, Mode::RUSR | Mode::WUSR).with_context(|| format!("open {}", path.display()))?;
    let end = Instant::now() + deadline;
    while flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
        if Instant::now() > end {
            bail!("another run holds {} for {} s", path.display(), deadline.as_secs());
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(RunLock(file.into()))
}

/// What we keep names processes, users and paths: nobody else's business. `/run` and `/var/lib` are there.
fn make_folder(folder: &Path) -> Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .with_context(|| format!("make {}", folder.display()))
}

fn write_whole<T: Serialize>(path: &Path, value: &T) -> Result<()> {
    let beside = path.with_extension("new");
    let write = || -> Result<()> {
        let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
        file.write_all(&serde_json::to_vec(value)?)?;
        file.sync_all()?;
        fs::rename(&beside, path)?;
        Ok(())
    };
    let written = write().with_context(|| format!("write {}", path.display()));
    if written.is_err() {
        // Half of it is of no use, and a full disk has no room for it.
        let _ = fs::remove_file(&beside);
    }
    written
}

/// Writes what may be lost in a crash, under a name that no other process writes to meanwhile.
fn write_over(path: &Path, bytes: &[u8]) -> Result<()> {
    write_pieces(path, |put| put(bytes))
}

fn write_pieces(path: &Path, hand: impl FnOnce(&mut Put<'_>) -> io::Result<()>) -> Result<()> {
    let beside = path.with_extension(std::process::id().to_string());
    let write = || {
        let mut file = io::BufWriter::new(File::create(&beside)?);
        hand(&mut |piece| file.write_all(piece))?;
        file.flush()
    };
    let written = write().and_then(|()| fs::rename(&beside, path));
    written.inspect_err(|_| drop(fs::remove_file(&beside))).with_context(|| format!("write {}", path.display()))
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let bytes = super::input::file(path, MOST_READ).with_context(|| format!("read {}", path.display()))?;
    serde_json::from_slice(&bytes).with_context(|| format!("read {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn what_is_kept_is_its_owners_alone_also_where_no_package_made_the_folders() {
        let root = std::env::temp_dir().join(format!("reexec-state-{}", std::process::id()));
        for folder in ["run", "var/lib"] {
            fs::create_dir_all(root.join(folder)).unwrap();
        }
        let store = Store::below(&root);
        store.remember(&Memory::default()).unwrap();
        store.hold(&[]).unwrap();
        store.keep_report(&serde_json::Value::Null, 1).unwrap();
        let mode = |path: &str| fs::metadata(root.join(path)).unwrap().permissions().mode() & 0o7777;
        for folder in ["run/reexec", "run/reexec/held", "var/lib/reexec", "var/lib/reexec/history"] {
            assert_eq!(mode(folder), 0o700, "{folder}");
        }
        for file in ["run/reexec/since-boot.json", "var/lib/reexec/last.json"] {
            assert_eq!(mode(file), 0o600, "{file}");
        }
        fs::remove_dir_all(root).unwrap();
    }
}
