//! When the folders of mapped files were changed.

use crate::model::file::Stamp;
use crate::model::judge::Space;
use crate::sys::files::Links;
use crate::sys::spaces::Spaces;
use std::collections::HashMap;
use std::ffi::OsString;
use std::path::Path;

/// When something happened to a folder, at the latest.
#[derive(Debug, Clone, Copy, Default)]
pub struct Folder {
    /// It or one above it was moved.
    pub moved: Option<Stamp>,
    /// It was changed in any way, as when a name comes into it or leaves it.
    pub changed: Option<Stamp>,
}

/// Folders that were looked at, each once.
#[derive(Debug, Default)]
pub struct Folders {
    // As text: hashing and comparing a path takes it apart.
    known: HashMap<(Space, OsString), Folder, foldhash::fast::RandomState>,
}

impl Folders {
    /// What comes into a folder, or leaves it, changes both of its times; a rename of itself only the second
    /// (inode(7)).
    pub fn look(&mut self, spaces: &Spaces, space: Space, folder: &Path) -> Folder {
        let key = (space, folder.as_os_str().to_owned());
        if let Some(&known) = self.known.get(&key) {
            return known;
        }
        let above = folder.parent().and_then(|above| self.look(spaces, space, above).moved);
        let facts = spaces.root(space).and_then(|root| root.look(folder, Links::Keep).found().copied());
        let own = facts.filter(|facts| facts.changed > facts.modified).map(|facts| facts.changed);
        let found = Folder { moved: above.max(own), changed: facts.map(|facts| facts.changed) };
        self.known.insert(key, found);
        found
    }
}
