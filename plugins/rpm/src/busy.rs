//! Is rpm, dnf or zypp at work, or was a transaction stopped half-way?

use crate::database::{self, Database, FOLDERS};
use crate::header::Header;
use reexec_plugin_abi::rust::{Sink, State};
use reexec_plugin_paths::{shown, Folders};
use rustix::process::{fcntl_getlk, Flock, FlockType};
use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Files that are locked (POSIX, the whole file) for as long as a transaction lasts, beside rpm's
/// own. That one of them exists says nothing: rpm never removes its own.
const LOCKS: [(&[u8], &str); 2] =
    [(b"/run/dnf/rpmtransaction.lock", "dnf5"), (b"/var/lib/dnf/system-repo.lock", "dnf5")];
/// Files that hold the number of the process that is at work: dnf4 removes its own, zypp empties it.
const PIDS: [(&[u8], &str); 3] =
    [(b"/var/lib/dnf/rpmdb_lock.pid", "dnf"), (b"/run/zypp.pid", "zypp"), (b"/var/run/zypp.pid", "zypp")];
/// Longest content of such a file: a number and a line break.
const MAX_PID: u64 = 32;
/// In which clock ticks `/proc` counts: `USER_HZ`, the same on every architecture that rpm knows.
const TICKS: u64 = 100;
/// The start of a process is known to a tick only, that of the machine to a second.
const SLACK_SECONDS: u64 = 2;
/// Most packages that a message names.
const MAX_NAMED: usize = 10;

/// Whether packages are being changed.
pub fn busy(root: &Path, sink: &mut Sink<'_>) -> Result<State, String> {
    let mut folders = Folders::below(root);
    if let Some(held) = held(&mut folders)? {
        sink.message(&held);
        return Ok(State::Busy);
    }
    let twice = database::read(&mut folders, |database, _| twice(database))?.unwrap_or_default();
    if twice.is_empty() {
        return Ok(State::Idle);
    }
    // A run that began after the first look explains what the second one saw.
    if let Some(held) = held(&mut folders)? {
        sink.message(&held);
        return Ok(State::Busy);
    }
    let more = twice.len().saturating_sub(MAX_NAMED);
    twice.iter().take(MAX_NAMED).for_each(|line| sink.message(line));
    if more > 0 {
        sink.message(&format!("and {more} more"));
    }
    Ok(State::Interrupted)
}

/// Who holds a lock, if anybody does.
fn held(folders: &mut Folders) -> Result<Option<String>, String> {
    let own = FOLDERS.map(|folder| ([folder, b"/.rpm.lock"].concat(), "rpm"));
    let others = LOCKS.map(|(path, who)| (path.to_vec(), who));
    for (path, who) in own.iter().chain(&others) {
        let path = folders.resolve(path);
        let outside = folders.outside(&path);
        let Some(file) = open(&outside)? else { continue };
        // Asking for a write lock does not need a descriptor that can write.
        let lock = fcntl_getlk(&file, &Flock::from(FlockType::WriteLock))
            .map_err(|errno| format!("{}: {errno}", outside.display()))?;
        if let Some(lock) = lock {
            let by = lock.pid.map_or(String::new(), |pid| format!(", process {pid}"));
            return Ok(Some(format!("{} is held by {who}{by}", outside.display())));
        }
    }
    for (path, who) in PIDS {
        let path = folders.resolve(path);
        let outside = folders.outside(&path);
        let Some(file) = open(&outside)? else { continue };
        if let Some(pid) = living(file) {
            return Ok(Some(format!("{} names {who}, process {pid}", outside.display())));
        }
    }
    Ok(None)
}

fn open(path: &Path) -> Result<Option<File>, String> {
    match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(format!("{}: {error}", path.display())),
    }
}

/// The process whose number is in the file, if it was there before the file was written: later ones
/// have got a number that was free again.
fn living(file: File) -> Option<u32> {
    let written = u64::try_from(file.metadata().ok()?.mtime()).ok()?;
    let mut text = String::new();
    file.take(MAX_PID).read_to_string(&mut text).ok()?;
    let pid: u32 = text.trim().parse().ok()?;
    let started = started(pid)?;
    (started <= written + SLACK_SECONDS).then_some(pid)
}

/// When a process was started, in seconds since 1970 (proc_pid_stat(5), field 22).
fn started(pid: u32) -> Option<u64> {
    let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
    let behind_name = stat.iter().rposition(|byte| *byte == b')')? + 2;
    let ticks = stat.get(behind_name..)?.split(|byte| *byte == b' ').nth(19)?;
    let ticks: u64 = std::str::from_utf8(ticks).ok()?.parse().ok()?;
    let boot = fs::read_to_string("/proc/stat").ok()?;
    let boot: u64 = boot.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()?;
    Some(boot + ticks / TICKS)
}

/// Packages of which two versions are in the database that cannot both be installed, since they
/// claim one path with different contents: rpm was killed between the new one and the old one.
/// (Kernels stand there in several versions by right, each with paths of its own.)
fn twice(database: &Database) -> Result<Vec<String>, String> {
    let mut lines = Vec::new();
    let mut earlier: HashMap<Vec<u8>, Version> = HashMap::new();
    for number in database.with_equal_names()? {
        let version = database.header(number, Version::of)?.filter(|version| !version.files.is_empty());
        let Some(version) = version else { continue };
        if let Some(old) = earlier.get(&version.name).filter(|old| old.contradicts(&version)) {
            let (name, old, new) = (shown(&version.name), shown(&old.version), shown(&version.version));
            lines.push(format!("{name}: {old} and {new} are both in the database"));
        }
        earlier.insert(version.name.clone(), version);
    }
    Ok(lines)
}

