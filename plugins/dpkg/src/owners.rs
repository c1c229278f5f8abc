//! Which package owns a path, without asking `dpkg -S`: one pass over the lists, the likeliest first,
//! which ends when each path has an owner.

use crate::database::{unread, Database, ListName, BASIS};
use crate::status::Kept;
use reexec_plugin_abi::rust::{Owner, Sink};
use reexec_plugin_paths::{lines, split_path, Folders, Names};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

/// Hexadecimal digits of an MD5 digest.
const DIGEST: usize = 32;

/// Says who owns each of the paths.
pub fn owners(root: &Path, paths: &[&[u8]], sink: &mut Sink<'_>) -> Result<(), String> {
    let mut folders = Folders::below(root);
    let database = Database::open(&mut folders, Kept::All)?;
    let status = database.status();
    for path in BASIS {
        sink.file(path, b"");
    }
    let mut lists = database.lists()?;
    // Stable, so that the order is the same each time.
    let hints = Hints::of(paths);
    lists.sort_by_cached_key(|list| !hints.point_at(list.name()));
    let mut search = Search::new(paths, &mut folders);
    search.through(&lists, &database, sink);
    for (list, entries) in search.by_list() {
        let list = &lists[list];
        let package = list.shown(status);
        let version = list.package(status).map_or(&b""[..], |package| package.version);
        let digests = digests(list, &entries, &database);
        for (entry, indexes) in &entries {
            let digest = digests.get(entry).map(|digest| (&b"md5"[..], digest.as_slice()));
            let owner = Owner { package: &package, version, digest };
            for index in indexes {
                sink.owner(*index, &owner);
            }
        }
    }
    Ok(())
}

/// Names of packages that are likely to own the paths: some part of a path often is the beginning of its
/// package's name.
#[derive(Debug)]
struct Hints<'a>(BTreeSet<&'a [u8]>);

impl<'a> Hints<'a> {
    /// Shorter ones are the beginning of too many names.
    const SHORTEST: usize = 3;

