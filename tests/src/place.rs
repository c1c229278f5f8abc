//! Places: the workspace, programs that were built, and folders that go away.

use anyhow::{Context, Result};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// The folder of the workspace.
pub fn workspace() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// The folder that cargo builds this profile in (`target/debug`, `target/release`).
pub fn built() -> Result<PathBuf> {
    let test = std::env::current_exe().context("the running test")?;
    // target/PROFILE/deps/TEST
    let profile = test.parent().and_then(Path::parent);
    Ok(profile.context("the target folder")?.to_owned())
}

/// The folder of the programs that packages are made of: `RELEASE` of the Makefile.
pub fn released() -> Result<PathBuf> {
    let own = || std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace().join("target"), PathBuf::from);
    let folder = std::env::var_os("RELEASE").map_or_else(|| own().join("release"), PathBuf::from);
    fs::canonicalize(&folder).with_context(|| folder.display().to_string())
}

/// A name that no other process and no other call of this one gets.
pub fn unique(prefix: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("{prefix}-{}-{number}", std::process::id())
}

/// A private folder that is removed with its content when dropped.
#[derive(Debug)]
pub struct Scratch(PathBuf);

impl Scratch {
    /// A new, empty folder below `/var/tmp` (on a disk: `/tmp` may be a tmpfs).
    pub fn new(prefix: &str) -> Result<Scratch> {
        Scratch::below(Path::new("/var/tmp"), prefix)
    }

    /// A new, empty folder below `folder`: what lies in `/var/tmp` is nobody's for good.
    pub fn below(folder: &Path, prefix: &str) -> Result<Scratch> {
        let path = folder.join(unique(&format!("reexec-test-{prefix}")));
        std::fs::create_dir(&path).with_context(|| format!("create {}", path.display()))?;
        Ok(Scratch(path))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// A path in it.
    pub fn join(&self, name: impl AsRef<Path>) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// What is in a tree and no folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Leaf {
    /// Content, and mode.
    File(Vec<u8>, u32),
    /// Where it leads.
    Link(String),
}

/// The files and links of a tree by their absolute names in it, in the names' order.
pub fn leaves(tree: &Path) -> Result<Vec<(String, Leaf)>> {
    let mut found = Vec::new();
    let mut folders = vec![tree.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
            let path = entry?.path();
            let metadata = fs::symlink_metadata(&path)?;
            if metadata.is_dir() {
                folders.push(path);
                continue;
            }
            let name = format!("/{}", path.strip_prefix(tree)?.display());
            let leaf = match fs::read_link(&path) {
                Ok(target) => Leaf::Link(target.to_string_lossy().into_owned()),
                Err(_) => Leaf::File(fs::read(&path)?, metadata.permissions().mode() & 0o777),
            };
            found.push((name, leaf));
        }
    }
    found.sort_by(|one, other| one.0.cmp(&other.0));
    Ok(found)
}