/// One of several packages with one name.
struct Version {
    name: Vec<u8>,
    version: Vec<u8>,
    /// The digest of each file that has one.
    files: HashMap<Vec<u8>, Vec<u8>>,
}

impl Version {
    fn of(header: Header<'_>) -> Version {
        let list = header.files();
        let digests: Vec<&[u8]> = list.digests().collect();
        let with_digest = |(index, path): (usize, Vec<u8>)| {
            let digest = digests.get(index).filter(|digest| !digest.is_empty())?;
            Some((path, digest.to_vec()))
        };
        Version {
            name: [header.name(), b".", header.architecture()].concat(),
            version: header.version(),
            files: list.paths().filter_map(with_digest).collect(),
        }
    }

    fn contradicts(&self, other: &Version) -> bool {
        self.files.iter().any(|(path, digest)| other.files.get(path).is_some_and(|other| other != digest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{bare, file, package, with, Package};
    use reexec_plugin_abi::rust::{Recorder, Said};
    use reexec_plugin_paths::trial::{while_locked, TestRoot};

    fn ask(root: &TestRoot) -> (State, Vec<String>) {
        let (said, state) = Recorder::listen(|sink| busy(root.path(), sink)).expect("an answer");
        let lines = said.into_iter().map(|said| match said {
            Said::Message(line) => line,
            other => panic!("{other:?}"),
        });
        (state, lines.collect())
    }

    #[test]
    fn locks_that_nobody_holds_and_numbers_of_nobody_are_idle() {
        let root = with(&[]);
        for path in
            ["var/lib/rpm/.rpm.lock", "run/dnf/rpmtransaction.lock", "var/lib/dnf/system-repo.lock", "run/zypp.pid"]
        {
            root.write(path, b"");
        }
        for text in ["", "x", "0", "4194305", "-1", "99999999999999999999"] {
            root.write("var/lib/dnf/rpmdb_lock.pid", text.as_bytes());
            assert_eq!(ask(&root), (State::Idle, vec![]), "{text}");
        }
        // The number of a process that is younger than the file is a reused one.
        let file = root.write("run/zypp.pid", std::process::id().to_string().as_bytes());
        let old = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1000);
        std::fs::File::options().write(true).open(file).expect("open").set_modified(old).expect("set");
        assert_eq!(ask(&root), (State::Idle, vec![]));
        assert_eq!(ask(&bare()), (State::Idle, vec![]), "no rpm at all");
    }

    #[test]
    fn a_living_process_whose_number_is_written_down_is_busy() {
        for (path, who) in [("run/zypp.pid", "zypp"), ("var/lib/dnf/rpmdb_lock.pid", "dnf")] {
            let root = with(&[]);
            let file = root.write(path, format!("{}\n", std::process::id()).as_bytes());
            let line = format!("{} names {who}, process {}", file.display(), std::process::id());
            assert_eq!(ask(&root), (State::Busy, vec![line]));
        }
    }

    #[test]
    fn a_held_lock_is_busy_whatever_stands_in_the_database() {
        let paths = [
            "usr/lib/sysimage/rpm/.rpm.lock",
            "var/lib/rpm/.rpm.lock",
            "run/dnf/rpmtransaction.lock",
            "var/lib/dnf/system-repo.lock",
        ];
        for path in paths {
            let root = with(&twice());
            let path = root.write(path, b"");
            let ((state, lines), holder) = while_locked(&path, || ask(&root));
            assert_eq!(state, State::Busy);
            let line = lines.join("\n");
            assert!(line.starts_with(&path.display().to_string()), "{line}");
            assert!(line.ends_with(&format!("process {}", holder)), "{line}");
        }
    }

    /// What a transaction leaves that is killed between the new version and the old one.
    fn twice() -> [Package; 2] {
        [
            package("libx", "1-1", 1, &[file("/usr/lib/libx.so.1", "aa"), file("/etc/x", "cc")]),
            package("libx", "2-1", 2, &[file("/usr/lib/libx.so.1", "bb"), file("/etc/x", "cc")]),
        ]
    }

    #[test]
    fn two_versions_that_cannot_both_be_there_are_a_transaction_left_half_way() {
        let line = "libx.ARCH: 1-1 and 2-1 are both in the database".replace("ARCH", std::env::consts::ARCH);
        assert_eq!(ask(&with(&twice())), (State::Interrupted, vec![line]));
        let mut foreign = package("libx", "2-1", 2, &[file("/usr/lib/libx.so.1", "bb")]);
        foreign.architecture = "sparc";
        let kernels = [
            package(
                "kernel",
                "5-1",
                1,
                &[file("/usr/lib/modules/5/x", "aa"), file("/usr/share/licenses/kernel", "ll")],
            ),
            package(
                "kernel",
                "6-1",
                2,
                &[file("/usr/lib/modules/6/x", "bb"), file("/usr/share/licenses/kernel", "ll")],
            ),
            package("libx", "1-1", 2, &[file("/usr/lib/libx.so.1", "aa")]),
            foreign,
        ];
        assert_eq!(ask(&with(&kernels)), (State::Idle, vec![]));
    }
}
