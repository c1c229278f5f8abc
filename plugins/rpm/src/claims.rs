//! From a trigger, or from names of packages, to the exact files.

use crate::database::{self, Database, Number};
use crate::header::{shown_as, Header};
use crate::owners;
use crate::trigger::{self, Change, Dialect, Input};
use reexec_plugin_abi::rust::{Phase, Sink, Trigger};
use reexec_plugin_paths::{shown, Folders};
use std::collections::{HashMap, HashSet};
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

/// Our own program. A file trigger whose own package comes or goes is told the files of all packages
/// there are, of which most stay as they are (facts of rpm 4.18 and 6.1).
const OWN: &[u8] = b"/usr/bin/reexec";

/// Turns a trigger into packages and claims.
pub fn read(trigger: &Trigger<'_>, sink: &mut Sink<'_>) -> Result<(), String> {
    let arguments: Vec<_> = trigger.arguments().collect();
    let input = trigger::parse(&arguments, trigger.input())?;
    for trouble in &input.troubles {
        sink.message(trouble);
    }
    let mut folders = Folders::below(trigger.root());
    let claims = match (input.dialect, trigger.phase()) {
        (Dialect::Paths, Phase::Pre) => before_paths(&input.paths, &mut folders),
        (Dialect::Paths, Phase::Post | Phase::Other(_)) => after_paths(&input.paths, &mut folders),
        (Dialect::Transaction, Phase::Pre) => before_changes(&input, &mut folders),
        (Dialect::Transaction, Phase::Post | Phase::Other(_)) => after_changes(&input, trigger.since(), &mut folders),
    };
    match claims {
        Ok(claims) => claims.tell(sink),
        // What was said is worth telling without the database.
        Err(why) => {
            sink.message(&why);
            Claims::said(&input, &mut folders).tell(sink);
        }
    }
    Ok(())
}

/// Names every file of the packages that their transaction put in place: not the configuration that it
/// kept, nor what it had no need to write again (`%_minimize_writes`).
pub fn expand(root: &Path, packages: &[&[u8]], sink: &mut Sink<'_>) -> Result<(), String> {
    let mut folders = Folders::below(root);
    let found = database::read(&mut folders, |database, folders| {
        let mut claims = Claims::default();
        let mut missing = Vec::new();
        for package in packages {
            let numbers = named(database, package)?;
            if numbers.is_empty() {
                missing.push(*package);
            }
            // Of several versions the last is the one that is installed now.
            if let Some(last) = numbers.last() {
                database.header(*last, |header| claims.package(&header.shown(), b"", &header.version()))?;
            }
            for number in numbers {
                let began = database.header(number, |header| header.transaction())?.flatten();
                claims.list(database, number, folders, |outside| is_new(outside, began, &mut None))?;
            }
        }
        Ok((claims, missing))
    })?;
    let (claims, missing) = found.unwrap_or_else(|| (Claims::default(), packages.to_vec()));
    for package in missing {
        sink.message(&format!("{}: no such package", shown(package)));
    }
    claims.tell(sink);
    Ok(())
}

/// The packages that are shown under this name: `NAME` or `NAME.ARCHITECTURE`.
fn named(database: &Database, name: &[u8]) -> Result<Vec<Number>, String> {
    let short = name.iter().rposition(|byte| *byte == b'.').map(|at| &name[..at]);
    let mut all = database.packages(name)?;
    if let Some(short) = short {
        all.extend(database.packages(short)?);
    }
    let mut fitting = Vec::new();
    for number in all {
        let full = |header: Header<'_>| [header.name(), b".", header.architecture()].concat() == name;
        if database.header(number, |header| header.shown() == name || full(header))? == Some(true) {
            fitting.push(number);
        }
    }
    Ok(fitting)
}

