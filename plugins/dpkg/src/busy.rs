//! Is dpkg or apt at work, or was it stopped half-way?

use crate::database::{full_name, updates, Database};
use crate::status::{Kept, Status};
use reexec_plugin_abi::rust::{Sink, State};
use reexec_plugin_paths::{shown, Folders};
use rustix::process::{fcntl_getlk, Flock, FlockType};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::ErrorKind;
use std::path::Path;

/// The locks, and who holds them: apt and other front ends hold theirs during the whole run, dpkg
/// its own while it works.
const LOCKS: [(&str, &str); 2] = [("lock-frontend", "apt or another front end"), ("lock", "dpkg")];
/// The states that a finished run leaves no package in.
const UNFINISHED: [&[u8]; 5] =
    [b"half-installed", b"unpacked", b"half-configured", b"triggers-awaited", b"triggers-pending"];
/// Most packages that a message names.
const MAX_NAMED: usize = 10;

/// Whether packages are being changed.
pub fn busy(root: &Path, sink: &mut Sink<'_>) -> Result<State, String> {
    let mut folders = Folders::below(root);
    let database = Database::open(&mut folders, Kept::least())?;
    if let Some(held) = held(database.admin())? {
        sink.message(&held);
        return Ok(State::Busy);
    }
    let mut unfinished = unfinished(database.status());
    let left = updates(database.admin()).len();
    if left > 0 {
        unfinished.push(format!("{left} changes wait in {}/updates", database.admin().display()));
    }
    if unfinished.is_empty() {
        return Ok(State::Idle);
    }
    // A run that began after the first look explains what the second one saw.
    if let Some(held) = held(database.admin())? {
        sink.message(&held);
        return Ok(State::Busy);
    }
    for line in unfinished {
        sink.message(&line);
    }
    Ok(State::Interrupted)
}

/// Who holds a lock, if anybody does.
fn held(admin: &Path) -> Result<Option<String>, String> {
    for (name, who) in LOCKS {
        let path = admin.join(name);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => return Err(format!("{}: {error}", path.display())),
        };
        // Asking for a write lock does not need a descriptor that can write.
        let lock = fcntl_getlk(&file, &Flock::from(FlockType::WriteLock))
            .map_err(|errno| format!("{}: {errno}", path.display()))?;
        if let Some(lock) = lock {
            let by = lock.pid.map_or(String::new(), |pid| format!(", process {pid}"));
            return Ok(Some(format!("{} is held by {who}{by}", path.display())));
        }
    }
    Ok(None)
}

/// A line for each state that a finished run leaves no package in.
fn unfinished(status: &Status) -> Vec<String> {
    let native = status.native();
    let mut by_state: BTreeMap<usize, Vec<String>> = BTreeMap::new();
    for package in status.packages() {
        let state = UNFINISHED.iter().position(|state| *state == package.state);
        let state = match (state, package.must_reinstall) {
            (Some(state), _) => state,
            (None, true) => UNFINISHED.len(),
            (None, false) => continue,
        };
        let name = full_name(package.name, Some(package.architecture), native);
        by_state.entry(state).or_default().push(shown(&name));
    }
    by_state
        .into_iter()
        .map(|(state, mut names)| {
            names.sort();
            let more = names.len().saturating_sub(MAX_NAMED);
            names.truncate(MAX_NAMED);
            let state = UNFINISHED.get(state).map_or("to be reinstalled".to_owned(), |state| shown(state));
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            format!("{state}: {}{more}", names.join(", "))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::tests::{bare, usual};
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
    fn a_finished_run_is_idle() {
        let root = usual();
        root.write("lock", b"");
        assert_eq!(ask(&root), (State::Idle, vec![]));
    }

    #[test]
    fn a_run_left_half_way_names_its_packages() {
        let root = usual();
        let mut status = String::from("Package: dpkg\nStatus: install ok installed\nArchitecture: amd64\n\n");
        for number in 0..12 {
            status.push_str(&format!("Package: p{number:02}\nStatus: install ok unpacked\n\n"));
        }
        status.push_str("Package: x\nStatus: install reinstreq half-installed\nArchitecture: i386\n\n");
        status.push_str("Package: y\nStatus: install reinstreq installed\nArchitecture: all\n\n");
        root.write("status", status.as_bytes());
        root.write("updates/0000", b"Package: z\nStatus: install ok triggers-pending\n");
        root.write("updates/tmp.i", b"");
        let (state, lines) = ask(&root);
        assert_eq!(state, State::Interrupted);
        assert_eq!(
            lines,
            [
                "half-installed: x:i386".to_owned(),
                "unpacked: p00, p01, p02, p03, p04, p05, p06, p07, p08, p09 and 2 more".to_owned(),
                "triggers-pending: z".to_owned(),
                "to be reinstalled: y".to_owned(),
                format!("1 changes wait in {}/updates", root.path().join("var/lib/dpkg").display()),
            ]
        );
    }

    #[test]
    fn a_held_lock_is_busy_whatever_the_packages_states() {
        for lock in ["lock", "lock-frontend"] {
            let root = usual();
            root.write(lock, b"");
            root.write("updates/0000", b"Package: z\nStatus: install ok unpacked\n");
            let path = root.path().join("var/lib/dpkg").join(lock);
            let ((state, lines), holder) = while_locked(&path, || ask(&root));
            assert_eq!(state, State::Busy);
            let line = lines.join("\n");
            assert!(line.starts_with(&path.display().to_string()), "{line}");
            assert!(line.ends_with(&format!("process {}", holder)), "{line}");
        }
    }

    #[test]
    fn no_database_is_an_error_that_names_it() {
        let root = bare();
        std::fs::remove_file(root.path().join("var/lib/dpkg/status")).expect("remove");
        let why = Recorder::listen(|sink| busy(root.path(), sink)).expect_err("no database");
        assert!(why.contains("var/lib/dpkg/status: No such file"), "{why}");
    }
}
