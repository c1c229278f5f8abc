//! On which installed packages a package depends, by itself or through others.

use crate::database::{full_name, is_name, parts_of, Database};
use crate::status::{Kept, Package, Status};
use reexec_plugin_abi::rust::Sink;
use reexec_plugin_paths::{reached, Folders};
use std::collections::HashMap;
use std::convert::Infallible;
use std::path::Path;

/// Says on which packages each of the packages depends.
pub fn dependencies(root: &Path, packages: &[&[u8]], sink: &mut Sink<'_>) -> Result<(), String> {
    let mut folders = Folders::below(root);
    let database = Database::open(&mut folders, Kept::Relations)?;
    let status = database.status();
    let providers = Providers::of(status);
    for (index, package) in packages.iter().enumerate() {
        for name in providers.closure(package, status) {
            sink.dependency(index, &name);
        }
    }
    Ok(())
}

/// Installed packages, and by what they stand for.
struct Providers<'a> {
    packages: Vec<Package<'a>>,
    by_name: HashMap<&'a [u8], Vec<usize>>,
}

impl<'a> Providers<'a> {
    fn of(status: &'a Status) -> Providers<'a> {
        let packages: Vec<Package<'_>> = status.packages().filter(Package::has_files).collect();
        let mut by_name: HashMap<&[u8], Vec<usize>> = HashMap::new();
        for (index, package) in packages.iter().enumerate() {
            for name in std::iter::once(package.name).chain(package.provides()) {
                by_name.entry(name).or_default().push(index);
            }
        }
        Providers { packages, by_name }
    }

    /// The packages that one depends on, without itself, as people write them. Another architecture serves
    /// only for what is not of one.
    fn closure(&self, package: &[u8], status: &Status) -> Vec<Vec<u8>> {
        let (name, architecture) = parts_of(package);
        let Some(asked) = status.find(name, architecture).filter(|_| is_name(name)) else { return Vec::new() };
        let first = self.packages.iter().position(|one| *one == asked);
        let next = |one: &usize| {
            let providers = self.packages[*one].depends().filter_map(|name| self.by_name.get(name));
            Ok::<_, Infallible>(providers.flatten().copied().collect())
        };
        let Ok(found) = reached(first.into_iter().collect(), next);
        let shown = |index: usize| {
            let one = &self.packages[index];
            full_name(one.name, Some(one.architecture), status.native())
        };
        found.into_iter().map(shown).collect()
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
