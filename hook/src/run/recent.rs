//! The files that a thread of a scan met last.

use crate::model::file::{FileId, Stamp};

/// What must be known of a file that is the same in every mount namespace, and is executed.
#[derive(Debug, Clone, Copy)]
pub struct Met {
    /// Which file.
    pub id: FileId,
    /// Who started later has nothing to fear.
    pub since: Stamp,
    /// First byte of the file's pages behind its end.
    pub end: u64,
    /// Somebody was started with it.
    pub is_program: bool,
}

/// The files that one thread met last: most processes map the same few, and looking each up by its hash is what
/// telling them costs most.
#[derive(Debug)]
pub struct Recent {
    /// By the lowest bits of the inode number: files that were installed together have numbers in a row.
    rows: Box<[Option<Met>; RECENT]>,
    /// Since anything was removed nothing of it holds.
    removed: usize,
}

/// More than most hosts have mapped files.
const RECENT: usize = 512;

impl Default for Recent {
    fn default() -> Recent {
        Recent { rows: Box::new([None; RECENT]), removed: 0 }
    }
}

impl Recent {
    /// Forgets all where something was removed since.
    pub fn renew(&mut self, removed: usize) {
        if self.removed != removed {
            self.rows.fill(None);
            self.removed = removed;
        }
    }

    /// The file, if it was met a moment ago.
    pub fn get(&self, id: FileId) -> Option<&Met> {
        self.rows[id.ino as usize % RECENT].as_ref().filter(|met| met.id == id)
    }

    /// Remembers a file in the place of another one.
    pub fn put(&mut self, met: Met) {
        self.rows[met.id.ino as usize % RECENT] = Some(met);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_told_from_another_one_in_its_place_and_nothing_outlives_a_removal() {
        let met = |dev, ino| Met { id: FileId { dev, ino }, since: 1, end: 4096, is_program: false };
        let end = |recent: &Recent, dev, ino| recent.get(FileId { dev, ino }).map(|met| met.end);
        let mut recent = Recent::default();
        recent.put(met(1, 7));
        assert_eq!((end(&recent, 1, 7), end(&recent, 2, 7), end(&recent, 1, 8)), (Some(4096), None, None));
        recent.put(met(1, 7 + RECENT as u64));
        assert_eq!((end(&recent, 1, 7), end(&recent, 1, 7 + RECENT as u64)), (None, Some(4096)));
        recent.renew(0);
        assert_eq!(end(&recent, 1, 7 + RECENT as u64), Some(4096));
        recent.renew(1);
        assert_eq!(end(&recent, 1, 7 + RECENT as u64), None);
    }
}
