//! The other tools that look for processes with old files: those that `tests/bench/peers` has unpacked, and
//! those that are installed.

use crate::place::workspace;
use crate::run::run;
use anyhow::Result;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Where the tools are unpacked.
const PLACE: &str = "/var/cache/reexec-bench";
/// Debian's packages, and one from PyPI.
const DOWNLOAD: Duration = Duration::from_secs(600);

/// One of the tools.
#[derive(Debug, Clone)]
pub struct Peer {
    /// What it is called.
    pub name: &'static str,
    /// What runs the command in its place; empty where it is installed.
    pub runner: Vec<String>,
    /// Its fastest way to name processes.
    pub command: Vec<String>,
    /// The ratio of our processor time to its that we want to stay below.
    pub at_most: f64,
}

struct Entry {
    /// Folder below `PLACE`, and the program in it.
    folder: &'static str,
    program: &'static str,
    name: &'static str,
    /// What follows the name; `PLUGINS` stands for dnf's folder of plugins.
    arguments: &'static str,
    at_most: f64,
}

const fn entry(
    folder: &'static str,
    program: &'static str,
    name: &'static str,
    arguments: &'static str,
    at_most: f64,
) -> Entry {
    Entry { folder, program, name, arguments, at_most }
}

const ALL: [Entry; 6] = [
    entry("python", "bin/lib_users", "lib_users", "", 0.25),
    entry("debian", "usr/bin/lsof", "lsof", "-n -P -d DEL", 0.16),
    entry("zypper", "usr/bin/zypper", "zypper", "--non-interactive ps", 0.12),
    entry("debian", "usr/sbin/checkrestart", "checkrestart", "-v", 0.10),
    entry("debian", "usr/sbin/needrestart", "needrestart", "-b -v -l -r l", 0.07),
    // It names only what packages of rpm own; what it costs to look does not depend on that.
    entry("dnf", "usr/bin/dnf", "dnf", "--releasever=12 --setopt=pluginpath=PLUGINS needs-restarting", 0.05),
];

/// Downloads what is not there yet; what cannot be had, in a line each.
pub fn unpack() -> Result<String> {
    let mut peers = Command::new(workspace().join("tests/bench/peers"));
    Ok(run(&mut peers, b"", DOWNLOAD)?.success()?.errors())
}

/// All tools that can be run here.
pub fn all() -> Vec<Peer> {
    ALL.iter().filter_map(peer).collect()
}

fn peer(entry: &Entry) -> Option<Peer> {
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let folder = Path::new(PLACE).join(entry.folder);
    let plugins = text(&folder.join("usr/lib/python3/dist-packages/dnf-plugins"));
    let arguments = entry.arguments.split(' ').filter(|word| !word.is_empty());
    let unpacked = folder.join(entry.program);
    let (runner, program) = match unpacked.is_file() {
        // A program of a virtual environment finds its modules by itself.
        true if entry.folder == "python" => (Vec::new(), text(&unpacked)),
        true => (vec![text(&workspace().join("tests/bench/peer")), text(&folder)], entry.name.to_owned()),
        false => (Vec::new(), found(entry.name).map(|_| entry.name.to_owned())?),
    };
    let arguments = arguments.map(|word| word.replace("PLUGINS", &plugins));
    let command = std::iter::once(program).chain(arguments).collect();
    Some(Peer { name: entry.name, runner, command, at_most: entry.at_most })
}

fn found(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}
