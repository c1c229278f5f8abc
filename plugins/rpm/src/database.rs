//! rpm's database: an SQLite file, opened read-only, also while a transaction writes to it.

use crate::header::Header;
use reexec_plugin_paths::{shown, Folders};
use rusqlite::types::{ToSql, ToSqlOutput, ValueRef};
use rusqlite::{Connection, OpenFlags, OptionalExtension};
use std::fs::{self, Metadata};
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where rpm keeps it (`%_dbpath`): today's place, the one before, and that of Debian's rpm, which is
/// in the home of whoever runs it.
pub const FOLDERS: [&[u8]; 3] = [b"/usr/lib/sysimage/rpm", b"/var/lib/rpm", b"/root/.rpmdb"];
const FILE: &[u8] = b"rpmdb.sqlite";
/// What the other two kinds of database are called, which are not read.
const FOREIGN: [(&[u8], &str); 2] = [(b"Packages.db", "ndb"), (b"Packages", "Berkeley DB")];
/// How long a lock of a writer is waited for; in WAL mode readers hardly ever wait.
const PATIENCE: Duration = Duration::from_millis(500);
/// How often a database that is written to while it is read is read again.
const TRIES: u32 = 3;

/// What changes whenever what is read here does: each database that may be there, and its log.
pub fn basis() -> impl Iterator<Item = Vec<u8>> {
    FOLDERS.iter().flat_map(|folder| [&b""[..], b"-wal"].map(|log| [*folder, b"/", FILE, log].concat()))
}

/// Number of a package in the database; the later one was installed later.
pub type Number = i64;

/// An open database.
#[derive(Debug)]
pub struct Database {
    file: PathBuf,
    connection: Connection,
    /// For a database that was opened without locks: what it was then.
    was: Option<Stamp>,
}

/// What tells that a file was written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    ino: u64,
    size: u64,
    modified: (i64, i64),
    has_log: bool,
}

/// Opens the database below the folders' root and looks. `None` where rpm has none: then it owns
/// nothing there. `look` is called again where the database was written to meanwhile.
pub fn read<T>(
    folders: &mut Folders,
    mut look: impl FnMut(&Database, &mut Folders) -> Result<T, String>,
) -> Result<Option<T>, String> {
    let Some(file) = locate(folders)? else {
        return Ok(None);
    };
    for _ in 0..TRIES {
        let database = Database::open(&file)?;
        let answer = look(&database, folders);
        if database.is_unchanged() {
            return answer.map(Some);
        }
    }
    Err(format!("{}: it is written to all the time", file.display()))
}

/// The database that was written to last, of those that are there.
fn locate(folders: &mut Folders) -> Result<Option<PathBuf>, String> {
    let mut found: Option<((i64, i64), PathBuf)> = None;
    let mut foreign = None;
    for folder in FOLDERS {
        let folder = folders.resolve_folder(folder);
        let file = folders.outside(&[&folder, &b"/"[..], FILE].concat());
        match fs::metadata(&file) {
            Ok(metadata) => {
                let log = fs::metadata(beside(&file, "-wal")).map(|log| modified(&log)).unwrap_or_default();
                let written = modified(&metadata).max(log);
                if found.as_ref().is_none_or(|(other, _)| written > *other) {
                    found = Some((written, file));
                }
            }
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                let other =
                    FOREIGN.iter().find(|(name, _)| folders.outside(&[&folder, &b"/"[..], name].concat()).exists());
                foreign = foreign.or(other.map(|(_, kind)| {
                    format!("{}: a database of the kind {kind}, and only SQLite is read", shown(&folder))
                }));
            }
            Err(error) => return Err(format!("{}: {error}", file.display())),
        }
    }
    match (found, foreign) {
        (Some((_, file)), _) => Ok(Some(file)),
        (None, Some(why)) => Err(why),
        (None, None) => Ok(None),
    }
}

fn modified(metadata: &Metadata) -> (i64, i64) {
    (metadata.mtime(), metadata.mtime_nsec())
}

