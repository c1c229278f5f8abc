//! The files below `/var/lib/dpkg`.

use crate::status::{Kept, Package, Reader, Status};
use reexec_plugin_paths::{lines, shown, split_path, Folders};
use rustix::io::Errno;
use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::fs::{File, Metadata};
use std::io::{self, ErrorKind};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

/// Where dpkg keeps its files.
const ADMIN: &[u8] = b"/var/lib/dpkg";
/// What changes, in its times if not in its size, whenever what is read here does: dpkg writes every file of
/// it anew beside its place and renames it there.
pub const BASIS: [&[u8]; 4] =
    [b"/var/lib/dpkg/status", b"/var/lib/dpkg/updates", b"/var/lib/dpkg/diversions", b"/var/lib/dpkg/info"];
/// Most bytes of one file of the database.
const MAX_FILE: usize = 128 << 20;
/// Bytes that most lists of files do not have.
const USUAL_FILE: usize = 64 << 10;
/// Longest name of a package with its architecture: a file name has no more.
const MAX_NAME: usize = 250;

/// The folder of the database, and what its texts are.
#[derive(Debug)]
pub struct Database {
    admin: PathBuf,
    status: Status,
    kept: Kept,
    diversions: Vec<u8>,
    /// What the texts were read from, `status` and `diversions`; none where they may be other ones at the next question.
    sources: Option<(Source, Option<Source>)>,
}

/// The database that was read last: a process is mostly asked whether dpkg is at work, and then something else.
static LAST: Mutex<Option<Arc<Database>>> = Mutex::new(None);

/// A file as it was before it was read, and held open: its inode is nobody else's as long as it is.
#[derive(Debug)]
struct Source {
    file: File,
    stamp: Stamp,
}

/// What is another one whenever a file is: device, inode, bytes, and the times of the content and of the inode.
#[derive(Debug, PartialEq, Eq)]
struct Stamp {
    numbers: (u64, u64),
    bytes: u64,
    /// Seconds and nanoseconds.
    changed: (i64, i64),
    modified: Option<SystemTime>,
}

impl Stamp {
    fn of(data: &Metadata) -> Stamp {
        Stamp {
            numbers: (data.dev(), data.ino()),
            bytes: data.size(),
            changed: (data.ctime(), data.ctime_nsec()),
            modified: data.modified().ok(),
        }
    }
}

impl Source {
    /// None where there is no such file.
    fn open(path: &Path) -> io::Result<Option<Source>> {
        match File::open(path).and_then(|file| Ok((Stamp::of(&file.metadata()?), file))) {
            Ok((stamp, file)) => Ok(Some(Source { file, stamp })),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether what is written from now on would give it another time: times are those of the kernel's last tick,
    /// of which there are a hundred a second or more.
    fn is_settled(&self) -> bool {
        const TICK: Duration = Duration::from_millis(20);
        self.stamp.modified.and_then(|at| at.elapsed().ok()).is_some_and(|ago| ago > TICK)
    }
}

/// Whether a file, or that there is none, is what it was.
fn is_still(source: Option<&Source>, path: &Path) -> bool {
    let now = std::fs::metadata(path).ok().map(|data| Stamp::of(&data));
    now.as_ref() == source.map(|source| &source.stamp)
}

/// The list of one package's files, by its name in `info`: `NAME` or `NAME:ARCH`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ListName(Vec<u8>);

impl ListName {
    fn parts(&self) -> (&[u8], Option<&[u8]>) {
        parts_of(&self.0)
    }

    /// The package's name without architecture.
    pub fn name(&self) -> &[u8] {
        self.parts().0
    }

    /// What `status` says of the package.
    pub fn package<'a>(&self, status: &'a Status) -> Option<Package<'a>> {
        let (name, architecture) = self.parts();
        status.find(name, architecture)
    }

    /// The package as people write it: with its architecture where that is not the machine's own.
    pub fn shown(&self, status: &Status) -> Vec<u8> {
        let (name, own) = self.parts();
        let known = self.package(status).map(|package| package.architecture);
        full_name(name, own.or(known), status.native())
    }
}