/// Files of packages that are about to go or to be replaced, by their names in the database.
fn before_paths(paths: &[&[u8]], folders: &mut Folders) -> Result<Claims, String> {
    // Which of them change cannot be told from a list of all that there are.
    if paths.contains(&OWN) {
        return Ok(Claims::default());
    }
    let found = database::read(folders, |database, folders| {
        let mut claims = Claims::default();
        let mut owned = vec![false; paths.len()];
        for (number, files) in owners::find(database, folders, paths)? {
            let shown = database.header(number, |header| {
                let (name, list) = (header.shown().into_owned(), header.files());
                claims.package(&name, &header.version(), b"");
                for file in &files {
                    owned[file.asked] = true;
                    if !list.is_folder(file.index) {
                        claims.file(folders.resolve(paths[file.asked]), &name);
                    }
                }
            });
            shown?;
        }
        for (path, _) in paths.iter().zip(&owned).filter(|(_, owned)| !**owned) {
            claims.file(folders.resolve(path), b"");
        }
        Ok(claims)
    })?;
    Ok(found.unwrap_or_else(|| Claims::paths(paths, folders)))
}

/// Files of packages that have come. The list holds also what was kept: configuration of the
/// admin's, ghosts, folders, and everything there is when our own package comes. What rpm has put in
/// place by this transaction was made since it began.
fn after_paths(paths: &[&[u8]], folders: &mut Folders) -> Result<Claims, String> {
    if paths.is_empty() {
        return Ok(Claims::default());
    }
    let found = database::read(folders, |database, folders| {
        let mut claims = Claims::default();
        let mut package_of: HashMap<Vec<u8>, usize> = HashMap::new();
        let mut names = Vec::new();
        let mut began = None;
        for number in database.last_transaction()? {
            database.header(number, |header| {
                began = began.or(header.transaction());
                claims.package(&header.shown(), b"", &header.version());
                package_of.extend(header.files().paths().map(|(_, path)| (path, names.len())));
                names.push(header.shown().into_owned());
            })?;
        }
        let mut last_folder = None;
        for path in paths {
            let place = folders.resolve(path);
            if is_new(&folders.outside(&place), began, &mut last_folder) {
                let package = package_of.get(*path).map(|at| names[*at].as_slice());
                claims.file(place, package.unwrap_or_default());
            }
        }
        Ok(claims)
    })?;
    Ok(found.unwrap_or_else(|| Claims::paths(paths, folders)))
}

/// Packages that zypp or libdnf5 is about to change: the files that they have now.
fn before_changes(input: &Input<'_>, folders: &mut Folders) -> Result<Claims, String> {
    let found = database::read(folders, |database, folders| {
        let mut claims = Claims::default();
        for change in &input.changes {
            let mut old = change.old.clone();
            for number in database.packages(change.name.as_bytes())? {
                let version = database.header(number, |header| change.is_of(&header).then(|| header.version()))?;
                let Some(version) = version.flatten() else { continue };
                old = old.or_else(|| Some(String::from_utf8_lossy(&version).into_owned()));
                claims.list(database, number, folders, |_| true)?;
            }
            claims.change(change, old);
        }
        Ok(claims)
    })?;
    Ok(found.unwrap_or_else(|| Claims::said(input, folders)))
}

/// What was said behind a transaction, and beside it all packages that came since then: an action of
/// dnf4 says nothing, and what file triggers would have said is missing where they are switched off.
fn after_changes(input: &Input<'_>, since: Option<i64>, folders: &mut Folders) -> Result<Claims, String> {
    let found = database::read(folders, |database, folders| {
        let mut claims = Claims::default();
        for change in &input.changes {
            claims.change(change, change.old.clone());
        }
        let newest = match since {
            Some(_) => database.newest_first()?,
            None => database.last_transaction()?,
        };
        for number in newest {
            let times = database.header(number, |header| (header.installed_at(), header.transaction()))?;
            let Some((installed, began)) = times else { continue };
            if since.is_some_and(|since| installed.is_none_or(|installed| installed < since)) {
                break;
            }
            claims.list(database, number, folders, |outside| is_new(outside, began, &mut None))?;
            database.header(number, |header| claims.package(&header.shown(), b"", &header.version()))?;
        }
        Ok(claims)
    })?;
    Ok(found.unwrap_or_else(|| Claims::said(input, folders)))
}

