//! What a process was executed as and by which names its libraries were loaded, from its own memory.
//!
//! The dynamic loader keeps a list of what it loaded for debuggers (`struct r_debug` of link.h,
//! rtld-debugger-interface of glibc and musl). All of it is written by the process itself: it is a
//! hint about which name counts for it, bounded, and no proof of anything.

use super::mappings::{Mappings, Source};
use super::procs::ProcessHandle;
use crate::model::file::FileId;
use crate::model::mapping::Wanted;
use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::File;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

/// Entries of the auxiliary vector (getauxval(3)).
const AT_PHDR: u64 = 3;
const AT_PHENT: u64 = 4;
const AT_PHNUM: u64 = 5;
const AT_EXECFN: u64 = 31;
/// Size of a 64-bit program header; a 32-bit process is not asked.
const PHENT_64: u64 = 56;
const PT_DYNAMIC: u64 = 2;
const PT_PHDR: u64 = 6;
const DT_DEBUG: u64 = 21;
/// A process with more libraries lies, or is nobody's program.
const MOST_LIBRARIES: usize = 4096;

/// A process's memory and auxiliary vector.
#[derive(Debug)]
pub struct Memory {
    memory: File,
    auxv: Vec<(u64, u64)>,
}

impl Memory {
    /// Opens the memory of a 64-bit process.
    pub fn of(process: &ProcessHandle) -> Option<Memory> {
        let words = words(&process.auxv().ok()?);
        let auxv = words.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect();
        Some(Memory { memory: process.open_memory().ok()?, auxv })
    }

    fn aux(&self, kind: u64) -> Option<u64> {
        self.auxv.iter().find(|(entry, _)| *entry == kind).map(|(_, value)| *value)
    }

    fn words(&self, address: u64, count: usize) -> Option<Vec<u64>> {
        let mut bytes = vec![0; count * 8];
        self.memory.read_exact_at(&mut bytes, address).ok()?;
        Some(words(&bytes))
    }

    fn path(&self, address: u64) -> Option<PathBuf> {
        let mut bytes = vec![0; 4096];
        let read = self.memory.read_at(&mut bytes, address).ok()?;
        let end = bytes[..read].iter().position(|&byte| byte == 0)?;
        bytes.truncate(end);
        (end > 0).then(|| PathBuf::from(OsString::from_vec(bytes)))
    }

    /// The path that was given to execve(2).
    pub fn executed_as(&self) -> Option<PathBuf> {
        self.path(self.aux(AT_EXECFN)?)
    }

    /// The name by which the dynamic loader loaded each library, by the inode that is mapped where
    /// the library's dynamic section lies: a file that was mapped in another way has none.
    pub fn libraries(&self, process: &ProcessHandle) -> HashMap<FileId, PathBuf> {
        let mut mappings = Mappings::from(Source::Text);
        let read = process.open_maps().and_then(|maps| mappings.read(&maps, Wanted::Files));
        let (Ok(()), Some(names)) = (read, self.link_maps()) else { return HashMap::new() };
        let rows = mappings.rows();
        let inode_at = |address: u64| {
            let after = rows.partition_point(|row| row.mapping.end <= address);
            rows.get(after).filter(|row| row.mapping.start <= address).map(|row| row.mapping.id)
        };
        names.into_iter().filter_map(|(dynamic, name)| Some((inode_at(dynamic)?, name))).collect()
    }

    fn link_maps(&self) -> Option<Vec<(u64, PathBuf)>> {
        let headers = self.aux(AT_PHDR).filter(|_| self.aux(AT_PHENT) == Some(PHENT_64))?;
        let count = usize::try_from(self.aux(AT_PHNUM)?).ok().filter(|&count| count <= 128)?;
        let table = self.words(headers, count * 7)?;
        // Words of a header: type and flags, offset, address, physical address, sizes, alignment.
        let header = |kind: u64| table.chunks_exact(7).find(|header| header[0] & 0xffff_ffff == kind);
        let bias = header(PT_PHDR).map_or(0, |own| headers.wrapping_sub(own[2]));
        let dynamic = header(PT_DYNAMIC)?;
        let entries = usize::try_from(dynamic[5] / 16).ok().filter(|&entries| entries <= 1024)?;
        let table = self.words(bias.wrapping_add(dynamic[2]), entries * 2)?;
        let debug = table.chunks_exact(2).find(|entry| entry[0] == DT_DEBUG)?[1];
        let mut next = self.words(debug, 2)?[1];
        let mut found = Vec::new();
        while next != 0 && found.len() < MOST_LIBRARIES {
            let map = self.words(next, 4)?;
            if let Some(name) = self.path(map[1]) {
                found.push((map[2], name));
            }
            next = map[3];
        }
        Some(found)
    }
}

fn words(bytes: &[u8]) -> Vec<u64> {
    bytes.chunks_exact(8).map(|word| u64::from_ne_bytes(word.try_into().unwrap_or_default())).collect()
}
