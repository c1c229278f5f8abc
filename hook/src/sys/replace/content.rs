//! The bytes of a new file: shared with the source where the file system can, else copied.

use anyhow::{bail, Context, Result};
use rustix::fs::{copy_file_range, ioctl_ficlone, Mode, OFlags};
use rustix::io::Errno;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::path::Path;

use crate::model::file::FileKind;
use crate::sys::files::look_at;

/// As much as one call of the kernel copies at most.
const AT_ONCE: usize = 1 << 30;
const CHUNK: usize = 256 << 10;

/// Opens what is to be put in place: a regular file, through links if there are some.
pub fn open(path: &Path) -> Result<File> {
    // Not blocking: a FIFO under that name must not hold us.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = rustix::fs::open(path, flags, Mode::empty()).with_context(|| path.display().to_string())?;
    match look_at(file.as_fd()).found().map(|facts| facts.kind) {
        Some(FileKind::Regular) => Ok(file.into()),
        Some(FileKind::Folder) => bail!("{} is a folder", path.display()),
        _ => bail!("{} is no regular file", path.display()),
    }
}

/// Copies a whole file into an empty one.
pub fn copy(from: &File, into: &mut File) -> Result<()> {
    if ioctl_ficlone(&*into, from).is_ok() {
        return Ok(());
    }
    let mut copied = false;
    loop {
        match copy_file_range(from, None, &*into, None, AT_ONCE) {
            // Some files of /proc and /sys have a size of 0 and bytes all the same.
            Ok(0) if !copied => break,
            Ok(0) => return Ok(()),
            Ok(_) => copied = true,
            Err(Errno::INTR) => {}
            Err(_) if !copied => break,
            Err(error) => return Err(error.into()),
        }
    }
    pour(&mut &*from, into)
}

/// Writes all that comes from a stream.
pub fn pour(from: &mut impl Read, into: &mut File) -> Result<()> {
    let mut chunk = vec![0; CHUNK];
    loop {
        match from.read(&mut chunk) {
            Ok(0) => return Ok(()),
            Ok(read) => into.write_all(&chunk[..read])?,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error).context("read"),
        }
    }
}

/// Standard input, to its end.
pub fn pour_input(into: &mut File) -> Result<()> {
    pour(&mut std::io::stdin().lock(), into)
}