    fn of(paths: &[&'a [u8]]) -> Hints<'a> {
        let parts = paths.iter().flat_map(|path| path.split(|byte| *byte == b'/'));
        // `libssl.so.3` is in `libssl3`, `postgresql-15` in `postgresql-15`.
        let stems = parts.filter_map(|part| part.split(|byte| *byte == b'.').next());
        let common = |stem: &&[u8]| stem.len() >= Hints::SHORTEST && !matches!(*stem, b"usr" | b"lib" | b"bin");
        Hints(stems.filter(common).collect())
    }

    fn point_at(&self, package: &[u8]) -> bool {
        (Hints::SHORTEST..=package.len()).any(|len| self.0.contains(&package[..len]))
    }
}

/// Of two packages that list a path, the one that counts: installed before removed, the machine's
/// own architecture before another.
type Rank = (bool, bool);
/// No other package counts more.
const BEST: Rank = (true, true);

/// The best entry for one path so far.
#[derive(Debug)]
struct Found {
    rank: Rank,
    list: usize,
    entry: Vec<u8>,
}

/// Paths that are looked for.
#[derive(Debug)]
struct Search<'a> {
    folders: &'a mut Folders,
    /// The paths as they are on disk, and where in the question they stand.
    places: HashMap<Vec<u8>, Vec<usize>>,
    /// Their last names: an entry with another one is passed over at once.
    names: Names,
    /// How many paths of the question can have an owner.
    asked: usize,
    found: HashMap<usize, Found>,
    /// Entries with a name that is looked for, in another folder; a link may make the two one.
    elsewhere: Vec<Elsewhere>,
}

/// An entry that may turn out to be a path of the question once links are followed.
#[derive(Debug)]
struct Elsewhere {
    rank: Rank,
    list: usize,
    entry: Vec<u8>,
    /// Where the entry is kept, if that is another place than it says.
    diverted: Option<Vec<u8>>,
}

impl<'a> Search<'a> {
    fn new(paths: &[&[u8]], folders: &'a mut Folders) -> Search<'a> {
        let mut places: HashMap<Vec<u8>, Vec<usize>> = HashMap::new();
        let (mut names, mut asked) = (Names::new(), 0);
        for (index, path) in paths.iter().enumerate() {
            if path.starts_with(b"/") && path.len() > 1 {
                let path = path.strip_suffix(b"/").unwrap_or(path);
                let place = folders.resolve(path);
                names.insert(split_path(&place).1);
                places.entry(place).or_default().push(index);
                asked += 1;
            }
        }
        Search { folders, places, names, asked, found: HashMap::new(), elsewhere: Vec::new() }
    }

    fn through(&mut self, lists: &[ListName], database: &Database, sink: &mut Sink<'_>) {
        let status = database.status();
        let diversions = database.diversions();
        let native = status.native();
        for (from, to) in diversions.pairs() {
            if self.names.contains(split_path(to).1) {
                self.names.insert(split_path(from).1);
            }
        }
        let mut text = Vec::new();
        for (number, list) in lists.iter().enumerate() {
            if let Err(error) = database.read_info(list, "list", &mut text) {
                // Removed between the listing and now: then it owns nothing.
                if error.kind() != std::io::ErrorKind::NotFound {
                    sink.message(&unread(list, &error));
                }
                continue;
            }
            let package = list.package(status);
            let rank = package.map_or((false, false), |package| {
                let own = package.architecture == native || package.architecture == b"all";
                (package.has_files(), own)
            });
            for entry in self.names.paths_in(&text) {
                let place = diversions.place(entry, list.name());
                // Only the links of merged /usr are followed here: some names (`copyright`,
                // `__init__.py`) are in thousands of folders.
                let real = self.folders.resolve_top(place);
                if !note(&self.places, &mut self.found, entry, &real, (number, rank)) {
                    let diverted = (place != entry).then(|| place.to_vec());
                    self.elsewhere.push(Elsewhere { rank, list: number, entry: entry.to_vec(), diverted });
                }
            }
            if self.is_answered() {
                return;
            }
        }
        self.follow_links();
    }

    /// Whether each path has an owner that no other one counts more than.
    fn is_answered(&self) -> bool {
        self.found.len() == self.asked && self.found.values().all(|found| found.rank == BEST)
    }

    /// Looks again at what was elsewhere, for the sake of paths that nobody owns yet.
    fn follow_links(&mut self) {
        let mut unowned = Names::new();
        for (place, indexes) in &self.places {
            if indexes.iter().any(|index| !self.found.contains_key(index)) {
                unowned.insert(split_path(place).1);
            }
        }
        for met in std::mem::take(&mut self.elsewhere) {
            let place = met.diverted.as_ref().unwrap_or(&met.entry);
            if unowned.contains(split_path(place).1) {
                let place = self.folders.resolve(place);
                note(&self.places, &mut self.found, &met.entry, &place, (met.list, met.rank));
            }
        }
    }

    /// What was found: for each list its entries, and for each of them the paths of the question.
    fn by_list(self) -> BTreeMap<usize, BTreeMap<Vec<u8>, Vec<usize>>> {
        let mut all: BTreeMap<usize, BTreeMap<Vec<u8>, Vec<usize>>> = BTreeMap::new();
        for (index, found) in self.found {
            let entries = all.entry(found.list).or_default();
            entries.entry(found.entry).or_default().push(index);
        }
        all
    }
}

/// Whether the place is one of the question; keeps the entry of the list if it is the best for it so far.
fn note(
    places: &HashMap<Vec<u8>, Vec<usize>>,
    found: &mut HashMap<usize, Found>,
    entry: &[u8],
    place: &[u8],
    (list, rank): (usize, Rank),
) -> bool {
    let Some(indexes) = places.get(place) else {
        return false;
    };
    for index in indexes {
        let better = found.get(index).is_none_or(|found| rank > found.rank);
        if better {
            found.insert(*index, Found { rank, list, entry: entry.to_vec() });
        }
    }
    true
}

/// The digests that the database keeps for some entries of a list.
fn digests(list: &ListName, entries: &BTreeMap<Vec<u8>, Vec<usize>>, database: &Database) -> HashMap<Vec<u8>, Vec<u8>> {
    let mut all = HashMap::new();
    // Most lines of md5sums are of other files, and most of those are of another length.
    let mut lengths = [false; 256];
    for entry in entries.keys() {
        lengths[entry.len() % 256] = true;
    }
    let mut keep = |path: &[u8], digest: &[u8]| {
        let is_digest = || digest.len() == DIGEST && digest.iter().all(u8::is_ascii_hexdigit);
        if entries.contains_key(path) && is_digest() {
            all.insert(path.to_vec(), digest.to_vec());
        }
    };
    let mut text = Vec::new();
    // Not every package has the file; one that cannot be read gives no digests.
    if database.read_info(list, "md5sums", &mut text).is_ok() {
        let mut path = Vec::new();
        for line in lines(&text) {
            let Some((digest, name)) = line.split_at_checked(DIGEST) else {
                continue;
            };
            let name = name.strip_prefix(b"  ").unwrap_or(name);
            if lengths[(name.len() + 1) % 256] {
                path.clear();
                path.push(b'/');
                path.extend_from_slice(name);
                keep(&path, digest);
            }
        }
    }
    let conffiles = list.package(database.status()).into_iter().flat_map(|package| package.conffiles());
    for (path, digest) in conffiles {
        keep(path, digest);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::tests::usual;
    use reexec_plugin_abi::rust::Recorder;
    use reexec_plugin_paths::trial::TestRoot;
    use std::os::unix::fs::symlink;

    fn ask(root: &TestRoot, paths: &[&[u8]]) -> Vec<String> {
        Recorder::owners(paths.len(), |sink| owners(root.path(), paths, sink)).expect("an answer")
    }

    #[test]
    fn both_spellings_of_merged_usr_have_the_owner() {
        let root = usual();
        for path in [&b"/lib/x86_64-linux-gnu/libx.so.2"[..], b"/usr/lib/x86_64-linux-gnu/libx.so.2"] {
            assert_eq!(ask(&root, &[path]), ["libx 1:2.0-1 "]);
        }
    }

    #[test]
    fn a_link_of_the_admins_does_not_hide_the_owner() {
        let root = usual();
        std::fs::create_dir_all(root.path().join("srv/zones")).expect("folder");
        std::fs::create_dir_all(root.path().join("usr/share")).expect("folder");
        symlink("/srv/zones", root.path().join("usr/share/zoneinfo")).expect("link");
        assert_eq!(
            ask(&root, &[b"/srv/zones/UTC", b"/usr/share/zoneinfo/UTC", b"/usr/share/zoneinfo/GMT"]),
            ["tzdata 2024a ", "tzdata 2024a ", ""]
        );
    }

    #[test]
    fn diversions_say_whose_file_it_really_is() {
        let root = usual();
        assert_eq!(
            ask(&root, &[b"/bin/sh", b"/usr/bin/sh.distrib", b"/bin/dash"]),
            [
                "bash 5.2.15-2 ",
                "dash 0.5.12-2 md5:00000000000000000000000000000002",
                "dash 0.5.12-2 md5:00000000000000000000000000000001",
            ]
        );
    }

    #[test]
    fn configuration_files_have_the_digest_that_the_status_keeps() {
        let root = usual();
        assert_eq!(ask(&root, &[b"/etc/libx.conf"]), ["libx 1:2.0-1 md5:0123456789abcdef0123456789abcdef"]);
    }

    #[test]
    fn an_installed_package_owns_before_a_removed_one_and_the_own_architecture_before_another() {
        let root = usual();
        let shared = b"/.\n/etc\n/etc/both\n";
        root.write("info/aaa.list", shared);
        root.write("info/libx:i386.list", shared);
        root.write("info/libx:amd64.list", shared);
        let path = root.path().join("var/lib/dpkg/status");
        let mut status = std::fs::read(&path).expect("status");
        status.extend_from_slice(b"Package: aaa\nStatus: deinstall ok config-files\nArchitecture: amd64\nVersion: 1\n");
        root.write("status", &status);
        assert_eq!(ask(&root, &[b"/etc/both"]), ["libx 1:2.0-1 "]);
    }

    #[test]
    fn what_nobody_owns_has_no_answer() {
        let root = usual();
        let paths: [&[u8]; 6] = [b"", b"/", b"relative", b"/usr/local/bin/dash", b"/\xff", b"/bin/dash/"];
        assert_eq!(ask(&root, &paths)[..5], ["", "", "", "", ""]);
    }

    /// Prints what the machine's own database costs: `cargo test --release -- --ignored --nocapture`.
    #[test]
    #[ignore = "a measurement"]
    #[allow(clippy::print_stdout, reason = "a measurement is for people")]
    fn a_thousand_paths_of_this_machine() {
        let mut folders = Folders::below(Path::new("/"));
        let database = Database::open(&mut folders, Kept::All).expect("database");
        let mut entries = Vec::new();
        let mut text = Vec::new();
        for list in database.lists().expect("lists") {
            database.read_info(&list, "list", &mut text).expect("list");
            entries.extend(crate::database::files(&text).map(<[u8]>::to_vec));
        }
        let step = entries.len() / 1000;
        let asked: Vec<_> = entries.iter().step_by(step).take(1000).map(Vec::as_slice).collect();
        for _ in 0..5 {
            let begun = std::time::Instant::now();
            let (said, ()) = Recorder::listen(|sink| owners(Path::new("/"), &asked, sink)).expect("an answer");
            println!("{} of {} entries: {} answers in {:?}", asked.len(), entries.len(), said.len(), begun.elapsed());
        }
    }
}
