//! Bytes from outside: bounded, with a deadline, from a file or from standard input.

use anyhow::{bail, Context, Result};
use rustix::event::{poll, PollFd, PollFlags, Timespec};
use rustix::fs::{Mode, OFlags};
use std::fs::File;
use std::io::Read;
use std::os::fd::AsFd;
use std::path::Path;
use std::time::{Duration, Instant};

/// What was read, and whether there was more.
#[derive(Debug, Default)]
pub struct Input {
    /// The bytes, up to the bound.
    pub bytes: Vec<u8>,
    /// Why it is not all; `None` when the end was seen.
    pub cut: Option<String>,
}

/// Reads standard input to its end, to `most` bytes or to the deadline. What comes behind the bound
/// is read and thrown away, so that the writer is not stopped by a broken pipe.
pub fn stdin(most: usize, deadline: Duration) -> Result<Input> {
    let stdin = std::io::stdin();
    let end = Instant::now() + deadline;
    let mut input = Input::default();
    let mut chunk = vec![0; 16 << 10];
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() || !readable(&stdin, left)? {
            input.cut = Some(format!("the input did not end within {} s", deadline.as_secs()));
            return Ok(input);
        }
        let read = match rustix::io::read(&stdin, &mut chunk) {
            Ok(read) => read,
            Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => continue,
            // Closed or a folder: there is no input.
            Err(_) => return Ok(input),
        };
        if read == 0 {
            return Ok(input);
        }
        let room = most - input.bytes.len();
        input.bytes.extend_from_slice(&chunk[..read.min(room)]);
        if read > room {
            input.cut = Some(format!("the input is longer than {} MiB", most >> 20));
        }
    }
}

fn readable(file: impl AsFd, left: Duration) -> Result<bool> {
    let timeout = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: i64::from(left.subsec_nanos()) };
    match poll(&mut [PollFd::new(&file, PollFlags::IN)], Some(&timeout)) {
        Ok(ready) => Ok(ready > 0),
        Err(rustix::io::Errno::INTR) => Ok(true),
        Err(error) => Err(error).context("wait for input"),
    }
}

/// Opens a regular file for reading, and nothing that makes us wait.
pub fn open(path: &Path) -> Result<File> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty()).map_err(std::io::Error::from)?);
    if !file.metadata()?.is_file() {
        bail!("not a regular file");
    }
    Ok(file)
}

/// Reads a regular file of at most `most` bytes.
pub fn file(path: &Path, most: u64) -> Result<Vec<u8>> {
    let file = open(path)?;
    // And one more, to see the end.
    let mut bytes = Vec::with_capacity(file.metadata()?.len().min(most) as usize + 1);
    file.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        bail!("longer than {} MiB", most >> 20);
    }
    Ok(bytes)
}
