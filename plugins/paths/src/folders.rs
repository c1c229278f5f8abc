//! Where a folder of the database really is: symbolic links are followed below the root.
//!
//! The database says `/lib/x`, processes map `/usr/lib/x`: with merged `/usr`, or a link of the
//! admin's, both are one folder, and the second spelling is the one that is on disk.

use crate::lines::split_path;
use std::borrow::Cow;
use std::collections::HashMap;
use std::ffi::OsStr;
use std::io::ErrorKind;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// Longest path that is looked at: `PATH_MAX`.
const MAX_PATH: usize = 4096;
/// Links that one path may go through: the kernel's own limit.
const MAX_LINKS: u32 = 40;
/// Folders that are remembered; more than a distribution has.
const MAX_KNOWN: usize = 500_000;
/// The folders that merged `/usr` makes links of.
const MERGED: [&[u8]; 7] = [b"bin", b"sbin", b"lib", b"lib32", b"lib64", b"libx32", b"libo32"];

/// The folders below a root, each looked at once.
#[derive(Debug)]
pub struct Folders {
    root: Vec<u8>,
    known: HashMap<Vec<u8>, Vec<u8>>,
    /// The folder of the last path and what it was resolved to: in a list, neighbours share it.
    last: (Vec<u8>, Vec<u8>),
}

impl Folders {
    /// Folders below this root.
    pub fn below(root: &Path) -> Folders {
        let root = root.as_os_str().as_bytes();
        let end = root.iter().rposition(|byte| *byte != b'/').map_or(0, |at| at + 1);
        Folders { root: root[..end].to_vec(), known: HashMap::new(), last: Default::default() }
    }

    /// The path from outside of the root.
    pub fn outside(&self, path: &[u8]) -> PathBuf {
        let mut all = self.root.clone();
        all.extend_from_slice(path);
        PathBuf::from(OsStr::from_bytes(&all))
    }

    /// The path of a file with every link among its folders followed; the file itself may be one.
    pub fn resolve(&mut self, path: &[u8]) -> Vec<u8> {
        let (folder, name) = split_path(path);
        if folder != self.last.0 || folder.is_empty() {
            self.last = (folder.to_vec(), self.folder(folder, MAX_LINKS));
        }
        let mut resolved = Vec::with_capacity(self.last.1.len() + 1 + name.len());
        resolved.extend_from_slice(&self.last.1);
        join(&mut resolved, name);
        resolved
    }

    /// A folder with every link followed.
    pub fn resolve_folder(&mut self, folder: &[u8]) -> Vec<u8> {
        self.folder(folder, MAX_LINKS)
    }

    /// The path with the link followed that its first folder may be: all that merged /usr needs.
    pub fn resolve_top<'p>(&mut self, path: &'p [u8]) -> Cow<'p, [u8]> {
        let Some(end) = path.iter().skip(1).position(|byte| *byte == b'/') else {
            return Cow::Borrowed(path);
        };
        let (top, rest) = path.split_at(end + 1);
        let real = self.folder(top, MAX_LINKS);
        if real == top {
            return Cow::Borrowed(path);
        }
        Cow::Owned([&real, rest].concat())
    }

    fn folder(&mut self, folder: &[u8], links: u32) -> Vec<u8> {
        if folder == b"/" || folder.is_empty() {
            return b"/".to_vec();
        }
        if let Some(known) = self.known.get(folder) {
            return known.clone();
        }
        if folder.len() > MAX_PATH {
            return folder.to_vec();
        }
        let (parent, name) = split_path(folder);
        let above = self.folder(parent, links);
        let resolved = self.step(above, name, links);
        if self.known.len() < MAX_KNOWN {
            self.known.insert(folder.to_vec(), resolved.clone());
        }
        resolved
    }

    /// One name below a folder that is resolved already.
    fn step(&mut self, above: Vec<u8>, name: &[u8], links: u32) -> Vec<u8> {
        match name {
            b"" | b"." => return above,
            b".." => return split_path(&above).0.to_vec(),
            _ => {}
        }
        let mut here = above.clone();
        join(&mut here, name);
        match std::fs::read_link(self.outside(&here)) {
            Ok(target) if links > 0 => {
                let target = target.into_os_string().into_vec();
                if target.starts_with(b"/") {
                    return self.folder(&target, links - 1);
                }
                let mut full = above;
                join(&mut full, &target);
                self.folder(&full, links - 1)
            }
            // A root without the links, as one that holds the database only, is taken as merged.
            Err(error) if error.kind() == ErrorKind::NotFound && above == b"/" && MERGED.contains(&name) => {
                [&b"/usr/"[..], name].concat()
            }
            Ok(_) | Err(_) => here,
        }
    }
}

fn join(folder: &mut Vec<u8>, name: &[u8]) {
    if folder.last() != Some(&b'/') {
        folder.push(b'/');
    }
    folder.extend_from_slice(name);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trial::TestRoot;
    use std::os::unix::fs::symlink;

    #[test]
    fn links_are_followed_below_the_root() {
        let root = TestRoot::new("usr/lib/x");
        std::fs::create_dir_all(root.path().join("srv/opt")).expect("folder");
        for (target, link) in
            [("usr/lib", "lib"), ("/srv/opt", "opt"), ("../../usr/./lib", "srv/opt/up"), ("loop", "loop")]
        {
            symlink(target, root.path().join(link)).expect("link");
        }
        let mut folders = Folders::below(root.path());
        for (path, expected) in [
            (&b"/lib/x/libc.so"[..], &b"/usr/lib/x/libc.so"[..]),
            (b"/usr/lib/x/libc.so", b"/usr/lib/x/libc.so"),
            (b"/opt/tool", b"/srv/opt/tool"),
            (b"/opt/up/x/libc.so", b"/usr/lib/x/libc.so"),
            (b"/gone/file", b"/gone/file"),
            (b"/bin/sh", b"/usr/bin/sh"),
            (b"/lib", b"/lib"),
            (b"/top", b"/top"),
            (b"/../../etc/passwd", b"/etc/passwd"),
        ] {
            assert_eq!(folders.resolve(path), expected, "{}", path.escape_ascii());
        }
        assert!(folders.resolve(b"/loop/x").ends_with(b"/x"));
        let deep = b"/a".repeat(10_000);
        assert_eq!(folders.resolve(&deep), deep);
    }
}
