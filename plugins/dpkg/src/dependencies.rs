//! On which installed packages a package depends, by itself or through others.

use crate::database::{full_name, is_name, Database};
use crate::status::{Package, Status};
use reexec_plugin_abi::rust::Sink;
use reexec_plugin_paths::Folders;
use std::collections::{HashMap, HashSet};
use std::path::Path;

/// More than any package of Debian has.
const MOST: usize = 5000;

/// Says on which packages each of the packages depends.
pub fn dependencies(root: &Path, packages: &[&[u8]], sink: &mut Sink<'_>) -> Result<(), String> {
    let mut folders = Folders::below(root);
    let database = Database::open(&mut folders)?;
    let status = database.status();
    let providers = Providers::of(&status);
    for (index, package) in packages.iter().enumerate() {
        for name in providers.closure(package, &status) {
            sink.dependency(index, &name);
        }
    }
    Ok(())
}

/// Installed packages by what they stand for.
struct Providers<'a>(HashMap<&'a [u8], Vec<&'a Package<'a>>>);

impl<'a> Providers<'a> {
    fn of(status: &'a Status<'a>) -> Providers<'a> {
        let mut all: HashMap<&[u8], Vec<&Package<'_>>> = HashMap::new();
        for package in status.packages().filter(|package| package.has_files()) {
            for name in std::iter::once(package.name).chain(package.provides()) {
                all.entry(name).or_default().push(package);
            }
        }
        Providers(all)
    }

    /// The packages that one depends on, without itself, as people write them.
    fn closure(&self, package: &[u8], status: &Status<'_>) -> Vec<Vec<u8>> {
        let (name, architecture) = match package.iter().position(|byte| *byte == b':') {
            Some(at) => (&package[..at], Some(&package[at + 1..])),
            None => (package, None),
        };
        let shown = |one: &Package<'_>| full_name(one.name, Some(one.architecture), status.native());
        let Some(first) = status.find(name, architecture).filter(|_| is_name(name)) else { return Vec::new() };
        let mut met: HashSet<Vec<u8>> = HashSet::from([shown(first)]);
        let (mut queue, mut found) = (vec![first], Vec::new());
        while let Some(next) = queue.pop() {
            let wanted = next.depends().filter_map(|name| self.0.get(name)).flatten();
            for package in wanted {
                // Another architecture serves only for what is not of one.
                let name = shown(package);
                if found.len() < MOST && met.insert(name.clone()) {
                    found.push(name);
                    queue.push(package);
                }
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::tests::bare;
    use reexec_plugin_abi::rust::Recorder;

    #[test]
    fn what_is_depended_on_through_others_and_by_another_name_is_found_and_what_is_not_installed_is_not() {
        let root = bare();
        let stanza = |name: &str, state: &str, more: &str| {
            format!("Package: {name}\nStatus: install ok {state}\nArchitecture: all\nVersion: 1\n{more}\n")
        };
        let status = [
            stanza("daemon", "installed", "Depends: python3-foo (>= 1), mta | mail, gone\nPre-Depends: base:any\n"),
            stanza("python3-foo", "installed", "Depends: python3-bar, daemon\n"),
            stanza("python3-bar", "installed", "Recommends: other\n"),
            stanza("exim", "installed", "Provides: mail (= 1), x\n"),
            stanza("gone", "config-files", ""),
            stanza("base", "installed", ""),
            stanza("other", "installed", ""),
        ];
        root.write("status", status.concat().as_bytes());
        let packages: [&[u8]; 4] = [b"daemon", b"other", b"unheard-of", b"../x"];
        let said = Recorder::dependencies(4, |sink| dependencies(root.path(), &packages, sink)).expect("an answer");
        assert_eq!(said[0], ["base", "exim", "python3-bar", "python3-foo"]);
        assert!(said[1..].iter().all(Vec::is_empty), "{said:?}");
    }
}
