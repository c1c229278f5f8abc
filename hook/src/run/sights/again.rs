//! Files that an earlier look met, by the names that it kept of them.

use super::Sights;
use crate::model::file::Look;
use crate::model::judge::{Sighting, Space, Use};
use crate::model::mapping::says_deleted;
use crate::model::resting::Name;
use crate::sys::mappings::Row;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

impl Sights {
    /// Looks at the files of a process that has not run since an earlier look, as far as nobody has met them in this
    /// one: whose name of then leads to the inode that it maps is what it was, and nobody is asked for its name. The
    /// first file is its program. Whether there were any.
    pub fn meet_again<'n>(&mut self, rows: &[Row], names: impl Iterator<Item = Option<Name<'n>>>) -> bool {
        let mut any = false;
        for (index, (row, name)) in rows.iter().zip(names).enumerate() {
            let (id, is_program) = (row.mapping.id, index == 0);
            if let Some(plain) = self.plain.get_mut(&(Space::HOST, id)) {
                any |= is_program && !plain.is_program;
                plain.is_program |= is_program;
                continue;
            }
            let Some(name) = name.filter(|_| !self.known.contains_key(&(Space::HOST, id))) else { continue };
            let look = self.look(Space::HOST, Path::new(OsStr::from_bytes(name)));
            let Some(facts) = look.found().filter(|facts| facts.id == id && facts.links == 1) else { continue };
            let file = self.add(Space::HOST, Sighting::live(name, *facts));
            let used = Use { execute: true, ..Use::of(file, is_program, (row.mapping.start, row.mapping.end)) };
            self.examine(&used, None);
            if self.files[file as usize].examined {
                self.remember(&used);
                any = true;
            }
        }
        any
    }

    /// The name that is to be kept of a file for the next look: that of the host's files that have no other one.
    pub fn lasting_name(sighting: &Sighting) -> Option<Name<'_>> {
        let leads_there =
            |look: &Look| look.found().is_some_and(|facts| facts.id == sighting.printed && facts.links == 1);
        let is_meant = sighting.on_host && !sighting.name.contains(&b'\\') && !says_deleted(&sighting.name);
        sighting.names.first().filter(|(_, look)| is_meant && leads_there(look)).map(|_| sighting.name.as_slice())
    }
}