/// The name of a package without architecture, and its architecture where one is given: `NAME` or `NAME:ARCH`.
pub fn parts_of(package: &[u8]) -> (&[u8], Option<&[u8]>) {
    match package.iter().position(|byte| *byte == b':') {
        Some(at) => (&package[..at], Some(&package[at + 1..])),
        None => (package, None),
    }
}

/// `name`, or `name:architecture` where that is not the machine's own.
pub fn full_name(name: &[u8], architecture: Option<&[u8]>, native: &[u8]) -> Vec<u8> {
    match architecture {
        None | Some(b"" | b"all") => name.to_vec(),
        Some(own) if own == native || native.is_empty() => name.to_vec(),
        Some(foreign) => [name, b":", foreign].concat(),
    }
}

/// Whether a package can be called so: what is read from outside must not name a file elsewhere.
pub fn is_name(name: &[u8]) -> bool {
    let fits = |byte: &u8| byte.is_ascii_alphanumeric() || b"+-._".contains(byte);
    name.len() <= MAX_NAME && name.first().is_some_and(u8::is_ascii_alphanumeric) && name.iter().all(fits)
}

impl Database {
    /// Opens the database below a root: what was read last, where it is still the same and holds what is to be kept.
    pub fn open(folders: &mut Folders, kept: Kept) -> Result<Arc<Database>, String> {
        let admin = folders.resolve_folder(ADMIN);
        let admin = folders.outside(&admin);
        let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = last.as_mut().filter(|known| known.admin == admin && known.is_still()) {
            if known.kept.covers(&kept) || Arc::get_mut(known).is_some_and(|known| known.add(&kept)) {
                return Ok(Arc::clone(known));
            }
        }
        let read = Arc::new(Database::read(admin, kept)?);
        *last = Some(Arc::clone(&read));
        Ok(read)
    }

    fn read(admin: PathBuf, kept: Kept) -> Result<Database, String> {
        let opened = |name: &str| {
            let path = admin.join(name);
            Source::open(&path).map_err(|error| format!("{}: {error}", path.display()))
        };
        let failed = |name: &str, error: io::Error| format!("{}: {error}", admin.join(name).display());
        let status = opened("status")?.ok_or_else(|| failed("status", Errno::NOENT.into()))?;
        let diversions = opened("diversions")?;
        let settled = status.is_settled() && diversions.as_ref().is_none_or(Source::is_settled);
        let mut reader =
            Reader::of(usize::try_from(status.stamp.bytes).unwrap_or(MAX_FILE).min(MAX_FILE), kept.clone());
        read_stanzas(&status.file, &mut reader).map_err(|error| failed("status", error))?;
        let updates = updates(&admin);
        reader.once_more();
        for update in &updates {
            // Gone between the listing and now: dpkg has merged it, and the next look sees it.
            let _ = File::open(update).and_then(|file| read_stanzas(&file, &mut reader));
        }
        let mut diverted = Vec::new();
        if let Some(source) = &diversions {
            read(&source.file, &mut diverted).map_err(|error| failed("diversions", error))?;
        }
        let sources = (settled && updates.is_empty()).then_some((status, diversions));
        Ok(Database { admin, status: reader.finish(), kept, diversions: diverted, sources })
    }

    /// Reads further packages, where they are asked for by name; false where all has to be read anew.
    fn add(&mut self, more: &Kept) -> bool {
        let (Kept::Named(known), Kept::Named(names), Some((status, _))) = (&mut self.kept, more, &self.sources) else {
            return false;
        };
        let ranges = self.status.passed(names);
        known.extend(names.iter().cloned());
        let mut reader = Reader::behind(std::mem::take(&mut self.status), self.kept.clone());
        for range in ranges {
            let mut text = vec![b'\n'; 1 + (range.end - range.start) as usize];
            if status.file.read_exact_at(&mut text[1..], range.start).is_err() {
                return false;
            }
            reader.take_rest(text);
        }
        self.status = reader.finish();
        true
    }