fn beside(file: &Path, suffix: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

fn stamp(file: &Path) -> Option<Stamp> {
    let metadata = fs::metadata(file).ok()?;
    let has_log = beside(file, "-wal").exists();
    Some(Stamp { ino: metadata.ino(), size: metadata.len(), modified: modified(&metadata), has_log })
}

impl Database {
    /// Who may not write cannot make the files that SQLite keeps beside a database in WAL mode. While
    /// a program has it open they are there and are used, locks and all. When nobody has it open they
    /// are not: then the file is read as it is, and looked at again afterwards.
    fn open(file: &Path) -> Result<Database, String> {
        let was = stamp(file);
        let failed = |error: rusqlite::Error| format!("{}: {error}", file.display());
        if was.is_some_and(|was| was.has_log) {
            let database =
                Database { file: file.to_owned(), connection: connect(file, "mode=ro").map_err(failed)?, was: None };
            // The log may be there without its index, left by a machine that went down.
            if database.count().is_ok() {
                return Ok(database);
            }
        }
        let connection = connect(file, "immutable=1").map_err(failed)?;
        let database = Database { file: file.to_owned(), connection, was };
        database.count().map_err(|error| database.failed(&error))?;
        Ok(database)
    }

    fn count(&self) -> rusqlite::Result<i64> {
        self.connection.query_row("SELECT count(*) FROM Packages", [], |row| row.get(0))
    }

    fn is_unchanged(&self) -> bool {
        self.was.is_none_or(|was| stamp(&self.file) == Some(was))
    }

    fn failed(&self, error: &rusqlite::Error) -> String {
        format!("{}: {error}", self.file.display())
    }

    /// Where files of this name stand: the package, and the index in its list of files.
    pub fn named(&self, name: &[u8], mut each: impl FnMut(Number, usize)) -> Result<(), String> {
        let mut look = || -> rusqlite::Result<()> {
            let mut query = self.connection.prepare_cached("SELECT hnum, idx FROM Basenames WHERE key = ?1")?;
            let mut rows = query.query([Text(name)])?;
            while let Some(row) = rows.next()? {
                if let Ok(index) = usize::try_from(row.get::<_, i64>(1)?) {
                    each(row.get(0)?, index);
                }
            }
            Ok(())
        };
        look().map_err(|error| self.failed(&error))
    }

    /// What `look` finds in a package's header; `None` for a package that is not there, or broken.
    pub fn header<T>(&self, number: Number, look: impl FnOnce(Header<'_>) -> T) -> Result<Option<T>, String> {
        let query = || -> rusqlite::Result<Option<Option<T>>> {
            let mut query = self.connection.prepare_cached("SELECT blob FROM Packages WHERE hnum = ?1")?;
            query
                .query_row([number], |row| Ok(row.get_ref(0)?.as_blob().ok().and_then(Header::parse).map(look)))
                .optional()
        };
        query().map(Option::flatten).map_err(|error| self.failed(&error))
    }

    /// The packages of this name.
    pub fn packages(&self, name: &[u8]) -> Result<Vec<Number>, String> {
        self.numbers("SELECT hnum FROM Name WHERE key = ?1 ORDER BY hnum", [Text(name)])
    }

    /// The packages that provide a capability.
    pub fn providers(&self, capability: &[u8]) -> Result<Vec<Number>, String> {
        self.numbers("SELECT DISTINCT hnum FROM Providename WHERE key = ?1 ORDER BY hnum", [Text(capability)])
    }

    /// The packages that came with the one that was installed last.
    pub fn last_transaction(&self) -> Result<Vec<Number>, String> {
        self.numbers(
            "SELECT hnum FROM Installtid WHERE key = \
             (SELECT key FROM Installtid WHERE hnum = (SELECT max(hnum) FROM Packages)) ORDER BY hnum",
            [],
        )
    }

    /// All packages, the newest first.
    pub fn newest_first(&self) -> Result<Vec<Number>, String> {
        self.numbers("SELECT hnum FROM Packages ORDER BY hnum DESC", [])
    }

    /// The packages whose name another one has too, by name.
    pub fn with_equal_names(&self) -> Result<Vec<Number>, String> {
        self.numbers(
            "SELECT hnum FROM Name WHERE key IN (SELECT key FROM Name GROUP BY key HAVING count(*) > 1) \
             ORDER BY key, hnum",
            [],
        )
    }

    fn numbers(&self, query: &str, parameters: impl rusqlite::Params) -> Result<Vec<Number>, String> {
        let look = || -> rusqlite::Result<Vec<Number>> {
            self.connection.prepare_cached(query)?.query_map(parameters, |row| row.get(0))?.collect()
        };
        look().map_err(|error| self.failed(&error))
    }
}

fn connect(file: &Path, how: &str) -> rusqlite::Result<Connection> {
    let mut uri = String::from("file:");
    for byte in file.as_os_str().as_bytes() {
        match byte {
            b'/' | b'.' | b'-' | b'_' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => uri.push(char::from(*byte)),
            other => uri.push_str(&format!("%{other:02x}")),
        }
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(format!("{uri}?{how}"), flags)?;
    connection.busy_timeout(PATIENCE)?;
    // What stands in the file is data, whoever wrote it.
    connection.pragma_update(None, "trusted_schema", false)?;
    Ok(connection)
}

/// A name as rpm stores it: text for SQLite, bytes for everybody else.
struct Text<'a>(&'a [u8]);

impl ToSql for Text<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(ValueRef::Text(self.0)))
    }
}
