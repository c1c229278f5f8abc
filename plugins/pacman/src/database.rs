//! pacman's local database: a folder for each installed package.
//!
//! `local/NAME-VERSION-RELEASE/` holds `desc`, `files` (sections `%FILES%` and `%BACKUP%`) and
//! `mtree`; pacman itself takes the name and the version from the folder's name.

use crate::config;
use reexec_plugin_paths::{lines, Folders, Lines};
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// The layout that is known: pacman 4.2 to 7.1 write it.
const VERSION: &[u8] = b"9";
/// Most bytes of one list of files; a game with a million files has less.
const MAX_LIST: u64 = 256 << 20;

/// The database below a root.
#[derive(Debug)]
pub struct Database {
    /// `DBPath`, below the root.
    folder: Vec<u8>,
    /// `local` in it, from outside of the root.
    local: PathBuf,
    place: PathBuf,
}

/// An installed package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The folder's name.
    folder: Vec<u8>,
    name: usize,
}

impl Entry {
    /// Splits a folder's name as pacman does: the version is what stands behind the last dash but one.
    pub fn of(folder: Vec<u8>) -> Option<Entry> {
        let release = folder.iter().rposition(|byte| *byte == b'-')?;
        let name = folder[..release].iter().rposition(|byte| *byte == b'-')?;
        let whole = name > 0 && release > name + 1 && release + 1 < folder.len();
        whole.then_some(Entry { folder, name })
    }

    /// Name of the package.
    pub fn name(&self) -> &[u8] {
        &self.folder[..self.name]
    }

    /// Its version and release, with the epoch.
    pub fn version(&self) -> &[u8] {
        &self.folder[self.name + 1..]
    }
}

/// What changes whenever a package comes or goes, below the root: the configuration that says where the
/// database is, and the folder in which pacman makes each package's folder anew.
pub fn basis(folders: &mut Folders) -> Result<[Vec<u8>; 2], String> {
    let config = config::read(folders)?;
    let local = [&folders.resolve_folder(&config.database), &b"/local"[..]].concat();
    Ok([config::CONFIG.to_vec(), local])
}

impl Database {
    /// Opens the database; `None` where nobody uses pacman.
    pub fn find(folders: &mut Folders) -> Result<Option<Database>, String> {
        let config = config::read(folders)?;
        let folder = folders.resolve_folder(&config.database);
        let place = folders.outside(&folder);
        let local = place.join("local");
        match std::fs::metadata(&local) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::NotFound && !config.found => return Ok(None),
            Err(error) => return Err(format!("{}: {error}", local.display())),
        }
        let database = Database { folder, local, place };
        database.check_version()?;
        Ok(Some(database))
    }

    /// Opens the database, which has to be there.
    pub fn open(folders: &mut Folders) -> Result<Database, String> {
        Database::find(folders)?.ok_or_else(|| "no /etc/pacman.conf and no /var/lib/pacman/local".to_owned())
    }

    /// A database without the file has no package yet: pacman writes it with the first one.
    fn check_version(&self) -> Result<(), String> {
        let path = self.local.join("ALPM_DB_VERSION");
        let mut text = Vec::new();
        match File::open(&path).and_then(|file| file.take(100).read_to_end(&mut text)) {
            Ok(_) if text.trim_ascii() == VERSION => Ok(()),
            Ok(_) => Err(format!(
                "{}: version \"{}\" of the database is not known, only {}",
                path.display(),
                text.trim_ascii().escape_ascii(),
                VERSION.escape_ascii()
            )),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(format!("{}: {error}", path.display())),
        }
    }

    /// The lock's path, below the root and from outside of it.
    pub fn lock(&self) -> (Vec<u8>, PathBuf) {
        ([&self.folder, &b"/db.lck"[..]].concat(), self.place.join("db.lck"))
    }

    /// All installed packages, by their folders' names.
    pub fn entries(&self) -> Result<Vec<Entry>, String> {
        let unread = |error: std::io::Error| format!("{}: {error}", self.local.display());
        let mut entries = Vec::new();
        for entry in std::fs::read_dir(&self.local).map_err(unread)? {
            entries.extend(Entry::of(entry.map_err(unread)?.file_name().into_vec()));
        }
        entries.sort_by(|a, b| a.folder.cmp(&b.folder));
        Ok(entries)
    }

    /// A file of an entry.
    pub fn file(&self, entry: &Entry, name: &str) -> PathBuf {
        use std::os::unix::ffi::OsStrExt;
        self.local.join(std::ffi::OsStr::from_bytes(&entry.folder)).join(name)
    }

    /// Reads a file of an entry's folder into a buffer that is used again for each.
    pub fn read(&self, entry: &Entry, name: &str, into: &mut Vec<u8>) -> std::io::Result<()> {
        into.clear();
        File::open(self.file(entry, name))?.take(MAX_LIST).read_to_end(into)?;
        Ok(())
    }
}

/// What was not read, as a line for the admin.
pub fn unread(path: &Path, error: &std::io::Error) -> String {
    format!("{}: {error}", path.display())
}

/// The lines of one section of a `files` file.
#[derive(Debug)]
pub struct Section<'a>(Option<Lines<'a>>);

/// The names of a package, relative to the root; folders end with a slash.
pub fn names(files: &[u8]) -> Section<'_> {
    section(files, b"%FILES%")
}

