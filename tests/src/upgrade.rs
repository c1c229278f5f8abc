//! A package whose files are upgraded, with the calls of the hook around it, for measuring these: real files and
//! a copy of the machine's own dpkg database, in a mount namespace of our own.

use crate::place::{unique, Scratch};
use crate::run::run;
use anyhow::{Context, Result};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Copying a database, and mounting.
const SOON: Duration = Duration::from_secs(60);
const PACKAGE: &str = "reexec-bench";
/// A library of some kilobytes.
static CONTENT: [u8; 20_000] = [0x90; 20_000];

/// A package that is installed. Dropping it removes its files.
#[derive(Debug)]
pub struct Upgrade {
    folder: PathBuf,
    files: Vec<PathBuf>,
    /// What apt says of it on the hook's standard input (protocol 3 of apt.conf(5)).
    pub announced: PathBuf,
    version: u32,
}

/// Mounts what must not be changed by what is measured: the dpkg database as a copy, state of our own, and
/// `/etc` with a policy that acts on nothing. To be called in a mount namespace of our own.
pub fn mount_private(scratch: &Scratch) -> Result<()> {
    let script = r#"
        mkdir -p /run/reexec /var/lib/reexec
        mount -t tmpfs tmpfs /run/reexec
        mount -t tmpfs tmpfs /var/lib/reexec
        cp -a /var/lib/dpkg "$1/dpkg"
        mount --bind "$1/dpkg" /var/lib/dpkg
        mkdir "$1/upper" "$1/work"
        mount -t overlay overlay -o "lowerdir=/etc,upperdir=$1/upper,workdir=$1/work" /etc
        mkdir -p /etc/reexec
        rm -rf /etc/reexec/policy.d
    "#;
    let mut shell = Command::new("sh");
    shell.args(["-euc", script, "mount"]).arg(scratch.path());
    run(&mut shell, b"", SOON)?.success()?;
    Ok(())
}

/// Forgets what was upgraded since boot, and all else that earlier runs noted: to be called in a mount namespace of
/// our own.
pub fn forget() -> Result<()> {
    for entry in fs::read_dir("/run/reexec")? {
        let entry = entry?;
        match entry.file_type()?.is_dir() {
            true => fs::remove_dir_all(entry.path())?,
            false => fs::remove_file(entry.path())?,
        }
    }
    Ok(())
}

/// Says when the hook is to act.
pub fn set_policy(when: &str) -> Result<()> {
    Ok(fs::write("/etc/reexec/policy.yaml", format!("version: 1\ndefaults: {{ when: {when}, quiet: 100ms }}\n"))?)
}

impl Upgrade {
    /// Installs the package, with this many files.
    pub fn install(count: usize, scratch: &Scratch) -> Result<Upgrade> {
        let folder = Path::new("/usr/lib").join(unique(PACKAGE));
        let files: Vec<PathBuf> = (0..count).map(|number| folder.join(format!("libbench-{number}.so"))).collect();
        let announced = scratch.join("announced");
        let upgrade = Upgrade { folder, files, announced, version: 1 };
        fs::create_dir(&upgrade.folder)?;
        let mut list = format!("/.\n{}\n", upgrade.folder.display());
        for file in &upgrade.files {
            fs::write(file, CONTENT)?;
            writeln!(list, "{}", file.display())?;
        }
        fs::write(Path::new("/var/lib/dpkg/info").join(format!("{PACKAGE}.list")), list)?;
        upgrade.register()?;
        upgrade.announce()?;
        Ok(upgrade)
    }

    fn register(&self) -> Result<()> {
        let status = Path::new("/var/lib/dpkg/status");
        let text = fs::read_to_string(status)?;
        let head = format!("Package: {PACKAGE}\n");
        let others: Vec<&str> = text.split("\n\n").filter(|stanza| !stanza.trim_start().starts_with(&head)).collect();
        let own = format!(
            "{head}Status: install ok installed\nArchitecture: all\nVersion: {}\nDescription: a package\n",
            self.version
        );
        let beside = status.with_extension("new");
        fs::write(&beside, format!("{}\n\n{own}", others.join("\n\n").trim_end()))?;
        Ok(fs::rename(beside, status)?)
    }

    fn announce(&self) -> Result<()> {
        let (old, new) = (self.version, self.version + 1);
        let line = format!("{PACKAGE} {old} all none < {new} all none /var/cache/apt/archives/{PACKAGE}_{new}_all.deb");
        let text = format!("VERSION 3\nAPT::Architecture=amd64\n\n{line}\n");
        fs::write(&self.announced, text).context("what apt says")
    }

    /// Replaces every file as dpkg does: beside its place, and renamed.
    pub fn replace(&mut self) -> Result<()> {
        self.version += 1;
        for file in &self.files {
            let beside = file.with_extension("so.dpkg-new");
            fs::write(&beside, [&CONTENT[..], &self.version.to_le_bytes()].concat())?;
            fs::rename(&beside, file)?;
        }
        self.register()?;
        self.announce()
    }
}

impl Drop for Upgrade {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}
