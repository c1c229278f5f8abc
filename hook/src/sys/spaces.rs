//! Mount namespaces: where a printed name means something.

use super::files::Root;
use super::host;
use super::procs::{self, ProcessHandle};
use crate::model::file::{FileFacts, FileId, Look};
use crate::model::judge::Space;
use crate::model::mapping::device;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// The roots of the mount namespaces that were met, and what is mounted in them.
#[derive(Debug)]
pub struct Spaces {
    by_number: HashMap<u64, Space>,
    roots: Vec<Option<Root>>,
    devices: Vec<HashSet<u64>>,
    /// Devices of file systems that do not answer, and where they are mounted.
    silent: BTreeSet<u64>,
    silent_mounts: Vec<Vec<PathBuf>>,
}

impl Spaces {
    /// Begins with the host: the namespace of PID 1, and not our own, which a package manager may
    /// have made for its scripts. Where PID 1 may not be looked at, our own. Nothing is asked of file
    /// systems on `silent` devices.
    pub fn of_host(proc: &Path, silent: &BTreeSet<u64>) -> Spaces {
        let mut spaces = Spaces {
            by_number: HashMap::new(),
            roots: Vec::new(),
            devices: Vec::new(),
            silent: silent.clone(),
            silent_mounts: Vec::new(),
        };
        let own = host::own_pid(proc).and_then(|pid| procs::open(proc, pid).ok());
        let first = procs::open(proc, 1).ok();
        let number = |process: &Option<ProcessHandle>| process.as_ref()?.namespace("mnt");
        match (number(&first), number(&own)) {
            (Some(host), own) if Some(host) != own => {
                spaces.add(host, first.as_ref().and_then(ProcessHandle::top_folder).map(Root::Folder), first.as_ref())
            }
            (host, own_number) => spaces.add(host.or(own_number).unwrap_or(0), Some(Root::Own), own.as_ref()),
        };
        spaces
    }

    fn add(&mut self, number: u64, root: Option<Root>, process: Option<&ProcessHandle>) -> Space {
        let space = Space(self.roots.len() as u32);
        self.by_number.insert(number, space);
        self.roots.push(root);
        let mountinfo = process.map(ProcessHandle::mountinfo).unwrap_or_default();
        self.devices.push(devices(&mountinfo));
        let silent = mounts(&mountinfo).filter(|(device, _)| self.silent.contains(device));
        self.silent_mounts.push(silent.map(|(_, path)| path).collect());
        space
    }

    /// Whether a path of a namespace leads to a file system that does not answer.
    pub fn is_silent(&self, space: Space, path: &Path) -> bool {
        self.silent_mounts[space.0 as usize].iter().any(|mount| path.starts_with(mount))
    }

    /// The namespace of this number, if it was met; the host's where it may not be asked.
    pub fn known(&self, number: Option<u64>) -> Option<Space> {
        number.map_or(Some(Space::HOST), |number| self.by_number.get(&number).copied())
    }

    /// The namespace that a process is in; the host's where that may not be asked.
    pub fn of(&mut self, number: Option<u64>, process: &ProcessHandle) -> Space {
        let Some(number) = number else { return Space::HOST };
        match self.by_number.get(&number) {
            Some(&space) => space,
            None => self.add(number, process.top_folder().map(Root::Folder), Some(process)),
        }
    }

    /// The root of a namespace; `None` where it cannot be reached.
    pub fn root(&self, space: Space) -> Option<&Root> {
        self.roots[space.0 as usize].as_ref()
    }

    /// Whether a file system is mounted in a namespace or on the host. Before Linux 6.8 the printed
    /// device of an overlayfs file is that of its layer, which only the host may have mounted.
    pub fn is_mounted(&self, space: Space, printed: FileId, mapped: &Look) -> bool {
        let known = |dev: u64| [space, Space::HOST].iter().any(|space| self.devices[space.0 as usize].contains(&dev));
        let unread = self.devices[space.0 as usize].is_empty();
        unread || known(printed.dev) || mapped.found().is_some_and(|facts: &FileFacts| known(facts.id.dev))
    }
}

/// The devices of all that is mounted in a process's namespace. On btrfs and overlayfs files have
/// others.
pub fn mounted_devices(process: &ProcessHandle) -> HashSet<u64> {
    devices(&process.mountinfo())
}

/// The mounts in `mountinfo`: device (field 3) and mount point (field 5, with `\\NNN` for blanks and the
/// like).
pub fn mounts(mountinfo: &[u8]) -> impl Iterator<Item = (u64, PathBuf)> + '_ {
    mountinfo.split(|&byte| byte == b'\n').filter_map(|line| {
        let mut fields = line.split(|&byte| byte == b' ').skip(2);
        let (major, minor) = std::str::from_utf8(fields.next()?).ok()?.split_once(':')?;
        Some((device(major.parse().ok()?, minor.parse().ok()?), unescaped(fields.nth(1)?)))
    })
}

fn unescaped(field: &[u8]) -> PathBuf {
    let (mut bytes, mut rest) = (Vec::with_capacity(field.len()), field);
    while let Some((&byte, tail)) = rest.split_first() {
        let octal = tail.get(..3).and_then(|digits| std::str::from_utf8(digits).ok());
        match octal.filter(|_| byte == b'\\').and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(value) => {
                bytes.push(value);
                rest = &tail[3..];
            }
            None => {
                bytes.push(byte);
                rest = tail;
            }
        }
    }
    PathBuf::from(OsString::from_vec(bytes))
}

/// The devices in `mountinfo` (proc_pid_mountinfo(5), field 3).
fn devices(mountinfo: &[u8]) -> HashSet<u64> {
    mounts(mountinfo).map(|(device, _)| device).collect()
}
