//! From what a hook is told, or from names of packages, to files and versions.

use crate::database::{names, unread, Database, Entry};
use crate::mtree;
use crate::trigger::{parse, Input};
use reexec_plugin_abi::rust::{Phase, Sink, Trigger};
use reexec_plugin_paths::{shown, split_path, Folders};
use std::collections::{HashMap, HashSet};
use std::path::Path;

/// Turns what a hook is told into packages and claims. Before the transaction the database knows the
/// old versions, after it the new ones: that of a removed package is only known before.
pub fn read(trigger: &Trigger<'_>, sink: &mut Sink<'_>) -> Result<(), String> {
    let mut folders = Folders::below(trigger.root());
    let input = parse(trigger.input());
    for trouble in &input.troubles {
        sink.message(trouble);
    }
    if input.paths.is_empty() && input.words.is_empty() {
        return Ok(());
    }
    match Database::open(&mut folders) {
        Ok(database) => Claims::of(&database, &mut folders, trigger.phase()).told(&input, sink)?,
        // What pacman said is worth telling without the database.
        Err(why) => {
            sink.message(&why);
            for path in input.paths.iter().chain(&input.words) {
                sink.file(&on_disk(path, &mut folders), b"");
            }
        }
    }
    Ok(())
}

/// Names every file of the packages, and the version that is installed now.
pub fn expand(root: &Path, packages: &[&[u8]], sink: &mut Sink<'_>) -> Result<(), String> {
    let mut folders = Folders::below(root);
    let database = Database::open(&mut folders)?;
    let entries = database.entries()?;
    let mut claims = Claims::of(&database, &mut folders, Phase::Post);
    for package in packages {
        let mut of_name = entries.iter().filter(|entry| entry.name() == *package).peekable();
        if of_name.peek().is_none() {
            sink.package(package, b"", b"");
            sink.message(&format!("{}: no such package", shown(package)));
        }
        for entry in of_name {
            claims.package(entry, sink);
            claims.all_files(entry, sink);
        }
    }
    Ok(())
}

/// The absolute path as it is on disk, of a name as the database spells it.
fn on_disk(name: &[u8], folders: &mut Folders) -> Vec<u8> {
    folders.resolve(&[b"/", name].concat())
}

/// Claims from the database.
#[derive(Debug)]
struct Claims<'a> {
    database: &'a Database,
    folders: &'a mut Folders,
    phase: Phase,
    text: Vec<u8>,
}

