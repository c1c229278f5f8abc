//! Where the database is: `DBPath` of `pacman.conf`.

use reexec_plugin_paths::{lines, shown, Folders};
use std::ffi::OsStr;
use std::io::{ErrorKind, Read};
use std::os::unix::ffi::OsStrExt;

/// The file that pacman reads where nobody names another one.
pub const CONFIG: &[u8] = b"/etc/pacman.conf";
/// What pacman is built with everywhere.
const DEFAULT: &[u8] = b"/var/lib/pacman";
/// Most bytes of one file.
const MAX_CONFIG: u64 = 1 << 20;
/// Files that include files: pacman's own limit.
const MAX_DEPTH: u32 = 10;

/// What the configuration says.
#[derive(Debug, PartialEq, Eq)]
pub struct Config {
    /// The folder of the database, below the root.
    pub database: Vec<u8>,
    /// Whether there is a configuration at all: else nobody uses pacman here.
    pub found: bool,
}

/// Reads the configuration below the root. What a command line says is not known here.
pub fn read(folders: &Folders) -> Result<Config, String> {
    let mut reader = Reader { folders, in_options: false, database: None };
    let found = reader.file(CONFIG, MAX_DEPTH)?;
    let database = reader.database.unwrap_or_else(|| DEFAULT.to_vec());
    Ok(Config { database, found })
}

struct Reader<'a> {
    folders: &'a Folders,
    in_options: bool,
    /// The first one that is said counts.
    database: Option<Vec<u8>>,
}

impl Reader<'_> {
    /// Whether the file was there.
    fn file(&mut self, path: &[u8], depth: u32) -> Result<bool, String> {
        let place = self.folders.outside(path);
        let mut text = Vec::new();
        match std::fs::File::open(&place).and_then(|file| file.take(MAX_CONFIG).read_to_end(&mut text)) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(format!("{}: {error}", place.display())),
        }
        for line in lines(&text).map(<[u8]>::trim_ascii) {
            if let Some(section) = line.strip_prefix(b"[").and_then(|line| line.strip_suffix(b"]")) {
                self.in_options = section == b"options";
                continue;
            }
            let Some(at) = line.iter().position(|byte| *byte == b'=').filter(|_| self.in_options) else {
                continue;
            };
            let (key, value) = (line[..at].trim_ascii(), line[at + 1..].trim_ascii());
            match key {
                b"DBPath" if self.database.is_none() => {
                    if !value.starts_with(b"/") {
                        return Err(format!("{}: DBPath \"{}\" is not absolute", place.display(), shown(value)));
                    }
                    let end = value.iter().rposition(|byte| *byte != b'/').map_or(0, |at| at + 1);
                    self.database = Some(value[..end].to_vec());
                }
                b"Include" if depth > 0 => self.include(value, depth - 1)?,
                _ => {}
            }
        }
        Ok(true)
    }

    /// A file, or a pattern with a star in its last part.
    fn include(&mut self, pattern: &[u8], depth: u32) -> Result<(), String> {
        let (folder, name) = reexec_plugin_paths::split_path(pattern);
        let Some(star) = name.iter().position(|byte| *byte == b'*') else {
            return self.file(pattern, depth).map(|_| ());
        };
        let (start, end) = (&name[..star], &name[star + 1..]);
        let entries = std::fs::read_dir(self.folders.outside(folder)).into_iter().flatten().flatten();
        let mut names: Vec<_> = entries.map(|entry| entry.file_name()).collect();
        names.retain(|name| {
            let name = OsStr::as_bytes(name);
            name.len() >= start.len() + end.len() && name.starts_with(start) && name.ends_with(end)
        });
        names.sort();
        for name in names {
            self.file(&[folder, b"/", name.as_bytes()].concat(), depth)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::tests::bare;
    use reexec_plugin_paths::trial::TestRoot;

    fn database(root: &TestRoot) -> String {
        let config = read(&Folders::below(root.path())).expect("a configuration");
        String::from_utf8(config.database).expect("text")
    }

    #[test]
    fn the_first_dbpath_of_the_options_counts() {
        for (text, expected) in [
            ("", "/var/lib/pacman"),
            ("[options]\nHoldPkg = pacman\n# DBPath = /no\n#DBPath = /no\n", "/var/lib/pacman"),
            ("[options]\n  DBPath =  /srv/pacman/ \nDBPath = /later\n", "/srv/pacman"),
            ("[core]\nDBPath = /no\n[options]\nDBPath=/yes\n", "/yes"),
            ("DBPath = /no\n", "/var/lib/pacman"),
            ("[options]\nInclude = /etc/more.conf\n", "/more"),
            ("[options]\nInclude = /etc/pacman.d/*.conf\n", "/starred"),
            ("[options]\nInclude = /etc/loop.conf\n", "/var/lib/pacman"),
            ("[core]\nInclude = /etc/more.conf\n", "/var/lib/pacman"),
        ] {
            let root = bare();
            root.write("etc/pacman.conf", text.as_bytes());
            root.write("etc/more.conf", b"DBPath = /more\n");
            root.write("etc/loop.conf", b"Include = /etc/loop.conf\n");
            root.write("etc/pacman.d/b.conf", b"DBPath = /starred\n");
            root.write("etc/pacman.d/mirrorlist", b"DBPath = /no\n");
            assert_eq!(database(&root), expected, "{text}");
        }
    }

    #[test]
    fn no_configuration_is_no_error_and_a_wrong_one_is() {
        let root = bare();
        std::fs::remove_file(root.path().join("etc/pacman.conf")).expect("remove");
        let config = read(&Folders::below(root.path())).expect("a default");
        assert_eq!(config, Config { database: DEFAULT.to_vec(), found: false });
        root.write("etc/pacman.conf", b"[options]\nDBPath = var\n");
        let why = read(&Folders::below(root.path())).expect_err("relative");
        assert!(why.ends_with("etc/pacman.conf: DBPath \"var\" is not absolute"), "{why}");
    }
}
