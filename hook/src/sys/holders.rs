//! Who has a file open for writing: what a lock is worth that is only a file.

use super::files::{Links, Root};
use super::proc_folder::Procs;
use crate::model::file::{FileFacts, Look};
use crate::model::process::Gap;
use crate::model::text::escape;
use anyhow::{anyhow, Context, Result};
use std::path::Path;

/// A lock that is given and taken again while we look is looked at so often.
const TRIES: u32 = 3;

/// A lock that is only a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lock {
    /// It is not there any more.
    Released,
    /// This process has it open for writing.
    Held {
        /// Its pid.
        pid: i32,
        /// Its name, as the kernel has it.
        name: String,
    },
    /// It is there and nobody has it open: it was left over by one that was killed.
    LeftOver,
    /// So many processes may not be looked at, and none of the others has it.
    Hidden(usize),
}

/// Looks at every process's descriptors.
///
/// One that was opened only as a path (`O_PATH`) or for reading does not count: whoever may not
/// write the file could do that, and would stop us for good.
pub fn lock(proc: &Path, path: &Path) -> Result<Lock> {
    for _ in 0..TRIES {
        let facts = match Root::Own.look(path, Links::Keep) {
            Look::Found(facts) => facts,
            Look::Absent => return Ok(Lock::Released),
            Look::Hidden(why) => return Err(anyhow!("{}: {why}", path.display())),
        };
        let found = holder(proc, path, &facts)?;
        let same = Root::Own.look(path, Links::Keep).found().is_some_and(|now| is_same(now, &facts));
        if same || matches!(found, Lock::Held { .. }) {
            return Ok(found);
        }
    }
    Ok(Lock::Released)
}

/// An inode's number is given to the next file at once; its birth is not.
fn is_same(a: &FileFacts, b: &FileFacts) -> bool {
    (a.id, a.born, a.changed) == (b.id, b.born, b.changed)
}

fn holder(proc: &Path, path: &Path, facts: &FileFacts) -> Result<Lock> {
    let name = path.file_name().context("a lock has a name")?;
    let mut hidden = 0;
    let procs = Procs::at(proc)?;
    for pid in procs.pids()? {
        let process = match procs.open(pid) {
            Ok(process) => process,
            Err(Gap::Vanished) => continue,
            Err(_) => {
                hidden += 1;
                continue;
            }
        };
        match process.writes_to(name, facts.id) {
            Ok(true) => {
                let name = process.stat().map_or_else(|_| String::new(), |stat| escape(&stat.comm));
                return Ok(Lock::Held { pid, name });
            }
            Ok(false) | Err(Gap::Vanished) => {}
            Err(_) => hidden += 1,
        }
    }
    Ok(if hidden > 0 { Lock::Hidden(hidden) } else { Lock::LeftOver })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::procs;
    use rustix::fs::{Mode, OFlags};

    #[test]
    fn a_lock_is_held_by_who_has_it_open_for_writing_and_by_nobody_else() {
        let path = std::env::temp_dir().join(format!("reexec-lock-{}", std::process::id()));
        let proc = Path::new("/proc");
        let nobody = |lock: &Lock| *lock == Lock::LeftOver || matches!(lock, Lock::Hidden(_));
        assert_eq!(lock(proc, &path).expect("a look"), Lock::Released);

        let held = std::fs::File::create(&path).expect("create");
        let name = procs::open(proc, std::process::id() as i32).and_then(|own| own.stat()).expect("ourselves").comm;
        let pid = std::process::id() as i32;
        assert_eq!(lock(proc, &path).expect("a look"), Lock::Held { pid, name: escape(&name) });
        drop(held);
        assert!(nobody(&lock(proc, &path).expect("a look")), "it was closed");

        for flags in [OFlags::PATH, OFlags::RDONLY] {
            let file = rustix::fs::open(&path, flags, Mode::empty()).expect("open");
            assert!(nobody(&lock(proc, &path).expect("a look")), "{flags:?}");
            drop(file);
        }
        // The same name in another folder is another lock.
        let other = std::env::temp_dir().join(format!("reexec-locks-{}", std::process::id()));
        std::fs::create_dir(&other).expect("folder");
        let elsewhere = std::fs::File::create(other.join(path.file_name().expect("a name"))).expect("create");
        assert!(nobody(&lock(proc, &path).expect("a look")), "another folder");
        drop(elsewhere);
        std::fs::remove_dir_all(&other).expect("remove");
        std::fs::remove_file(&path).expect("remove");
    }
}