impl<'a> Claims<'a> {
    fn of(database: &'a Database, folders: &'a mut Folders, phase: Phase) -> Claims<'a> {
        Claims { database, folders, phase, text: Vec::new() }
    }

    /// The packages that own what was said, and every file of it.
    fn told(&mut self, input: &Input<'_>, sink: &mut Sink<'_>) -> Result<(), String> {
        let entries = self.database.entries()?;
        let mut owners: HashMap<&[u8], Option<usize>> = HashMap::new();
        for path in input.paths.iter().chain(&input.words) {
            owners.insert(path, None);
        }
        let named: HashSet<&[u8]> = input.words.iter().copied().collect();
        let mut met = vec![false; entries.len()];
        let mut text = Vec::new();
        for (index, entry) in entries.iter().enumerate() {
            if let Err(error) = self.database.read(entry, "files", &mut text) {
                sink.message(&unread(&self.database.file(entry, "files"), &error));
                continue;
            }
            for name in names(&text) {
                if let Some(owner) = owners.get_mut(name) {
                    *owner = Some(index);
                    met[index] = true;
                }
            }
        }
        for (index, entry) in entries.iter().enumerate() {
            if named.contains(entry.name()) {
                self.package(entry, sink);
                self.all_files(entry, sink);
            } else if met[index] {
                self.package(entry, sink);
                self.names_with_line_breaks(entry, sink);
            }
        }
        let is_package = |word: &&[u8]| entries.iter().any(|entry| entry.name() == *word);
        let mut said = HashSet::new();
        for path in input.paths.iter().chain(input.words.iter().filter(|word| !is_package(word))) {
            if said.insert(*path) {
                let owner = owners.get(path).copied().flatten().map(|index| entries[index].name());
                sink.file(&on_disk(path, self.folders), owner.unwrap_or(b""));
            }
        }
        Ok(())
    }

    fn package(&self, entry: &Entry, sink: &mut Sink<'_>) {
        match self.phase {
            Phase::Pre => sink.package(entry.name(), entry.version(), b""),
            Phase::Post | Phase::Other(_) => sink.package(entry.name(), b"", entry.version()),
        }
    }

    /// Every file of a package.
    fn all_files(&mut self, entry: &Entry, sink: &mut Sink<'_>) {
        if let Err(error) = self.database.read(entry, "files", &mut self.text) {
            sink.message(&unread(&self.database.file(entry, "files"), &error));
            return;
        }
        for name in names(&self.text).filter(|name| !name.ends_with(b"/")) {
            sink.file(&on_disk(name, self.folders), entry.name());
        }
        self.names_with_line_breaks(entry, sink);
    }

    /// In the list, as in what a hook is told, a name with a line break is two lines; the mtree has it
    /// whole. It is only read where a line is in a folder that the list does not have.
    fn names_with_line_breaks(&mut self, entry: &Entry, sink: &mut Sink<'_>) {
        if self.database.read(entry, "files", &mut self.text).is_err() {
            return;
        }
        let folders: HashSet<&[u8]> = names(&self.text).filter_map(|name| name.strip_suffix(b"/")).collect();
        let is_whole = |name: &[u8]| {
            let name = name.strip_suffix(b"/").unwrap_or(name);
            let (folder, _) = split_path(name);
            folder.is_empty() || folders.contains(folder)
        };
        // A name at the top is only believed to be one as a folder: files there are rare.
        if names(&self.text).all(|name| is_whole(name) && (name.contains(&b'/') || name.starts_with(b"."))) {
            return;
        }
        // Not every package has one.
        if mtree::read(&self.database.file(entry, "mtree"), &mut self.text).is_err() {
            return;
        }
        for line in mtree::files(&self.text).filter(|line| line.name.contains(&b'\n')) {
            sink.file(&on_disk(&line.name, self.folders), entry.name());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::tests::{install, usual};
    use reexec_plugin_abi::rust::{Question, Recorder, Said};
    use reexec_plugin_paths::trial::TestRoot;

    fn ask(root: &TestRoot, phase: Phase, input: &[u8]) -> Vec<Said> {
        let question = Question { phase, root: root.path(), arguments: &[], input, since: 0 };
        Recorder::read(&question, read).expect("an answer")
    }

    fn package(name: &str, old: &str, new: &str) -> Said {
        Said::Package(name.into(), old.into(), new.into())
    }

    fn file(path: &str, package: &str) -> Said {
        Said::File(path.into(), package.into())
    }

    const TARGETS: &[u8] = b"etc/libx.conf\nusr/\nusr/bin/\nusr/bin/tool\nusr/lib/\nusr/lib/gone\nusr/lib/libx.so.2\n";

    #[test]
    fn before_a_transaction_the_database_knows_the_old_versions_and_after_it_the_new_ones() {
        let root = usual();
        let files = [
            file("/etc/libx.conf", "libx"),
            file("/usr/bin/tool", "x-tool"),
            file("/usr/lib/gone", ""),
            file("/usr/lib/libx.so.2", "libx"),
        ];
        let before = [package("libx", "1:2.0-1", ""), package("x-tool", "0.5-2", "")];
        assert_eq!(ask(&root, Phase::Pre, TARGETS), [&before[..], &files].concat());
        let after = [package("libx", "", "1:2.0-1"), package("x-tool", "", "0.5-2")];
        assert_eq!(ask(&root, Phase::Post, TARGETS), [&after[..], &files].concat());
    }

    #[test]
    fn packages_may_be_said_in_place_of_files() {
        let root = usual();
        assert_eq!(
            ask(&root, Phase::Post, b"x-tool\n"),
            [
                package("x-tool", "", "0.5-2"),
                file("/usr/bin/tool", "x-tool"),
                file("/usr/bin/with space", "x-tool"),
                file("/usr/share/README", "x-tool"),
            ]
        );
    }

    #[test]
    fn a_name_with_a_line_break_is_claimed_whole_from_the_mtree() {
        let root = usual();
        install(
            &root,
            "odd-1-1",
            b"%FILES%\nusr/\nusr/lib/\nusr/lib/a\nb\nusr/lib/c\n\n",
            b"./usr/lib/a\\012b size=1 sha256digest=00\n./usr/lib/c size=1 sha256digest=00\n",
        );
        let expected = [
            package("odd", "", "1-1"),
            file("/usr/lib/a\nb", "odd"),
            file("/usr/lib/a", "odd"),
            file("/usr/lib/c", "odd"),
            file("/b", "odd"),
        ];
        assert_eq!(ask(&root, Phase::Post, b"usr/lib/\nusr/lib/a\nb\nusr/lib/c\n"), expected);
    }

    #[test]
    fn links_of_the_admins_are_followed_and_a_file_that_comes_twice_is_claimed_once() {
        let root = usual();
        assert_eq!(
            ask(&root, Phase::Post, b"lib/libx.so.2\nlib/libx.so.2\n"),
            [file("/usr/lib/libx.so.2", "")],
            "the database spells it usr/lib"
        );
    }

    #[test]
    fn a_broken_database_does_not_hide_what_was_said() {
        let root = usual();
        std::fs::remove_file(root.path().join("var/lib/pacman/local/libx-1:2.0-1/files")).expect("remove");
        let said = ask(&root, Phase::Post, b"usr/lib/libx.so.2\nusr/bin/tool\n");
        assert!(matches!(&said[0], Said::Message(why) if why.contains("libx-1:2.0-1/files: No such file")), "{said:?}");
        let rest = [package("x-tool", "", "0.5-2"), file("/usr/lib/libx.so.2", ""), file("/usr/bin/tool", "x-tool")];
        assert_eq!(said[1..], rest);
        root.write("var/lib/pacman/local/ALPM_DB_VERSION", b"10\n");
        let said = ask(&root, Phase::Post, b"usr/bin/tool\n");
        assert!(matches!(&said[..], [Said::Message(_), claim] if *claim == file("/usr/bin/tool", "")), "{said:?}");
    }

    #[test]
    fn nothing_on_standard_input_claims_nothing() {
        assert_eq!(ask(&usual(), Phase::Post, b"usr/\n"), []);
        assert_eq!(ask(&usual(), Phase::Post, b""), []);
    }

    #[test]
    fn packages_are_expanded_with_the_version_that_is_installed() {
        let root = usual();
        let (said, ()) =
            Recorder::listen(|sink| expand(root.path(), &[b"libx", b"gone", b"../x"], sink)).expect("an answer");
        assert_eq!(
            said,
            [
                package("libx", "", "1:2.0-1"),
                file("/etc/libx.conf", "libx"),
                file("/usr/lib/libx.so", "libx"),
                file("/usr/lib/libx.so.2", "libx"),
                package("gone", "", ""),
                Said::Message("gone: no such package".into()),
                package("../x", "", ""),
                Said::Message("../x: no such package".into()),
            ]
        );
    }
}
