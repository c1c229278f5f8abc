//! Which package owns a path, without `rpm -qf`, which reads the whole header of the owner once more
//! for each path.

use crate::database::{self, Database, Number};
use crate::header::Header;
use reexec_plugin_abi::rust::{Owner, Sink};
use reexec_plugin_paths::{split_path, Folders};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;

/// Says who owns each of the paths.
pub fn owners(root: &Path, paths: &[&[u8]], sink: &mut Sink<'_>) -> Result<(), String> {
    let mut folders = Folders::below(root);
    for path in database::basis() {
        sink.file(&path, b"");
    }
    let answers = database::read(&mut folders, |database, folders| {
        let found = find(database, folders, paths)?;
        let each = found
            .into_iter()
            .map(|(number, files)| database.header(number, |header| Answers::of(header, files)).map(Option::into_iter));
        Ok(each.collect::<Result<Vec<_>, String>>()?.into_iter().flatten().collect::<Vec<_>>())
    })?;
    for package in answers.unwrap_or_default() {
        for (index, digest) in package.files {
            let digest =
                digest.as_ref().zip(package.algorithm).map(|(digest, algorithm)| (algorithm, digest.as_slice()));
            sink.owner(index, &Owner { package: &package.name, version: &package.version, digest });
        }
    }
    Ok(())
}

/// What one package's header says of the paths that it owns.
struct Answers {
    name: Vec<u8>,
    version: Vec<u8>,
    algorithm: Option<&'static [u8]>,
    /// Index of the question, and the digest.
    files: Vec<(usize, Option<Vec<u8>>)>,
}

impl Answers {
    fn of(header: Header<'_>, found: Vec<Found>) -> Answers {
        let wanted: HashSet<usize> = found.iter().map(|found| found.index).collect();
        let digests = header.files().digests().enumerate().filter(|(index, _)| wanted.contains(index));
        let digests: HashMap<usize, &[u8]> = digests.collect();
        let digest = |index| {
            let digest = *digests.get(&index)?;
            (!digest.is_empty() && digest.iter().all(u8::is_ascii_hexdigit)).then(|| digest.to_vec())
        };
        Answers {
            name: header.shown().into_owned(),
            version: header.version(),
            algorithm: header.algorithm(),
            files: found.iter().map(|found| (found.asked, digest(found.index))).collect(),
        }
    }
}

/// A file that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// Index in the package's list of files.
    pub index: usize,
    /// Index in the question.
    pub asked: usize,
}

/// Of two packages that list a path, the one that counts: one that brings it before one that only
/// lists it, the machine's own architecture before another, and of two versions, which a transaction
/// that was killed leaves side by side, the later one: rpm writes a package into the database when
/// its files are in place.
type Rank = (bool, bool, Number);

/// The files of the question that packages own, by package.
pub fn find(
    database: &Database,
    folders: &mut Folders,
    paths: &[&[u8]],
) -> Result<BTreeMap<Number, Vec<Found>>, String> {
    let mut search = Search::of(paths, folders);
    let mut by_package: BTreeMap<Number, Vec<(usize, usize)>> = BTreeMap::new();
    for (at, name) in search.names.iter().enumerate() {
        database.named(name, |number, index| by_package.entry(number).or_default().push((index, at)))?;
    }
    let mut elsewhere = Vec::new();
    for (number, files) in by_package {
        database.header(number, |header| search.meet(number, header, &files, folders, &mut elsewhere))?;
    }
    search.follow_links(folders, elsewhere);
    let mut found: BTreeMap<Number, Vec<Found>> = BTreeMap::new();
    for (asked, ((_, _, number), index)) in search.best {
        found.entry(number).or_default().push(Found { index, asked });
    }
    found.values_mut().for_each(|files| files.sort_unstable_by_key(|found| found.asked));
    Ok(found)
}

/// Paths that are looked for.
struct Search {
    /// The last names of the paths, each once.
    names: Vec<Vec<u8>>,
    /// The paths as they are on disk, and where in the question they stand.
    places: HashMap<Vec<u8>, Vec<usize>>,
    /// For a path of the question the best package so far, and its index in there.
    best: HashMap<usize, (Rank, usize)>,
}

/// A file with a name that is looked for, in another folder; a link may make the two one.
struct Elsewhere {
    rank: Rank,
    index: usize,
    path: Vec<u8>,
}