/// Whether a file was made since then, or is out of our sight: rpm 6 hides `/home` and `/tmp` from
/// what it starts. Folders and ghosts that nobody made are not.
/// `last_folder` is the one that was looked for last, and whether it is there.
fn is_new(file: &Path, since: Option<i64>, last_folder: &mut Option<(PathBuf, bool)>) -> bool {
    let metadata = match fs::symlink_metadata(file) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let Some(folder) = file.parent() else { return false };
            let last = last_folder.take().filter(|(last, _)| last == folder);
            let (folder, there) = last.unwrap_or_else(|| (folder.to_owned(), folder.exists()));
            *last_folder = Some((folder, there));
            return !there;
        }
        Err(_) => return true,
    };
    if metadata.is_dir() {
        return false;
    }
    let Some(since) = since else { return true };
    // A file system without birth times has the change time, which kept configuration moves too.
    let born = metadata.created().ok().and_then(|born| born.duration_since(UNIX_EPOCH).ok());
    let born = born.map_or(metadata.ctime(), |born| i64::try_from(born.as_secs()).unwrap_or(i64::MAX));
    born >= since
}

impl Change {
    fn is_of(&self, header: &Header<'_>) -> bool {
        let own = header.architecture();
        // A package may change its architecture from or to `noarch`.
        let any = |architecture: &[u8]| architecture.is_empty() || architecture == b"noarch";
        own == self.architecture.as_bytes() || any(own) || any(self.architecture.as_bytes())
    }
}

/// Packages and files to be told, each once.
#[derive(Debug, Default)]
struct Claims {
    packages: Vec<(Vec<u8>, Vec<u8>, Vec<u8>)>,
    /// Where a package stands among them.
    at: HashMap<Vec<u8>, usize>,
    files: Vec<(Vec<u8>, Vec<u8>)>,
    known: HashSet<Vec<u8>>,
}

impl Claims {
    /// Without a database: the paths as they are on disk.
    fn paths(paths: &[&[u8]], folders: &mut Folders) -> Claims {
        let mut claims = Claims::default();
        paths.iter().for_each(|path| claims.file(folders.resolve(path), b""));
        claims
    }

    /// Without a database: all that was said.
    fn said(input: &Input<'_>, folders: &mut Folders) -> Claims {
        let mut claims = Claims::paths(&input.paths, folders);
        for change in &input.changes {
            claims.change(change, change.old.clone());
        }
        claims
    }

    fn package(&mut self, name: &[u8], old: &[u8], new: &[u8]) {
        if let Some(at) = self.at.get(name) {
            let (_, known_old, known_new) = &mut self.packages[*at];
            for (known, said) in [(known_old, old), (known_new, new)] {
                if known.is_empty() {
                    *known = said.to_vec();
                }
            }
            return;
        }
        self.at.insert(name.to_vec(), self.packages.len());
        self.packages.push((name.to_vec(), old.to_vec(), new.to_vec()));
    }

    /// A package as another program named it.
    fn change(&mut self, change: &Change, old: Option<String>) {
        let name = shown_as(change.name.as_bytes(), change.architecture.as_bytes());
        let new = change.new.as_deref().unwrap_or_default();
        self.package(&name, old.unwrap_or_default().as_bytes(), new.as_bytes());
    }

    fn file(&mut self, path: Vec<u8>, package: &[u8]) {
        if self.known.insert(path.clone()) {
            self.files.push((path, package.to_vec()));
        }
    }

