//! On which installed packages a package depends, by itself or through others.

use crate::database::{self, Database, Number};
use crate::owners;
use reexec_plugin_abi::rust::Sink;
use reexec_plugin_paths::{reached, Folders};
use std::collections::HashMap;
use std::path::Path;

/// Says on which packages each of the packages depends.
pub fn dependencies(root: &Path, packages: &[&[u8]], sink: &mut Sink<'_>) -> Result<(), String> {
    let mut folders = Folders::below(root);
    let answers = database::read(&mut folders, |database, folders| {
        let mut search = Search { database, folders, providers: HashMap::new() };
        packages.iter().map(|package| search.closure(package)).collect::<Result<Vec<_>, String>>()
    })?;
    for (index, names) in answers.unwrap_or_default().into_iter().enumerate() {
        for name in names {
            sink.dependency(index, &name);
        }
    }
    Ok(())
}

struct Search<'a> {
    database: &'a Database,
    folders: &'a mut Folders,
    /// Who provides what, as far as it was asked.
    providers: HashMap<Vec<u8>, Vec<Number>>,
}

impl Search<'_> {
    /// The packages that one depends on, without itself, as they are shown.
    fn closure(&mut self, package: &[u8]) -> Result<Vec<Vec<u8>>, String> {
        let named = |shown: &[u8]| -> Result<Vec<Number>, String> {
            let bare = shown.iter().rposition(|byte| *byte == b'.').map_or(shown, |at| &shown[..at]);
            let mut found = self.database.packages(shown)?;
            if found.is_empty() {
                found = self.database.packages(bare)?;
            }
            Ok(found)
        };
        let mut found = Vec::new();
        for number in reached(named(package)?, |one| self.needed_by(*one))? {
            found.extend(self.database.header(number, |header| header.shown().into_owned())?);
        }
        Ok(found)
    }

    /// Who provides what one package requires.
    fn needed_by(&mut self, package: Number) -> Result<Vec<Number>, String> {
        let wanted: Option<Vec<Vec<u8>>> =
            self.database.header(package, |header| header.requires().map(<[u8]>::to_vec).collect())?;
        let mut all = Vec::new();
        for capability in wanted.unwrap_or_default() {
            all.extend(self.provide(&capability)?);
        }
        Ok(all)
    }

    /// A path is provided by whoever owns it. What rpm itself provides (`rpmlib(…)`), and conditions, which
    /// are in brackets, are nobody's.
    fn provide(&mut self, capability: &[u8]) -> Result<Vec<Number>, String> {
        if capability.starts_with(b"rpmlib(") || capability.starts_with(b"(") {
            return Ok(Vec::new());
        }
        if let Some(known) = self.providers.get(capability) {
            return Ok(known.clone());
        }
        let mut numbers = self.database.providers(capability)?;
        if numbers.is_empty() && capability.starts_with(b"/") {
            numbers = owners::find(self.database, self.folders, &[capability])?.into_keys().collect();
        }
        self.providers.insert(capability.to_vec(), numbers.clone());
        Ok(numbers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{file, package, with, Package};
    use reexec_plugin_abi::rust::Recorder;

    #[test]
    fn what_is_required_through_others_by_a_path_or_by_a_capability_is_found() {
        let needs = |name, requires, provides| Package { requires, provides, ..package(name, "1-1", 1, &[]) };
        let root = with(&[
            needs("daemon", &["python3-foo", "/usr/bin/tool", "rpmlib(X)", "(a if b)", "gone"], &[]),
            needs("python3-foo", &["libx.so.1()(64bit)", "daemon"], &[]),
            needs("libx", &[], &["libx.so.1()(64bit)"]),
            package("tools", "1-1", 1, &[file("/usr/bin/tool", "aa")]),
            needs("other", &[], &[]),
        ]);
        let packages: [&[u8]; 3] = [b"daemon", b"other", b"unheard-of"];
        let said = Recorder::dependencies(3, |sink| dependencies(root.path(), &packages, sink)).expect("an answer");
        assert_eq!(said[0], ["libx", "python3-foo", "tools"]);
        assert!(said[1..].iter().all(Vec::is_empty), "{said:?}");
    }
}