impl Search {
    fn of(paths: &[&[u8]], folders: &mut Folders) -> Search {
        let mut places: HashMap<Vec<u8>, Vec<usize>> = HashMap::new();
        for (index, path) in paths.iter().enumerate() {
            if path.starts_with(b"/") && path.len() > 1 {
                let path = path.strip_suffix(b"/").unwrap_or(path);
                places.entry(folders.resolve(path)).or_default().push(index);
            }
        }
        let names: HashSet<&[u8]> = places.keys().map(|place| split_path(place).1).collect();
        let names = names.into_iter().map(<[u8]>::to_vec).collect();
        Search { names, places, best: HashMap::new() }
    }

    /// One package with files of names that are looked for. Only the links of merged /usr are followed
    /// here: some names (`LICENSE`, `__init__.py`) are in thousands of folders.
    fn meet(
        &mut self,
        number: Number,
        header: Header<'_>,
        files: &[(usize, usize)],
        folders: &mut Folders,
        elsewhere: &mut Vec<Elsewhere>,
    ) {
        let own = header.shown().len() == header.name().len();
        let list = header.files();
        for (index, name) in files.iter().copied() {
            let Some(folder) = list.folder(index).filter(|_| list.is_installed(index)) else {
                continue;
            };
            let path = [folder, &self.names[name]].concat();
            let rank = (!list.is_ghost(index), own, number);
            if !self.note(&folders.resolve_top(&path), rank, index) {
                elsewhere.push(Elsewhere { rank, index, path });
            }
        }
    }

    /// Looks again at what was elsewhere, for the sake of paths that nobody owns yet.
    fn follow_links(&mut self, folders: &mut Folders, elsewhere: Vec<Elsewhere>) {
        let unowned = |indexes: &&Vec<usize>| indexes.iter().any(|index| !self.best.contains_key(index));
        let unowned: HashSet<Vec<u8>> = (self.places.iter())
            .filter(|(_, indexes)| unowned(indexes))
            .map(|(place, _)| split_path(place).1.to_vec())
            .collect();
        for met in elsewhere {
            if unowned.contains(split_path(&met.path).1) {
                self.note(&folders.resolve(&met.path), met.rank, met.index);
            }
        }
    }

