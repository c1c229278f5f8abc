//! From a trigger, or from names of packages, to the exact files.

use crate::database::{files, full_name, parts_of, unread, Database, Diversions, ListName};
use crate::status::{Kept, Package};
use crate::trigger::{parse, triggered, Change};
use reexec_plugin_abi::rust::{Sink, Trigger};
use reexec_plugin_paths::{shown, Folders};
use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Turns a trigger into packages and claims.
pub fn read(trigger: &Trigger<'_>, sink: &mut Sink<'_>) -> Result<(), String> {
    let mut folders = Folders::below(trigger.root());
    let input = parse(trigger.input());
    for trouble in &input.troubles {
        sink.message(trouble);
    }
    for path in &input.paths {
        claim_path(path, &mut folders, sink);
    }
    if !input.changes.is_empty() {
        let names = input.changes.iter().map(|change| change.name.to_vec());
        match Database::open(&mut folders, Kept::Named(names.collect())) {
            Ok(database) => {
                let mut claims = Claims::of(&database, &mut folders);
                for change in &input.changes {
                    claims.change(change, input.native.as_deref(), sink);
                }
            }
            // What apt said is worth telling without the database.
            Err(why) => {
                sink.message(&why);
                let native = input.native.as_deref().unwrap_or(b"");
                for change in &input.changes {
                    let name = full_name(change.name, change.architecture, native);
                    let version = |of: &Option<Vec<u8>>| of.clone().unwrap_or_default();
                    sink.package(&name, &version(&change.old), &version(&change.new));
                }
            }
        }
    }
    let arguments: Vec<_> = trigger.arguments().collect();
    if let Some(names) = triggered(&arguments) {
        // The folders need no database, and its troubles must not hide them.
        for prefix in spellings(&names, &mut folders) {
            sink.tree(&prefix);
        }
        match trigger.since() {
            Some(since) => {
                let claimed = Database::open(&mut folders, Kept::All)
                    .and_then(|database| Claims::of(&database, &mut folders).newer(since, sink));
                if let Err(why) = claimed {
                    sink.message(&why);
                }
            }
            None => sink.message("since when is not known, so which packages changed is not either"),
        }
    }
    Ok(())
}

/// Names every file of the packages.
pub fn expand(root: &Path, packages: &[&[u8]], sink: &mut Sink<'_>) -> Result<(), String> {
    let mut folders = Folders::below(root);
    let names = packages.iter().map(|package| parts_of(package).0.to_vec());
    let database = Database::open(&mut folders, Kept::Named(names.collect()))?;
    let mut claims = Claims::of(&database, &mut folders);
    for package in packages {
        let lists = database.lists_of(package);
        if lists.is_empty() {
            sink.message(&format!("{}: no such package", shown(package)));
        }
        for list in &lists {
            claims.list(list, sink);
        }
    }
    Ok(())
}

/// A path as it was said, and as it is on disk.
fn claim_path(path: &[u8], folders: &mut Folders, sink: &mut Sink<'_>) {
    match path.strip_suffix(b"/") {
        Some(folder) => sink.tree(&folders.resolve_folder(folder)),
        None => sink.file(&folders.resolve(path), b""),
    }
}

/// The folders among the names, each as it was said, as it is on disk, and as the other spelling
/// of merged /usr has it.
fn spellings(names: &[&[u8]], folders: &mut Folders) -> BTreeSet<Vec<u8>> {
    let mut all = BTreeSet::new();
    for name in names.iter().filter(|name| name.starts_with(b"/")) {
        let name = name.strip_suffix(b"/").filter(|rest| !rest.is_empty()).unwrap_or(name);
        let real = folders.resolve_folder(name);
        if let Some(short) = real.strip_prefix(b"/usr") {
            if !short.is_empty() && folders.resolve_folder(short) == real {
                all.insert(short.to_vec());
            }
        }
        all.insert(name.to_vec());
        all.insert(real);
    }
    all
}

/// Claims from the database.
#[derive(Debug)]
struct Claims<'a> {
    database: &'a Database,
    diversions: Diversions<'a>,
    folders: &'a mut Folders,
    text: Vec<u8>,
}

