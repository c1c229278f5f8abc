//! Opening a policy file so that nobody else can have a say in it, and nothing can block.

use crate::model::text::escape_path;
use rustix::fs::{fstat, openat, FileType, Mode, OFlags, Stat, CWD};
use rustix::io::Errno;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path};

/// Bytes of one policy file.
pub(super) const MAX_BYTES: u64 = 1 << 20;

/// What lies at the path of a policy file.
#[derive(Debug)]
pub(super) enum Found {
    /// Its bytes.
    Bytes(Vec<u8>),
    /// Nothing.
    Absent,
    /// A link to `/dev/null`: the admin's word for "as if it were empty".
    Masked,
}

const LOOK: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
const READ: OFlags =
    OFlags::RDONLY.union(OFlags::NOFOLLOW).union(OFlags::NONBLOCK).union(OFlags::NOCTTY).union(OFlags::CLOEXEC);

/// Reads `path`, which lies below `root`, if nobody but its owner can have written it.
pub(super) fn read(root: &Path, path: &Path) -> Result<Found, String> {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return Err("not the path of a file".to_owned());
    };
    let Some(folder) = open_folder(root, folder)? else {
        return Ok(Found::Absent);
    };
    let looked = match openat(&folder, name, LOOK, Mode::empty()) {
        Ok(looked) => looked,
        Err(Errno::NOENT) => return Ok(Found::Absent),
        Err(error) => return Err(error.to_string()),
    };
    if kind(&stat(looked.as_fd())?) == FileType::Symlink {
        return masked_or_refused(looked.as_fd());
    }
    trusted_file(&stat(looked.as_fd())?)?;
    let opened = openat(&folder, name, READ, Mode::empty()).map_err(|error| error.to_string())?;
    // The name may have changed hands between the two; what is read is what is judged.
    trusted_file(&stat(opened.as_fd())?)?;
    bytes(opened).map(Found::Bytes)
}

/// Names in a folder below `root`, in byte order; none where there is no folder.
pub(super) fn names(root: &Path, folder: &Path) -> Result<Vec<OsString>, String> {
    let Some(folder) = open_folder(root, folder)? else {
        return Ok(Vec::new());
    };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let opened = openat(&folder, ".", flags, Mode::empty()).map_err(|error| error.to_string())?;
    let mut names = Vec::new();
    for entry in rustix::fs::Dir::read_from(&opened).map_err(|error| error.to_string())? {
        let entry = entry.map_err(|error| error.to_string())?;
        names.push(OsString::from_vec(entry.file_name().to_bytes().to_vec()));
    }
    names.sort();
    Ok(names)
}

/// Reads a file that the caller named: links are followed, and it is the caller's own affair who
/// owns it, but not that others can write it.
pub(super) fn read_named(path: &Path) -> Result<Vec<u8>, String> {
    let look = OFlags::PATH | OFlags::CLOEXEC;
    let looked = openat(CWD, path, look, Mode::empty()).map_err(|error| error.to_string())?;
    regular(&stat(looked.as_fd())?)?;
    let opened =
        openat(CWD, path, READ.difference(OFlags::NOFOLLOW), Mode::empty()).map_err(|error| error.to_string())?;
    let found = stat(opened.as_fd())?;
    regular(&found)?;
    unwritable(&found)?;
    bytes(opened)
}

/// Opens a folder step by step, each of them trusted and none a link.
fn open_folder(root: &Path, folder: &Path) -> Result<Option<OwnedFd>, String> {
    let below = folder.strip_prefix(root).map_err(|_| format!("not below {}", escape_path(root)))?;
    let look = LOOK.difference(OFlags::NOFOLLOW) | OFlags::DIRECTORY;
    let mut here = match openat(CWD, root, look, Mode::empty()) {
        Ok(opened) => opened,
        Err(Errno::NOENT) => return Ok(None),
        Err(error) => return Err(format!("{}: {error}", escape_path(root))),
    };
    let mut path = root.to_owned();
    trusted_folder(here.as_fd(), &path)?;
    for component in below.components() {
        let name = match component {
            Component::Normal(name) => name,
            Component::CurDir => continue,
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => {
                return Err(format!("{}: not a plain path", escape_path(folder)));
            }
        };
        path.push(name);
        here = match step(here.as_fd(), name) {
            Ok(opened) => opened,
            Err(Errno::NOENT) => return Ok(None),
            Err(error) => return Err(format!("{}: {error}", escape_path(&path))),
        };
        trusted_folder(here.as_fd(), &path)?;
    }
    Ok(Some(here))
}

fn step(folder: BorrowedFd<'_>, name: &OsStr) -> Result<OwnedFd, Errno> {
    openat(folder, name, LOOK, Mode::empty())
}

fn trusted_folder(folder: BorrowedFd<'_>, path: &Path) -> Result<(), String> {
    let found = stat(folder)?;
    let judged = match kind(&found) {
        FileType::Directory => owned(&found).and_then(|()| unwritable(&found)),
        FileType::Symlink => Err("a symbolic link".to_owned()),
        _ => Err("not a folder".to_owned()),
    };
    judged.map_err(|why| format!("not trusted: its folder {} is {why}", escape_path(path)))
}

fn trusted_file(found: &Stat) -> Result<(), String> {
    regular(found)?;
    owned(found).map_err(|why| format!("not trusted: {why}"))?;
    unwritable(found).map_err(|why| format!("not trusted: {why}"))
}

fn regular(found: &Stat) -> Result<(), String> {
    match kind(found) {
        FileType::RegularFile => Ok(()),
        FileType::Directory => Err("a folder, not a file".to_owned()),
        _ => Err("not a regular file".to_owned()),
    }
}

/// Root's, or the caller's own: without root's rights the policy decides only for oneself.
fn owned(found: &Stat) -> Result<(), String> {
    let own = rustix::process::geteuid().as_raw();
    if found.st_uid == 0 || found.st_uid == own {
        return Ok(());
    }
    Err(format!("owned by user {}, not by root", found.st_uid))
}

/// An access list that lets somebody write shows in the group's bits, so the mode is enough,
/// except where the group is root's.
fn unwritable(found: &Stat) -> Result<(), String> {
    let mode = Mode::from_raw_mode(found.st_mode);
    if mode.contains(Mode::WOTH) {
        return Err("writable by others".to_owned());
    }
    if mode.contains(Mode::WGRP) && found.st_gid != 0 {
        return Err(format!("writable by group {}", found.st_gid));
    }
    Ok(())
}

fn masked_or_refused(link: BorrowedFd<'_>) -> Result<Found, String> {
    let target = rustix::fs::readlinkat(link, "", Vec::new()).map_err(|error| error.to_string())?;
    if target.as_bytes() == b"/dev/null" {
        return Ok(Found::Masked);
    }
    Err("a symbolic link; only one to /dev/null is taken, as a mask".to_owned())
}

fn bytes(file: OwnedFd) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    // One byte more tells a file that is too long from one that just fits.
    let read = File::from(file).take(MAX_BYTES + 1).read_to_end(&mut bytes);
    read.map_err(|error| error.to_string())?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(format!("longer than {MAX_BYTES} bytes"));
    }
    Ok(bytes)
}

fn stat(file: BorrowedFd<'_>) -> Result<Stat, String> {
    fstat(file).map_err(|error| error.to_string())
}

fn kind(found: &Stat) -> FileType {
    FileType::from_raw_mode(found.st_mode)
}