    /// Whether the place is one of the question; keeps the package if it is the best for it so far.
    fn note(&mut self, place: &[u8], rank: Rank, index: usize) -> bool {
        let Some(asked) = self.places.get(place) else {
            return false;
        };
        for asked in asked {
            let best = self.best.entry(*asked).or_insert((rank, index));
            if rank > best.0 {
                *best = (rank, index);
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{bare, database, file, package, with, File};
    use reexec_plugin_abi::rust::Recorder;
    use reexec_plugin_paths::trial::TestRoot;
    use std::os::unix::fs::symlink;

    fn ask(root: &TestRoot, paths: &[&[u8]]) -> Vec<String> {
        Recorder::owners(paths.len(), |sink| owners(root.path(), paths, sink)).expect("an answer")
    }

    #[test]
    fn aliases_links_and_foreign_bytes_have_their_owner() {
        let root = with(&[package(
            "libx",
            "1-1",
            1,
            &[file("/lib/libx.so.1", "aa"), file("/usr/share/zoneinfo/UTC", "bb"), file(b"/usr/lib/\xff\xfe", "cc")],
        )]);
        std::fs::create_dir_all(root.path().join("srv/zones")).expect("folder");
        std::fs::create_dir_all(root.path().join("usr/share")).expect("folder");
        symlink("/srv/zones", root.path().join("usr/share/zoneinfo")).expect("link");
        let paths: [&[u8]; 9] = [
            b"/lib/libx.so.1",
            b"/usr/lib/libx.so.1",
            b"/srv/zones/UTC",
            b"/usr/lib/\xff\xfe",
            b"/usr/lib/other",
            b"/opt/libx.so.1",
            b"",
            b"/",
            b"relative",
        ];
        let libx = ["libx 1-1 sha256:aa", "libx 1-1 sha256:aa", "libx 1-1 sha256:bb", "libx 1-1 sha256:cc"];
        assert_eq!(ask(&root, &paths)[..4], libx);
        assert_eq!(ask(&root, &paths)[4..], ["", "", "", "", ""]);
    }

    #[test]
    fn what_is_not_installed_is_nobodys_and_a_digest_is_one() {
        let mut old = package("old", "1-1", 1, &[file("/usr/bin/old", "0123abcd"), file("/usr/bin/odd", "x y")]);
        old.algorithm = None;
        let mut strange = package("strange", "1-1", 1, &[file("/usr/bin/strange", "aa")]);
        strange.algorithm = Some(99);
        let left_out = package(
            "docs",
            "1-1",
            1,
            &[
                File(b"/usr/share/doc/a".to_vec(), "aa", 2, 2, 0o100_644),
                File(b"/usr/share/doc/b".to_vec(), "aa", 1, 0, 0o100_644),
            ],
        );
        let root = with(&[old, strange, left_out]);
        let paths: [&[u8]; 5] =
            [b"/usr/bin/old", b"/usr/bin/odd", b"/usr/bin/strange", b"/usr/share/doc/a", b"/usr/share/doc/b"];
        assert_eq!(ask(&root, &paths), ["old 1-1 md5:0123abcd", "old 1-1 ", "strange 1-1 ", "", ""]);
    }

    #[test]
    fn of_two_versions_the_later_counts_and_of_two_packages_the_one_that_brings_the_file() {
        let foreign = |mut package: crate::sample::Package| {
            package.architecture = "sparc";
            package
        };
        let shared = file("/usr/share/licenses/x", "aa");
        let root = with(&[
            package("x", "1-1", 1, &[file("/usr/lib/x", "aa"), shared.clone()]),
            package("x", "2-1", 2, &[file("/usr/lib/x", "bb"), shared.clone()]),
            package("lists", "1-1", 3, &[File(b"/usr/lib/x".to_vec(), "", 0, 64, 0o100_644)]),
            foreign(package("x", "2-1", 3, &[shared])),
        ]);
        let paths: [&[u8]; 2] = [b"/usr/lib/x", b"/usr/share/licenses/x"];
        assert_eq!(ask(&root, &paths), ["x 2-1 sha256:bb", "x 2-1 sha256:aa"]);
    }

    #[test]
    fn each_place_of_a_database_is_found_and_without_one_nobody_owns_anything() {
        let one = [package("x", "1-1", 1, &[file("/usr/bin/x", "aa")])];
        for folder in ["usr/lib/sysimage/rpm", "var/lib/rpm", "root/.rpmdb"] {
            let root = bare();
            database(&root, folder, &one);
            assert_eq!(ask(&root, &[b"/usr/bin/x"]), ["x 1-1 sha256:aa"], "{folder}");
        }
        assert_eq!(ask(&bare(), &[b"/usr/bin/x"]), [""]);
        let root = bare();
        database(&root, "root/.rpmdb", &[package("stale", "1-1", 1, &[file("/usr/bin/x", "aa")])]);
        let old = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1000);
        let file =
            std::fs::File::options().write(true).open(root.path().join("root/.rpmdb/rpmdb.sqlite")).expect("open");
        file.set_modified(old).expect("set");
        database(&root, "var/lib/rpm", &one);
        assert_eq!(ask(&root, &[b"/usr/bin/x"]), ["x 1-1 sha256:aa"], "the one that is in use");
    }

    #[test]
    fn a_database_of_another_kind_or_a_broken_one_is_named() {
        let root = bare();
        root.write("usr/lib/sysimage/rpm/Packages.db", b"RpmP");
        let why = Recorder::listen(|sink| owners(root.path(), &[b"/a"], sink)).expect_err("ndb");
        assert_eq!(why, "/usr/lib/sysimage/rpm: a database of the kind ndb, and only SQLite is read");
        for content in [&b"no database"[..], &b"SQLite format 3\0"[..], b""] {
            root.write("var/lib/rpm/rpmdb.sqlite", content);
            let why = Recorder::listen(|sink| owners(root.path(), &[b"/a"], sink)).expect_err("broken");
            assert!(why.contains("var/lib/rpm/rpmdb.sqlite: "), "{why}");
        }
    }

    #[test]
    fn a_database_that_is_open_elsewhere_is_read_with_what_its_log_holds() {
        let root = bare();
        let writer = database(&root, "var/lib/rpm", &[package("x", "1-1", 1, &[file("/usr/bin/x", "aa")])]);
        writer.execute_batch("BEGIN IMMEDIATE; DELETE FROM Packages;").expect("a transaction");
        assert!(root.path().join("var/lib/rpm/rpmdb.sqlite-wal").metadata().is_ok_and(|log| log.len() > 0));
        assert_eq!(ask(&root, &[b"/usr/bin/x"]), ["x 1-1 sha256:aa"]);
        writer.execute_batch("COMMIT;").expect("the end");
        assert_eq!(ask(&root, &[b"/usr/bin/x"]), [""]);
    }
}