/// The files whose changes by the admin are kept, each with a tab and the MD5 digest of the
/// packaged content behind it.
pub fn backups(files: &[u8]) -> Section<'_> {
    section(files, b"%BACKUP%")
}

/// The lines below a title, in any file of a package's folder.
pub fn section<'a>(files: &'a [u8], title: &[u8]) -> Section<'a> {
    let mut all = lines(files);
    let found = all.any(|line| line == title);
    Section(found.then_some(all))
}

impl<'a> Iterator for Section<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let line = self.0.as_mut()?.next().filter(|line| !line.is_empty());
        if line.is_none() {
            self.0 = None;
        }
        line
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use flate2::{write::GzEncoder, Compression};
    use reexec_plugin_paths::trial::TestRoot;
    use std::io::Write;

    /// With an empty database.
    pub fn bare() -> TestRoot {
        let root = TestRoot::new("");
        root.write("etc/pacman.conf", b"[options]\nHoldPkg = pacman\n[core]\nInclude = /etc/mirrors\n");
        root.write("var/lib/pacman/local/ALPM_DB_VERSION", b"9\n");
        root
    }

    /// Installs a package: its folder's name, its files, and its mtree without the first line.
    pub fn install(root: &TestRoot, folder: &str, files: &[u8], mtree: &[u8]) {
        let file = |name: &str| format!("var/lib/pacman/local/{folder}/{name}");
        root.write(&file("desc"), b"%NAME%\n");
        root.write(&file("files"), files);
        let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
        packed.write_all(b"#mtree\n/set type=file uid=0 gid=0 mode=644\n").expect("memory");
        packed.write_all(mtree).expect("memory");
        root.write(&file("mtree"), &packed.finish().expect("memory"));
    }

    /// The root of most tests: a library with a configuration file, and a tool.
    pub fn usual() -> TestRoot {
        let root = bare();
        root.merge(&["lib"]);
        install(
            &root,
            "libx-1:2.0-1",
            b"%FILES%\netc/\netc/libx.conf\nusr/\nusr/lib/\nusr/lib/libx.so\nusr/lib/libx.so.2\n\n\
                  %BACKUP%\netc/libx.conf\t0123456789abcdef0123456789abcdef\n\n",
            b"./.PKGINFO size=10 sha256digest=00\n./etc mode=755 type=dir\n\
                  ./etc/libx.conf time=1.0 size=3 md5digest=aa sha256digest=0c\n\
                  ./usr/lib/libx.so mode=777 type=link link=libx.so.2\n\
                  ./usr/lib/libx.so.2 time=1.0 size=3 md5digest=bb sha256digest=0b\n",
        );
        install(
            &root,
            "x-tool-0.5-2",
            b"%FILES%\nusr/\nusr/bin/\nusr/bin/tool\nusr/bin/with space\nusr/share/\nusr/share/README\n\n",
            b"./usr/bin/tool mode=755 size=3 sha256digest=01\n./usr/bin/with\\040space sha256digest=02\n",
        );
        root
    }

    #[test]
    fn a_folders_name_is_split_as_pacman_does() {
        for (folder, expected) in [
            ("libx-1:2.0-1", Some(("libx", "1:2.0-1"))),
            ("xorg-server-common-21.1-2", Some(("xorg-server-common", "21.1-2"))),
            ("ALPM_DB_VERSION", None),
            ("a-1", None),
            ("-1-1", None),
            ("a--1", None),
            ("a-1-", None),
            ("", None),
        ] {
            let entry = Entry::of(folder.into());
            let parts = entry.as_ref().map(|entry| (entry.name(), entry.version()));
            assert_eq!(parts, expected.map(|(name, version)| (name.as_bytes(), version.as_bytes())), "{folder}");
        }
    }

    #[test]
    fn a_section_ends_with_an_empty_line_or_the_text() {
        let text = b"%FILES%\na\nb/\n\n%BACKUP%\nc\td\n";
        assert_eq!(names(text).collect::<Vec<_>>(), [&b"a"[..], b"b/"]);
        assert_eq!(backups(text).collect::<Vec<_>>(), [b"c\td"]);
        assert_eq!(names(b"").count() + names(b"%FILES%").count() + backups(b"%FILES%\na\n").count(), 0);
    }

    #[test]
    fn a_database_of_another_version_is_refused_with_its_place() {
        let root = usual();
        root.write("var/lib/pacman/local/ALPM_DB_VERSION", b"10\n");
        let why = Database::open(&mut Folders::below(root.path())).expect_err("unknown");
        assert!(why.ends_with("ALPM_DB_VERSION: version \"10\" of the database is not known, only 9"), "{why}");
    }

    #[test]
    fn where_nobody_uses_pacman_there_is_no_database_and_a_lost_one_is_an_error() {
        let root = bare();
        std::fs::remove_dir_all(root.path().join("var")).expect("remove");
        let why = Database::find(&mut Folders::below(root.path())).expect_err("lost");
        assert!(why.contains("var/lib/pacman/local: No such file"), "{why}");
        std::fs::remove_file(root.path().join("etc/pacman.conf")).expect("remove");
        assert!(Database::find(&mut Folders::below(root.path())).expect("an answer").is_none());
    }
}
