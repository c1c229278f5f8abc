//! Is pacman at work, or was it stopped half-way?

use crate::database::Database;
use reexec_plugin_abi::rust::{Sink, State};
use reexec_plugin_paths::{shown, Folders};
use std::io::ErrorKind;
use std::path::Path;

/// Most packages that a message names.
const MAX_NAMED: usize = 10;

/// Whether packages are being changed.
///
/// The lock is a plain file, created with `O_EXCL` and never locked: after a kill it stays. But
/// libalpm keeps it open as long as it works, so a process that has it open is at work, and a lock
/// that nobody has open is left over. Who has it open is not for a plugin to see; the host looks.
pub fn busy(root: &Path, sink: &mut Sink<'_>) -> Result<State, String> {
    let mut folders = Folders::below(root);
    let Some(database) = Database::find(&mut folders)? else {
        return Ok(State::Idle);
    };
    let (lock, place) = database.lock();
    let locked = match place.symlink_metadata() {
        Ok(_) => true,
        Err(error) if error.kind() == ErrorKind::NotFound => false,
        Err(error) => return Err(format!("{}: {error}", place.display())),
    };
    let unfinished = unfinished(&database)?;
    if let Some(line) = &unfinished {
        sink.message(line);
    }
    if locked {
        sink.file(&lock, b"");
        return Ok(State::Locked);
    }
    Ok(if unfinished.is_some() { State::Interrupted } else { State::Idle })
}

/// The packages that pacman did not write to the end.
fn unfinished(database: &Database) -> Result<Option<String>, String> {
    let entries = database.entries()?;
    let lacks = |name: &'static str| {
        entries.iter().filter(move |entry| {
            let file = database.file(entry, name).symlink_metadata();
            file.is_err_and(|error| error.kind() == ErrorKind::NotFound)
        })
    };
    let mut names: Vec<String> = lacks("desc").chain(lacks("files")).map(|entry| shown(entry.name())).collect();
    names.sort();
    names.dedup();
    if names.is_empty() {
        return Ok(None);
    }
    let more = names.len().saturating_sub(MAX_NAMED);
    names.truncate(MAX_NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    Ok(Some(format!("not written to the end in pacman's database: {}{more}", names.join(", "))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::tests::{bare, usual};
    use reexec_plugin_abi::rust::{Recorder, Said};
    use reexec_plugin_paths::trial::TestRoot;

    fn ask(root: &TestRoot) -> (State, Vec<Said>) {
        let (said, state) = Recorder::listen(|sink| busy(root.path(), sink)).expect("an answer");
        (state, said)
    }

    #[test]
    fn without_a_lock_nobody_is_at_work() {
        assert_eq!(ask(&usual()), (State::Idle, vec![]));
        let nobody = bare();
        std::fs::remove_dir_all(nobody.path()).expect("remove");
        assert_eq!(ask(&nobody), (State::Idle, vec![]));
    }

    #[test]
    fn a_lock_is_named_for_the_host_to_see_who_has_it_open() {
        let root = usual();
        root.write("var/lib/pacman/db.lck", b"");
        assert_eq!(ask(&root), (State::Locked, vec![Said::File("/var/lib/pacman/db.lck".into(), "".into())]));
        root.write("etc/pacman.conf", b"[options]\nDBPath = /srv/db/\n");
        root.write("srv/db/local/ALPM_DB_VERSION", b"9\n");
        assert_eq!(ask(&root), (State::Idle, vec![]), "another database is used");
        root.write("srv/db/db.lck", b"");
        assert_eq!(ask(&root), (State::Locked, vec![Said::File("/srv/db/db.lck".into(), "".into())]));
    }

    #[test]
    fn packages_that_were_not_written_to_the_end_are_named() {
        let root = usual();
        for package in 0..11 {
            root.write(&format!("var/lib/pacman/local/p{package:02}-1-1/desc"), b"");
        }
        std::fs::remove_file(root.path().join("var/lib/pacman/local/libx-1:2.0-1/desc")).expect("remove");
        let line = "not written to the end in pacman's database: libx, p00, p01, p02, p03, p04, p05, p06, p07, p08 \
            and 2 more";
        assert_eq!(ask(&root), (State::Interrupted, vec![Said::Message(line.into())]));
    }

    #[test]
    fn a_lost_database_is_an_error_that_names_it() {
        let root = bare();
        std::fs::remove_dir_all(root.path().join("var/lib/pacman/local")).expect("remove");
        let why = Recorder::listen(|sink| busy(root.path(), sink)).expect_err("no database");
        assert!(why.contains("var/lib/pacman/local: No such file"), "{why}");
    }
}