    /// The files of a package that fit; `fits` gets their paths from outside of the root.
    fn list(
        &mut self,
        database: &Database,
        number: Number,
        folders: &mut Folders,
        mut fits: impl FnMut(&Path) -> bool,
    ) -> Result<(), String> {
        let listed = database.header(number, |header| {
            let name = header.shown().into_owned();
            for (_, path) in header.files().paths() {
                let place = folders.resolve(&path);
                if fits(&folders.outside(&place)) {
                    self.file(place, &name);
                }
            }
        });
        listed.map(Option::unwrap_or_default)
    }

    fn tell(self, sink: &mut Sink<'_>) {
        for (name, old, new) in &self.packages {
            sink.package(name, old, new);
        }
        for (path, package) in &self.files {
            sink.file(path, package);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{bare, file, package, with, File};
    use reexec_plugin_abi::rust::{Question, Recorder, Said};
    use reexec_plugin_paths::trial::TestRoot;
    use std::time::SystemTime;

    fn ask(root: &TestRoot, phase: Phase, arguments: &[&[u8]], input: &[u8], since: i64) -> Vec<Said> {
        let question = Question { phase, root: root.path(), arguments, input, since };
        Recorder::read(&question, read).expect("an answer")
    }

    fn said_package(name: &str, old: &str, new: &str) -> Said {
        Said::Package(name.into(), old.into(), new.into())
    }

    fn said_file(path: &str, package: &str) -> Said {
        Said::File(path.into(), package.into())
    }

    fn now() -> u32 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock");
        u32::try_from(now.as_secs()).expect("this century")
    }

    /// An old library, and a tool of a transaction that began at `began`.
    fn root(began: u32) -> TestRoot {
        let tool = package(
            "tool",
            "2-1",
            began,
            &[
                file("/usr/bin/tool", "aa"),
                file("/usr/lib/tool/kept", "bb"),
                File(b"/usr/lib/tool".to_vec(), "", 0, 0, 0o040_755),
                File(b"/usr/lib/tool/ghost".to_vec(), "", 0, 64, 0o100_644),
                file("/hidden/tool", "cc"),
            ],
        );
        let library = package("libx", "1-1", 1_000, &[file("/lib/libx.so.1", "aa"), file("/usr/share/x", "")]);
        let root = with(&[library, tool]);
        for path in ["usr/bin/tool", "usr/lib/tool/kept", "usr/lib/libx.so.1", "usr/share/x", "usr/bin/reexec"] {
            root.write(path, b"");
        }
        root
    }

    const ALL: &[u8] = b"/usr/bin/tool\n/usr/lib/tool\n/usr/lib/tool/ghost\n/hidden/tool\n/lib/libx.so.1\n";

    #[test]
    fn behind_a_transaction_what_it_put_in_place_is_claimed() {
        assert_eq!(
            ask(&root(now() - 60), Phase::Post, &[], ALL, 0),
            [
                said_package("tool", "", "2-1"),
                said_file("/usr/bin/tool", "tool"),
                said_file("/hidden/tool", "tool"),
                // By its time it could be of this transaction, of which package nobody says.
                said_file("/usr/lib/libx.so.1", ""),
            ]
        );
    }

    #[test]
    fn what_was_there_before_the_transaction_began_was_kept() {
        let future = now() + 3600;
        let kept = [said_package("tool", "", "2-1"), said_file("/hidden/tool", "tool")];
        assert_eq!(ask(&root(future), Phase::Post, &[b"transfiletriggerin"], ALL, 0), kept);
        let (said, ()) = Recorder::listen(|sink| expand(root(future).path(), &[b"tool"], sink)).expect("an answer");
        assert_eq!(said, [said_package("tool", "", "2-1"), said_file("/hidden/tool", "tool")]);
    }

    #[test]
    fn before_a_transaction_the_owners_of_the_paths_are_named() {
        let root = root(1_000);
        let run: &[&[u8]] = &[b"transfiletriggerun"];
        assert_eq!(
            ask(&root, Phase::Pre, run, b"/lib/libx.so.1\n/usr/lib/tool\n/usr/bin/tool\n/usr/bin/nobodys\n", 0),
            [
                said_package("libx", "1-1", ""),
                said_package("tool", "2-1", ""),
                said_file("/usr/lib/libx.so.1", "libx"),
                said_file("/usr/bin/tool", "tool"),
                said_file("/usr/bin/nobodys", ""),
            ]
        );
        assert_eq!(ask(&root, Phase::Pre, run, b"/lib/libx.so.1\n/usr/bin/reexec\n", 0), [], "a list of everything");
    }

    #[test]
    fn what_libdnf5_and_zypp_name_is_looked_up_before_and_behind() {
        let root = root(now() - 60);
        let steps = br#"{"TransactionStepList": [{"type": "+", "solvable":
            {"n": "libx", "v": "2", "r": "1", "a": "noarch"}}, {"type": "-", "solvable":
            {"n": "gone", "v": "1", "r": "1", "a": "noarch"}}]}"#;
        assert_eq!(
            ask(&root, Phase::Pre, &[b"zypp"], steps, 0),
            [
                said_package("libx", "1-1", "2-1"),
                said_package("gone", "1-1", ""),
                said_file("/usr/lib/libx.so.1", "libx"),
                said_file("/usr/share/x", "libx"),
            ]
        );
        let tool = [
            said_package("tool", "", "2-1"),
            said_file("/usr/bin/tool", "tool"),
            said_file("/usr/lib/tool/kept", "tool"),
            said_file("/hidden/tool", "tool"),
        ];
        for since in [0, 2_000] {
            assert_eq!(ask(&root, Phase::Post, &[b"dnf4"], b"", since), tool, "{since}");
        }
        let since = i64::from(now()) + 60;
        assert_eq!(ask(&root, Phase::Post, &[b"libdnf5"], b"", since), [], "nothing came since then");
        let reply = br#"{"return": {"trans_packages": [{"direction": "OUT", "full_nevra": "tool-0:1-1.noarch"}]}}"#;
        let said = ask(&root, Phase::Post, &[b"libdnf5"], reply, 2_000);
        assert_eq!(said[0], said_package("tool", "1-1", "2-1"));
        assert_eq!(said[1..], tool[1..]);
    }

    #[test]
    fn without_a_database_what_was_said_is_claimed_and_a_broken_one_is_named() {
        let root = bare();
        let paths = [said_file("/usr/lib/a", ""), said_file("/b", "")];
        assert_eq!(ask(&root, Phase::Post, &[], b"/lib/a\n/b\n", 0), paths);
        assert_eq!(ask(&root, Phase::Pre, &[], b"/lib/a\n/b\n", 0), paths);
        root.write("var/lib/rpm/rpmdb.sqlite", b"broken");
        let said = ask(&root, Phase::Post, &[], b"/lib/a\n/b\n", 0);
        assert!(matches!(&said[..], [Said::Message(_), rest @ ..] if rest == paths), "{said:?}");
        let (said, ()) = Recorder::listen(|sink| expand(bare().path(), &[b"x"], sink)).expect("an answer");
        assert_eq!(said, [Said::Message("x: no such package".into())]);
    }

    #[test]
    fn packages_are_expanded_by_the_names_that_are_shown() {
        let mut foreign = package("libx", "1-1", 1, &[file("/usr/lib/libx.so.1", "aa")]);
        foreign.architecture = "sparc";
        let own = package("libx", "1-1", 1, &[file("/usr/lib64/libx.so.1", "aa")]);
        let root = with(&[foreign, own]);
        root.write("usr/lib/libx.so.1", b"");
        root.write("usr/lib64/libx.so.1", b"");
        for (name, path) in [("libx", "/usr/lib64/libx.so.1"), ("libx.sparc", "/usr/lib/libx.so.1")] {
            let ask = |sink: &mut Sink<'_>| expand(root.path(), &[name.as_bytes()], sink);
            let (said, ()) = Recorder::listen(ask).expect("an answer");
            assert_eq!(said, [said_package(name, "", "1-1"), said_file(path, name)]);
        }
    }
}