    fn is_still(&self) -> bool {
        let Some((status, diversions)) = &self.sources else { return false };
        is_still(Some(status), &self.admin.join("status"))
            && is_still(diversions.as_ref(), &self.admin.join("diversions"))
            && updates(&self.admin).is_empty()
    }

    /// The folder of the database.
    pub fn admin(&self) -> &Path {
        &self.admin
    }

    /// What dpkg knows of each package.
    pub fn status(&self) -> &Status {
        &self.status
    }

    /// Which files are kept under another name.
    pub fn diversions(&self) -> Diversions<'_> {
        Diversions::parse(&self.diversions)
    }

    /// All lists, sorted.
    pub fn lists(&self) -> Result<Vec<ListName>, String> {
        let info = self.admin.join("info");
        let failed = |error: io::Error| format!("{}: {error}", info.display());
        let mut all = Vec::new();
        for entry in std::fs::read_dir(&info).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name().into_vec();
            if let Some(name) = name.strip_suffix(b".list") {
                all.push(ListName(name.to_vec()));
            }
        }
        all.sort();
        Ok(all)
    }

    /// The lists of a package, as [`ListName::shown`] writes it; several where an architecture is
    /// not given and more than one is installed side by side.
    pub fn lists_of(&self, package: &[u8]) -> Vec<ListName> {
        let status = self.status();
        let (name, architecture) = parts_of(package);
        if !is_name(name) || architecture.is_some_and(|own| !is_name(own)) {
            return Vec::new();
        }
        let mut candidates = Vec::new();
        match architecture {
            Some(own) => {
                candidates.push(ListName(package.to_vec()));
                if status.find(name, Some(own)).is_some() {
                    candidates.push(ListName(name.to_vec()));
                }
            }
            None => {
                candidates.push(ListName(name.to_vec()));
                let native = status.native();
                let mut known: Vec<_> = status.named(name).map(|one| one.architecture).collect();
                // The machine's own stands for all where it is there.
                if known.contains(&native) {
                    known = vec![native];
                }
                candidates.extend(known.iter().map(|own| ListName([name, b":", own].concat())));
            }
        }
        candidates.retain(|list| self.info(list, "list").exists());
        candidates
    }

    /// The path of a file in `info`.
    pub fn info(&self, list: &ListName, suffix: &str) -> PathBuf {
        let mut file = list.0.clone();
        file.push(b'.');
        file.extend_from_slice(suffix.as_bytes());
        self.admin.join("info").join(OsStr::from_bytes(&file))
    }

    /// Reads a file in `info` over `text`.
    pub fn read_info(&self, list: &ListName, suffix: &str, text: &mut Vec<u8>) -> io::Result<()> {
        read(&File::open(self.info(list, suffix))?, text)
    }
}

/// The entries of `updates/`, which count more than `status`: files with numbers for names.
pub fn updates(admin: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(admin.join("updates")) else {
        return Vec::new();
    };
    let mut all: Vec<_> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.file_name().is_some_and(|name| name.as_bytes().iter().all(u8::is_ascii_digit)))
        .collect();
    all.sort();
    all
}

