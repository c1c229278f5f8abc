//! For plugins that test themselves: a folder that stands for a system, and a lock that somebody holds.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// A folder that stands for a system's root; removed with its content when dropped.
#[derive(Debug)]
pub struct TestRoot {
    root: PathBuf,
    base: &'static str,
}

impl TestRoot {
    /// A new one, in which [`TestRoot::write`] writes below `base`.
    pub fn new(base: &'static str) -> TestRoot {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let root = std::env::temp_dir().join(format!("reexec-root-{}-{number}", std::process::id()));
        std::fs::create_dir_all(root.join(base)).expect("folders");
        TestRoot { root, base }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.root
    }

    /// Makes `/NAME` a link to `/usr/NAME` for each of these, as systems have it that are merged.
    pub fn merge(&self, names: &[&str]) {
        for name in names {
            std::fs::create_dir_all(self.root.join("usr").join(name)).expect("folders");
            std::os::unix::fs::symlink(format!("usr/{name}"), self.root.join(name)).expect("link");
        }
    }

    /// Writes a file, and the folders above it; where it is.
    pub fn write(&self, path: &str, content: &[u8]) -> PathBuf {
        let path = self.root.join(self.base).join(path);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("folders");
        std::fs::write(&path, content).expect("write");
        path
    }
}

impl Drop for TestRoot {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.root);
    }
}

/// Holds a lock (POSIX, the whole file) and says so.
const HOLDER: &str = "import fcntl, sys
file = open(sys.argv[1], 'r+')
fcntl.lockf(file, fcntl.LOCK_EX)
print('held', flush=True)
sys.stdin.read()";

/// Looks while a process of its own holds the lock on this file (nobody's lock is held against himself);
/// what was seen, and the holder's number.
pub fn while_locked<T>(path: &Path, look: impl FnOnce() -> T) -> (T, u32) {
    let mut holder = Command::new("python3")
        .args(["-c", HOLDER])
        .arg(path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3");
    holder.stdout.as_mut().expect("piped").read_exact(&mut [0; 4]).expect("held");
    let seen = look();
    drop(holder.stdin.take());
    holder.wait().expect("ends");
    (seen, holder.id())
}
