//! Mappings by `PROCMAP_QUERY` (Linux 6.11): one question for each executable mapping of a file.
//!
//! Three times as fast as the text of `maps`, which is mostly the kernel printing path names
//! (`facts/scan-performance.md`), and no wait for a process that is busy with its mappings.

use super::procs;
use super::raw;
use crate::model::mapping::Mapping;
use rustix::io::Errno;
use std::fs::File;
use std::os::fd::AsFd;
use std::path::Path;

/// Whether this kernel answers.
pub fn is_there(proc: &Path) -> bool {
    let own = procs::open(proc, std::process::id() as i32).and_then(|own| own.open_maps());
    own.is_ok_and(|maps| raw::code_mapping(maps.as_fd(), 0).is_ok())
}

/// Whether there is memory to ask about: none in a kernel thread, a zombie, or behind a first thread
/// that has ended.
pub fn has_memory(maps: &File) -> bool {
    !matches!(raw::code_mapping(maps.as_fd(), 0), Err(Errno::SRCH))
}

/// All executable mappings of files, by address, without names.
pub fn code_mappings(maps: &File) -> impl Iterator<Item = Mapping<'static>> + '_ {
    let mut next = 0;
    std::iter::from_fn(move || {
        let mapping = raw::code_mapping(maps.as_fd(), next).ok()?;
        next = mapping.end;
        Some(mapping)
    })
}

/// The name of a mapping, raw; empty where it went away meanwhile or is longer than a path may be.
pub fn name_of(maps: &File, mapping: &Mapping<'_>, into: &mut Vec<u8>) {
    // What cannot be asked has no name, and then its path leads nowhere: the judge says so.
    let _ = raw::mapping_name(maps.as_fd(), mapping.start, into);
}