/// Reads a file over `text`, as far as a file of the database can be long.
fn read(file: &File, text: &mut Vec<u8>) -> io::Result<()> {
    text.clear();
    loop {
        if text.len() == text.capacity() {
            // As much at a time as most files have: there are hundreds of them.
            text.reserve(USUAL_FILE);
        }
        match rustix::io::read(file, rustix::buffer::spare_capacity(text)) {
            Ok(0) => return Ok(()),
            // That of a kernel's headers has a megabyte.
            Ok(read) if read == text.len() && read == text.capacity() => {
                let size = file.metadata().map_or(0, |data| data.len());
                // And room to see the end, or it would be twice as much.
                text.reserve(size.saturating_sub(read as u64).min(MAX_FILE as u64) as usize + USUAL_FILE);
            }
            Ok(_) if text.len() > MAX_FILE => {
                text.clear();
                return Err(ErrorKind::FileTooLarge.into());
            }
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Reads a text of stanzas in pieces, so that a megabyte of which little is kept does not become resident.
fn read_stanzas(file: &File, reader: &mut Reader) -> io::Result<()> {
    /// Few enough to stay in the processor's cache.
    const PIECE: usize = 32 << 10;
    let (mut text, mut all) = (Vec::with_capacity(PIECE), 0);
    text.push(b'\n');
    loop {
        if text.len() > PIECE / 2 {
            // A stanza without an end is not searched again for each piece.
            text.reserve(text.len());
        }
        match rustix::io::read(file, rustix::buffer::spare_capacity(&mut text)) {
            Ok(0) => break,
            Ok(_) if all > MAX_FILE => return Err(ErrorKind::FileTooLarge.into()),
            Ok(read) => {
                all += read;
                reader.take(&mut text);
            }
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    reader.take_rest(text);
    Ok(())
}

/// Which files are kept under another name, and for whom.
#[derive(Debug)]
pub struct Diversions<'a> {
    by_path: HashMap<&'a [u8], (&'a [u8], &'a [u8])>,
}

impl<'a> Diversions<'a> {
    /// Parses groups of three lines: original, diverted-to, package (`:` for the admin).
    pub fn parse(text: &'a [u8]) -> Diversions<'a> {
        let mut by_path = HashMap::new();
        let mut all = lines(text);
        while let (Some(from), Some(to), Some(package)) = (all.next(), all.next(), all.next()) {
            by_path.insert(from, (to, package));
        }
        Diversions { by_path }
    }

    /// Where a file that `package` lists as `path` is.
    pub fn place<'p>(&self, path: &'p [u8], package: &[u8]) -> &'p [u8]
    where
        'a: 'p,
    {
        match self.by_path.get(path) {
            Some((to, by)) if *by != package => to,
            Some(_) | None => path,
        }
    }

    /// Originals and where they are diverted to.
    pub fn pairs(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + '_ {
        self.by_path.iter().map(|(from, (to, _))| (*from, *to))
    }
}

/// The files of one list, without its folders: a folder is what another entry lies in.
pub fn files(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut folders: HashSet<&[u8]> = HashSet::new();
    let mut last: &[u8] = b"";
    for line in lines(list) {
        let folder = split_path(line).0;
        if folder != last {
            folders.insert(folder);
            last = folder;
        }
    }
    lines(list).filter(move |line| line.starts_with(b"/") && *line != b"/." && !folders.contains(line))
}

/// A list that could not be read, as a line for the admin.
pub fn unread(list: &ListName, error: &io::Error) -> String {
    format!("files of {}: {error}", shown(&list.0))
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use reexec_plugin_paths::trial::TestRoot;

    /// With an empty database; what is written is written into it.
    pub fn bare() -> TestRoot {
        let root = TestRoot::new("var/lib/dpkg");
        root.write("info/format", b"1\n");
        std::fs::create_dir(root.path().join("var/lib/dpkg/updates")).expect("folder");
        root.write("status", b"");
        root
    }

    /// The root of most tests: dpkg and dash, a library for two architectures, merged /usr.
    pub fn usual() -> TestRoot {
        let root = bare();
        root.merge(&["lib", "bin"]);
        let stanza = |name: &str, architecture: &str, version: &str, more: &str| {
            format!(
                "Package: {name}\nStatus: install ok installed\nArchitecture: {architecture}\n\
                     Version: {version}\n{more}\n"
            )
        };
        let status = [
            stanza("dpkg", "amd64", "1.21.22", ""),
            stanza("dash", "amd64", "0.5.12-2", ""),
            stanza("bash", "amd64", "5.2.15-2", ""),
            stanza(
                "libx",
                "amd64",
                "1:2.0-1",
                "Multi-Arch: same\nConffiles:\n /etc/libx.conf 0123456789abcdef0123456789abcdef\n",
            ),
            stanza("libx", "i386", "1:2.0-1", "Multi-Arch: same\n"),
            stanza("wine32", "i386", "8.0", ""),
            stanza("tzdata", "all", "2024a", ""),
        ]
        .concat();
        root.write("status", status.as_bytes());
        root.write("info/dash.list", b"/.\n/bin\n/bin/dash\n/bin/sh\n");
        root.write(
            "info/dash.md5sums",
            b"00000000000000000000000000000001  bin/dash\n00000000000000000000000000000002  bin/sh\n",
        );
        root.write("info/bash.list", b"/.\n/bin\n/bin/bash\n/bin/sh\n");
        root.write(
            "info/libx:amd64.list",
            b"/.\n/etc\n/etc/libx.conf\n/lib\n/lib/x86_64-linux-gnu\n/lib/x86_64-linux-gnu/libx.so.2\n",
        );
        root.write("info/libx:i386.list", b"/.\n/lib\n/lib/i386-linux-gnu\n/lib/i386-linux-gnu/libx.so.2\n");
        root.write("info/wine32.list", b"/.\n/usr\n/usr/bin\n/usr/bin/wine\n");
        root.write("info/tzdata.list", b"/.\n/usr\n/usr/share\n/usr/share/zoneinfo\n/usr/share/zoneinfo/UTC\n");
        // dash's file moved away for bash's: what `dpkg-divert --package bash` does.
        root.write("diversions", b"/bin/sh\n/bin/sh.distrib\nbash\n");
        root
    }

    #[test]
    fn a_name_from_outside_never_names_a_file_elsewhere() {
        for (name, expected) in [
            (&b"libstdc++6"[..], true),
            (b"0ad", true),
            (b"", false),
            (b".hidden", false),
            (b"../../../etc/passwd", false),
            (b"a/b", false),
            (b"a\0", false),
            (&[b'a'; 251], false),
        ] {
            assert_eq!(is_name(name), expected, "{}", name.escape_ascii());
        }
    }

    #[test]
    fn the_list_of_a_package_is_found_with_and_without_its_architecture() {
        let root = usual();
        let database = Database::open(&mut Folders::below(root.path()), Kept::All).expect("database");
        for (package, expected) in [
            ("dash", vec!["dash"]),
            ("libx", vec!["libx:amd64"]),
            ("libx:amd64", vec!["libx:amd64"]),
            ("libx:i386", vec!["libx:i386"]),
            ("wine32:i386", vec!["wine32"]),
            ("wine32:arm64", vec![]),
            ("unknown", vec![]),
            ("../status", vec![]),
        ] {
            let lists = database.lists_of(package.as_bytes());
            let expected: Vec<_> = expected.iter().map(|name| ListName(name.as_bytes().to_vec())).collect();
            assert_eq!(lists, expected, "{package}");
        }
    }

    #[test]
    fn packages_are_shown_with_an_architecture_that_is_not_the_machines() {
        let root = usual();
        let database = Database::open(&mut Folders::below(root.path()), Kept::All).expect("database");
        let status = database.status();
        for (list, expected) in [
            ("dash", "dash"),
            ("libx:amd64", "libx"),
            ("libx:i386", "libx:i386"),
            ("wine32", "wine32:i386"),
            ("tzdata", "tzdata"),
        ] {
            let shown = ListName(list.as_bytes().to_vec()).shown(status);
            assert_eq!(shown, expected.as_bytes());
        }
    }

    #[test]
    fn folders_of_a_list_are_no_files() {
        let list = b"/.\n/usr\n/usr/a\n/usr/a-b\n/usr/a/c\n/usr/tab\there\n/usr/\xff\nbroken\n\n";
        let files: Vec<_> = files(list).collect();
        assert_eq!(files, [&b"/usr/a-b"[..], b"/usr/a/c", b"/usr/tab\there", b"/usr/\xff"]);
    }

    #[test]
    fn a_diverted_file_is_elsewhere_for_all_but_the_diverter() {
        let diversions = Diversions::parse(b"/bin/sh\n/bin/sh.distrib\nbash\n/x\n/y\n:\n/cut\n");
        for (path, package, place) in [
            ("/bin/sh", "dash", "/bin/sh.distrib"),
            ("/bin/sh", "bash", "/bin/sh"),
            ("/x", "any", "/y"),
            ("/cut", "any", "/cut"),
        ] {
            assert_eq!(diversions.place(path.as_bytes(), package.as_bytes()), place.as_bytes());
        }
    }

    #[test]
    fn what_was_read_serves_the_next_question_until_a_file_changes() {
        let root = usual();
        let open = || Database::open(&mut Folders::below(root.path()), Kept::All).expect("database");
        let files = ["var/lib/dpkg/status", "var/lib/dpkg/diversions"];
        let long_ago = || {
            for file in files {
                let file = File::options().append(true).open(root.path().join(file)).expect("file");
                file.set_modified(std::time::SystemTime::now() - Duration::from_secs(60)).expect("time");
            }
        };
        let (fresh, again) = (open(), open());
        assert!(!Arc::ptr_eq(&fresh, &again), "written just now, it may be written again in the same tick");
        long_ago();
        // Other tests of this process open theirs meanwhile.
        let kept = |of: &Arc<Database>| (0..100).any(|_| Arc::ptr_eq(of, &open()) || Arc::ptr_eq(&open(), &open()));
        assert!(kept(&open()), "the same is read once");
        let before = open();
        root.write("status", b"Package: dash\nStatus: install ok installed\nArchitecture: amd64\nVersion: 9\n");
        assert_eq!(open().status().find(b"dash", None).expect("known").version, b"9");
        assert_eq!(before.status().find(b"dash", None).expect("known").version, b"0.5.12-2");
        long_ago();
        open();
        std::fs::remove_file(root.path().join(files[1])).expect("removed");
        assert_eq!(open().diversions().pairs().count(), 0);
        root.write("updates/0001", b"Package: dash\nStatus: install ok unpacked\nArchitecture: amd64\nVersion: 10\n");
        assert_eq!(open().status().find(b"dash", None).expect("known").version, b"10");
    }

    #[test]
    fn packages_that_were_passed_over_are_read_when_they_are_asked_about() {
        let root = usual();
        let status = root.path().join("var/lib/dpkg/status");
        let long_ago = SystemTime::now() - Duration::from_secs(60);
        for file in [&status, &root.path().join("var/lib/dpkg/diversions")] {
            File::options().append(true).open(file).and_then(|file| file.set_modified(long_ago)).expect("time");
        }
        let admin = root.path().join("var/lib/dpkg");
        let names = |database: &Database| {
            let all = database.status().packages().map(|package| shown(package.name));
            (all.collect::<Vec<_>>().join(" "), shown(database.status().native()))
        };
        let named = |names: &[&str]| Kept::Named(names.iter().map(|name| name.as_bytes().to_vec()).collect());
        let mut some = Database::read(admin.clone(), Kept::least()).expect("database");
        assert_eq!(names(&some), ("dpkg".to_owned(), "amd64".to_owned()));
        assert!(some.add(&named(&["libx", "tzdata", "unknown"])));
        assert_eq!(names(&some).0, "dpkg libx libx tzdata");
        assert!(some.add(&named(&["dash", "libx"])) && some.kept.covers(&named(&["dash", "tzdata"])));
        assert_eq!(names(&some).0, "dash dpkg libx libx tzdata");
        let mut whole = Database::read(admin, Kept::All).expect("database");
        for package in some.status().packages() {
            let same = whole.status().find(package.name, Some(package.architecture)).expect("known");
            assert!(same == package && same.conffiles().eq(package.conffiles()), "{package:?}");
        }
        assert!(!some.add(&Kept::All) && !whole.add(&Kept::Relations));
    }

    #[test]
    fn what_dpkg_has_not_merged_yet_counts_more_than_the_status() {
        let root = usual();
        root.write("updates/0001", b"Package: dash\nStatus: install ok unpacked\nArchitecture: amd64\nVersion: 9\n");
        root.write("updates/tmp.i", b"####padding####\n");
        let database = Database::open(&mut Folders::below(root.path()), Kept::All).expect("database");
        let status = database.status();
        assert_eq!(status.find(b"dash", None).expect("known").version, b"9");
    }
}