impl<'a> Claims<'a> {
    fn of(database: &'a Database, folders: &'a mut Folders) -> Claims<'a> {
        Claims { database, diversions: database.diversions(), folders, text: Vec::new() }
    }

    /// A package that apt is about to change, and the files that will be replaced.
    fn change(&mut self, change: &Change<'_>, native: Option<&[u8]>, sink: &mut Sink<'_>) {
        let native = native.unwrap_or(self.database.status().native());
        let installed = self.installed(change, native);
        let architecture = change.architecture.or(installed.map(|package| package.architecture));
        let name = full_name(change.name, architecture, native);
        let old = match (&change.old, change.old_known) {
            (Some(old), _) => old,
            (None, true) => &b""[..],
            (None, false) => installed.map_or(&b""[..], |package| package.version),
        };
        sink.package(&name, old, change.new.as_deref().unwrap_or(b""));
        let Some(installed) = installed else {
            return;
        };
        if !change.files {
            for (path, _) in installed.conffiles() {
                let place = self.diversions.place(path, change.name);
                sink.file(&self.folders.resolve(place), &name);
            }
            return;
        }
        let lists = self.database.lists_of(&name);
        if lists.is_empty() {
            sink.message(&format!("{}: its list of files is missing", shown(&name)));
        }
        for list in &lists {
            self.list(list, sink);
        }
    }

    /// The package as it is before the change. A package may change its architecture, mostly from
    /// or to `all`; dpkg keeps such as one.
    fn installed(&self, change: &Change<'_>, native: &[u8]) -> Option<Package<'a>> {
        let of =
            |architecture| self.database.status().find(change.name, architecture).filter(|package| package.has_files());
        match change.architecture {
            Some(b"all") => of(Some(b"all")).or_else(|| of(Some(native))),
            Some(own) if own == native => of(Some(own)).or_else(|| of(Some(b"all"))),
            Some(own) => of(Some(own)),
            None => of(Some(native)).or_else(|| of(None)),
        }
    }

    /// The packages whose lists dpkg has written since then: it does when it unpacks or removes.
    fn newer(&mut self, since: i64, sink: &mut Sink<'_>) -> Result<(), String> {
        for list in self.database.lists()? {
            let written = match std::fs::metadata(self.database.info(&list, "list")) {
                Ok(metadata) => metadata.mtime(),
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                Err(error) => {
                    sink.message(&unread(&list, &error));
                    continue;
                }
            };
            if written < since {
                continue;
            }
            let name = list.shown(self.database.status());
            match list.package(self.database.status()) {
                Some(package) if package.has_files() => sink.package(&name, b"", package.version),
                Some(package) => sink.package(&name, package.version, b""),
                None => sink.package(&name, b"", b""),
            }
            self.list(&list, sink);
        }
        Ok(())
    }

    /// Every file of a list, where it is on disk.
    fn list(&mut self, list: &ListName, sink: &mut Sink<'_>) {
        if let Err(error) = self.database.read_info(list, "list", &mut self.text) {
            sink.message(&unread(list, &error));
            return;
        }
        let package = list.shown(self.database.status());
        for file in files(&self.text) {
            let place = self.diversions.place(file, list.name());
            sink.file(&self.folders.resolve(place), &package);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::tests::usual;
    use reexec_plugin_abi::rust::{Phase, Question, Recorder, Said};
    use reexec_plugin_paths::trial::TestRoot;

    fn ask(root: &TestRoot, arguments: &[&[u8]], input: &[u8], since: i64) -> Vec<Said> {
        let question = Question { phase: Phase::Pre, root: root.path(), arguments, input, since };
        Recorder::read(&question, read).expect("an answer")
    }

    fn package(name: &str, old: &str, new: &str) -> Said {
        Said::Package(name.into(), old.into(), new.into())
    }

    fn file(path: &str, package: &str) -> Said {
        Said::File(path.into(), package.into())
    }

    #[test]
    fn before_an_upgrade_the_old_lists_are_claimed_as_they_are_on_disk() {
        let root = usual();
        let input = b"VERSION 3\nAPT::Architecture=amd64\n\n\
            libx 1:2.0-1 amd64 same < 1:2.1-1 amd64 same /a/libx_1%3a2.1-1_amd64.deb\n\
            libx 1:2.0-1 i386 same < 1:2.1-1 i386 same /a/libx_1%3a2.1-1_i386.deb\n\
            libx 1:2.0-1 amd64 same < 1:2.1-1 amd64 same **CONFIGURE**\n\
            dash 0.5.12-2 amd64 none > - - none **REMOVE**\n\
            new - - none < 1.0 amd64 none /a/new_1.0_amd64.deb\n";
        assert_eq!(
            ask(&root, &[], input, 0),
            [
                package("libx", "1:2.0-1", "1:2.1-1"),
                file("/etc/libx.conf", "libx"),
                file("/usr/lib/x86_64-linux-gnu/libx.so.2", "libx"),
                package("libx:i386", "1:2.0-1", "1:2.1-1"),
                file("/usr/lib/i386-linux-gnu/libx.so.2", "libx:i386"),
                package("dash", "0.5.12-2", ""),
                file("/usr/bin/dash", "dash"),
                file("/usr/bin/sh.distrib", "dash"),
                package("new", "", "1.0"),
            ]
        );
    }

    #[test]
    fn protocol_1_takes_the_old_version_from_the_database() {
        let root = usual();
        assert_eq!(
            ask(&root, &[], b"/a/./tzdata_2024b_all.deb\n/a/wine32_9.0_i386.deb\n", 0),
            [
                package("tzdata", "2024a", "2024b"),
                file("/usr/share/zoneinfo/UTC", "tzdata"),
                package("wine32:i386", "8.0", "9.0"),
                file("/usr/bin/wine", "wine32:i386"),
            ]
        );
    }

    #[test]
    fn a_package_that_is_only_configured_claims_its_configuration_files() {
        let root = usual();
        assert_eq!(
            ask(&root, &[], b"VERSION 2\n\nlibx 1:2.0-1 = 1:2.0-1 **CONFIGURE**\n", 0),
            [package("libx", "1:2.0-1", "1:2.0-1"), file("/etc/libx.conf", "libx")]
        );
    }

    #[test]
    fn plain_paths_are_claimed_as_they_are_on_disk() {
        let root = usual();
        assert_eq!(
            ask(&root, &[], b"/lib/libz.so.1\n/bin/\n/opt/x\n", 0),
            [file("/usr/lib/libz.so.1", ""), Said::Tree("/usr/bin".into()), file("/opt/x", "")]
        );
    }

    #[test]
    fn nothing_on_standard_input_claims_nothing() {
        let root = usual();
        assert_eq!(ask(&root, &[], b"", 1), []);
        assert_eq!(ask(&root, &[b"configure", b"0.1"], b"", 1), []);
    }

    #[test]
    fn a_trigger_claims_its_folders_and_the_files_of_packages_written_since() {
        let root = usual();
        let old = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1000);
        for entry in std::fs::read_dir(root.path().join("var/lib/dpkg/info")).expect("info") {
            let path = entry.expect("entry").path();
            if !path.ends_with("wine32.list") {
                let file = std::fs::File::options().write(true).open(path).expect("open");
                file.set_modified(old).expect("set");
            }
        }
        let tree = |prefix: &str| Said::Tree(prefix.into());
        assert_eq!(
            ask(&root, &[b"triggered", b"/usr/lib /bin /etc ldconfig"], b"", 2000),
            [
                tree("/bin"),
                tree("/etc"),
                tree("/lib"),
                tree("/usr/bin"),
                tree("/usr/lib"),
                package("wine32:i386", "", "8.0"),
                file("/usr/bin/wine", "wine32:i386"),
            ]
        );
        let unknown = ask(&root, &[b"triggered", b"/etc"], b"", 0);
        assert!(matches!(&unknown[..], [Said::Tree(_), Said::Message(_)]), "{unknown:?}");
    }

    #[test]
    fn a_broken_database_does_not_hide_what_was_said() {
        let root = usual();
        std::fs::remove_file(root.path().join("var/lib/dpkg/status")).expect("remove");
        let said = ask(&root, &[], b"VERSION 2\n\ntd 2.0 > - **REMOVE**\n", 0);
        assert!(matches!(&said[..], [Said::Message(_), gone] if *gone == package("td", "2.0", "")), "{said:?}");
        let said = ask(&root, &[b"triggered", b"/etc"], b"", 1);
        assert!(matches!(&said[..], [Said::Tree(_), Said::Message(_)]), "{said:?}");
    }

    #[test]
    fn packages_are_expanded_by_the_names_that_were_given() {
        let root = usual();
        let (said, ()) = Recorder::listen(|sink| expand(root.path(), &[b"libx:i386", b"bash", b"gone", b"../x"], sink))
            .expect("an answer");
        assert_eq!(
            said,
            [
                file("/usr/lib/i386-linux-gnu/libx.so.2", "libx:i386"),
                file("/usr/bin/bash", "bash"),
                file("/usr/bin/sh", "bash"),
                Said::Message("gone: no such package".into()),
                Said::Message("../x: no such package".into()),
            ]
        );
    }
}
