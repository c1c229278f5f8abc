//! A process that is looked at closely, with the files that it maps.

use super::is_examined;
use crate::model::file::{Look, Stamp};
use crate::model::judge::{Space, Use};
use crate::model::mapping::Mapping;
use crate::run::scan::Extent;
use crate::run::sights::Sights;
use crate::sys::mappings::{Mappings, Row};
use crate::sys::procs::{build_id, ProcessHandle};
use std::fs::File;

/// A process that is looked at closely.
pub(super) struct Subject<'a> {
    pub(super) reader: &'a ProcessHandle,
    pub(super) maps: &'a File,
    pub(super) space: Space,
    pub(super) program: Look,
    pub(super) started: Option<Stamp>,
    pub(super) uses: Vec<Use>,
}

impl Subject<'_> {
    pub(super) fn add_all(
        &mut self,
        sights: &mut Sights,
        mappings: &mut Mappings,
        is_meant: impl Fn(&Mapping<'_>) -> bool,
    ) {
        for row in 0..mappings.rows().len() {
            if is_meant(&mappings.rows()[row].mapping) {
                self.add_row(sights, mappings, row);
            }
        }
    }

    pub(super) fn add_row(&mut self, sights: &mut Sights, mappings: &mut Mappings, row: usize) {
        let file = self.nameless(sights, &mappings.rows()[row]).unwrap_or_else(|| {
            let named = mappings.named(self.maps, row);
            sights.file_of(self.reader, self.space, &named, &self.program)
        });
        self.add(sights, file, &mappings.rows()[row].mapping);
    }

    /// Adds the file of a mapping, if it was met before by the name that it has.
    pub(super) fn add_met(&mut self, sights: &Sights, mappings: &mut Mappings, row: usize) -> bool {
        let nameless = self.nameless(sights, &mappings.rows()[row]);
        let Some(file) = nameless.or_else(|| sights.met(self.space, &mappings.named(self.maps, row))) else {
            return false;
        };
        self.add(sights, file, &mappings.rows()[row].mapping);
        true
    }

    /// The file of a mapping whose name need not be asked for.
    fn nameless(&self, sights: &Sights, row: &Row) -> Option<u32> {
        if row.deleted {
            return None;
        }
        sights.nameless(self.space, row.mapping.id, self.started)
    }

    fn add(&mut self, sights: &Sights, file: u32, mapping: &Mapping<'_>) {
        let index = match self.uses.iter().rposition(|usage| usage.file == file) {
            Some(index) => index,
            None => {
                let sighting = &sights.files[file as usize].sighting;
                let is_program = match (&self.program, &sighting.mapped) {
                    (Look::Found(program), Look::Found(mapped)) => program.id == mapped.id,
                    (Look::Found(program), _) => program.id.ino == sighting.printed.ino,
                    _ => false,
                };
                self.uses.push(Use::of(file, is_program, (mapping.start, mapping.end)));
                self.uses.len() - 1
            }
        };
        let usage = &mut self.uses[index];
        usage.execute |= mapping.execute;
        usage.writes |= mapping.shared && mapping.write;
        usage.shared &= mapping.shared;
        usage.reach = usage.reach.max(mapping.reach());
    }

    /// The inode number of the program where none of its mappings was met.
    pub(super) fn unmet_program(&self) -> Option<u64> {
        let met = self.uses.iter().any(|usage| usage.is_program);
        self.program.found().filter(|_| !met).map(|program| program.id.ino)
    }

    pub(super) fn examine(&mut self, sights: &mut Sights, extent: Extent) {
        for usage in &self.uses {
            if is_examined(usage, extent) {
                sights.examine(usage, Some((self.reader, self.maps)));
            }
            sights.remember(usage);
        }
    }

    /// On an overlayfs a file that was written to is another one than who maps it has.
    pub(super) fn compare_upper(&mut self, sights: &Sights) {
        for usage in self.uses.iter_mut().filter(|usage| usage.execute || usage.is_program) {
            if let Some(upper) = &sights.files[usage.file as usize].upper_build_id {
                usage.old_bytes = build_id(self.maps, usage.range.0).is_some_and(|mapped| mapped != *upper);
            }
        }
    }
}
