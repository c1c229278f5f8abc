//! Packages for real upgrades: the versions of a base, repacked with new bytes in each program.

use crate::bed::cache;
use crate::place::{unique, workspace};
use crate::run::run;
use anyhow::{Context, Result};
use rustix::fs::{flock, FlockOperation};
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const DOWNLOAD_AND_REPACK: Duration = Duration::from_secs(600);
const INDEX: Duration = Duration::from_secs(60);

/// A local apt repository with the named packages of the base, newer by `suffix`.
///
/// Built once and cached; bind it into a bed, then [`crate::bed::Bed::use_repositories`].
pub fn repacked(base: &str, suffix: &str, packages: &[&str]) -> Result<PathBuf> {
    let base = fs::canonicalize(cache().join(base)).with_context(|| format!("the base {base}"))?;
    let repack = workspace().join("tests/bed/repack");
    let mut hasher = DefaultHasher::new();
    (&base, suffix, packages, fs::read(&repack)?).hash(&mut hasher);
    let key = format!("{:016x}", hasher.finish());
    let repository = cache().join(format!("repo-{key}"));

    let lock = File::create(cache().join(".repo.lock")).context("the lock of the repositories")?;
    flock(&lock, FlockOperation::LockExclusive)?;
    if repository.exists() {
        return Ok(repository);
    }
    let new = cache().join(unique(".new-repo"));
    let made = make(&repack, &base, &new, suffix, packages)
        .and_then(|()| fs::rename(&new, &repository).with_context(|| format!("rename {}", new.display())));
    if made.is_err() {
        let _ = fs::remove_dir_all(&new);
    }
    made?;
    Ok(repository)
}

/// Makes a folder with packages an apt repository.
pub fn index(folder: &Path) -> Result<()> {
    for (what, file) in [("packages", "Packages"), ("release", "Release")] {
        let mut command = Command::new("apt-ftparchive");
        command.args([what, "."]).current_dir(folder);
        let text = run(&mut command, b"", INDEX)?.success()?.stdout;
        fs::write(folder.join(file), text)?;
    }
    Ok(())
}

fn make(repack: &Path, base: &Path, new: &Path, suffix: &str, packages: &[&str]) -> Result<()> {
    let originals = cache().join("originals");
    let mut command = Command::new(repack);
    command.env("REPACK_ORIGINALS", originals).args([base, new]).arg(suffix).args(packages);
    run(&mut command, b"", DOWNLOAD_AND_REPACK)?.success().with_context(|| format!("repack {packages:?}"))?;
    index(new)
}
