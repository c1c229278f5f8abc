//! The mappings of one process, by `PROCMAP_QUERY` (Linux 6.11) or from the text of `maps`: the same
//! rows from both, in buffers that are used again for each process.
//!
//! A question for each mapping that is wanted is three times as fast as the text, which is mostly the
//! kernel printing path names (`docs/performance.md`), and no wait for a process that is busy with its
//! mappings.

use super::files::reason;
use super::proc_folder::Procs;
use super::raw;
use crate::model::mapping::{parse_maps, says_deleted, Mapping, Wanted};
use crate::model::process::Gap;
use crate::model::resting::Code;
use crate::model::text;
use rustix::io::Errno;
use std::fs::File;
use std::ops::Range;
use std::os::fd::AsFd;

/// Where mappings are read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The text of `maps`: every kernel.
    Text,
    /// `PROCMAP_QUERY`.
    Query,
}

/// Sixty thousand mappings with paths of 4,000 bytes make 250 MB; more is nobody's program.
const MOST_TEXT: usize = 512 << 20;
/// What is kept of the buffer of a process with a long text.
const KEPT_TEXT: usize = 1 << 20;
/// More than the 4 KiB that one read of `maps` gives.
const ROOM: usize = 16 << 10;

/// Whether this kernel answers questions about single mappings.
pub fn can_be_asked(procs: &Procs) -> bool {
    procs.open_own_maps().is_ok_and(|maps| raw::file_mapping(maps.as_fd(), 0, Wanted::Files).is_ok())
}

/// One mapping of a file.
#[derive(Debug, Clone)]
pub struct Row {
    /// The mapping, without its name.
    pub mapping: Mapping<'static>,
    /// Whether the text says that its name is gone; a question does not ask for names.
    pub deleted: bool,
    /// Where the text has its name.
    name: Range<usize>,
}

/// The mappings of one process.
#[derive(Debug)]
pub struct Mappings {
    source: Source,
    rows: Vec<Row>,
    text: Vec<u8>,
    /// The first line that cannot be understood.
    fault: Option<Gap>,
}

impl Mappings {
    /// Buffers for reading from this source.
    pub fn from(source: Source) -> Mappings {
        Mappings { source, rows: Vec::new(), text: Vec::new(), fault: None }
    }

    /// Reads the mappings behind an open `maps`, by address. `Vanished` where there is no memory: a
    /// kernel thread, a zombie, or a first thread that has ended.
    pub fn read(&mut self, maps: &File, wanted: Wanted) -> Result<(), Gap> {
        self.rows.clear();
        self.fault = None;
        match self.source {
            Source::Query => self.ask(maps, wanted),
            Source::Text => {
                self.text.clear();
                self.text.shrink_to(KEPT_TEXT);
                read_text(maps, &mut self.text)?;
                self.parse(wanted)
            }
        }
    }

    /// Takes what an earlier look saw of a process for what it maps, without names and addresses.
    pub fn recall(&mut self, codes: impl Iterator<Item = Code>) {
        self.rows.clear();
        self.fault = None;
        let (read, write, execute, shared, name) = (true, false, true, false, &b""[..]);
        let mapping = |code: Code| Mapping {
            start: 0,
            end: code.reach,
            read,
            write,
            execute,
            shared,
            offset: 0,
            id: code.id,
            name,
        };
        self.rows.extend(codes.map(|code| Row { mapping: mapping(code), deleted: false, name: 0..0 }));
    }

    fn ask(&mut self, maps: &File, wanted: Wanted) -> Result<(), Gap> {
        let mut next = 0;
        loop {
            match raw::file_mapping(maps.as_fd(), next, wanted) {
                Ok(mapping) => {
                    next = mapping.end;
                    self.rows.push(Row { mapping, deleted: false, name: 0..0 });
                }
                Err(Errno::NOENT) => return Ok(()),
                Err(Errno::SRCH) => return Err(Gap::Vanished),
                Err(error) => return Err(Gap::Failed(reason(error))),
            }
        }
    }

    fn parse(&mut self, wanted: Wanted) -> Result<(), Gap> {
        if self.text.is_empty() {
            return Err(Gap::Vanished);
        }
        let start = self.text.as_ptr() as usize;
        for mapping in parse_maps(&self.text, wanted) {
            match mapping {
                Ok(mapping) => {
                    let at = mapping.name.as_ptr() as usize - start;
                    let (deleted, name) = (says_deleted(mapping.name), at..at + mapping.name.len());
                    self.rows.push(Row { mapping: Mapping { name: b"", ..mapping }, deleted, name });
                }
                Err(error) => {
                    let fault = || Gap::Unparsable(format!("maps: {}", text::escape(&error.line)));
                    self.fault.get_or_insert_with(fault);
                }
            }
        }
        Ok(())
    }

    /// What was read.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// A line that could not be understood.
    pub fn fault(&self) -> Option<&Gap> {
        self.fault.as_ref()
    }

    /// The mapping in a row with its name, which is asked for only now; empty where it went away
    /// meanwhile: the judge says then that it leads nowhere.
    pub fn named(&mut self, maps: &File, row: usize) -> Mapping<'_> {
        let Row { mapping, name, .. } = self.rows[row].clone();
        match self.source {
            Source::Text => Mapping { name: &self.text[name], ..mapping },
            Source::Query => {
                if raw::mapping_name(maps.as_fd(), mapping.start, &mut self.text) == Err(Errno::NAMETOOLONG) {
                    self.text = name_in_text(maps, mapping.start).unwrap_or_default();
                }
                Mapping { name: &self.text, ..mapping }
            }
        }
    }

    /// Whether the process behind an open `maps` still has the memory that was read.
    pub fn is_alive(&self, maps: &File) -> bool {
        match self.source {
            Source::Query => !matches!(raw::file_mapping(maps.as_fd(), 0, Wanted::Code), Err(Errno::SRCH)),
            Source::Text => rustix::io::pread(maps, &mut [0; 1], 0).is_ok_and(|read| read > 0),
        }
    }
}

/// The name of the mapping at an address in the text, which tells longer ones than a question does.
fn name_in_text(maps: &File, start: u64) -> Option<Vec<u8>> {
    let (mut text, mut piece) = (Vec::new(), vec![0; ROOM]);
    while text.len() < MOST_TEXT {
        match rustix::io::pread(maps, &mut piece, text.len() as u64).ok()? {
            0 => break,
            read => text.extend_from_slice(&piece[..read]),
        }
    }
    let mapping = parse_maps(&text, Wanted::Files).filter_map(Result::ok).find(|mapping| mapping.start == start);
    mapping.map(|mapping| mapping.name.to_vec())
}

fn read_text(maps: &File, into: &mut Vec<u8>) -> Result<(), Gap> {
    loop {
        into.reserve(ROOM);
        match rustix::io::read(maps, rustix::buffer::spare_capacity(into)) {
            Ok(0) => return Ok(()),
            Ok(_) if into.len() >= MOST_TEXT => {
                return Err(Gap::Failed("more than 512 MiB of mappings".to_owned()));
            }
            Ok(_) | Err(Errno::INTR) => {}
            Err(Errno::SRCH) => return Ok(()),
            Err(error) => return Err(Gap::Failed(reason(error))),
        }
    }
}
